//! What phones may watch of each other, and of their mailboxes.

mod mail;

pub(crate) use mail::{Mail, Mailboxes};
