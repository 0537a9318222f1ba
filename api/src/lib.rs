//! HTTP doors.
