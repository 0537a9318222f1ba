// A merchant's program of .NET around the class that was made from the description: what was paid.
//
//     mono getpayments.exe ADDRESS QUERY...
//
// A query is a form of fields. Its result is a line; of `malformed` it is what the fault says.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Text;
using System.Web.Services.Protocols;

static class Program
{
    static string Malformed(string at)
    {
        var request = (HttpWebRequest)WebRequest.Create(at);
        request.Method = "POST";
        request.ContentType = "text/xml; charset=utf-8";
        request.Headers.Add("SOAPAction", "\"http://tempuri.org/GetPayments\"");
        byte[] body = Encoding.UTF8.GetBytes("<soap:Envelope><soap:Body>");
        request.GetRequestStream().Write(body, 0, body.Length);
        try
        {
            request.GetResponse().Close();
            return "no fault";
        }
        catch (WebException error)
        {
            var response = (HttpWebResponse)error.Response;
            string text = new StreamReader(response.GetResponseStream()).ReadToEnd();
            return (int)response.StatusCode + " " + (text.Contains("<faultcode>soap:Client</faultcode>") ? "soap:Client" : text);
        }
    }

    static void Main(string[] arguments)
    {
        // The description names where the world finds the service; here it is somewhere else.
        var service = new ExternalUssdPay { Url = arguments[0] };
        foreach (string query in arguments.Skip(1))
        {
            if (query == "malformed")
            {
                Console.WriteLine("fault: " + Malformed(arguments[0]));
                continue;
            }
            Dictionary<string, string> asked = query.Split('&').Select(pair => pair.Split('='))
                .ToDictionary(pair => pair[0], pair => Uri.UnescapeDataString(pair[1]));
            Func<string, string> field = name => asked.ContainsKey(name) ? asked[name] : null;
            try
            {
                Console.WriteLine(service.GetPayments(field("Username") ?? "u", field("Password") ?? "p",
                    field("CodeName") ?? "123", field("IsAll") == "1", field("DateFrom"), field("DateTo"), field("SessionID"),
                    field("PriceFrom"), field("PriceTo"), field("Mobile"), field("RefKey"), field("iNotiFactorID"),
                    field("YourFactorID"), field("RRN"), field("NullResult")));
            }
            catch (SoapException error)
            {
                Console.WriteLine("fault: " + error.Code.Name + ": " + error.Message);
            }
        }
    }
}
