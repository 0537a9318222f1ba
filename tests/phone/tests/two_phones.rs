//! Two phones with nothing between them: the bench must be right before it measures anything else.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::net::SocketAddr;
use std::time::Duration;

use phone::{Answer, Behaviour, CallState, Law, Phone, Wire};

const SHORT: Duration = Duration::from_secs(5);

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn talk(wire: Wire) {
    let b = Behaviour {
        tone_hz: 1100,
        laws: vec![Law::Pcmu],
        keys: Some((Duration::from_millis(200), "5#".into())),
        ..Behaviour::default()
    };
    let b = Phone::on(wire, any(), b).unwrap();
    let a = Phone::on(wire, any(), Behaviour::default()).unwrap();
    a.dial(&format!("sip:b@{}", b.address()), b.address(), "a", None).unwrap();
    assert!(a.wait(SHORT, |r| r.calls[0].state == CallState::Up));
    assert!(a.wait(SHORT, |r| r.calls[0].rtp.keys == "5#" && r.calls[0].rtp.received > 70));
    let (heard_a, heard_b) = (a.report().calls[0].rtp.clone(), b.report().calls[0].rtp.clone());
    assert_eq!(heard_a.tone.map(|t| t.0), Some(1100));
    assert_eq!(heard_b.tone.map(|t| t.0), Some(700));
    assert_eq!((heard_a.lost, heard_a.payload_type, heard_b.payload_type), (0, Some(0), Some(0)));
    a.hang_up();
    assert!(b.wait(SHORT, |r| r.calls[0].ended_by == "they hung up"));
    assert!(a.wait(SHORT, |r| r.count(false, "200 OK") == 2));
}

#[test]
fn two_phones_talk_over_udp() {
    talk(Wire::Udp);
}

#[test]
fn two_phones_talk_over_tcp() {
    talk(Wire::Tcp);
}

#[test]
fn rfc3261_9_a_ringing_call_is_cancelled() {
    let b = Phone::bind(any(), Behaviour::never_answers()).unwrap();
    let a = Phone::bind(any(), Behaviour::default()).unwrap();
    a.dial(&format!("sip:b@{}", b.address()), b.address(), "a", None).unwrap();
    assert!(a.wait(SHORT, |r| r.count(false, "180") == 1));
    a.hang_up();
    assert!(a.wait(SHORT, |r| r.calls[0].ended_by == "487"));
    assert!(b.wait(SHORT, |r| r.calls[0].ended_by == "cancelled" && r.count(false, "ACK") == 1));
}

#[test]
fn a_refusal_carries_its_cause_and_hold_silences_the_far_end() {
    let answer = Answer::Reject { after: Duration::ZERO, code: 486, cause: Some(17) };
    let b = Phone::bind(any(), Behaviour { answer, ..Behaviour::default() }).unwrap();
    let a = Phone::bind(any(), Behaviour::default()).unwrap();
    a.dial(&format!("sip:b@{}", b.address()), b.address(), "a", None).unwrap();
    assert!(a.wait(SHORT, |r| r.calls[0].ended_by == "486"));
    assert!(a.report().log.iter().any(|l| l.text.contains("Reason: Q.850;cause=17")));

    b.behave(Behaviour::default());
    a.dial(&format!("sip:b@{}", b.address()), b.address(), "a", None).unwrap();
    assert!(a.wait(SHORT, |r| r.calls[1].rtp.received > 10));
    a.hold(true);
    assert!(a.wait(SHORT, |r| r.log.iter().any(|l| !l.sent && l.text.contains("a=recvonly"))));
    std::thread::sleep(Duration::from_millis(60));
    let before = a.report().calls[1].rtp.received;
    std::thread::sleep(Duration::from_millis(200));
    assert!(a.report().calls[1].rtp.received <= before + 1);
}
