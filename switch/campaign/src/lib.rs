//! Campaigns: lists of numbers that are dialled for agents, as fast as the agents can take them. What system 002
//! calls a task (merchant APIs §4.9).
//!
//! A customer is rung before it is known which agent will speak with him, so more are rung than agents are free:
//! most do not answer. One who answers and finds nobody is *abandoned*, and of these there may be few. [`Pace`]
//! says how many calls may start now.

mod chance;
mod pace;

pub use pace::{Agents, Lines, Pace, Permille, Seen};
