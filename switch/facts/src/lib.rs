//! The words every room of the house shares.
//!
//! Signalling, media, billing and the merchant surfaces never call each other directly: they exchange
//! the values defined here, and reach each other through the few traits in [`ports`]. This crate has no
//! behaviour beyond what a value must know about itself (parse, print, compare, map through a table).
//! It knows no socket, clock, database or protocol.

pub mod axb;
pub mod ban;
pub mod binding;
pub mod campaign;
pub mod capacity;
pub mod carrier;
pub mod command;
pub mod conference;
pub mod control;
pub mod failure;
pub mod feature;
pub mod fraud;
pub mod group;
pub mod gsm;
pub mod hours;
pub mod id;
pub mod isdn;
pub mod ledger;
pub mod manners;
pub mod media;
pub mod money;
pub mod next_hop;
pub mod number;
pub mod payment;
pub mod policy;
pub mod pool;
pub mod ports;
pub mod recognition;
pub mod record;
pub mod recording;
pub mod room;
pub mod routing;
pub mod scenario;
pub mod settings;
pub mod sms;
pub mod sound;
pub mod speech;
pub mod spoken;
pub mod srtp;
pub mod station;
pub mod template;
pub mod time;
pub mod ussd;

pub use binding::Binding;
pub use command::{
    CallCommand, Dialect, Party, Placed, Purpose, Push, PushKind, Refusal, RequestKey,
};
pub use failure::{Failure, Kind, Origin};
pub use feature::{Feature, Features};
pub use group::{Group, LeadsTo, Reach, ReachSet, Strategy};
pub use hours::{Hours, Zone};
pub use id::{CallId, CallIds, LegId, LegNo, MerchantId, SubAccountId, TrunkId};
pub use money::{Currency, Micros};
pub use next_hop::NextHop;
pub use number::{Number, NumberPlan};
pub use record::{CallFacts, CallRecord, LegCharge, LegFacts, Outcome, Side, StateChange, Unrung};
pub use time::{Now, UnixMillis};
