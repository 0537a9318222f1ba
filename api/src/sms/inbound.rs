//! What comes in: messages that somebody wrote to us, and receipts of those that left.

use billing::smpp::Came;
use billing::sms::{NewInbound, Replies};
use facts::Number;
use facts::sms::{Arrived, Receipt, line};
use facts::ussd::Language;

use crate::counters::count;
use crate::state::{ApiState, now};

/// What whoever signs up is answered, by language.
pub(crate) const REPLIES: fn(Language) -> &'static Replies = replies;

const FA: Replies = Replies {
    made: "{merchant}: ثبت نام شد\nشماره {account}\nرمز {password}",
    pending: "{merchant}: درخواست ثبت شد\nشماره {account}\nرمز {password}\nپس از تأیید فعال می‌شود",
    again: "{merchant}: قبلا ثبت نام کرده‌اید\nشماره {account}\nرمز {password}",
    known: "{merchant}: قبلا ثبت نام کرده‌اید\nشماره {account}",
    approved: "شماره {account} فعال شد",
};

const EN: Replies = Replies {
    made: "{merchant}: welcome\nNumber {account}\nPassword {password}",
    pending: "{merchant}: request received\nNumber {account}\nPassword {password}\nIn use once it is approved",
    again: "{merchant}: you are registered\nNumber {account}\nPassword {password}",
    known: "{merchant}: you are registered\nNumber {account}",
    approved: "Number {account} is in use now",
};

const ZH: Replies = Replies {
    made: "{merchant}：注册成功\n号码 {account}\n密码 {password}",
    pending: "{merchant}：申请已收到\n号码 {account}\n密码 {password}\n审核通过后即可使用",
    again: "{merchant}：您已注册\n号码 {account}\n密码 {password}",
    known: "{merchant}：您已注册\n号码 {account}",
    approved: "号码 {account} 已审核通过，可以使用",
};

fn replies(language: Language) -> &'static Replies {
    match language {
        Language::Fa => &FA,
        Language::En => &EN,
        Language::Zh => &ZH,
    }
}

/// Keeps a message that somebody wrote to us and does what it is for; false where it was kept before. Once this has
/// returned, the line need not bring it again.
///
/// # Errors
/// Those of the store: the line is to bring it again.
pub async fn arrived(state: &ApiState, arrived: Arrived) -> billing::Result<bool> {
    came(state, arrived, Came::default()).await
}

/// The same, of a message that nothing names, or that was put together of parts.
///
/// # Errors
/// Those of the store: the line is to bring it again.
pub async fn came(state: &ApiState, mut arrived: Arrived, how: Came) -> billing::Result<bool> {
    let view = state.0.settings.current(&state.0.store).await?;
    // Numbers of the public network come without their mark; an extension and a short number are what they are.
    let plan = &view.plan;
    let marked = plan.parse(&format!("+{}", arrived.from.trim_start_matches('+')));
    let public = matches!(&marked, Ok(Number::E164(_))) && arrived.from.len() > plan.short_max;
    // From a phone of ours it is the extension that writes, or the number that leads to it.
    let own = arrived.link.is_empty();
    if let (false, Ok(number)) = (own, &marked)
        && public
    {
        number.digits().clone_into(&mut arrived.from);
    }
    // Networks write our own numbers with their country's code, and without a mark of it.
    let bare = arrived.to.trim().trim_start_matches('+').to_owned();
    let whole = line(plan, &format!("+{bare}"));
    let forms = [Some(bare), line(plan, &arrived.to), whole];
    let known = forms.iter().flatten().find(|form| view.texts.contains(*form)).cloned();
    let nobodys = known.is_none();
    if let Some(to) = known.or_else(|| line(plan, &arrived.to)) {
        arrived.to = to;
    }
    let (link, to) = (arrived.link.clone(), arrived.to.clone());
    let new = NewInbound { arrived, public: public && !own, words: REPLIES };
    let fresh = state.0.store.sms_came(new, how, now()).await?;
    if fresh {
        count(&state.0.counters.sms_received);
        if nobodys {
            tracing::info!(
                link,
                to,
                "a message came in for a number that no [[sms_keywords]] names"
            );
        }
        state.0.sms_wake.notify_one();
        state.0.push_wake.notify_one();
        state.0.calls.settings_changed();
    }
    Ok(fresh)
}

/// Notes what became of a part of a message that left; false where that was known. One of a part that nobody knows yet is
/// kept for it: networks may be faster than we note what they took.
///
/// # Errors
/// Those of the store: the line is to bring it again.
pub async fn receipt(state: &ApiState, receipt: Receipt) -> billing::Result<bool> {
    let new = state.0.store.sms_receipt(receipt, now()).await?;
    if new {
        count(&state.0.counters.sms_receipts);
    }
    Ok(new)
}
