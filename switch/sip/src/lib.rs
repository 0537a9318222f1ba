//! SIP (RFC 3261 and friends): bytes and instants in, bytes and events out.
