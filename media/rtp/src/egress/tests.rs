use std::time::Duration;

use super::*;
use crate::testing::origin;

fn header(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload: 12..172 }
}

/// 20 ms under this payload type.
fn g711(payload_type: u8) -> Sent {
    Sent { payload_type, clock: 8_000, span: 160 }
}

fn opus(payload_type: u8) -> Sent {
    Sent { payload_type, clock: 48_000, span: 960 }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn rfc3550_5_1_a_gap_upstream_stays_a_gap_downstream_for_ever() {
    let mut now = origin();
    let mut out = Egress::new(5, 65_530, u32::MAX - 320);
    out.give(Owner::Relay);
    let mut first = None;
    for n in 0..150_000_u32 {
        now += ms(20);
        if n % 7 == 3 {
            continue;
        }
        let header = header(9, n.wrapping_add(100) as u16, n.wrapping_mul(160));
        let stamp = out.relay(now, &header, g711(8)).unwrap();
        let (seq, ts) = *first.get_or_insert((stamp.sequence, stamp.timestamp));
        assert_eq!(stamp.sequence, seq.wrapping_add(n as u16));
        assert_eq!(stamp.timestamp, ts.wrapping_add(n.wrapping_mul(160)));
        assert_eq!((stamp.ssrc, stamp.payload_type, stamp.marker), (5, 8, n == 0));
    }
}

#[test]
fn order_and_copies_pass_as_they_came() {
    let now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    let sent: Vec<u16> = [100, 102, 101, 101, 104]
        .into_iter()
        .map(|n| out.relay(now, &header(9, n, 0), g711(0)).unwrap().sequence)
        .collect();
    assert_eq!(sent, [10, 12, 11, 11, 14]);
    assert_eq!(
        out.relay(now, &header(9, 99, 0), g711(0)),
        Err(Refusal::Late),
        "number 9 is not ours"
    );
}

#[test]
fn rfc3550_a21_prompt_to_bridge_to_tone_is_one_stream() {
    let mut now = origin();
    let mut out = Egress::new(5, 65_535, 1_000);
    out.give(Owner::Generator);
    let a = out.generate(now, g711(0), 160).unwrap();
    assert_eq!((a.sequence, a.timestamp, a.marker), (65_535, 1_000, true));
    now += ms(20);
    let b = out.generate(now, g711(0), 160).unwrap();
    assert_eq!((b.sequence, b.timestamp, b.marker), (0, 1_160, false));
    // The bridge takes over 1 ms later: the prompt's last 20 ms end first.
    now += ms(1);
    assert_eq!(out.relay(now, &header(9, 7, 7), g711(0)), Err(Refusal::NotOwner));
    out.give(Owner::Relay);
    assert_eq!(out.generate(now, g711(0), 160), Err(Refusal::NotOwner));
    let c = out.relay(now, &header(9, 7, 77), g711(0)).unwrap();
    assert_eq!((c.sequence, c.timestamp, c.marker), (1, 1_320, true));
    // Half a second of nothing, then a tone.
    out.give(Owner::Generator);
    now += ms(500);
    let d = out.generate(now, g711(0), 160).unwrap();
    assert_eq!((d.sequence, d.timestamp, d.marker), (2, 5_320, true));
    assert_eq!(d.ssrc, 5);
}

#[test]
fn case_2_a_new_ssrc_upstream_goes_on_in_our_numbers() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 50_000), g711(0)).unwrap();
    now += ms(20);
    let stamp = out.relay(now, &header(10, 40_000, 7), g711(0)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (11, 160, true));
    // So does a source that restarts its numbering, or its clock, under the same SSRC.
    now += ms(20);
    let stamp = out.relay(now, &header(10, 9, 167), g711(0)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (12, 320, true));
    now += ms(20);
    let stamp = out.relay(now, &header(10, 10, 900_000), g711(0)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (13, 480, true));
}

#[test]
fn what_we_swallow_is_not_shown_as_loss() {
    let now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 0), g711(0)).unwrap();
    out.skip(&header(9, 101, 0));
    out.skip(&header(9, 102, 0));
    assert_eq!(out.relay(now, &header(9, 103, 0), g711(0)).unwrap().sequence, 11);
    assert_eq!(out.relay(now, &header(9, 105, 0), g711(0)).unwrap().sequence, 13, "a loss is");
}

/// Found by the simulation of sound: numbers had closed up behind a held packet, and one from before it,
/// late on its way, was sent under a number that another had.
#[test]
fn rfc3550_5_1_what_comes_after_numbers_closed_up_takes_none_that_is_used() {
    let now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    let mut send = |n: u16| out.relay(now, &header(9, n, 0), g711(0)).map(|stamp| stamp.sequence);
    assert_eq!([100, 101, 103].map(&mut send), [Ok(10), Ok(11), Ok(13)]);
    out.skip(&header(9, 104, 0));
    let mut send = |n: u16| out.relay(now, &header(9, n, 0), g711(0)).map(|stamp| stamp.sequence);
    assert_eq!([102, 103, 104].map(&mut send), [Err(Refusal::Late); 3], "12 would have been 11's");
    assert_eq!([105, 107, 106, 105].map(send), [Ok(14), Ok(16), Ok(15), Ok(14)]);
}

#[test]
fn rfc3550_6_4_1_sender_info_extrapolates_the_timestamp() {
    let now = origin();
    let mut out = Egress::new(5, 10, 1_000);
    assert_eq!(out.sender_info(now, 1), None);
    out.give(Owner::Generator);
    out.generate(now, g711(0), 160).unwrap();
    let info = out.sender_info(now + ms(100), 42).unwrap();
    assert_eq!(info, SenderInfo { ntp: 42, timestamp: 1_800, packets: 1, octets: 160 });
}

#[test]
fn case_5_another_clock_goes_on_from_the_same_number() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 1_000);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 7), g711(8)).unwrap();
    now += ms(20);
    // The far end goes over to Opus: 20 ms are 960 units from now on.
    let stamp = out.relay(now, &header(9, 101, 90_000), opus(96)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (11, 1_960, true));
    now += ms(20);
    let stamp = out.relay(now, &header(9, 103, 90_000 + 1_920), opus(96)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (13, 3_880, false));
    // A pause of nine seconds without a marker is one of Opus too.
    now += ms(9_000);
    let stamp = out.relay(now, &header(9, 104, 91_920 + 432_000), opus(96)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (14, 435_880, false));
    assert_eq!(out.sender_info(now + ms(10), 0).unwrap().timestamp, 435_880 + 480);
}

const TURNED: (Coding, Coding) = (Coding::Pcma, Coding::Opus);

/// What is to be made up for before a packet of 20 ms, and whether it begins anew.
fn line(out: &mut Egress, sequence: u16, timestamp: u32) -> Result<(u32, bool), Refusal> {
    out.line(&header(9, sequence, timestamp), TURNED, 160).map(|recode| (recode.lost, recode.fresh))
}

#[test]
fn what_is_coded_anew_tells_loss_from_pauses_and_leaves_without_gaps() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 1_000);
    out.give(Owner::Relay);
    assert_eq!(out.generate(now, opus(96), 80), Err(Refusal::NotOwner), "nothing came yet");
    assert_eq!(line(&mut out, 100, 50_000), Ok((0, true)));
    let stamp = out.generate(now, opus(96), 80).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (10, 1_000, true));
    now += ms(20);
    assert_eq!(line(&mut out, 101, 50_160), Ok((0, false)));
    // Two lost: made up for. One of them after all: too late. A copy: too late.
    assert_eq!(line(&mut out, 104, 50_640), Ok((320, false)));
    assert_eq!(line(&mut out, 103, 50_480), Err(Refusal::Late));
    assert_eq!(line(&mut out, 104, 50_640), Err(Refusal::Late));
    for n in 1..=4 {
        let stamp = out.generate(now, opus(96), 80).unwrap();
        assert_eq!(
            (stamp.sequence, stamp.timestamp, stamp.marker),
            (10 + n, 1_000 + 960 * u32::from(n), false)
        );
    }
    // Silence was not sent: numbers in a row, a jump in time.
    now += ms(580);
    assert_eq!(line(&mut out, 105, 50_800 + 4_000), Ok((0, false)));
    let stamp = out.generate(now, opus(96), 80).unwrap();
    assert_eq!((stamp.sequence, stamp.marker), (15, true));
    assert_eq!(stamp.timestamp, 4_840 + 27_840, "time went on");
    // A long loss is one as well: nothing would be heard of what is made up.
    assert_eq!(line(&mut out, 165, 54_960 + 9_440), Ok((0, false)));
    // A listener that is given something else begins anew.
    out.give(Owner::Relay);
    assert_eq!(line(&mut out, 166, 64_560), Ok((0, true)));
}

#[test]
fn case_2_a_new_source_or_numbering_is_coded_anew_as_a_new_one() {
    let mut out = Egress::new(5, 10, 1_000);
    out.give(Owner::Relay);
    let mut come = |ssrc, sequence, timestamp, turned| {
        out.line(&header(ssrc, sequence, timestamp), turned, 160).unwrap().fresh
    };
    assert!(come(9, 100, 50_000, TURNED));
    assert!(!come(9, 101, 50_160, TURNED));
    assert!(come(10, 102, 50_320, TURNED), "another source");
    assert!(come(10, 30_000, 1, TURNED), "another numbering");
    assert!(!come(10, 30_001, 900_000, TURNED), "a pause, for all that is known");
    assert!(come(10, 30_002, 900_160, (Coding::G722, Coding::Opus)), "another coding");
}

#[test]
fn rfc4733_2_1_events_and_noise_beside_sound_that_is_coded_anew() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 1_000);
    out.give(Owner::Relay);
    line(&mut out, 100, 50_000).unwrap();
    out.generate(now, opus(96), 80).unwrap();
    now += ms(20);
    let mut stamps = Vec::new();
    for n in 1..=3_u16 {
        let [high, low] = (n * 160).to_be_bytes();
        let mut payload = [5, 10, high, low];
        let event = Header { payload: 12..16, ..header(9, 100 + n, 50_160) };
        let stamp = out.relay_event(now, &event, (97, 8_000, 48_000), &mut payload).unwrap();
        assert_eq!(payload[2..], (n * 960).to_be_bytes());
        stamps.push((stamp.payload_type, stamp.sequence, stamp.timestamp, stamp.marker));
        now += ms(20);
    }
    assert_eq!(stamps, [(97, 11, 1_960, true), (97, 12, 1_960, false), (97, 13, 1_960, false)]);
    // The sound after it follows without loss.
    assert_eq!(line(&mut out, 104, 50_640), Ok((0, false)), "time went by without sound");
    assert_eq!(out.generate(now, opus(96), 80).unwrap().sequence, 14);
    let noise = Header { payload: 12..13, ..header(9, 105, 50_800) };
    assert_eq!(out.relay_noise(now, &noise, 13), Err(Refusal::NoNoise), "Opus has its own");
}

#[test]
fn rfc4733_2_1_events_of_another_clock_beside_opus_that_passes() {
    let now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 700_000), opus(96)).unwrap();
    let mut payload = [5, 0x8a, 0x12, 0xc0];
    let event = Header { payload: 12..16, ..header(9, 102, 3) };
    let stamp = out.relay_event(now, &event, (101, 48_000, 8_000), &mut payload).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (12, 960, true), "a gap stays one");
    assert_eq!(payload, [5, 0x8a, 3, 0x20]);
    // Its timestamp, of whatever clock, does not tear the sound loose.
    let stamp = out.relay(now, &header(9, 103, 700_960), opus(96)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (13, 960, false));
}

#[test]
fn rfc3389_4_noise_passes_in_its_place() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 700), g711(8)).unwrap();
    now += ms(20);
    let noise = Header { payload: 12..13, ..header(9, 101, 860) };
    let stamp = out.relay_noise(now, &noise, 13).unwrap();
    assert_eq!((stamp.payload_type, stamp.sequence, stamp.timestamp), (13, 11, 160));
    now += ms(600);
    let stamp = out.relay(now, &header(9, 102, 5_660), g711(8)).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (12, 4_960, false));
}
