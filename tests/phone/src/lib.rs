//! A dumb phone.
