//! System 003: menus of merchants' web pages, what was paid through them, and short messages (spec §5).

pub mod page;
pub mod payments;
pub mod sms;
pub mod soap;
