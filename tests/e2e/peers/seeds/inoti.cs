// What the manual of system 003 gives merchants to copy in ASP.NET: Page_Load is as it stands there, around it is what
// a page finds in its server. Each target that is asked for is printed, a line each.
//
//     mono inoti.exe PORT

using System;
using System.Collections.Specialized;
using System.Net;
using System.Text;

class Answer
{
    public StringBuilder Text = new StringBuilder();
    public void Write(string text) { Text.Append(text); }
}

class Page
{
    public NameValueCollection Request;
    public Answer Response = new Answer();
}

class myUSSD : Page
{
    public void Page_Load(object sender, EventArgs e)
    {
        //کنترل خالی نبودن پارامترهای ورودی
        if ((Request["mobile"] == null) || (Request["sessionid"] == null) || (Request["call"] == null))
        {
            Response.Write("http://www.mySite.com");
            return;
        }
        if (Request["call"] == "*6655*123")
        {
            Response.Write("لطفا کد ثبت نام خود را وارد نمایید");
        }
        else if (Request["call"].StartsWith("*6655*123*"))
        {
            string RegCode= Request["call"].Remove(0,10);
            //save reg code to your database
            Console.WriteLine("registered " + RegCode);
            Response.Write("کد ثبت نام شما با موفقیت در سیستم ثبت شد");
        }
    }
}

static class Server
{
    static void Main(string[] arguments)
    {
        HttpListener listener = new HttpListener();
        listener.Prefixes.Add("http://127.0.0.1:" + arguments[0] + "/");
        listener.Start();
        Console.WriteLine("listening");
        while (true)
        {
            HttpListenerContext context = listener.GetContext();
            Console.WriteLine("asked " + context.Request.RawUrl);
            myUSSD page = new myUSSD();
            page.Request = context.Request.QueryString;
            page.Page_Load(null, EventArgs.Empty);
            byte[] text = Encoding.UTF8.GetBytes(page.Response.Text.ToString());
            context.Response.ContentType = "text/html; charset=utf-8";
            context.Response.OutputStream.Write(text, 0, text.Length);
            context.Response.Close();
        }
    }
}
