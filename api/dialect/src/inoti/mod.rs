//! System 003: menus of merchants' web pages, and what was paid through them (spec §5).

pub mod page;
pub mod payments;
pub mod soap;
