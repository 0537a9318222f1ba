//! One leg: a SIP session, a media port, a clock. Everything about headers, codes and descriptions
//! stops here; a flow sees [`LegEvent`]s.
//!
//! ```text
//!  Opening ──port──► Inviting ──2xx──► Up ──► Down        outbound
//!  Opening ──port──► Waiting ──accept─► Up ──► Down       inbound
//!     └───────────────┴── refused, cancelled ──► Down
//! ```

mod audio;
mod change;
mod ear;
mod forks;
mod hop;
mod hunt;
mod inbound;
mod keys;
mod link;
mod outbound;
mod papers;
mod phones;
mod redirect;
mod refer;
mod rung;
mod spare;
mod talk;
mod twins;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use facts::media::{Codec, Family, MediaCommand, MediaStats, Prompt, Source, Tone};
use facts::record::LegState;
use facts::sound::Music;
use facts::{
    Failure, Kind, LegFacts, LegId, LegNo, MerchantId, Number, Origin, Party, Side, TrunkId,
    UnixMillis,
};
use sip::endpoint::SessionId;
use sip::wire::Reason;

use crate::config::Notice;
use crate::credit::Credit;
use crate::event::{Hear, LegEvent, Release};
use crate::flow::{author, side};
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use audio::Audio;
use change::Change;
use ear::Ear;
use forks::Forks;
pub(crate) use hop::{
    Hop, credentials, credentials_at, hops, judged, security, speak, timers, transport, uri_of,
    way_to,
};
use hunt::Hunt;
pub(crate) use inbound::Arrival;
use keys::Told;
pub(crate) use outbound::Final;
pub(crate) use papers::{pack, unpack};
use redirect::Redirects;
use refer::Referral;
use twins::Twins;
pub(crate) use twins::Way;

/// How long it sounds that something is done.
const DONE: Duration = Duration::from_secs(1);
/// A message is over after its length and this: it has to be read from the disk first.
const LOAD: Duration = Duration::from_secs(10);
/// The same of a sound whose length is not known here: none is longer than five minutes, and one behind an address
/// has to be fetched.
const SOUND_MAX: Duration = Duration::from_secs(360);
/// The same of words put together, of which there are two minutes at most.
const WORDS_MAX: Duration = Duration::from_secs(130);
/// Q.850 normal call clearing.
const CLEARING: u8 = 16;

/// Where a leg stands.
#[derive(Clone, Debug)]
enum Stage {
    /// Waits for its media port.
    Opening,
    /// Our INVITEs are out.
    Inviting(Forks),
    /// Their INVITE is not answered yet.
    Waiting,
    /// Answered.
    Up,
    /// Over for its far end and for the bill; its port leads to this leg of another call.
    Linked(LegId),
    /// Over.
    Down,
}

/// The media port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Port {
    Opening,
    Open(SocketAddr),
    Closing,
    Closed,
}

/// Who is rung how, or who called.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    /// Number of the record and of the price.
    pub(crate) number: Number,
    pub(crate) as_sent: String,
    pub(crate) ring: Duration,
    pub(crate) onward: Onward,
}

/// What an INVITE of ours bears on of the one that came to us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Onward {
    /// Max-Forwards, one less (RFC 3261 §16.6 step 3).
    pub(crate) hops_left: Option<u32>,
    /// Max-Breadth: so many phones may ring for it at once (RFC 5393 §5.3).
    pub(crate) breadth: Option<u32>,
    /// Diversion (RFC 5806) and History-Info (RFC 7044), of somebody who is trusted to say so.
    pub(crate) history: Vec<(String, Vec<u8>)>,
    /// Whoever calls does not want to be known (RFC 3323).
    pub(crate) hidden: bool,
    /// Whose numbers may be shown in turn: whoever pays for the leg.
    pub(crate) payer: Option<MerchantId>,
    /// Whoever pays for the leg tries things out: it goes to no carrier.
    pub(crate) sandboxed: bool,
    /// The call says itself which number is shown.
    pub(crate) named: bool,
    /// The number that is shown is the one by which two reach each other: no pool has another one for them.
    pub(crate) between: bool,
    /// Extensions that let calls ring in vain are asked last.
    pub(crate) spares: bool,
    /// Who had the call transferred (RFC 3892), for phones and for carriers that are trusted.
    pub(crate) referred_by: Option<Vec<u8>>,
    /// Header fields that go on as they came, to whom the settings say.
    pub(crate) transit: Vec<(String, Vec<u8>)>,
}

/// What a far end said of its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    /// The status for whoever waits for an answer; `None`: as the failure says.
    pub(crate) status: Option<u16>,
    pub(crate) reason: Reason,
}

/// One leg of a call.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    /// Whose place it has, or is to have.
    pub(crate) side: Side,
    /// What is known of it; meaningless before `attempted`.
    pub(crate) facts: LegFacts,
    /// An INVITE was sent, or came.
    pub(crate) attempted: bool,
    stage: Stage,
    port: Port,
    /// The session that called us, or that answered.
    session: Option<SessionId>,
    /// Sessions that were given up; they are told again after a crash.
    given_up: Vec<SessionId>,
    /// Ways that were not tried yet.
    hops: VecDeque<Hop>,
    /// The way that is tried, or that answered; `None` for a leg that called us.
    hop: Option<Arc<Hop>>,
    /// The carrier that it occupies.
    trunk: Option<TrunkId>,
    /// The group that it rings.
    hunt: Option<Hunt>,
    /// The extensions that it rings, or that it talks with.
    agents: BTreeSet<Arc<str>>,
    /// The extensions of which it was told that they ring.
    rung: Vec<rung::Rung>,
    ring: Duration,
    onward: Onward,
    /// Max-Breadth of each of its INVITEs.
    share: Option<u32>,
    redirects: Redirects,
    /// Why its far end hung up or gave up, as it said itself.
    said: Option<Reason>,
    /// What whoever called is told of its far end's refusal: a status and a cause.
    refusal: Option<(u16, u8)>,
    audio: Audio,
    /// Whoever listens to what its network plays before the answer.
    ear: Ear,
    /// A network of it was heard before the answer.
    sounded: bool,
    /// The codecs that may be agreed on with whoever called, best first; of others their way says it.
    takes: Vec<Codec>,
    /// Their offer, of an inbound leg.
    offered: Option<Bytes>,
    /// Theirs bore none, and our provisional answer bore ours.
    offers_early: bool,
    credit: Credit,
    warned: bool,
    answered_at: Option<Instant>,
    prompting: bool,
    /// What it waits for the end of is a message.
    listening: bool,
    change: Change,
    /// Keys that its far end is told by INFO.
    told: Told,
    /// Keys of its far end that may come a second time, by another way.
    twins: Twins,
    /// What its far end wants to know of the transfer that it asked for.
    referral: Referral,
}

impl Leg {
    fn new(
        id: LegId,
        called: &Called,
        paid: Option<Duration>,
        family: Family,
        w: &mut World,
    ) -> Leg {
        w.media(MediaCommand::Open { leg: id, family });
        w.timers.set(Key::leg(id, Timer::Open), w.now.mono + w.config.open);
        Leg {
            id,
            side: side(id.no),
            facts: blank(id.no, called, paid),
            attempted: false,
            stage: Stage::Opening,
            port: Port::Opening,
            session: None,
            given_up: Vec::new(),
            hops: VecDeque::new(),
            hop: None,
            trunk: None,
            hunt: None,
            agents: BTreeSet::new(),
            rung: Vec::new(),
            ring: called.ring,
            onward: called.onward.clone(),
            share: None,
            redirects: Redirects::default(),
            said: None,
            refusal: None,
            audio: Audio::new(id),
            ear: Ear::default(),
            sounded: false,
            takes: Vec::new(),
            offered: None,
            offers_early: false,
            credit: Credit::new(paid),
            warned: false,
            answered_at: None,
            prompting: false,
            listening: false,
            change: Change::default(),
            told: Told::default(),
            twins: Twins::default(),
            referral: Referral::default(),
        }
    }

    /// True once the leg is over for signalling and for the bill.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.stage, Stage::Down)
    }

    /// True once nothing that its far end says counts.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Down | Stage::Linked(_))
    }

    /// The carrier that it is on.
    pub(crate) fn trunk(&self) -> Option<TrunkId> {
        self.trunk
    }

    /// True for the phone of an extension: no carrier is on it.
    pub(crate) fn is_phone(&self) -> bool {
        self.trunk.is_none()
    }

    /// How long its far end may send no sound.
    fn silence(&self, w: &World) -> Option<Duration> {
        let trunk = self.trunk.and_then(|id| w.snapshot.trunks.get(&id));
        let own = trunk.and_then(|trunk| trunk.options.rtp_timeout_s);
        own.map(|seconds| Duration::from_secs(seconds.into())).or(w.config.silence)
    }

    /// The author of what happens on it.
    pub(crate) fn origin(&self) -> Origin {
        author(self.side)
    }

    /// True while it rings, or is about to, at a phone of this extension; of any, where none is named.
    pub(crate) fn rings_at(&self, user: Option<&str>) -> bool {
        let there = match (&self.facts.number, user) {
            (Number::Internal(_), None) => true,
            (Number::Internal(number), Some(user)) => {
                number == user || self.agents.iter().any(|agent| **agent == *user)
            }
            (Number::E164(_) | Number::Short(_), _) => false,
        };
        there && self.is_phone() && matches!(&self.stage, Stage::Inviting(forks) if forks.rang)
    }

    /// Its call was taken elsewhere (RFC 3326 §2): whoever rings for it stops.
    pub(crate) fn elsewhere(&mut self, w: &mut World, trace: &mut Trace) {
        if matches!(self.stage, Stage::Inviting(_) | Stage::Opening) {
            let release = Release { by: self.side, failure: None };
            let said = Said { status: None, reason: forks::elsewhere() };
            self.release_for(w, trace, release, Some(said));
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// True once its media port is given back.
    pub(crate) fn is_closed(&self) -> bool {
        self.port == Port::Closed
    }

    /// The codecs of this leg in the order its far end prefers, or asks for.
    pub(crate) fn codecs(&self) -> Vec<Codec> {
        let mut codecs = Vec::new();
        self.codecs_into(&mut codecs);
        codecs
    }

    /// The same, behind what is in there.
    pub(crate) fn codecs_into(&self, out: &mut Vec<Codec>) {
        match self.change.codecs() {
            Some(asked) => out.extend_from_slice(asked),
            None => out.extend(self.audio.agreed()),
        }
    }

    /// True when it takes comfort noise.
    pub(crate) fn takes_noise(&self) -> bool {
        self.audio.takes_noise()
    }

    /// What the other leg speaks now.
    pub(crate) fn stands_beside(&mut self, codecs: &[Codec], noise: bool) {
        self.audio.stands_beside(codecs, noise);
    }

    /// The media port will not come, or is gone.
    pub(crate) fn port_gone(&mut self, stats: Option<MediaStats>) {
        self.port = Port::Closed;
        if let Some(stats) = stats {
            self.facts.media = stats;
        }
    }

    /// Gives the media port of a leg that is down back.
    pub(crate) fn close(&mut self, w: &mut World) {
        if self.is_down() && matches!(self.port, Port::Opening | Port::Open(_)) {
            self.port = Port::Closing;
            w.media(MediaCommand::Close { leg: self.id });
        }
    }

    /// Changes what the leg hears; nothing where nobody is.
    pub(crate) fn hear(&mut self, w: &mut World, what: Hear, language: &str) {
        if self.is_down() {
            return;
        }
        let prompt_timer = Key::leg(self.id, Timer::Prompt);
        w.timers.cancel(prompt_timer);
        (self.prompting, self.listening) = (false, false);
        let source = match what {
            Hear::Nothing => Source::Silence,
            Hear::RingBack => Source::Tone(Tone::RingBack),
            Hear::Hold => Source::Tone(Tone::Hold),
            Hear::Done => {
                self.prompting = true;
                w.timers.set(prompt_timer, w.now.mono + DONE);
                Source::Tone(Tone::Warning)
            }
            Hear::Leg(no) => Source::Leg(LegId::new(self.id.call, no)),
            Hear::Prompt(name) => {
                self.prompting = true;
                w.timers.set(prompt_timer, w.now.mono + w.config.prompt_max);
                Source::Prompt(Prompt { name: name.to_owned(), language: language.to_owned() })
            }
        };
        w.media(MediaCommand::Hear { leg: self.id, source });
    }

    /// Music, while it waits.
    pub(crate) fn hear_music(&mut self, w: &mut World, music: Music) {
        if self.is_down() {
            return;
        }
        w.timers.cancel(Key::leg(self.id, Timer::Prompt));
        (self.prompting, self.listening) = (false, false);
        w.media(MediaCommand::Hear { leg: self.id, source: Source::Music(music) });
    }

    /// It is in the room of its call from now on.
    pub(crate) fn hear_room(&mut self, w: &mut World) {
        if !self.is_down() {
            w.media(MediaCommand::Hear { leg: self.id, source: Source::Room });
        }
    }

    /// Lets it hear a sound of a scenario, once.
    pub(crate) fn hear_once(&mut self, w: &mut World, source: Source) {
        if self.is_down() {
            return;
        }
        (self.prompting, self.listening) = (true, true);
        let most = if matches!(source, Source::Say(_)) { WORDS_MAX } else { SOUND_MAX };
        w.timers.set(Key::leg(self.id, Timer::Prompt), w.now.mono + most);
        w.media(MediaCommand::Hear { leg: self.id, source });
    }

    /// Lays something over what it hears. False when nobody is there to hear it.
    pub(crate) fn lay_over(&mut self, w: &mut World, source: Source, interruptible: bool) -> bool {
        if !self.is_up() {
            return false;
        }
        let interruptible = interruptible && source != Source::Silence;
        w.media(MediaCommand::Interject { leg: self.id, source });
        if interruptible {
            w.media(MediaCommand::Interruptible { leg: self.id });
        }
        true
    }

    /// Lays an announcement over what is heard on it, which no key ends; also where its port leads to somebody else.
    pub(crate) fn tell(&mut self, w: &mut World, source: Source) {
        if self.is_there() {
            w.media(MediaCommand::Interject { leg: self.id, source });
        }
    }

    /// A key came by signalling: the media plane knows what it ends. Of one that came by media it does by itself.
    pub(crate) fn key_by_info(&self, w: &mut World, digit: char) {
        if self.is_up() {
            w.media(MediaCommand::Interrupt { leg: self.id, digit });
        }
    }

    /// A key of its far end came: false if it is one that came before by another way.
    pub(crate) fn key_is_new(&mut self, w: &World, digit: char, way: Way) -> bool {
        self.twins.is_new(w.now.mono, digit, way)
    }

    /// True when the sound that ended was the prompt the flow waits for.
    pub(crate) fn prompt_over(&mut self, w: &mut World) -> bool {
        w.timers.cancel(Key::leg(self.id, Timer::Prompt));
        std::mem::take(&mut self.prompting)
    }

    /// What it was to hear cannot be had. An announcement that nobody waits for is over with that.
    pub(crate) fn not_played(&mut self, w: &mut World) -> Option<LegEvent> {
        let matters = self.listening;
        let over = if matters { LegEvent::Unplayable } else { LegEvent::PromptOver };
        self.prompt_over(w).then_some(over)
    }

    /// Lets its far end hear a message, once.
    pub(crate) fn play(&mut self, w: &mut World, file: String, length: Duration) {
        (self.prompting, self.listening) = (true, true);
        w.timers.set(Key::leg(self.id, Timer::Prompt), w.now.mono + length + LOAD);
        w.media(MediaCommand::Hear { leg: self.id, source: Source::File(file) });
    }

    /// Nobody said that what it hears is over. Whether it was heard is not known then.
    pub(crate) fn prompt_late(&mut self, w: &mut World) -> Option<LegEvent> {
        self.not_played(w)
    }

    /// A short beep: the call will be cut soon.
    pub(crate) fn beep(&mut self, w: &mut World) {
        if self.is_up() {
            let source = Source::Tone(Tone::Warning);
            w.media(MediaCommand::Interject { leg: self.id, source });
        }
    }

    /// Tells its far end that it is recorded.
    pub(crate) fn notice(&mut self, w: &mut World, source: Source) {
        w.media(MediaCommand::Interject { leg: self.id, source });
    }

    /// What is said to somebody who is recorded, if anything is.
    pub(crate) fn notice_of(w: &World, language: &str) -> Option<Source> {
        match &w.config.recording_notice {
            Notice::None => None,
            Notice::Tone => Some(Source::Tone(Tone::Recorded)),
            Notice::Prompt(name) => {
                Some(Source::Prompt(Prompt { name: name.clone(), language: language.to_owned() }))
            }
        }
    }

    /// Why its far end hung up, gave up or refused, in its own words: for the far end of the other leg
    /// (RFC 3326 §2, RFC 3398). Only causes; a text may say anything.
    pub(crate) fn said(&self) -> Option<Said> {
        if let Some((status, cause)) = self.refusal {
            let label = self.facts.failure.map_or("refused", |failure| failure.kind.row().label);
            return Some(Said { status: Some(status), reason: Reason::q850(cause.into(), label) });
        }
        self.said_reason().map(|reason| Said { status: None, reason })
    }

    fn said_reason(&self) -> Option<Reason> {
        let said = self.said.as_ref()?;
        let cause = said.cause?;
        let sip = said.protocol == "SIP";
        if sip && cause == 200 {
            return Some(forks::elsewhere());
        }
        let known =
            sip && (300..700).contains(&cause) || said.is_q850() && (1..128).contains(&cause);
        known.then(|| Reason { text: None, ..said.clone() })
    }

    /// Lets the leg go, in whatever state. Nothing happens to a leg that is down.
    pub(crate) fn release(&mut self, w: &mut World, trace: &mut Trace, release: Release) {
        self.release_for(w, trace, release, None);
    }

    /// The same, in the words of the other leg's far end.
    pub(crate) fn release_for(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        release: Release,
        said: Option<Said>,
    ) {
        let cause = release.failure.map_or(CLEARING, |failure| failure.kind.row().q850);
        let text = release.failure.map_or("normal clearing", |failure| failure.kind.row().label);
        let status = said.as_ref().and_then(|said| said.status);
        let reason = said.map(|said| said.reason);
        let reason = reason.unwrap_or_else(|| Reason::q850(u16::from(cause), text));
        let now = w.now.mono;
        match (&mut self.stage, self.session) {
            (Stage::Down, _) => return,
            (Stage::Linked(other), _) => {
                w.unlinked.push_back(*other);
                self.stage = Stage::Down;
                return;
            }
            (Stage::Inviting(forks), _) => {
                self.given_up.extend(forks.cancel(w, Some(&reason)));
            }
            (Stage::Up, Some(session)) => w.end(session, Some(reason)),
            (Stage::Opening | Stage::Waiting, Some(session)) => {
                let kind = release.failure.map_or(Kind::Internal, |failure| failure.kind);
                self.refuse(w, session, status.unwrap_or(kind.row().sip), &reason);
            }
            (_, None) => {}
        }
        let ended = trace.wall(now);
        self.down(w, trace, ended, release.by, release.failure);
    }

    /// Writes the end down. `ended` never passes what is paid.
    fn down(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        ended: UnixMillis,
        by: Side,
        failure: Option<Failure>,
    ) {
        self.stage = Stage::Down;
        w.timers.cancel_leg(self.id);
        if let Some(trunk) = self.trunk.take() {
            w.leave_trunk(trunk, self.id);
        }
        w.fraud.leave(self.id);
        let World { pools, snapshot, now, .. } = &mut *w;
        pools.over(self.id, self.facts.answered.is_some(), snapshot, now.mono);
        self.fade(w);
        self.occupy(w, BTreeSet::new());
        self.let_go(w, trace);
        let spoken = self.audio.spoken();
        let facts = &mut self.facts;
        facts.spoken = spoken;
        facts.paid_until = self.credit.paid();
        let mut ended = ended;
        if let Some(answered) = facts.answered {
            ended = ended.max(answered);
            if let Some(paid) = facts.paid_until {
                ended = ended.min(answered + paid);
            }
        }
        facts.ended = Some(ended);
        facts.released_by = Some(by);
        facts.failure = failure;
        if facts.q850.is_none() {
            facts.q850 = Some(failure.map_or(CLEARING, |failure| failure.kind.row().q850));
        }
        if self.attempted {
            self.journal(w);
            trace.notify(w, &self.facts, LegState::Disconnect);
        }
    }

    /// The leg is gone by itself: nothing is sent.
    fn lost(&mut self, w: &mut World, trace: &mut Trace, kind: Kind, origin: Origin) -> Failure {
        let failure = Failure::new(origin, kind);
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, Side::Platform, Some(failure));
        failure
    }

    /// Writes down where the leg stands, with what the next process needs to end its sessions:
    /// CANCEL where it rings, BYE where it is up. Those that were told stay in it as well, because
    /// the process may die before they have heard it.
    fn journal(&mut self, w: &mut World) {
        self.journal_first(w, &[]);
    }

    /// The same, and these sessions wait for it.
    fn journal_first(&mut self, w: &mut World, first: &[SessionId]) {
        self.facts.spoken = self.audio.spoken();
        let forks = match &self.stage {
            Stage::Inviting(forks) => forks.sessions(),
            Stage::Opening | Stage::Waiting | Stage::Up | Stage::Linked(_) | Stage::Down => {
                Vec::new()
            }
        };
        let given_up = self.given_up.iter().copied();
        let sessions: Vec<_> = self.session.into_iter().chain(forks).chain(given_up).collect();
        w.journal(self.id, &self.facts, &sessions, first);
    }
}

fn blank(no: LegNo, called: &Called, paid: Option<Duration>) -> LegFacts {
    LegFacts {
        no,
        number: called.number.clone(),
        as_sent: called.as_sent.clone(),
        shown: String::new(),
        trunk: String::new(),
        sip_call_id: String::new(),
        invited: UnixMillis(0),
        progress: None,
        alerting: None,
        answered: None,
        ended: None,
        sip_final: None,
        q850: None,
        released_by: None,
        failure: None,
        replaced_by: None,
        paid_until: paid,
        media: MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

/// A party as the command names it.
pub(crate) fn called(number: Number, party: &Party, onward: Onward) -> Called {
    Called { number, as_sent: party.as_sent.clone(), ring: party.ring, onward }
}
