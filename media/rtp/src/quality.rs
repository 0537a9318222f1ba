//! How good a leg sounds: the E-model (ITU-T G.107), fed by what was measured.
//!
//! Everything but delay, coding and loss has the default value of G.107 table 2, where R is 93.2 and the mean
//! opinion score 4.41. The scale is that of narrow-band speech for every coding, so that legs can be compared:
//! nothing scores better than G.711 without loss.
//!
//! Not here: what was lost and how late it came (see [`crate::reception`] and [`crate::rtcp`]).

use std::time::Duration;

use crate::coding::Coding;

/// What a stretch of speech went through.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Way {
    /// What it was coded in.
    pub coding: Coding,
    /// From mouth to ear, as far as it is known.
    pub delay: Duration,
    /// Share of the packets that were lost or came too late, 0 to 1.
    pub loss: f64,
    /// How much longer the gaps were than those of loss at random (G.107 §3.5); 1 for at random.
    pub burst: f64,
}

impl Way {
    /// The rating R, 0 to 93.2 (G.107 §7.1, equation 7-1, without advantage).
    #[must_use]
    pub fn rating(&self) -> f64 {
        let Impairment { equipment, robustness } = Impairment::of(self.coding);
        let percent = 100.0 * self.loss.clamp(0.0, 1.0);
        // Equation 7-29.
        let burst = self.burst.clamp(1.0, BURST_MAX);
        let effective = equipment + (95.0 - equipment) * percent / (percent / burst + robustness);
        (NOISE - SIMULTANEOUS - delayed(self.delay) - effective).max(0.0)
    }

    /// The mean opinion score of conversations, 1 to 4.5 (G.107 annex B).
    #[must_use]
    pub fn mos(&self) -> f64 {
        mos(self.rating())
    }
}

/// The mean opinion score that belongs to a rating R (G.107 annex B, equation B-4), 1 to 4.5.
#[must_use]
pub fn mos(rating: f64) -> f64 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// From mouth to ear: half the round trip, the packet that has to be full before it leaves, and a receiver that
/// holds packets back for twice the jitter that it sees.
#[must_use]
pub fn delay(round_trip: Duration, packet: Duration, jitter: Duration) -> Duration {
    round_trip / 2 + packet + 2 * jitter
}

/// How much longer gaps were than at random: `lost` packets in `gaps` gaps, at this share of loss. At random a
/// gap is 1 / (1 − loss) packets long.
#[must_use]
pub fn burst(lost: u64, gaps: u64, loss: f64) -> f64 {
    if gaps == 0 { 1.0 } else { float(lost) / float(gaps) * (1.0 - loss) }
}

/// Ro (G.107 §7.2) at the defaults of table 2.
const NOISE: f64 = 94.768_8;
/// Is (G.107 §7.3) at the defaults of table 2.
const SIMULTANEOUS: f64 = 1.413_6;
/// The longest gaps that G.107 §3.5 speaks of.
const BURST_MAX: f64 = 8.0;

/// Id (G.107 §7.4): echo to the talker, echo to the listener, and delay itself. On one path of packets the mean
/// one-way delay, the absolute delay and half the delay of the loop are the same.
fn delayed(one_way: Duration) -> f64 {
    let t = 1_000.0 * one_way.as_secs_f64();
    // Listener echo, equations 7-25 and 7-26; WEPL is 110 dB.
    let rle = 10.5 * (110.0 + 7.0) * (2.0 * t + 1.0).powf(-0.25);
    let listener = (NOISE - rle) / 2.0 + ((NOISE - rle).powi(2) / 4.0 + 169.0).sqrt();
    // Talker echo, equations 7-19 to 7-23; TELR is 65 dB, STMR 15 dB: neither of their corrections applies.
    let talker = if t < 1.0 {
        0.0
    } else {
        let terv = 65.0 - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10()
            + 6.0 * (-0.3 * t * t).exp();
        let re = 80.0 + 2.5 * (terv - 14.0);
        let roe = -1.5 * (-61.179_2 - 2.0);
        let half = (roe - re) / 2.0;
        (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-t).exp())
    };
    // Absolute delay, equations 7-27 and 7-28, at the default mT and sT.
    let absolute = if t <= 100.0 {
        0.0
    } else {
        let x = (t / 100.0).log2();
        let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
        25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
    };
    talker + listener + absolute
}

/// What a coding does to speech (G.113 appendix I).
struct Impairment {
    /// Ie: what it costs without loss.
    equipment: f64,
    /// Bpl: the per cent of loss at which half of the rest is gone.
    robustness: f64,
}

impl Impairment {
    fn of(coding: Coding) -> Impairment {
        let (equipment, robustness) = match coding {
            // Table I.4: G.711 with concealment of losses.
            Coding::Pcmu | Coding::Pcma => G711,
            // Table I.4: G.729A with Annex B.
            Coding::G729 => (11.0, 19.0),
            // Appendix IV has Ie,wb = 13 of 129 for 64 kbit/s; (129 − 13) / 1.29 is 89.9, 3.3 below 93.2. It has no Bpl
            // for a concealment that phones have: by our own measurement loss costs it what it costs G.711.
            Coding::G722 => (3.3, G711.1),
            // No table of G.113 has it. By our own measurement it is no worse than G.711, with loss and without.
            Coding::Opus => G711,
        };
        Impairment { equipment, robustness }
    }
}

const G711: (f64, f64) = (0.0, 25.1);

/// The scores of one direction of a leg over its stretches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scores {
    /// Hundredths times packets.
    sum: u64,
    packets: u64,
    least_x100: Option<u16>,
}

impl Scores {
    /// Adds a stretch of so many packets, lost ones included. An empty one says nothing.
    pub fn add(&mut self, packets: u64, mos: f64) {
        let packets = packets.min(STRETCH_MAX);
        let score = (mos.clamp(1.0, 4.5) * 100.0).round() as u16;
        self.sum = self.sum.saturating_add(packets * u64::from(score));
        self.packets = self.packets.saturating_add(packets);
        if packets >= STRETCH_MIN {
            self.least_x100 = Some(self.least_x100.map_or(score, |least| least.min(score)));
        }
    }

    /// The mean over all packets, in hundredths; 0 when there was none.
    #[must_use]
    pub fn mean_x100(&self) -> u16 {
        let half = self.packets / 2;
        let mean = self.sum.saturating_add(half).checked_div(self.packets).unwrap_or(0);
        u16::try_from(mean).unwrap_or(u16::MAX)
    }

    /// That of the worst stretch that is long enough to say something, in hundredths; the mean where there is
    /// none, and 0 when there was no packet.
    #[must_use]
    pub fn least_x100(&self) -> u16 {
        self.least_x100.unwrap_or_else(|| self.mean_x100())
    }
}

/// Packets that a stretch must have to be called the worst: a second.
const STRETCH_MIN: u64 = 50;
/// Packets that one stretch may claim: a far end says what it likes.
const STRETCH_MAX: u64 = 1_000_000;

/// Counts of packets are far below 2^52.
#[allow(clippy::cast_precision_loss, reason = "an estimate; counts of packets are far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(coding: Coding, delay_ms: u64, percent: f64, burst: f64) -> Way {
        Way { coding, delay: Duration::from_millis(delay_ms), loss: percent / 100.0, burst }
    }

    fn near(value: f64, wanted: f64, by: f64) -> bool {
        (value - wanted).abs() <= by
    }

    #[test]
    fn g107_table_2_the_defaults_give_93_2_and_4_41() {
        let way = way(Coding::Pcma, 0, 0.0, 1.0);
        assert!(near(way.rating(), 93.2, 0.05), "{}", way.rating());
        assert!(near(way.mos(), 4.41, 0.005), "{}", way.mos());
    }

    #[test]
    fn g107_annex_b_scores_of_ratings() {
        // Table B.1, the lower limits of its classes.
        for (rating, score) in
            [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)]
        {
            assert!(near(mos(rating), score, 0.007), "{rating}: {}", mos(rating));
        }
        assert_eq!((mos(0.0), mos(-5.0), mos(3.0)), (1.0, 1.0, 1.0));
        assert!(near(mos(100.0), 4.5, 1e-9) && near(mos(200.0), 4.5, 1e-9));
    }

    #[test]
    fn g113_appendix_i_what_codings_and_losses_cost() {
        // Ie,eff = Ie + (95 − Ie) Ppl / (Ppl / BurstR + Bpl), by hand, from R = 93.2.
        for (coding, percent, burst, cost) in [
            (Coding::Pcmu, 1.0, 1.0, 95.0 / 26.1),
            (Coding::Pcma, 5.0, 1.0, 475.0 / 30.1),
            (Coding::Pcma, 5.0, 2.0, 475.0 / 27.6),
            (Coding::G729, 0.0, 1.0, 11.0),
            (Coding::G729, 2.0, 1.0, 11.0 + 84.0 * 2.0 / 21.0),
            (Coding::G722, 0.0, 1.0, 3.3),
            (Coding::Opus, 3.0, 1.0, 285.0 / 28.1),
        ] {
            let rating = way(coding, 0, percent, burst).rating();
            assert!(near(rating, 93.206 - cost, 0.01), "{coding:?} {percent} {burst}: {rating}");
        }
        let lost = way(Coding::Pcma, 0, 100.0, 1.0);
        assert!(lost.mos() < 1.5, "nothing arrives: {}", lost.mos());
        let never_better = way(Coding::Pcma, 0, 5.0, 0.2).rating();
        assert!(near(never_better, way(Coding::Pcma, 0, 5.0, 1.0).rating(), 1e-9));
    }

    #[test]
    fn g107_7_4_delay_costs_little_up_to_150_ms_and_much_beyond_400() {
        // By hand from equations 7-19 to 7-28; the shape is that of G.114 figure 1 with an echo loss of 65 dB.
        for (ms, rating, by) in [(50, 91.8, 0.5), (100, 90.7, 0.3), (150, 89.8, 0.6)] {
            let own = way(Coding::Pcma, ms, 0.0, 1.0).rating();
            assert!(near(own, rating, by), "{ms} ms: {own}");
        }
        let at = |ms| way(Coding::Pcma, ms, 0.0, 1.0).rating();
        assert!(at(400) < 72.0 && at(400) > 60.0, "{}", at(400));
        let all: Vec<f64> = (0..100).map(|step| at(step * 10)).collect();
        assert!(all.is_sorted_by(|before, after| before >= after), "{all:?}");
        assert!(way(Coding::Pcma, 3_600_000, 100.0, 8.0).rating() >= 0.0, "hostile figures");
    }

    #[test]
    fn g107_3_5_the_burst_ratio_of_single_losses_is_one_and_of_pairs_two() {
        assert!(near(burst(10, 10, 0.01), 0.99, 1e-9));
        assert!(near(burst(20, 10, 0.02), 1.96, 1e-9));
        assert!(near(burst(0, 0, 0.0), 1.0, 1e-9));
    }

    #[test]
    fn the_mean_is_by_packets_and_the_worst_by_stretches_of_a_second() {
        let mut scores = Scores::default();
        assert_eq!((scores.mean_x100(), scores.least_x100()), (0, 0), "nothing was measured");
        scores.add(0, 1.0);
        scores.add(49, 2.0);
        assert_eq!((scores.mean_x100(), scores.least_x100()), (200, 200));
        scores.add(951, 4.4);
        scores.add(1_000, 3.0);
        assert_eq!((scores.mean_x100(), scores.least_x100()), (364, 300));
        scores.add(u64::MAX, f64::NAN.max(1.0));
        assert!(scores.mean_x100() >= 100);
    }
}
