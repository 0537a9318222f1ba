//! A dialog, or an INVITE that still rings, as bytes: what a restarted process needs to end it. A
//! version byte, then fields with their lengths in a fixed order. It holds nothing that was not on
//! the wire.

use std::net::SocketAddr;

use bytes::Bytes;

use super::Dialog;
use crate::endpoint::{Flow, Transport};
use crate::wire::{HeaderName, NameAddr, push_address, push_decimal};

/// Format of the bytes of a dialog.
const VERSION: u8 = 1;
/// Format of the bytes of an INVITE without a final answer.
const VERSION_EARLY: u8 = 2;
/// How far the numbering jumps when a session is taken up: more requests than this were never lost
/// between two snapshots.
const CSEQ_JUMP: u32 = 1000;
/// Room for the snapshot of an ordinary dialog.
const SNAPSHOT_BYTES: usize = 512;
/// Most routes in a snapshot.
const ROUTES_MAX: usize = 128;

impl Dialog {
    /// Writes the dialog down.
    pub(crate) fn to_snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SNAPSHOT_BYTES);
        out.push(VERSION);
        for field in [
            self.call_id.as_bytes(),
            &self.local,
            &self.remote,
            self.local_tag.as_bytes(),
            self.remote_tag.as_bytes(),
            self.target.as_bytes(),
            &self.contact,
        ] {
            put(&mut out, field);
        }
        put_with(&mut out, |out| push_decimal(out, self.local_cseq));
        put_with(&mut out, |out| {
            if let Some(number) = self.remote_cseq {
                push_decimal(out, number);
            }
        });
        put_way(&mut out, &self.flow, self.keep_flow);
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

/// The bytes of an [`EarlySnapshot`], straight from the INVITE as it was sent: its head without what
/// tells of the body, and the way it took.
pub(crate) fn early_snapshot(invite: &[u8], flow: &Flow, keep_flow: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(invite.len() + SNAPSHOT_BYTES / 4);
    out.push(VERSION_EARLY);
    put_with(&mut out, |out| {
        for line in lines(invite) {
            let name = line.split(|&byte| byte == b':').next().unwrap_or(line);
            let of_body = [HeaderName::ContentType, HeaderName::ContentLength]
                .iter()
                .any(|header| name.eq_ignore_ascii_case(header.as_str().as_bytes()));
            if !of_body {
                out.extend_from_slice(line);
            }
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    });
    put_way(&mut out, flow, keep_flow);
    out
}

/// The lines of the head of a message that we printed, line ends included.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)? + 1;
        let (line, after) = rest.split_at(end);
        rest = after;
        (line != b"\r\n").then_some(line)
    })
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
    put_with(out, |out| out.extend_from_slice(field));
}

/// Writes a field with its length in front.
fn put_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// The way of a dialog: transport, both addresses, whether it is the only one.
fn put_way(out: &mut Vec<u8>, flow: &Flow, keep_flow: bool) {
    put(out, flow.transport.as_str().as_bytes());
    put_with(out, |out| push_address(out, flow.local));
    put_with(out, |out| push_address(out, flow.remote));
    put(out, if keep_flow { b"1" } else { b"0" });
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
