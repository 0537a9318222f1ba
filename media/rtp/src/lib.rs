//! RTP and RTCP.
