//! System 002: one entry for all services, named by a parameter; parameters from anywhere, checked by the rules of the
//! framework that the system was built on; answers in its envelope, in Chinese or English.
//!
//! Spellings such as `GetRecodeFile` are the system's own wire form.

mod answer;
mod auth;
mod batch;
mod bill;
pub mod call;
mod cause;
mod code;
pub mod desk;
mod fault;
mod json;
mod params;
mod play;
mod push;
mod rules;
mod say_code;
mod service;
mod status;
pub mod task;
pub mod voice;

pub use answer::{Answer, Stop, body};
pub use auth::{Login, Token, logged_in};
pub use batch::{Batch, Notice};
pub use bill::{GetBill, Recode};
pub use code::Code;
pub use fault::{Fault, Lang};
pub use json::Json;
pub use params::{Params, boundary};
pub use play::{Echo, Menu, PlayVoice, Voice};
pub use push::{PushContext, RETRY_SECONDS, call_uuid, cdr_push, is_taken, state_push};
pub use rules::Rules;
pub use say_code::{CodeAsked, code_page};
pub use service::{Service, class_of};
pub use status::{CallOf, CallStatus, Extensions, Standing, calls, registered, valid};

/// Content-Type of answers and pushes.
pub const CONTENT_TYPE: &str = "application/json;charset=utf-8";
