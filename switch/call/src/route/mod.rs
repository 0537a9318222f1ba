//! Which trunks lead to a number, and how numbers are written to and read from a trunk.

mod choice;
mod lead;

use std::sync::Arc;

use facts::settings::{NumberFormat, Snapshot, Trunk};
use facts::{MerchantId, Number, NumberPlan};

pub use choice::{Live, explain, explain_delivered};
pub(crate) use choice::{exists, leads, may_lead, trunks};
pub(crate) use lead::{Trail, is_foreign};

/// Where a party is rung. Decided once, when the call is placed, because the price depends on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The registered contacts of an extension.
    Contacts(String),
    /// The members of a group, by the group's number.
    Group(String),
    /// Extensions that are rung one after the other.
    Agents(Arc<[String]>),
    /// The mailbox of an extension: nobody is rung.
    Voicemail(String),
    /// A number reached through trunks.
    Public(Number),
    /// The same: the phone bound to an extension, whose call it is.
    Bound {
        /// The extension.
        user: String,
        /// The number.
        phone: Number,
    },
}

impl Target {
    /// The number that decides the price and stands in the record.
    pub(crate) fn number(&self) -> Number {
        match self {
            Target::Contacts(user) | Target::Group(user) | Target::Voicemail(user) => {
                Number::Internal(user.clone())
            }
            Target::Agents(agents) => Number::Internal(agents.first().cloned().unwrap_or_default()),
            Target::Public(number) | Target::Bound { phone: number, .. } => number.clone(),
        }
    }

    /// The number that is reached through trunks.
    pub(crate) fn public(&self) -> Option<&Number> {
        match self {
            Target::Public(number) | Target::Bound { phone: number, .. } => Some(number),
            Target::Contacts(_) | Target::Group(_) | Target::Agents(_) | Target::Voicemail(_) => {
                None
            }
        }
    }

    /// The extension whose bound phone it is.
    pub(crate) fn bound_to(&self) -> Option<&str> {
        match self {
            Target::Bound { user, .. } => Some(user),
            Target::Contacts(_)
            | Target::Group(_)
            | Target::Agents(_)
            | Target::Voicemail(_)
            | Target::Public(_) => None,
        }
    }

    /// True where a call of one rings the line of the other.
    pub(crate) fn is_line_of(&self, other: &Target) -> bool {
        self == other || self.public().is_some_and(|number| other.public() == Some(number))
    }
}

/// Finds what is behind a number: registered contacts, else the extension's bound phone, else (when
/// nobody is behind the extension now) the contacts that may yet come; a public number is itself. A bound phone
/// is rung at the cost of its own merchant alone: for any other payer there are only the contacts.
/// The members of a group are looked for when it is rung. `None` for an extension or a group that does not exist
/// or is disabled.
pub(crate) fn target(
    snapshot: &Snapshot,
    registered: impl Fn(&str) -> bool,
    (number, payer): (&Number, MerchantId),
) -> Option<Target> {
    let Number::Internal(user) = number else {
        return Some(Target::Public(number.clone()));
    };
    if snapshot.groups.get(user).is_some_and(|group| group.enabled) {
        return Some(Target::Group(user.clone()));
    }
    let extension = snapshot.extensions.get(user).filter(|extension| extension.enabled)?;
    Some(match &extension.bound_phone {
        Some(phone) if !registered(user) && extension.merchant == payer => {
            Target::Bound { user: user.clone(), phone: Number::public(phone.clone()) }
        }
        _ => Target::Contacts(user.clone()),
    })
}

/// Writes a number the way a trunk wants it.
pub(crate) fn write(format: NumberFormat, plan: &NumberPlan, number: &Number) -> String {
    match format {
        NumberFormat::PlusE164 => number.to_string(),
        NumberFormat::E164 => number.digits().to_owned(),
        NumberFormat::National => plan.national(number),
    }
}

/// Reads the user part of a URI that a trunk sent. E.164 without `+` is what an `E164` trunk means by
/// bare digits; the others write as people dial at home.
pub(crate) fn read(trunk: &Trunk, plan: &NumberPlan, user: &str) -> Option<Number> {
    let user = user.split(';').next().unwrap_or_default();
    let bare = user.bytes().all(|byte| byte.is_ascii_digit());
    if trunk.numbers == NumberFormat::E164 && bare && user.len() > plan.short_max {
        return plan.parse(&format!("+{user}")).ok();
    }
    plan.parse(user).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use facts::settings::Transport;

    pub(crate) fn trunk(name: &str, numbers: NumberFormat) -> Trunk {
        Trunk {
            name: name.into(),
            enabled: true,
            peers: vec![],
            peer_names: vec![],
            target: "192.0.2.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            domain: String::new(),
            credentials: None,
            numbers,
            codecs: vec![],
            max_calls: None,
            calls_per_second: None,
            options: Default::default(),
        }
    }

    #[test]
    fn a_number_is_written_and_read_in_each_format() {
        let plan = NumberPlan::default();
        let number = Number::E164("8613800138000".into());
        for (format, text) in [
            (NumberFormat::PlusE164, "+8613800138000"),
            (NumberFormat::E164, "8613800138000"),
            (NumberFormat::National, "13800138000"),
        ] {
            assert_eq!(write(format, &plan, &number), text);
            assert_eq!(read(&trunk("t", format), &plan, text), Some(number.clone()), "{text}");
        }
        assert_eq!(
            read(&trunk("t", NumberFormat::E164), &plan, "442079460000"),
            Some(Number::E164("442079460000".into()))
        );
        assert_eq!(read(&trunk("t", NumberFormat::PlusE164), &plan, "alice"), None);
    }

    pub(crate) fn extension() -> facts::settings::Extension {
        facts::settings::Extension {
            merchant: MerchantId(1),
            sub_account: None,
            enabled: true,
            ha1_md5: String::new(),
            ha1_sha256: String::new(),
            bound_phone: None,
            max_contacts: 1,
            reach: Default::default(),
            dtmf: None,
        }
    }

    #[test]
    fn an_extension_without_contacts_is_its_bound_phone() {
        let mut snapshot = Snapshot::default();
        let mut extension = extension();
        extension.bound_phone = Some("8613900139000".into());
        snapshot.extensions.insert("80001".into(), extension);
        let number = Number::Internal("80001".into());
        let phone = Number::E164("8613900139000".into());
        let public = Target::Public(phone.clone());
        let phone = Target::Bound { user: "80001".into(), phone };
        assert!(phone.is_line_of(&public) && public.is_line_of(&phone) && phone != public);
        let contacts = || Some(Target::Contacts("80001".into()));
        let of = |snapshot: &Snapshot, registered: bool, payer| {
            target(snapshot, |_| registered, (&number, MerchantId(payer)))
        };
        assert_eq!(of(&snapshot, false, 1), Some(phone));
        assert_eq!(of(&snapshot, true, 1), contacts());
        assert_eq!(of(&snapshot, false, 2), contacts(), "not at another one's cost");
        snapshot.extensions.get_mut("80001").unwrap().enabled = false;
        assert_eq!(of(&snapshot, true, 1), None);
    }
}
