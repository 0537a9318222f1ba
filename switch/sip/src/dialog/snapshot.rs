//! A dialog, or an INVITE that still rings, as bytes: what a restarted process needs to end it. A
//! version byte, then fields with their lengths in a fixed order. It holds nothing that was not on
//! the wire.

use std::net::SocketAddr;

use bytes::Bytes;

use super::Dialog;
use crate::endpoint::{Flow, Transport};
use crate::wire::NameAddr;

/// Format of the bytes of a dialog.
const VERSION: u8 = 1;
/// Format of the bytes of an INVITE without a final answer.
const VERSION_EARLY: u8 = 2;
/// How far the numbering jumps when a session is taken up: more requests than this were never lost
/// between two snapshots.
const CSEQ_JUMP: u32 = 1000;
/// Most routes in a snapshot.
const ROUTES_MAX: usize = 128;

impl Dialog {
    /// Writes the dialog down.
    pub(crate) fn to_snapshot(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for field in [
            self.call_id.as_bytes(),
            &self.local,
            &self.remote,
            self.local_tag.as_bytes(),
            self.remote_tag.as_bytes(),
            self.target.as_bytes(),
            &self.contact,
            self.local_cseq.to_string().as_bytes(),
            self.remote_cseq.map(|number| number.to_string()).unwrap_or_default().as_bytes(),
            self.flow.transport.as_str().as_bytes(),
            self.flow.local.to_string().as_bytes(),
            self.flow.remote.to_string().as_bytes(),
            if self.keep_flow { b"1" } else { b"0" },
        ] {
            put(&mut out, field);
        }
        for route in &self.routes {
            put(&mut out, &route.to_bytes());
        }
        out
    }

    /// Reads a dialog back. Its numbering goes on far enough that no number is used twice; its
    /// connection is gone.
    pub(crate) fn from_snapshot(bytes: &[u8]) -> Option<Dialog> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let rest = &mut rest;
        let call_id = text(rest)?;
        let local = take(rest)?.to_vec();
        let remote = take(rest)?.to_vec();
        let local_tag = text(rest)?;
        let remote_tag = text(rest)?;
        let target = text(rest)?;
        let contact = take(rest)?.to_vec();
        let local_cseq: u32 = text(rest)?.parse().ok()?;
        let remote_cseq = match text(rest)?.as_str() {
            "" => None,
            number => Some(number.parse().ok()?),
        };
        let transport = Transport::of(&text(rest)?)?;
        let local_address: SocketAddr = text(rest)?.parse().ok()?;
        let remote_address: SocketAddr = text(rest)?.parse().ok()?;
        let keep_flow = take(rest)? == b"1";
        let mut routes = Vec::new();
        while !rest.is_empty() {
            if routes.len() == ROUTES_MAX {
                return None;
            }
            routes.push(NameAddr::parse(take(rest)?)?);
        }
        Some(Dialog {
            call_id,
            local,
            remote,
            local_tag,
            remote_tag,
            routes,
            target,
            contact,
            local_cseq: local_cseq.checked_add(CSEQ_JUMP)?,
            remote_cseq,
            flow: Flow {
                transport,
                local: local_address,
                remote: remote_address,
                connection: None,
            },
            keep_flow,
        })
    }
}

/// An INVITE of ours that had no final answer yet. RFC 3261 §9.1: its CANCEL bears the same
/// Request-URI, top Via, Call-ID, CSeq number, From, To and Route, and takes the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EarlySnapshot {
    /// The INVITE without its body.
    pub(crate) request: Bytes,
    pub(crate) flow: Flow,
    pub(crate) keep_flow: bool,
}

impl EarlySnapshot {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION_EARLY];
        for field in [
            &self.request[..],
            self.flow.transport.as_str().as_bytes(),
            self.flow.local.to_string().as_bytes(),
            self.flow.remote.to_string().as_bytes(),
            if self.keep_flow { b"1" } else { b"0" },
        ] {
            put(&mut out, field);
        }
        out
    }

    /// Reads it back; its connection is gone.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<EarlySnapshot> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION_EARLY {
            return None;
        }
        let rest = &mut rest;
        let request = Bytes::copy_from_slice(take(rest)?);
        let transport = Transport::of(&text(rest)?)?;
        let local = text(rest)?.parse().ok()?;
        let remote = text(rest)?.parse().ok()?;
        let keep_flow = take(rest)? == b"1";
        let flow = Flow { transport, local, remote, connection: None };
        rest.is_empty().then_some(EarlySnapshot { request, flow, keep_flow })
    }
}

fn put(out: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(rest)?.to_vec()).ok()
}
