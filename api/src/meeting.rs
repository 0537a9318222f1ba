//! What the doors of conferences share.

use facts::conference::{ParticipantView, Standing};
use facts::{CallCommand, CallFacts, LegFacts, LegNo, Party, Unrung};

/// A number of six digits that may be nobody's; `None` when the operating system has no random bytes.
pub(crate) fn draw() -> Option<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .inspect_err(|error| tracing::error!(%error, "no random bytes"))
        .ok()?;
    Some(format!("{:06}", 100_000 + u32::from_le_bytes(bytes) % 900_000))
}

/// All who are named in what was asked for.
fn named(command: &CallCommand) -> impl Iterator<Item = (&str, &Party)> {
    let conference = command.conference.as_ref();
    let creator = conference.map_or("", |conference| &conference.creator);
    let others = conference.into_iter().flat_map(|conference| &conference.others);
    std::iter::once((creator, &command.a)).chain(others.map(|one| (one.name.as_str(), &one.party)))
}

/// Who was asked for in one that is over: who was rung, who could not be, then whom nobody rang.
pub(crate) fn left(facts: &CallFacts) -> Vec<ParticipantView> {
    let gone = |leg: LegNo, as_sent: &str| {
        let name = named(&facts.command).find(|(_, party)| party.as_sent == as_sent);
        let name = name.map(|(name, _)| name).unwrap_or_default();
        absent((leg, name, as_sent), Standing::Left)
    };
    let rung = |leg: &LegFacts| ParticipantView {
        joined: leg.answered,
        left: leg.ended,
        failure: leg.failure,
        ..gone(leg.no, &leg.as_sent)
    };
    let barred = |one: &Unrung| ParticipantView {
        failure: Some(one.failure),
        ..gone(one.leg, &one.as_sent)
    };
    let mut all: Vec<ParticipantView> = facts.legs.iter().map(rung).collect();
    all.extend(facts.unrung.iter().map(barred));
    all.sort_by_key(|one| one.leg);
    let never = unrung(&facts.command, Standing::Left);
    let never: Vec<_> =
        never.filter(|one| all.iter().all(|known| known.as_sent != one.as_sent)).collect();
    all.extend(never);
    all
}

/// Somebody who is not there.
fn absent((leg, name, as_sent): (LegNo, &str, &str), standing: Standing) -> ParticipantView {
    ParticipantView {
        leg,
        name: name.to_owned(),
        as_sent: as_sent.to_owned(),
        standing,
        muted: false,
        deaf: false,
        talks: false,
        call: None,
        joined: None,
        left: None,
        failure: None,
    }
}

/// All who were asked for, whom nobody has rung.
pub(crate) fn unrung(
    command: &CallCommand,
    standing: Standing,
) -> impl Iterator<Item = ParticipantView> {
    let row = move |(no, (name, party)): (u8, (&str, &Party))| {
        absent((LegNo(no), name, &party.as_sent), standing)
    };
    (0..).zip(named(command)).map(row)
}
