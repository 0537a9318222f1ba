// System 000: asks for a call between two people, takes its result and looks the call up.
//
//     MERCHANT_USERNAME=shop MERCHANT_KEY=... MERCHANT_A=80000 MERCHANT_B=13800138000 \
//     MERCHANT_RETURNURL=http://this-machine.example:8000/result java Call.java
//
// Java 11 or later, nothing else. Exit status 0: the result came and was signed by us.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Call {
    static final String TANDEM = setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static final String USERNAME = setting("MERCHANT_USERNAME", "your-username");
    static final String KEY = setting("MERCHANT_KEY", "your-key");
    // Who is rung first, and who then.
    static final String A = setting("MERCHANT_A", "80000");
    static final String B = setting("MERCHANT_B", "13800138000");
    // Where this program listens, and the same place as the switch reaches it.
    static final String LISTEN = setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    static final String RETURNURL = setting("MERCHANT_RETURNURL", "http://your-server.example:8000/result");
    static final long PATIENCE_S = 600;

    static final String[] RESULT_FIELDS = {"callbackid", "callback_num", "callback_duration", "callback_fee",
        "destination_num", "destination_duration", "destination_fee", "callback_result"};

    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final BlockingQueue<Map<String, String>> RESULTS = new LinkedBlockingQueue<>();

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** MD5 of name=value&...&key=KEY: the plain values, never the escaped ones, in the order given. */
    static String sign(Map<String, String> fields, String... order) {
        StringBuilder base = new StringBuilder();
        for (String name : order) {
            base.append(name).append('=').append(fields.get(name)).append('&');
        }
        base.append("key=").append(KEY);
        try {
            MessageDigest md5 = MessageDigest.getInstance("MD5");
            StringBuilder hex = new StringBuilder();
            for (byte b : md5.digest(base.toString().getBytes(StandardCharsets.UTF_8))) {
                hex.append(String.format("%02x", b));
            }
            return hex.toString();
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    static Map<String, String> parse(String query) {
        Map<String, String> fields = new LinkedHashMap<>();
        for (String pair : (query == null ? "" : query).split("&")) {
            int at = pair.indexOf('=');
            if (at > 0) {
                fields.put(URLDecoder.decode(pair.substring(0, at), StandardCharsets.UTF_8),
                    URLDecoder.decode(pair.substring(at + 1), StandardCharsets.UTF_8));
            }
        }
        return fields;
    }

    /** One request; the names in order are what is signed. */
    static Map<String, String> ask(String what, Map<String, String> fields, String... order)
            throws IOException, InterruptedException {
        StringBuilder query = new StringBuilder();
        fields.forEach((name, value) ->
            query.append(name).append('=').append(URLEncoder.encode(value, StandardCharsets.UTF_8)).append('&'));
        query.append("sign=").append(sign(fields, order));
        HttpRequest request = HttpRequest.newBuilder(URI.create(TANDEM + "/api/" + what + "?" + query))
            .timeout(Duration.ofSeconds(15)).build();
        String text = HTTP.send(request, BodyHandlers.ofString()).body();
        Map<String, String> answer = parse(text);
        if (!"success".equals(answer.get("result"))) {
            stop("refused: " + text);
        }
        return answer;
    }

    /** All fields are there and the signature is made with our key. */
    static boolean isOurs(Map<String, String> result) {
        for (String name : RESULT_FIELDS) {
            if (result.getOrDefault(name, "").isEmpty()) {
                return false;
            }
        }
        byte[] expected = sign(result, RESULT_FIELDS).getBytes(StandardCharsets.US_ASCII);
        byte[] given = result.getOrDefault("sign", "").toLowerCase().getBytes(StandardCharsets.US_ASCII);
        return MessageDigest.isEqual(expected, given);
    }

    /** Where the result of a call arrives. Only the word `success` tells the switch that it was taken. */
    static void receive(HttpExchange exchange) throws IOException {
        Map<String, String> result;
        try {
            result = parse(exchange.getRequestURI().getRawQuery());
        } catch (IllegalArgumentException e) {
            result = Map.of();
        }
        boolean ours = isOurs(result);
        byte[] body = (ours ? "success" : "wrong signature").getBytes(StandardCharsets.US_ASCII);
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
        if (ours) {
            RESULTS.add(result);
        } else {
            System.err.println("ignored: a result that is not signed with our key");
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

        // Your own id of the call: asking again with the same one rings nobody twice.
        String callbackid = "java-" + System.currentTimeMillis() + "-" + System.nanoTime();
        Map<String, String> call = new LinkedHashMap<>();
        call.put("username", USERNAME);
        call.put("callbackid", callbackid);
        call.put("callback_num", A);
        call.put("destination_num", B);
        call.put("returnurl", RETURNURL);
        call.put("data", "from Java");
        ask("biz_callback", call, "username", "callbackid", "callback_num", "destination_num");
        System.out.println("asked: " + callbackid);

        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        Map<String, String> result;
        do {
            result = RESULTS.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (result == null) {
                stop("no result came: can the switch reach MERCHANT_RETURNURL?");
            }
            // The same result may come twice, and those of other calls come here too.
        } while (!callbackid.equals(result.get("callbackid")));
        System.out.printf("result: %s, A %s s for %s, B %s s for %s%n", result.get("callback_result"),
            result.get("callback_duration"), result.get("callback_fee"),
            result.get("destination_duration"), result.get("destination_fee"));

        Map<String, String> query = new LinkedHashMap<>();
        query.put("username", USERNAME);
        query.put("callbackid", callbackid);
        Map<String, String> record = ask("biz_query", query, "username", "callbackid");
        System.out.printf("record: %s, %s, recording %s%n", record.get("state"),
            record.get("callback_result"), record.getOrDefault("recording", "none"));
        Map<String, String> us = new LinkedHashMap<>();
        us.put("username", USERNAME);
        System.out.println("balance: " + ask("biz_balance", us, "username").get("balance"));
        System.exit(0);
    }
}
