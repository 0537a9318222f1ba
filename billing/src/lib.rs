//! Durable money: the store behind the switch.
//!
//! Everything that must outlive the process is a row here: merchants and what they own, the double-entry
//! ledger, holds, the journal of open calls, call records, CDRs and the outbox of promised notifications.
//! The arithmetic (prices, rounding, what a hold must be) is the `money` crate's; this crate runs it inside
//! transactions. It knows no SIP and no HTTP.
//!
//! One set of statements serves two databases. SQLite has a single writer thread that commits in batches;
//! PostgreSQL serves several machines, with row locks on the merchant's account.
//!
//! **Secrets.** API keys that sign requests (system 000 `key`, 001 `authToken`, 002 `accesskey`) and trunk
//! passwords are stored readable, because the signatures need them; the SQLite file is created with mode
//! 0600. Extension passwords are stored only as digests of RFC 7616 §3.4.2.

mod apply;
pub mod axb;
mod bindings;
mod books;
mod call;
pub mod campaigns;
mod company;
mod conferences;
mod db;
pub mod desired;
pub mod document;
mod error;
mod journal;
mod keys;
pub mod library;
pub mod menus;
pub mod numbers;
mod objects;
mod once;
mod outbox;
pub mod payments;
mod queue;
mod reach;
mod records;
mod register;
mod repeats;
pub mod rows;
mod rung;
mod secrets;
mod settle;
pub mod signs;
pub mod smpp;
pub mod sms;
mod snapshot;
pub mod speech;
mod spending;
mod store;
mod tariffs;
pub mod trail;
mod voicemail;
mod webhooks;
pub mod words;

pub use error::{Constraint, Error, Result};
pub use once::Once;
pub use outbox::{After, Lease, Leased, Report, Writer};
pub use queue::Queue;
pub use records::BillsAsked;
pub use secrets::{is_password, octets as random_octets};
pub use store::{SettleContext, Store, StoreConfig, Watch};
