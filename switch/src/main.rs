//! Tandem: the process.

fn main() {}
