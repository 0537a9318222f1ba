// System 002: has a notice played to somebody, takes states and the record, and looks the record up.
//
//     MERCHANT_APPID=... MERCHANT_ACCESSKEY=... MERCHANT_NUMBER=13800138000 MERCHANT_VOICEFILE=welcome.wav \
//     java Call.java
//
// The company's callback addresses at the switch have to lead to MERCHANT_LISTEN of this machine.
// Java 11 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Call {
    static final String SWITCH = setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static final String APPID = setting("MERCHANT_APPID", "your-appid");
    static final String ACCESSKEY = setting("MERCHANT_ACCESSKEY", "your-accesskey");
    // Who is rung, what he hears, and where his keys lead: "1@extGroup-1", or nothing.
    static final String NUMBER = setting("MERCHANT_NUMBER", "13800138000");
    static final String VOICEFILE = setting("MERCHANT_VOICEFILE", "welcome.wav");
    static final String MENU = setting("MERCHANT_MENU", "");
    static final String LISTEN = setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    static final long PATIENCE_S = 600;

    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final BlockingQueue<String> RECORDS = new LinkedBlockingQueue<>();

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** The first field of that name, text or number. Java has no JSON of its own: in your shop use a library. */
    static String field(String json, String name) {
        Pattern pattern = Pattern.compile("\"" + name + "\"\\s*:\\s*(?:\"((?:\\\\.|[^\"\\\\])*)\"|([-0-9.]+))");
        Matcher found = pattern.matcher(json);
        if (!found.find()) {
            return "";
        }
        String text = found.group(1);
        return text == null ? found.group(2) : text.replace("\\/", "/").replace("\\\"", "\"");
    }

    /** One request; names and values of its fields in turns. */
    static String ask(String service, String... fields) throws IOException, InterruptedException {
        StringBuilder form = new StringBuilder("service=" + service);
        for (int at = 0; at < fields.length; at += 2) {
            form.append('&').append(fields[at]).append('=')
                .append(URLEncoder.encode(fields[at + 1], StandardCharsets.UTF_8));
        }
        HttpRequest request = HttpRequest.newBuilder(URI.create(SWITCH + "/"))
            .timeout(Duration.ofSeconds(15))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(BodyPublishers.ofString(form.toString()))
            .build();
        String answer = HTTP.send(request, BodyHandlers.ofString()).body();
        // 600: the token has expired; log in again and ask once more.
        if (!field(answer, "ret").equals("200")) {
            stop("refused: " + field(answer, "ret") + " " + field(answer, "msg"));
        }
        if (!field(answer, "status").equals("0")) {
            stop("refused: " + field(answer, "code") + " " + field(answer, "codemsg"));
        }
        return answer;
    }

    /** Where states and records arrive, each as a POST. Anything but 0 and fail: taken; else it comes again. */
    static void receive(HttpExchange exchange) throws IOException {
        String push = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        boolean record = !field(push, "hangupcause").isEmpty();
        boolean state = !record && !field(push, "extnumber").isEmpty();
        if (state) {
            System.out.println("state: " + field(push, "extnumber") + " " + field(push, "status"));
        }
        byte[] taken = (record || state ? "1" : "0").getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(200, taken.length);
        exchange.getResponseBody().write(taken);
        exchange.close();
        if (record) {
            RECORDS.add(push);
        }
    }

    static void stop(String why) {
        System.err.println(why);
        System.exit(1);
    }

    public static void main(String[] arguments) throws Exception {
        int colon = LISTEN.lastIndexOf(':');
        InetSocketAddress address =
            new InetSocketAddress(LISTEN.substring(0, colon), Integer.parseInt(LISTEN.substring(colon + 1)));
        HttpServer server = HttpServer.create(address, 0);
        server.createContext("/", Call::receive);
        server.start();

        // Good for twelve hours: keep it, and log in again when an answer says 600.
        String token = field(ask("App.Sip_Auth.Login", "appid", APPID, "accesskey", ACCESSKEY), "token");
        String name = UUID.randomUUID().toString().replace("-", "");
        String call = field(ask("App.Sip_Call.PlayVoice", "token", token, "destnumber", NUMBER, "voicetype", "1",
            "voicefile", VOICEFILE, "chengshudu", "1", "userid", MENU, "customuuid", name), "uuid");
        System.out.println("asked: " + call);

        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        String cdr;
        do {
            cdr = RECORDS.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (cdr == null) {
                stop("no record came: can the switch reach the company's callback address?");
            }
            // Records of other calls come here too, and each may come twice.
        } while (!field(cdr, "uuid").equals(call));
        System.out.printf("record: %s by %s, %s s talked%n", field(cdr, "hangupcause"),
            field(cdr, "hangupdirection"), field(cdr, "billsec"));

        // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
        ZonedDateTime now = ZonedDateTime.now(ZoneId.of("Asia/Shanghai"));
        DateTimeFormatter form = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");
        String found = ask("App.Sip_Cdr.GetBill", "token", token, "starttime", now.minusHours(1).format(form),
            "endtime", now.plusHours(1).format(form), "syncflag", "3", "callmethod", "0", "customuuid", name);
        boolean same = field(found, "totalitems").equals("1");
        for (String part : new String[] {"uuid", "destnumber", "hangupcause", "hangupdirection", "billsec"}) {
            same &= field(found, part).equals(field(cdr, part));
        }
        if (!same) {
            stop("the pushed record is not what the switch has: " + found);
        }
        System.out.println("checked: the switch has the same record");
        System.exit(0);
    }
}
