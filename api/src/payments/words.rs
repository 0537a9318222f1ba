//! What subscribers are told of payments, in their languages.

use facts::ussd::Language;

/// The words of a language; what stands in braces is filled in.
pub(super) struct Words {
    // On the screen of the menu.
    pub(super) sent: &'static str,
    pub(super) enough: &'static str,
    pub(super) under_way: &'static str,
    pub(super) paid_already: &'static str,
    pub(super) unavailable: &'static str,
    pub(super) trial: &'static str,
    pub(super) no_trial: &'static str,
    // In messages.
    pub(super) sms_link: &'static str,
    pub(super) sms_paid: &'static str,
    // On the page.
    pub(super) title: &'static str,
    pub(super) for_trial: &'static str,
    pub(super) was_trial: &'static str,
    pub(super) amount: &'static str,
    pub(super) merchant: &'static str,
    pub(super) code: &'static str,
    pub(super) factor: &'static str,
    pub(super) until: &'static str,
    pub(super) pay: &'static str,
    pub(super) pay_by: &'static str,
    pub(super) cancel: &'static str,
    pub(super) pending: &'static str,
    pub(super) go_on: &'static str,
    pub(super) look: &'static str,
    pub(super) going: &'static str,
    pub(super) success: &'static str,
    pub(super) tracking: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) expired: &'static str,
    pub(super) refunded: &'static str,
    pub(super) failed: &'static str,
    pub(super) unpaid: &'static str,
    pub(super) unknown: &'static str,
    pub(super) close: &'static str,
    pub(super) test: &'static str,
}

/// In any language of these signs: among others a link has no room on one screen.
const TRIAL: &str = "TEST {link}";

const FA: Words = Words {
    sent: "لینک پرداخت {amount} برای شما پیامک شد",
    enough: "لینک پرداخت پیش‌تر برای شما پیامک شده است",
    under_way: "پرداخت این فاکتور در حال انجام است",
    paid_already: "قبلا پرداخت شده",
    unavailable: "پرداخت در دسترس نیست",
    trial: TRIAL,
    no_trial: "اینجا پرداخت آزمایشی ممکن نیست",
    sms_link: "پرداخت {amount}\nفاکتور {factor}\n{link}",
    sms_paid: "پرداخت {amount} با موفقیت انجام شد\nفاکتور {factor}\nشناسه رهگیری: {rrn}",
    title: "پرداخت صورتحساب",
    for_trial: "این پرداخت آزمایشی است و پولی جابه‌جا نمی‌شود.",
    was_trial: "این پرداخت آزمایشی بود و پولی جابه‌جا نشد.",
    amount: "مبلغ",
    merchant: "پذیرنده",
    code: "کد",
    factor: "شماره فاکتور",
    until: "مهلت پرداخت",
    pay: "پرداخت",
    pay_by: "پرداخت با {gateway}",
    cancel: "انصراف",
    pending: "نتیجهٔ پرداخت هنوز مشخص نیست. اگر پرداخت کرده‌اید، چند لحظه صبر کنید و دوباره پرداخت نکنید.",
    go_on: "ادامهٔ پرداخت",
    look: "بررسی دوباره",
    going: "در حال انتقال به درگاه پرداخت…",
    success: "پرداخت با موفقیت انجام شد",
    tracking: "شناسه رهگیری",
    cancelled: "پرداخت لغو شد",
    expired: "مهلت این لینک به پایان رسیده است",
    refunded: "مبلغ بازگردانده شد",
    failed: "درگاه پرداخت پاسخ نداد. دوباره تلاش کنید.",
    unpaid: "چیزی پرداخت نشد. می‌توانید دوباره تلاش کنید یا به روشی دیگر بپردازید.",
    unknown: "چنین صورتحسابی وجود ندارد",
    close: "می‌توانید این صفحه را ببندید.",
    test: "درگاه آزمایشی",
};

const EN: Words = Words {
    sent: "A link to pay {amount} was sent to you by SMS",
    enough: "The link was sent to you by SMS before",
    under_way: "This invoice is being paid",
    paid_already: "Already paid",
    unavailable: "Payments are not available",
    trial: TRIAL,
    no_trial: "Payments cannot be tried out here",
    sms_link: "Pay {amount}\nInvoice {factor}\n{link}",
    sms_paid: "{amount} paid\nInvoice {factor}\nTracking id: {rrn}",
    title: "Pay an invoice",
    for_trial: "This is for tests: no money moves.",
    was_trial: "This was for tests: no money moved.",
    amount: "Amount",
    merchant: "Merchant",
    code: "Code",
    factor: "Invoice",
    until: "Pay until",
    pay: "Pay",
    pay_by: "Pay with {gateway}",
    cancel: "Cancel",
    pending: "It is not known yet whether you have paid. If you have, wait a moment and do not pay again.",
    go_on: "Go on paying",
    look: "Look again",
    going: "Taking you to where you pay…",
    success: "Paid",
    tracking: "Tracking id",
    cancelled: "The payment was cancelled",
    expired: "This link is past its time",
    refunded: "The money was given back",
    failed: "The payment provider did not answer. Try again.",
    unpaid: "Nothing was paid. You can try again, or pay another way.",
    unknown: "There is no such invoice",
    close: "You can close this page.",
    test: "Test gateway",
};

const ZH: Words = Words {
    sent: "支付{amount}的链接已通过短信发送给您",
    enough: "支付链接此前已通过短信发送给您",
    under_way: "此账单正在支付",
    paid_already: "已支付",
    unavailable: "暂不能支付",
    trial: TRIAL,
    no_trial: "此处不能试付",
    sms_link: "支付{amount}\n账单 {factor}\n{link}",
    sms_paid: "已成功支付{amount}\n账单 {factor}\n跟踪号：{rrn}",
    title: "支付账单",
    for_trial: "这是测试，不会扣款。",
    was_trial: "这是测试，没有扣款。",
    amount: "金额",
    merchant: "商户",
    code: "代码",
    factor: "账单号",
    until: "支付截止",
    pay: "支付",
    pay_by: "用 {gateway} 支付",
    cancel: "取消",
    pending: "尚不清楚您是否已付款。如已付款，请稍候，不要重复支付。",
    go_on: "继续支付",
    look: "再次查看",
    going: "正在前往支付页面…",
    success: "支付成功",
    tracking: "跟踪号",
    cancelled: "支付已取消",
    expired: "此链接已过期",
    refunded: "款项已退回",
    failed: "支付服务没有响应，请重试。",
    unpaid: "没有付款。您可以重试，或换一种方式支付。",
    unknown: "没有此账单",
    close: "您可以关闭此页面。",
    test: "测试网关",
};

/// The words of a language.
pub(super) const fn of(language: Language) -> &'static Words {
    match language {
        Language::Fa => &FA,
        Language::En => &EN,
        Language::Zh => &ZH,
    }
}

/// Fills in what stands in braces, once: what is filled in may have braces of its own.
pub(super) fn filled(text: &str, with: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len() + 64), text);
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let named = tail[1..].split_once('}').and_then(|(name, behind)| {
            let (_, value) = with.iter().find(|(known, _)| *known == name)?;
            Some((value, behind))
        });
        match named {
            Some((value, behind)) => {
                out.push_str(value);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = &tail[1..];
            }
        }
    }
    out + rest
}

/// An amount of rials as people of a language read it.
pub(super) fn amount(language: Language, rials: u64) -> String {
    let grouped = grouped(language, rials);
    match language {
        Language::Fa => format!("{grouped} ریال"),
        Language::En => format!("{grouped} IRR"),
        Language::Zh => format!("{grouped} 里亚尔"),
    }
}

/// The same in tomans, ten rials each, as people say it where it is spoken; nothing where some would be left over.
pub(super) fn tomans(language: Language, rials: u64) -> Option<String> {
    let whole = language == Language::Fa && rials.is_multiple_of(10);
    whole.then(|| format!("{} تومان", grouped(language, rials / 10)))
}

/// Digits as a language writes them.
pub(super) fn digits(language: Language, text: &str) -> String {
    if language == Language::Fa { text.chars().map(persian).collect() } else { text.to_owned() }
}

fn grouped(language: Language, number: u64) -> String {
    let plain = number.to_string();
    let mut grouped = String::with_capacity(plain.len() * 2);
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            grouped.push(if language == Language::Fa { '٬' } else { ',' });
        }
        grouped.push(digit);
    }
    digits(language, &grouped)
}

fn persian(digit: char) -> char {
    digit.to_digit(10).and_then(|value| char::from_u32(0x6f0 + value)).unwrap_or(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_3_amounts_have_separators_and_the_digits_of_the_language() {
        assert_eq!(amount(Language::En, 0), "0 IRR");
        assert_eq!(amount(Language::En, 999_999_999_999), "999,999,999,999 IRR");
        assert_eq!(amount(Language::Zh, 1_000), "1,000 里亚尔");
        assert_eq!(amount(Language::Fa, 1_250_000), "۱٬۲۵۰٬۰۰۰ ریال");
        assert_eq!(tomans(Language::Fa, 1_250_000).as_deref(), Some("۱۲۵٬۰۰۰ تومان"));
        assert_eq!((tomans(Language::Fa, 1_255), tomans(Language::En, 1_250)), (None, None));
        assert_eq!(digits(Language::Fa, "23:59"), "۲۳:۵۹");
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let with = [("a", "{b}"), ("b", "2")];
        assert_eq!(filled("{a} {b} {c} {", &with), "{b} 2 {c} {");
    }

    #[test]
    fn s5_3_screens_fit_into_one_ussd_string() {
        for language in [Language::Fa, Language::En, Language::Zh] {
            let words = of(language);
            let most = amount(language, 999_999_999_999);
            let texts = [
                words.enough,
                words.under_way,
                words.paid_already,
                words.unavailable,
                words.no_trial,
            ];
            let sent = filled(words.sent, &[("amount", &most)]);
            let link = format!("https://{}/pay/{}", "x".repeat(120), "f".repeat(32));
            let trial = filled(words.trial, &[("link", &link)]);
            for text in texts.into_iter().chain([sent.as_str(), &trial]) {
                assert!(facts::gsm::Room::USSD.holds(text), "{text}");
            }
        }
    }
}
