//! What the doors of conferences share.

use facts::conference::{ParticipantView, Standing};
use facts::{CallCommand, CallFacts, LegFacts, LegNo, Party};

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

/// Who was asked for in one that is over: who was rung, then whom nobody rang.
pub(crate) fn left(facts: &CallFacts) -> Vec<ParticipantView> {
    let row = |leg: &LegFacts| {
        let name = named(&facts.command).find(|(_, party)| party.as_sent == leg.as_sent);
        ParticipantView {
            leg: leg.no,
            name: name.map_or_else(String::new, |(name, _)| name.to_owned()),
            as_sent: leg.as_sent.clone(),
            standing: Standing::Left,
            muted: false,
            deaf: false,
            talks: false,
            call: None,
            joined: leg.answered,
            left: leg.ended,
        }
    };
    let mut all: Vec<ParticipantView> = facts.legs.iter().map(row).collect();
    let never = unrung(&facts.command, Standing::Left);
    let never = never.filter(|one| facts.legs.iter().all(|leg| leg.as_sent != one.as_sent));
    all.extend(never);
    all
}

/// All who were asked for, whom nobody has rung.
pub(crate) fn unrung(
    command: &CallCommand,
    standing: Standing,
) -> impl Iterator<Item = ParticipantView> {
    let row = move |(no, (name, party)): (u8, (&str, &Party))| ParticipantView {
        leg: LegNo(no),
        name: name.to_owned(),
        as_sent: party.as_sent.clone(),
        standing,
        muted: false,
        deaf: false,
        talks: false,
        call: None,
        joined: None,
        left: None,
    };
    (0..).zip(named(command)).map(row)
}
