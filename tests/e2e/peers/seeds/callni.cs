// What the manual of system 000 gives merchants to copy, with its faults: nothing is escaped, the answer is read in
// the system's code page, the page compares the signature by case and says nothing at all when it differs.
//
//     mono callni.exe regist SWITCH REALNAME EMAIL
//     mono callni.exe callback SWITCH NUMBER RETURNURL
//     mono callni.exe page PORT          the merchant's page; each request and what was written, a line each
//
// MD5_CASE=upper: the manual does not show its md5 helper, and both are in use.

using System;
using System.Collections.Specialized;
using System.IO;
using System.Net;
using System.Text;

static class md5
{
    public static string toMD5(string text)
    {
        byte[] sum = System.Security.Cryptography.MD5.Create().ComputeHash(Encoding.UTF8.GetBytes(text));
        string hex = BitConverter.ToString(sum).Replace("-", "");
        return Environment.GetEnvironmentVariable("MD5_CASE") == "upper" ? hex : hex.ToLower();
    }
}

static class Callni
{
    const string username = "test";
    const string key = "awrlk45ghfg7";

    static string Download(string geturl)
    {
        WebClient wb = new WebClient();
        byte[] callbackresult = wb.DownloadData(geturl);
        return new String(Encoding.Default.GetChars(callbackresult));
    }

    static void Regist(string host, string realname, string email)
    {
        string bysign = "username=" + username + "&key=" + key;
        string sign = md5.toMD5(bysign);
        string geturl = host + "/api/biz_regist?username=" + username + "&realname=" + realname
            + "&email=" + email + "&sign=" + sign;
        Console.WriteLine(Download(geturl));
    }

    static void Callback(string host, string destination_num, string returnurl)
    {
        string callbackid = DateTime.Now.Ticks.ToString();
        string callback_num = "80000";
        string data = "test";
        string bysign = "username=" + username + "&callbackid=" + callbackid + "&callback_num=" + callback_num
            + "&destination_num=" + destination_num + "&key=" + key;
        string sign = md5.toMD5(bysign);
        string geturl = host + "/api/biz_callback?username=" + username + "&callbackid=" + callbackid
            + "&callback_num=" + callback_num + "&destination_num=" + destination_num
            + "&returnurl=" + returnurl + "&data=" + data + "&sign=" + sign;
        Console.WriteLine(Download(geturl));
    }

    static bool Given(NameValueCollection query, string name)
    {
        return query[name] != null && query[name].ToString() != "";
    }

    static string GetData(NameValueCollection query)
    {
        if (Given(query, "callbackid") && Given(query, "callback_num") && Given(query, "callback_duration")
            && Given(query, "callback_fee") && Given(query, "destination_num")
            && Given(query, "destination_duration") && Given(query, "destination_fee")
            && Given(query, "callback_result") && Given(query, "sign"))
        {
            string bysign = "callbackid=" + query["callbackid"] + "&callback_num=" + query["callback_num"]
                + "&callback_duration=" + query["callback_duration"] + "&callback_fee=" + query["callback_fee"]
                + "&destination_num=" + query["destination_num"]
                + "&destination_duration=" + query["destination_duration"]
                + "&destination_fee=" + query["destination_fee"]
                + "&callback_result=" + query["callback_result"] + "&key=" + key;
            if (query["sign"] == md5.toMD5(bysign))
            {
                return "success";
            }
        }
        return "";
    }

    static void Page(string port)
    {
        var listener = new HttpListener();
        listener.Prefixes.Add("http://127.0.0.1:" + port + "/");
        listener.Start();
        Console.WriteLine("listening");
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            string written = GetData(context.Request.QueryString);
            byte[] body = Encoding.ASCII.GetBytes(written);
            context.Response.Close(body, true);
            Console.WriteLine(context.Request.RawUrl + " -> " + written);
        }
    }

    static void Main(string[] arguments)
    {
        var console = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
        console.AutoFlush = true;
        Console.SetOut(console);
        switch (arguments[0])
        {
            case "regist": Regist(arguments[1], arguments[2], arguments[3]); break;
            case "callback": Callback(arguments[1], arguments[2], arguments[3]); break;
            default: Page(arguments[1]); break;
        }
    }
}
