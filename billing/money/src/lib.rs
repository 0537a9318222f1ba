//! The ledger's arithmetic.
//!
//! Prices are looked up by longest prefix, charged by started intervals, and rounded once; holds and
//! settlements come out as plans: what to hold, post and void. All of it is exact integer arithmetic on
//! millionths of a currency unit. This crate knows no SQL, no clock and no call state; the `billing` crate
//! carries the plans out inside transactions.

pub mod hold;
pub mod rate;
pub mod settle;
pub mod tariff;

pub use hold::{Quote, Step};
pub use rate::{Charge, Rate, RateError};
pub use settle::{Hold, LegToSettle, Plan, Post, Resolved, plan};
pub use tariff::{Pattern, PatternError, Priced, Tariff};
