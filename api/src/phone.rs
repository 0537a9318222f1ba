//! `GET /ussd`: a phone in the browser, with which merchants try their menus out as subscribers would. It asks
//! `/v1/ussd/sessions` with a key that whoever uses it types in, and that is kept nowhere.

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::door::{answer, client_ip, ip_may_ask};
use crate::samples::{LANGUAGES, Language};
use crate::state::ApiState;

const PAGE: &str = include_str!("phone/page.html");
const STYLE: &str = include_str!("phone/phone.css");
const SCRIPT: &str = include_str!("phone/phone.js");
/// The words of the page, by their names in it: English, Chinese, Persian.
const WORDS: [(&str, [&str; 3]); 21] = [
    ("title", ["Try a USSD menu", "试用 USSD 菜单", "آزمایش منوی USSD"]),
    (
        "about",
        [
            "A phone that asks your page as a subscriber's would. It costs nothing.",
            "此手机像用户的手机一样请求您的页面，不收取任何费用。",
            "این گوشی مانند گوشی مشترک صفحهٔ شما را فراخوانی می‌کند و هزینه‌ای ندارد.",
        ],
    ),
    ("key", ["API key", "API 密钥", "کلید API"]),
    (
        "kept",
        [
            "It needs the scope ussd:write. It stays in this page and is kept nowhere.",
            "密钥需有 ussd:write 权限，仅留在此页面，不会保存。",
            "کلید باید دسترسی ussd:write داشته باشد؛ فقط در همین صفحه می‌ماند و جایی ذخیره نمی‌شود.",
        ],
    ),
    ("mobile", ["Subscriber's number", "用户号码", "شمارهٔ مشترک"]),
    ("code", ["Code", "代码", "کد"]),
    ("dial", ["Dial", "拨打", "شماره‌گیری"]),
    ("reply", ["Reply", "回复", "پاسخ"]),
    ("send", ["Send", "发送", "ارسال"]),
    ("cancel", ["Cancel", "取消", "لغو"]),
    ("idle", ["Dial a code", "请拨打代码", "کدی را شماره‌گیری کنید"]),
    ("waiting", ["Asking the page…", "正在请求页面…", "در حال فراخوانی صفحه…"]),
    ("open", ["Session open", "会话进行中", "نشست باز است"]),
    ("over", ["Session over", "会话已结束", "نشست پایان یافت"]),
    ("unreachable", ["The switch cannot be reached", "无法连接交换机", "سوئیچ در دسترس نیست"]),
    ("session", ["Session", "会话", "نشست"]),
    ("characters", ["Characters", "字符数", "تعداد نویسه‌ها"]),
    (
        "wrong_key",
        [
            "This key is not good, or lacks the scope ussd:write.",
            "密钥无效，或没有 ussd:write 权限。",
            "این کلید معتبر نیست یا دسترسی ussd:write ندارد.",
        ],
    ),
    (
        "wrong_code",
        [
            "You have no such code. Dial one of yours, in the form *6655*123#.",
            "您没有这样的代码。请拨打您自己的代码，格式如 *6655*123#。",
            // Signs at its ends stay there where it is read from right to left.
            "چنین کدی ندارید. یکی از کدهای خود را مانند \u{2066}*6655*123#\u{2069} شماره‌گیری کنید.",
        ],
    ),
    (
        "wrong_mobile",
        [
            "This is no telephone number. Write it like +989121234567.",
            "这不是电话号码。请写成 +989121234567 的形式。",
            "این شمارهٔ تلفن نیست. آن را مانند \u{2066}+989121234567\u{2069} بنویسید.",
        ],
    ),
    (
        "later",
        [
            "Too many requests, or the switch is busy. Try again in a moment.",
            "请求过多，或交换机繁忙。请稍后再试。",
            "درخواست‌ها زیاد است یا سوئیچ مشغول است. کمی بعد دوباره تلاش کنید.",
        ],
    ),
];

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ussd", get(page))
        .route("/ussd/phone.js", get(async |state, request| file(&state, &request, SCRIPT, JS)))
        .route("/ussd/phone.css", get(async |state, request| file(&state, &request, STYLE, CSS)))
}

const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
}

async fn page(
    State(state): State<ApiState>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    let language = Language::chosen(asked.lang.as_deref(), request.headers());
    let html = "text/html; charset=utf-8";
    let mut response = file(&State(state), &request, &written(language), html);
    let headers = response.headers_mut();
    // All of it is from here, and it asks nobody else: a key that is typed into it goes nowhere but to /v1.
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    response
}

/// Everybody may have it, no faster than anything else here.
fn file(
    State(state): &State<ApiState>,
    request: &Request,
    text: &str,
    kind: &'static str,
) -> Response {
    if ip_may_ask(state, client_ip(request, &state.0.config.trusted_proxies)) {
        answer(StatusCode::OK, kind, text.to_owned())
    } else {
        answer(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", "too many requests\n")
    }
}

fn written(language: Language) -> String {
    let at = match language {
        Language::English => 0,
        Language::Chinese => 1,
        Language::Persian => 2,
    };
    let mut page = PAGE.replace("{lang}", language.tag()).replace("{dir}", language.direction());
    let nav = LANGUAGES.map(|one| {
        let (tag, name) = (one.tag(), one.name());
        match one == language {
            true => format!("<b>{name}</b>"),
            false => format!("<a href=\"/ussd?lang={tag}\" lang=\"{tag}\">{name}</a>"),
        }
    });
    page = page.replace("{languages}", &nav.concat());
    for (name, words) in WORDS {
        page = page.replace(&format!("{{{name}}}"), words[at]);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_page_is_there_in_each_language() {
        for (name, _) in WORDS {
            assert!(PAGE.contains(&format!("{{{name}}}")), "{name} is said nowhere");
        }
        for language in LANGUAGES {
            let page = written(language);
            assert!(!page.contains(['{', '}']), "{page}");
            assert!(page.contains(&format!("dir=\"{}\"", language.direction())));
        }
    }

    #[test]
    fn a_refusal_is_beside_the_form_in_the_page_s_language() {
        // What the script looks up is there; what it says of a refusal stands apart from the screen.
        let script = SCRIPT.split("words.").skip(1);
        for name in script.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()) {
            let name = name.unwrap_or_default();
            let data = name.replace("wrong", "wrong-").to_lowercase();
            assert!(PAGE.contains(&format!(" data-{data}=\"")), "{name}");
        }
        let all = [Language::English, Language::Chinese, Language::Persian];
        for (at, page) in all.map(written).iter().enumerate() {
            assert!(page.contains("<p id=\"refused\" role=\"alert\""), "{page}");
            for name in ["wrong_key", "wrong_code", "wrong_mobile", "later", "characters"] {
                let (_, words) = WORDS.iter().find(|(known, _)| *known == name).unwrap();
                assert!(page.contains(words[at]), "{name}");
            }
        }
        for reason in ["wrongKey", "wrongCode", "wrongMobile", "later"] {
            assert!(SCRIPT.contains(&format!("words.{reason}")), "{reason} is said never");
        }
    }
}
