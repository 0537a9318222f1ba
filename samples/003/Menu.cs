// System 003: the page of a menu. Whoever dials the code chooses a drink and how many, pays by a link, and is served
// once.
//
//     MERCHANT_USERNAME=... MERCHANT_PASSWORD=... MERCHANT_CODE='*6655*123#' mono Menu.exe
//
// The code's page at the switch has to lead to MERCHANT_LISTEN of this machine, by any path.
// Nothing signs a visit: let the switch's address alone reach it.
// .NET Framework 4.5, .NET 6 or Mono (mcs -r:System.Net.Http -r:System.Runtime.Serialization
// -r:System.Xml -r:System.Xml.Linq Menu.cs), nothing else. It runs until it is ended.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Xml;
using System.Xml.Linq;

static class Menu
{
    static readonly string Switch = Setting("MERCHANT_URL", "http://127.0.0.1:8080");
    // Who may ask what was paid: an owner's name and password ([[ussd_owners]]).
    static readonly string Username = Setting("MERCHANT_USERNAME", "your-name");
    static readonly string Password = Setting("MERCHANT_PASSWORD", "your-password");
    static readonly string Code = Setting("MERCHANT_CODE", "*6655*123#").Trim('*', '#');
    static readonly string Listen = Setting("MERCHANT_LISTEN", "0.0.0.0:8000");
    // Where orders are kept: a folder. In a shop of your own this is a table whose key is the order.
    static readonly string Orders = Setting("MERCHANT_ORDERS", "orders");

    class Drink
    {
        public string Name;
        public int Rials;
    }

    static readonly Dictionary<string, Drink> Drinks = new Dictionary<string, Drink>
    {
        { "1", new Drink { Name = "tea", Rials = 50000 } },
        { "2", new Drink { Name = "coffee", Rials = 80000 } },
    };

    // What is answered.
    class Answer
    {
        public readonly int Status;
        public readonly string Text;

        public Answer(int status, string text)
        {
            Status = status;
            Text = text;
        }
    }

    static readonly XNamespace Soap = "http://schemas.xmlsoap.org/soap/envelope/";
    static readonly XNamespace Service = "http://tempuri.org/";
    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
    static readonly object Book = new object();

    static string Setting(string name, string otherwise)
    {
        string value = Environment.GetEnvironmentVariable(name);
        return string.IsNullOrEmpty(value) ? otherwise : value;
    }

    // Keeps a text under a name, once and whole; whether this was the time. How often it is asked to does not matter.
    static bool Keep(string name, string text)
    {
        string file = Path.Combine(Orders, name);
        lock (Book)
        {
            if (File.Exists(file))
            {
                return false;
            }
            File.WriteAllText(file + ".new", text);
            File.Move(file + ".new", file);
            return true;
        }
    }

    // A session names an order, and that a file.
    static bool IsName(string text)
    {
        return Regex.IsMatch(text, @"\A[A-Za-z0-9-]{1,50}\z");
    }

    // An order as it is kept, or null: who wants it, for how much, what.
    static string[] Order(string factor)
    {
        string file = Path.Combine(Orders, factor + ".order");
        return IsName(factor) && File.Exists(file) ? File.ReadAllText(file).Split('|') : null;
    }

    // What is seen. A text: something may be typed; [end] behind it: that was all; 9900|order|rials: a link to pay by.
    static string Screen(string[] inputs, string session, string mobile)
    {
        if (inputs.Length == 0)
        {
            return "Tea house\n1-Tea 50,000 rials\n2-Coffee 80,000 rials\n0-Nothing";
        }
        if (inputs[0] == "0")
        {
            return "Good bye[end]";
        }
        Drink drink;
        if (!Drinks.TryGetValue(inputs[0], out drink))
        {
            return "We have no such drink[end]";
        }
        if (inputs.Length == 1)
        {
            return "How many of " + drink.Name + ", 1 to 9?";
        }
        if (inputs.Length > 2 || !Regex.IsMatch(inputs[1], @"\A[1-9]\z"))
        {
            return "That is no number from 1 to 9[end]";
        }
        int total = int.Parse(inputs[1], CultureInfo.InvariantCulture) * drink.Rials;
        // The session names the order: a step that is visited again has the same one paid.
        Keep(session + ".order", mobile + "|" + total + "|" + inputs[1] + " " + drink.Name);
        string[] kept = Order(session);
        Console.WriteLine("order {0}: {1}, {2} rials", session, kept[2], kept[1]);
        return "9900|" + session + "|" + kept[1];
    }

    // What the switch has of a payment: records, whose names are made small, for they are spelt in two ways.
    static List<Dictionary<string, string>> GetPayments(params string[][] fields)
    {
        var envelope = new XElement(Soap + "Envelope", new XElement(Soap + "Body", new XElement(
            Service + "GetPayments", fields.Select(field => new XElement(Service + field[0], field[1])))));
        var content = new StringContent(envelope.ToString(), Encoding.UTF8, "text/xml");
        content.Headers.Add("SOAPAction", "\"http://tempuri.org/GetPayments\"");
        HttpResponseMessage response = Http.PostAsync(Switch + "/_services/ExternalUssdPay.asmx", content).Result;
        response.EnsureSuccessStatusCode();
        XElement answer = XElement.Parse(response.Content.ReadAsStringAsync().Result);
        string result = answer.Descendants(Service + "GetPaymentsResult").Single().Value;
        // Nothing found may be [], null or no text at all; anything else that is no JSON is a refusal.
        if (result == "" || result == "null")
        {
            result = "[]";
        }
        if (!result.StartsWith("[", StringComparison.Ordinal))
        {
            throw new HttpRequestException("refused: " + result);
        }
        byte[] bytes = Encoding.UTF8.GetBytes(result);
        using (var reader = JsonReaderWriterFactory.CreateJsonReader(bytes, XmlDictionaryReaderQuotas.Max))
        {
            return XElement.Load(reader).Elements()
                .Select(one => one.Elements().ToDictionary(f => f.Name.LocalName.ToLowerInvariant(), f => f.Value))
                .ToList();
        }
    }

    // Somebody says that an order is paid. 200 is said when it is booked; anything else, and the visit comes again.
    static Answer Paid(string[] inputs, string session, string mobile, string rrn)
    {
        string factor = inputs[inputs.Length - 2], invoice = inputs[inputs.Length - 1];
        string[] order = Order(factor);
        if (order == null || order[0] != mobile)
        {
            return new Answer(404, "there is no order " + factor);
        }
        if (File.Exists(Path.Combine(Orders, factor + ".paid")))
        {
            return new Answer(200, "booked before");
        }
        // A visit proves nothing: what counts is what the switch says when asked.
        bool good = GetPayments(
            new[] { "Username", Username }, new[] { "Password", Password }, new[] { "CodeName", Code },
            new[] { "IsAll", "false" }, new[] { "SessionID", session }, new[] { "PriceFrom", order[1] },
            new[] { "PriceTo", order[1] }, new[] { "Mobile", mobile }, new[] { "iNotiFactorID", invoice },
            new[] { "YourFactorID", factor }, new[] { "RRN", rrn }
        ).Any(one => one["result"].Equals("true", StringComparison.OrdinalIgnoreCase)
            && decimal.Parse(one["price"], CultureInfo.InvariantCulture) == int.Parse(order[1], CultureInfo.InvariantCulture)
            && one["yourfactorid"] == factor && one["inotifactorid"] == invoice);
        if (!good)
        {
            return new Answer(403, "order " + factor + " is not paid");
        }
        // Of visits that come at the same time one books.
        if (!Keep(factor + ".paid", invoice + " " + rrn + "\n"))
        {
            return new Answer(200, "booked before");
        }
        Console.WriteLine("paid: order {0}, RRN {1}: make {2}", factor, rrn, order[2]);
        return new Answer(200, "booked");
    }

    // One visit. Names are found in any case.
    static Answer Visited(HttpListenerRequest request)
    {
        // With a star before the code or without, as the switch is set.
        string call = (request.QueryString["call"] ?? "").Trim('*');
        string session = request.QueryString["sessionid"] ?? "", mobile = request.QueryString["mobile"] ?? "";
        string rrn = request.QueryString["rrn"];
        if (!(call + "*").StartsWith(Code + "*", StringComparison.Ordinal) || !IsName(session)
            || !Regex.IsMatch(mobile, @"\A\+?[0-9]+\z"))
        {
            return new Answer(400, "this is the page of a menu");
        }
        string[] inputs = call.Split('*').Skip(Code.Split('*').Length).ToArray();
        if (rrn == null)
        {
            return new Answer(200, Screen(inputs, session, mobile));
        }
        if (inputs.Length < 2)
        {
            return new Answer(400, "which order?");
        }
        try
        {
            return Paid(inputs, session, mobile, rrn);
        }
        catch (Exception error)
        {
            return new Answer(503, "not asked whether it is paid: " + error.GetBaseException().Message);
        }
    }

    static void Page(HttpListenerContext context)
    {
        Answer answer;
        try
        {
            answer = Visited(context.Request);
        }
        catch (IOException error)
        {
            answer = new Answer(500, error.Message);
        }
        if (answer.Status != 200)
        {
            Console.Error.WriteLine(answer.Text);
        }
        byte[] body = Encoding.UTF8.GetBytes(answer.Text);
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.Close(body, true);
    }

    static void Main()
    {
        Directory.CreateDirectory(Orders);
        var listener = new HttpListener();
        listener.Prefixes.Add("http://" + Listen.Replace("0.0.0.0", "*") + "/");
        listener.Start();
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            ThreadPool.QueueUserWorkItem(_ => Page(context));
        }
    }
}
