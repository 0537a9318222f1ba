//! SRTP around the relay: legs with it, without it, and with other keys.

use std::cell::RefCell;

use crate::common::*;
use facts::media::{MediaCommand, StreamSetup};
use facts::srtp::{SrtpKey, SrtpKeys, SrtpSuite};
use rtp::srtp::{Master, Receiver, Sender, Suite, TRAILER_MAX};

/// A far end that speaks SRTP.
struct Guarded {
    phone: Phone,
    suite: SrtpSuite,
    key: u8,
    sender: RefCell<Sender>,
    receiver: RefCell<Receiver>,
    sequence: std::cell::Cell<u16>,
}

fn bytes(suite: SrtpSuite, key: u8) -> Vec<u8> {
    let len = if suite == SrtpSuite::Aes128Gcm { 28 } else { 30 };
    vec![key; len]
}

fn master(suite: SrtpSuite, key: u8) -> Master {
    let of = match suite {
        SrtpSuite::Aes128Gcm => Suite::Aes128Gcm,
        SrtpSuite::Aes128Sha1_32 => Suite::Aes128Sha1_32,
        _ => Suite::Aes128Sha1_80,
    };
    Master::new(of, &bytes(suite, key), None).unwrap()
}

impl Guarded {
    /// `key`: its own; the switch's is the next.
    fn new(ssrc: u32, suite: SrtpSuite, key: u8) -> Guarded {
        Guarded {
            phone: Phone::new(ssrc),
            suite,
            key,
            sender: RefCell::new(Sender::new(&master(suite, key))),
            receiver: RefCell::new(Receiver::new(&master(suite, key + 1))),
            sequence: 65_500.into(),
        }
    }

    fn setup(&self) -> StreamSetup {
        self.setup_with(self.key)
    }

    fn setup_with(&self, key: u8) -> StreamSetup {
        let keys = SrtpKeys {
            suite: self.suite,
            send: SrtpKey::new(bytes(self.suite, key + 1)),
            receive: SrtpKey::new(bytes(self.suite, key)),
            mki: None,
        };
        StreamSetup { srtp: Some(Box::new(keys)), ..setup(&self.phone, both(None)) }
    }

    /// Both sides have other keys from now on.
    fn rekey(&mut self, key: u8) {
        self.key = key;
        self.sender.borrow_mut().rekey(&master(self.suite, key));
        self.receiver.borrow_mut().rekey(&master(self.suite, key + 1));
    }

    fn say(&self, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(self.phone.ssrc.to_be_bytes());
        packet.extend(payload);
        let len = packet.len();
        packet.resize(len + TRAILER_MAX, 0);
        let len = self.sender.borrow_mut().protect(&mut packet, len).unwrap();
        packet.truncate(len);
        self.send(&packet);
        packet
    }

    fn send(&self, packet: &[u8]) {
        self.phone.rtp.send_to(packet, self.phone.target.get().unwrap()).unwrap();
    }

    /// The next packet, opened; its payload.
    fn hears(&self) -> Vec<u8> {
        let mut packet = [0; 2048];
        let (len, _) = receive(&self.phone.rtp, PATIENCE, &mut packet).expect("a packet");
        let len = self.receiver.borrow_mut().open(&mut packet[..len]).expect("of the switch");
        packet[12..len].to_vec()
    }
}

#[test]
fn b8_srtp_on_one_leg_and_plain_rtp_on_the_other_are_one_call() {
    for (first, suite) in [
        (25_000, SrtpSuite::Aes128Sha1_80),
        (25_100, SrtpSuite::Aes128Sha1_32),
        (25_200, SrtpSuite::Aes128Gcm),
    ] {
        let w = World::new(first, 20, |_| {});
        let (a, b) = (Guarded::new(1, suite, 10), Phone::new(2));
        w.bridge((&a.phone, a.setup()), (&b, setup(&b, both(None))));
        // Over the roll-over of A's numbers.
        for n in 0..60_u8 {
            a.say(&[n; 160]);
            assert_eq!(b.must_hear().payload, [n; 160], "{suite:?}");
            b.say(0, &[n; 160]);
            assert_eq!(a.hears(), [n; 160], "{suite:?}");
        }
        let stats = w.close(A);
        assert_eq!((stats.packets_received, stats.packets_sent), (60, 60));
        assert_eq!((stats.octets_received, stats.packets_dropped), (60 * 160, 0));
    }
}

#[test]
fn b8_two_legs_with_keys_of_their_own_hear_each_other() {
    let w = World::new(25_300, 20, |_| {});
    let a = Guarded::new(1, SrtpSuite::Aes128Gcm, 10);
    let b = Guarded::new(2, SrtpSuite::Aes128Sha1_80, 20);
    w.bridge((&a.phone, a.setup()), (&b.phone, b.setup()));
    for n in 0..20_u8 {
        a.say(&[n; 160]);
        assert_eq!(b.hears(), [n; 160]);
        b.say(&[!n; 80]);
        assert_eq!(a.hears(), [!n; 80]);
    }
}

#[test]
fn b8_what_is_forged_replayed_or_plain_is_counted_and_never_heard() {
    let w = World::new(25_400, 20, |_| {});
    let (a, b) = (Guarded::new(1, SrtpSuite::Aes128Sha1_80, 10), Phone::new(2));
    w.bridge((&a.phone, a.setup()), (&b, setup(&b, both(None))));
    let genuine = a.say(&[1; 160]);
    assert_eq!(b.must_hear().payload, [1; 160]);
    a.send(&genuine);
    let mut bent = a.say(&[2; 160]);
    assert_eq!(b.must_hear().payload, [2; 160]);
    bent[3] = bent[3].wrapping_add(1);
    a.send(&bent);
    a.send(&bent[..20]);
    a.phone.say(0, &[3; 160]);
    a.say(&[4; 160]);
    assert_eq!(b.must_hear().payload, [4; 160], "and nothing before it");
    let stats = w.close(A);
    assert_eq!((stats.srtp_replayed, stats.srtp_forged, stats.packets_dropped), (1, 3, 4));
    assert_eq!((stats.packets_received, stats.packets_lost), (3, 0));
    let counts = w.media.counts();
    assert_eq!((counts.srtp_replayed, counts.srtp_forged), (1, 3));
    assert!(b.hear(ms(50)).is_none());
}

#[test]
fn case_4_a_setup_with_the_same_key_goes_on_and_one_with_another_starts_over() {
    let w = World::new(25_500, 20, |_| {});
    let (mut a, b) = (Guarded::new(1, SrtpSuite::Aes128Sha1_80, 10), Phone::new(2));
    w.bridge((&a.phone, a.setup()), (&b, setup(&b, both(None))));
    for round in 0..3_u8 {
        for n in 0..50 {
            a.say(&[n; 160]);
            assert_eq!(b.must_hear().payload, [n; 160], "round {round}");
            b.say(0, &[n; 160]);
            assert_eq!(a.hears(), [n; 160], "round {round}");
        }
        // Hold and resume: the numbers have rolled over, the counter goes on.
        w.setup(A, a.setup());
        w.settle();
    }
    let old = a.say(&[7; 160]);
    assert_eq!(b.must_hear().payload, [7; 160]);
    w.setup(A, a.setup_with(30));
    w.settle();
    a.rekey(30);
    a.say(&[8; 160]);
    assert_eq!(b.must_hear().payload, [8; 160]);
    b.say(0, &[9; 160]);
    assert_eq!(a.hears(), [9; 160]);
    a.send(&old);
    assert!(b.hear(ms(100)).is_none(), "of the last key");
    assert_eq!(w.close(A).srtp_forged, 1);
}

#[test]
fn rfc3711_3_4_reports_are_protected_as_well() {
    let w = World::new(25_600, 20, |_| {});
    let (a, b) = (Guarded::new(1, SrtpSuite::Aes128Sha1_32, 10), Phone::new(2));
    w.bridge((&a.phone, a.setup()), (&b, setup(&b, both(None))));
    for n in 0..10 {
        b.say(0, &[n; 160]);
        a.hears();
    }
    w.order(MediaCommand::Close { leg: A });
    let mut report = [0; 512];
    let (len, _) = receive(&a.phone.rtcp, PATIENCE, &mut report).expect("a goodbye");
    let clear = a.receiver.borrow_mut().open_rtcp(&mut report[..len]).expect("of the switch");
    assert_eq!(len - clear, 14, "index, and a tag of 80 bits");
    assert_eq!((report[0] >> 6, report[1]), (2, 200), "a sender report");
}

#[test]
fn b8_a_tone_is_protected_too() {
    let w = World::new(25_700, 20, |_| {});
    let a = Guarded::new(1, SrtpSuite::Aes128Gcm, 10);
    let local = w.open(A);
    a.phone.target.set(Some(local));
    w.setup(A, a.setup());
    w.hear(A, facts::media::Source::Tone(facts::media::Tone::RingBack));
    for _ in 0..10 {
        assert_eq!(a.hears().len(), 160);
    }
}

#[test]
fn b8_members_of_a_conference_have_keys_of_their_own_or_none() {
    let w = World::new(25_800, 20, |_| {});
    let a = Guarded::new(1, SrtpSuite::Aes128Gcm, 10);
    let b = Guarded::new(2, SrtpSuite::Aes128Sha1_80, 20);
    let (c, third) = (Phone::new(3), facts::LegId::new(CALL, facts::LegNo(2)));
    for (leg, phone) in [(A, &a.phone), (B, &b.phone), (third, &c)] {
        phone.target.set(Some(w.open(leg)));
    }
    w.setup(A, a.setup());
    w.setup(B, b.setup());
    w.setup(third, setup(&c, both(None)));
    for leg in [A, B, third] {
        w.hear(leg, facts::media::Source::Room);
    }
    w.settle();
    // Half a second of one loud sample, again and again.
    let said = [0x20; 160];
    for _ in 0..25 {
        a.say(&said);
        std::thread::sleep(ms(20));
    }
    assert!((0..30).any(|_| b.hears() == said), "protected, under other keys");
    assert!((0..30).any(|_| c.must_hear().payload == said), "in clear");
    assert!((0..20).all(|_| a.hears() == [0xff; 160]), "and not himself");
    assert_eq!(w.close(A).srtp_forged, 0);
}
