//! What to do with a call's money once its last leg is down: as data.
//!
//! Each leg is charged by its own answer and end. No leg is charged past its paid limit: one we cut ends, for
//! billing, at our decision, and the far end's later BYE adds nothing. The charge is taken out of the leg's
//! holds in the order they were made; what is left of them goes back.

use facts::record::LegFacts;
use facts::{LegCharge, LegNo, Micros, UnixMillis};

use crate::hold::Quote;

/// A hold that a leg made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Which leg.
    pub leg: LegNo,
    /// 0 before the leg was dialled, then each extension.
    pub step: u32,
    /// How much.
    pub amount: Micros,
    /// Talk time covered in total with it, seconds; `None` is without limit.
    pub until_s: Option<u32>,
}

/// A leg that was attempted, with the price it was promised (`None`: free).
#[derive(Clone, Copy, Debug)]
pub struct LegToSettle<'a> {
    /// What happened.
    pub facts: &'a LegFacts,
    /// What it was promised.
    pub quote: Option<&'a Quote>,
}

/// How a hold ends: `posted` is taken, the rest goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The hold.
    pub hold: Hold,
    /// What is taken of it; zero voids it.
    pub posted: Micros,
}

/// A charge to post: from the merchant to revenue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Post {
    /// The leg it is for.
    pub leg: LegNo,
    /// How much; never zero.
    pub amount: Micros,
}

/// Everything to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// One per attempted leg, by number.
    pub charges: Vec<LegCharge>,
    /// Every hold, once.
    pub holds: Vec<Resolved>,
    /// Transfers to post.
    pub posts: Vec<Post>,
}

impl Plan {
    /// Sum of the charges.
    #[must_use]
    pub fn total(&self) -> Micros {
        self.posts.iter().map(|post| post.amount).sum()
    }

    /// Sum of all the holds, posted or not: what is no longer held afterwards.
    #[must_use]
    pub fn released(&self) -> Micros {
        self.holds.iter().map(|resolved| resolved.hold.amount).sum()
    }
}

/// Plans the settlement of a call that ended at `ended`.
#[must_use]
pub fn plan(legs: &[LegToSettle<'_>], holds: &[Hold], ended: UnixMillis) -> Plan {
    let mut plan = Plan::default();
    let mut left: Vec<Resolved> =
        holds.iter().map(|&hold| Resolved { hold, posted: Micros::ZERO }).collect();
    left.sort_by_key(|resolved| (resolved.hold.leg, resolved.hold.step));
    for leg in legs {
        let charge = charge(leg, holds, ended);
        let mut due = charge.price;
        for resolved in left.iter_mut().filter(|resolved| resolved.hold.leg == charge.no) {
            resolved.posted = due.min(resolved.hold.amount);
            due -= resolved.posted;
        }
        if charge.price > Micros::ZERO {
            plan.posts.push(Post { leg: charge.no, amount: charge.price });
        }
        plan.charges.push(charge);
    }
    plan.charges.sort_by_key(|charge| charge.no);
    plan.holds = left;
    plan
}

fn charge(leg: &LegToSettle<'_>, holds: &[Hold], ended: UnixMillis) -> LegCharge {
    let facts = leg.facts;
    let mut charge = LegCharge {
        no: facts.no,
        prefix: leg.quote.map(|quote| quote.prefix.clone()).unwrap_or_default(),
        seconds: 0,
        charged_seconds: 0,
        price: Micros::ZERO,
    };
    let Some(answered) = facts.answered else { return charge };
    let talk = facts.ended.unwrap_or(ended).since(answered);
    charge.seconds = u64::try_from(talk.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    let Some(quote) = leg.quote else { return charge };
    let mine = || holds.iter().filter(|hold| hold.leg == facts.no);
    // The steps of a leg only ever raise the limit; one without limit stays so.
    let limit = mine().map(|hold| hold.until_s.unwrap_or(u32::MAX)).max().unwrap_or(0);
    let held: i128 = mine().map(|hold| i128::from(hold.amount.0)).sum();
    let rated = quote.rate.charge(charge.seconds.min(u64::from(limit)));
    charge.charged_seconds = rated.seconds;
    // Equal by construction of the holds; the cap keeps a damaged row from ever taking more than was held.
    charge.price = rated.price.min(Micros(i64::try_from(held).unwrap_or(i64::MAX)));
    charge
}
