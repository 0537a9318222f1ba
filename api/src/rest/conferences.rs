//! `/v1/conferences`: begun, seen, led and ended, by their numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use billing::rows::{Booked, ConferenceEntry, ConferenceState};
use dialect::rest::{
    Begun, Code, FieldError, Meeting, Member, NewConference, NewMember, NewMembers, Op, Problem,
    instant, is_conference, parse, parse_leniently,
};
use facts::conference::{Act, ActRefused, Conference, LEGS_MAX, Participant, Standing};
use facts::{
    CallCommand, CallId, Dialect, Number, Placed, Purpose, Refusal, RequestKey, UnixMillis,
};
use serde_json::json;

use super::place::{
    REPLAYED, app, created, earlier, key, participant, party, pushes, refused, rung, shown,
    unplaced, unreachable,
};
use super::{Asked, Asker, Reply, not_live, ok, ours, silent};
use crate::meeting::{draw, left, unrung};
use crate::settings::{View, dialled};
use crate::state::{ApiState, now};

/// Numbers that are drawn for one conference before it is given up: of a million few are in use.
const DRAWS_MAX: u32 = 16;

pub(super) async fn begin(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let key = key(asked, Op::BeginConference)?;
    if let Some(placed) = earlier(state, asker, key.as_ref()).await? {
        return begun(state, placed).await;
    }
    if let Some(booked) = booked_before(state, asker, key.as_ref()).await? {
        return Ok(planned(&booked.number, booked.created, booked.start, true));
    }
    let (new, mut wrong) = parse_leniently::<NewConference>(&asked.body)?;
    wrong.extend(new.mistakes());
    let start = new.start(now()).unwrap_or_else(|error| {
        wrong.push(error);
        None
    });
    let merchant = &asker.merchant;
    let first = rung(state, view, merchant, &new.to, "/to").await.map_err(ours)?;
    let (number, sub_account) = first.unwrap_or_else(|error| {
        wrong.push(error);
        (Number::Internal(String::new()), None)
    });
    let a_shown = shown(view, asker, &new.to, "/to", &mut wrong);
    let others = members(state, view, asker, &new.participants, &mut wrong).await?;
    let all = std::iter::once(&number).chain(others.iter().map(|one| &one.party.number));
    distinct(all, &mut wrong);
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let conference = Conference {
        number: String::new(),
        title: new.title.unwrap_or_default(),
        creator: String::new(),
        others,
        chimes: new.tones,
        booking: None,
    };
    let command = CallCommand {
        dialect: Dialect::Rest,
        merchant: merchant.id,
        sub_account,
        app: app(merchant),
        a: party(number, &new.to, a_shown),
        b: None,
        scenario: None,
        conference: Some(Box::new(conference)),
        purpose: Purpose::Conference,
        max_talk: new.max_talk_s.map(|seconds| Duration::from_secs(seconds.into())),
        record: new.record.unwrap_or(merchant.record),
        // What is booked is asked of the switch once, and by nobody but us.
        key: key.clone().filter(|_| start.is_none()),
        pushes: pushes(new.reference.as_deref()),
        custom: new.reference.unwrap_or_default(),
    };
    match start {
        Some(start) => book(state, (command, key), start, new.conference).await,
        None => begun(state, place(state, command, new.conference).await?).await,
    }
}

/// The booking that the same request made before.
async fn booked_before(
    state: &ApiState,
    asker: &Asker,
    key: Option<&RequestKey>,
) -> Result<Option<ConferenceEntry>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let known = state.0.store.booked_before(asker.merchant.id, &key.key, now()).await;
    match known.map_err(ours)? {
        Some((entry, same)) if same == key.fingerprint => Ok(Some(entry)),
        Some(_) => Err(Problem::new(Code::KeyReused, "")),
        None => Ok(None),
    }
}

/// Books it under the number that was wished for, or under one that is nobody's.
async fn book(
    state: &ApiState,
    (mut command, key): (CallCommand, Option<RequestKey>),
    start: UnixMillis,
    wished: Option<String>,
) -> Reply {
    let at = now();
    for _ in 0..DRAWS_MAX {
        let number = match &wished {
            Some(number) => number.clone(),
            None => draw().ok_or_else(|| Problem::new(Code::Internal, ""))?,
        };
        if let Some(conference) = &mut command.conference {
            conference.number.clone_from(&number);
        }
        let booked = state.0.store.book_conference(command.clone(), key.clone(), (start, at)).await;
        match booked.map_err(ours)? {
            Booked::Now(_) => return Ok(planned(&number, at, Some(start), false)),
            // The same request came meanwhile.
            Booked::Before(number) => return Ok(planned(&number, at, Some(start), true)),
            Booked::OtherRequest => return Err(Problem::new(Code::KeyReused, "")),
            Booked::TooMany => {
                return Err(Problem::new(Code::Full, "a merchant has 500 bookings at a time"));
            }
            Booked::Taken if wished.is_some() => break,
            Booked::Taken => {}
        }
    }
    Err(Problem::new(Code::ConferenceTaken, ""))
}

/// The answer to a booking.
fn planned(
    number: &str,
    created: UnixMillis,
    start: Option<UnixMillis>,
    duplicate: bool,
) -> axum::response::Response {
    let url = format!("/v1/conferences/{number}");
    let told = Begun {
        conference: number.to_owned(),
        id: None,
        status: "booked".to_owned(),
        start_at: start.map(instant),
        created: instant(created),
        url: url.clone(),
    };
    super::place::created(&told, &url, duplicate)
}

/// Which conference a request became.
async fn begun(state: &ApiState, placed: Placed) -> Reply {
    let entry = state.0.store.call(placed.call).await.map_err(ours)?;
    let conference = entry.and_then(|entry| entry.command.conference);
    let number = conference.ok_or_else(|| Problem::new(Code::Internal, ""))?.number;
    let url = format!("/v1/conferences/{number}");
    let begun = Begun {
        conference: number,
        id: Some(placed.call.to_string()),
        status: "accepted".to_owned(),
        start_at: None,
        created: instant(placed.call.made_at()),
        url: url.clone(),
    };
    Ok(created(&begun, &url, placed.duplicate))
}

/// Places it under the number that was wished for, or under one that is nobody's.
async fn place(
    state: &ApiState,
    mut command: CallCommand,
    wished: Option<String>,
) -> Result<Placed, Problem> {
    // A number that is taken and a key that was used are told with one word: whether the same request came meanwhile is
    // asked for first.
    if let Some(key) = &command.key
        && let Some(placed) = state.earlier(command.merchant, key).await.map_err(refused)?
    {
        return Ok(placed);
    }
    for _ in 0..DRAWS_MAX {
        let number = match &wished {
            Some(number) => number.clone(),
            None => draw().ok_or_else(|| Problem::new(Code::Internal, ""))?,
        };
        if let Some(conference) = &mut command.conference {
            conference.number = number;
        }
        match state.place(command.clone()).await {
            Ok(placed) => return Ok(placed),
            Err(Refusal::KeyConflict) if wished.is_none() => {}
            Err(Refusal::KeyConflict) => break,
            Err(refusal) => return Err(unplaced(state, &command, refusal).await),
        }
    }
    Err(Problem::new(Code::ConferenceTaken, ""))
}

async fn members(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &[NewMember],
    wrong: &mut Vec<FieldError>,
) -> Result<Vec<Participant>, Problem> {
    // More than that is wrong whoever they are, and is told by now: nobody is looked up.
    if asked.len() >= LEGS_MAX {
        return Ok(Vec::new());
    }
    let mut all = Vec::with_capacity(asked.len());
    for (nth, one) in asked.iter().enumerate() {
        let (at, wanted) = (format!("/participants/{nth}"), one.party());
        let found = rung(state, view, &asker.merchant, &wanted, &at).await.map_err(ours)?;
        let shown = shown(view, asker, &wanted, &at, wrong);
        match found {
            Ok((number, _)) => {
                let name = one.name.clone().unwrap_or_default();
                all.push(Participant { name, party: party(number, &wanted, shown) });
            }
            Err(error) => wrong.push(error),
        }
    }
    Ok(all)
}

/// Nobody is rung twice for one conference at one time.
fn distinct<'n>(numbers: impl Iterator<Item = &'n Number>, wrong: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for number in numbers {
        if !seen.insert(number) {
            wrong.push(FieldError::new("/participants", "names somebody twice"));
            return;
        }
    }
}

/// The merchant's conference that has, or had last, the number in the path.
async fn entry(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<ConferenceEntry, Problem> {
    let number = asked.path.first().map(String::as_str).unwrap_or_default();
    if !is_conference(number) {
        let words = "a conference is named by its six digits, not by the id of its call";
        return Err(Problem::new(Code::NotFound, words));
    }
    let found = state.0.store.conference(Dialect::Rest, &app(&asker.merchant), number).await;
    found.map_err(ours)?.ok_or_else(|| Problem::new(Code::NotFound, "no such conference"))
}

/// The call of one that is under way.
async fn live(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<CallId, Problem> {
    let entry = entry(state, asker, asked).await?;
    let call = entry.call.filter(|_| entry.state == ConferenceState::Live);
    let why = match entry.state {
        ConferenceState::Booked => "the conference has not begun",
        _ => "the conference is over",
    };
    call.ok_or_else(|| Problem::new(Code::NotLive, why))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let entry = entry(state, asker, asked).await?;
    let gone = || Problem::new(Code::NotFound, "no such conference");
    let start_at = entry.start.map(instant);
    let Some(call) = entry.call else {
        let told = Meeting { start_at, ..never_begun(entry).ok_or_else(gone)? };
        return Ok(ok(StatusCode::OK, &told));
    };
    let known = state.0.store.call(call).await.map_err(ours)?.ok_or_else(gone)?;
    let title = known.command.conference.map(|asked| asked.title).unwrap_or_default();
    let (number, id) = (entry.number, call.to_string());
    if let Some(record) = known.record {
        let all = left(&record.facts);
        let told = Meeting { start_at, ..Meeting::over(number, id, title, &all) };
        return Ok(ok(StatusCode::OK, &told));
    }
    let view = state.0.calls.conference(call).await.map_err(silent)?;
    // Another process tells how it stands; here it is about to begin, or about to be told as ended.
    if view.is_none() && call.node() != state.0.config.node {
        return Err(not_live(state, call, ""));
    }
    let view = view.unwrap_or_default();
    let told = Meeting { start_at, ..Meeting::open(number, id, title, &view) };
    Ok(ok(StatusCode::OK, &told))
}

/// One that was booked, and of which there is no call.
fn never_begun(entry: ConferenceEntry) -> Option<Meeting> {
    let command = entry.command?;
    let title = command.conference.as_ref().map(|asked| asked.title.clone()).unwrap_or_default();
    let (word, standing) = match entry.state {
        ConferenceState::Booked => ("booked", Standing::Waiting),
        ConferenceState::Missed => ("missed", Standing::Left),
        ConferenceState::Refused => ("refused", Standing::Left),
        ConferenceState::Live | ConferenceState::Over => ("cancelled", Standing::Left),
    };
    let all: Vec<_> = unrung(&command, standing).collect();
    Some(Meeting::planned(entry.number, title, word, &all))
}

/// Does something, and says that it is done.
async fn act(
    state: &ApiState,
    (call, act): (CallId, Act),
    (status, done): (StatusCode, &str),
) -> Reply {
    state.0.calls.confer(call, act).await.map_err(|why| unwilling(state, call, why))?;
    Ok(ok(status, &json!({ "id": call.to_string(), "done": done })))
}

fn unwilling(state: &ApiState, call: CallId, why: ActRefused) -> Problem {
    match why {
        ActRefused::Unknown => not_live(state, call, "the conference is ending"),
        ActRefused::NotThere => Problem::new(Code::NotThere, ""),
        ActRefused::Full => Problem::new(Code::Full, "a conference has a hundred legs in its life"),
        ActRefused::AlreadyThere => Problem::new(Code::NotInvited, "somebody is there already"),
        ActRefused::Locked => Problem::new(Code::NotInvited, "the conference is locked"),
        ActRefused::KeyConflict => Problem::new(Code::KeyReused, ""),
        // Whoever may repeat something looks at this himself.
        ActRefused::Repeated => Problem::new(Code::NotInvited, "they were invited before"),
        ActRefused::Refused(refusal) => refused(refusal),
    }
}

pub(super) async fn close(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let booking = entry(state, asker, asked).await?;
    if booking.state == ConferenceState::Booked {
        let over = ConferenceState::Over;
        // Otherwise it has begun meanwhile.
        if state.0.store.end_booking(booking.id, over, now()).await.map_err(ours)? {
            return Ok(ok(StatusCode::ACCEPTED, &json!({ "id": null, "done": "close" })));
        }
    }
    let call = live(state, asker, asked).await?;
    act(state, (call, Act::Close), (StatusCode::ACCEPTED, "close")).await
}

pub(super) async fn lock(state: &ApiState, asker: &Asker, asked: &Asked, locked: bool) -> Reply {
    let call = live(state, asker, asked).await?;
    let word = if locked { "lock" } else { "unlock" };
    act(state, (call, Act::Lock { locked }), (StatusCode::OK, word)).await
}

/// Rings others as well. A repeat under the same key rings nobody.
pub(super) async fn invite(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let key = key(asked, Op::Invite)?;
    let call = entry(state, asker, asked).await?.call;
    let (call, store) = (call.ok_or_else(|| Problem::new(Code::NotLive, ""))?, &state.0.store);
    let of = |key: &RequestKey| (asker.merchant.id, format!("{call} {}", key.key));
    if let Some(key) = &key {
        let (merchant, name) = of(key);
        match store.repeated(merchant, name).await.map_err(ours)? {
            Some(known) if known == key.fingerprint => return Ok(invited(call, true)),
            Some(_) => return Err(Problem::new(Code::KeyReused, "")),
            None => {}
        }
    }
    let (new, mut wrong) = parse_leniently::<NewMembers>(&asked.body)?;
    let all = members(state, view, asker, &new.participants, &mut wrong).await?;
    distinct(all.iter().map(|one| &one.party.number), &mut wrong);
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let call = live(state, asker, asked).await?;
    // As long as it lasts the conference itself knows which invitations it has had; the row is for later.
    let asked: Vec<_> = all.iter().map(|one| one.party.number.clone()).enumerate().collect();
    let again = match state.0.calls.confer(call, Act::Invite(all, key.clone())).await {
        Ok(()) => false,
        Err(ActRefused::Repeated) => true,
        Err(ActRefused::Refused(refusal)) => {
            let asked = asked.iter().map(|(nth, number)| participant(*nth, number)).collect();
            return Err(unreachable(state, asker.merchant.id, refusal, asked).await);
        }
        Err(why) => return Err(unwilling(state, call, why)),
    };
    if let Some(key) = &key {
        let (merchant, name) = of(key);
        store.note_repeat((merchant, name), key.fingerprint.clone(), now()).await.map_err(ours)?;
    }
    Ok(invited(call, again))
}

fn invited(call: CallId, duplicate: bool) -> axum::response::Response {
    let told = json!({ "id": call.to_string(), "done": "invite" });
    let mut response = ok(StatusCode::ACCEPTED, &told);
    if duplicate {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Does something to somebody in it.
pub(super) async fn member(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &Asked,
    op: Op,
) -> Reply {
    let new: Member = parse(&asked.body)?;
    let call = live(state, asker, asked).await?;
    let found = dialled(&state.0.store, view, &new.number).await.map_err(ours)?;
    // Whoever may not be rung any more may be there all the same.
    let who = found.named().ok_or_else(|| Problem::new(Code::NotThere, ""))?;
    let (done, word) = match op {
        Op::Mute => (Act::Mute { who, muted: true }, "mute"),
        Op::Unmute => (Act::Mute { who, muted: false }, "unmute"),
        Op::Deafen => (Act::Deafen { who, deaf: true }, "deafen"),
        Op::Undeafen => (Act::Deafen { who, deaf: false }, "undeafen"),
        _ => (Act::Kick { who }, "kick"),
    };
    act(state, (call, done), (StatusCode::OK, word)).await
}
