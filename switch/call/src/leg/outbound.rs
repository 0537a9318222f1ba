//! Ringing somebody: INVITE, its provisional answers, its final one, the next hop.

use std::sync::Arc;

use bytes::Bytes;
use facts::manners::{AnswerRule, EarlyMedia, HeaderAct, HeaderRule, Then};
use facts::media::{Codec, Family};
use facts::recognition::Recognition;
use facts::record::LegState;
use facts::{Failure, Kind, LegId, Number, Origin, Side, isdn};
use sip::endpoint::{Edit, Invite, SessionId};
use sip::offer::crypto::Security;
use sip::wire::{Contact, Reason};

use crate::event::{Effect, LegEvent, Miss, Missed};
use crate::flow::{origin, refuser};
use crate::pool::Owner;
use crate::route::Target;
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use super::forks::{Fork, Forks, elsewhere};
use super::hop::{Caller, Headers, Hop};
use super::hunt::Hunt;
use super::{Called, Leg, Port, Stage, hop, hops};

/// Max-Breadth of an INVITE that names none (RFC 5393 §5.3.3.2).
const BREADTH: u32 = 60;

/// The final answer to an INVITE of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Final {
    pub(crate) code: u16,
    pub(crate) q850: Option<u8>,
    /// No answer at all: time-out or transport error.
    pub(crate) local: bool,
    /// Retry-After in seconds.
    pub(crate) retry_after: Option<u32>,
}

impl Leg {
    /// Starts ringing: opens the port first. Fails at once when nothing leads to the target; then it counts for
    /// nothing.
    pub(crate) fn dial(
        w: &mut World,
        id: LegId,
        called: &Called,
        target: &Target,
        shown: Option<&Number>,
        paid: Option<std::time::Duration>,
    ) -> Result<Leg, Failure> {
        let leg = Leg::open(w, id, called, target, shown, paid);
        if leg.is_err() {
            w.fraud.leave(id);
            w.pools.leave(id);
        }
        leg
    }

    fn open(
        w: &mut World,
        id: LegId,
        called: &Called,
        target: &Target,
        shown: Option<&Number>,
        paid: Option<std::time::Duration>,
    ) -> Result<Leg, Failure> {
        let origin = || origin(id.no);
        let picked = pooled(w, id, called, target);
        let named = called.onward.named && picked.is_none();
        let caller = Caller {
            number: picked.as_ref().or(shown),
            hidden: called.onward.hidden,
            named,
            between: called.onward.between,
            sandboxed: called.onward.sandboxed,
        };
        let failed = |kind| Failure::new(origin(), kind);
        let mut hunt = None;
        let mut ring = called.ring;
        let mut ways = match target {
            Target::Group(_) | Target::Agents(_) => {
                let (mut hunting, most) =
                    Hunt::new(w, target, caller, called.onward.spares).map_err(failed)?;
                let ways = hunting.next(w, id, None);
                if ways.is_empty() {
                    return Err(failed(hunting.verdict()));
                }
                ring = ring.min(most);
                hunt = Some(hunting);
                ways
            }
            Target::Contacts(_)
            | Target::Voicemail(_)
            | Target::Public(_)
            | Target::Bound { .. } => hops(w, target, caller).map_err(failed)?,
        };
        let users = ways.iter().filter_map(|way| way.user.clone()).collect();
        // The far end alone is shared: phones of a sandbox are its own, and short codes go where they are routed.
        let far = w.snapshot.sandbox;
        let shared = far.is_some() && ways.iter().any(|way| way.trunk == far);
        if called.onward.sandboxed && shared && !w.has_sandbox_leg(called.onward.payer) {
            return Err(failed(Kind::Congestion));
        }
        let first = hop::take(w, &mut ways, id).ok_or(failed(Kind::Congestion))?;
        w.enter_sandbox(id, &first, called.onward.payer);
        // One port serves every way that is tried: those of another family are not.
        let family = Family::of(first.flow.remote.ip());
        ways.retain(|way| Family::of(way.flow.remote.ip()) == family);
        let mut leg = Leg::new(id, called, paid, family, w);
        leg.hops = ways;
        leg.trunk = first.trunk;
        leg.hop = Some(Arc::new(first));
        leg.hunt = hunt;
        leg.ring = ring;
        leg.occupy(w, users);
        Ok(leg)
    }

    /// The port is open: the INVITE leaves; to all contacts of an extension at once. `like` is the
    /// other leg's order of codecs.
    pub(crate) fn invite(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[Codec],
    ) -> Option<LegEvent> {
        let (Port::Open(local), Some(hop)) = (self.port, self.hop.clone()) else {
            return None;
        };
        if !like.is_empty() && !Codec::join(&hop.codecs, like) {
            // Nothing that it takes could be turned into what the other leg speaks: it is not rung.
            return Some(self.unusable(w, trace));
        }
        self.ear.close(w, self.id);
        self.facts.recognised = None;
        // One offer for all: whoever answers it first has the port.
        self.audio.asks(hop.ptime_ms);
        self.audio.takes_keys(hop.dtmf);
        self.audio.begin();
        // Whoever may not be told keys is sent the offer without them: see `send`.
        let ways = self.hops.iter().filter(|_| hop.trunk.is_none());
        let security = ways.map(|way| way.security).fold(hop.security, Ord::max);
        self.audio.protects(security, &mut w.rng);
        let sdp = self.audio.offer(local, &hop.codecs, like);
        self.facts.shown.clone_from(&hop.shown);
        self.facts.trunk.clone_from(&hop.name);
        let mut rest = if hop.trunk.is_none() { std::mem::take(&mut self.hops) } else { [].into() };
        // RFC 5393 §5.3.3: all that ring at once share what there is.
        let breadth = self.onward.breadth.unwrap_or(BREADTH).max(1);
        rest.truncate(usize::try_from(breadth - 1).unwrap_or(usize::MAX));
        let ways = u32::try_from(rest.len()).unwrap_or(breadth) + 1;
        let told = ways > 1 || self.onward.breadth.is_some();
        self.share = told.then_some(breadth / ways);
        let mut forks = Forks::default();
        for hop in std::iter::once(Arc::clone(&hop)).chain(rest.into_iter().map(Arc::new)) {
            self.redirects.tried(&hop.uri);
            let session = self.send(w, &hop, sdp.clone());
            if forks.is_empty() {
                let call_id = w.endpoint.call_id(session).unwrap_or_default();
                call_id.clone_into(&mut self.facts.sip_call_id);
            }
            forks.add(Fork::new(session, hop));
        }
        w.pools.dialled(self.id, w.now.mono);
        self.stage = Stage::Inviting(forks);
        self.occupy_rung(w);
        self.hunt_on(w);
        let response = hop.response.unwrap_or(w.config.response);
        w.timers.set(Key::leg(self.id, Timer::Response), w.now.mono + response);
        let pretend = Key::leg(self.id, Timer::Pretend);
        match hop.fake_180.filter(|_| self.facts.alerting.is_none()) {
            Some(after) => w.timers.set(pretend, w.now.mono + after),
            None => w.timers.cancel(pretend),
        }
        let first = !self.attempted;
        if first {
            self.attempted = true;
            self.facts.invited = trace.wall(w.now.mono);
            w.timers.set(Key::leg(self.id, Timer::Ring), w.now.mono + self.ring);
        }
        let Stage::Inviting(forks) = &self.stage else { return None };
        self.journal_first(w, &forks.sessions());
        first.then(|| {
            trace.notify(w, &self.facts, LegState::Callout);
            LegEvent::Invited
        })
    }

    pub(super) fn send(&self, w: &mut World, hop: &Hop, sdp: Bytes) -> SessionId {
        let sdp = if hop.security == Security::Plain { self.audio.keyless(sdp) } else { sdp };
        let session = w.endpoint.invite(
            w.now.mono,
            Invite {
                uri: hop.uri.clone(),
                flow: hop.flow,
                from: hop.from.clone(),
                to: hop.to.clone(),
                contact_user: hop.contact_user.clone(),
                headers: self.headers(hop),
                sdp,
                credentials: hop.credentials.clone(),
                route: hop.route.clone(),
                keep_flow: hop.trunk.is_none(),
                reliable: hop.reliable.unwrap_or(w.config.sip.reliable),
                timers: hop.timers,
                edits: edits(hop),
            },
        );
        w.sessions.insert(session, self.id);
        session
    }

    /// 100: the hop lives and looks for the person, which may take it long (RFC 3261 §17.1.1.2: any
    /// provisional answer ends the waiting for a first word).
    pub(crate) fn tried(&mut self, w: &mut World, session: SessionId) {
        if let Stage::Inviting(forks) = &mut self.stage
            && forks.of(session).is_some()
            && forks.lives(session)
        {
            w.timers.cancel(Key::leg(self.id, Timer::Response));
        }
    }

    /// The INVITE goes out anew, with an answer to a challenge or by another transport: what ends it is
    /// another than before.
    pub(crate) fn challenged(&mut self, w: &mut World, session: SessionId) {
        if matches!(&self.stage, Stage::Inviting(forks) if forks.sessions().contains(&session)) {
            self.journal_first(w, &[session]);
        }
    }

    /// 101 to 199. Never an answer, whatever it bears.
    pub(crate) fn progress(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        session: SessionId,
        (code, branch, sdp): (u16, String, Option<Bytes>),
    ) -> Option<LegEvent> {
        let now = trace.wall(w.now.mono);
        let Stage::Inviting(forks) = &mut self.stage else {
            return None;
        };
        let rings = (180..190).contains(&code);
        forks.of(session)?;
        if forks.lives(session) {
            w.timers.cancel(Key::leg(self.id, Timer::Response));
        }
        let fork = forks.of(session)?;
        fork.rang |= rings;
        let user = fork.hop.user.clone();
        fork.meets(&branch, code == 199);
        let ringing = code == 180 || fork.hop.early_media == EarlyMedia::Ringing;
        let rings_on = fork.hop.rings_on;
        let mut goes_on = false;
        if let Some(sdp) = sdp {
            fork.describe(branch.clone(), sdp.clone());
            let (signalling, trunk) = (fork.hop.flow.remote.ip(), fork.hop.trunk);
            let heard = fork.hop.early_media == EarlyMedia::Relay;
            let listens = trunk.is_some() && w.config.hearing.listens;
            let first = match heard {
                true => forks.speaks(session, &branch),
                false => listens && forks.is_overheard(),
            };
            if first && let Ok(setup) = self.audio.with(signalling).answered(&sdp, None) {
                w.media(setup);
                if let (true, Some(trunk)) = (listens, trunk) {
                    self.ear.open(w, self.id, trunk);
                }
                // Its port was latched to the last carrier: nobody is told of a first packet again.
                goes_on = heard && self.sounded;
            }
        }
        self.ear.reaches(forks.is_forked());
        if !rings {
            return None;
        }
        let first = !std::mem::replace(&mut forks.rang, true);
        self.rings_told(w, trace, user);
        let alerts = ringing && self.facts.alerting.is_none();
        if alerts {
            self.facts.alerting = Some(now);
        }
        if first {
            self.facts.progress = Some(now);
            // A restart tells from this what the leg had reached.
            self.journal(w);
            trace.notify(w, &self.facts, LegState::Alerting);
        }
        if goes_on {
            return self.sounding();
        }
        let sounded = matches!(&self.stage, Stage::Inviting(forks) if forks.sounded);
        let told = if sounded && rings_on { LegEvent::RingsOn } else { LegEvent::Ringing };
        alerts.then_some(told)
    }

    /// The first RTP of this leg came.
    pub(crate) fn sounding(&mut self) -> Option<LegEvent> {
        match &mut self.stage {
            Stage::Inviting(forks) if forks.is_heard() => {
                (forks.sounded, self.sounded) = (true, true);
                Some(LegEvent::EarlyMedia)
            }
            _ => None,
        }
    }

    /// Its carrier has said nothing of ringing for so long that whoever calls hears of it all the same. The
    /// record knows only what was said.
    pub(crate) fn pretend(&self) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &self.stage else { return None };
        (self.facts.alerting.is_none() && !forks.is_heard()).then_some(LegEvent::Ringing)
    }

    /// 2xx, acknowledged already: the other phones stop ringing.
    pub(crate) fn answered(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        session: SessionId,
        (sdp, branch): (Option<Bytes>, &str),
        like: &[Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &mut self.stage else {
            // Somebody was faster.
            if self.session != Some(session) {
                w.end(session, Some(elsewhere()));
            }
            return None;
        };
        let fork = forks.take(session)?;
        self.given_up.extend(forks.cancel(w, Some(&elsewhere())));
        let early = fork.early.into_iter().find(|(tag, _)| tag == branch);
        let sdp = sdp.or(early.map(|(_, sdp)| sdp));
        self.audio.with(fork.hop.flow.remote.ip());
        self.ear.close(w, self.id);
        self.session = Some(session);
        self.taken_by(w, fork.hop.user.clone());
        self.hop = Some(fork.hop);
        let call_id = w.endpoint.call_id(session).unwrap_or_default();
        call_id.clone_into(&mut self.facts.sip_call_id);
        self.facts.sip_final = Some(200);
        let silence = self.silence(w);
        let settled = fork.settled.as_deref() == Some(branch);
        let kept = if settled { self.audio.watched(silence).map(Ok) } else { None };
        let setup = kept.or_else(|| sdp.map(|sdp| self.audio.answered(&sdp, silence)));
        let setup = match setup {
            Some(Ok(setup)) => setup,
            // RFC 3264 §7: an answer that cannot be used ends the call; the dialog is there, so by BYE.
            Some(Err(_)) | None => return Some(self.unusable(w, trace)),
        };
        let codecs = self.audio.agreed_codecs();
        if !like.is_empty() && !Codec::join(&codecs, like) {
            return Some(self.unusable(w, trace));
        }
        w.media(setup);
        self.up(w, trace);
        Some(LegEvent::Answered)
    }

    /// Up, for the bill and for the journal.
    pub(super) fn up(&mut self, w: &mut World, trace: &mut Trace) {
        self.note_answer(w, trace);
        self.stand(w);
        trace.notify(w, &self.facts, LegState::Answer);
        self.answered_by(w, trace);
        self.arm(w);
    }

    /// Up, for the journal: what ends it from now on is a BYE.
    pub(super) fn stand(&mut self, w: &mut World) {
        for timer in [Timer::Ring, Timer::Response] {
            w.timers.cancel(Key::leg(self.id, timer));
        }
        self.stage = Stage::Up;
        let session = self.session;
        self.journal_first(w, session.as_slice());
    }

    /// Answered, for the record.
    pub(super) fn note_answer(&mut self, w: &World, trace: &Trace) {
        self.facts.sip_final = Some(200);
        self.answered_at = Some(w.now.mono);
        self.facts.answered = Some(trace.wall(w.now.mono));
    }

    fn unusable(&mut self, w: &mut World, trace: &mut Trace) -> LegEvent {
        let failure = Failure::new(self.origin(), Kind::NotAcceptable);
        if let Some(session) = self.session {
            let cause = u16::from(Kind::NotAcceptable.row().q850);
            let reason = Reason::q850(cause, Kind::NotAcceptable.row().label);
            w.end(session, Some(reason));
        }
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, Side::Platform, Some(failure));
        LegEvent::Failed(failure)
    }

    /// A phone of this extension is rung.
    pub(crate) fn rings(&self, user: &str) -> bool {
        let of = |hop: &Hop| hop.user.as_deref() == Some(user);
        matches!(&self.stage, Stage::Inviting(forks) if forks.hops().any(of))
    }

    /// The phones of an extension are rung no longer: as if somebody there had refused with 603 (RFC 3261 §21.6.2).
    pub(crate) fn refused_for(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        user: &str,
        like: &[Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        let session = forks.end_one(w, user)?;
        self.given_up.push(session);
        if self.trunk.is_some() {
            // His bound phone: no other carrier leads to somebody else there.
            self.hops.clear();
        }
        let refused = Final { code: 603, ..Final::default() };
        self.failed(w, trace, (session, refused, &[]), like)
    }

    /// An INVITE came to nothing: the other contacts, the next hop, or the end of the leg.
    pub(crate) fn failed(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        (session, answer, contacts): (SessionId, Final, &[Contact]),
        like: &[Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &mut self.stage else {
            self.late_word(answer);
            return None;
        };
        let fork = forks.take(session)?;
        if self.rings_elsewhere(w, &fork, answer) {
            return None;
        }
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        // RFC 3261 §21.5.4: nothing is sent there for as long as it says.
        if let (503, Some(seconds), Some(_)) = (answer.code, answer.retry_after, fork.hop.trunk) {
            w.rest(fork.hop.flow.remote, seconds);
        }
        if let Some((sdp, signalling)) = forks.next_voice(session)
            && let Ok(setup) = self.audio.with(signalling).answered(&sdp, None)
        {
            w.media(setup);
        }
        missed(w, self.id, &fork.hop, why_missed(answer));
        let rule = rule_of(w, &fork.hop, answer);
        let (best, rang) = forks.refused(read(answer, rule.as_ref()), fork.rang);
        let read_as = rule.as_ref().is_some_and(|rule| rule.read_as.is_some());
        let verdict = self.fate().filter(|verdict| verdict.certain || !read_as);
        let best =
            Final { q850: verdict.map_or(best.q850, |verdict| verdict.over(best.q850)), ..best };
        if let Some(hunt) = &mut self.hunt {
            hunt.refused(answer);
        } else if (300..400).contains(&answer.code) {
            self.redirected(w, &fork.hop, contacts);
        }
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        // RFC 3261 §16.7 step 5: a 6xx is the person's word, whatever the other phones would say.
        // A member of a group speaks for itself.
        let last = (600..700).contains(&answer.code);
        if last {
            self.given_up.extend(match self.hunt {
                Some(_) => forks.cancel_user(w, fork.hop.user.as_deref()),
                None => forks.cancel(w, None),
            });
        }
        let (waits, forsaken) = (!forks.is_empty(), forks.is_forsaken());
        self.occupy_rung(w);
        if forsaken {
            return self.unresponsive(w, trace, like);
        }
        if waits || !last && self.follow(w) {
            return None;
        }
        if !best.local {
            // Of a carrier what it answered, whatever that is taken for.
            self.facts.sip_final = Some(if rule.is_some() { answer.code } else { best.code });
        }
        self.fell_through(w, &fork.hop, answer);
        let sure = verdict.and_then(|verdict| sure_of(verdict, best));
        let told = rule.and_then(|rule| rule.then).map(|then| then == Then::Next);
        let elsewhere = told.or(sure).unwrap_or_else(|| is_elsewhere(best));
        // A network that says that it is congested rang nobody, whatever it called its own sound.
        let reached = rang && sure != Some(true);
        if (self.hunt.is_some() || !reached && elsewhere) && self.next_hop(w) {
            return self.invited_anew(w, trace, like);
        }
        Some(LegEvent::Failed(self.concluded(w, trace, best, rang)))
    }

    /// Word on a leg that we gave up: its status belongs in the record all the same.
    fn late_word(&mut self, answer: Final) {
        if self.is_over() && self.facts.sip_final.is_none() && !answer.local {
            self.facts.sip_final = Some(answer.code);
        }
    }

    /// Nobody is left to ask: the best of what was said ends the leg.
    fn concluded(&mut self, w: &mut World, trace: &mut Trace, best: Final, rang: bool) -> Failure {
        // Our own verdicts: the hop is dead, unless it rang before the time ran out.
        let hunts = self.hunt.as_ref().map(Hunt::verdict);
        let kind = match best {
            Final { local: true, code: 503, .. } => Kind::TransportFailed,
            Final { local: true, code, .. } if code != 408 || !rang => Kind::Unreachable,
            _ => Kind::of_answer(best.code, best.q850, rang),
        };
        let heard = self.fate().and_then(|verdict| verdict.kind()).filter(|_| best.local);
        let kind = hunts.or(heard).unwrap_or(kind);
        let failure = Failure::new(self.origin(), kind);
        self.facts.q850 = best.q850;
        if !best.local && hunts.is_none() {
            let told = isdn::passed_on(kind, best.code, best.q850);
            self.facts.q850 = Some(told.1);
            self.refusal = Some(told);
        }
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, refuser(self.side, failure), Some(failure));
        failure
    }

    /// Time is up for those of whom nothing was heard: without anybody else they are given up, and another hop
    /// is tried.
    pub(crate) fn unresponsive(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        if !forks.time_is_up() {
            return None;
        }
        if let Some(hop) = self.hop.as_ref().filter(|hop| hop.trunk.is_some()) {
            w.fell_silent(hop.flow.remote);
            missed(w, self.id, hop, Miss::Silence);
        }
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        let silent: Vec<Arc<Hop>> = forks.iter().map(|fork| Arc::clone(&fork.hop)).collect();
        let said = forks.best();
        let old = forks.cancel(w, None);
        self.given_up.extend(&old);
        let follows = self.ring_spares(w, &silent) || self.follow(w);
        if !follows && !self.next_hop(w) {
            // Nobody else to ask: shorter than timer B, because a person waits (RFC 3261 §17.1.1.2). What
            // another phone of his has said is his word (§16.7 step 6).
            if let Some((best, rang)) = said.filter(|(best, _)| !best.local) {
                self.facts.sip_final = Some(best.code);
                return Some(LegEvent::Failed(self.concluded(w, trace, best, rang)));
            }
            let kind = self.hunt.as_ref().map_or(Kind::Unreachable, Hunt::verdict);
            let failure = self.lost(w, trace, kind, self.origin());
            return Some(LegEvent::Failed(failure));
        }
        for session in &old {
            w.sessions.remove(session);
        }
        if follows {
            return None;
        }
        self.invite(w, trace, like)
    }

    /// Rang long enough.
    pub(crate) fn unanswered(&mut self, w: &mut World, trace: &mut Trace) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &mut self.stage else {
            return None;
        };
        forks.unanswered(w);
        let row = Kind::NoAnswer.row();
        let reason = Reason::q850(u16::from(row.q850), row.label);
        self.given_up.extend(forks.cancel(w, Some(&reason)));
        // Its network may have said all the time why nobody answers.
        let verdict = self.fate();
        self.facts.q850 = verdict.and_then(|verdict| verdict.over(None));
        let kind = verdict.and_then(|verdict| verdict.kind()).unwrap_or(Kind::NoAnswer);
        Some(LegEvent::Failed(self.lost(w, trace, kind, self.origin())))
    }

    /// No media port: the leg cannot be.
    pub(crate) fn unheard(&mut self, w: &mut World, trace: &mut Trace) -> Option<LegEvent> {
        if !matches!(self.stage, Stage::Opening) {
            return None;
        }
        let failure = Failure::new(Origin::Media, Kind::Internal);
        let release = crate::event::Release { by: Side::Platform, failure: Some(failure) };
        self.release(w, trace, release);
        Some(LegEvent::Failed(failure))
    }

    /// What a refusal says of the hop. RFC 3263 §4.3: another server of a carrier is asked when this one
    /// was silent, could not be sent to or answered 503. Any other answer is the carrier's.
    fn fell_through(&mut self, w: &mut World, hop: &Hop, answer: Final) {
        let Some(trunk) = hop.trunk else { return };
        let throttled = w.snapshot.trunks.get(&trunk).is_some_and(|trunk| trunk.options.throttle);
        if throttled && !answer.local && answer.code == 503 {
            w.throttle.refused(trunk, w.now.mono);
        }
        if answer.local {
            w.fell_silent(hop.flow.remote);
        } else if answer.code != 503 {
            self.hops.retain(|hop| hop.trunk != Some(trunk));
        }
    }

    /// Moves to the next hop that has room; false when there is none, and the leg is to end.
    pub(super) fn next_hop(&mut self, w: &mut World) -> bool {
        if self.hunt.is_some() {
            return self.next_members(w);
        }
        // Its own place is free for it: the next hop may be of the same carrier.
        if let Some(trunk) = self.trunk.take() {
            w.leave_trunk(trunk, self.id);
            w.pools.leave_trunk(self.id);
        }
        let Some(next) = hop::take(w, &mut self.hops, self.id) else {
            return false;
        };
        self.trunk = next.trunk;
        self.hop = Some(Arc::new(next));
        true
    }

    fn headers(&self, hop: &Hop) -> Headers {
        let number = |name: &str, value: Option<u32>| {
            value.map(|value| (name.to_owned(), value.to_string().into_bytes()))
        };
        let numbers =
            [number("Max-Forwards", self.onward.hops_left), number("Max-Breadth", self.share)];
        let open = |line: &&(String, Vec<u8>)| hop.trusted || !is_private(&line.1);
        let history = self.onward.history.iter().filter(open).cloned();
        let told = self.onward.referred_by.as_ref().filter(|_| hop.trunk.is_none() || hop.trusted);
        let referrer = told.map(|by| ("Referred-By".to_owned(), by.clone()));
        let listed = |line: &&(String, Vec<u8>)| {
            let named = hop.transit.iter().any(|name| name.eq_ignore_ascii_case(&line.0));
            hop.trunk.is_none() || named
        };
        let transit = self.onward.transit.iter().filter(listed).cloned();
        let numbers = numbers.into_iter().flatten();
        numbers
            .chain(history)
            .chain(referrer)
            .chain(hop.identity.iter().cloned())
            .chain(transit)
            .collect()
    }
}

/// Tells the operator that an INVITE to a carrier came to nothing, whatever becomes of the leg.
pub(super) fn missed(w: &mut World, leg: LegId, hop: &Hop, why: Miss) {
    let Some(trunk) = hop.trunk.and_then(|id| w.snapshot.trunks.get(&id)) else { return };
    let (trunk, server) = (trunk.name.clone(), hop.flow.remote);
    w.emit(Effect::Missed(Box::new(Missed { leg, trunk, server, why })));
}

fn why_missed(answer: Final) -> Miss {
    match answer {
        Final { local: false, code, .. } => Miss::Refused(code),
        Final { code: 503, .. } => Miss::NotSent,
        _ => Miss::Silence,
    }
}

/// What an answer of a carrier means by its table.
fn rule_of(w: &World, hop: &Hop, answer: Final) -> Option<AnswerRule> {
    let trunk = w.snapshot.trunks.get(&hop.trunk?).filter(|_| !answer.local)?;
    trunk.options.answers.iter().find(|rule| rule.codes.contains(&answer.code)).cloned()
}

/// The answer that it is taken for: its cause says no more than its status then.
fn read(answer: Final, rule: Option<&AnswerRule>) -> Final {
    match rule.and_then(|rule| rule.read_as) {
        Some(code) => Final { code, q850: None, ..answer },
        None => answer,
    }
}

/// The number of the payer's pool that a leg shows: to numbers outside, where the call says none itself.
fn pooled(w: &mut World, id: LegId, called: &Called, target: &Target) -> Option<Number> {
    let callee = target.public()?;
    let merchant = called.onward.payer?;
    let settings = w.snapshot.clone();
    let pool = settings.pools.get(&merchant)?;
    if called.onward.between || called.onward.named && !pool.always {
        return None;
    }
    let owner = Owner::Merchant(merchant);
    let number = w.pick(owner, pool, callee)?;
    w.pools.enter((owner, pool), id, &number);
    Some(number)
}

/// What a carrier wants changed in the headers of its INVITE.
fn edits(hop: &Hop) -> Vec<Edit> {
    let edit = |rule: &HeaderRule| {
        let (name, value) = (rule.name.clone(), rule.value.clone().into_bytes());
        match rule.act {
            HeaderAct::Add => Edit::Add(name, value),
            HeaderAct::Set => Edit::Set(name, value),
            HeaderAct::Remove => Edit::Remove(name),
        }
    };
    let allowed = hop.edits.iter().filter(|rule| HeaderRule::may_change(&rule.name));
    allowed.map(edit).collect()
}

/// Whether what was heard says that another way may do better. What is only likely decides nothing against the
/// status: whoever refused would be rung again, or nobody else asked.
fn sure_of(verdict: Recognition, best: Final) -> Option<bool> {
    let elsewhere = verdict.sounded.is_elsewhere();
    (verdict.certain || elsewhere && is_elsewhere(best)).then_some(elsewhere)
}

/// Another way may do better: the hop is down, busy or gone, the person was not asked (RFC 3263 §4.3;
/// RFC 5626 §5.3: 430 is a dead flow).
fn is_elsewhere(answer: Final) -> bool {
    answer.local || matches!(answer.code, 408 | 430 | 500 | 502 | 503 | 504)
}

/// Whether a line of Diversion (RFC 5806 §5, `privacy=full`) or History-Info (RFC 7044 §10.1,
/// `?Privacy=history`) names somebody who does not want to be named.
fn is_private(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    line.split("privacy=").skip(1).any(|wish| {
        let wish = wish.trim_start_matches('"');
        !wish.starts_with("off") && !wish.starts_with("none")
    })
}
