//! A carrier's manners: how it wants numbers and headers written, what its answers mean, what becomes of
//! the sound before an answer. Data, and what follows from it for one number, header or status.

use serde::{Deserialize, Serialize};

/// Which number a [`Rewrite`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Whom we call there.
    Called,
    /// Who calls, as it is told to the carrier.
    Caller,
    /// Whom the carrier calls here.
    CalledIn,
    /// Who calls, as the carrier tells it.
    CallerIn,
}

/// Changes a number as it is written between us and a carrier, after (or, of calls that come, before) it is
/// read by the number plan. What a call costs and what stands in its record never depends on it for calls
/// that go out. The first that fits is used, and no other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Which number.
    pub whose: Whose,
    /// How it begins. Empty: in any way.
    #[serde(default)]
    pub prefix: String,
    /// How long it is, in characters; `None`: any length.
    #[serde(default)]
    pub length: Option<u8>,
    /// Characters taken off in front.
    #[serde(default)]
    pub strip: u8,
    /// Put in front after that.
    #[serde(default)]
    pub add: String,
}

impl Rewrite {
    fn fits(&self, whose: Whose, number: &str) -> bool {
        let length = self.length.map(usize::from);
        self.whose == whose
            && number.starts_with(&self.prefix)
            && length.is_none_or(|length| number.chars().count() == length)
    }

    fn of(&self, number: &str) -> String {
        let rest: String = number.chars().skip(self.strip.into()).collect();
        format!("{}{rest}", self.add)
    }
}

/// Rewrites a number by the first rule that fits. One without digits stays as it is.
#[must_use]
pub fn rewritten(rules: &[Rewrite], whose: Whose, number: String) -> String {
    match rules.iter().find(|rule| !number.is_empty() && rule.fits(whose, &number)) {
        Some(rule) => rule.of(&number),
        None => number,
    }
}

/// Changes a header field of INVITEs to a carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// Its name.
    pub name: String,
    /// What is done.
    pub act: HeaderAct,
    /// Its value; none to remove.
    #[serde(default)]
    pub value: String,
}

/// What is done to a header field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderAct {
    /// Stands beside those of the name.
    Add,
    /// Stands in place of those of the name.
    Set,
    /// There is none of the name.
    Remove,
}

impl HeaderRule {
    /// What belongs to the transaction, the dialog or the body, in both forms: nobody's to change.
    pub const RESERVED: [&str; 25] = [
        "Via",
        "v",
        "From",
        "f",
        "To",
        "t",
        "Call-ID",
        "i",
        "CSeq",
        "Contact",
        "m",
        "Route",
        "Record-Route",
        "Max-Forwards",
        "Content-Type",
        "c",
        "Content-Length",
        "l",
        "Require",
        "RSeq",
        "RAck",
        "Authorization",
        "Proxy-Authorization",
        "Proxy-Require",
        "Replaces",
    ];

    /// Whether a header field may be changed at all.
    #[must_use]
    pub fn may_change(name: &str) -> bool {
        let content = name.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("content-"));
        !content && !Self::RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
    }
}

/// What an answer of a carrier means to us, other than what it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    /// Statuses, 300 to 699.
    pub codes: Vec<u16>,
    /// Whether another carrier is tried. `None`: as usual for the status.
    #[serde(default)]
    pub then: Option<Then>,
    /// The status that it is taken for, in the outcome and towards whoever called. The record keeps what
    /// was answered. `None`: itself.
    #[serde(default)]
    pub read_as: Option<u16>,
}

/// What follows an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The next carrier is tried, unless the far phone rang.
    Next,
    /// The leg has failed.
    Stop,
}

/// What becomes of the sound that a carrier sends before the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlyMedia {
    /// It is heard.
    #[default]
    Relay,
    /// It is not heard; ringing is what the carrier calls ringing.
    Suppress,
    /// It is not heard, and whatever the carrier says instead of ringing (183) is ringing.
    Ringing,
}

/// By what a carrier is told from others whose calls come from the same addresses. All that is said has to
/// be so; of several carriers that fit, the one that says most is it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnownBy {
    /// Host of From.
    pub from_domain: String,
    /// Host of To.
    pub to_domain: String,
    /// Host of the Request-URI.
    pub uri_domain: String,
    /// How the number begins that it calls, as it comes.
    pub prefix: String,
    /// Name of a header field that it sends.
    pub header: String,
    /// Value of that field; empty: any.
    pub value: String,
    /// The port that its datagrams come from; `None`: any. Connections come from any.
    pub port: Option<u16>,
}

impl KnownBy {
    /// How many marks it names.
    #[must_use]
    pub fn marks(&self) -> usize {
        [
            &self.from_domain,
            &self.to_domain,
            &self.uri_domain,
            &self.prefix,
            &self.header,
            &self.value,
        ]
        .into_iter()
        .filter(|mark| !mark.is_empty())
        .count()
            + usize::from(self.port.is_some())
    }
}

/// How keys reach a far end, and how they are taken from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtmf {
    /// As events (RFC 4733) where they were agreed, else in its sound.
    #[default]
    Auto,
    /// As events alone: where they were not agreed nothing is pressed, and its sound is not listened to.
    Rfc4733,
    /// By INFO with `application/dtmf-relay`: nothing is pressed into its media. From it they are taken by INFO
    /// and as events.
    Info,
    /// In its sound alone: events are neither offered nor answered.
    Inband,
}

impl Dtmf {
    /// All there are, by the names of settings.
    pub const NAMES: [(&str, Dtmf); 4] = [
        ("auto", Dtmf::Auto),
        ("rfc4733", Dtmf::Rfc4733),
        ("info", Dtmf::Info),
        ("inband", Dtmf::Inband),
    ];

    /// Its name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dtmf::Auto => "auto",
            Dtmf::Rfc4733 => "rfc4733",
            Dtmf::Info => "info",
            Dtmf::Inband => "inband",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Dtmf> {
        Dtmf::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, dtmf)| dtmf)
    }
}

/// What becomes of an offer of a far end in a call that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reinvite {
    /// It is answered here.
    Absorb,
    /// It is offered to the other leg when it changes something.
    Relay,
}

/// The session timer towards a carrier (RFC 4028), where it is not everybody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionTimer {
    /// None is asked for, granted or believed.
    pub off: bool,
    /// Seconds asked for; `None`: as everywhere.
    pub expires: Option<u32>,
    /// The least that is accepted, seconds; `None`: as everywhere.
    pub min_se: Option<u32>,
    /// Who refreshes, where that is open.
    pub refresher: RefreshedBy,
}

impl SessionTimer {
    /// Bounds of both intervals, seconds (RFC 4028 §4, §5).
    pub const SECONDS: std::ops::RangeInclusive<u32> = 90..=86_400;
}

/// Who refreshes a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshedBy {
    /// Whoever answers chooses.
    #[default]
    Open,
    /// We.
    Us,
    /// The carrier.
    Carrier,
}

/// What a carrier does, or bears, otherwise than the standards say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Messages to it bear the short names of header fields (RFC 3261 §7.3.3).
    pub compact_headers: bool,
    /// Requests to it do not ask for `rport` (RFC 3581).
    pub no_rport: bool,
    /// Its answers only repeat our Session-Expires: whatever they say, we refresh.
    pub session_expires_echo: bool,
}

/// Whether a header field of a caller's INVITE may go on at all: not what the switch writes itself, nor what
/// says who somebody is.
#[must_use]
pub fn may_pass(name: &str) -> bool {
    const OWN: [&str; 20] = [
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Remote-Party-ID",
        "Privacy",
        "Diversion",
        "History-Info",
        "Reason",
        "Supported",
        "k",
        "Allow",
        "Accept",
        "Session-Expires",
        "x",
        "Min-SE",
        "Max-Breadth",
        "User-Agent",
        "Identity",
        "y",
        "Refer-To",
        "r",
    ];
    HeaderRule::may_change(name) && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(whose: Whose, prefix: &str, length: Option<u8>, strip: u8, add: &str) -> Rewrite {
        Rewrite { whose, prefix: prefix.into(), length, strip, add: add.into() }
    }

    #[test]
    fn the_first_rule_that_fits_rewrites_a_number_and_no_other_does() {
        let rules = [
            rule(Whose::Called, "+8610", None, 3, "0"),
            rule(Whose::Called, "+86", Some(14), 3, "9"),
            rule(Whose::Called, "9", None, 1, ""),
            rule(Whose::Caller, "", None, 0, "77"),
        ];
        let called = |text: &str| rewritten(&rules, Whose::Called, text.into());
        assert_eq!(called("+861088880000"), "01088880000");
        assert_eq!(called("+8613800138000"), "913800138000", "not the third as well");
        assert_eq!(called("+86138001380001"), "+86138001380001", "too long");
        assert_eq!(rewritten(&rules, Whose::Caller, "5".into()), "775");
        assert_eq!(rewritten(&rules, Whose::Caller, String::new()), "", "nobody stays nobody");
        assert_eq!(rewritten(&rules, Whose::CallerIn, "5".into()), "5");
    }

    #[test]
    fn what_makes_a_dialog_is_not_to_be_changed() {
        for name in ["via", "Call-ID", "m", "content-disposition", "Content-Type", "RSEQ"] {
            assert!(!HeaderRule::may_change(name), "{name}");
        }
        for name in ["X-Account", "User-Agent", "Session-Expires", "Supported", "Diversion"] {
            assert!(HeaderRule::may_change(name), "{name}");
        }
    }
}
