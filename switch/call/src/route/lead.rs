//! Leading a call on: what an extension or a group wants done with calls that it does not take (RFC 5806,
//! RFC 7044), and how that stays bounded.

use std::time::Duration;

use facts::settings::Snapshot;
use facts::{Kind, LeadsTo, MerchantId, Number, Reach};

use super::{Target, target};

/// Longest index of History-Info that is gone on with.
const INDEX_MAX: usize = 40;

/// Why a call was led on: the words of RFC 5806 §4, and the status that RFC 4458 and RFC 7044 §10.2 tell it by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    Unconditional,
    Busy,
    NoAnswer,
    Unavailable,
    DoNotDisturb,
}

impl Cause {
    /// `None` for a failure that leads nowhere else.
    fn of(kind: Kind, dnd: bool) -> Option<Cause> {
        Some(match kind {
            Kind::Busy if dnd => Cause::DoNotDisturb,
            Kind::Busy | Kind::Rejected => Cause::Busy,
            Kind::NoAnswer => Cause::NoAnswer,
            Kind::Unreachable | Kind::TransportFailed => Cause::Unavailable,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Cause::Unconditional => "unconditional",
            Cause::Busy => "user-busy",
            Cause::NoAnswer => "no-answer",
            Cause::Unavailable => "unavailable",
            Cause::DoNotDisturb => "do-not-disturb",
        }
    }

    fn status(self) -> u16 {
        match self {
            Cause::Unconditional => 302,
            Cause::Busy | Cause::DoNotDisturb => 486,
            Cause::NoAnswer => 408,
            Cause::Unavailable => 503,
        }
    }
}

/// One time that a call was led on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Turn {
    /// Who led it on.
    from: String,
    why: Cause,
    to: Number,
}

/// How a call has come to where it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Trail {
    turns: Vec<Turn>,
    /// The extension or group whose word counts now.
    at: Option<String>,
    /// It rings for so long at most.
    ring: Option<Duration>,
    /// It goes on to the mailbox of this extension.
    mailbox: Option<String>,
}

impl Trail {
    /// How long the leg that it leads to may ring.
    pub(crate) fn ring(&self, asked: Duration) -> Duration {
        self.ring.map_or(asked, |ring| ring.min(asked))
    }

    /// Who led it on last.
    pub(crate) fn led_by(&self) -> Option<&str> {
        self.turns.last().map(|turn| turn.from.as_str())
    }

    /// True once somebody led it on.
    pub(crate) fn is_led_on(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Follows a number to what is rung for it.
    ///
    /// # Errors
    /// Why there is nothing to ring.
    pub(crate) fn follow(
        &mut self,
        snapshot: &Snapshot,
        registered: impl Fn(&str) -> bool,
        (number, payer): (&Number, MerchantId),
    ) -> Result<Target, Kind> {
        let mut number = number.clone();
        loop {
            self.ring = None;
            if let Some(user) = self.mailbox.take() {
                // Its number may have passed on to somebody else since the wish was written.
                let owner = snapshot.extensions.get(&user).map(|extension| extension.merchant);
                let by = self.turns.last().and_then(|turn| owner_of(snapshot, &turn.from));
                let same = owner.is_some() && owner == by;
                return same.then_some(Target::Voicemail(user)).ok_or(Kind::Unreachable);
            }
            let Number::Internal(user) = &number else {
                return self.pays(snapshot, payer).map(|()| Target::Public(number.clone()));
            };
            let passed = |turn: &Turn| turn.from == *user;
            if self.turns.iter().any(passed) {
                return Err(Kind::Unreachable);
            }
            self.at = Some(user.clone());
            let reach = snapshot.extensions.get(user).filter(|ext| ext.enabled).map(|e| &e.reach);
            let always = reach.and_then(|reach| reach.always.as_ref());
            let Some(to) = always else {
                self.ring = reach.filter(|reach| reach.no_answer.is_some()).map(ring);
                return target(snapshot, &registered, (&number, payer)).ok_or(Kind::NoRoute);
            };
            number = self.turn(to, Cause::Unconditional).ok_or(Kind::Unreachable)?;
        }
    }

    /// Where a call goes on to that failed so; `None`: nowhere.
    pub(crate) fn next(&mut self, snapshot: &Snapshot, kind: Kind) -> Option<Number> {
        let at = self.at.as_deref()?;
        let (to, cause) = match snapshot.groups.get(at) {
            Some(group) => (group.otherwise.as_ref()?, Cause::of(kind, false)?),
            None => {
                let reach = &snapshot.extensions.get(at)?.reach;
                let cause = Cause::of(kind, reach.dnd)?;
                let to = match cause {
                    Cause::Unconditional => &reach.always,
                    Cause::Busy | Cause::DoNotDisturb => &reach.busy,
                    Cause::NoAnswer => &reach.no_answer,
                    Cause::Unavailable => &reach.unreachable,
                };
                (to.as_ref()?, cause)
            }
        };
        self.turn(&to.clone(), cause)
    }

    /// Notes that it is led on, as long as that has an end.
    fn turn(&mut self, to: &LeadsTo, why: Cause) -> Option<Number> {
        let from = self.at.clone().filter(|_| self.turns.len() < Reach::HOPS_MAX)?;
        let to = match to {
            LeadsTo::Internal(number) => Number::Internal(number.clone()),
            LeadsTo::Public(digits) => Number::public(digits.clone()),
            LeadsTo::Voicemail(user) => {
                self.mailbox = Some(user.clone());
                Number::Internal(user.clone())
            }
        };
        self.turns.push(Turn { from, why, to: to.clone() });
        Some(to)
    }

    /// Whoever leads a call on to a public number pays for it, as whoever pays for the call: another
    /// merchant's money is not spent.
    fn pays(&self, snapshot: &Snapshot, payer: MerchantId) -> Result<(), Kind> {
        let Some(turn) = self.turns.last() else { return Ok(()) };
        match owner_of(snapshot, &turn.from) == Some(payer) {
            true => Ok(()),
            false => Err(Kind::Forbidden),
        }
    }

    /// Diversion, the last turn first (RFC 5806 §4), and History-Info, one entry for each who was asked
    /// (RFC 7044 §10.3): behind what the call came with. Our own phones are told numbers of ours, carriers public
    /// ones.
    pub(crate) fn headers(
        &self,
        snapshot: &Snapshot,
        came_with: &[(String, Vec<u8>)],
    ) -> Vec<(String, Vec<u8>)> {
        let last = self.turns.last();
        let inside = last.is_some_and(|turn| matches!(turn.to, Number::Internal(_)));
        let uri = |user: &str| match inside {
            true => format!("sip:{user}@{}", snapshot.realm),
            false => format!("sip:{}@{}", public(snapshot, user), snapshot.realm),
        };
        let diversion = self.turns.iter().rev().map(|turn| {
            let why = turn.why.word();
            ("Diversion", format!("<{}>;reason={why};counter=1", uri(&turn.from)))
        });
        // RFC 7044 §10.3: each is the child of the one before, the first of the last that came.
        let is_history = |line: &&(String, Vec<u8>)| line.0.eq_ignore_ascii_case("History-Info");
        let before = came_with.iter().rfind(is_history).and_then(|line| index_of(&line.1));
        let mut index = before.map_or("1".to_owned(), |before| format!("{before}.1"));
        let mut history = Vec::new();
        let mut parent = String::new();
        for turn in &self.turns {
            let why = turn.why.status();
            let asked = format!("<{}?Reason=SIP%3Bcause%3D{why}>", uri(&turn.from));
            history.push(("History-Info", format!("{asked};index={index}{parent}")));
            parent = format!(";mp={index}");
            index += ".1";
        }
        if let Some(turn) = last {
            let to = match &turn.to {
                Number::Internal(user) => uri(user),
                public => format!("sip:{public}@{}", snapshot.realm),
            };
            history.push(("History-Info", format!("<{to}>;index={index}{parent}")));
        }
        let owned = |(name, value): (&str, String)| (name.to_owned(), value.into_bytes());
        let ours = diversion.map(owned);
        let kept = came_with.iter().cloned();
        ours.chain(kept).chain(history.into_iter().map(owned)).collect()
    }
}

/// Whose an internal number is.
fn owner_of(snapshot: &Snapshot, number: &str) -> Option<MerchantId> {
    let group = snapshot.groups.get(number).map(|group| group.merchant);
    group.or_else(|| snapshot.extensions.get(number).map(|extension| extension.merchant))
}

/// Whether an internal number is another merchant's. One that nobody has is nobody's.
pub(crate) fn is_foreign(snapshot: &Snapshot, (number, own): (&Number, MerchantId)) -> bool {
    let Number::Internal(user) = number else { return false };
    owner_of(snapshot, user).is_some_and(|owner| owner != own)
}

/// The number by which those outside know an extension or a group: its own public one, if it has one.
fn public(snapshot: &Snapshot, user: &str) -> String {
    let extension = snapshot.extensions.get(user);
    let merchant = extension
        .map(|extension| extension.merchant)
        .or_else(|| snapshot.groups.get(user).map(|group| group.merchant));
    let bound = extension.and_then(|extension| extension.bound_phone.clone());
    let shown = merchant.and_then(|id| snapshot.merchants.get(&id)?.shown.clone());
    bound.or(shown).map_or_else(|| user.to_owned(), |digits| Number::public(digits).to_string())
}

/// The index of the last entry of a line of History-Info.
fn index_of(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let (_, rest) = line.rsplit_once("index=")?;
    let index: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let fits = !index.is_empty() && index.len() <= INDEX_MAX;
    fits.then_some(index)
}

fn ring(reach: &Reach) -> Duration {
    Duration::from_secs(reach.no_answer_s.unwrap_or(Reach::RING_S).into())
}

#[cfg(test)]
mod tests;
