//! RTCP: reading and building compound packets, and the account of round trip and far-end loss
//! (RFC 3550 §6).
//!
//! Each leg is an end system of its own: it sends its own reports and consumes the far end's.
//! Nothing is carried over raw, because each side of the relay has its own SSRC and numbering.

use std::time::{Duration, Instant};

use crate::packet::Malformed;
use crate::wire::{put_u16, put_u32, u16_at, u32_at};

/// Sender report (RFC 3550 §6.4.1).
const SR: u8 = 200;
/// Receiver report (RFC 3550 §6.4.2).
const RR: u8 = 201;
/// Source description (RFC 3550 §6.5).
const SDES: u8 = 202;
/// Goodbye (RFC 3550 §6.6).
const BYE: u8 = 203;

/// Octets of a report block.
const BLOCK_LEN: usize = 24;
/// Longest compound packet that [`Report::write`] makes: SR with one block, SDES with a CNAME, BYE.
pub const REPORT_MAX: usize = 28 + BLOCK_LEN + 8 + 4 + CNAME_LEN + 8;
/// Octets of a CNAME: random and short-lived (RFC 7022 §4.2), printed as hexadecimal.
pub const CNAME_LEN: usize = 24;

/// A report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The source it is about.
    pub ssrc: u32,
    /// Lost in the last interval, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; 24 bits, signed.
    pub cumulative_lost: i32,
    /// Highest sequence number with its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR from that source; 0 for none.
    pub last_sr: u32,
    /// Time since that SR, 1/65536 s.
    pub delay_since_sr: u32,
}

/// The sender's part of an SR (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// NTP time, 32.32 seconds since 1900.
    pub ntp: u64,
    /// The same instant in timestamp units of the stream.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

/// One thing a compound packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// Somebody sends, and reports on it.
    Sender {
        /// Who.
        ssrc: u32,
        /// What.
        info: SenderInfo,
    },
    /// Somebody only receives.
    Receiver {
        /// Who.
        ssrc: u32,
    },
    /// Somebody reports on a source it hears.
    Block {
        /// Who reports.
        reporter: u32,
        /// What it hears.
        block: ReportBlock,
    },
    /// Somebody leaves.
    Bye {
        /// Who.
        ssrc: u32,
    },
}

/// Reads a compound packet and hands each item to `each`.
///
/// # Errors
///
/// By the checks of RFC 3550 A.2: version 2 throughout, the first packet is SR or RR, the lengths add
/// up, and no packet claims more blocks than it holds. Nothing has been handed out then.
pub fn read(bytes: &[u8], mut each: impl FnMut(Item)) -> Result<(), Malformed> {
    if bytes.len() < 8 || !matches!(bytes[1], SR | RR) || bytes[0] & 0x20 != 0 {
        return Err(Malformed);
    }
    for packet in Packets(bytes) {
        packet?.check()?;
    }
    for packet in Packets(bytes).flatten() {
        packet.items(&mut each);
    }
    Ok(())
}

/// The packets of a compound, by their length fields.
struct Packets<'a>(&'a [u8]);

/// One packet of a compound: its type, its count field, and its body after the first word.
struct Packet<'a> {
    kind: u8,
    count: usize,
    body: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        if bytes.len() < 4 || bytes[0] >> 6 != 2 {
            return Some(Err(Malformed));
        }
        let len = (usize::from(u16_at(bytes, 2)) + 1) * 4;
        if len > bytes.len() {
            return Some(Err(Malformed));
        }
        self.0 = &bytes[len..];
        let count = usize::from(bytes[0] & 0x1f);
        Some(Ok(Packet { kind: bytes[1], count, body: &bytes[4..len] }))
    }
}

impl Packet<'_> {
    fn check(&self) -> Result<(), Malformed> {
        let least = match self.kind {
            SR => 24 + self.count * BLOCK_LEN,
            RR => 4 + self.count * BLOCK_LEN,
            BYE => self.count * 4,
            _ => 0,
        };
        if self.body.len() < least { Err(Malformed) } else { Ok(()) }
    }

    /// Checked before: every offset lies within the body.
    fn items(&self, each: &mut impl FnMut(Item)) {
        let body = self.body;
        let blocks = match self.kind {
            SR => {
                let ntp = (u64::from(u32_at(body, 4)) << 32) | u64::from(u32_at(body, 8));
                let info = SenderInfo {
                    ntp,
                    timestamp: u32_at(body, 12),
                    packets: u32_at(body, 16),
                    octets: u32_at(body, 20),
                };
                each(Item::Sender { ssrc: u32_at(body, 0), info });
                24
            }
            RR => {
                each(Item::Receiver { ssrc: u32_at(body, 0) });
                4
            }
            BYE => {
                for i in 0..self.count {
                    each(Item::Bye { ssrc: u32_at(body, 4 * i) });
                }
                return;
            }
            _ => return,
        };
        let reporter = u32_at(body, 0);
        for i in 0..self.count {
            let block = ReportBlock::read(&body[blocks + i * BLOCK_LEN..]);
            each(Item::Block { reporter, block });
        }
    }
}

impl ReportBlock {
    fn read(bytes: &[u8]) -> ReportBlock {
        let lost = u32_at(bytes, 4) & 0x00ff_ffff;
        ReportBlock {
            ssrc: u32_at(bytes, 0),
            fraction_lost: bytes[4],
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: u32_at(bytes, 8),
            jitter: u32_at(bytes, 12),
            last_sr: u32_at(bytes, 16),
            delay_since_sr: u32_at(bytes, 20),
        }
    }

    fn write(&self, bytes: &mut [u8]) {
        let lost = self.cumulative_lost.cast_unsigned() & 0x00ff_ffff;
        put_u32(bytes, 0, self.ssrc);
        put_u32(bytes, 4, (u32::from(self.fraction_lost) << 24) | lost);
        put_u32(bytes, 8, self.highest_sequence);
        put_u32(bytes, 12, self.jitter);
        put_u32(bytes, 16, self.last_sr);
        put_u32(bytes, 20, self.delay_since_sr);
    }
}

/// A compound packet to send: SR or RR, SDES with the CNAME, and BYE at the end of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// Ours.
    pub ssrc: u32,
    /// Present when we sent since the last report or the one before (RFC 3550 §6.4).
    pub sender: Option<SenderInfo>,
    /// What we hear, if anything.
    pub block: Option<ReportBlock>,
    /// Who we are.
    pub cname: &'a [u8; CNAME_LEN],
    /// We leave.
    pub bye: bool,
}

impl Report<'_> {
    /// Writes the compound packet and returns its length.
    pub fn write(&self, out: &mut [u8; REPORT_MAX]) -> usize {
        out.fill(0);
        let blocks = u8::from(self.block.is_some());
        let kind = if self.sender.is_some() { SR } else { RR };
        let mut at = 8;
        if let Some(info) = self.sender {
            put_u32(out, 8, (info.ntp >> 32) as u32);
            put_u32(out, 12, (info.ntp & u64::from(u32::MAX)) as u32);
            put_u32(out, 16, info.timestamp);
            put_u32(out, 20, info.packets);
            put_u32(out, 24, info.octets);
            at = 28;
        }
        if let Some(block) = self.block {
            block.write(&mut out[at..at + BLOCK_LEN]);
            at += BLOCK_LEN;
        }
        head(out, 0, at, blocks, kind);
        put_u32(out, 4, self.ssrc);
        // SDES: one chunk of SSRC, CNAME item, and at least one zero octet up to a whole word.
        let start = at;
        at += 8;
        out[at] = 1;
        out[at + 1] = CNAME_LEN as u8;
        out[at + 2..at + 2 + CNAME_LEN].copy_from_slice(self.cname);
        at += 2 + CNAME_LEN + 2;
        head(out, start, at - start, 1, SDES);
        put_u32(out, start + 4, self.ssrc);
        if self.bye {
            head(out, at, 8, 1, BYE);
            put_u32(out, at + 4, self.ssrc);
            at += 8;
        }
        at
    }
}

/// Writes the first word of a packet `len` octets long.
fn head(out: &mut [u8], at: usize, len: usize, count: u8, kind: u8) {
    out[at] = (2 << 6) | count;
    out[at + 1] = kind;
    put_u16(out, at + 2, (len / 4 - 1) as u16);
}

/// Turns instants into NTP time: one reading of both clocks, kept (RFC 3550 §4: only differences
/// matter between our own reports).
#[derive(Clone, Copy, Debug)]
pub struct NtpClock {
    /// When the reading was taken.
    pub at: Instant,
    /// What it said: 32.32 seconds since 1900.
    pub ntp: u64,
}

impl NtpClock {
    /// NTP time of an instant.
    #[must_use]
    pub fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.at);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        self.ntp.wrapping_add(since.as_secs() << 32).wrapping_add(fraction)
    }
}

/// What reports told a leg.
#[derive(Clone, Debug, Default)]
pub struct Account {
    last_sr: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    far_loss: u8,
    /// Highest number and loss so far, as the far end reported them last.
    far: Option<(u32, i32)>,
    far_lost: u64,
    bye: bool,
}

/// What the far end heard of us between two of its reports (RFC 3550 §6.4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FarStretch {
    /// Packets that it expected.
    pub expected: u64,
    /// Those of them that did not come.
    pub lost: u64,
    /// Interarrival jitter, in timestamp units of what we send.
    pub jitter: u32,
}

impl Account {
    /// Notes one item. `ours` is the SSRC we send with; `ntp` is our NTP time now. Gives what a report about us
    /// says of the time since the one before it.
    pub fn note(&mut self, now: Instant, ntp: u64, ours: u32, item: &Item) -> Option<FarStretch> {
        match item {
            Item::Sender { info, .. } => self.last_sr = Some((middle(info.ntp), now)),
            Item::Block { block, .. } if block.ssrc == ours => {
                self.far_loss = block.fraction_lost;
                self.note_round_trip(ntp, block);
                return self.far_stretch(block);
            }
            Item::Bye { .. } => self.bye = true,
            Item::Block { .. } | Item::Receiver { .. } => {}
        }
        None
    }

    /// By the differences of two reports (RFC 3550 §6.4.4), so that one that was lost on the way costs nothing. The first
    /// one counts from where it says that it began, by its share of loss.
    fn far_stretch(&mut self, block: &ReportBlock) -> Option<FarStretch> {
        let now = (block.highest_sequence, block.cumulative_lost);
        let before = self.far.replace(now);
        let (expected, lost) = match before {
            None => {
                let lost = u64::try_from(block.cumulative_lost).unwrap_or(0);
                let share = u64::from(block.fraction_lost);
                let expected = (lost << 8).checked_div(share).unwrap_or(FIRST_STRETCH);
                (expected, lost)
            }
            Some(before) => {
                let expected = now.0.wrapping_sub(before.0);
                (u64::from(expected), u64::try_from(now.1 - before.1).unwrap_or(0))
            }
        };
        if expected == 0 || expected > FAR_STRETCH_MAX {
            return None;
        }
        let lost = lost.min(expected);
        self.far_lost += lost;
        Some(FarStretch { expected, lost, jitter: block.jitter })
    }

    /// What the far end reported lost of what we sent, in all.
    #[must_use]
    pub fn far_lost(&self) -> u64 {
        self.far_lost
    }

    /// LSR and DLSR for our next report block (RFC 3550 §6.4.1).
    #[must_use]
    pub fn echo(&self, now: Instant) -> (u32, u32) {
        let Some((sr, at)) = self.last_sr else { return (0, 0) };
        let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
        (sr, u32::try_from(delay).unwrap_or(u32::MAX))
    }

    /// Round trip, when it was ever measured.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the far end last reported lost of what we sent, in 1/256.
    #[must_use]
    pub fn far_loss(&self) -> u8 {
        self.far_loss
    }

    /// The far end said that it leaves.
    #[must_use]
    pub fn left(&self) -> bool {
        self.bye
    }

    /// RFC 3550 §6.4.1: A − LSR − DLSR, in 1/65536 s. A far end that echoes nonsense gives a
    /// negative or absurd figure, which is not believed.
    fn note_round_trip(&mut self, ntp: u64, block: &ReportBlock) {
        if block.last_sr == 0 {
            return;
        }
        let units = middle(ntp).wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_sr);
        if units < ROUND_TRIP_MAX_S << 16 {
            let micros = u64::from(units) * 1_000_000 / 65_536;
            self.round_trip = Some(Duration::from_micros(micros));
        }
    }
}

/// Packets that a first report without loss is taken to be about: five seconds.
const FIRST_STRETCH: u64 = 250;
/// Most packets that a report is believed to be about: more is another numbering, or nonsense.
const FAR_STRETCH_MAX: u64 = 65_536;

/// Longest believable round trip, seconds.
const ROUND_TRIP_MAX_S: u32 = 30;

/// The middle 32 of 64 bits.
fn middle(ntp: u64) -> u32 {
    ((ntp >> 16) & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::origin;

    const CNAME: [u8; CNAME_LEN] = *b"0123456789abcdef01234567";

    fn items(bytes: &[u8]) -> Result<Vec<Item>, Malformed> {
        let mut out = Vec::new();
        read(bytes, |item| out.push(item)).map(|()| out)
    }

    fn block() -> ReportBlock {
        ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            cumulative_lost: -3,
            highest_sequence: 70_000,
            jitter: 12,
            last_sr: 5,
            delay_since_sr: 6,
        }
    }

    #[test]
    fn rfc3550_6_1_a_compound_is_sr_then_sdes_then_bye_and_reads_back() {
        let info = SenderInfo { ntp: 0x1122_3344_5566_7788, timestamp: 7, packets: 8, octets: 9 };
        let report =
            Report { ssrc: 1, sender: Some(info), block: Some(block()), cname: &CNAME, bye: true };
        let mut out = [0xff; REPORT_MAX];
        let len = report.write(&mut out);
        assert_eq!(len, REPORT_MAX);
        let expected = vec![
            Item::Sender { ssrc: 1, info },
            Item::Block { reporter: 1, block: block() },
            Item::Bye { ssrc: 1 },
        ];
        assert_eq!(items(&out[..len]).unwrap(), expected);
        assert_eq!(out[53], SDES);
        assert_eq!(&out[62..62 + CNAME_LEN], &CNAME);
    }

    #[test]
    fn rfc3550_6_4_2_who_sends_nothing_sends_rr() {
        let mut out = [0; REPORT_MAX];
        let report = Report { ssrc: 1, sender: None, block: None, cname: &CNAME, bye: false };
        let len = report.write(&mut out);
        assert_eq!(items(&out[..len]).unwrap(), vec![Item::Receiver { ssrc: 1 }]);
        assert_eq!(out[1], RR);
        assert_eq!(len, 8 + 8 + 2 + CNAME_LEN + 2);
    }

    #[test]
    fn rfc3550_a_2_short_and_lying_packets_are_refused_whole() {
        let mut out = [0; REPORT_MAX];
        let report =
            Report { ssrc: 1, sender: None, block: Some(block()), cname: &CNAME, bye: true };
        let len = report.write(&mut out);
        for cut in 0..len {
            // Only a cut between whole packets leaves a valid compound.
            let whole = cut == 32 || cut == len - 8;
            assert_eq!(items(&out[..cut]).is_ok(), whole, "cut at {cut}");
        }
        out[0] |= 31;
        assert!(items(&out[..len]).is_err(), "31 blocks do not fit");
        out[0] = 0x81;
        out[1] = BYE;
        assert!(items(&out[..len]).is_err(), "must start with SR or RR");
    }

    #[test]
    fn rfc3550_6_4_1_round_trip_is_arrival_less_lsr_less_dlsr() {
        let mut account = Account::default();
        // The example figure of RFC 3550 §6.4.1: A = b710:8000, DLSR = 5.25 s, LSR = b705:2000.
        let block = ReportBlock { last_sr: 0xb705_2000, delay_since_sr: 0x0005_4000, ..block() };
        let a = 0xb710_8000_u64 << 16;
        account.note(origin(), a, 9, &Item::Block { reporter: 3, block });
        assert_eq!(account.round_trip(), Some(Duration::from_millis(6_125)));
        assert_eq!(account.far_loss(), 64);
        let absurd = ReportBlock { last_sr: 0xb711_0000, delay_since_sr: 0, ..block };
        account.note(origin(), a, 9, &Item::Block { reporter: 3, block: absurd });
        assert_eq!(account.round_trip(), Some(Duration::from_millis(6_125)));
        let stranger = ReportBlock { ssrc: 10, fraction_lost: 200, ..block };
        account.note(origin(), a, 9, &Item::Block { reporter: 3, block: stranger });
        assert_eq!(account.far_loss(), 64, "about somebody else");
    }

    #[test]
    fn rfc3550_6_4_4_what_the_far_end_missed_is_the_difference_of_its_reports() {
        let mut account = Account::default();
        let mut note = |highest_sequence, cumulative_lost, fraction_lost| {
            let block = ReportBlock { highest_sequence, cumulative_lost, fraction_lost, ..block() };
            let stretch = account.note(origin(), 0, 9, &Item::Block { reporter: 3, block });
            (stretch.map(|stretch| (stretch.expected, stretch.lost)), account.far_lost())
        };
        assert_eq!(note(40_000, 64, 64), (Some((256, 64)), 64), "the first counts by its share");
        assert_eq!(note(40_250, 74, 10), (Some((250, 10)), 74));
        assert_eq!(note(40_250, 74, 0), (None, 74), "nothing was expected");
        assert_eq!(note(40_500, 70, 0), (Some((250, 0)), 74), "copies came");
        assert_eq!(note(40_600, 999, 0), (Some((100, 100)), 174), "more than there were");
        assert_eq!(note(39_000, 0, 0), (None, 174), "another numbering");
        assert_eq!(note(0x8000_0000, i32::MIN >> 8, 255).0, None);
    }

    #[test]
    fn rfc3550_6_4_1_lsr_and_dlsr_echo_the_last_sr() {
        let start = origin();
        let mut account = Account::default();
        assert_eq!(account.echo(start), (0, 0));
        let info = SenderInfo { ntp: 0x1122_3344_5566_7788, timestamp: 0, packets: 0, octets: 0 };
        account.note(start, 0, 9, &Item::Sender { ssrc: 3, info });
        let later = start + Duration::from_millis(1500);
        assert_eq!(account.echo(later), (0x3344_5566, 98_304));
    }

    #[test]
    fn ntp_advances_with_the_monotonic_clock() {
        let clock = NtpClock { at: origin(), ntp: 10 << 32 };
        assert_eq!(clock.ntp(clock.at + Duration::from_millis(2500)), (12 << 32) + (1 << 31));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = items(&bytes);
        }

        #[test]
        fn reading_never_panics_on_what_looks_right(
            mut bytes in proptest::collection::vec(any::<u8>(), 8..200), count in 0..32_u8, words in 0..50_u8,
        ) {
            bytes[0] = 0x80 | count;
            bytes[1] = SR;
            bytes[2] = 0;
            bytes[3] = words;
            let _ = items(&bytes);
        }
    }
}
