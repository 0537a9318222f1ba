//! System 001: JSON over POST with a signed header, request ids of 29 digits, state and record pushes.
//!
//! Spellings such as `DailbackCall`, `getBlance` and `dsc` are the system's own wire form.

mod answer;
mod auth;
mod desc;
mod explain;
mod id;
mod meeting;
mod notice;
mod push;
mod request;

pub use answer::{Code, balance_answer, cdr_answer, failure, participants_answer, success};
pub use auth::{Auth, VALIDITY_DEFAULT, parse_authorization, sign_matches};
pub use desc::state_desc;
pub(crate) use explain::Asked;
pub use id::{
    FID_CODE, FID_CONFERENCE, FID_NOTICE, FID_TWO_WAY, call_of_request_id, fid, leg_of_request_id,
    participant_id, purpose, request_id,
};
pub use meeting::{CreateMeeting, Invited, created, meeting_answer};
pub use notice::{NOTICE_NUMBERS_MAX, Notice, notices_answer};
pub use push::{
    PushContext, PushMode, cdr_push, endpoint, participant_push, plain_digits, state_push,
};
pub use request::{
    Action, CREDIT_MIN, CdrPage, CodeOut, DailBack, Function, HangUp, Query, RING_DEFAULT,
    parse_body,
};

/// Content-Type of answers and pushes.
pub const CONTENT_TYPE: &str = "application/json;charset=UTF-8";
/// Delay before each send of a push, seconds: the list's length is the number of sends.
pub const RETRY_SECONDS: [u64; 3] = [0, 60, 300];
