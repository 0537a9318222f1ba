//! Pages of invoices as HTML: no script, no font and no picture, for telephones, from right to left where it has to be.

use std::fmt::Write as _;

use billing::payments::{Gateway as Row, Invoice, InvoiceState};
use facts::ussd::Language;

use super::words::{self, Words, filled};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5a6675;--line:#d5dbe3;--edge:#7d8895;--paper:#fff;--soft:#f3f5f8;--go:#0b6e4f;--good:#0b6e4f;--bad:#a52a2a;--focus:#0b5cad}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--dim:#9aa7b7;--line:#39434f;--edge:#7b8897;--paper:#14181e;--soft:#1d232b;--go:#14785a;--good:#4cc79c;--bad:#ee9a9a;--focus:#7fb8f5}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:26rem;padding:.5rem 1rem 3rem;font:1rem/1.6 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
nav{display:flex;flex-wrap:wrap;gap:.25rem;margin-inline:-.5rem}nav>*{padding:.6rem .5rem;min-width:2.75rem;text-align:center;color:var(--dim)}nav b{font-weight:600;color:var(--ink)}\
h1{font-size:1.4rem;line-height:1.3;margin:1rem 0}\
dl{margin:0 0 1rem;border:1px solid var(--line);border-radius:.6rem;background:var(--soft)}\
dl div{display:flex;justify-content:space-between;align-items:baseline;gap:.5rem;padding:.6rem .9rem;border-bottom:1px solid var(--line)}dl div:last-child{border:0}\
dt{flex:none;color:var(--dim)}dd{margin:0;min-width:0;text-align:end;overflow-wrap:anywhere}dd.amount{font-size:1.25rem;font-weight:700}\
dd small{display:block;font-size:.9rem;font-weight:400;color:var(--dim)}bdi{unicode-bidi:isolate}\
button,.button{display:block;width:100%;margin:.6rem 0;padding:.9rem;border:1px solid var(--go);border-radius:.6rem;background:var(--go);color:#fff;font:inherit;font-weight:600;text-align:center;text-decoration:none;overflow-wrap:anywhere;cursor:pointer}\
button.other,.other{background:none;color:var(--ink);border-color:var(--edge)}\
button:active,.button:active{filter:brightness(.9)}:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:.3rem}\
.note{padding:.7rem .9rem;border:1px solid var(--line);border-radius:.6rem;color:var(--dim)}.bad{color:var(--bad)}.good{color:var(--good)}";

/// All languages, by their own names.
const LANGUAGES: [(Language, &str); 3] =
    [(Language::Fa, "فارسی"), (Language::En, "English"), (Language::Zh, "中文")];

/// By its tag.
pub(super) fn language(tag: &str) -> Option<Language> {
    LANGUAGES.into_iter().map(|(language, _)| language).find(|language| language.tag() == tag)
}

/// How an invoice stands beyond its state.
#[derive(Clone, Copy)]
pub(super) struct Stands {
    /// What came of an attempt is not known yet.
    pub(super) pending: bool,
    /// The gateway could not be reached just now.
    pub(super) failed: bool,
    /// He has come back from a way that is over, and nothing was paid.
    pub(super) unpaid: bool,
    /// It was paid without money.
    pub(super) played: bool,
    /// Its time is not over.
    pub(super) alive: bool,
    /// Somebody may begin to pay.
    pub(super) payable: bool,
}

/// The invoice, and what may be done.
pub(super) fn invoice(
    language: Language,
    invoice: &Invoice,
    merchant: &str,
    gateways: &[&Row],
    stands: Stands,
) -> String {
    let words = words::of(language);
    let mut body = String::new();
    match invoice.state {
        InvoiceState::Open if stands.pending => {
            headline(&mut body, words.title, "");
            note(&mut body, words.pending, "");
            details(&mut body, words, (language, invoice, merchant));
            let back = format!("/pay/{}/back", invoice.token);
            link(&mut body, language, &back, (words.look, "button"));
            let on = format!("/pay/{}/go", invoice.token);
            link(&mut body, language, &on, (words.go_on, "button other"));
            button(
                &mut body,
                language,
                &format!("/pay/{}/cancel", invoice.token),
                &[],
                (words.cancel, "other"),
            );
        }
        InvoiceState::Open if stands.payable => {
            headline(&mut body, words.title, "");
            if stands.failed {
                note(&mut body, words.failed, "bad");
            } else if stands.unpaid {
                note(&mut body, words.unpaid, "");
            }
            details(&mut body, words, (language, invoice, merchant));
            if invoice.trial {
                note(&mut body, words.for_trial, "");
            }
            for gateway in gateways {
                let named = filled(words.pay_by, &[("gateway", &gateway.title)]);
                let text = if gateways.len() == 1 { words.pay } else { &named };
                let start = format!("/pay/{}/start", invoice.token);
                button(&mut body, language, &start, &[("gateway", &gateway.name)], (text, ""));
            }
            if gateways.is_empty() {
                note(&mut body, words.unavailable, "bad");
            }
            button(
                &mut body,
                language,
                &format!("/pay/{}/cancel", invoice.token),
                &[],
                (words.cancel, "other"),
            );
        }
        InvoiceState::Paid => {
            headline(&mut body, words.success, "good");
            details(&mut body, words, (language, invoice, merchant));
            if stands.played {
                note(&mut body, words.was_trial, "");
            }
            note(&mut body, words.close, "");
        }
        state => {
            let text = match state {
                InvoiceState::Cancelled => words.cancelled,
                InvoiceState::Refunding | InvoiceState::Refunded => words.refunded,
                // It was begun too often.
                InvoiceState::Open if stands.alive => words.unavailable,
                _ => words.expired,
            };
            headline(&mut body, text, "bad");
            details(&mut body, words, (language, invoice, merchant));
            if stands.played {
                note(&mut body, words.was_trial, "");
            }
            note(&mut body, words.close, "");
        }
    }
    whole(language, words.title, &languages(language, &invoice.token), &body)
}

/// On the way to a gateway.
pub(super) fn going(language: Language, url: &str) -> String {
    let words = words::of(language);
    let url = escaped(url);
    let body = format!(
        "<h1>{}</h1><a class=\"button\" rel=\"noreferrer\" href=\"{url}\">{}</a>",
        words.going, words.go_on
    );
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={url}\">");
    page(language, words.title, &head, "", &body)
}

/// The gateway for tests: its two buttons.
pub(super) fn test(language: Language, invoice: &Invoice) -> String {
    let words = words::of(language);
    let mut body = String::new();
    headline(&mut body, words.test, "");
    note(&mut body, words.for_trial, "");
    let _ = write!(body, "<dl>{}</dl>", amount(words, language, invoice.rials));
    let there = format!("/pay/{}/test", invoice.token);
    button(&mut body, language, &there, &[("act", "pay")], (words.pay, ""));
    button(&mut body, language, &there, &[("act", "cancel")], (words.cancel, "other"));
    whole(language, words.test, "", &body)
}

/// There is no such invoice.
pub(super) fn unknown(language: Language) -> String {
    let words = words::of(language);
    whole(language, words.title, "", &format!("<h1>{}</h1>", words.unknown))
}

fn headline(body: &mut String, text: &str, class: &str) {
    let _ = write!(body, "<h1 class=\"{class}\">{text}</h1>");
}

fn note(body: &mut String, text: &str, class: &str) {
    let _ = write!(body, "<p class=\"note {class}\">{text}</p>");
}

fn row(name: &str, value: &str) -> String {
    format!("<div><dt>{name}</dt><dd><bdi>{}</bdi></dd></div>", escaped(value))
}

/// What is to be paid; in Persian also as people say it, in tomans.
fn amount(words: &Words, language: Language, rials: u64) -> String {
    let tomans = words::tomans(language, rials);
    let tomans = tomans.map(|tomans| format!("<small><bdi>{tomans}</bdi></small>"));
    format!(
        "<div><dt>{}</dt><dd class=\"amount\"><bdi>{}</bdi>{}</dd></div>",
        words.amount,
        words::amount(language, rials),
        tomans.unwrap_or_default(),
    )
}

fn details(
    body: &mut String,
    words: &Words,
    (language, invoice, merchant): (Language, &Invoice, &str),
) {
    let mut rows = amount(words, language, invoice.rials);
    rows += &row(words.merchant, merchant);
    // A code reads from left to right wherever it stands.
    rows += &format!(
        "<div><dt>{}</dt><dd><bdi dir=\"ltr\">{}</bdi></dd></div>",
        words.code,
        escaped(&invoice.code)
    );
    rows += &row(words.factor, &invoice.factor);
    if let Some(rrn) = &invoice.rrn {
        rows += &row(words.tracking, rrn);
    }
    if invoice.state == InvoiceState::Open {
        let until = dialect::inoti::payments::time(invoice.expires);
        let until = until.split_once('T').map_or("", |(_, time)| time);
        let until = words::digits(language, until.get(..5).unwrap_or_default());
        rows += &row(words.until, &until);
    }
    let _ = write!(body, "<dl>{rows}</dl>");
}

fn button(
    body: &mut String,
    language: Language,
    action: &str,
    fields: &[(&str, &str)],
    (text, class): (&str, &str),
) {
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"lang\" value=\"{}\">",
        language.tag()
    );
    for (name, value) in fields {
        let value = escaped(value);
        let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    let _ = write!(body, "<button class=\"{class}\">{}</button></form>", escaped(text));
}

fn link(body: &mut String, language: Language, to: &str, (text, class): (&str, &str)) {
    let tag = language.tag();
    let _ = write!(body, "<a class=\"{class}\" href=\"{to}?lang={tag}\">{text}</a>");
}

fn languages(now: Language, token: &str) -> String {
    let mut nav = "<nav>".to_owned();
    for (one, name) in LANGUAGES {
        let tag = one.tag();
        let _ = if one == now {
            write!(nav, "<b lang=\"{tag}\">{name}</b>")
        } else {
            write!(nav, "<a href=\"/pay/{token}?lang={tag}\" lang=\"{tag}\">{name}</a>")
        };
    }
    nav + "</nav>"
}

/// Above it all `nav`.
fn whole(language: Language, title: &str, nav: &str, body: &str) -> String {
    page(language, title, "", nav, body)
}

fn page(language: Language, title: &str, head: &str, nav: &str, body: &str) -> String {
    let direction = if language == Language::Fa { "rtl" } else { "ltr" };
    format!(
        "<!doctype html><html lang=\"{}\" dir=\"{direction}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         {head}<style>{STYLE}</style></head><body>{nav}<main>{body}</main></body></html>\n",
        language.tag(),
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
