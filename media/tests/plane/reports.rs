//! RTCP and recordings over real sockets on loopback.

use std::time::Instant;

use crate::common::*;
use facts::media::{MediaCommand, MediaEvent, RecordingForm, StreamSetup};

/// Sender report, receiver report, goodbye (RFC 3550 §12.1).
const SR: u8 = 200;
const RR: u8 = 201;
const BYE: u8 = 203;

/// The packet types of a compound, by its length fields.
fn types(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while bytes.len() >= 4 {
        out.push(bytes[1]);
        let len = (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + 1) * 4;
        bytes = &bytes[len..];
    }
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn rfc3550_a21_reports_flow_round_trip_is_measured_and_bye_ends_it() {
    let w = World::new(22_000, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    w.bridge((&a, setup(&a, both(None))), (&b, setup(&b, both(None))));
    let mut sent = 0;
    let mut report = [0; 512];
    let len = loop {
        a.say(0, &[1; 160]);
        b.must_hear();
        sent += 1;
        if let Some((len, from)) = receive(&b.rtcp, ms(20), &mut report) {
            assert_eq!(from.port(), b.target.get().unwrap().port() + 1);
            break len;
        }
        assert!(sent < 400, "no report within eight seconds");
    };
    let came = Instant::now();
    assert_eq!(types(&report[..len]), [SR, 202]);
    assert_eq!(word(&report, 20), sent, "packets");
    assert_eq!(word(&report, 24), sent * 160, "octets");
    // B answers with a receiver report: LSR is the middle of the NTP time, DLSR what B took.
    std::thread::sleep(ms(50));
    let mut answer = vec![0x81, RR, 0, 7];
    answer.extend(2_u32.to_be_bytes());
    answer.extend(&report[4..8]);
    answer.extend([51, 0, 0, 9]);
    answer.extend([0; 8]);
    answer.extend(&report[10..14]);
    let held = came.elapsed().as_micros() as u64 * 65_536 / 1_000_000;
    answer.extend((held as u32).to_be_bytes());
    let to = (HOME, b.target.get().unwrap().port() + 1);
    b.rtcp.send_to(&answer, to).unwrap();
    b.rtcp.send_to(&[0x81, RR, 0], to).unwrap();
    std::thread::sleep(ms(50));
    let stats = w.close(B);
    assert_eq!(stats.far_loss, 51);
    assert!((1..30_000).contains(&stats.round_trip_us), "{}", stats.round_trip_us);
    assert_eq!(stats.packets_dropped, 1, "the short report");
    let (len, _) = receive(&b.rtcp, PATIENCE, &mut report).unwrap();
    assert_eq!(types(&report[..len]).last(), Some(&BYE));
    // A sent nothing back to report on but was heard: a receiver report, then BYE only if we sent.
    w.close(A);
    let (len, _) = receive(&a.rtcp, PATIENCE, &mut report).unwrap();
    assert_eq!(types(&report[..len])[0], RR);
}

#[test]
fn rfc5761_a23_on_a_shared_port_reports_are_told_from_sound() {
    let w = World::new(22_100, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let muxed = StreamSetup { rtcp_mux: true, ..setup(&a, both(None)) };
    let locals = w.bridge((&a, muxed), (&b, setup(&b, both(None))));
    a.say(0, &[1; 160]);
    b.must_hear();
    // A report on A's shared port is consumed, on B's RTP port it is refused; neither is sound.
    let mut report = vec![0x80, RR, 0, 1];
    report.extend(1_u32.to_be_bytes());
    a.rtp.send_to(&report, locals[0]).unwrap();
    b.rtp.send_to(&report, locals[1]).unwrap();
    assert!(b.hear(ms(50)).is_none());
    assert!(a.hear(ms(1)).is_none());
    w.order(MediaCommand::Close { leg: A });
    let mut bytes = [0; 512];
    let (len, _) = receive(&a.rtp, PATIENCE, &mut bytes).unwrap();
    assert_eq!(types(&bytes[..len])[..2], [RR, 202], "our own reports share the port too");
    let Some(MediaEvent::Closed { stats, .. }) =
        w.find(PATIENCE, |e| matches!(e, MediaEvent::Closed { leg: A, .. }))
    else {
        panic!("not closed");
    };
    assert_eq!((stats.packets_received, stats.packets_dropped), (1, 0));
    let stats = w.close(B);
    assert_eq!((stats.packets_received, stats.packets_dropped), (0, 1));
}

#[test]
fn a_call_is_recorded_on_both_sides_and_ends_with_its_first_leg() {
    let w = World::new(22_200, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let record = MediaCommand::Record {
        call: CALL,
        left: A,
        right: Some(B),
        file: "x/y.mp3".into(),
        form: RecordingForm::default(),
    };
    w.order(record);
    w.bridge((&a, setup(&a, both(None))), (&b, setup(&b, both(None))));
    let start = Instant::now();
    for n in 0..60_u32 {
        a.say(0, &[0x10; 160]);
        b.say(0, &[0x20; 160]);
        let due = start + ms(20) * (n + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert_eq!(w.media.counts().recordings, 1);
    w.order(MediaCommand::Close { leg: B });
    let recorded = w.find(PATIENCE, |e| {
        matches!(e, MediaEvent::Recorded { .. } | MediaEvent::RecordingFailed { .. })
    });
    let Some(MediaEvent::Recorded { call, file }) = recorded else { panic!("{recorded:?}") };
    assert_eq!((call, file.file.as_str()), (CALL, "x/y.mp3"));
    assert!((1_100..1_600).contains(&file.duration_ms), "{}", file.duration_ms);
    let path = w.folder.path().join("recordings/x/y.mp3");
    assert_eq!(std::fs::metadata(path).unwrap().len(), file.bytes);
    assert_eq!(w.media.counts().recordings, 0);
}

/// A receiver report about `ours`, the source of what we send.
fn receiver_report(ours: &[u8], highest: u32, fraction: u8, lost: u8, jitter: u32) -> Vec<u8> {
    let mut report = vec![0x81, RR, 0, 7];
    report.extend(2_u32.to_be_bytes());
    report.extend(ours);
    report.extend([fraction, 0, 0, lost]);
    report.extend(highest.to_be_bytes());
    report.extend(jitter.to_be_bytes());
    report.extend([0; 8]);
    report
}

#[test]
fn g107_what_was_lost_and_what_the_far_end_lost_are_scored_apart() {
    let w = World::new(22_300, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    w.bridge((&a, setup(&a, both(None))), (&b, setup(&b, both(None))));
    let mut heard = None;
    let start = Instant::now();
    for n in 0..100_u32 {
        // Every twentieth packet of A is lost: 5 %, one at a time. B's all come.
        if n % 20 == 10 {
            a.lose();
        } else {
            a.say(0, &[1; 160]);
            heard = Some(b.must_hear());
        }
        b.say(0, &[2; 160]);
        a.must_hear();
        let due = start + ms(10) * (n + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    // B reports 10 % of loss of what it was sent, and then none.
    let ours = heard.unwrap().ssrc.to_be_bytes();
    let to = (HOME, b.target.get().unwrap().port() + 1);
    b.rtcp.send_to(&receiver_report(&ours, 40_100, 26, 10, 80), to).unwrap();
    b.rtcp.send_to(&receiver_report(&ours, 40_200, 0, 10, 160), to).unwrap();
    std::thread::sleep(ms(50));
    let (a, b) = (w.close(A), w.close(B));
    assert_eq!((a.packets_lost, b.packets_lost), (5, 0));
    // R = 93.2 − 475 / 30.1, less some for the packet and the jitter of a busy machine: 3.9.
    assert!((370..=400).contains(&a.mos_in_x100), "{a:?}");
    assert!((425..=441).contains(&b.mos_in_x100), "{b:?}");
    assert_eq!((a.mos_out_x100, a.mos_out_least_x100), (0, 0), "A never reported");
    // 10 % costs 950 / 35.1 and scores 3.4, none scores 4.4: the mean, and the worst.
    assert!((375..=400).contains(&b.mos_out_x100), "{b:?}");
    assert!((325..=350).contains(&b.mos_out_least_x100), "{b:?}");
    assert_eq!((b.far_packets_lost, b.far_jitter_max_us), (10, 20_000));
    assert!(a.jitter_mean_us > 0 && a.jitter_mean_us <= a.jitter_max_us, "{a:?}");
}
