//! What the load generators share: raw sockets in batches, and the kernel's accounting.

pub mod sys;
pub mod usage;
