//! The target that opens protected packets.

use std::collections::BTreeSet;

use rtp::srtp::{Failure, Master, Mki, Receiver, Sender, Suite, TRAILER_MAX};

/// Packets taken of one input at most.
const PACKETS_MAX: usize = 128;
const SUITES: [Suite; 4] =
    [Suite::Aes128Sha1_80, Suite::Aes128Sha1_32, Suite::Aes128Gcm, Suite::Aes256Gcm];

/// A receiver that hears a sender through a hostile network. Only what the sender protected is opened, to
/// what it was, and once; all else is refused, counted, and left as it was.
///
/// The first octet tells the suite (2 bits) and whether the key has a name (1). Each packet takes two octets
/// and its bytes: what happens to it (3 bits: as it is, again, bent, cut, of anybody's), whether it is RTCP
/// (1), whether both sides get another key first (1); and how long it is.
pub fn srtp_unprotect(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    let mut rest = rest;
    let mut line = Line::new(SUITES[usize::from(first & 3)], first & 4 != 0);
    for _ in 0..PACKETS_MAX {
        let [head, length, tail @ ..] = rest else { break };
        let (text, next) = tail.split_at(tail.len().min(usize::from(*length)));
        line.step(*head, text);
        rest = next;
    }
}

struct Line {
    suite: Suite,
    named: bool,
    key: u8,
    sender: Sender,
    receiver: Receiver,
    sequence: u16,
    /// What was opened, as it was on the line.
    opened: BTreeSet<Vec<u8>>,
    last: Vec<u8>,
    refused: u64,
}

impl Line {
    fn new(suite: Suite, named: bool) -> Line {
        let (ours, theirs) = keys(suite, named, 0);
        Line {
            suite,
            named,
            key: 0,
            sender: Sender::new(&ours),
            receiver: Receiver::new(&theirs),
            sequence: 65_500,
            opened: BTreeSet::new(),
            last: Vec::new(),
            refused: 0,
        }
    }

    fn step(&mut self, head: u8, text: &[u8]) {
        let rtcp = head & 8 != 0;
        if head & 16 != 0 {
            self.key = self.key.wrapping_add(1);
            let (ours, theirs) = keys(self.suite, self.named, self.key);
            self.sender.rekey(&ours);
            self.receiver.rekey(&theirs);
        }
        match head & 7 {
            0..=2 => {
                let (plain, wire) = self.protect(rtcp, text);
                self.genuine(rtcp, &plain, &wire);
            }
            3 => {
                let wire = self.last.clone();
                self.hostile(rtcp, &wire);
            }
            4 => {
                let (_, mut wire) = self.protect(rtcp, text);
                let at = usize::from(head >> 5) * 7 % wire.len();
                wire[at] ^= 1 << (head >> 5);
                self.hostile(rtcp, &wire);
            }
            5 => {
                let (_, mut wire) = self.protect(rtcp, text);
                wire.truncate(wire.len() - 1 - usize::from(head >> 5));
                self.hostile(rtcp, &wire);
            }
            _ => self.hostile(rtcp, text),
        }
        let tally = self.receiver.tally();
        assert_eq!(tally.forged + tally.replayed, self.refused);
    }

    /// A packet of this text, as the far end would send it.
    fn protect(&mut self, rtcp: bool, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut plain = if rtcp { vec![0x80, 200, 0, 1] } else { vec![0x80, 8] };
        if !rtcp {
            plain.extend(self.sequence.to_be_bytes());
            plain.extend([0; 4]);
        }
        plain.extend([1, 2, 3, 4]);
        plain.extend(text);
        let mut wire = plain.clone();
        wire.resize(plain.len() + TRAILER_MAX, 0);
        let len = if rtcp {
            self.sender.protect_rtcp(&mut wire, plain.len())
        } else {
            self.sender.protect(&mut wire, plain.len())
        };
        wire.truncate(len.expect("an index that was not used"));
        (plain, self.name(rtcp, wire))
    }

    /// Puts the name of the key where the suite wants it.
    fn name(&self, rtcp: bool, mut wire: Vec<u8>) -> Vec<u8> {
        if self.named {
            let gcm = matches!(self.suite, Suite::Aes128Gcm | Suite::Aes256Gcm);
            let at = wire.len() - if gcm { 0 } else { self.suite.tag_len(rtcp) };
            wire.splice(at..at, [0, self.key]);
        }
        wire
    }

    fn genuine(&mut self, rtcp: bool, plain: &[u8], wire: &[u8]) {
        let mut packet = wire.to_vec();
        let len = self.open(rtcp, &mut packet).expect("what the far end sent is heard");
        assert_eq!(packet[..len], *plain);
        self.last = wire.to_vec();
        assert!(self.opened.insert(self.last.clone()), "no two packets are the same");
    }

    /// Nobody without the key makes a packet.
    fn hostile(&mut self, rtcp: bool, wire: &[u8]) {
        let mut packet = wire.to_vec();
        let refused = self.open(rtcp, &mut packet).expect_err("a forgery is heard");
        assert_eq!(packet, wire, "a refused packet is as it was");
        assert_ne!(refused, Failure::NoRoom);
        self.refused += 1;
    }

    fn open(&mut self, rtcp: bool, packet: &mut [u8]) -> Result<usize, Failure> {
        if rtcp { self.receiver.open_rtcp(packet) } else { self.receiver.open(packet) }
    }
}

/// The same key for both, of which the receiver may expect the name.
fn keys(suite: Suite, named: bool, number: u8) -> (Master, Master) {
    let bytes = vec![number; suite.key_len() + suite.salt_len()];
    let mki = named.then_some(Mki { value: u64::from(number), len: 2 });
    let key = |mki| Master::new(suite, &bytes, mki).expect("a key of the right length");
    (key(None), key(mki))
}
