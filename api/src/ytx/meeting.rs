//! Conferences: `TeleMeeting.wx` and `MeetingQuery.wx` (merchant API §3.6).

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use billing::rows::{Booked, ConferenceEntry, ConferenceState};
use dialect::ytx::{self, Action, Code, CreateMeeting, FID_CONFERENCE, Invited, RING_DEFAULT};
use facts::conference::{Act, ActRefused, Conference, Participant, Standing};
use facts::{CallCommand, CallId, Dialect, Number, Party, Purpose, PushKind, Refusal, RequestKey};

use super::place::{key, number, pushes, refused, rung, shown};
use super::{Asker, ours, rate};
use crate::meeting::{draw, left, unrung};
use crate::settings::{View, dialled};
use crate::state::{ApiState, now};

/// Ids that are drawn for one conference before it is given up: of a million few are in use.
const DRAWS_MAX: u32 = 16;

/// Begins a conference, or books one.
pub(super) async fn create(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
    headers: &HeaderMap,
) -> Result<String, Code> {
    let asked = action.create_meeting(now())?;
    let (mut command, key) = command(state, view, asker, &asked, headers).await?;
    rate(state, asker)?;
    for _ in 0..DRAWS_MAX {
        let confid = match &asked.confid {
            Some(wished) => wished.clone(),
            None => draw().ok_or(Code::Internal)?,
        };
        if let Some(conference) = &mut command.conference {
            conference.number.clone_from(&confid);
        }
        let taken = match asked.at {
            Some(at) => {
                let store = &state.0.store;
                let booked = store.book_conference(command.clone(), key.clone(), (at, now()));
                match booked.await.map_err(ours)? {
                    Booked::Now(_) => return Ok(ytx::created("", &confid)),
                    Booked::Before(confid) => return Ok(ytx::created("", &confid)),
                    Booked::OtherRequest => return Err(Code::BadValue),
                    Booked::TooMany => return Err(Code::TooFrequent),
                    Booked::Taken => true,
                }
            }
            None => match state.place(command.clone()).await {
                Ok(placed) => return begun(state, placed.call, confid, placed.duplicate).await,
                Err(Refusal::KeyConflict) => true,
                Err(refusal) => return Err(refused(refusal)),
            },
        };
        // Another request with the same key as well: drawing again would not help, nor harm.
        if taken && asked.confid.is_some() {
            return Err(Code::BadValue);
        }
    }
    Err(Code::BadValue)
}

/// The answer; that of a repeat tells of the conference that the first request began.
async fn begun(
    state: &ApiState,
    call: CallId,
    confid: String,
    duplicate: bool,
) -> Result<String, Code> {
    let mut confid = confid;
    if duplicate {
        let entry = state.0.store.call(call).await.map_err(ours)?.ok_or(Code::Internal)?;
        confid = entry.command.conference.ok_or(Code::BadValue)?.number;
    }
    Ok(ytx::created(&ytx::request_id(call, FID_CONFERENCE), &confid))
}

async fn command(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &CreateMeeting,
    headers: &HeaderMap,
) -> Result<(CallCommand, Option<RequestKey>), Code> {
    let numbers: Vec<&str> = asked.parties.iter().map(|party| party.phone.as_str()).collect();
    let when = asked.at.map(|at| format!("\n{}", at.0)).unwrap_or_default();
    let same = format!("{}\n{}{when}", asked.creator, numbers.join("\n"));
    let key = key(asker, same, headers)?;
    let (creator, sub_account) = rung(state, view, asker, &asked.creator).await?;
    let creator_shown = shown(&asker.app, view, asked.creator_shown.as_deref())?;
    let shown = shown(&asker.app, view, asked.shown.as_deref())?;
    let others = participants(state, view, &asked.parties, shown.as_ref()).await?;
    let all = std::iter::once(&creator).chain(others.iter().map(|one| &one.party.number));
    distinct(all)?;
    let conference = Conference {
        number: String::new(),
        title: asked.title.clone(),
        creator: String::new(),
        others,
        chimes: asked.tones,
        booking: None,
    };
    let command = CallCommand {
        dialect: Dialect::Ytx,
        merchant: asker.merchant.id,
        sub_account,
        app: asker.app.appid.clone(),
        a: Party {
            number: creator,
            as_sent: asked.creator.clone(),
            shown: creator_shown,
            ring: RING_DEFAULT,
        },
        b: None,
        scenario: None,
        conference: Some(Box::new(conference)),
        purpose: Purpose::Conference,
        max_talk: None,
        record: asker.app.record,
        // What is booked is asked of the switch once, and by nobody but us.
        key: key.clone().filter(|_| asked.at.is_none()),
        pushes: pushes(&asker.app, &[PushKind::Record]),
        custom: asked.custom.clone(),
    };
    Ok((command, key))
}

async fn participants(
    state: &ApiState,
    view: &View,
    asked: &[Invited],
    shown: Option<&Number>,
) -> Result<Vec<Participant>, Code> {
    let mut all = Vec::with_capacity(asked.len());
    for one in asked {
        let called = dialled(&state.0.store, view, &one.phone).await.map_err(ours)?;
        let party = Party {
            number: number(called)?,
            as_sent: one.phone.clone(),
            shown: shown.cloned(),
            ring: RING_DEFAULT,
        };
        all.push(Participant { name: one.name.clone(), party });
    }
    Ok(all)
}

/// Nobody is rung twice for one conference at one time.
fn distinct<'n>(numbers: impl Iterator<Item = &'n Number>) -> Result<(), Code> {
    let mut seen = BTreeSet::new();
    for number in numbers {
        if !seen.insert(number) {
            return Err(Code::BadValue);
        }
    }
    Ok(())
}

/// The conference of this app that has this number.
async fn entry(state: &ApiState, asker: &Asker, action: &Action) -> Result<ConferenceEntry, Code> {
    let confid = action.confid()?;
    let found = state.0.store.conference(Dialect::Ytx, &asker.app.appid, &confid).await;
    found.map_err(ours)?.ok_or(Code::BadValue)
}

/// `inviteMeeting`, `muteMeeting`, `unmuteMeeting`, `kickMeeting`, `closeMeeting`.
pub(super) async fn act(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
) -> Result<String, Code> {
    let act = read(state, view, asker, action).await?;
    rate(state, asker)?;
    let entry = entry(state, asker, action).await?;
    let call = match (entry.state, entry.call) {
        (ConferenceState::Live, Some(call)) => call,
        (ConferenceState::Booked, _) if act == Act::Close => {
            let over = ConferenceState::Over;
            let ended = state.0.store.end_booking(entry.id, over, now()).await.map_err(ours)?;
            return if ended { Ok(ytx::success("")) } else { Err(Code::BadValue) };
        }
        _ => return Err(Code::BadValue),
    };
    match state.0.calls.confer(call, act).await {
        Ok(()) => Ok(ytx::success(&ytx::request_id(call, FID_CONFERENCE))),
        Err(ActRefused::Refused(refusal)) => Err(refused(refusal)),
        Err(
            ActRefused::Unknown
            | ActRefused::NotThere
            | ActRefused::Full
            | ActRefused::AlreadyThere
            | ActRefused::Locked
            | ActRefused::Repeated
            | ActRefused::KeyConflict,
        ) => Err(Code::BadValue),
    }
}

async fn read(state: &ApiState, view: &View, asker: &Asker, action: &Action) -> Result<Act, Code> {
    if action.name == "inviteMeeting" {
        let invited = action.invited()?;
        let shown = shown(&asker.app, view, None)?;
        let all = participants(state, view, &invited, shown.as_ref()).await?;
        distinct(all.iter().map(|one| &one.party.number))?;
        return Ok(Act::Invite(all, None));
    }
    if action.name == "closeMeeting" {
        return Ok(Act::Close);
    }
    let who = dialled(&state.0.store, view, &action.member()?).await.map_err(ours)?;
    let who = number(who)?;
    Ok(match action.name {
        "kickMeeting" => Act::Kick { who },
        name => Act::Mute { who, muted: name == "muteMeeting" },
    })
}

/// `queryMeeting`.
pub(super) async fn query(
    state: &ApiState,
    asker: &Asker,
    action: &Action,
) -> Result<String, Code> {
    action.confid()?;
    rate(state, asker)?;
    let entry = entry(state, asker, action).await?;
    let confid = &entry.number;
    if entry.state == ConferenceState::Live
        && let Some(call) = entry.call
        && let Some(view) = state.0.calls.conference(call).await.map_err(|_| Code::Internal)?
    {
        return Ok(ytx::meeting_answer(confid, "on", &view.participants));
    }
    let word = match entry.state {
        ConferenceState::Booked => "booked",
        ConferenceState::Live | ConferenceState::Over => "off",
        ConferenceState::Missed => "missed",
        ConferenceState::Refused => "refused",
    };
    let record = match entry.call {
        Some(call) => state.0.store.call(call).await.map_err(ours)?.and_then(|call| call.record),
        None => None,
    };
    let rows = match (record, &entry.command) {
        (Some(record), _) => left(&record.facts),
        (None, Some(command)) if entry.state == ConferenceState::Booked => {
            unrung(command, Standing::Waiting).collect()
        }
        (None, Some(command)) => unrung(command, Standing::Left).collect(),
        (None, None) => Vec::new(),
    };
    Ok(ytx::meeting_answer(confid, word, &rows))
}
