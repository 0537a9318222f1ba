//! Media worker threads.
