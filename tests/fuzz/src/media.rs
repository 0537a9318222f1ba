//! The targets that read media packets.

use rtp::{packet, rtcp as reports};

/// An RTP packet: what is read lies inside it, and rewriting it in place changes what was asked and
/// nothing else.
pub fn rtp(bytes: &[u8]) {
    let _ = packet::is_rtcp(bytes);
    let Ok(header) = packet::Header::parse(bytes) else { return };
    assert!(header.payload.start <= header.payload.end && header.payload.end <= bytes.len());
    assert!(header.payload_type < 128);
    let mut copy = bytes.to_vec();
    let stamp = packet::Stamp {
        payload_type: header.payload_type ^ 1,
        marker: !header.marker,
        sequence: header.sequence.wrapping_add(1),
        timestamp: header.timestamp.wrapping_add(160),
        ssrc: !header.ssrc,
    };
    stamp.write(&mut copy);
    let again = packet::Header::parse(&copy).expect("a rewritten packet is a packet");
    assert_eq!(again.payload, header.payload);
    assert_eq!(copy[again.payload.clone()], bytes[header.payload.clone()]);
    assert_eq!((again.payload_type, again.marker), (stamp.payload_type, stamp.marker));
    assert_eq!((again.sequence, again.timestamp), (stamp.sequence, stamp.timestamp));
    assert_eq!(again.ssrc, stamp.ssrc);
}

/// An RTCP compound: reading it ends, with no more items than bytes.
pub fn rtcp(bytes: &[u8]) {
    let mut items = 0;
    let _ = reports::read(bytes, |_| items += 1);
    assert!(items <= bytes.len());
}
