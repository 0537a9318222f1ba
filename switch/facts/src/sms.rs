//! Short messages that leave and come by lines of the program's own: a network's SMSC (SMPP), or phones that are
//! registered here (SIP MESSAGE).

use serde::{Deserialize, Serialize};

use crate::{NumberPlan, UnixMillis};

/// A message that is to leave. Who carries it cuts it into parts where it is too long for one
/// ([`Room::SMS_PART`](crate::gsm::Room::SMS_PART)).
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Its row in the store: the same when it is tried again.
    pub id: i64,
    /// What it comes from: E.164 digits, a short number or a name. Empty: as the line's own settings say.
    pub from: String,
    /// To whom: E.164 digits.
    pub to: String,
    /// What it says. It may bear a link that pays.
    pub text: String,
    /// From when on nobody wants it any more: a network that cannot deliver it by then is to drop it. `None`: as long as
    /// the network keeps it.
    pub until: Option<UnixMillis>,
}

/// Without what it says.
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("id", &self.id).field("to", &self.to).finish_non_exhaustive()
    }
}

/// What a message that is written to a number is for. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Whoever writes it wants to be a user of the merchant's.
    Signup,
    /// The merchant is told of it.
    #[default]
    Forward,
}

impl Purpose {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Purpose::Signup => "signup",
            Purpose::Forward => "forward",
        }
    }
}

/// The name of the event of a message that was written to a merchant.
pub const SMS_RECEIVED: &str = "sms.received";

/// A message that was written to a merchant, as he is told of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// Its row.
    pub id: i64,
    /// Who wrote it: E.164 digits.
    pub from: String,
    /// To which number.
    pub to: String,
    /// The keyword that it bears; empty where it bears none.
    pub keyword: String,
    /// What it says behind that.
    pub text: String,
    /// What such messages are for.
    pub purpose: Purpose,
    /// The sub-account that it made, or that its writer had.
    pub account: Option<String>,
    /// When it came.
    pub at: UnixMillis,
}

/// Digits of the longest number that messages are written to: those of China's services have twenty.
const LINE_MAX: usize = 20;

/// A number that messages are written to, as it is kept and compared: its digits with the country's code where the plan
/// knows it, else as it was written. `None`: it is no number.
#[must_use]
pub fn line(plan: &NumberPlan, written: &str) -> Option<String> {
    if let Ok(number) = plan.parse(written) {
        return Some(number.digits().to_owned());
    }
    let digits = written.trim().trim_start_matches('+');
    let whole = (1..=LINE_MAX).contains(&digits.len());
    (whole && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.to_owned())
}

/// What came of a message at a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The far end has all of it. How it calls each part, where it says so: receipts name these
    /// (SMPP 3.4 §4.4.2, `message_id`).
    Taken(Vec<String>),
    /// Not this way: nobody has such a phone registered, or there is no such line. Another way may do.
    NotHere,
    /// Not now, in these words. No word of the message is in them.
    Later(String),
    /// The same, and some of its parts have left: the rest follows by the same way, and no other is to send all of it.
    Begun(String),
    /// Never, in these words. No word of the message is in them.
    Refused(String),
}

/// How a line to a network stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// The far end has taken us in (SMPP 3.4 §2.2).
    Bound,
    /// On the way there: connecting, or waiting for the answer to the bind.
    Binding,
    /// The far end does not take us in.
    Refused,
    /// There is no connection; another try follows.
    Down,
}

/// A line to a network, and what went over it since the program began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinkStatus {
    /// Its name in the operator's file.
    pub name: String,
    /// How it stands; of two connections, the worse.
    pub state: LinkState,
    /// Since when.
    pub since: UnixMillis,
    /// Why it is not bound, in words; empty when it is.
    pub why: String,
    /// Requests of ours that wait for their answers.
    pub outstanding: u64,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// Messages that the far end took.
    pub taken: u64,
    /// Messages that it refused.
    pub refused: u64,
    /// How often it wanted us to be slower.
    pub throttled: u64,
    /// Requests whose answers never came.
    pub unanswered: u64,
    /// Messages, receipts and steps of menus that came.
    pub delivered: u64,
    /// Connections that were lost.
    pub lost: u64,
}

/// What became of a part that was taken (SMPP 3.4 appendix B, `stat`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The phone has it.
    Delivered,
    /// It never will: expired, deleted, undeliverable or refused.
    Undelivered,
}

/// A receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// By which line it came.
    pub link: String,
    /// Which part it is of, as [`Sent::Taken`] named it.
    pub reference: String,
    /// What became of it.
    pub delivery: Delivery,
    /// The network's own word for it (`DELIVRD`, `EXPIRED` ...).
    pub word: String,
}

/// A message that somebody wrote to us, put together of its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Arrived {
    /// By which line it came; empty: from a phone of ours.
    pub link: String,
    /// What is the same when the line brings it again.
    pub once: String,
    /// Who wrote it: E.164 digits.
    pub from: String,
    /// To which number, as it was dialled.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// Without what it says.
impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Arrived");
        shown.field("link", &self.link).field("from", &self.from).field("to", &self.to);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_however_it_is_written() {
        let plan = NumberPlan::default();
        let line = |written| line(&plan, written);
        assert_eq!(line("13800138000"), line("+86 138-0013-8000"));
        assert_eq!(line("3000").as_deref(), Some("3000"));
        assert_eq!(line("10690000123456789012").as_deref(), Some("10690000123456789012"));
        assert_eq!([line("106900001234567890123"), line("Acme"), line("")], [None, None, None]);
    }
}
