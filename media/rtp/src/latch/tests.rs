use super::*;
use crate::testing::origin;

mod properties;

struct World {
    latch: Latch,
    now: Instant,
    signalling: Option<IpAddr>,
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    /// A far end that signals from the address that it describes.
    fn new(described: &str) -> World {
        World::behind(described, &at(described).ip().to_string())
    }

    /// A far end whose signalling comes from another address.
    fn behind(described: &str, signalling: &str) -> World {
        let signalling = Some(signalling.parse().unwrap());
        let mut w = World { latch: Latch::default(), now: origin(), signalling };
        w.expect(described, true);
        w
    }

    fn expect(&mut self, described: &str, due: bool) {
        let expected = Expected { described: at(described), signalling: self.signalling, due };
        self.latch.expect(self.now, &expected);
    }

    /// Packets in sequence until one is let through; how many it took.
    fn prove(&mut self, from: &str, ssrc: u32, sequence: u16) -> Option<u16> {
        (0..5).find(|n| {
            self.wait(20);
            matches!(self.packet(from, ssrc, sequence + n), Admission::Locked | Admission::Heard)
        })
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn packet(&mut self, from: &str, ssrc: u32, sequence: u16) -> Admission {
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc,
            payload: 12..172,
        };
        self.latch.admit(self.now, at(from), &header)
    }
}

const PHONE: &str = "198.51.100.7:4000";
/// What a phone behind a NAT believes to be.
const INSIDE: &str = "192.168.1.5:4000";
/// Where everything of it comes from.
const OUTSIDE: &str = "203.0.113.80";

#[test]
fn the_first_packet_of_the_described_source_wins() {
    let mut w = World::new(PHONE);
    assert_eq!(w.latch.target(), Some(at(PHONE)), "before any packet");
    assert_eq!(w.packet(PHONE, 1, 500), Admission::Locked);
    assert_eq!(w.packet(PHONE, 1, 501), Admission::Heard);
    assert_eq!(w.packet("198.51.100.7:4002", 2, 1), Admission::Refused);
}

#[test]
fn case_6_a_stranger_is_refused_before_during_and_after() {
    let mut w = World::new(PHONE);
    for n in 0..100 {
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
    }
    assert_eq!(w.latch.target(), Some(at(PHONE)));
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Locked);
    for n in 1..1000_u16 {
        w.wait(20);
        assert_eq!(w.packet(PHONE, 1, n), Admission::Heard);
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
        assert_eq!(w.packet("198.51.100.7:4001", 9, n), Admission::Refused);
    }
    // Nor after a re-INVITE that names the same address, nor in a phone's silence.
    w.expect(PHONE, true);
    w.wait(10_000);
    for n in 0..100 {
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
    }
    assert_eq!(w.latch.target(), Some(at(PHONE)));
}

#[test]
fn case_6_a_caller_who_moves_heals_within_three_seconds() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 65_500);
    // The old address falls silent; the same stream comes from elsewhere 600 ms later.
    w.wait(600);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_530), Admission::Unproven);
    assert_eq!(w.latch.target(), Some(at(PHONE)), "nothing leaks to the unproven");
    w.wait(20);
    // Meanwhile an attacker with another SSRC, and one with the SSRC but a wrong sequence.
    assert_eq!(w.packet("203.0.113.9:666", 9, 65_531), Admission::Refused);
    assert_eq!(w.packet("203.0.113.9:666", 1, 30_000), Admission::Refused);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_531), Admission::Unproven);
    w.wait(20);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_532), Admission::Locked);
    assert_eq!(w.latch.target(), Some(at("203.0.113.80:9000")));
    assert_eq!(w.packet(PHONE, 1, 65_533), Admission::Refused, "the old place is a stranger's now");
}

#[test]
fn case_6_who_comes_back_to_where_a_setup_says_it_is_is_heard_at_once() {
    let roamed = || {
        let mut w = World::new(PHONE);
        w.packet(PHONE, 1, 0);
        w.wait(600);
        for n in 1..=3 {
            w.wait(20);
            w.packet("203.0.113.80:9000", 1, n);
        }
        assert_eq!(w.latch.target(), Some(at("203.0.113.80:9000")));
        w
    };
    let mut w = roamed();
    assert_eq!(w.packet(PHONE, 2, 700), Admission::Refused, "nobody said that it is there again");
    let mut w = roamed();
    w.expect(PHONE, true);
    assert_eq!(w.latch.target(), Some(at("203.0.113.80:9000")), "a refresh alone moves nothing");
    assert_eq!(w.packet("203.0.113.80:9000", 1, 4), Admission::Heard);
    assert_eq!(w.packet("203.0.113.9:666", 2, 700), Admission::Refused);
    assert_eq!(w.packet(PHONE, 2, 700), Admission::Locked);
    assert_eq!(w.latch.target(), Some(at(PHONE)));
}

#[test]
fn case_6_a_copy_of_the_stream_does_not_move_it_while_it_flows() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    for n in 1..500_u16 {
        w.wait(20);
        assert_eq!(w.packet("203.0.113.9:666", 1, n), Admission::Refused);
        assert_eq!(w.packet(PHONE, 1, n), Admission::Heard);
    }
}

#[test]
fn case_6_a_phone_that_restarts_on_another_port_heals_within_three_seconds() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    let start = w.now;
    for n in 0..200_u16 {
        w.wait(20);
        if w.packet("198.51.100.7:4010", 2, n) == Admission::Locked {
            assert!(w.now - start <= Duration::from_secs(3));
            return;
        }
    }
    panic!("never healed");
}

#[test]
fn case_6_silence_on_hold_proves_nothing() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    w.expect(PHONE, false);
    w.wait(60_000);
    for n in 0..20 {
        assert_eq!(w.packet("198.51.100.7:4010", 2, n), Admission::Refused);
    }
}

#[test]
fn a23_rfc4961_a_phone_behind_nat_proves_itself_by_three_packets() {
    let mut w = World::behind(INSIDE, OUTSIDE);
    assert_eq!(w.packet("203.0.113.80:31000", 1, 10), Admission::Unproven);
    assert_eq!(w.packet("203.0.113.80:31000", 1, 10), Admission::Unproven, "a copy proves nothing");
    assert_eq!(w.packet("203.0.113.80:31000", 1, 11), Admission::Unproven);
    assert_eq!(w.packet("203.0.113.9:666", 9, 1), Admission::Refused, "one candidate at a time");
    assert_eq!(w.packet("203.0.113.80:31000", 1, 12), Admission::Locked);
    assert_eq!(w.packet("203.0.113.9:666", 9, 2), Admission::Refused);
}

#[test]
fn random_sprays_never_prove_themselves() {
    let mut w = World::behind(INSIDE, OUTSIDE);
    let mut n = 7_u32;
    for _ in 0..2000 {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        assert_eq!(w.packet("203.0.113.9:666", n, (n >> 16) as u16), Admission::Refused);
        // Nor do those of somebody behind the same NAT.
        assert_ne!(w.packet("203.0.113.80:666", n, (n >> 16) as u16), Admission::Locked);
    }
    // And once the spray pauses the phone gets its chance.
    w.wait(250);
    assert_eq!(w.prove("203.0.113.80:31000", 1, 10), Some(2));
}

#[test]
fn case_6_rfc7362_a_stranger_cannot_be_first_where_the_described_address_is_private() {
    let mut w = World::behind(INSIDE, OUTSIDE);
    for n in 0..1000 {
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
        assert_eq!(w.latch.target(), None, "nothing is sent into somebody's private network");
        w.wait(20);
    }
    // The phone itself may speak as late as it likes.
    assert_eq!(w.prove("203.0.113.80:31000", 1, 10), Some(2));
    assert_eq!(w.latch.target(), Some(at("203.0.113.80:31000")));
    // Its NAT forgets the mapping and makes another: the same address, after a silence.
    w.wait(2_000);
    assert_eq!(w.packet("203.0.113.9:666", 9, 1), Admission::Refused);
    assert_eq!(w.prove("203.0.113.80:31777", 2, 500), Some(2));
}

#[test]
fn rfc4961_the_signallings_address_stands_in_until_the_described_one_speaks() {
    // A phone that describes one address of its machine and sends from another.
    let mut w = World::behind("172.17.0.2:4000", "127.0.0.1");
    assert_eq!(w.latch.target(), Some(at("172.17.0.2:4000")), "it may well be right");
    assert_eq!(w.packet("203.0.113.9:666", 9, 0), Admission::Refused);
    assert_eq!(w.prove("127.0.0.1:4000", 1, 10), Some(2));
    assert_eq!(w.latch.target(), Some(at("127.0.0.1:4000")));
    assert_eq!(w.packet("172.17.0.2:4000", 2, 0), Admission::Locked, "at its first packet");
    assert_eq!(w.latch.target(), Some(at("172.17.0.2:4000")));
    assert_eq!(w.packet("127.0.0.1:4000", 1, 13), Admission::Refused);
    // The same with two public addresses; another port of the described host counts as it, too.
    let mut w = World::behind(PHONE, OUTSIDE);
    assert_eq!(w.prove("203.0.113.80:9", 1, 10), Some(2));
    assert_eq!(w.prove("198.51.100.7:4444", 2, 10), Some(2));
    assert_eq!(w.packet(PHONE, 3, 0), Admission::Locked);
}

#[test]
fn rfc7362_the_signallings_address_has_a_window_after_each_setup() {
    let mut w = World::behind(PHONE, OUTSIDE);
    w.wait(10_000);
    assert_eq!(w.prove("203.0.113.80:9", 1, 10), None, "too late for a second choice");
    assert_eq!(w.latch.target(), Some(at(PHONE)));
    w.expect(PHONE, true);
    w.wait(9_900);
    assert_eq!(w.prove("203.0.113.80:9", 1, 10), Some(2), "the answer opened it anew");
    // Once the described address was heard, its silence opens nothing to the other.
    assert_eq!(w.packet(PHONE, 2, 0), Admission::Locked);
    w.wait(2_500);
    assert_eq!(w.prove("203.0.113.80:9", 1, 20), None);
}

#[test]
fn rfc7362_a_reoffer_from_elsewhere_takes_the_lock_along() {
    let mut w = World::behind(INSIDE, OUTSIDE);
    assert_eq!(w.prove("203.0.113.80:31000", 1, 10), Some(2));
    // The phone changed networks and says so, describing what it did before.
    w.signalling = Some("198.51.100.99".parse().unwrap());
    w.expect(INSIDE, true);
    assert_eq!(w.packet("203.0.113.80:31000", 1, 13), Admission::Refused);
    assert_eq!(w.prove("198.51.100.99:700", 1, 14), Some(2));
    // A refresh from the same place moves nothing.
    w.expect(INSIDE, true);
    assert_eq!(w.packet("198.51.100.99:700", 1, 17), Admission::Heard);
}

#[test]
fn an_address_more_private_than_its_signaller_is_never_sent_to() {
    for described in ["127.0.0.1:4000", "10.0.0.1:4000", "169.254.169.254:80", "[::1]:4000"] {
        assert_eq!(World::behind(described, OUTSIDE).latch.target(), None, "{described}");
    }
    for (described, signalling) in [
        ("10.0.0.1:4000", "10.9.9.9"),
        ("10.0.0.1:4000", "127.0.0.1"),
        ("127.0.0.1:4000", "127.0.0.2"),
        ("[fd00::1]:4000", "fd00::2"),
        (PHONE, "10.0.0.1"),
    ] {
        let w = World::behind(described, signalling);
        assert_eq!(w.latch.target(), Some(at(described)), "{described} from {signalling}");
    }
}

#[test]
fn the_described_source_displaces_what_was_learned() {
    let mut w = World::new(PHONE);
    for n in 0..3 {
        w.packet("198.51.100.7:9999", 9, n);
    }
    assert_eq!(w.latch.target(), Some(at("198.51.100.7:9999")));
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Locked);
    assert_eq!(w.packet("198.51.100.7:9999", 9, 4), Admission::Refused);
}

#[test]
fn case_2_a_new_ssrc_from_the_locked_source_is_heard_at_once() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    assert_eq!(w.packet(PHONE, 2, 40_000), Admission::Heard);
    w.wait(300);
    // Roaming now needs the new SSRC.
    assert_eq!(w.packet("203.0.113.80:1", 1, 1), Admission::Refused);
    assert_eq!(w.packet("203.0.113.80:1", 2, 40_001), Admission::Unproven);
}

#[test]
fn case_3_a_setup_that_names_another_address_starts_over() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    let mut before = PHONE.to_owned();
    for n in 1..5_u8 {
        let next = format!("198.51.100.{}:5000", 100 + n);
        w.expect(&next, true);
        assert_eq!(w.latch.target(), Some(at(&next)));
        assert_eq!(w.prove(&before, u32::from(n), 1), None);
        assert_eq!(w.latch.target(), Some(at(&next)), "what was under way takes nothing back");
        assert_eq!(w.packet(&next, u32::from(n) + 1, 0), Admission::Locked);
        before = next;
    }
}

#[test]
fn case_3_a_far_end_that_goes_on_from_where_it_was_is_found_again() {
    let mut w = World::behind("172.17.0.2:4000", "127.0.0.1");
    assert_eq!(w.prove("127.0.0.1:4000", 1, 10), Some(2));
    w.expect("172.17.0.2:4002", true);
    assert_eq!(w.prove("127.0.0.1:4000", 1, 13), None);
    w.wait(500);
    assert_eq!(w.prove("127.0.0.1:4000", 1, 40), Some(2));
}

#[test]
fn case_1_hold_with_an_unspecified_address_keeps_the_lock() {
    let mut w = World::behind(INSIDE, OUTSIDE);
    for n in 0..3 {
        w.packet("203.0.113.80:31000", 1, n);
    }
    for n in 1..6_u16 {
        w.expect("0.0.0.0:4000", false);
        w.wait(5_000);
        w.expect("192.168.1.5:4000", true);
        assert_eq!(w.packet("203.0.113.80:31000", 1, 250 * n), Admission::Heard);
    }
}

#[test]
fn nothing_is_heard_before_a_setup() {
    let mut w = World { latch: Latch::default(), now: origin(), signalling: None };
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Refused);
    assert_eq!(w.latch.target(), None);
}
