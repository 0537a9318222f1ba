//! What the page of samples says, in the languages of merchants.

use axum::http::{HeaderMap, header};

/// A language of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    Chinese,
    English,
    Persian,
}

/// All of them, in the order in which they are offered.
pub(crate) const ALL: [Language; 3] = [Language::Chinese, Language::English, Language::Persian];

impl Language {
    /// As the address says, else as the browser wishes; English when it wishes none of ours.
    pub(crate) fn chosen(asked: Option<&str>, headers: &HeaderMap) -> Language {
        let wished = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let wished: Vec<&str> = wished.filter_map(|value| value.to_str().ok()).collect();
        asked
            .and_then(Language::read)
            .or_else(|| best(&wished.join(",")))
            .unwrap_or(Language::English)
    }

    /// By the first part of its tag (RFC 5646).
    fn read(tag: &str) -> Option<Language> {
        let primary = tag.trim().split('-').next().unwrap_or_default();
        ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Language::Chinese => "zh",
            Language::English => "en",
            Language::Persian => "fa",
        }
    }

    /// Its own name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Language::Chinese => "中文",
            Language::English => "English",
            Language::Persian => "فارسی",
        }
    }

    pub(crate) const fn direction(self) -> &'static str {
        match self {
            Language::Persian => "rtl",
            Language::Chinese | Language::English => "ltr",
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Language::Chinese => &CHINESE,
            Language::English => &ENGLISH,
            Language::Persian => &PERSIAN,
        }
    }
}

/// The wish of the greatest weight that can be met, the first of equal ones (RFC 9110 §12.5.4).
fn best(wished: &str) -> Option<Language> {
    let mut best: Option<(f32, Language)> = None;
    for wish in wished.split(',') {
        let (tag, weight) = wish.split_once(';').unwrap_or((wish, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok());
        let (Some(language), weight) = (Language::read(tag), weight.unwrap_or(0.0)) else {
            continue;
        };
        if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// The page's texts.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) here: &'static str,
    pub(super) callni: &'static str,
    pub(super) ytx: &'static str,
    pub(super) sipcall: &'static str,
    pub(super) inoti: &'static str,
    pub(super) v1: &'static str,
    pub(super) steps_title: &'static str,
    pub(super) steps: [&'static str; 4],
    pub(super) documents: &'static str,
    pub(super) interfaces: &'static str,
    pub(super) sandbox: &'static str,
    pub(super) rest: &'static str,
    pub(super) scenarios: &'static str,
    pub(super) system_001: &'static str,
    pub(super) system_002: &'static str,
    pub(super) system_003: &'static str,
    pub(super) payments: &'static str,
    /// The document on short messages.
    pub(super) messages: &'static str,
    /// The walk from a code to a payment.
    pub(super) menu: &'static str,
    pub(super) phone: &'static str,
    pub(super) as_text: &'static str,
    pub(super) back: &'static str,
}

const CHINESE: Words = Words {
    title: "商户示例程序",
    about: "每个文件都是一个完整的小程序：签名、发起呼叫、接收结果、验证结果、查询话单；系统 003 的是菜单页面本身。除语言自带的库以外不需要任何依赖（PHP 需要 curl，003 需要 SoapClient）。",
    here: "本交换机的地址，已写入每个文件：",
    callni: "系统 000 · 双向回拨",
    ytx: "系统 001 · 双向呼叫，状态与话单推送",
    sipcall: "系统 002 · 语音通知，按键转分机组，状态与话单推送",
    inoti: "系统 003 · USSD 菜单：点单、凭链接付款、查询后入账",
    v1: "/v1 · 自有 REST 接口：双向呼叫，带签名的 webhook",
    steps_title: "怎样使用",
    steps: [
        "下载一个文件，在文件开头填写您的帐号和密钥，或者用环境变量设置。",
        "让交换机能够访问您的接收地址：系统 000 每次呼叫传 returnurl，系统 001 在应用里、系统 002 在公司里设置回调地址，系统 003 在代码里填写页面地址，/v1 由程序自己登记 webhook。",
        "运行。两部电话先后响铃，接通对话；挂机以后结果会推送到您的程序。003 的页面一直运行：在浏览器里的 USSD 电话拨打代码即可试用。",
        "退出码 0 表示成功；否则标准错误输出里有原因。",
    ],
    documents: "接口文档",
    interfaces: "HTTP 接口说明（英文）",
    sandbox: "沙箱：不拨打真实电话的测试号码（英文）",
    rest: "自有 REST 接口 /v1（英文）",
    scenarios: "/v1 的语音流程：菜单、按键、留言（英文）",
    system_001: "系统 001：参数与测试对照（英文）",
    system_002: "系统 002：参数与测试对照（英文）",
    system_003: "系统 003：USSD 菜单，页面收到什么、可以回答什么（英文）",
    payments: "系统 003：付款、付款通知与 GetPayments（英文）",
    messages: "系统 003：短信与验证码（英文）",
    menu: "五分钟做好一个 USSD 菜单（英文）",
    phone: "在浏览器里试用 USSD 菜单",
    as_text: "文本",
    back: "返回示例",
};

const ENGLISH: Words = Words {
    title: "Samples for merchants",
    about: "Each file is a whole small program: it signs, has a call placed, takes the result, checks it, and asks for \
            the record; for system 003 it is the page of a menu itself. Nothing is needed beyond the language's own library (PHP: \
            curl, for 003 SoapClient).",
    here: "The address of this switch, which stands in each file:",
    callni: "System 000 · two-way callback",
    ytx: "System 001 · two-way call, states and records pushed",
    sipcall: "System 002 · notice with keys that lead to a group, states and records pushed",
    inoti: "System 003 · USSD menu: an order that is paid by a link, asked about, and booked once",
    v1: "/v1 · our own REST interface: two-way call, a signed webhook",
    steps_title: "How to use them",
    steps: [
        "Take a file and set your account and key on top of it, or by variables of the environment.",
        "Let the switch reach the address where you take results: returnurl of each call for system 000, the app's \
         callback address for system 001, those of the company for system 002, the code's page for system 003, the webhook that the program itself makes for /v1.",
        "Run it. Two telephones ring one after the other and talk; when they have hung up, the result comes to your \
         program. The page of 003 goes on running: dial its code on the USSD phone in the browser.",
        "Exit status 0: all went well. Otherwise the reason is on standard error.",
    ],
    documents: "Documents",
    interfaces: "The HTTP interfaces",
    sandbox: "Sandbox: numbers to try things out with",
    rest: "Our own REST interface, /v1",
    scenarios: "Scenarios of /v1: menus, keys, messages",
    system_001: "System 001: what is spoken, and the test of it",
    system_002: "System 002: what is spoken, and the test of it",
    system_003: "System 003: USSD menus, what pages are asked and may answer",
    payments: "System 003: payments, the visit that tells of one, GetPayments",
    messages: "System 003: short messages and codes",
    menu: "A USSD menu in five minutes",
    phone: "Try a USSD menu in the browser",
    as_text: "text",
    back: "Back to the samples",
};

const PERSIAN: Words = Words {
    title: "برنامه‌های نمونه برای پذیرندگان",
    about: "هر فایل یک برنامهٔ کوچک و کامل است: درخواست را امضا می‌کند، تماس برقرار می‌کند، نتیجه را دریافت و بررسی می‌کند و \
            صورت‌حساب تماس را می‌پرسد؛ در سامانهٔ 003 خودِ صفحهٔ منو است. به چیزی جز کتابخانهٔ خود زبان نیاز نیست (در PHP به curl و در 003 \
            به SoapClient).",
    here: "نشانی این سوییچ که در هر فایل نوشته شده است:",
    callni: "سامانهٔ 000 · تماس برگشتی دوطرفه",
    ytx: "سامانهٔ 001 · تماس دوطرفه با ارسال وضعیت و صورت‌حساب",
    sipcall: "سامانهٔ 002 · پیام صوتی، هدایت با کلید به گروه، اعلان وضعیت و گزارش تماس",
    inoti: "سامانهٔ 003 · منوی USSD: سفارش، پرداخت با لینک، استعلام و ثبت یک‌باره",
    v1: "‎/v1 · واسط REST خود ما: تماس دوطرفه با webhook امضاشده",
    steps_title: "روش استفاده",
    steps: [
        "یک فایل را دریافت کنید و نام کاربری و کلید خود را در آغاز آن یا در متغیرهای محیطی بنویسید.",
        "سوییچ باید به نشانی دریافت نتیجهٔ شما دسترسی داشته باشد: در سامانهٔ 000 مقدار returnurl هر تماس و در سامانهٔ 001 نشانی \
         بازگشت برنامه و در سامانهٔ 002 نشانی‌های شرکت و در سامانهٔ 003 نشانی صفحهٔ کد؛ در ‎/v1 خود برنامه webhook را ثبت می‌کند.",
        "برنامه را اجرا کنید. دو تلفن یکی پس از دیگری زنگ می‌خورند و گفتگو می‌کنند؛ پس از پایان تماس، نتیجه به برنامهٔ شما می‌رسد. صفحهٔ 003 \
         در حال اجرا می‌ماند: کد آن را در تلفن USSD مرورگر شماره‌گیری کنید.",
        "کد خروج 0 یعنی موفق؛ وگرنه دلیل آن در خروجی خطا نوشته می‌شود.",
    ],
    documents: "مستندات",
    interfaces: "شرح واسط‌های HTTP (انگلیسی)",
    sandbox: "جعبهٔ شنی: شماره‌های آزمایشی (انگلیسی)",
    rest: "واسط REST خود ما، ‎/v1 (انگلیسی)",
    scenarios: "سناریوهای ‎/v1: منو، کلید، پیام (انگلیسی)",
    system_001: "سامانهٔ 001: پارامترها و آزمون‌ها (انگلیسی)",
    system_002: "سامانهٔ 002: پارامترها و آزمون‌ها (انگلیسی)",
    system_003: "سامانهٔ 003: منوی USSD، ورودی و پاسخ صفحه‌ها (انگلیسی)",
    payments: "سامانهٔ 003: پرداخت، خبر پرداخت و GetPayments (انگلیسی)",
    messages: "سامانهٔ 003: پیامک و رمز یک‌بارمصرف (انگلیسی)",
    menu: "منوی USSD در پنج دقیقه (انگلیسی)",
    phone: "آزمایش منوی USSD در مرورگر",
    as_text: "متن",
    back: "بازگشت به نمونه‌ها",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_s_greatest_wish_that_can_be_met_is() {
        let best = |wished: &str| best(wished).map(Language::tag);
        assert_eq!(best("zh-CN,zh;q=0.9,en;q=0.8"), Some("zh"));
        assert_eq!(best("de, fa-IR;q=0.7, en;q=0.3"), Some("fa"));
        assert_eq!(best("en;q=0.2, fa;q=0.20, zh;q=0"), Some("en"));
        for none in ["", "de", "*", "zh;q=0", "zh;q=x", ";;;,,"] {
            assert_eq!(best(none), None, "{none}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(Language::chosen(None, &headers), Language::English);
        headers.insert(header::ACCEPT_LANGUAGE, "fa".parse().unwrap());
        assert_eq!(Language::chosen(None, &headers), Language::Persian);
        assert_eq!(Language::chosen(Some("zh"), &headers), Language::Chinese);
        assert_eq!(Language::chosen(Some("xx"), &headers), Language::Persian);
    }
}
