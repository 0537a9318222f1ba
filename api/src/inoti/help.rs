//! What people see who open the address of the service in a browser: how `GetPayments` is asked, in their language.

use dialect::inoti::payments::{FIELDS, NO_CODE, NOT_YOU, bad_form};
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
    not_you: &'static str,
    no_code: &'static str,
    flag: &'static str,
    day: &'static str,
    price: &'static str,
    number: &'static str,
    factor: &'static str,
    more: &'static str,
}

impl Words {
    /// How a field has to be written; nothing of one that is taken as it is.
    fn form(&self, field: &str) -> Option<&'static str> {
        Some(match field {
            "IsAll" => self.flag,
            "DateFrom" | "DateTo" => self.day,
            "PriceFrom" | "PriceTo" => self.price,
            "iNotiFactorID" | "RRN" => self.number,
            "YourFactorID" => self.factor,
            _ => return None,
        })
    }

    /// All words of refusal, and what each means.
    fn refusals(&self) -> Vec<(String, &'static str)> {
        let forms = FIELDS.iter().filter_map(|name| Some((bad_form(name), self.form(name)?)));
        let first = [(NOT_YOU.to_owned(), self.not_you), (NO_CODE.to_owned(), self.no_code)];
        first.into_iter().chain(forms).collect()
    }
}

const ENGLISH: Words = Words {
    about: "What was paid by menus of system 003. Ask before you book: whoever visits your page may say anything.",
    description: "Service description",
    request: "Asked by SOAP 1.1; by 1.2 the same in its envelope",
    forms: "Asked by a form, GET or POST",
    answer: "The result is a text: a list in JSON",
    none: "Where nothing is found it is NullResult as you sent it, else []. An empty field asks for nothing.",
    refused: "What cannot be answered is told in a few words, one thing at a time:",
    not_you: "wrong name or password; locked after ten wrong ones; the merchant is stopped; not from this address",
    no_code: "you have no such code",
    flag: "true, false, 1 or 0",
    day: "1405/09/01 or 2026-11-23; a time of day may follow, 12:34 or 12:34:56",
    price: "digits alone, in rials",
    number: "digits alone",
    factor: "letters, digits, - and _, 50 at most; digits alone if the operator has set it so",
    more: "All of it",
};

const CHINESE: Words = Words {
    about: "查询系统 003 菜单的付款。入账前请先查询：任何人都可以访问您的页面。",
    description: "服务描述",
    request: "SOAP 1.1 请求；1.2 只是信封不同",
    forms: "表单请求，GET 或 POST",
    answer: "结果是一段文字：JSON 列表",
    none: "没有找到时返回您发送的 NullResult，未发送则返回 []。空字段不作为条件。",
    refused: "不能回答时只有几个词，每次指出一处：",
    not_you: "用户名或密码错误；错误十次后锁定；商户已停用；不允许从此地址查询",
    no_code: "您没有此代码",
    flag: "true、false、1 或 0",
    day: "1405/09/01 或 2026-11-23，其后可加时间 12:34 或 12:34:56",
    price: "只能是数字，单位为里亚尔",
    number: "只能是数字",
    factor: "字母、数字、- 和 _，最多 50 个；运营方可限定只用数字",
    more: "完整说明（英文）",
};

const PERSIAN: Words = Words {
    about: "استعلام پرداخت‌های منوهای سامانهٔ 003. پیش از ثبت استعلام بگیرید؛ صفحهٔ شما را هر کسی می‌تواند فراخوانی کند.",
    description: "توصیف سرویس",
    request: "درخواست با SOAP 1.1؛ در 1.2 تنها پاکت فرق دارد",
    forms: "درخواست با فرم، GET یا POST",
    answer: "نتیجه یک متن است: فهرستی به صورت JSON",
    none: "اگر چیزی پیدا نشود همان NullResult شما برمی‌گردد و بدون آن []. فیلد خالی شرط نیست.",
    refused: "آنچه پاسخی ندارد با چند واژه گفته می‌شود، هر بار یکی:",
    not_you: "نام کاربری یا رمز نادرست؛ قفل پس از ده بار اشتباه؛ پذیرنده غیرفعال است؛ از این نشانی مجاز نیست",
    no_code: "چنین کدی ندارید",
    flag: "true، false، 1 یا 0",
    day: "\u{2066}1405/09/01\u{2069} یا \u{2066}2026-11-23\u{2069}؛ پس از آن ساعت نیز می‌آید: 12:34 یا 12:34:56",
    price: "فقط رقم، به ریال",
    number: "فقط رقم",
    factor: "حروف لاتین، رقم، - و _، حداکثر ۵۰ نویسه؛ اگر اپراتور چنین خواسته باشد فقط رقم",
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

/// Long lines are read to their ends on telephones too, and nothing is moved sideways.
const WRAPPED: &str = "white-space:pre-wrap;overflow-wrap:anywhere";

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
    let block =
        |text: &str| format!("<pre dir=\"ltr\" style=\"{WRAPPED}\">{}</pre>", escaped(text));
    let refusals = words.refusals().into_iter();
    let refusals: String = refusals
        .map(|(word, why)| format!("<li><code dir=\"ltr\">{word}</code> – {why}</li>"))
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
    use dialect::inoti::payments::Query;

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

    #[test]
    fn s5_4_the_page_of_help_tells_the_form_of_every_field_that_has_one() {
        for name in FIELDS {
            let read = Query::read(|field| (field == name).then_some("?"), true);
            for words in [&ENGLISH, &CHINESE, &PERSIAN] {
                assert_eq!(read.is_err(), words.form(name).is_some(), "{name}");
            }
        }
    }
}
