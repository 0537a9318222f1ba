//! An INVITE that came: from whom, to whom, may it.

use std::sync::Arc;
use std::time::Duration;

use facts::fraud::Scope;
use facts::manners::{self, Whose};
use facts::media::Record;
use facts::policy::Asking;
use facts::scenario::Scenario;
use facts::settings::{Recorded, Snapshot, Trunk};
use facts::ussd;
use facts::{
    CallCommand, Dialect, Features, Kind, LegNo, MerchantId, Number, Party, Purpose, Push,
    PushKind, Refusal, SubAccountId, TrunkId,
};
use rand_core::RngCore as _;
use sip::endpoint::{Flow, SessionId};
use sip::wire::{HeaderName, Message, Reason, Uri};

use crate::axb::Reached;
use crate::call::Plan;
use crate::event::Denial;
use crate::flow::{Dial, Flow as Program};
use crate::ivr::ANONYMOUS;
use crate::leg::{self, Arrival, Called, Onward};
use crate::route::{self, Trail};
use crate::serve::{self, Service};
use crate::world::World;

use super::Engine;
use super::register::{Header, Unproved};
use super::ussi::Subscriber;

/// How long an inbound call rings.
pub(crate) const RING: Duration = Duration::from_secs(60);
/// Seconds after which a refused carrier may try again, drawn so that not all come back at once.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=10;

/// Strangers who may hear at one time that they reach nobody by a merchant's privacy numbers.
const TELLINGS_MAX: u32 = 4;
/// Lines of Diversion, and of History-Info, that go on at most.
const HISTORY_MAX: usize = 10;

/// Who calls whom, read off an INVITE.
struct Intent {
    merchant: MerchantId,
    sub_account: Option<SubAccountId>,
    caller: Number,
    caller_as_sent: String,
    callee: Number,
    callee_as_sent: String,
    /// Caller id to show to the callee.
    shown: Option<Number>,
    /// It is whoever calls that says so, and not our settings.
    named: bool,
    trunk: Option<TrunkId>,
    /// What it says of callers is believed.
    trusted: bool,
    /// The number of ours that a carrier delivers it for.
    delivered: Option<String>,
    /// The privacy number by which it came: neither of the two learns the other's.
    between: Option<Number>,
    /// Whom he reaches by it.
    bound: Option<Reached>,
    /// What it dialled a code for, or is told: nobody is called.
    service: Option<Service>,
    /// What answers it, where its number has a scenario.
    scenario: Option<Arc<Scenario>>,
}

impl Engine {
    /// A new INVITE. 100 has been sent already.
    pub(super) fn invited(&mut self, session: SessionId, request: &Message, flow: Flow) {
        let snapshot = self.world.snapshot.clone();
        // A carrier is who sends from its configured addresses; nothing a message says makes one.
        // A phone in a carrier's network is a phone: it names an extension of ours and has to prove it.
        let phone = self.is_home(request)
            && request
                .from()
                .ok()
                .and_then(|from| from.uri.user_text())
                .is_some_and(|user| snapshot.extensions.contains_key(&user));
        let carrier = if phone { None } else { self.carrier_of(&snapshot, request, &flow) };
        if self.drain.is_some() {
            match carrier {
                Some(_) => self.refuse(session, Kind::Shutdown),
                None => {
                    let (code, headers) = self.refusal(Kind::Shutdown);
                    self.turn_away_stranger(session, code, headers);
                }
            }
            return;
        }
        // RFC 3261 §16.3 step 3: what may not be passed on any further. A last hop is still a hop.
        if request.max_forwards().ok().flatten() == Some(0) {
            self.turn_away_stranger(session, 483, Vec::new());
            return;
        }
        let (who, intent) = match carrier {
            // RFC 3891 §3: nobody who speaks for others takes a place in our calls.
            Some(_) if request.header(HeaderName::Replaces).is_some() => {
                self.world.endpoint.reject(self.world.now.mono, session, 403, Vec::new());
                return;
            }
            Some((id, trunk)) => {
                if let Err(Unproved { challenges, denied }) =
                    self.prove_carrier(trunk, request, &flow)
                {
                    if let Some((why, user)) = denied {
                        self.deny(&flow, "INVITE", user, why);
                    }
                    self.world.endpoint.reject(self.world.now.mono, session, 401, challenges);
                    return;
                }
                if !self.world.may_send(id, trunk) {
                    self.deny(&flow, "INVITE", Some(trunk.name.clone()), Denial::Limit);
                    self.refuse(session, Kind::Congestion);
                    return;
                }
                let w = &mut self.world;
                if let Some(timers) = leg::timers(w.config.sip.session, trunk)
                    && !w.endpoint.time(w.now.mono, session, timers)
                {
                    return;
                }
                if self.invited_to_menu((session, &flow), request, Subscriber::Of(trunk)) {
                    return;
                }
                (trunk.name.clone(), from_trunk(&self.world, id, trunk, request))
            }
            None => match self.prove(request, &flow) {
                Ok(user) => {
                    let w = &mut self.world;
                    w.abuse.proved(w.now, flow.remote.ip().into());
                    if self.joins((session, &flow), &user, request)
                        || self.invited_to_menu((session, &flow), request, Subscriber::Phone(&user))
                    {
                        return;
                    }
                    let intent =
                        from_extension(&snapshot, &self.world.config.features, &user, request);
                    (user, intent)
                }
                Err(Unproved { challenges, denied }) => {
                    let now = self.world.now.mono;
                    let home = self.is_home(request);
                    let denied = denied.or_else(|| (!home).then_some((Denial::Stranger, None)));
                    match denied {
                        Some((why, user)) => self.deny(&flow, "INVITE", user, why),
                        None => self.knocked(&flow),
                    }
                    if home {
                        self.world.endpoint.reject(now, session, 401, challenges);
                    } else {
                        self.turn_away_stranger(session, 403, Vec::new());
                    }
                    return;
                }
            },
        };
        let begun = intent.and_then(|intent| self.arrive((session, &flow), intent, request));
        if let Err(kind) = begun {
            self.refused += 1;
            if let Some(why) = Denial::of(kind) {
                self.deny(&flow, "INVITE", Some(who), why);
            }
            self.refuse(session, kind);
        }
    }

    fn arrive(
        &mut self,
        (session, flow): (SessionId, &Flow),
        intent: Intent,
        request: &Message,
    ) -> Result<(), Kind> {
        let mut onward = Onward { named: intent.named, ..onward(request, intent.trusted)? };
        if intent.between.is_some() {
            // The number that is shown is everybody's, and whoever the call was for first may be who calls.
            (onward.hidden, onward.history) = (false, Vec::new());
            onward.between = true;
        }
        // Places are kept for our own people: a flood from a carrier must not take them all.
        let config = &self.world.config;
        let most = config.calls_max.saturating_sub(config.calls_reserved);
        let full = intent.trunk.is_some() && self.calls.len() >= most;
        match intent.service {
            Some(Service::Unreached) => self.may_tell(intent.merchant, full)?,
            _ if full => return Err(Kind::Congestion),
            _ => self.admit(intent.merchant).map_err(Refusal::kind)?,
        }
        let mut trail = Trail::default();
        let alone = intent.service.is_some() || intent.scenario.is_some();
        let target = match alone {
            true => route::Target::Public(intent.callee.clone()),
            false => self.lead(&intent.callee, intent.merchant, &mut trail)?,
        };
        let answers = matches!(target, route::Target::Voicemail(_));
        let shown = match trail.is_led_on() {
            true => self.shown_on(&target, intent.merchant, &intent.caller),
            false => intent.shown,
        };
        let leads_out = intent.trunk.is_some() || target.public().is_some();
        let transit = if leads_out && intent.between.is_none() {
            transit(&self.world.snapshot, request, intent.trunk)
        } else {
            Vec::new()
        };
        let onward = Onward { transit, ..onward };
        let w = &self.world;
        let merchant = w.snapshot.merchants.get(&intent.merchant).ok_or(Kind::Blocked)?;
        let trunk = intent.trunk.and_then(|id| w.snapshot.trunks.get(&id));
        let security = leg::security(w, trunk, flow.transport).ok_or(Kind::NotAcceptable)?;
        // RFC 3325 §9.3: a merchant is none of those to whom such a number may go; the operator's books have it.
        let withheld = onward.hidden && intent.scenario.is_some();
        let caller_as_sent =
            if withheld { ANONYMOUS.to_owned() } else { intent.caller_as_sent.clone() };
        let arrival = Arrival {
            security,
            session,
            source: flow.remote.ip(),
            called: Called {
                number: intent.caller.clone(),
                as_sent: caller_as_sent.clone(),
                ring: RING,
                onward: Onward::default(),
            },
            shown: caller_as_sent.clone(),
            trunk: intent.trunk,
            trunk_name: trunk.map(|trunk| trunk.name.clone()).unwrap_or_default(),
            offer: request.description(),
        };
        let plan = Plan {
            flow: Program::Dial(Dial::DialingB { to: LegNo::B, early: false }),
            targets: vec![route::Target::Public(intent.caller.clone()), target],
            shown: [None, shown],
            language: self.language_of(intent.service.as_ref(), &merchant.language),
            max_talk: merchant.max_talk,
            onward,
            trail,
            delivered: intent.delivered,
            between: intent.between.clone(),
        };
        // Of what the merchant has asked for at `/v1` it hears there.
        let asked = intent.bound.is_some() || intent.scenario.is_some();
        let context = intent.bound.as_ref().map_or("", |reached| &reached.context);
        let (app, pushes) =
            if asked { listed(intent.merchant, context) } else { Default::default() };
        let purpose = match intent.scenario {
            Some(_) => Purpose::Inbound,
            None => Purpose::default(),
        };
        let party =
            |number: Number, as_sent: String| Party { number, as_sent, shown: None, ring: RING };
        let command = CallCommand {
            dialect: Dialect::Rest,
            merchant: intent.merchant,
            sub_account: intent.sub_account,
            app,
            a: party(intent.caller, caller_as_sent),
            b: Some(Party { shown: intent.between, ..party(intent.callee, intent.callee_as_sent) }),
            scenario: intent.scenario,
            conference: None,
            purpose,
            max_talk: None,
            record: delivered_to(&w.snapshot, plan.delivered.as_deref()),
            key: None,
            pushes,
            custom: intent.bound.map(|reached| reached.reference).unwrap_or_default(),
        };
        let rings = !alone && !answers;
        let number = plan.targets[1].number();
        let scopes = Scope::all_of(&command);
        let rung = rings.then_some(&number);
        self.world.may_call((None, &scopes), rung).map_err(Refusal::kind)?;
        let asking = Asking::of(&command, false);
        self.world.may_ring((None, &asking), rung).map_err(Refusal::kind)?;
        // Strangers are nobody of the merchant's.
        let strange = intent.service == Some(Service::Unreached);
        let holders = match strange {
            true => Vec::new(),
            false => self.holders(&command, plan.delivered.as_deref()).map_err(Refusal::kind)?,
        };
        let priced: &[LegNo] = if rings { &[LegNo::B] } else { &[] };
        let id = self.begin(command, plan, Some(arrival), priced);
        self.hold(id, holders);
        self.menu_called(id, intent.service.as_ref(), (request, flow));
        if strange {
            self.places.leave(intent.merchant, id);
            self.tellings.enter(intent.merchant, id);
        }
        if let (Some(call), Some(_)) = (self.calls.get_mut(&id), &intent.service) {
            call.service = intent.service;
        }
        Ok(())
    }

    /// What whoever calls hears is said in the language of his menu, or else of whoever pays.
    fn language_of(&self, service: Option<&Service>, usual: &str) -> String {
        let code = match service {
            Some(Service::Menu { dialled, .. }) => {
                ussd::longest(&self.world.snapshot.ussd, dialled)
            }
            _ => None,
        };
        code.map_or(usual, |code| code.language.tag()).to_owned()
    }

    /// Whether somebody may hear that he reaches nobody by a number of this merchant's. He has none of its places, and
    /// no part in its rate: where too many hear it already, or there is no room for more calls, the status says it.
    fn may_tell(&self, merchant: MerchantId, full: bool) -> Result<(), Kind> {
        let known = self.world.snapshot.merchants.get(&merchant);
        let enabled = known.is_some_and(|merchant| merchant.enabled);
        let few = self.tellings.room(merchant, Some(TELLINGS_MAX));
        let may = enabled && few && !full && !self.is_strained();
        may.then_some(()).ok_or(Kind::Unallocated)
    }

    /// Refuses an INVITE of somebody who has not shown who it is. The answer may hit whoever's address
    /// was forged, so it leaves once and is not resent until an ACK comes.
    fn turn_away_stranger(&mut self, session: SessionId, code: u16, headers: Vec<Header>) {
        self.world.endpoint.turn_away(self.world.now.mono, session, code, headers);
    }

    /// Refuses an INVITE with the row's status and cause.
    pub(super) fn refuse(&mut self, session: SessionId, kind: Kind) {
        let (code, headers) = self.refusal(kind);
        self.world.endpoint.reject(self.world.now.mono, session, code, headers);
    }

    /// The row's status, its cause, and when to try again.
    fn refusal(&mut self, kind: Kind) -> (u16, Vec<Header>) {
        let row = kind.row();
        let reason = Reason::q850(u16::from(row.q850), row.label).to_string().into_bytes();
        let mut headers = vec![("Reason".to_owned(), reason)];
        if row.sip == 503 {
            let span = RETRY_AFTER.end() - RETRY_AFTER.start() + 1;
            let seconds = RETRY_AFTER.start() + self.world.rng.next_u64() % span;
            headers.push(("Retry-After".to_owned(), seconds.to_string().into_bytes()));
        }
        (row.sip, headers)
    }

    /// True when From claims our realm or one of our addresses: somebody who may have a password here.
    fn is_home(&self, request: &Message) -> bool {
        let Ok(from) = request.from() else {
            return false;
        };
        let host = from.uri.host;
        let listeners = &self.world.config.sip.listeners;
        host.as_str().eq_ignore_ascii_case(&self.world.snapshot.realm)
            || listeners.iter().any(|listener| {
                host.ip() == Some(listener.advertised.ip()) || host.ip() == Some(listener.bind.ip())
            })
    }
}

/// Lines of header fields that go on as they came at most, and the longest.
const TRANSIT_MAX: usize = 16;
const TRANSIT_LEN: usize = 1_024;

/// The header fields that may go on as they came: those that the carrier names by which the call comes, or of
/// a phone's call those that any carrier does.
fn transit(
    settings: &Snapshot,
    request: &Message,
    from: Option<TrunkId>,
) -> Vec<(String, Vec<u8>)> {
    let named: Vec<&String> = match from {
        Some(id) => settings.trunks.get(&id).into_iter().flat_map(|t| &t.options.transit).collect(),
        None => settings.trunks.values().flat_map(|trunk| &trunk.options.transit).collect(),
    };
    if named.is_empty() {
        return Vec::new();
    }
    let lines = request.fields().filter_map(|(_, name, value)| {
        let name = str::from_utf8(name).ok().filter(|name| manners::may_pass(name))?;
        let named = named.iter().any(|known| known.eq_ignore_ascii_case(name));
        let clean = value.len() <= TRANSIT_LEN && !value.iter().any(u8::is_ascii_control);
        (named && clean).then(|| (name.to_owned(), value.to_vec()))
    });
    lines.take(TRANSIT_MAX).collect()
}

/// What a call is found by at its merchant's own surface, and what is told of it there: the same as of any call that
/// the merchant has placed by `/v1`. `context`: of whoever was bound, with the merchant's word.
fn listed(merchant: MerchantId, context: &str) -> (String, Vec<Push>) {
    let of = |kind| Push {
        kind,
        dialect: Dialect::Rest,
        endpoint: String::new(),
        context: context.to_owned(),
    };
    (merchant.0.to_string(), vec![of(PushKind::State), of(PushKind::Record)])
}

/// Whether calls that carriers deliver for this number of ours are recorded.
fn delivered_to(settings: &Snapshot, number: Option<&str>) -> Record {
    let whose = number.map(|number| Recorded::Inbound(number.to_owned()));
    whose.and_then(|whose| settings.recorded.get(&whose).copied()).unwrap_or_default()
}

/// What our INVITE bears on of the one that came.
fn onward(request: &Message, trusted: bool) -> Result<Onward, Kind> {
    let hops = request.max_forwards().ok().flatten();
    let lines = |name: HeaderName| {
        let values = request.lines(name).filter(|_| trusted).take(HISTORY_MAX);
        values.map(move |value| (name.as_str().to_owned(), value.to_vec()))
    };
    let privacy = Privacy::read(request)?;
    Ok(Onward {
        // RFC 7332 §4 and RFC 3261 §16.6 step 3: two switches must not ring each other for ever.
        hops_left: hops.map(|hops| hops.saturating_sub(1)),
        breadth: request.number(HeaderName::MaxBreadth).ok().flatten(),
        // A trunk is trusted to say whom it was first for; a phone would only make it up.
        history: lines(HeaderName::Diversion)
            .chain(lines(HeaderName::HistoryInfo).filter(|_| !privacy.history))
            .collect(),
        hidden: privacy.hidden,
        ..Onward::default()
    })
}

/// What a caller asks to be kept private (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1).
#[derive(Default)]
struct Privacy {
    hidden: bool,
    history: bool,
}

impl Privacy {
    /// What `header` and `session` ask for is so anyhow: nothing of one leg's addresses reaches the other,
    /// in signalling or in media; but our Contact bears who calls. What is asked for in earnest and
    /// unknown here ends the call (RFC 3323 §4.2, `critical`).
    fn read(request: &Message) -> Result<Privacy, Kind> {
        let mut privacy = Privacy::default();
        let (mut critical, mut unknown) = (false, false);
        for line in request.lines(HeaderName::Privacy) {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            for wish in line.split([';', ',']).map(str::trim) {
                match wish {
                    "id" | "user" | "header" => privacy.hidden = true,
                    "history" => privacy.history = true,
                    "critical" => critical = true,
                    "none" => return Ok(Privacy::default()),
                    "session" | "" => {}
                    _ => unknown = true,
                }
            }
        }
        if critical && unknown { Err(Kind::Internal) } else { Ok(privacy) }
    }
}

fn from_trunk(w: &World, id: TrunkId, trunk: &Trunk, request: &Message) -> Result<Intent, Kind> {
    let (snapshot, rules) = (&w.snapshot, &trunk.options.rewrite);
    let dialled = manners::rewritten(rules, Whose::CalledIn, dialled(request)?);
    if let Some(intent) = calls_menu((id, trunk), w, &dialled, request) {
        return Ok(intent);
    }
    let number = route::read(trunk, &snapshot.plan, &dialled).ok_or(Kind::InvalidNumber)?;
    let delivered = number.digits().to_owned();
    let user = snapshot.inbound.get(&delivered).ok_or(Kind::Unallocated)?;
    let group = || snapshot.groups.get(user).map(|group| (group.merchant, None));
    let extension = snapshot.extensions.get(user).map(|ext| (ext.merchant, ext.sub_account));
    let (merchant, sub_account) = extension.or_else(group).ok_or(Kind::Unallocated)?;
    // A trunk is trusted to assert who calls (RFC 3325 §5).
    let trusted = !trunk.options.untrusted;
    let asserted = request.name_addr(HeaderName::PAssertedIdentity).ok().filter(|_| trusted);
    let caller = asserted
        .or_else(|| request.from().ok())
        .and_then(|from| from.uri.user_text())
        .unwrap_or_default();
    let caller = manners::rewritten(rules, Whose::CallerIn, caller);
    let number = route::read(trunk, &snapshot.plan, &caller);
    let axb = snapshot.axb.contains(&delivered);
    let from = number.as_ref().map(Number::digits).unwrap_or_default();
    let reached = w.axb.leads((&delivered, from), merchant, w.now.wall).filter(|_| axb);
    let between = reached.is_some().then(|| Number::E164(delivered.clone()));
    let scenario = w.ivr.answers(&delivered, merchant).filter(|_| !axb).cloned();
    let (callee, callee_as_sent, service) = match &reached {
        Some(Reached { to, .. }) => (Number::E164(to.clone()), to.clone(), None),
        // Nobody could hear anything before the answer, and he is not to pay for it.
        None if axb && request.description().is_none() => return Err(Kind::Unallocated),
        None if axb => (Number::E164(delivered.clone()), dialled, Some(Service::Unreached)),
        // As the merchant finds it among its numbers.
        None if scenario.is_some() => (Number::E164(delivered.clone()), delivered.clone(), None),
        None => (Number::Internal(user.clone()), dialled, None),
    };
    Ok(Intent {
        merchant,
        sub_account,
        shown: between.clone().or_else(|| number.clone()),
        named: number.is_some(),
        caller: number.unwrap_or(Number::Short(String::new())),
        caller_as_sent: caller,
        callee,
        callee_as_sent,
        trunk: Some(id),
        trusted,
        delivered: Some(delivered),
        between,
        bound: reached,
        service,
        scenario,
    })
}

/// A carrier's call to the code of a menu, where the operator lets it, and the carrier asserts who calls.
fn calls_menu(
    (id, trunk): (TrunkId, &Trunk),
    w: &World,
    dialled: &str,
    request: &Message,
) -> Option<Intent> {
    let options = &trunk.options;
    let code = Some(dialled).filter(|_| options.menus && !options.untrusted)?;
    let code = serve::menu(&w.snapshot, code)?;
    let merchant = ussd::longest(&w.snapshot.ussd, &code)?.merchant;
    let asserted = request.name_addr(HeaderName::PAssertedIdentity).ok()?.uri.number()?;
    let caller = manners::rewritten(&options.rewrite, Whose::CallerIn, asserted);
    let number = route::read(trunk, &w.snapshot.plan, &caller)?;
    let Number::E164(mobile) = number.clone() else { return None };
    Some(Intent {
        merchant,
        sub_account: None,
        caller: number,
        caller_as_sent: caller,
        callee: Number::Short(dialled.to_owned()),
        callee_as_sent: dialled.to_owned(),
        shown: None,
        named: true,
        trunk: Some(id),
        trusted: true,
        delivered: None,
        between: None,
        bound: None,
        service: Some(Service::Menu { user: None, dialled: code, mobile }),
        scenario: None,
    })
}

fn from_extension(
    snapshot: &Snapshot,
    features: &Features,
    user: &str,
    request: &Message,
) -> Result<Intent, Kind> {
    let extension = snapshot.extensions.get(user).ok_or(Kind::Blocked)?;
    let dialled = dialled(request)?;
    let service = serve::dialled(snapshot, features, (user, &dialled)).transpose()?;
    let callee = match &service {
        Some(_) => Number::Short(dialled.clone()),
        None => callee(snapshot, &dialled)?,
    };
    let merchant = snapshot.merchants.get(&extension.merchant);
    let own = [merchant.and_then(|merchant| merchant.shown.clone()), extension.bound_phone.clone()];
    let own: Vec<Number> = own.into_iter().flatten().map(Number::public).collect();
    // RFC 3325 §6: of the numbers that are its own a phone may say which one it prefers.
    let preferred = request.name_addr(HeaderName::PPreferredIdentity).ok();
    let preferred = preferred.and_then(|name| snapshot.plan.parse(&name.uri.number()?).ok());
    let preferred = preferred.filter(|number| own.contains(number));
    let named = preferred.is_some();
    let public = preferred.or_else(|| own.first().cloned());
    let shown = match &callee {
        Number::Internal(_) => Some(Number::Internal(user.to_owned())),
        Number::E164(_) | Number::Short(_) => public,
    };
    Ok(Intent {
        merchant: extension.merchant,
        sub_account: extension.sub_account,
        caller: Number::Internal(user.to_owned()),
        caller_as_sent: user.to_owned(),
        callee,
        callee_as_sent: dialled,
        shown,
        named,
        trunk: None,
        trusted: false,
        delivered: None,
        between: None,
        bound: None,
        service,
        scenario: None,
    })
}

/// Whom an extension means that dials this.
pub(super) fn callee(snapshot: &Snapshot, dialled: &str) -> Result<Number, Kind> {
    if snapshot.extensions.contains_key(dialled) || snapshot.groups.contains_key(dialled) {
        return Ok(Number::Internal(dialled.to_owned()));
    }
    let number = snapshot.plan.parse(dialled).map_err(|_| Kind::InvalidNumber)?;
    // A mistyped extension, most likely.
    Some(number).filter(|number| route::exists(snapshot, number)).ok_or(Kind::Unallocated)
}

/// The user part of the Request-URI, or the number of a `tel:` URI.
pub(super) fn dialled(request: &Message) -> Result<String, Kind> {
    let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
    dialled_in(&uri.ok_or(Kind::InvalidNumber)?)
}

/// The same of any URI.
pub(super) fn dialled_in(uri: &Uri) -> Result<String, Kind> {
    uri.number().or_else(|| uri.user_text()).ok_or(Kind::InvalidNumber)
}
