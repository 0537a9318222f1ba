//! Messages with random damage, in any state: nothing panics, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::Event;
use sip::wire::Message;
use world::*;

/// Replaces, drops or doubles a few bytes.
fn damage(text: &str, random: &mut ChaCha8Rng) -> Vec<u8> {
    const BYTES: &[u8] = b" \r\n\t:;,<>\"=@%\0\xff0z";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.next_u32() % 4 {
        let at = random.next_u32() as usize % bytes.len();
        match random.next_u32() % 4 {
            0 if bytes.len() > 1 => {
                bytes.remove(at);
            }
            1 => bytes.insert(at, BYTES[random.next_u32() as usize % BYTES.len()]),
            2 => bytes[at] = BYTES[random.next_u32() as usize % BYTES.len()],
            _ => bytes.truncate(at + 1),
        }
    }
    bytes
}

#[test]
fn damaged_messages_in_any_state_neither_panic_nor_stay() {
    for seed in 0..120 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut peer = Alone::new();
        for round in 0..12 {
            let mut texts = vec![
                request("INVITE", &format!("i{round}"), "", OFFER),
                request("CANCEL", &format!("i{round}"), "", ""),
                request("OPTIONS", &format!("o{round}"), "Require: x\r\n", ""),
            ];
            // Answers to damaged requests repeat the damage; nothing can be built on those.
            let whole = |ours: &&Message| ours.verify().is_ok() || !ours.is_request();
            let readable = |ours: &&Message| {
                ours.call_id().is_some() && ours.from().is_ok() && ours.to().is_ok()
            };
            let recent = peer.sent.iter().rev().map(|(_, _, ours)| ours);
            for ours in recent.filter(whole).filter(readable).take(3) {
                if ours.is_request() {
                    texts.push(answer(ours, 180, "t", "", ""));
                    texts.push(ok(ours, "t"));
                    texts.push(answer(ours, 401, "t", "WWW-Authenticate: Digest realm=x\r\n", ""));
                }
                for method in ["ACK", "INVITE", "INFO", "BYE"] {
                    texts.push(within(ours, method, 2 + round, &format!("w{round}{method}"), ""));
                }
            }
            peer.call();
            for text in &texts {
                let flow = if random.next_u32() % 4 == 0 { tcp(Some(1)) } else { udp() };
                peer.receive_over(flow, damage(text, &mut random));
            }
            for event in peer.take_events() {
                if let Event::Invite { session, .. } = event {
                    peer.endpoint.provisional(peer.now, session, 180, None);
                    peer.endpoint.accept(peer.now, session, Bytes::new(), Vec::new());
                }
                let session = match event {
                    Event::Answered { session, .. } | Event::Acked { session, .. } => session,
                    _ => continue,
                };
                peer.endpoint.bye(peer.now, session, None);
            }
            peer.drain();
            peer.wait(u64::from(random.next_u32() % 3000));
        }
        // Timer C, the wait for a cancelled INVITE, and the wait for its copies.
        peer.wait(181_000 + 64_000 + 64_000);
        for event in peer.take_events() {
            if let Event::Answered { session, .. } = event {
                peer.endpoint.bye(peer.now, session, None);
            }
        }
        peer.assert_empty_after(70_000);
    }
}
