//! What is told of calls and money.

use facts::command::LiveCall;
use facts::ledger::Balance as Books;
use facts::media::RecordedFile;
use facts::record::{CallRecord, LegCharge, LegFacts, Outcome, Side};
use facts::recording::RecordingFormat;
use facts::{CallCommand, CallId, Dialect, Failure, Origin, UnixMillis};
use schemars::JsonSchema;
use serde::Serialize;

use super::instant;

/// A call that was placed. A repeat under the same `Idempotency-Key` is told the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// The call: 19 digits.
    pub id: String,
    /// `accepted`.
    pub status: String,
    /// When.
    pub created: String,
    /// Where it is found.
    pub url: String,
}

impl Accepted {
    /// Of a call.
    #[must_use]
    pub fn of(call: CallId) -> Accepted {
        Accepted {
            id: call.to_string(),
            status: "accepted".to_owned(),
            created: instant(call.made_at()),
            url: format!("/v1/calls/{call}"),
        }
    }
}

/// A call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Call {
    /// 19 digits.
    pub id: String,
    /// `callback` (two were to be joined), `scenario`, `notice`, `code`, `conference`, `campaign` (an agent was to have it),
    /// `inbound` (a number of the merchant's was called, and its scenario answered).
    pub purpose: String,
    /// The campaign of `/v1` that it is of.
    pub campaign: Option<String>,
    /// `open` or `ended`.
    pub status: String,
    /// Where an open call stands: `dialing_a`, `saying`, `waiting`, `dialing_b`, `bridged`, …; null when it has only just
    /// begun or is about to be told as ended.
    pub stage: Option<String>,
    /// The merchant's own words.
    pub reference: String,
    /// Who is rung first, or has called; `anonymous` where he asks not to be known.
    pub to: Party,
    /// Who is rung then; null where a scenario leads. Of an `inbound` call the number that was called.
    pub connect: Option<Party>,
    /// When it was placed.
    pub created: String,
    /// When the two were joined.
    pub connected: Option<String>,
    /// When its last leg was down.
    pub ended: Option<String>,
    /// `completed` or `failed`, of a call that has ended.
    pub outcome: Option<String>,
    /// Why it failed: `busy`, `no_answer`, `balance_too_low`, ….
    pub reason: Option<String>,
    /// Whose doing that was: `a`, `b`, `network`, `billing`, `platform`.
    pub origin: Option<String>,
    /// Who let go first: `a`, `b`, `platform`.
    pub released_by: Option<String>,
    /// The legs that were attempted. Of an open call none are told.
    pub legs: Vec<Leg>,
    /// Who was to be rung beside these and was not, while the call went on: no route led there, something forbade it, or
    /// there was no room. Of an open call none are told.
    pub unrung: Vec<Unrung>,
    /// What all legs cost, in 1e-6 of the currency; null until it has ended.
    pub price_micros: Option<i64>,
    /// Of the price.
    pub currency: Option<String>,
    /// What was kept of its sound.
    pub recordings: Vec<Recording>,
    /// Keys that its scenario took, one entry for each time; secret ones are `*`.
    pub keys: Vec<String>,
}

/// Somebody who is rung.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Party {
    /// As it was sent.
    pub number: String,
    /// The number that was asked to be shown.
    pub caller_id: Option<String>,
    /// How long it may ring, seconds.
    pub ring_s: u64,
}

/// A leg that was attempted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Leg {
    /// `A` was rung first, `B` then; from `C` on whoever came later.
    pub leg: String,
    /// Who was rung.
    pub number: String,
    /// The number that was shown.
    pub caller_id: String,
    /// When it was tried.
    pub dialed: String,
    /// When it rang.
    pub ringing: Option<String>,
    /// When it was answered.
    pub answered: Option<String>,
    /// When it was down.
    pub ended: Option<String>,
    /// The last SIP status.
    pub sip_status: Option<u16>,
    /// The Q.850 cause.
    pub q850: Option<u8>,
    /// Why it ended otherwise than by hanging up.
    pub reason: Option<String>,
    /// The leg that took its place, when it transferred the call, parked it, or somebody else took it: `C`. Where it
    /// joined two calls, the other call and its leg there: 19 digits and `A`.
    pub replaced_by: Option<String>,
    /// Started seconds of talk.
    pub seconds: u64,
    /// Seconds that were charged.
    pub charged_seconds: u64,
    /// The charge, in 1e-6 of the currency.
    pub price_micros: i64,
}

/// Somebody who was to be rung, and was not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Unrung {
    /// Who, as it was sent; the number of a conference that let nobody in.
    pub number: String,
    /// When it was tried.
    pub at: String,
    /// Why: `no_route`, `blocked`, `congestion`, ….
    pub reason: String,
    /// Whose doing that was: `network`, `billing`, `platform`.
    pub origin: String,
}

/// A recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Recording {
    /// Where it is downloaded, with a key that is good for `recordings:read`.
    pub url: String,
    /// `mp3`, `wav` or `opus`.
    pub format: String,
    /// Length of the sound.
    pub duration_ms: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `after` of the next page; null on a page on which nothing is, behind the last one, and where all is on one page.
    pub next: Option<String>,
}

/// What can be spent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Balance {
    /// What was paid in and not charged, in 1e-6 of the currency.
    pub posted_micros: i64,
    /// Held for calls under way.
    pub held_micros: i64,
    /// How far below zero it may go.
    pub credit_micros: i64,
    /// What can still be spent: the first and the third without the second.
    pub available_micros: i64,
    /// Three letters.
    pub currency: String,
}

/// A balance.
#[must_use]
pub fn balance(books: &Books) -> Balance {
    Balance {
        posted_micros: books.posted.0,
        held_micros: books.held.0,
        credit_micros: books.credit.0,
        available_micros: books.available().0,
        currency: books.currency.code().to_owned(),
    }
}

/// A call that is under way; `live`: as the switch has it.
#[must_use]
pub fn open(
    call: CallId,
    command: &CallCommand,
    placed: UnixMillis,
    live: Option<&LiveCall>,
) -> Call {
    let party = |party: &facts::Party| Party {
        number: party.as_sent.clone(),
        caller_id: party.shown.as_ref().map(|shown| shown.digits().to_owned()),
        ring_s: party.ring.as_secs(),
    };
    let campaign = command.campaign().filter(|_| command.dialect == Dialect::Rest);
    Call {
        id: call.to_string(),
        purpose: command.purpose.word().to_owned(),
        campaign: campaign.map(|(id, _)| id.to_owned()),
        status: "open".to_owned(),
        stage: live.map(|live| live.state.clone()),
        reference: command.custom.clone(),
        to: party(&command.a),
        connect: command.b.as_ref().map(party),
        created: instant(placed),
        connected: live.and_then(|live| live.bridged).map(instant),
        ended: None,
        outcome: None,
        reason: None,
        origin: None,
        released_by: None,
        legs: Vec::new(),
        unrung: Vec::new(),
        price_micros: None,
        currency: None,
        recordings: Vec::new(),
        keys: Vec::new(),
    }
}

/// A call that has ended.
#[must_use]
pub fn ended(record: &CallRecord) -> Call {
    let facts = &record.facts;
    let failure = match facts.outcome {
        Outcome::Completed => None,
        Outcome::Failed(failure) => Some(failure),
    };
    let outcome = if failure.is_none() { "completed" } else { "failed" };
    let charge = |leg: &LegFacts| record.charges.iter().find(|charge| charge.no == leg.no);
    let files = facts.recording.iter().flat_map(RecordedFile::all).enumerate();
    Call {
        status: "ended".to_owned(),
        connected: facts.bridged.map(instant),
        ended: Some(instant(facts.ended)),
        outcome: Some(outcome.to_owned()),
        reason: failure.map(reason),
        origin: failure.map(|failure| origin(failure.origin).to_owned()),
        released_by: Some(side(facts.released_by).to_owned()),
        legs: facts.legs.iter().map(|one| leg(facts.call, one, charge(one))).collect(),
        unrung: facts.unrung.iter().map(unrung).collect(),
        price_micros: Some(record.total().0),
        currency: Some(record.currency.code().to_owned()),
        recordings: files.map(|(nth, file)| recording(facts.call, nth, file)).collect(),
        keys: facts.collected.clone(),
        ..open(facts.call, &facts.command, facts.placed, None)
    }
}

fn leg(call: CallId, facts: &LegFacts, charge: Option<&LegCharge>) -> Leg {
    let number = if facts.as_sent.is_empty() { facts.number.digits() } else { &facts.as_sent };
    Leg {
        leg: facts.no.to_string(),
        number: number.to_owned(),
        caller_id: facts.shown.clone(),
        dialed: instant(facts.invited),
        ringing: facts.alerting.map(instant),
        answered: facts.answered.map(instant),
        ended: facts.ended.map(instant),
        sip_status: facts.sip_final,
        q850: facts.q850,
        reason: facts.failure.map(reason),
        replaced_by: facts
            .replaced_by
            .map(|by| if by.call == call { by.no.to_string() } else { by.to_string() }),
        seconds: charge.map_or(0, |charge| charge.seconds),
        charged_seconds: charge.map_or(0, |charge| charge.charged_seconds),
        price_micros: charge.map_or(0, |charge| charge.price.0),
    }
}

fn unrung(one: &facts::Unrung) -> Unrung {
    Unrung {
        number: one.as_sent.clone(),
        at: instant(one.at),
        reason: reason(one.failure),
        origin: origin(one.failure.origin).to_owned(),
    }
}

fn recording(call: CallId, nth: usize, file: &RecordedFile) -> Recording {
    Recording {
        url: format!("/v1/calls/{call}/recordings/{}", nth + 1),
        format: RecordingFormat::of_name(&file.file).unwrap_or_default().ending().to_owned(),
        duration_ms: file.duration_ms,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    }
}

pub(super) fn reason(failure: Failure) -> String {
    failure.kind.row().label.to_owned()
}

pub(super) const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::LegA => "a",
        Origin::LegB => "b",
        Origin::Media => "network",
        Origin::Billing => "billing",
        Origin::Us => "platform",
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Caller => "a",
        Side::Callee => "b",
        Side::Platform => "platform",
    }
}
