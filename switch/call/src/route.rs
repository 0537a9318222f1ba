//! Which trunks lead to a number, and how numbers are written to and read from a trunk.

use facts::settings::{NumberFormat, Snapshot, Trunk};
use facts::{Number, NumberPlan, TrunkId};

/// Next hops tried for one leg at most.
const HOPS_MAX: usize = 4;

/// Where a party is rung. Decided once, when the call is placed, because the price depends on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The registered contacts of an extension.
    Contacts(String),
    /// A number reached through trunks.
    Public(Number),
}

impl Target {
    /// The number that decides the price and stands in the record.
    pub(crate) fn number(&self) -> Number {
        match self {
            Target::Contacts(user) => Number::Internal(user.clone()),
            Target::Public(number) => number.clone(),
        }
    }
}

/// Finds what is behind a number: registered contacts, else the extension's bound phone, else (when
/// nobody is behind the extension now) the contacts that may yet come; a public number is itself.
/// `None` for an extension that does not exist or is disabled.
pub(crate) fn target(
    snapshot: &Snapshot,
    registered: impl Fn(&str) -> bool,
    number: &Number,
) -> Option<Target> {
    let Number::Internal(user) = number else {
        return Some(Target::Public(number.clone()));
    };
    let extension = snapshot.extensions.get(user).filter(|extension| extension.enabled)?;
    Some(match &extension.bound_phone {
        Some(phone) if !registered(user) => Target::Public(Number::E164(phone.clone())),
        _ => Target::Contacts(user.clone()),
    })
}

/// The trunks to try, best first: the routes of the longest prefix that has a trunk in use, by priority.
pub(crate) fn trunks(snapshot: &Snapshot, number: &Number) -> Vec<TrunkId> {
    let in_use = |id: &TrunkId| snapshot.trunks.get(id).is_some_and(|trunk| trunk.enabled);
    let mut matching: Vec<_> = snapshot
        .routes
        .iter()
        .filter(|route| matches(&route.prefix, number) && in_use(&route.trunk))
        .collect();
    matching.sort_by_key(|route| (std::cmp::Reverse(route.prefix.len()), route.priority));
    let longest = matching.first().map_or(0, |route| route.prefix.len());
    let mut trunks = Vec::new();
    for route in matching.iter().take_while(|route| route.prefix.len() == longest) {
        if !trunks.contains(&route.trunk) && trunks.len() < HOPS_MAX {
            trunks.push(route.trunk);
        }
    }
    trunks
}

/// A short code matches only a route for that very code: `1…` of another country must not catch 10086.
fn matches(prefix: &str, number: &Number) -> bool {
    prefix.is_empty()
        || match number {
            Number::E164(digits) => digits.starts_with(prefix),
            Number::Short(digits) => digits == prefix,
            Number::Internal(_) => false,
        }
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
mod tests {
    use super::*;
    use facts::settings::{Route, Transport};

    fn trunk(name: &str, numbers: NumberFormat) -> Trunk {
        Trunk {
            name: name.into(),
            enabled: true,
            peers: vec![],
            target: "192.0.2.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            domain: String::new(),
            credentials: None,
            numbers,
            codecs: vec![],
            max_calls: None,
            calls_per_second: None,
        }
    }

    fn route(prefix: &str, trunk: i64, priority: u16) -> Route {
        Route { prefix: prefix.into(), trunk: TrunkId(trunk), priority }
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for id in 1..=4 {
            snapshot.trunks.insert(TrunkId(id), trunk(&format!("t{id}"), NumberFormat::E164));
        }
        snapshot.routes = vec![
            route("", 1, 0),
            route("86", 1, 5),
            route("86138", 2, 9),
            route("86138", 3, 1),
            route("1", 4, 0),
            route("10086", 2, 0),
        ];
        snapshot
    }

    #[test]
    fn the_longest_prefix_wins_then_the_lower_priority() {
        let mut snapshot = snapshot();
        let number = Number::E164("8613800138000".into());
        assert_eq!(trunks(&snapshot, &number), [TrunkId(3), TrunkId(2)]);
        snapshot.trunks.get_mut(&TrunkId(3)).unwrap().enabled = false;
        assert_eq!(trunks(&snapshot, &number), [TrunkId(2)]);
        snapshot.trunks.get_mut(&TrunkId(2)).unwrap().enabled = false;
        assert_eq!(trunks(&snapshot, &number), [TrunkId(1)], "the next prefix that has a trunk");
    }

    #[test]
    fn a_short_code_is_not_caught_by_a_country_code() {
        let snapshot = snapshot();
        assert_eq!(trunks(&snapshot, &Number::Short("10086".into())), [TrunkId(2)]);
        assert_eq!(trunks(&snapshot, &Number::Short("110".into())), [TrunkId(1)]);
        assert_eq!(trunks(&snapshot, &Number::E164("12025550123".into())), [TrunkId(4)]);
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

    #[test]
    fn an_extension_without_contacts_is_its_bound_phone() {
        let mut snapshot = snapshot();
        let extension = facts::settings::Extension {
            merchant: facts::MerchantId(1),
            sub_account: None,
            enabled: true,
            ha1_md5: String::new(),
            ha1_sha256: String::new(),
            bound_phone: Some("8613900139000".into()),
            max_contacts: 1,
        };
        snapshot.extensions.insert("80001".into(), extension);
        let number = Number::Internal("80001".into());
        let phone = Target::Public(Number::E164("8613900139000".into()));
        assert_eq!(target(&snapshot, |_| false, &number), Some(phone));
        assert_eq!(target(&snapshot, |_| true, &number), Some(Target::Contacts("80001".into())));
        snapshot.extensions.get_mut("80001").unwrap().enabled = false;
        assert_eq!(target(&snapshot, |_| true, &number), None);
    }
}
