// System 000: asks for a call between two people, takes its result and looks the call up.
//
//     MERCHANT_USERNAME=shop MERCHANT_KEY=... MERCHANT_A=80000 MERCHANT_B=13800138000 \
//     MERCHANT_RETURNURL=http://this-machine.example:8000/result mono Call.exe
//
// .NET Framework 4.5, .NET 6 or Mono (mcs -r:System.Net.Http Call.cs), nothing else.
// Exit status 0: the result came and was signed by us.

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text;
using System.Threading;

static class Call
{
    static readonly string Tandem = Setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static readonly string Username = Setting("MERCHANT_USERNAME", "your-username");
    static readonly string Key = Setting("MERCHANT_KEY", "your-key");
    // Who is rung first, and who then.
    static readonly string A = Setting("MERCHANT_A", "80000");
    static readonly string B = Setting("MERCHANT_B", "13800138000");
    // Where this program listens, and the same place as the switch reaches it.
    static readonly string Listen = Setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    static readonly string ReturnUrl = Setting("MERCHANT_RETURNURL", "http://your-server.example:8000/result");
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    static readonly string[] ResultFields = {
        "callbackid", "callback_num", "callback_duration", "callback_fee",
        "destination_num", "destination_duration", "destination_fee", "callback_result",
    };

    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(15) };
    static readonly BlockingCollection<Dictionary<string, string>> Results =
        new BlockingCollection<Dictionary<string, string>>();

    static string Setting(string name, string otherwise)
    {
        string value = Environment.GetEnvironmentVariable(name);
        return string.IsNullOrEmpty(value) ? otherwise : value;
    }

    // MD5 of name=value&...&key=KEY: the plain values, never the escaped ones, in the order given.
    static string Sign(Dictionary<string, string> fields, params string[] order)
    {
        var text = new StringBuilder();
        foreach (string name in order)
        {
            text.Append(name).Append('=').Append(fields[name]).Append('&');
        }
        text.Append("key=").Append(Key);
        using (MD5 md5 = MD5.Create())
        {
            byte[] sum = md5.ComputeHash(Encoding.UTF8.GetBytes(text.ToString()));
            return BitConverter.ToString(sum).Replace("-", "").ToLowerInvariant();
        }
    }

    static Dictionary<string, string> Parse(string query)
    {
        var fields = new Dictionary<string, string>();
        foreach (string pair in query.TrimStart('?').Split('&'))
        {
            int at = pair.IndexOf('=');
            if (at > 0)
            {
                fields[Uri.UnescapeDataString(pair.Substring(0, at))] =
                    Uri.UnescapeDataString(pair.Substring(at + 1).Replace('+', ' '));
            }
        }
        return fields;
    }

    // One request; the names in order are what is signed.
    static Dictionary<string, string> Ask(string what, Dictionary<string, string> fields, params string[] order)
    {
        var query = new StringBuilder();
        foreach (var field in fields)
        {
            query.Append(field.Key).Append('=').Append(Uri.EscapeDataString(field.Value)).Append('&');
        }
        query.Append("sign=").Append(Sign(fields, order));
        string text = Http.GetStringAsync(Tandem + "/api/" + what + "?" + query).Result;
        Dictionary<string, string> answer = Parse(text);
        string result;
        if (!answer.TryGetValue("result", out result) || result != "success")
        {
            Stop("refused: " + text);
        }
        return answer;
    }

    // All fields are there and the signature is made with our key.
    static bool IsOurs(Dictionary<string, string> result)
    {
        string value;
        foreach (string name in ResultFields)
        {
            if (!result.TryGetValue(name, out value) || value == "")
            {
                return false;
            }
        }
        return result.TryGetValue("sign", out value)
            && Sign(result, ResultFields) == value.ToLowerInvariant();
    }

    // Where the result of a call arrives. Only the word `success` tells the switch that it was taken.
    static void Receive(HttpListener listener)
    {
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            Dictionary<string, string> result = Parse(context.Request.Url.Query);
            bool ours = IsOurs(result);
            byte[] body = Encoding.ASCII.GetBytes(ours ? "success" : "wrong signature");
            context.Response.ContentType = "text/plain";
            context.Response.Close(body, true);
            if (ours)
            {
                Results.Add(result);
            }
            else
            {
                Console.Error.WriteLine("ignored: a result that is not signed with our key");
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

        // Your own id of the call: asking again with the same one rings nobody twice.
        string callbackid = "cs-" + DateTime.UtcNow.Ticks;
        var call = new Dictionary<string, string> {
            { "username", Username }, { "callbackid", callbackid },
            { "callback_num", A }, { "destination_num", B },
            { "returnurl", ReturnUrl }, { "data", "from C#" },
        };
        Ask("biz_callback", call, "username", "callbackid", "callback_num", "destination_num");
        Console.WriteLine("asked: " + callbackid);

        DateTime deadline = DateTime.UtcNow + Patience;
        Dictionary<string, string> result;
        do
        {
            int left = Math.Max(0, (int)(deadline - DateTime.UtcNow).TotalMilliseconds);
            if (!Results.TryTake(out result, left))
            {
                Stop("no result came: can the switch reach MERCHANT_RETURNURL?");
            }
            // The same result may come twice, and those of other calls come here too.
        } while (result["callbackid"] != callbackid);
        Console.WriteLine("result: {0}, A {1} s for {2}, B {3} s for {4}", result["callback_result"],
            result["callback_duration"], result["callback_fee"],
            result["destination_duration"], result["destination_fee"]);

        var query = new Dictionary<string, string> { { "username", Username }, { "callbackid", callbackid } };
        Dictionary<string, string> record = Ask("biz_query", query, "username", "callbackid");
        string recording = record.ContainsKey("recording") ? record["recording"] : "none";
        Console.WriteLine("record: {0}, {1}, recording {2}",
            record["state"], record["callback_result"], recording);
        var us = new Dictionary<string, string> { { "username", Username } };
        Console.WriteLine("balance: " + Ask("biz_balance", us, "username")["balance"]);
        Environment.Exit(0);
    }
}
