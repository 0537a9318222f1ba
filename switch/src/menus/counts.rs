//! Figures of menus for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use facts::ussd::{End, Screen};
use prometheus::HistogramVec;

use crate::quality::histogram;

/// Sessions that are over, and visits.
pub(crate) struct MenuCounts {
    /// In the order of [`End::ALL`].
    ended: [AtomicU64; End::ALL.len()],
    /// `None`: could not be made, and is left out.
    visits: Option<HistogramVec>,
}

impl Default for MenuCounts {
    fn default() -> MenuCounts {
        MenuCounts {
            ended: [const { AtomicU64::new(0) }; End::ALL.len()],
            visits: histogram(
                "tandem_menu_page_seconds",
                "How long pages of menus took, by whether they said something that could be shown.",
                &SECONDS,
                &["answer"],
            ),
        }
    }
}

impl MenuCounts {
    pub(super) fn ended(&self, end: End) {
        if let Some(at) = End::ALL.iter().position(|known| *known == end) {
            self.ended[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn visited(&self, screen: &Screen, took: Duration) {
        let answer = match screen {
            Screen::Menu(_) | Screen::Last(_) => "shown",
            Screen::Unavailable | Screen::Unpaid => "unavailable",
        };
        if let Some(visits) = &self.visits {
            visits.with_label_values(&[answer]).observe(took.as_secs_f64());
        }
    }

    /// Sessions that are over, by how they ended.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        End::ALL.iter().zip(&self.ended).map(move |(end, ended)| (end.word(), count(ended)))
    }

    /// How long visits took.
    pub(crate) fn visits(&self) -> Option<HistogramVec> {
        self.visits.clone()
    }
}

const SECONDS: [f64; 10] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0];
