//! What people see who open the address of the service in a browser: how `GetPayments` is asked, in their language.

use dialect::inoti::payments::{FIELDS, NOT_YOU};
use dialect::inoti::soap::{NAMESPACE, OPERATION};

use crate::samples::{Language, escaped, languages, whole};

/// The page's texts.
struct Words {
    about: &'static str,
    description: &'static str,
    request: &'static str,
    forms: &'static str,
    answer: &'static str,
    none: &'static str,
    refused: &'static str,
    more: &'static str,
}

const ENGLISH: Words = Words {
    about: "What was paid by menus of system 003. Ask before you book: whoever visits your page may say anything.",
    description: "Service description",
    request: "Asked by SOAP 1.1; by 1.2 the same in its envelope",
    forms: "Asked by a form, GET or POST",
    answer: "The result is a text: a list in JSON",
    none: "Where nothing is found it is NullResult as you sent it, else []. An empty field asks for nothing.",
    refused: "What cannot be answered is told in a few words:",
    more: "All of it",
};

const CHINESE: Words = Words {
    about: "查询系统 003 菜单的付款。入账前请先查询：任何人都可以访问您的页面。",
    description: "服务描述",
    request: "SOAP 1.1 请求；1.2 只是信封不同",
    forms: "表单请求，GET 或 POST",
    answer: "结果是一段文字：JSON 列表",
    none: "没有找到时返回您发送的 NullResult，未发送则返回 []。空字段不作为条件。",
    refused: "不能回答时只有几个词：",
    more: "完整说明（英文）",
};

const PERSIAN: Words = Words {
    about: "استعلام پرداخت‌های منوهای سامانهٔ 003. پیش از ثبت استعلام بگیرید؛ صفحهٔ شما را هر کسی می‌تواند فراخوانی کند.",
    description: "توصیف سرویس",
    request: "درخواست با SOAP 1.1؛ در 1.2 تنها پاکت فرق دارد",
    forms: "درخواست با فرم، GET یا POST",
    answer: "نتیجه یک متن است: فهرستی به صورت JSON",
    none: "اگر چیزی پیدا نشود همان NullResult شما برمی‌گردد و بدون آن []. فیلد خالی شرط نیست.",
    refused: "آنچه پاسخی ندارد با چند واژه گفته می‌شود:",
    more: "شرح کامل (انگلیسی)",
};

/// What stands in a field in the examples.
fn example(name: &str) -> &'static str {
    match name {
        "Username" => "name",
        "Password" => "password",
        "CodeName" => "123",
        "IsAll" => "false",
        "DateFrom" => "1405/09/01",
        "DateTo" => "2026-11-30",
        "SessionID" => "2236055455925272576",
        "PriceFrom" | "PriceTo" => "50000",
        "Mobile" => "09123456789",
        "iNotiFactorID" => "55",
        "YourFactorID" => "9001",
        "RRN" => "433616053800",
        _ => "",
    }
}

const ANSWER: &str = r#"[{"PayID":55,"SessionID":"2236055455925272576","RefKeyBank":"a999ab15",
  "Mobile":"09123456789","Price":50000,"Result":"true",
  "PayDateTime":"2026-11-23T11:36:04",
  "InotiFactorID":55,"YourFactorID":"9001","RRN":433616053800}]"#;

/// The page; `here`: where the service is.
pub(super) fn page(language: Language, here: &str) -> String {
    let words = match language {
        Language::English => &ENGLISH,
        Language::Chinese => &CHINESE,
        Language::Persian => &PERSIAN,
    };
    let fields: String =
        FIELDS.iter().map(|name| format!("      <{name}>{}</{name}>\n", example(name))).collect();
    let request = format!(
        "POST {here}\nContent-Type: text/xml; charset=utf-8\nSOAPAction: \"{NAMESPACE}{OPERATION}\"\n\n\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\n  <soap:Body>\n    \
         <{OPERATION} xmlns=\"{NAMESPACE}\">\n{fields}    </{OPERATION}>\n  </soap:Body>\n</soap:Envelope>"
    );
    let form = format!(
        "GET {here}/{OPERATION}?Username=name&Password=password&CodeName=123&YourFactorID=9001"
    );
    let block = |text: &str| format!("<pre dir=\"ltr\" tabindex=\"0\">{}</pre>", escaped(text));
    let refusals: String = [NOT_YOU, "CodeName Error", "DateFrom Error", "PriceFrom Error"]
        .iter()
        .map(|word| format!("<li><code dir=\"ltr\">{word}</code></li>"))
        .collect();
    let body = format!(
        "<h1>{OPERATION}</h1><p>{}</p><p><a href=\"?WSDL\">{}</a> · \
         <a href=\"/samples/system-003-payments?lang={}\">{}</a></p>\
         <h2>{}</h2>{}<h2>{}</h2>{}<h2>{}</h2>{}<p>{}</p><p>{}</p><ul>{refusals}</ul>",
        words.about,
        words.description,
        language.tag(),
        words.more,
        words.request,
        block(&request),
        words.forms,
        block(&form),
        words.answer,
        block(ANSWER),
        words.none,
        words.refused,
    );
    whole(language, OPERATION, &languages(language, "?op=GetPayments&amp;lang="), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_4_the_page_of_help_shows_every_field_and_where_the_service_is() {
        for language in crate::samples::LANGUAGES {
            let page = page(language, "http://a.example/x<y");
            for name in FIELDS {
                assert!(page.contains(&format!("&lt;{name}&gt;")), "{name}");
            }
            assert!(page.contains("POST http://a.example/x&lt;y\n") && !page.contains("x<y"));
            assert!(page.contains(&format!("dir=\"{}\"", language.direction())));
        }
    }
}
