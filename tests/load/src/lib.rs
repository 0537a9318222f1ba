//! What the load generators share: raw sockets in batches, merchants who ask and are told, the kernel's
//! accounting, a chart.

pub mod ask;
pub mod ears;
pub mod http;
pub mod svg;
pub mod sys;
pub mod usage;
