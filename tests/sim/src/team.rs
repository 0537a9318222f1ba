//! A team of the office: on half of the days two agents and the extension itself answer for one number, by
//! whichever strategy, and what the extension is too busy for goes to them. A bystander at the wire sees to it
//! that nobody of them is offered two calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use facts::control::{Control, Led, Mode};
use facts::settings::{Extension, Snapshot};
use facts::{Binding, Group, LeadsTo, Number, Reach, Strategy, UnixMillis};

use crate::settings::{EXTENSION, MERCHANT, address, bindings};

/// Each has one phone.
pub const AGENTS: [(&str, &str); 2] = [("80001", "192.0.2.15:5060"), ("80002", "192.0.2.16:5060")];
/// The group.
pub const TEAM: &str = "80100";
/// The public number that leads to it, E.164 digits.
pub const TEAM_DIRECT: &str = "861053180003";

const STRATEGIES: [Strategy; 7] = [
    Strategy::RingAll,
    Strategy::Sequential,
    Strategy::RoundRobin,
    Strategy::LeastRecent,
    Strategy::FewestCalls,
    Strategy::Random,
    Strategy::LongestIdle,
];

/// How the team works on this day, if it does.
#[must_use]
pub fn works(seed: u64) -> Option<Strategy> {
    let at = usize::try_from(seed / 2 % 7).unwrap_or(0);
    seed.is_multiple_of(2).then_some(STRATEGIES[at])
}

/// The team's part of the settings.
pub fn join(snapshot: &mut Snapshot, strategy: Strategy) {
    let Some(office) = snapshot.extensions.get_mut(EXTENSION) else { return };
    let agent = Extension { sub_account: None, ..office.clone() };
    office.reach.busy = Some(LeadsTo::Internal(TEAM.into()));
    let mobile = |number: &str| Some(LeadsTo::Public(number.into()));
    for (user, _) in AGENTS {
        let reach = Reach { no_answer: mobile("8613900000009"), ..Reach::default() };
        snapshot.extensions.insert(user.into(), Extension { reach, ..agent.clone() });
    }
    // On some days who finds nobody may leave a message.
    let otherwise = match strategy {
        Strategy::LeastRecent | Strategy::Random => Some(LeadsTo::Voicemail(EXTENSION.into())),
        _ => mobile("8613900000008"),
    };
    let members = AGENTS.map(|(user, _)| user).into_iter().chain([EXTENSION]);
    let group = Group {
        merchant: MERCHANT,
        name: "office".into(),
        enabled: true,
        strategy,
        members: members.map(str::to_owned).collect(),
        ring_s: 6,
        timeout_s: 20,
        otherwise,
    };
    snapshot.groups.insert(TEAM.into(), group);
    snapshot.inbound.insert(TEAM_DIRECT.into(), TEAM.into());
}

/// What is done to a call in which this one talks: two of five times somebody comes to supervise it.
#[must_use]
pub fn control(n: u32, talker: &str) -> Control {
    let at = |many: usize| usize::try_from(n / 5).unwrap_or(0) % many;
    let supervisor = || AGENTS[at(2)].0.to_owned();
    let mode = [Mode::Listen, Mode::Whisper, Mode::Barge][at(3)];
    // By what was written of him, whichever number that is.
    let who = Number::Internal(talker.to_owned());
    match n % 5 {
        0 | 1 => Control::Monitor { who, supervisor: supervisor(), mode },
        2 => Control::Part { supervisor: supervisor(), mode },
        3 => Control::Leave { supervisor: supervisor() },
        _ => Control::Transfer {
            who: Led::This(who),
            to: Number::Internal(TEAM.to_owned()),
            as_sent: TEAM.to_owned(),
        },
    }
}

/// The registrations of the agents' phones.
#[must_use]
pub fn registrations(expires: UnixMillis) -> Vec<Binding> {
    let like = bindings(expires)[0].clone();
    let agent = |(user, at): (&str, &str)| Binding {
        user: user.into(),
        key: format!("sip:{user}@{at}"),
        contact: format!("sip:{user}@{at}"),
        call_id: format!("registration-{at}"),
        remote: address(at),
        ..like.clone()
    };
    AGENTS.map(agent).into()
}

/// 64·T1: after that a request of the switch is not resent, and what it was about is over (RFC 3261 §17.1.1.2,
/// §17.1.2.2, §9.1).
const GIVEN_UP: Duration = Duration::from_secs(32);

/// What an agent dials to park a call.
const PARK: &str = "sip:*70@";

/// What the agents are offered, as the switch and they say on the wire.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    life: u32,
    /// Dialogs by Call-ID that are not over: from the first INVITE on.
    open: BTreeMap<SocketAddr, BTreeMap<String, Offer>>,
    /// Dialogs whose INVITE was sent: its copies are no offers of their own.
    offered: BTreeSet<String>,
    /// Offers that were made.
    pub(crate) made: u32,
    /// Calls that an agent parked, by their Call-ID: one that nobody takes comes back to him, whatever he does by then.
    parked: BTreeSet<(SocketAddr, String)>,
}

/// One dialog with an agent.
#[derive(Clone, Copy, Debug)]
struct Offer {
    /// When the request left whose answer is waited for: the INVITE, until there is any, a CANCEL, a BYE.
    waits: Option<Duration>,
    how: How,
}

/// What the switch asked last of the agent's phone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum How {
    Invite,
    Cancel,
    Bye,
}

impl Offers {
    /// A message between the switch and a far end, at this time; `sent`: by the switch.
    ///
    /// # Panics
    /// When an agent is offered a call that has another one, or may not know yet that it is over.
    pub(crate) fn pass(
        &mut self,
        now: Duration,
        life: u32,
        (far, sent): (SocketAddr, bool),
        bytes: &[u8],
    ) {
        if !AGENTS.iter().any(|(_, at)| address(at) == far) {
            return;
        }
        // What the next process knows of a call of the last one is how to end it.
        if std::mem::replace(&mut self.life, life) != life {
            self.open.clear();
        }
        let text = String::from_utf8_lossy(bytes);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = line("Call-ID:").map(|id| id.trim().to_owned()) else { return };
        let open = self.open.entry(far).or_default();
        if sent && text.starts_with("INVITE ") {
            if self.offered.insert(id.clone()) {
                open.retain(|_, offer| offer.waits.is_none_or(|since| now < since + GIVEN_UP));
                if !open.is_empty() {
                    let back = self.parked.iter().find(|(by, _)| *by == far).cloned();
                    let comes_back = back.is_some_and(|back| self.parked.remove(&back));
                    assert!(comes_back, "{far} is offered {id} and has {open:?}");
                }
                open.insert(id, Offer { waits: Some(now), how: How::Invite });
                self.made += 1;
            }
            return;
        }
        if !sent
            && text.starts_with("REFER ")
            && line("Refer-To:").is_some_and(|to| to.contains(PARK))
        {
            self.parked.insert((far, id));
            return;
        }
        let Some(offer) = open.get_mut(&id) else { return };
        let about = line("CSeq:").and_then(|cseq| cseq.split_whitespace().nth(1));
        let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.chars().next());
        match (sent, about, status) {
            (true, Some("CANCEL"), None) if offer.how < How::Cancel => {
                *offer = Offer { waits: Some(now), how: How::Cancel };
            }
            (true, Some("BYE"), None) if offer.how < How::Bye => {
                *offer = Offer { waits: Some(now), how: How::Bye };
            }
            (false, Some("BYE"), None | Some('2'..='6'))
            | (false, Some("INVITE"), Some('3'..='6')) => _ = open.remove(&id),
            // The network may lose every one of them: then the switch gives it up without a CANCEL (RFC 3261 §9.1).
            (false, Some("INVITE"), Some('1')) if offer.how == How::Invite => {
                offer.waits = Some(now);
            }
            (false, Some("INVITE"), Some(_)) if offer.how == How::Invite => offer.waits = None,
            _ => {}
        }
    }
}
