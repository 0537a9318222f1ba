// System 001: asks for a two-way call, takes its states and its record, and looks the record up.
//
//     MERCHANT_SID=... MERCHANT_TOKEN=... MERCHANT_APPID=... MERCHANT_SRC=13800138000 MERCHANT_DST=13900139000 \
//     mono Call.exe
//
// The app's callback address at the switch has to lead to MERCHANT_LISTEN of this machine.
// .NET Framework 4.5, .NET 6 or Mono (mcs -r:System.Net.Http -r:System.Runtime.Serialization
// -r:System.Xml -r:System.Xml.Linq Call.cs), nothing else.
// Exit status 0: the record came, and the switch says the same when asked.

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
    static readonly string Tandem = Setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static readonly string Sid = Setting("MERCHANT_SID", "your-account-sid");
    static readonly string Token = Setting("MERCHANT_TOKEN", "your-auth-token");
    static readonly string AppId = Setting("MERCHANT_APPID", "your-appid");
    // Who is rung first, and who then.
    static readonly string Src = Setting("MERCHANT_SRC", "13800138000");
    static readonly string Dst = Setting("MERCHANT_DST", "13900139000");
    static readonly string Listen = Setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(15) };
    static readonly BlockingCollection<XElement> Records = new BlockingCollection<XElement>();

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

    // The first record of a push or of an answer, or null.
    static XElement FirstRecord(XElement from)
    {
        XElement list = from.Element("cdr");
        return list == null ? null : list.Elements().FirstOrDefault();
    }

    static string Quoted(string text)
    {
        return '"' + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + '"';
    }

    static string Md5(string text)
    {
        using (MD5 md5 = MD5.Create())
        {
            byte[] sum = md5.ComputeHash(Encoding.UTF8.GetBytes(text));
            return BitConverter.ToString(sum).Replace("-", "");
        }
    }

    // One signed request; names and values of the body in turns.
    static XElement Ask(string function, params string[] body)
    {
        // Beijing time, and one instant for both: header and Sign have to agree.
        string timestamp = DateTime.UtcNow.AddHours(8).ToString("yyyyMMddHHmmss", CultureInfo.InvariantCulture);
        var json = new StringBuilder("{\"appid\":" + Quoted(AppId));
        for (int at = 0; at < body.Length; at += 2)
        {
            json.Append(',').Append(Quoted(body[at])).Append(':').Append(Quoted(body[at + 1]));
        }
        string address = Tandem + "/201512/sid/" + Sid + "/" + function + "?Sign=" + Md5(Sid + Token + timestamp);
        var request = new HttpRequestMessage(HttpMethod.Post, address);
        string bearer = Convert.ToBase64String(Encoding.UTF8.GetBytes(Sid + "|" + timestamp));
        // There is no scheme word: that is why it is not validated.
        request.Headers.TryAddWithoutValidation("Authorization", bearer);
        request.Content = new StringContent(json.Append('}').ToString(), Encoding.UTF8, "application/json");
        HttpResponseMessage response = Http.SendAsync(request).Result;
        XElement answer = Parse(response.Content.ReadAsStringAsync().Result);
        // Lists of records and balances come without a statusCode.
        string code = Field(answer, "statusCode");
        if (code != "" && code != "0")
        {
            Stop("refused: " + code + " " + Field(answer, "statusMsg"));
        }
        return answer;
    }

    // Where states and records arrive, each as a POST. 2xx: taken. 500: send it again later.
    static void Receive(HttpListener listener)
    {
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            XElement record = null;
            try
            {
                string text = new StreamReader(context.Request.InputStream, Encoding.UTF8).ReadToEnd();
                XElement push = Parse(text);
                record = FirstRecord(push);
                if (record == null && Field(push, "state") == "")
                {
                    context.Response.StatusCode = 500;
                }
                else if (record == null)
                {
                    Console.WriteLine("state: {0} {1}", Field(push, "dsc"), Field(push, "state"));
                }
            }
            catch (XmlException)
            {
                context.Response.StatusCode = 500;
            }
            context.Response.Close();
            if (record != null)
            {
                Records.Add(record);
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

        XElement answer = Ask("call/DailbackCall.wx",
            "action", "callDailBack", "src", Src, "dst", Dst, "customParm", "from C#");
        string call = Field(answer, "requestId");
        Console.WriteLine("asked: " + call);

        DateTime deadline = DateTime.UtcNow + Patience;
        XElement cdr;
        do
        {
            int left = Math.Max(0, (int)(deadline - DateTime.UtcNow).TotalMilliseconds);
            if (!Records.TryTake(out cdr, left))
            {
                Stop("no record came: can the switch reach the app's callback address?");
            }
            // Records of other calls come here too, and each may come twice.
        } while (Field(cdr, "requestid") != call || Field(cdr, "appid") != AppId);
        Console.WriteLine("record: {0}, {1} s for {2}, {3}", Field(cdr, "stateDesc"),
            Field(cdr, "duration"), Field(cdr, "oriamount"), Field(cdr, "tapesurl"));

        // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
        XElement found = FirstRecord(Ask("call/CallCdr.wx",
            "action", "getCdrByResId", "fid", "4", "lastresid", call, "limit", "0"));
        bool same = found != null
            && new[] { "requestid", "appid", "caller", "called" }.All(name => Field(found, name) == Field(cdr, name))
            // Pushed as text, told as numbers: 0.10 is 0.1.
            && new[] { "duration", "oriamount" }.All(name =>
                decimal.Parse(Field(found, name), CultureInfo.InvariantCulture)
                == decimal.Parse(Field(cdr, name), CultureInfo.InvariantCulture));
        if (!same)
        {
            Stop("the pushed record is not what the switch has: " + found);
        }
        Console.WriteLine("checked: the switch has the same record");
        Console.WriteLine("balance: " + Field(Ask("account/getBlance.wx", "action", "queryBlance"), "Blance"));
        Environment.Exit(0);
    }
}
