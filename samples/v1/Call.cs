// /v1: has two people joined, is told of the end by a signed webhook, and reads the call back.
//
//     MERCHANT_API_KEY=tk_... MERCHANT_A=13800138000 MERCHANT_B=13900139000 \
//     MERCHANT_HOOK=http://your-host:8000/hook mono Call.exe
//
// The key needs the scopes calls:read, calls:write, webhooks:write and balance:read.
// .NET Framework 4.5, .NET 6 or Mono (mcs -r:System.Net.Http -r:System.Runtime.Serialization
// -r:System.Xml -r:System.Xml.Linq Call.cs), nothing else.
// Exit status 0: the end was told, and the switch says the same when asked.

using System;
using System.Collections.Concurrent;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization.Json;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Xml;
using System.Xml.Linq;

static class Call
{
    static readonly string Switch = Setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static readonly string ApiKey = Setting("MERCHANT_API_KEY", "tk_your-key");
    // Who is rung first, and who then.
    static readonly string A = Setting("MERCHANT_A", "13800138000");
    static readonly string B = Setting("MERCHANT_B", "13900139000");
    static readonly string Listen = Setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    // How the switch reaches it.
    static readonly string Hook = Setting("MERCHANT_HOOK", "http://127.0.0.1:8000/hook");
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    // Events that are older, or of the future, are somebody else's.
    const double SkewSeconds = 300;

    static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(15) };
    static readonly BlockingCollection<XElement> Events = new BlockingCollection<XElement>();
    static volatile byte[] secret = { 0 };

    static string Setting(string name, string otherwise)
    {
        string value = Environment.GetEnvironmentVariable(name);
        return string.IsNullOrEmpty(value) ? otherwise : value;
    }

    // JSON as a tree that every .NET can read without a package: an element a field.
    static XElement Parse(string json)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(json);
        using (var reader = JsonReaderWriterFactory.CreateJsonReader(bytes, XmlDictionaryReaderQuotas.Max))
        {
            return XElement.Load(reader);
        }
    }

    static string Field(XElement from, string name)
    {
        XElement field = from == null ? null : from.Element(name);
        return field == null ? "" : field.Value;
    }

    // One request; the answer. Body and key may be null.
    static XElement Ask(string method, string path, string body, string key)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), Switch + path);
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + ApiKey);
        if (body != null)
        {
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        }
        if (key != null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        }
        HttpResponseMessage response = Http.SendAsync(request).Result;
        string text = response.Content.ReadAsStringAsync().Result;
        XElement answer = text == "" ? null : Parse(text);
        if ((int)response.StatusCode >= 300)
        {
            Stop("refused: " + (int)response.StatusCode + " " + Field(answer, "code") + ": "
                + Field(answer, "detail"));
        }
        return answer;
    }

    // In a time that does not tell how much of it was right.
    static bool Same(string one, string other)
    {
        int difference = one.Length ^ other.Length;
        for (int at = 0; at < one.Length && at < other.Length; at++)
        {
            difference |= one[at] ^ other[at];
        }
        return difference == 0;
    }

    // Whether one of the signatures is that of this body (Standard Webhooks).
    static bool IsOurs(HttpListenerRequest request, byte[] body)
    {
        string id = request.Headers["webhook-id"] ?? "";
        string stamp = request.Headers["webhook-timestamp"] ?? "";
        long seconds;
        if (!long.TryParse(stamp, NumberStyles.None, CultureInfo.InvariantCulture, out seconds)
            || Math.Abs((DateTime.UtcNow - Epoch).TotalSeconds - seconds) > SkewSeconds)
        {
            return false;
        }
        byte[] signed = Encoding.UTF8.GetBytes(id + "." + stamp + ".").Concat(body).ToArray();
        string want;
        using (var mac = new HMACSHA256(secret))
        {
            want = "v1," + Convert.ToBase64String(mac.ComputeHash(signed));
        }
        return (request.Headers["webhook-signature"] ?? "").Split(' ').Any(given => Same(given, want));
    }

    // Where events arrive. 2xx: taken; anything else: it comes again later.
    static void Receive(HttpListener listener)
    {
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            var body = new MemoryStream();
            context.Request.InputStream.CopyTo(body);
            bool good = IsOurs(context.Request, body.ToArray());
            if (!good)
            {
                Console.Error.WriteLine("ignored: an event that is not signed");
            }
            context.Response.StatusCode = good ? 204 : 401;
            context.Response.Close();
            if (good)
            {
                Events.Add(Parse(Encoding.UTF8.GetString(body.ToArray())));
            }
        }
    }

    static void Stop(string why)
    {
        Console.Error.WriteLine(why);
        Environment.Exit(1);
    }

    static void Main()
    {
        var listener = new HttpListener();
        listener.Prefixes.Add("http://" + Listen.Replace("0.0.0.0", "*") + "/");
        listener.Start();
        new Thread(() => Receive(listener)) { IsBackground = true }.Start();

        // In a shop of your own this is done once, and the secret kept.
        XElement hook = Ask("POST", "/v1/webhooks", "{\"url\":\"" + Hook + "\",\"events\":[\"call.ended\"]}", null);
        secret = Convert.FromBase64String(Field(hook, "secret").Substring("whsec_".Length));

        // With the same key the request may be sent again as often as it takes: nobody is rung twice.
        string wanted = "{\"to\":{\"number\":\"" + A + "\"},\"connect\":{\"number\":\"" + B
            + "\"},\"reference\":\"from C#\"}";
        string call = Field(Ask("POST", "/v1/calls", wanted, Guid.NewGuid().ToString()), "id");
        Console.WriteLine("asked: " + call);

        DateTime deadline = DateTime.UtcNow + Patience;
        XElement told;
        do
        {
            int left = Math.Max(0, (int)(deadline - DateTime.UtcNow).TotalMilliseconds);
            if (!Events.TryTake(out told, left))
            {
                Stop("no event came: can the switch reach MERCHANT_HOOK?");
            }
            // Events of other calls come here too, and each may come twice.
        } while (Field(told, "type") != "call.ended" || Field(told, "call") != call);
        XElement ended = told.Element("data");
        Console.WriteLine("ended: {0}, {1} millionths", Field(ended, "outcome"), Field(ended, "price_micros"));

        // What was missed can always be read.
        XElement found = Ask("GET", "/v1/calls/" + call, null, null);
        if (new[] { "outcome", "price_micros" }.Any(name => Field(found, name) != Field(ended, name)))
        {
            Stop("what was told is not what the switch has: " + found);
        }
        Console.WriteLine("checked: the switch says the same");
        Ask("DELETE", "/v1/webhooks/" + Field(hook, "id"), null, null);
        XElement balance = Ask("GET", "/v1/balance", null, null);
        Console.WriteLine("balance: {0} millionths of {1}", Field(balance, "available_micros"),
            Field(balance, "currency"));
        Environment.Exit(0);
    }
}
