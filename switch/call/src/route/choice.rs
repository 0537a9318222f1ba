//! Which routes a number takes, in which order, and why not the others.

use std::cmp::Reverse;

use facts::pool::Pool;
use facts::routing::{Candidate, Explanation, Phone, PoolOf, Verdict};
use facts::settings::{Route, Snapshot, Trunk};
use facts::{LeadsTo, MerchantId, Number, Reach, Strategy, TrunkId, UnixMillis};

use super::{Target, target};
use crate::policy;

/// Next hops tried for one leg at most.
const HOPS_MAX: usize = 4;
/// Merchants' pools that one explanation names at most.
const POOLS_MAX: usize = 50;

/// The trunks to try, best first: the routes of the longest prefix that has one open with a trunk in use, by
/// priority, then cost, then as their weights are drawn. `draw(n)` gives a number below `n`, evenly.
pub(crate) fn trunks(
    snapshot: &Snapshot,
    number: &Number,
    at: UnixMillis,
    mut draw: impl FnMut(u64) -> u64,
) -> Vec<TrunkId> {
    let fit = judged(snapshot, number, at);
    let mut fit = fit.into_iter().filter(|(_, verdict)| verdict.is_none()).map(|(r, _)| r);
    let mut trunks = Vec::new();
    let mut next = fit.next();
    while let Some(first) = next.take() {
        let mut equals = vec![first];
        for route in fit.by_ref() {
            if rank(route) != rank(first) {
                next = Some(route);
                break;
            }
            equals.push(route);
        }
        while !equals.is_empty() && trunks.len() < HOPS_MAX {
            trunks.push(equals.remove(drawn(&equals, &mut draw)).trunk);
        }
    }
    trunks
}

/// Whether any route is open now to a number that this merchant pays for. Of one that tries things out all numbers but
/// short codes lead to the simulated far end, whatever routes there are.
pub(crate) fn leads(
    snapshot: &Snapshot,
    (number, payer): (&Number, MerchantId),
    at: UnixMillis,
) -> bool {
    if snapshot.is_sandbox(payer) && matches!(number, Number::E164(_)) {
        return snapshot.sandbox.is_some();
    }
    judged(snapshot, number, at).iter().any(|(_, verdict)| verdict.is_none())
}

/// The same at some time or other: a route that is closed now may be open then.
pub(crate) fn may_lead(snapshot: &Snapshot, (number, payer): (&Number, MerchantId)) -> bool {
    if snapshot.is_sandbox(payer) && matches!(number, Number::E164(_)) {
        return snapshot.sandbox.is_some();
    }
    let in_use = |route: &Route| snapshot.trunks.get(&route.trunk).is_some_and(|it| it.enabled);
    snapshot.routes.iter().any(|route| fits(&route.prefix, number) && in_use(route))
}

/// One of several, each as likely as its weight.
fn drawn(equals: &[&Route], draw: &mut impl FnMut(u64) -> u64) -> usize {
    let total: u64 = equals.iter().map(|route| weight(route)).sum();
    if equals.len() == 1 {
        return 0;
    }
    let mut left = draw(total);
    for (place, route) in equals.iter().enumerate() {
        match left.checked_sub(weight(route)) {
            Some(rest) => left = rest,
            None => return place,
        }
    }
    0
}

fn weight(route: &Route) -> u64 {
    u64::from(route.weight.max(1))
}

/// Routes of one rank share the calls by weight.
fn rank(route: &Route) -> (Reverse<usize>, u16, bool, i64) {
    let cost = route.cost.map_or(0, |cost| cost.0);
    (Reverse(route.prefix.len()), route.priority, route.cost.is_none(), cost)
}

/// Every route whose prefix fits, best first, with what speaks against it.
fn judged<'s>(
    snapshot: &'s Snapshot,
    number: &Number,
    at: UnixMillis,
) -> Vec<(&'s Route, Option<Verdict>)> {
    let local = snapshot.zone.local(at);
    let against = |route: &Route| match snapshot.trunks.get(&route.trunk) {
        None | Some(Trunk { enabled: false, .. }) => Some(Verdict::TrunkDisabled),
        Some(_) if !route.hours.open(local) => {
            Some(Verdict::OutsideHours { hours: route.hours.to_string() })
        }
        Some(_) => None,
    };
    let fitting = snapshot.routes.iter().filter(|route| fits(&route.prefix, number));
    let mut judged: Vec<_> = fitting.map(|route| (route, against(route))).collect();
    judged.sort_by_key(|(route, _)| (rank(route), Reverse(route.weight), route.trunk));
    let longest = judged.iter().find(|(_, verdict)| verdict.is_none());
    let longest = longest.map_or("", |(route, _)| route.prefix.as_str());
    for (route, verdict) in &mut judged {
        if verdict.is_none() && route.prefix.len() < longest.len() {
            *verdict = Some(Verdict::ShorterPrefix { longest: longest.to_owned() });
        }
    }
    judged
}

/// A short code matches only a route for that very code: `1…` of another country must not catch 10086, and
/// what nobody named is more likely a mistyped extension than a number of the carrier's.
fn fits(prefix: &str, number: &Number) -> bool {
    match number {
        Number::E164(digits) => digits.starts_with(prefix),
        Number::Short(digits) => digits == prefix,
        Number::Internal(_) => false,
    }
}

/// Whether there is such a number: every one but a short code that no route names, open or not.
pub(crate) fn exists(snapshot: &Snapshot, number: &Number) -> bool {
    !matches!(number, Number::Short(_))
        || snapshot.routes.iter().any(|route| fits(&route.prefix, number))
}

/// Why a number goes where it goes. Bare digits that are an extension's number are that extension. Without
/// `live` (a program that only reads the books) nobody knows whether an extension has contacts, so both ways
/// are named, and trunks are taken to have room. Prices are not looked at: a number that no tariff of the
/// asking merchant prices is refused before any route is.
///
/// # Errors
/// When `asked` is no number, in words.
pub fn explain(
    snapshot: &Snapshot,
    asked: &str,
    at: UnixMillis,
    live: Option<&Live<'_>>,
) -> Result<Explanation, String> {
    let internal =
        |user| snapshot.extensions.contains_key(user) || snapshot.groups.contains_key(user);
    let number = match internal(asked.trim()) {
        true => Number::Internal(asked.trim().to_owned()),
        false => snapshot.plan.parse(asked).map_err(|error| format!("{asked:?}: {error}"))?,
    };
    if let Some((user, to)) = always(snapshot, &number) {
        let mut explanation = explained(snapshot, asked, &led_on(to), at, live)?;
        if matches!(to, LeadsTo::Voicemail(_)) {
            (explanation.leads_to, explanation.phones) = (mailbox(to), Vec::new());
        }
        explanation.number = number.to_string();
        explanation.leads_to +=
            &format!(", where extension {user} leads every call on (always: {to})");
        return Ok(explanation);
    }
    explained(snapshot, asked, &number, at, live)
}

/// Where an extension leads every call on; nothing else that it wants counts then.
fn always<'s>(snapshot: &'s Snapshot, number: &Number) -> Option<(&'s String, &'s LeadsTo)> {
    let Number::Internal(user) = number else { return None };
    let (user, extension) = snapshot.extensions.get_key_value(user)?;
    extension.reach.always.as_ref().filter(|_| extension.enabled).map(|to| (user, to))
}

fn led_on(to: &LeadsTo) -> Number {
    match to {
        LeadsTo::Internal(user) | LeadsTo::Voicemail(user) => Number::Internal(user.clone()),
        LeadsTo::Public(digits) => Number::public(digits.clone()),
    }
}

fn mailbox(to: &LeadsTo) -> String {
    match to {
        LeadsTo::Voicemail(user) => format!("the mailbox of extension {user}"),
        other => other.to_string(),
    }
}

/// The same of a number by itself: what is wanted of it is named, and not followed.
fn explained(
    snapshot: &Snapshot,
    asked: &str,
    number: &Number,
    at: UnixMillis,
    live: Option<&Live<'_>>,
) -> Result<Explanation, String> {
    let local = snapshot.zone.local(at);
    let mut explanation = Explanation {
        asked: asked.to_owned(),
        number: number.to_string(),
        leads_to: String::new(),
        local_time: format!("{local} {}", snapshot.zone.name()),
        live: live.is_some(),
        candidates: Vec::new(),
        delivered: None,
        phones: Vec::new(),
        pools: Vec::new(),
        policies: Vec::new(),
    };
    if let Some(to) = snapshot.inbound.get(number.digits()).filter(|_| is_public(number)) {
        let inner = explain(snapshot, to, at, live)?;
        explanation.delivered = Some(inner.leads_to);
        explanation.phones = inner.phones;
    }
    let registered = |user: &str| live.is_none_or(|live| (live.registered)(user));
    // As its own merchant reaches it: who else calls pays for no bound phone. What is no extension has none.
    let owner = snapshot.extensions.get(number.digits()).map(|extension| extension.merchant);
    match target(snapshot, registered, (number, owner.unwrap_or(MerchantId(0)))) {
        None => {
            let what =
                if snapshot.groups.contains_key(number.digits()) { "group" } else { "extension" };
            explanation.leads_to = format!("{what} {number}, which is disabled");
        }
        Some(Target::Group(group)) => explanation.leads_to = group_leads_to(snapshot, &group),
        Some(Target::Contacts(user)) => {
            let bound = snapshot.extensions.get(&user).and_then(|ext| ext.bound_phone.clone());
            let known = match (&bound, live) {
                (Some(phone), None) => {
                    let phone = Number::public(phone.clone());
                    format!(", or {phone}, its bound phone, when it has none")
                }
                _ if registered(&user) => String::new(),
                _ => ", none now".to_owned(),
            };
            let wishes = wishes(snapshot, &user);
            explanation.leads_to = format!("the contacts of extension {user}{known}{wishes}");
            explanation.phones = live.map(|live| (live.phones)(&user)).unwrap_or_default();
            if let (Some(phone), None) = (bound, live) {
                explanation.candidates = candidates(snapshot, &Number::public(phone), at, live);
            }
        }
        // A wish leads there, never a number.
        Some(Target::Voicemail(_) | Target::Agents(_)) => {}
        Some(Target::Public(public) | Target::Bound { phone: public, .. }) => {
            explanation.candidates = candidates(snapshot, &public, at, live);
            explanation.pools = pools(snapshot);
            explanation.policies = policy::explained(snapshot, &public, at);
            let nowhere = nowhere(&public, &explanation.candidates);
            explanation.leads_to = match (number, nowhere) {
                (Number::Internal(user), nowhere) => {
                    let why = nowhere.map(|why| format!("; that leads nowhere: {why}"));
                    let why = why.unwrap_or_default();
                    format!("{public}, the phone bound to extension {user}{why}")
                }
                (_, Some(why)) => format!("nowhere: {why}"),
                (_, None) => format!("{public}, over a trunk"),
            };
        }
    }
    Ok(explanation)
}

fn is_public(number: &Number) -> bool {
    !matches!(number, Number::Internal(_))
}

/// Merchants that have pools, the first of them.
fn pools(snapshot: &Snapshot) -> Vec<PoolOf> {
    let named = snapshot.pools.iter().filter_map(|(id, pool)| {
        let merchant = snapshot.merchants.get(id)?.name.clone();
        Some(PoolOf { merchant, shows: pool_in_words(pool) })
    });
    named.take(POOLS_MAX).collect()
}

fn pool_in_words(pool: &Pool) -> String {
    let when = if pool.always { "always" } else { "where a call names none" };
    format!("shows one of its {} numbers ({}) {when}", pool.numbers.len(), pool.pick.as_str())
}

/// Where an extension leads calls on to that it does not take.
fn wishes(snapshot: &Snapshot, user: &str) -> String {
    let Some(reach) = snapshot.extensions.get(user).map(|extension| &extension.reach) else {
        return String::new();
    };
    let after = reach.no_answer_s.unwrap_or(Reach::RING_S);
    let told = |when: String, to: &Option<LeadsTo>| Some(format!("; {when}: {}", to.as_ref()?));
    // `always` comes before; of the others only that for busy counts for who is not to be rung.
    if reach.dnd && reach.always.is_none() {
        let then = reach
            .busy
            .as_ref()
            .map_or("is refused as busy".to_owned(), |to| format!("goes on to {to} (busy)"));
        return format!("; they are not rung, it does not want to be disturbed: a call {then}");
    }
    let each = [
        told("always".into(), &reach.always),
        told("busy".into(), &reach.busy),
        told(format!("no answer within {after} s"), &reach.no_answer),
        told("unreachable".into(), &reach.unreachable),
    ];
    each.into_iter().flatten().collect()
}

/// Corrects where a number of ours leads when a carrier delivers it: a privacy number to whom a binding names, one with a
/// scenario (`ivr` knows which of a merchant's have one) to what that says.
pub fn explain_delivered(
    snapshot: &Snapshot,
    told: &mut Explanation,
    number: &str,
    ivr: impl Fn(&str, MerchantId) -> bool,
) {
    if told.delivered.is_none() {
        return;
    }
    let Ok(Number::E164(digits)) = snapshot.plan.parse(number) else { return };
    let Some(owner) = snapshot.inbound_owner(&digits) else { return };
    let name = || snapshot.merchants.get(&owner).map(|it| it.name.clone()).unwrap_or_default();
    let leads_to = if snapshot.axb.contains(&digits) {
        format!("whom a binding of merchant {} names: it is a privacy number", name())
    } else if ivr(&digits, owner) {
        format!("the scenario that merchant {} has given it", name())
    } else {
        return;
    };
    told.delivered = Some(leads_to);
    told.phones.clear();
}

/// Whom a group rings.
fn group_leads_to(snapshot: &Snapshot, number: &str) -> String {
    let Some(group) = snapshot.groups.get(number) else { return String::new() };
    let how = match group.strategy {
        Strategy::RingAll => "all at once",
        Strategy::Sequential => "one after the other",
        Strategy::RoundRobin => "in turn",
        Strategy::LeastRecent => "least recent first",
        Strategy::FewestCalls => "fewest calls first",
        Strategy::Random => "by lot",
        Strategy::LongestIdle => "longest idle first",
    };
    let otherwise = group.otherwise.as_ref().map(|to| format!(", then {to}")).unwrap_or_default();
    let members = group.members.join(", ");
    format!("group {number}, {how}: {members}{otherwise}")
}

/// Why no trunk is tried for a public number; `None` when one is.
fn nowhere(number: &Number, candidates: &[Candidate]) -> Option<&'static str> {
    if candidates.iter().any(|candidate| candidate.place.is_some()) {
        return None;
    }
    Some(match number {
        _ if !candidates.is_empty() => "no route that fits can be tried",
        Number::Short(_) => "no extension has this number, and no route names it whole",
        _ => "no route has a prefix that fits",
    })
}

/// What only the running switch knows.
pub struct Live<'a> {
    /// Whether an extension has contacts.
    pub registered: &'a dyn Fn(&str) -> bool,
    /// The phones of an extension.
    pub phones: &'a dyn Fn(&str) -> Vec<Phone>,
    /// What speaks against a trunk at this moment.
    pub against: &'a dyn Fn(TrunkId, &Trunk) -> Option<Verdict>,
    /// Whether nothing came from a trunk lately.
    pub silent: &'a dyn Fn(TrunkId, &Trunk) -> bool,
}

fn candidates(
    snapshot: &Snapshot,
    number: &Number,
    at: UnixMillis,
    live: Option<&Live<'_>>,
) -> Vec<Candidate> {
    let judged = judged(snapshot, number, at);
    let equals = |route: &Route| {
        let same = |(other, verdict): &&(&Route, Option<Verdict>)| {
            verdict.is_none() && rank(other) == rank(route)
        };
        judged.iter().filter(same).fold((0, 0), |(count, sum), (other, _)| {
            (count + 1, sum + u32::try_from(weight(other)).unwrap_or(u32::MAX))
        })
    };
    let mut ahead = 0;
    let mut candidates: Vec<Candidate> = judged
        .iter()
        .map(|(route, verdict)| {
            let trunk = snapshot.trunks.get(&route.trunk);
            let verdict = verdict.clone().unwrap_or_else(|| {
                ahead += 1;
                if ahead > HOPS_MAX {
                    return Verdict::TooMany { most: HOPS_MAX };
                }
                let now = trunk.and_then(|trunk| (live?.against)(route.trunk, trunk));
                let silent = trunk.zip(live).is_some_and(|(t, live)| (live.silent)(route.trunk, t));
                now.unwrap_or_else(|| match equals(route) {
                    _ if silent => Verdict::Silent,
                    (0 | 1, _) => Verdict::Tried,
                    (_, of) => Verdict::Drawn { weight: route.weight.max(1), of },
                })
            });
            Candidate {
                prefix: route.prefix.clone(),
                trunk: trunk.map(|trunk| trunk.name.clone()).unwrap_or_default(),
                priority: route.priority,
                weight: route.weight,
                cost: route.cost,
                place: None,
                verdict,
                pool: trunk.and_then(|trunk| trunk.options.pool.as_ref()).map(pool_in_words),
            }
        })
        .collect();
    candidates.sort_by_key(|candidate| match candidate.verdict {
        Verdict::Tried | Verdict::Drawn { .. } => 0,
        Verdict::Silent => 1,
        _ => 2,
    });
    let tried = |candidate: &&mut Candidate| {
        matches!(candidate.verdict, Verdict::Tried | Verdict::Drawn { .. } | Verdict::Silent)
    };
    for (place, candidate) in (1..).zip(candidates.iter_mut().filter(tried)) {
        candidate.place = Some(place);
    }
    candidates
}

#[cfg(test)]
mod tests;
