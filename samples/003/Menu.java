// System 003: the page of a menu. Whoever dials the code chooses a drink and how many, pays by a link, and is served
// once.
//
//     MERCHANT_USERNAME=... MERCHANT_PASSWORD=... MERCHANT_CODE='*6655*123#' java Menu.java
//
// The code's page at the switch has to lead to MERCHANT_LISTEN of this machine, by any path.
// Nothing signs a visit: let the switch's address alone reach it.
// Java 11 or later, nothing else. It runs until it is ended.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Menu {
    static final String SWITCH = setting("MERCHANT_URL", "http://127.0.0.1:8080");
    // Who may ask what was paid: an owner's name and password ([[ussd_owners]]).
    static final String USERNAME = setting("MERCHANT_USERNAME", "your-name");
    static final String PASSWORD = setting("MERCHANT_PASSWORD", "your-password");
    static final String CODE = setting("MERCHANT_CODE", "*6655*123#").replaceAll("^[*#]+|[*#]+$", "");
    static final String LISTEN = setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    // Where orders are kept: a folder. In a shop of your own this is a table whose key is the order.
    static final Path ORDERS = Path.of(setting("MERCHANT_ORDERS", "orders"));

    static final Map<String, String> DRINKS = Map.of("1", "tea", "2", "coffee");
    static final Map<String, Integer> PRICES = Map.of("1", 50_000, "2", 80_000);
    // A session names an order, and that a file.
    static final String NAME = "[A-Za-z0-9-]{1,50}";

    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    /** What is answered. */
    static class Answer {
        final int status;
        final String text;

        Answer(int status, String text) {
            this.status = status;
            this.text = text;
        }
    }

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** Keeps a text under a name, once and whole; whether this was the time. How often it is asked to does not matter. */
    static synchronized boolean keep(String name, String text) throws IOException {
        Path file = ORDERS.resolve(name);
        if (Files.exists(file)) {
            return false;
        }
        Path fresh = ORDERS.resolve(name + ".new");
        Files.writeString(fresh, text);
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
        return true;
    }

    /** An order as it is kept, or null: who wants it, for how much, what. */
    static String[] order(String factor) throws IOException {
        if (!factor.matches(NAME) || !Files.exists(ORDERS.resolve(factor + ".order"))) {
            return null;
        }
        return Files.readString(ORDERS.resolve(factor + ".order")).split("\\|");
    }

    /**
     * What is seen. A text: something may be typed; [end] behind it: that was all; 9900|order|rials: a link to pay by.
     */
    static String screen(List<String> inputs, String session, String mobile) throws IOException {
        if (inputs.isEmpty()) {
            return "Tea house\n1-Tea 50,000 rials\n2-Coffee 80,000 rials\n0-Nothing";
        }
        String choice = inputs.get(0);
        if (choice.equals("0")) {
            return "Good bye[end]";
        }
        if (!DRINKS.containsKey(choice)) {
            return "We have no such drink[end]";
        }
        if (inputs.size() == 1) {
            return "How many of " + DRINKS.get(choice) + ", 1 to 9?";
        }
        if (inputs.size() > 2 || !inputs.get(1).matches("[1-9]")) {
            return "That is no number from 1 to 9[end]";
        }
        int total = Integer.parseInt(inputs.get(1)) * PRICES.get(choice);
        // The session names the order: a step that is visited again has the same one paid.
        keep(session + ".order", mobile + "|" + total + "|" + inputs.get(1) + " " + DRINKS.get(choice));
        String[] kept = order(session);
        System.out.println("order " + session + ": " + kept[2] + ", " + kept[1] + " rials");
        return "9900|" + session + "|" + kept[1];
    }

    static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }

    /** What the switch has of a payment: JSON. */
    static String getPayments(Map<String, String> fields) throws IOException, InterruptedException {
        StringBuilder body = new StringBuilder("<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">"
            + "<soap:Body><GetPayments xmlns=\"http://tempuri.org/\">");
        fields.forEach((name, value) ->
            body.append("<" + name + ">" + escaped(value) + "</" + name + ">"));
        body.append("</GetPayments></soap:Body></soap:Envelope>");
        HttpRequest request = HttpRequest.newBuilder(URI.create(SWITCH + "/_services/ExternalUssdPay.asmx"))
            .timeout(Duration.ofSeconds(10))
            .header("Content-Type", "text/xml; charset=utf-8")
            .header("SOAPAction", "\"http://tempuri.org/GetPayments\"")
            .POST(BodyPublishers.ofString(body.toString()))
            .build();
        HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString(StandardCharsets.UTF_8));
        Matcher result = Pattern.compile("<GetPaymentsResult>(.*)</GetPaymentsResult>|<GetPaymentsResult ?/>", Pattern.DOTALL)
            .matcher(response.body());
        if (response.statusCode() != 200 || !result.find()) {
            throw new IOException("the switch says " + response.statusCode());
        }
        String text = result.group(1) == null ? "" : result.group(1);
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'")
            .replace("&#39;", "'").replace("&#34;", "\"").replace("&amp;", "&");
        // Nothing found may be [], null or no text at all; anything else that is no JSON is a refusal.
        if (!text.isEmpty() && !text.equals("null") && !text.startsWith("[")) {
            throw new IOException("refused: " + text);
        }
        return text;
    }

    /** A field of one record. Java has no JSON of its own: in your shop use a library. Names are spelt in two ways. */
    static String field(String record, String name) {
        Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"?([^\",}]*)", Pattern.CASE_INSENSITIVE).matcher(record);
        return found.find() ? found.group(1).trim() : "";
    }

    static boolean isPaid(String record, String factor, String invoice, String rials) {
        return field(record, "Result").equalsIgnoreCase("true") && field(record, "YourFactorID").equals(factor)
            && field(record, "InotiFactorID").equals(invoice)
            && field(record, "Price").replaceFirst("\\.0*$", "").equals(rials);
    }

    /** Somebody says that an order is paid. 200 is said when it is booked; anything else, and the visit comes again. */
    static Answer paid(List<String> inputs, String session, String mobile, String rrn)
        throws IOException, InterruptedException {
        String factor = inputs.get(inputs.size() - 2);
        String invoice = inputs.get(inputs.size() - 1);
        String[] order = order(factor);
        if (order == null || !order[0].equals(mobile)) {
            return new Answer(404, "there is no order " + factor);
        }
        if (Files.exists(ORDERS.resolve(factor + ".paid"))) {
            return new Answer(200, "booked before");
        }
        // A visit proves nothing: what counts is what the switch says when asked.
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("Username", USERNAME);
        fields.put("Password", PASSWORD);
        fields.put("CodeName", CODE);
        fields.put("IsAll", "false");
        fields.put("SessionID", session);
        fields.put("PriceFrom", order[1]);
        fields.put("PriceTo", order[1]);
        fields.put("Mobile", mobile);
        fields.put("iNotiFactorID", invoice);
        fields.put("YourFactorID", factor);
        fields.put("RRN", rrn);
        Matcher record = Pattern.compile("\\{[^{}]*}").matcher(getPayments(fields));
        while (record.find()) {
            if (!isPaid(record.group(), factor, invoice, order[1])) {
                continue;
            }
            // Of visits that come at the same time one books.
            if (!keep(factor + ".paid", invoice + " " + rrn + "\n")) {
                return new Answer(200, "booked before");
            }
            System.out.println("paid: order " + factor + ", RRN " + rrn + ": make " + order[2]);
            return new Answer(200, "booked");
        }
        return new Answer(403, "order " + factor + " is not paid");
    }

    static Answer visited(String query) throws IOException, InterruptedException {
        Map<String, String> asked = new LinkedHashMap<>();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            String[] parts = pair.split("=", 2);
            String value = parts.length < 2 ? "" : URLDecoder.decode(parts[1], StandardCharsets.UTF_8);
            asked.putIfAbsent(parts[0].toLowerCase(), value);
        }
        // With a star before the code or without, as the switch is set.
        String call = asked.getOrDefault("call", "").replaceAll("^\\*+|\\*+$", "");
        String session = asked.getOrDefault("sessionid", "");
        String mobile = asked.getOrDefault("mobile", "");
        if (!(call + "*").startsWith(CODE + "*") || !session.matches(NAME) || !mobile.matches("\\+?[0-9]+")) {
            return new Answer(400, "this is the page of a menu");
        }
        List<String> all = Arrays.asList(call.split("\\*"));
        List<String> inputs = all.subList(CODE.split("\\*").length, all.size());
        if (!asked.containsKey("rrn")) {
            return new Answer(200, screen(inputs, session, mobile));
        }
        if (inputs.size() < 2) {
            return new Answer(400, "which order?");
        }
        try {
            return paid(inputs, session, mobile, asked.get("rrn"));
        } catch (IOException error) {
            return new Answer(503, "not asked whether it is paid: " + error.getMessage());
        }
    }

    static void page(HttpExchange exchange) throws IOException {
        Answer answer;
        try {
            answer = visited(exchange.getRequestURI().getRawQuery());
        } catch (IOException | InterruptedException | IllegalArgumentException error) {
            answer = new Answer(500, error.toString());
        }
        if (answer.status != 200) {
            System.err.println(answer.text);
        }
        byte[] body = answer.text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
        exchange.sendResponseHeaders(answer.status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        Files.createDirectories(ORDERS);
        int colon = LISTEN.lastIndexOf(':');
        InetSocketAddress address =
            new InetSocketAddress(LISTEN.substring(0, colon), Integer.parseInt(LISTEN.substring(colon + 1)));
        HttpServer server = HttpServer.create(address, 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", Menu::page);
        server.start();
    }
}
