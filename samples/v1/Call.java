// /v1: has two people joined, is told of the end by a signed webhook, and reads the call back.
//
//     MERCHANT_API_KEY=tk_... MERCHANT_A=13800138000 MERCHANT_B=13900139000 \
//     MERCHANT_HOOK=http://your-host:8000/hook java Call.java
//
// The key needs the scopes calls:read, calls:write, webhooks:write and balance:read.
// Java 11 or later, nothing else. Exit status 0: the end was told, and the switch says the same when asked.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Base64;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Call {
    static final String SWITCH = setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static final String API_KEY = setting("MERCHANT_API_KEY", "tk_your-key");
    // Who is rung first, and who then.
    static final String A = setting("MERCHANT_A", "13800138000");
    static final String B = setting("MERCHANT_B", "13900139000");
    static final String LISTEN = setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    // How the switch reaches LISTEN.
    static final String HOOK = setting("MERCHANT_HOOK", "http://127.0.0.1:8000/hook");
    static final long PATIENCE_S = 600;
    // Events that are older, or of the future, are somebody else's.
    static final long SKEW_S = 300;

    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final BlockingQueue<String> EVENTS = new LinkedBlockingQueue<>();
    static volatile byte[] secret = {0};

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** The last field of that name, text or number. Java has no JSON of its own: in your shop use a library. */
    static String field(String json, String name) {
        Pattern pattern = Pattern.compile("\"" + name + "\"\\s*:\\s*(?:\"((?:\\\\.|[^\"\\\\])*)\"|([-0-9.]+))");
        Matcher found = pattern.matcher(json);
        String value = "";
        while (found.find()) {
            value = found.group(1) == null ? found.group(2) : found.group(1);
        }
        return value;
    }

    /** One request; the answer. Body and key may be null. */
    static String ask(String method, String path, String body, String key) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(SWITCH + path))
            .timeout(Duration.ofSeconds(15))
            .header("Authorization", "Bearer " + API_KEY)
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
        if (body != null) {
            request.header("Content-Type", "application/json");
        }
        if (key != null) {
            request.header("Idempotency-Key", key);
        }
        HttpResponse<String> response = HTTP.send(request.build(), BodyHandlers.ofString());
        if (response.statusCode() >= 300) {
            stop("refused: " + response.statusCode() + " " + field(response.body(), "code") + ": "
                + field(response.body(), "detail"));
        }
        return response.body();
    }

    /** Whether one of the signatures is that of this body (Standard Webhooks). */
    static boolean isOurs(HttpExchange exchange, byte[] body) {
        String id = header(exchange, "webhook-id");
        String stamp = header(exchange, "webhook-timestamp");
        if (!stamp.matches("[0-9]{1,12}")
            || Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(stamp)) > SKEW_S) {
            return false;
        }
        byte[] want;
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            mac.update((id + "." + stamp + ".").getBytes(StandardCharsets.UTF_8));
            want = Base64.getEncoder().encode(mac.doFinal(body));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
        for (String given : header(exchange, "webhook-signature").split(" ")) {
            if (given.startsWith("v1,")
                && MessageDigest.isEqual(want, given.substring(3).getBytes(StandardCharsets.UTF_8))) {
                return true;
            }
        }
        return false;
    }

    static String header(HttpExchange exchange, String name) {
        String value = exchange.getRequestHeaders().getFirst(name);
        return value == null ? "" : value;
    }

    /** Where events arrive. 2xx: taken; anything else: it comes again later. */
    static void receive(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        boolean good = isOurs(exchange, body);
        if (!good) {
            System.err.println("ignored: an event that is not signed");
        }
        exchange.sendResponseHeaders(good ? 204 : 401, -1);
        exchange.close();
        if (good) {
            EVENTS.add(new String(body, StandardCharsets.UTF_8));
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

        // In a shop of your own this is done once, and the secret kept.
        String hook = ask("POST", "/v1/webhooks", "{\"url\":\"" + HOOK + "\",\"events\":[\"call.ended\"]}", null);
        secret = Base64.getDecoder().decode(field(hook, "secret").substring("whsec_".length()));

        // With the same key the request may be sent again as often as it takes: nobody is rung twice.
        String wanted = "{\"to\":{\"number\":\"" + A + "\"},\"connect\":{\"number\":\"" + B
            + "\"},\"reference\":\"from Java\"}";
        String call = field(ask("POST", "/v1/calls", wanted, UUID.randomUUID().toString()), "id");
        System.out.println("asked: " + call);

        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        String ended;
        do {
            ended = EVENTS.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (ended == null) {
                stop("no event came: can the switch reach MERCHANT_HOOK?");
            }
            // Events of other calls come here too, and each may come twice.
        } while (!field(ended, "type").equals("call.ended") || !field(ended, "call").equals(call));
        System.out.printf("ended: %s, %s millionths%n", field(ended, "outcome"), field(ended, "price_micros"));

        // What was missed can always be read.
        String found = ask("GET", "/v1/calls/" + call, null, null);
        for (String name : new String[] {"outcome", "price_micros"}) {
            if (!field(found, name).equals(field(ended, name))) {
                stop("what was told is not what the switch has: " + found);
            }
        }
        System.out.println("checked: the switch says the same");
        ask("DELETE", "/v1/webhooks/" + field(hook, "id"), null, null);
        String balance = ask("GET", "/v1/balance", null, null);
        System.out.printf("balance: %s millionths of %s%n", field(balance, "available_micros"),
            field(balance, "currency"));
        System.exit(0);
    }
}
