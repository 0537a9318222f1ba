//! What the load generators share: raw sockets in batches, the kernel's accounting, a chart.

pub mod svg;
pub mod sys;
pub mod usage;
