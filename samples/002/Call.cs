// System 002: has a notice played to somebody, takes states and the record, and looks the record up.
//
//     MERCHANT_APPID=... MERCHANT_ACCESSKEY=... MERCHANT_NUMBER=13800138000 MERCHANT_VOICEFILE=welcome.wav \
//     mono Call.exe
//
// The company's callback addresses at the switch have to lead to MERCHANT_LISTEN of this machine.
// .NET Framework 4.5, .NET 6 or Mono (mcs -r:System.Net.Http -r:System.Runtime.Serialization
// -r:System.Xml -r:System.Xml.Linq Call.cs), nothing else.
// Exit status 0: the record came, and the switch says the same when asked.

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading;
using System.Xml;
using System.Xml.Linq;

static class Call
{
    static readonly string Switch = Setting("MERCHANT_URL", "http://127.0.0.1:8080");
    static readonly string AppId = Setting("MERCHANT_APPID", "your-appid");
    static readonly string AccessKey = Setting("MERCHANT_ACCESSKEY", "your-accesskey");
    // Who is rung, what he hears, and where his keys lead: "1@extGroup-1", or nothing.
    static readonly string Number = Setting("MERCHANT_NUMBER", "13800138000");
    static readonly string VoiceFile = Setting("MERCHANT_VOICEFILE", "welcome.wav");
    static readonly string Menu = Setting("MERCHANT_MENU", "");
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

    // One request, names and values of its fields in turns; what came of it.
    static XElement Ask(string service, params string[] fields)
    {
        var form = new List<KeyValuePair<string, string>>();
        form.Add(new KeyValuePair<string, string>("service", service));
        for (int at = 0; at < fields.Length; at += 2)
        {
            form.Add(new KeyValuePair<string, string>(fields[at], fields[at + 1]));
        }
        HttpResponseMessage response = Http.PostAsync(Switch + "/", new FormUrlEncodedContent(form)).Result;
        XElement answer = Parse(Encoding.UTF8.GetString(response.Content.ReadAsByteArrayAsync().Result));
        // 600: the token has expired; log in again and ask once more.
        if (Field(answer, "ret") != "200")
        {
            Stop("refused: " + Field(answer, "ret") + " " + Field(answer, "msg"));
        }
        XElement data = answer.Element("data");
        if (Field(data, "status") != "0")
        {
            XElement errors = data.Element("errors");
            Stop("refused: " + Field(errors, "code") + " " + Field(errors, "codemsg"));
        }
        return data.Element("result");
    }

    // Where states and records arrive, each as a POST. Anything but 0 and fail: taken; else it comes again.
    static void Receive(HttpListener listener)
    {
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            XElement record = null;
            string taken = "1";
            try
            {
                XElement push = Parse(new StreamReader(context.Request.InputStream, Encoding.UTF8).ReadToEnd());
                if (Field(push, "hangupcause") != "")
                {
                    record = push;
                }
                else if (Field(push, "extnumber") != "")
                {
                    Console.WriteLine("state: {0} {1}", Field(push, "extnumber"), Field(push, "status"));
                }
                else
                {
                    taken = "0";
                }
            }
            catch (XmlException)
            {
                taken = "0";
            }
            byte[] body = Encoding.UTF8.GetBytes(taken);
            context.Response.ContentLength64 = body.Length;
            context.Response.OutputStream.Write(body, 0, body.Length);
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

        // Good for twelve hours: keep it, and log in again when an answer says 600.
        string token = Field(Ask("App.Sip_Auth.Login", "appid", AppId, "accesskey", AccessKey), "token");
        string name = Guid.NewGuid().ToString("N");
        string call = Field(Ask("App.Sip_Call.PlayVoice", "token", token, "destnumber", Number, "voicetype", "1",
            "voicefile", VoiceFile, "chengshudu", "1", "userid", Menu, "customuuid", name), "uuid");
        Console.WriteLine("asked: " + call);

        DateTime deadline = DateTime.UtcNow + Patience;
        XElement cdr;
        do
        {
            int left = Math.Max(0, (int)(deadline - DateTime.UtcNow).TotalMilliseconds);
            if (!Records.TryTake(out cdr, left))
            {
                Stop("no record came: can the switch reach the company's callback address?");
            }
            // Records of other calls come here too, and each may come twice.
        } while (Field(cdr, "uuid") != call);
        Console.WriteLine("record: {0} by {1}, {2} s talked", Field(cdr, "hangupcause"),
            Field(cdr, "hangupdirection"), Field(cdr, "billsec"));

        // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
        Func<int, string> beijing = hours => DateTime.UtcNow.AddHours(8 + hours)
            .ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        XElement found = Ask("App.Sip_Cdr.GetBill", "token", token, "starttime", beijing(-1), "endtime", beijing(1),
            "syncflag", "3", "callmethod", "0", "customuuid", name);
        XElement bill = found.Element("bills").Elements().FirstOrDefault();
        bool same = Field(found, "totalitems") == "1"
            && new[] { "uuid", "destnumber", "hangupcause", "hangupdirection", "billsec" }
                .All(part => Field(bill, part) == Field(cdr, part));
        if (!same)
        {
            Stop("the pushed record is not what the switch has: " + found);
        }
        Console.WriteLine("checked: the switch has the same record");
        Environment.Exit(0);
    }
}
