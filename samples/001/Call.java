// System 001: asks for a two-way call, takes its states and its record, and looks the record up.
//
//     MERCHANT_SID=... MERCHANT_TOKEN=... MERCHANT_APPID=... MERCHANT_SRC=13800138000 MERCHANT_DST=13900139000 \
//     java Call.java
//
// The app's callback address at the switch has to lead to MERCHANT_LISTEN of this machine.
// Java 11 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Call {
    static final String TANDEM = setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static final String SID = setting("MERCHANT_SID", "your-account-sid");
    static final String TOKEN = setting("MERCHANT_TOKEN", "your-auth-token");
    static final String APPID = setting("MERCHANT_APPID", "your-appid");
    // Who is rung first, and who then.
    static final String SRC = setting("MERCHANT_SRC", "13800138000");
    static final String DST = setting("MERCHANT_DST", "13900139000");
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

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    /** One signed request; names and values of the body in turns. */
    static String ask(String function, String... body) throws IOException, InterruptedException {
        // Beijing time, and one instant for both: header and Sign have to agree.
        String timestamp = ZonedDateTime.now(ZoneId.of("Asia/Shanghai"))
            .format(DateTimeFormatter.ofPattern("yyyyMMddHHmmss"));
        StringBuilder json = new StringBuilder("{\"appid\":" + quoted(APPID));
        for (int at = 0; at < body.length; at += 2) {
            json.append(',').append(quoted(body[at])).append(':').append(quoted(body[at + 1]));
        }
        String address = TANDEM + "/201512/sid/" + SID + "/" + function + "?Sign=" + md5(SID + TOKEN + timestamp);
        byte[] bearer = (SID + "|" + timestamp).getBytes(StandardCharsets.UTF_8);
        HttpRequest request = HttpRequest.newBuilder(URI.create(address))
            .timeout(Duration.ofSeconds(15))
            .header("Authorization", Base64.getEncoder().encodeToString(bearer))
            .header("Content-Type", "application/json;charset=utf-8")
            .POST(BodyPublishers.ofString(json.append('}').toString()))
            .build();
        String answer = HTTP.send(request, BodyHandlers.ofString()).body();
        // Lists of records and balances come without a statusCode.
        String code = field(answer, "statusCode");
        if (!code.isEmpty() && !code.equals("0")) {
            stop("refused: " + code + " " + field(answer, "statusMsg"));
        }
        return answer;
    }

    static String md5(String text) {
        try {
            StringBuilder hex = new StringBuilder();
            for (byte b : MessageDigest.getInstance("MD5").digest(text.getBytes(StandardCharsets.UTF_8))) {
                hex.append(String.format("%02X", b));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Where states and records arrive, each as a POST. 2xx: taken. 500: send it again later. */
    static void receive(HttpExchange exchange) throws IOException {
        String push = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        boolean record = push.startsWith("{\"cdr\"");
        boolean state = !field(push, "state").isEmpty();
        if (state && !record) {
            System.out.println("state: " + field(push, "dsc") + " " + field(push, "state"));
        }
        exchange.sendResponseHeaders(record || state ? 200 : 500, -1);
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

        String answer = ask("call/DailbackCall.wx",
            "action", "callDailBack", "src", SRC, "dst", DST, "customParm", "from Java");
        String call = field(answer, "requestId");
        System.out.println("asked: " + call);

        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        String cdr;
        do {
            cdr = RECORDS.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (cdr == null) {
                stop("no record came: can the switch reach the app's callback address?");
            }
            // Records of other calls come here too, and each may come twice.
        } while (!field(cdr, "requestid").equals(call) || !field(cdr, "appid").equals(APPID));
        System.out.printf("record: %s, %s s for %s, %s%n", field(cdr, "stateDesc"), field(cdr, "duration"),
            field(cdr, "oriamount"), field(cdr, "tapesurl"));

        // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
        String found = ask("call/CallCdr.wx",
            "action", "getCdrByResId", "fid", "4", "lastresid", call, "limit", "0");
        boolean same = true;
        for (String name : new String[] {"requestid", "appid", "caller", "called"}) {
            same &= field(found, name).equals(field(cdr, name));
        }
        for (String name : new String[] {"duration", "oriamount"}) {
            // Pushed as text, told as numbers: 0.10 is 0.1.
            same = same && new BigDecimal(field(found, name)).compareTo(new BigDecimal(field(cdr, name))) == 0;
        }
        if (!same) {
            stop("the pushed record is not what the switch has: " + found);
        }
        System.out.println("checked: the switch has the same record");
        System.out.println("balance: " + field(ask("account/getBlance.wx", "action", "queryBlance"), "Blance"));
        System.exit(0);
    }
}
