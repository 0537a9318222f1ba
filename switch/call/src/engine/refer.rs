//! REFER in a call: somebody wants the other one to be joined with a third (RFC 3515, RFC 5589). The new leg
//! is dialled as if whoever asks had dialled it, and paid by whoever pays for the call.

use facts::settings::{Extension, Snapshot};
use facts::{CallId, Feature, Kind, LegId, LegNo, Number, Refusal};
use sip::endpoint::{self, RequestId, SessionId, Standing};
use sip::wire::{HeaderName, Host, Message, NameAddr, Replaces, Uri};

use crate::call::Call;
use crate::config::Transfer;
use crate::event::{Denial, Effect, TurnedAway};
use crate::leg::{Leg, Onward};
use crate::link::{self, CHAIN_MAX, End};
use crate::transfer::{Wanted, called};

use super::Engine;
use super::inbound::{callee, dialled_in};
use super::register::{Header, header};

/// Another transfer, or an end, is under way (RFC 3261 §21.4.27).
const PENDING: u16 = 491;

/// The call whose place is to be taken is none of ours, or over (RFC 3891 §3).
const ELSEWHERE: u16 = 481;

/// Longest Referred-By that goes on.
const REFERRER_MAX: usize = 256;

/// What a REFER asks for.
struct Asked {
    to: NameAddr,
    /// The place that the new leg is to take.
    replaces: Option<Replaces>,
    /// Who it says that asks (RFC 3892).
    by: Option<NameAddr>,
    cseq: u32,
    /// NOTIFYs are wanted (RFC 4488 §4 knows who wants none).
    told: bool,
}

impl Asked {
    fn read(request: &Message) -> Result<Asked, u16> {
        // RFC 3515 §2.4.2: exactly one Refer-To.
        let to = request.name_addr(HeaderName::ReferTo).map_err(|_| 400_u16)?;
        let method = to.uri.params.get("method").unwrap_or("INVITE");
        if !method.eq_ignore_ascii_case("INVITE") {
            return Err(488);
        }
        let replaces = Replaces::of_uri(&to.uri)?;
        // RFC 3892 §3: at most one, and one that reads.
        let by = match request.count(HeaderName::ReferredBy) {
            0 => None,
            _ => Some(request.name_addr(HeaderName::ReferredBy).map_err(|_| 400_u16)?),
        };
        let cseq = request.cseq().map_err(|_| 400_u16)?.number;
        let quiet = request.header_str(HeaderName::ReferSub).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false")
        });
        Ok(Asked { to, replaces, by, cseq, told: !quiet })
    }
}

/// What comes of it.
enum Course {
    /// Somebody is rung.
    Ring(Box<Wanted>),
    /// The call waits for somebody to take it.
    Park,
    /// Who asks leaves this call and another one of his, and the others talk.
    Link(Box<[End; 2]>),
}

impl Engine {
    /// A REFER in a session.
    pub(super) fn referred(&mut self, id: RequestId, session: SessionId, request: &Message) {
        let begun = Asked::read(request).and_then(|asked| {
            let (leg, course) = self.course(session, &asked)?;
            Ok((leg, course, (asked.cseq, asked.told)))
        });
        let (code, headers) = match &begun {
            Ok((.., (_, told))) => (202, self.referral_headers(session, *told)),
            Err(code) => (*code, Vec::new()),
        };
        let answer = endpoint::Answer { code, headers, ..endpoint::Answer::default() };
        self.world.endpoint.respond(self.world.now.mono, id, answer);
        match begun {
            Ok((leg, Course::Ring(wanted), told)) => {
                self.on_call(leg.call, |call, w| call.transfer(w, *wanted, told));
            }
            Ok((leg, Course::Park, told)) => {
                self.on_call(leg.call, |call, w| call.park(w, leg.no, told));
            }
            Ok((leg, Course::Link(ends), (cseq, told))) => {
                self.on_call(leg.call, |call, w| {
                    call.with(leg.no, |leg, _| leg.referred(w, cseq, told));
                });
                self.link(&ends);
            }
            Err(code) => self.not_referred(session, code),
        }
    }

    /// Two calls become one conversation.
    fn link(&mut self, [one, two]: &[End; 2]) {
        let codec = link::common(one, two);
        self.on_call(one.leg.call, |call, w| call.link(w, one.leg.no, two, codec));
        self.on_call(two.leg.call, |call, w| call.link(w, two.leg.no, one, codec));
    }

    /// RFC 5589 §7: the other call of whoever asks, whose place the other one of this call is to take.
    fn linked(&self, leg: LegId, replaces: &Replaces) -> Result<[End; 2], u16> {
        let (session, standing) = self.world.endpoint.named(replaces).ok_or(ELSEWHERE)?;
        let other = *self.world.sessions.get(&session).ok_or(ELSEWHERE)?;
        let calls = [leg, other].map(|leg| self.calls.get(&leg.call));
        let [Some(call), Some(theirs)] = calls else { return Err(ELSEWHERE) };
        if call.command.merchant != theirs.command.merchant {
            return Err(403);
        }
        self.may_transfer(other)?;
        let carrier = |call: &Call, leg: LegId| call.leg(leg.no).map(|leg| leg.facts.trunk.clone());
        if carrier(call, leg) != carrier(theirs, other) {
            return Err(403);
        }
        if call.plan.flow.is_alone() || theirs.plan.flow.is_alone() {
            return Err(403);
        }
        if leg.call == other.call || standing == Standing::Over {
            return Err(ELSEWHERE);
        }
        let chain = self.chain(leg.call) + self.chain(other.call);
        if chain > CHAIN_MAX {
            return Err(403);
        }
        let ends = call.end_of_link(leg.no).zip(theirs.end_of_link(other.no));
        let (one, two) = ends.ok_or(PENDING)?;
        if link::fit(&one, &two) { Ok([one, two]) } else { Err(488) }
    }

    /// How many calls hang together with this one, itself counted.
    fn chain(&self, call: CallId) -> usize {
        let mut known = vec![call];
        let mut at = 0;
        while let Some(call) = known.get(at).and_then(|id| self.calls.get(id)) {
            for leg in call.links() {
                if !known.contains(&leg.call) && known.len() <= CHAIN_MAX {
                    known.push(leg.call);
                }
            }
            at += 1;
        }
        known.len()
    }

    /// For the log: who was not let transfer, unless he only has to ask again.
    fn not_referred(&mut self, session: SessionId, code: u16) {
        let why = match code {
            403 => Denial::NotAllowed,
            404 => Denial::UnknownNumber,
            code if code == Kind::NoRoute.row().sip => Denial::NoRoute,
            code if code == Kind::InvalidNumber.row().sip => Denial::BadNumber,
            503 => Denial::Limit,
            _ => return,
        };
        let Some(flow) = self.world.endpoint.flow_of(session) else { return };
        let leg = self.world.sessions.get(&session).copied();
        let leg = leg.and_then(|leg| self.calls.get(&leg.call)?.leg(leg.no));
        let user = leg.map(|leg| match leg.is_phone() {
            true => leg.facts.number.digits().to_owned(),
            false => leg.facts.trunk.clone(),
        });
        // Who is in a call has proved himself: it is no knocking.
        let (source, method) = (flow.remote, "REFER");
        self.world.emit(Effect::TurnedAway(Box::new(TurnedAway { source, method, user, why })));
    }

    fn referral_headers(&self, session: SessionId, told: bool) -> Vec<Header> {
        let contact = self.world.endpoint.contact_of_session(session);
        let contact = contact.map(|contact| ("Contact".to_owned(), contact));
        let quiet = (!told).then(|| header("Refer-Sub", "false"));
        contact.into_iter().chain(quiet).collect()
    }

    /// What is done about a REFER, if whoever asks may ask for it; or the status that says why not.
    fn course(&mut self, session: SessionId, asked: &Asked) -> Result<(LegId, Course), u16> {
        let leg = *self.world.sessions.get(&session).ok_or(481_u16)?;
        self.may_transfer(leg)?;
        if let Some(replaces) = &asked.replaces {
            let ends = self.linked(leg, replaces)?;
            return Ok((leg, Course::Link(Box::new(ends))));
        }
        let call = self.calls.get(&leg.call).ok_or(481_u16)?;
        // Nobody is there whom another one could talk with: asking again would not help.
        if call.plan.flow.is_alone() {
            return Err(403);
        }
        let to = call.room_for_transfer(leg.no).ok_or(PENDING)?;
        let dialled = dialled_in(&asked.to.uri).map_err(status)?;
        if let Some((Feature::Park, _)) = self.world.config.features.read(&dialled) {
            let user = call.leg(leg.no).map(|leg| leg.facts.number.clone());
            let Some(Number::Internal(user)) = user else { return Err(403) };
            // One call at a time waits at an extension.
            return match self.parked(&user) {
                Some(_) => Err(status(Kind::Busy)),
                None => Ok((leg, Course::Park)),
            };
        }
        let by = asked.by.as_ref();
        Ok((leg, Course::Ring(Box::new(self.wanted((leg, by), to, dialled)?))))
    }

    /// Whether somebody may have the other one of his call joined with anybody else.
    fn may_transfer(&self, leg: LegId) -> Result<(), u16> {
        let call = self.calls.get(&leg.call).ok_or(481_u16)?;
        let asking = call.leg(leg.no).ok_or(481_u16)?;
        let trunk = asking.trunk().and_then(|id| self.world.snapshot.trunks.get(&id));
        let own = trunk.and_then(|trunk| trunk.options.transfer);
        let may = own.unwrap_or(match self.world.config.transfer {
            Transfer::Off => false,
            Transfer::Extensions => asking.is_phone(),
            Transfer::All => true,
        });
        let snapshot = &self.world.snapshot;
        let merchant = snapshot.merchants.get(&call.command.merchant).ok_or(403_u16)?;
        // Whoever transfers pays: a phone of somebody else would spend this merchant's money.
        let own = owner(snapshot, asking).is_none_or(|owner| {
            owner.is_some_and(|owner| owner.enabled && owner.merchant == call.command.merchant)
        });
        if !may || !own || !merchant.enabled {
            return Err(403);
        }
        match self.drain {
            Some(_) => Err(status(Kind::Shutdown)),
            None => Ok(()),
        }
    }

    /// The leg that is to be rung.
    fn wanted(
        &mut self,
        (leg, by): (LegId, Option<&NameAddr>),
        to: LegNo,
        dialled: String,
    ) -> Result<Wanted, u16> {
        let snapshot = self.world.snapshot.clone();
        let call = self.calls.get(&leg.call).ok_or(481_u16)?;
        let asking = call.leg(leg.no).ok_or(481_u16)?;
        let merchant = snapshot.merchants.get(&call.command.merchant).ok_or(403_u16)?;
        let number = callee(&snapshot, &dialled).map_err(status)?;
        let stays = call.leg(call.other(leg.no)).ok_or(PENDING)?;
        let target =
            self.target((&number, call.command.merchant)).map_err(Refusal::kind).map_err(status)?;
        let asks = asking.is_phone().then(|| asking.facts.number.digits().to_owned());
        // What is rung decides: an extension whose bound phone rings is reached over a carrier.
        let shown = call.shown_beside(&snapshot, &target, stays).or_else(|| {
            let owner = owner(&snapshot, asking).flatten();
            owner.and_then(|owner| owner.bound_phone.clone()).map(Number::public)
        });
        // A caller who hides hides from the third as well.
        let hidden = call.plan.onward.hidden && stays.id.no == LegNo::A;
        let payer = Some(call.command.merchant);
        // A carrier would name whoever asks.
        let named = call.plan.between.is_some();
        let by = by.filter(|_| !named || asking.is_phone());
        let referred_by = by.and_then(|by| referrer(&snapshot, asking, by));
        let sandboxed = self.world.snapshot.is_sandbox(call.command.merchant);
        let between = named;
        let onward =
            Onward { hidden, payer, sandboxed, named, between, referred_by, ..Onward::default() };
        let (id, per_second) = (call.command.merchant, merchant.calls_per_second);
        self.pace(id, per_second).map_err(Refusal::kind).map_err(status)?;
        let called = called(target.number(), dialled, onward);
        Ok(Wanted { by: leg.no, asks, to, target, called, shown })
    }
}

/// Referred-By for the new leg (RFC 3892 §2): of a carrier as it says; of a phone only as who it is, whatever
/// it says. A token of its identity (`cid`) is in a body that does not go on.
fn referrer(snapshot: &Snapshot, asking: &Leg, said: &NameAddr) -> Option<Vec<u8>> {
    let mut by = said.clone();
    by.params.remove("cid");
    if let Number::Internal(user) = &asking.facts.number
        && asking.is_phone()
        && said.uri.user_text().as_deref() != Some(user)
    {
        let home = Host::parse(&snapshot.realm)?;
        by = NameAddr::new(Uri::sip(Some(user), home, None));
    }
    let by = by.to_bytes();
    (by.len() <= REFERRER_MAX).then_some(by)
}

/// The status that tells of a failure.
fn status(kind: Kind) -> u16 {
    kind.row().sip
}

/// The extension whose phone is on a leg, if it is still there; `None` for anything else than a phone.
fn owner<'a>(snapshot: &'a Snapshot, leg: &Leg) -> Option<Option<&'a Extension>> {
    match &leg.facts.number {
        Number::Internal(user) if leg.is_phone() => Some(snapshot.extensions.get(user)),
        _ => None,
    }
}
