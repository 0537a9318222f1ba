use super::*;
use crate::testing::origin;

fn header(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload: 12..172 }
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
        let stamp = out.relay(now, &header, 8).unwrap();
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
        .map(|n| out.relay(now, &header(9, n, 0), 0).unwrap().sequence)
        .collect();
    assert_eq!(sent, [10, 12, 11, 11, 14]);
    assert_eq!(out.relay(now, &header(9, 99, 0), 0), Err(Refusal::Late), "number 9 is not ours");
}

#[test]
fn rfc3550_a21_prompt_to_bridge_to_tone_is_one_stream() {
    let mut now = origin();
    let mut out = Egress::new(5, 65_535, 1_000);
    out.give(Owner::Generator);
    let a = out.generate(now, 0, 160).unwrap();
    assert_eq!((a.sequence, a.timestamp, a.marker), (65_535, 1_000, true));
    now += ms(20);
    let b = out.generate(now, 0, 160).unwrap();
    assert_eq!((b.sequence, b.timestamp, b.marker), (0, 1_160, false));
    // The bridge takes over 1 ms later: the prompt's last 20 ms end first.
    now += ms(1);
    assert_eq!(out.relay(now, &header(9, 7, 7), 0), Err(Refusal::NotOwner));
    out.give(Owner::Relay);
    assert_eq!(out.generate(now, 0, 160), Err(Refusal::NotOwner));
    let c = out.relay(now, &header(9, 7, 77), 0).unwrap();
    assert_eq!((c.sequence, c.timestamp, c.marker), (1, 1_320, true));
    // Half a second of nothing, then a tone.
    out.give(Owner::Generator);
    now += ms(500);
    let d = out.generate(now, 0, 160).unwrap();
    assert_eq!((d.sequence, d.timestamp, d.marker), (2, 5_320, true));
    assert_eq!(d.ssrc, 5);
}

#[test]
fn case_2_a_new_ssrc_upstream_goes_on_in_our_numbers() {
    let mut now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 50_000), 0).unwrap();
    now += ms(20);
    let stamp = out.relay(now, &header(10, 40_000, 7), 0).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (11, 160, true));
    // So does a source that restarts its numbering, or its clock, under the same SSRC.
    now += ms(20);
    let stamp = out.relay(now, &header(10, 9, 167), 0).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (12, 320, true));
    now += ms(20);
    let stamp = out.relay(now, &header(10, 10, 900_000), 0).unwrap();
    assert_eq!((stamp.sequence, stamp.timestamp, stamp.marker), (13, 480, true));
}

#[test]
fn what_we_swallow_is_not_shown_as_loss() {
    let now = origin();
    let mut out = Egress::new(5, 10, 0);
    out.give(Owner::Relay);
    out.relay(now, &header(9, 100, 0), 0).unwrap();
    out.skip(&header(9, 101, 0));
    out.skip(&header(9, 102, 0));
    assert_eq!(out.relay(now, &header(9, 103, 0), 0).unwrap().sequence, 11);
    assert_eq!(out.relay(now, &header(9, 105, 0), 0).unwrap().sequence, 13, "a loss is");
}

#[test]
fn rfc3550_6_4_1_sender_info_extrapolates_the_timestamp() {
    let now = origin();
    let mut out = Egress::new(5, 10, 1_000);
    assert_eq!(out.sender_info(now, 1), None);
    out.give(Owner::Generator);
    out.generate(now, 0, 160).unwrap();
    let info = out.sender_info(now + ms(100), 42).unwrap();
    assert_eq!(info, SenderInfo { ntp: 42, timestamp: 1_800, packets: 1, octets: 160 });
}
