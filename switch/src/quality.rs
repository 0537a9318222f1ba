//! How the legs of settled calls sounded, by trunk, for metrics.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use facts::record::LegFacts;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec};

/// Histograms by trunk and, for scores, by direction.
pub(crate) struct Quality {
    /// `None`: could not be made, and is left out.
    scores: Option<HistogramVec>,
    loss: Option<HistogramVec>,
    jitter: Option<HistogramVec>,
    round_trip: Option<HistogramVec>,
    /// Trunks that have a label of their own.
    known: Mutex<BTreeSet<String>>,
}

impl Default for Quality {
    fn default() -> Quality {
        Quality {
            scores: histogram(
                "tandem_leg_mos",
                "Mean opinion scores (ITU-T G.107) of answered legs: `in` as received, `out` by the far end's reports.",
                &SCORES,
                &["trunk", "direction"],
            ),
            loss: histogram(
                "tandem_leg_loss_ratio",
                "Share of the RTP packets of answered legs that did not come.",
                &LOSSES,
                &["trunk"],
            ),
            jitter: histogram(
                "tandem_leg_jitter_seconds",
                "Mean interarrival jitter of answered legs.",
                &JITTERS,
                &["trunk"],
            ),
            round_trip: histogram(
                "tandem_leg_round_trip_seconds",
                "Round trip of answered legs, where their far ends report.",
                &ROUND_TRIPS,
                &["trunk"],
            ),
            known: Mutex::default(),
        }
    }
}

impl Quality {
    /// Counts a leg of a settled call; one that was never answered says nothing.
    pub(crate) fn note(&self, leg: &LegFacts) {
        if leg.answered.is_none() {
            return;
        }
        let media = &leg.media;
        let trunk = self.label(&leg.trunk);
        let note = |histogram: &Option<HistogramVec>, labels: &[&str], value: f64| {
            if let Some(histogram) = histogram {
                histogram.with_label_values(labels).observe(value);
            }
        };
        for (direction, score) in [("in", media.mos_in_x100), ("out", media.mos_out_x100)] {
            if score > 0 {
                note(&self.scores, &[&trunk, direction], f64::from(score) / 100.0);
            }
        }
        if let Some(lost) = media.lost_ppm() {
            let lost = u32::try_from(lost).unwrap_or(u32::MAX);
            note(&self.loss, &[&trunk], f64::from(lost) / 1e6);
            note(&self.jitter, &[&trunk], f64::from(media.jitter_mean_us) / 1e6);
        }
        if media.round_trip_us > 0 {
            note(&self.round_trip, &[&trunk], f64::from(media.round_trip_us) / 1e6);
        }
    }

    /// What is to be shown. Those of nothing show nothing.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        [&self.scores, &self.loss, &self.jitter, &self.round_trip]
            .into_iter()
            .flatten()
            .map(|histogram| Box::new(histogram.clone()) as Box<dyn Collector>)
            .collect()
    }

    /// The name of a trunk, `phones` for what has none; `others` for all after the first [`TRUNKS_MAX`].
    fn label(&self, trunk: &str) -> String {
        if trunk.is_empty() {
            return PHONES.into();
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(trunk) {
            if known.len() >= TRUNKS_MAX {
                return OTHERS.into();
            }
            known.insert(trunk.into());
        }
        trunk.into()
    }
}

/// `None`: it cannot be made, and is left out.
pub(crate) fn histogram(
    name: &str,
    help: &str,
    limits: &[f64],
    labels: &[&str],
) -> Option<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(limits.to_vec());
    HistogramVec::new(options, labels)
        .inspect_err(|error| tracing::warn!(%error, name, "a metric was left out"))
        .ok()
}

/// Trunks that are told apart: each takes some forty lines of the page.
const TRUNKS_MAX: usize = 200;
/// Legs to extensions.
const PHONES: &str = "phones";
const OTHERS: &str = "others";

const SCORES: [f64; 8] = [1.5, 2.0, 2.58, 3.1, 3.6, 4.03, 4.2, 4.34];
const LOSSES: [f64; 8] = [0.0, 0.001, 0.005, 0.01, 0.03, 0.05, 0.1, 0.3];
const JITTERS: [f64; 7] = [0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1];
const ROUND_TRIPS: [f64; 8] = [0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0];

#[cfg(test)]
mod tests {
    use facts::media::MediaStats;
    use facts::{LegNo, Number, UnixMillis};
    use prometheus::{Encoder as _, Registry, TextEncoder};

    use super::*;

    fn leg(trunk: &str, media: MediaStats) -> LegFacts {
        LegFacts {
            no: LegNo::B,
            number: Number::Internal("80001".into()),
            as_sent: String::new(),
            shown: String::new(),
            trunk: trunk.into(),
            sip_call_id: String::new(),
            invited: UnixMillis(0),
            progress: None,
            alerting: None,
            answered: Some(UnixMillis(1)),
            ended: Some(UnixMillis(5000)),
            sip_final: Some(200),
            q850: Some(16),
            released_by: None,
            failure: None,
            replaced_by: None,
            paid_until: None,
            recognised: None,
            spoken: Default::default(),
            media,
        }
    }

    fn text(quality: &Quality) -> String {
        let registry = Registry::new();
        for collector in quality.collectors() {
            registry.register(collector).unwrap();
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn legs_are_counted_by_trunk_and_direction_and_what_was_not_measured_is_not() {
        let quality = Quality::default();
        let media = MediaStats {
            packets_received: 95,
            packets_lost: 5,
            jitter_mean_us: 12_000,
            mos_in_x100: 388,
            ..MediaStats::default()
        };
        quality.note(&leg("carrier", media));
        quality.note(&leg("", MediaStats { mos_out_x100: 440, round_trip_us: 40_000, ..media }));
        quality.note(&leg("carrier", MediaStats::default()));
        quality.note(&LegFacts { answered: None, ..leg("carrier", media) });
        let text = text(&quality);
        for line in [
            "tandem_leg_mos_bucket{direction=\"in\",trunk=\"carrier\",le=\"3.6\"} 0",
            "tandem_leg_mos_bucket{direction=\"in\",trunk=\"carrier\",le=\"4.03\"} 1",
            "tandem_leg_mos_count{direction=\"in\",trunk=\"carrier\"} 1",
            "tandem_leg_mos_count{direction=\"out\",trunk=\"phones\"} 1",
            "tandem_leg_loss_ratio_sum{trunk=\"carrier\"} 0.05",
            "tandem_leg_jitter_seconds_sum{trunk=\"carrier\"} 0.012",
            "tandem_leg_round_trip_seconds_count{trunk=\"phones\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("direction=\"out\",trunk=\"carrier\""));
    }

    #[test]
    fn the_number_of_labels_is_bounded() {
        let quality = Quality::default();
        let media = MediaStats { mos_in_x100: 300, ..MediaStats::default() };
        for n in 0..TRUNKS_MAX + 50 {
            quality.note(&leg(&format!("carrier-{n}"), media));
        }
        let text = text(&quality);
        assert!(text.contains("tandem_leg_mos_count{direction=\"in\",trunk=\"others\"} 50"));
        assert_eq!(text.matches("tandem_leg_mos_count").count(), TRUNKS_MAX + 1);
    }
}
