//! Groups, who signs in to them, extensions and numbers of a company.

use std::collections::{BTreeMap, BTreeSet};

use billing::Once;
use billing::signs::{Done, Sign};
use dialect::sipcall::desk::{self, Member, NewGroup, SignAsked, Sipnumbers, Wanted};
use dialect::sipcall::{Answer, Code, Rules, Service, Stop};
use facts::group::Group;
use facts::station::Station;
use facts::{Number, UnixMillis};

use super::play::Groups;
use super::status::stations;
use super::{Asker, Gate, ours};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Each of these services.
pub(super) async fn run(gate: Gate<'_>, view: &View, rules: Rules<'_>) -> Result<Answer, Stop> {
    let state = gate.state;
    match gate.service {
        Service::AddExtgroup => {
            let asked = NewGroup::read(rules)?;
            add(state, &gate.open()?, asked?).await
        }
        Service::DelExtgroup => {
            let name = desk::read_group(rules)?;
            remove(state, &gate.open()?, &name).await
        }
        Service::GetGroupExt => {
            let wanted = Wanted::read(rules, "name")?;
            let found = members(state, view, &gate.open()?, &wanted).await?;
            let there: Vec<Found> = found.into_iter().filter(|member| member.place > 0).collect();
            Ok(desk::group_members(&there.iter().map(Found::told).collect::<Vec<_>>()))
        }
        Service::GetQueueSipStatus => {
            let wanted = Wanted::read(rules, "queuename")?;
            let found = members(state, view, &gate.open()?, &wanted).await?;
            Ok(desk::queue_status(&found.iter().map(Found::told).collect::<Vec<_>>()))
        }
        Service::SipSignIn => {
            let asked = SignAsked::read(rules)?;
            sign(state, view, &gate.open()?, asked, true).await
        }
        Service::SipSignOut => {
            let asked = SignAsked::read(rules)?;
            sign(state, view, &gate.open()?, asked, false).await
        }
        Service::GetSipnumberInfo => {
            let asked = Sipnumbers::read(rules)?;
            sipnumbers(state, view, &gate.open()?, &asked).await
        }
        Service::GetDisnumberInfo => {
            let asker = gate.open()?;
            let national = |digits: &String| view.plan.national(&Number::public(digits.clone()));
            Ok(desk::disnumbers(asker.company.callers.iter().map(national)))
        }
        _ => {
            let asker = gate.open()?;
            Ok(desk::queues(groups(view, &asker).map(|(number, group)| {
                let members = group.members.len() as u64;
                (group.name.as_str(), number.as_str(), members, group.enabled)
            })))
        }
    }
}

/// The groups of whoever asks.
fn groups<'a>(view: &'a View, asker: &Asker) -> impl Iterator<Item = (&'a String, &'a Group)> {
    let merchant = asker.merchant.id;
    view.groups.iter().filter(move |(_, group)| group.merchant == merchant)
}

/// How the audit trail names a company.
fn by(asker: &Asker) -> String {
    format!("company {}", asker.company.companycode)
}

/// What was changed is seen at once, here and by the engine.
async fn changed(state: &ApiState, done: Done) -> Result<(), Code> {
    match done {
        Done::Done => {
            state.0.settings.forget().await;
            state.0.calls.settings_changed();
            Ok(())
        }
        Done::NoGroup => Err(Code::NoGroup),
        Done::Full | Done::Taken | Done::Needed => Err(Code::Failed),
    }
}

async fn add(state: &ApiState, asker: &Asker, asked: NewGroup) -> Result<Answer, Stop> {
    let once = Once::fresh().map_err(ours)?;
    let group = (asker.merchant.id, asked.name.as_str(), asked.enabled);
    let made = state.0.store.add_group(&once, now(), &by(asker), group).await.map_err(ours)?;
    changed(state, made.as_ref().map_or_else(|done| *done, |_| Done::Done)).await?;
    Ok(desk::added(&asked.name, &made.unwrap_or_default()))
}

async fn remove(state: &ApiState, asker: &Asker, name: &str) -> Result<Answer, Stop> {
    let once = Once::fresh().map_err(ours)?;
    let group = (asker.merchant.id, name);
    let done = state.0.store.remove_group(&once, now(), &by(asker), group).await.map_err(ours)?;
    changed(state, done).await?;
    Ok(Answer::done("删除成功", "deleted"))
}

/// The number of a group that somebody signs in to.
fn queue<'a>(view: &'a View, asker: &Asker, name: &str) -> Result<&'a String, Code> {
    match (Groups { view, merchant: asker.merchant.id }).find(name) {
        Some(number) => Ok(number),
        // Names of others are nobody's business; numbers are known to be theirs.
        None if view.groups.contains_key(name) => Err(Code::ForeignQueue),
        None => Err(Code::NoGroup),
    }
}

async fn sign(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: SignAsked,
    present: bool,
) -> Result<Answer, Stop> {
    let store = &state.0.store;
    match view.extension(store, &asked.extension).await.map_err(ours)? {
        None => return Err(Code::NoExtension.into()),
        Some(known) if known.merchant != asker.merchant.id => {
            return Err(Code::ForeignExtension.into());
        }
        Some(known) if !known.enabled => return Err(Code::DisabledExtension.into()),
        Some(_) => {}
    }
    let number = queue(view, asker, &asked.group)?.clone();
    let once = Once::fresh().map_err(ours)?;
    let SignAsked { extension, crmid, .. } = asked;
    let sign = Sign { number, extension, present, crmid, at: now() };
    let done = store.sign(&once, &by(asker), sign).await.map_err(ours)?;
    if done == Done::Full {
        return Err(Code::QueueFault.into());
    }
    changed(state, done).await?;
    Ok(match present {
        true => Answer::done("签入成功", "signed in"),
        false => Answer::done("签出成功", "signed out"),
    })
}

/// A member of a group, or one that has signed out of it.
struct Found {
    group: String,
    place: u64,
    signed: Option<UnixMillis>,
    station: Station,
}

impl Found {
    fn told(&self) -> Member<'_> {
        let Found { group, place, signed, station } = self;
        Member { group, place: *place, signed: *signed, station }
    }
}

/// The members of groups that are looked for, group by group, and behind them those who have signed out.
async fn members(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    wanted: &Wanted,
) -> Result<Vec<Found>, Stop> {
    let one = match wanted.group.as_str() {
        "" => None,
        name => Some(queue(view, asker, name)?),
    };
    let signs = state.0.store.signs().await.map_err(ours)?;
    let mut rows = Vec::new();
    for (number, group) in
        groups(view, asker).filter(|(number, _)| one.is_none_or(|one| one == *number))
    {
        let signs = signs.get(number).map(Vec::as_slice).unwrap_or_default();
        let when = |extension: &String| {
            let of = |sign: &&Sign| sign.extension == *extension && sign.present;
            signs.iter().find(of).map(|sign| sign.at)
        };
        for (place, extension) in (1..).zip(&group.members) {
            rows.push((group, place, when(extension), extension));
        }
        let gone = |sign: &&Sign| !sign.present && !group.members.contains(&sign.extension);
        for sign in signs.iter().filter(gone) {
            rows.push((group, 0, Some(sign.at), &sign.extension));
        }
    }
    rows.retain(|(.., extension)| wanted.has(extension));
    let names: BTreeSet<&String> = rows.iter().map(|(.., extension)| *extension).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let stations = stations(state, &names).await?;
    let stations: BTreeMap<&str, &Station> =
        stations.iter().map(|station| (station.extension.as_str(), station)).collect();
    let found = rows.into_iter().filter_map(|(group, place, signed, extension)| {
        let station = (*stations.get(extension.as_str())?).clone();
        Some(Found { group: group.name.clone(), place, signed, station })
    });
    Ok(found.collect())
}

async fn sipnumbers(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &Sipnumbers,
) -> Result<Answer, Stop> {
    let (store, merchant) = (&state.0.store, asker.merchant.id);
    let extensions = store.extensions(Some(merchant)).await.map_err(ours)?;
    let passwords = store.told_passwords(merchant).await.map_err(ours)?;
    let shown = view.merchants.get(&merchant).and_then(|merchant| merchant.shown.clone());
    let shown = shown.map(|digits| view.plan.national(&Number::public(digits))).unwrap_or_default();
    let mut wanted = extensions;
    wanted.retain(|extension| {
        asked.enabled.is_none_or(|enabled| extension.enabled == enabled)
            && (asked.extensions.is_empty() || asked.extensions.contains(&extension.number))
    });
    let numbers = wanted.iter().map(|extension| extension.number.clone()).collect();
    let bindings = state.0.calls.bindings_of(numbers).await;
    let there: BTreeSet<&str> = bindings.iter().map(|(user, ..)| user.as_str()).collect();
    Ok(desk::sipnumbers(wanted.iter().map(|extension| {
        let number = extension.number.as_str();
        let password = passwords.get(number).map_or("", String::as_str);
        (number, password, extension.enabled, there.contains(number), shown.as_str())
    })))
}
