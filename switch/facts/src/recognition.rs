//! What was heard of a network before an answer: its tones, its announcements.

use serde::{Deserialize, Serialize};

use crate::failure::Kind;
use crate::time::UnixMillis;

/// Why a call did not get through, as networks announce it in words. The states, their numbers and their
/// Chinese names are those that merchants of the region know. Stored by name: names never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Announced {
    /// The phone is switched off.
    SwitchedOff,
    /// No such number.
    NoSuchNumber,
    /// Out of service.
    OutOfService,
    /// On another call.
    OnACall,
    /// The called person refused.
    Refused,
    /// Cannot be reached.
    Unreachable,
    /// Service suspended.
    Suspended,
    /// Busy.
    Busy,
    /// Dialled the wrong way.
    Misdialled,
    /// Takes no calls from outside.
    IncomingBarred,
    /// A mailbox or a reminder of the missed call answers.
    Reminder,
    /// Forwarding failed.
    ForwardingFailed,
    /// The network is busy.
    NetworkBusy,
    /// Nobody answers.
    NoAnswer,
    /// No money left.
    InDebt,
    /// Cannot take the call.
    CannotAnswer,
    /// The number was changed.
    NumberChanged,
    /// The line is out of order.
    LineFault,
    /// Try again later, and no more.
    TryLater,
}

/// Each with its number at recognisers of the region and its name in Chinese, in the order of the enumeration.
const ANNOUNCED: [(Announced, u8, &str); 19] = [
    (Announced::SwitchedOff, 2, "关机"),
    (Announced::NoSuchNumber, 3, "空号"),
    (Announced::OutOfService, 4, "停机"),
    (Announced::OnACall, 5, "正在通话中"),
    (Announced::Refused, 6, "用户拒接"),
    (Announced::Unreachable, 7, "无法拨通"),
    (Announced::Suspended, 8, "暂停服务"),
    (Announced::Busy, 9, "用户正忙"),
    (Announced::Misdialled, 10, "拨号方式不正确"),
    (Announced::IncomingBarred, 11, "呼入限制"),
    (Announced::Reminder, 12, "来电提醒"),
    (Announced::ForwardingFailed, 13, "呼叫转移失败"),
    (Announced::NetworkBusy, 14, "网络忙"),
    (Announced::NoAnswer, 15, "无人接听"),
    (Announced::InDebt, 16, "欠费"),
    (Announced::CannotAnswer, 17, "无法接听"),
    (Announced::NumberChanged, 18, "改号"),
    (Announced::LineFault, 19, "线路故障"),
    (Announced::TryLater, 20, "稍后再拨"),
];

impl Announced {
    /// All of them, by number.
    pub fn all() -> impl Iterator<Item = Announced> {
        ANNOUNCED.iter().map(|row| row.0)
    }

    /// The one with this number, 2 to 20.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Announced> {
        ANNOUNCED.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        ANNOUNCED[self as usize].1
    }

    /// Its name in Chinese, e.g. `关机`.
    #[must_use]
    pub fn chinese(self) -> &'static str {
        ANNOUNCED[self as usize].2
    }
}

/// Whose tones are known, by country code (ISO 3166, small letters).
pub const COUNTRIES: &[&str] = &[
    "at", "au", "be", "br", "ch", "cn", "cz", "de", "es", "fr", "gb", "hu", "in", "it", "jp", "mx",
    "nl", "pl", "ru", "se", "sg", "tw", "us",
];

/// Something that was heard. Stored by name: names never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sounded {
    /// An announcement of the library.
    Announcement {
        /// What it says.
        says: Announced,
        /// The cause of ITU-T Q.850 that its entry has.
        cause: u8,
    },
    /// Special information tones (ITU-T E.180 §3.5, Telcordia SR-2275 §6.21.2).
    Special {
        /// The cause that they mean; 31 where they say no more than that something is wrong.
        cause: u8,
    },
    /// Busy tone.
    Busy,
    /// Congestion tone.
    Congestion,
    /// A tone of a country's own which says that an announcement follows.
    Information,
    /// A fax machine or a modem.
    Fax,
    /// Ringing tone.
    Ringing,
    /// Music: coloured ring-back, most of the time.
    Music,
    /// Somebody or something speaks, and it is in no library.
    Speech,
    /// Nothing at all.
    Silence,
}

impl Sounded {
    /// The cause of ITU-T Q.850 that says the same; `None` for what says nothing of why a call failed.
    #[must_use]
    pub const fn cause(self) -> Option<u8> {
        match self {
            Sounded::Announcement { cause, .. } | Sounded::Special { cause } => Some(cause),
            Sounded::Busy => Some(17),
            Sounded::Congestion => Some(34),
            Sounded::Information
            | Sounded::Fax
            | Sounded::Ringing
            | Sounded::Music
            | Sounded::Speech
            | Sounded::Silence => None,
        }
    }

    /// Whether another carrier may do better: what was heard is about the network, not about the number or the
    /// person.
    #[must_use]
    pub const fn is_elsewhere(self) -> bool {
        match self {
            Sounded::Congestion => true,
            Sounded::Special { cause } => matches!(cause, 34 | 42),
            Sounded::Announcement { says, .. } => {
                matches!(says, Announced::NetworkBusy | Announced::LineFault)
            }
            _ => false,
        }
    }

    /// What it is called in reports: the announcement's name, or the kind's.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Sounded::Announcement { says, .. } => match says {
                Announced::SwitchedOff => "switched-off",
                Announced::NoSuchNumber => "no-such-number",
                Announced::OutOfService => "out-of-service",
                Announced::OnACall => "on-a-call",
                Announced::Refused => "refused",
                Announced::Unreachable => "unreachable",
                Announced::Suspended => "suspended",
                Announced::Busy => "busy",
                Announced::Misdialled => "misdialled",
                Announced::IncomingBarred => "incoming-barred",
                Announced::Reminder => "reminder",
                Announced::ForwardingFailed => "forwarding-failed",
                Announced::NetworkBusy => "network-busy",
                Announced::NoAnswer => "no-answer",
                Announced::InDebt => "in-debt",
                Announced::CannotAnswer => "cannot-answer",
                Announced::NumberChanged => "number-changed",
                Announced::LineFault => "line-fault",
                Announced::TryLater => "try-later",
            },
            Sounded::Special { .. } => "special-tone",
            Sounded::Busy => "busy-tone",
            Sounded::Congestion => "congestion-tone",
            Sounded::Information => "information-tone",
            Sounded::Fax => "fax",
            Sounded::Ringing => "ringing-tone",
            Sounded::Music => "music",
            Sounded::Speech => "speech",
            Sounded::Silence => "silence",
        }
    }

    /// The higher, the more it says of a call's fate.
    const fn weight(self) -> u8 {
        match self {
            Sounded::Announcement { .. } => 5,
            Sounded::Special { cause } if cause != UNSAID => 4,
            Sounded::Busy | Sounded::Congestion => 3,
            Sounded::Special { .. } | Sounded::Information | Sounded::Fax => 2,
            Sounded::Ringing | Sounded::Music => 1,
            Sounded::Speech | Sounded::Silence => 0,
        }
    }
}

/// The cause of special information tones that leave it to the announcement behind them.
const UNSAID: u8 = 31;

/// What an ear says of a leg's sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recognition {
    /// What.
    #[serde(flatten)]
    pub sounded: Sounded,
    /// So sure that a call may be ended for it. Never of music, speech, silence and ringing.
    pub certain: bool,
    /// How much of it fits what is known, per cent.
    pub confidence: u8,
    /// Where it began, milliseconds of sound after the first that was heard.
    pub from_ms: u32,
    /// Where it was told, the same.
    pub to_ms: u32,
}

impl Recognition {
    /// Whether the verdict says more than one that came before: a likelier fate, or the same with certainty.
    #[must_use]
    pub fn tells_more_than(&self, before: &Recognition) -> bool {
        let rank = |one: &Recognition| (one.certain && one.cause().is_some(), one.sounded.weight());
        rank(self) >= rank(before)
    }

    /// The cause of ITU-T Q.850 that it means, if any.
    #[must_use]
    pub fn cause(&self) -> Option<u8> {
        self.sounded.cause()
    }

    /// The cause of a failed call: what was heard with certainty comes before whatever the far end's own cause
    /// was; what is only likely comes before a status, and before causes that name no reason.
    #[must_use]
    pub fn over(&self, said: Option<u8>) -> Option<u8> {
        let heard = self.cause().filter(|cause| *cause != UNSAID);
        match said {
            Some(said) if !self.certain && !matches!(said, 0 | 16 | UNSAID | 127) => Some(said),
            _ => heard.or(said),
        }
    }

    /// How the call failed, where nobody but the ear knows.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.cause().filter(|cause| *cause != UNSAID).and_then(Kind::of_cause)
    }
}

/// What a leg's record keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recognised {
    /// The verdict that said most.
    #[serde(flatten)]
    pub verdict: Recognition,
    /// When it was told.
    pub at: UnixMillis,
}

/// When an attempt that cannot succeed any more is given up before its carrier does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// Never: what is heard is for the record.
    #[default]
    Never,
    /// When a verdict is certain.
    Certain,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(sounded: Sounded, certain: bool) -> Recognition {
        Recognition { sounded, certain, confidence: 90, from_ms: 0, to_ms: 3_000 }
    }

    #[test]
    fn names_are_stored_and_read_back_and_rows_stand_in_order() {
        for (at, says) in Announced::all().enumerate() {
            assert_eq!((says as usize, Announced::from_number(says.number())), (at, Some(says)));
            let stored = serde_json::to_value(says).unwrap();
            let sounded = Sounded::Announcement { says, cause: 1 };
            assert_eq!(stored, sounded.word(), "reports and records call it the same");
            let told = Recognised { verdict: heard(sounded, true), at: UnixMillis(5) };
            let stored = serde_json::to_string(&told).unwrap();
            assert_eq!(serde_json::from_str::<Recognised>(&stored).unwrap(), told, "{stored}");
        }
    }

    #[test]
    fn a_likely_announcement_gives_way_to_a_certain_tone_and_to_nothing_less() {
        let words = Sounded::Announcement { says: Announced::SwitchedOff, cause: 20 };
        let (likely, busy) = (heard(words, false), heard(Sounded::Busy, true));
        let ring = heard(Sounded::Ringing, false);
        assert!(likely.tells_more_than(&ring) && !ring.tells_more_than(&likely));
        assert!(busy.tells_more_than(&likely) && heard(words, true).tells_more_than(&busy));
        assert!(!likely.tells_more_than(&busy));
    }

    #[test]
    fn conformance_5_what_was_heard_comes_before_a_status_and_a_cause_that_says_nothing() {
        let words = Sounded::Announcement { says: Announced::NoSuchNumber, cause: 1 };
        let (sure, likely) = (heard(words, true), heard(words, false));
        assert_eq!((sure.over(None), sure.over(Some(17))), (Some(1), Some(1)));
        assert_eq!((likely.over(None), likely.over(Some(31))), (Some(1), Some(1)));
        assert_eq!(likely.over(Some(17)), Some(17), "the far end's own cause is better");
        let sit = heard(Sounded::Special { cause: 31 }, false);
        assert_eq!((sit.over(None), sit.over(Some(17)), sit.kind()), (None, Some(17), None));
        assert_eq!(heard(Sounded::Music, false).over(Some(19)), Some(19));
    }
}
