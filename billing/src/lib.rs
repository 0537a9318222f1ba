//! Durable money.
