//! What a merchant's page is asked, and what it answers (spec §5.2, §5.3).

use encoding_rs::{Encoding, UTF_8};
use facts::payment::Paid;
use facts::ussd::Step;
use facts::{Number, NumberPlan};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Octets of an answer that are read at most: five screens, and room for what is cut off their ends.
pub const ANSWER_MAX: usize = 64 * 1024;
/// Seconds before each visit that tells of a payment: five over a day (spec §0.3).
pub const PAID_RETRY_SECONDS: [u64; 5] = [0, 300, 3_600, 21_600, 60_900];
/// Seconds that such a visit may take (spec §0.3).
pub const PAID_PATIENCE_SECONDS: u64 = 15;
/// Characters of a factor id at most (spec §5.2).
pub const FACTOR_MAX: usize = 50;

/// What stands in the string of the page as it is; stars among it, because old pages compare what they are sent
/// before they decode it.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'*');

/// The address of a visit: the page's own, and what it is asked, in the order of the seed's example.
///
/// `leading_star`: whether the string begins with one (spec §7, 003 (2)).
#[must_use]
pub fn address(page: &str, plan: &NumberPlan, step: &Step, leading_star: bool) -> String {
    asked(page, &mobile(plan, &step.mobile), &session(step), &step.call(leading_star))
}

/// The address of the visit that tells a page that it was paid: as the step that asked for it, both invoices behind its
/// string, and the tracking number (spec §5.3).
#[must_use]
pub fn paid_address(page: &str, paid: &Paid) -> String {
    let call = format!("{}*{}*{}", paid.call, paid.factor, paid.invoice);
    let mut address = asked(page, &paid.mobile, &paid.session, &call);
    address.push_str("&RRN=");
    address.extend(utf8_percent_encode(&paid.rrn, PLAIN));
    address
}

fn asked(page: &str, mobile: &str, session: &str, call: &str) -> String {
    // What stands behind a `#` is the browser's, and never sent (RFC 9110 §7.1).
    let page = page.split_once('#').map_or(page, |(page, _)| page);
    let joint = match page.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    let call = utf8_percent_encode(call, PLAIN);
    format!("{page}{joint}mobile={mobile}&sessionid={session}&call={call}")
}

/// A subscriber's number as pages know it: that of an Iranian mobile is `09` and nine digits wherever the switch
/// stands, any other as people at home write it.
#[must_use]
pub fn mobile(plan: &NumberPlan, digits: &str) -> String {
    match digits.strip_prefix("98").filter(|rest| rest.len() == 10 && rest.starts_with('9')) {
        Some(rest) => format!("0{rest}"),
        None => plan.national(&Number::public(digits.to_owned())),
    }
}

/// A session's id as pages are told it: digits.
#[must_use]
pub fn session(step: &Step) -> String {
    step.session.0.to_string()
}

/// What a page wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Show this, and take what is typed.
    Menu(String),
    /// Show this, and end.
    Last(String),
    /// Have this paid, in rials.
    Pay {
        /// The merchant's id of the invoice.
        factor: String,
        /// How much.
        rials: u64,
    },
    /// Nothing that could be shown.
    Nothing,
}

/// Reads the body of an answer with status 200. `content_type`: the header's value, whose charset counts.
#[must_use]
pub fn answer(content_type: Option<&str>, body: &[u8]) -> Answer {
    let text = decoded(content_type, body);
    let text = text.trim_matches(|c: char| matches!(c, '\u{feff}' | '\r' | '\n' | '\0'));
    if let Some((factor, rials)) = payment(text.trim()) {
        return Answer::Pay { factor, rials };
    }
    let (text, last) = match without_end(text) {
        Some(text) => (text, true),
        None => (text, false),
    };
    // A screen shows lines and characters, and nothing else.
    let shown: String = text
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    let shown = shown.trim_matches('\n').to_owned();
    match (shown.trim().is_empty(), last) {
        (true, _) => Answer::Nothing,
        (false, true) => Answer::Last(shown),
        (false, false) => Answer::Menu(shown),
    }
}

/// The mark of a last screen.
const MARK: &str = "[end]";

/// Whether the answer looks like a page for browsers: shown as it is, but worth a word to its owner.
#[must_use]
pub fn is_markup(body: &[u8]) -> bool {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().starts_with(b"<")
}

/// Whether a text that is shown begins as a payment does, behind blanks and marks for browsers: its owner may have meant
/// one.
#[must_use]
pub fn is_almost_a_payment(shown: &str) -> bool {
    let mut text = shown.trim_start();
    while let Some((_, rest)) = text.strip_prefix('<').and_then(|text| text.split_once('>')) {
        text = rest.trim_start();
    }
    text.strip_prefix("9900").is_some_and(|rest| rest.trim_start().starts_with('|'))
}

/// Whether a text that is shown has the mark of a last screen, which counts at its end alone.
#[must_use]
pub fn has_mark_within(shown: &str) -> bool {
    shown.to_ascii_lowercase().contains(MARK)
}

/// Whether the answer is no text at all, whatever its header says: it has octets that no text has, or most of it
/// cannot be read in its charset.
#[must_use]
pub fn is_binary(content_type: Option<&str>, body: &[u8]) -> bool {
    let text = decoded(content_type, body);
    let text = text.trim_matches(|c: char| matches!(c, '\u{feff}' | '\r' | '\n' | '\0'));
    let odd = |c: &char| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace());
    let (all, odd) = (text.chars().count(), text.chars().filter(odd).count());
    text.contains('\0') || odd * 4 > all
}

/// The text of an answer, by the charset of its header; UTF-8 without one.
#[must_use]
pub fn decoded(content_type: Option<&str>, body: &[u8]) -> String {
    let named = content_type.and_then(|value| {
        value.split(';').skip(1).find_map(|parameter| {
            let (name, label) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| label.trim().trim_matches('"').to_owned())
        })
    });
    let encoding = named.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8);
    // A byte order mark counts more than what the header says.
    encoding.decode(body).0.into_owned()
}

/// `[end]` at the end, in any case.
fn without_end(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let at = text.len().checked_sub(MARK.len())?;
    let tail = text.get(at..)?;
    tail.eq_ignore_ascii_case(MARK).then(|| &text[..at])
}

/// `9900|factor|price`, and nothing else.
fn payment(text: &str) -> Option<(String, u64)> {
    let rest = text.strip_prefix("9900|")?;
    let (factor, price) = rest.split_once('|')?;
    let fits = |text: &str, max: usize, sign: fn(u8) -> bool| {
        (1..=max).contains(&text.len()) && text.bytes().all(sign)
    };
    let named = fits(factor, FACTOR_MAX, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let priced = fits(price, 12, |b| b.is_ascii_digit());
    let rials: u64 = price.parse().ok().filter(|rials| *rials > 0)?;
    (named && priced).then(|| (factor.to_owned(), rials))
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::ussd::{Dialled, Door};
    use facts::{CallId, MerchantId};

    fn iran() -> NumberPlan {
        NumberPlan { country: "98".into(), ..NumberPlan::default() }
    }

    fn step(inputs: &[&str]) -> Step {
        Step {
            session: CallId(123),
            merchant: MerchantId(1),
            door: Door::Ims,
            code: Dialled::code("6655*123").unwrap(),
            mobile: "989123456789".into(),
            inputs: inputs.iter().map(|text| (*text).to_owned()).collect(),
            number: 1,
        }
    }

    fn visit(page: &str, inputs: &[&str]) -> String {
        address(page, &iran(), &step(inputs), true)
    }

    #[test]
    fn s5_2_the_three_parameters_in_the_seeds_order_with_bare_stars() {
        assert_eq!(
            visit("http://www.mysite.com/index.php", &[]),
            "http://www.mysite.com/index.php?mobile=09123456789&sessionid=123&call=*6655*123"
        );
        assert_eq!(
            visit("http://m/p.aspx?shop=7", &["4711"]),
            "http://m/p.aspx?shop=7&mobile=09123456789&sessionid=123&call=*6655*123*4711"
        );
        assert!(visit("http://m/p?", &[]).starts_with("http://m/p?mobile="));
        assert!(visit("http://m/p?a=1&", &[]).starts_with("http://m/p?a=1&mobile="));
        assert!(visit("http://m/p#top", &[]).starts_with("http://m/p?mobile="));
        let bare = address("http://m/p", &iran(), &step(&["1"]), false);
        assert!(bare.ends_with("&call=6655*123*1"));
    }

    #[test]
    fn s5_2_an_iranian_mobile_begins_with_09_wherever_the_switch_stands() {
        assert_eq!(mobile(&NumberPlan::default(), "989123456789"), "09123456789");
        assert_eq!(mobile(&iran(), "982112345678"), "02112345678");
        assert_eq!(mobile(&iran(), "8613912345678"), "008613912345678");
    }

    #[test]
    fn s5_2_free_text_is_escaped_and_never_a_bare_hash_or_ampersand() {
        let visited = visit("http://m/p", &["a&b #é علی"]);
        assert!(visited.ends_with("*6655*123*a%26b%20%23%C3%A9%20%D8%B9%D9%84%DB%8C"), "{visited}");
    }

    #[test]
    fn s5_3_after_the_payment_the_string_ends_in_both_invoices() {
        let step = step(&["2"]);
        let paid = Paid {
            mobile: mobile(&iran(), &step.mobile),
            session: session(&step),
            call: step.call(true),
            factor: "12".into(),
            invoice: 55,
            rrn: "123456789012".into(),
        };
        assert_eq!(
            paid_address("http://m/p", &paid),
            "http://m/p?mobile=09123456789&sessionid=123&call=*6655*123*2*12*55&RRN=123456789012"
        );
    }

    #[test]
    fn s5_2_texts_menus_and_last_words() {
        let read = |text: &str| answer(None, text.as_bytes());
        assert_eq!(read("1-خرید\n2-فروش"), Answer::Menu("1-خرید\n2-فروش".into()));
        assert_eq!(read("\u{feff}\r\nhello\r\nyou\r\n"), Answer::Menu("hello\nyou".into()));
        assert_eq!(
            read("http://www.mySite.com[end]"),
            Answer::Last("http://www.mySite.com".into())
        );
        assert_eq!(read("bye [END] \r\n"), Answer::Last("bye ".into()));
        assert_eq!(read("[end] is the end"), Answer::Menu("[end] is the end".into()));
        for nothing in ["", " \r\n", "\u{feff}", "[end]", "\0"] {
            assert_eq!(read(nothing), Answer::Nothing, "{nothing:?}");
        }
        assert_eq!(read("a\u{7}b\tc"), Answer::Menu("abc".into()), "a screen shows no controls");
        assert_eq!(read("<html>x"), Answer::Menu("<html>x".into()));
        assert!(is_markup(b"\xef\xbb\xbf \n<html>") && !is_markup(b"1<2"));
    }

    #[test]
    fn s5_2_a_payment_is_the_whole_body_and_nothing_like_it() {
        let read = |text: &str| answer(None, text.as_bytes());
        let pay = |factor: &str, rials| Answer::Pay { factor: factor.into(), rials };
        assert_eq!(read("9900|12|5000"), pay("12", 5000));
        assert_eq!(read("\u{feff}\r\n 9900|A-b_9|999999999999 \n"), pay("A-b_9", 999_999_999_999));
        for text in [
            "9900|12|5000[end]",
            "9900|12",
            "9900||5000",
            "9900|12|",
            "9900|1 2|5000",
            "9900|12|5000.0",
            "9900|12|-1",
            "9900|12|0",
            "9900|12|1234567890123",
            "x9900|12|5000",
            "9900|12|5000|1",
        ] {
            let (Answer::Menu(shown) | Answer::Last(shown)) = read(text) else {
                panic!("{text}");
            };
            assert_eq!(is_almost_a_payment(&shown), !text.starts_with('x'), "{text}");
        }
        assert!(matches!(read(&format!("9900|{}|1", "1".repeat(51))), Answer::Menu(_)));
    }

    #[test]
    fn s5_2_what_no_text_has_is_not_shown() {
        let binary = |body: &[u8]| is_binary(None, body);
        assert!(binary(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
        assert!(binary(b"%PDF-1.7\n\x80\x81\x82\x83\x84\x85"), "bytes that are no UTF-8");
        assert!(binary(b"\xd3\xe1\xc7\xe3"), "windows-1256, and nobody says so");
        assert!(!is_binary(Some("text/plain; charset=windows-1256"), b"\xd3\xe1\xc7\xe3"));
        assert!(!is_binary(None, b"\xff\xfe1\0-\0a\0"), "UTF-16 with its mark");
        assert!(!binary("1-خرید\r\n2-فروش\0".as_bytes()) && !binary(b""));
        assert!(!binary(b"Caf\xe9 ouvert"), "one letter that cannot be read");
    }

    #[test]
    fn s5_2_the_charset_of_the_header_counts_and_utf_8_without_one() {
        let body = b"\xd3\xe1\xc7\xe3"; // windows-1256
        let read = answer(Some("text/plain; charset=\"windows-1256\""), body);
        assert_eq!(read, Answer::Menu("سلام".into()));
        let utf_8 = answer(Some("text/html; Charset=utf-8"), "سلام".as_bytes());
        assert_eq!(utf_8, Answer::Menu("سلام".into()));
        // No text at all: replaced, not refused.
        assert!(matches!(answer(None, b"\xff\xfe\xfa"), Answer::Menu(_) | Answer::Nothing));
        assert_eq!(answer(Some("text/plain; charset=nonsense"), b"ok"), Answer::Menu("ok".into()));
    }
}
