//! What phones may watch of each other and of their mailboxes: the two packages that can be subscribed to.
//! `sip` keeps the dialogs and sends one NOTIFY at a time; what is in it is made here, at the moment it
//! leaves, so that the newest state wins. Which extension is in which call is read off the calls after each
//! step, and only of extensions that somebody watches.

mod line;
mod mail;
mod tell;
mod watch;

pub(crate) use line::Progress;
pub(crate) use mail::{Mail, Mailboxes};
pub(crate) use tell::Seen;
pub(crate) use watch::{Package, Watch, Watches};
