//! The tones of single countries as data (ITU-T E.180 supplement 2; Taiwan and Russia by their own
//! standards where the supplement has less).

use super::{Burst, Kind, Pattern, Pitch, Zone};
use Kind::{Busy, Congestion, Information, Record, Ring, Waiting};
use Pitch::{One, Two, Wobbling};

const fn b(pitch: Pitch, on_ms: u16, off_ms: u16) -> Burst {
    Burst { pitch, on_ms, off_ms }
}

const fn p(kind: Kind, bursts: &'static [Burst]) -> Pattern {
    Pattern { kind, bursts }
}

/// Special information (E.180 §6.4): three tones one after the other, then a second of nothing.
const SIT: Pattern =
    p(Information, &[b(One(950), 330, 0), b(One(1_400), 330, 0), b(One(1_800), 330, 1_000)]);

const fn zone(country: &'static str, patterns: &'static [Pattern]) -> Zone {
    Zone { country, patterns }
}

/// What single countries play, by country code (ISO 3166, small letters), in the order of the codes.
pub const ZONES: &[Zone] = &[
    zone(
        "at",
        &[
            p(Ring, &[b(One(420), 1_000, 5_000)]),
            p(Busy, &[b(One(420), 400, 400)]),
            p(Congestion, &[b(One(420), 200, 200)]),
            p(Waiting, &[b(One(420), 40, 1_960)]),
            p(Record, &[b(One(1_400), 80, 14_920)]),
            SIT,
        ],
    ),
    zone(
        "au",
        &[
            p(Ring, &[b(Two(413, 438), 400, 200), b(Two(413, 438), 400, 2_000)]),
            p(Busy, &[b(One(425), 375, 375)]),
            p(Waiting, &[b(One(425), 200, 200), b(One(425), 200, 4_400)]),
            p(Information, &[b(One(425), 2_500, 500)]),
        ],
    ),
    zone(
        "be",
        &[
            p(Ring, &[b(One(425), 1_000, 3_000)]),
            p(Busy, &[b(One(425), 500, 500)]),
            p(Congestion, &[b(One(425), 167, 167)]),
            p(Waiting, &[b(One(1_400), 175, 175), b(One(1_400), 175, 3_500)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "br",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 250, 250)]),
            p(Congestion, &[b(One(425), 250, 250), b(One(425), 750, 250)]),
            p(Waiting, &[b(One(425), 50, 1_000)]),
        ],
    ),
    zone(
        "ch",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 500, 500)]),
            p(Congestion, &[b(One(425), 200, 200)]),
            p(Waiting, &[b(One(425), 200, 200), b(One(425), 200, 4_000)]),
            p(Record, &[b(One(1_400), 80, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "cn",
        &[
            p(Ring, &[b(One(450), 1_000, 4_000)]),
            p(Busy, &[b(One(450), 350, 350)]),
            p(Congestion, &[b(One(450), 700, 700)]),
            p(Waiting, &[b(One(450), 400, 4_000)]),
            p(Record, &[b(One(950), 400, 10_000)]),
            p(
                Information,
                &[
                    b(One(450), 100, 100),
                    b(One(450), 100, 100),
                    b(One(450), 100, 100),
                    b(One(450), 400, 400),
                ],
            ),
        ],
    ),
    zone(
        "cz",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 330, 330)]),
            p(Congestion, &[b(One(425), 165, 165)]),
            p(Waiting, &[b(One(425), 330, 9_000)]),
            p(Record, &[b(One(1_400), 500, 14_000)]),
            SIT,
        ],
    ),
    zone(
        "de",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 480, 480)]),
            p(Congestion, &[b(One(425), 240, 240)]),
            p(Waiting, &[b(One(425), 200, 200), b(One(425), 200, 5_000)]),
            p(Record, &[b(One(1_400), 80, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "es",
        &[
            p(Ring, &[b(One(425), 1_500, 3_000)]),
            p(Busy, &[b(One(425), 200, 200)]),
            p(Congestion, &[b(One(425), 200, 200), b(One(425), 200, 200), b(One(425), 200, 600)]),
            p(Waiting, &[b(One(425), 175, 175), b(One(425), 175, 3_500)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
        ],
    ),
    zone(
        "fr",
        &[
            p(Ring, &[b(One(440), 1_500, 3_500)]),
            p(Busy, &[b(One(440), 500, 500)]),
            p(Congestion, &[b(One(440), 250, 250)]),
            p(Waiting, &[b(One(440), 300, 10_000)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "gb",
        &[
            p(Ring, &[b(Two(400, 450), 400, 200), b(Two(400, 450), 400, 2_000)]),
            p(Busy, &[b(One(400), 375, 375)]),
            p(Congestion, &[b(One(400), 400, 350), b(One(400), 225, 525)]),
            p(Waiting, &[b(One(400), 100, 4_000)]),
            SIT,
        ],
    ),
    zone(
        "hu",
        &[
            p(Ring, &[b(One(425), 1_250, 3_750)]),
            p(Busy, &[b(One(425), 300, 300)]),
            p(Waiting, &[b(One(425), 40, 1_960)]),
            p(Record, &[b(One(1_400), 400, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "in",
        &[
            p(Ring, &[b(Wobbling(400, 25), 400, 200), b(Wobbling(400, 25), 400, 2_000)]),
            p(Busy, &[b(One(400), 750, 750)]),
            p(Congestion, &[b(One(400), 250, 250)]),
            p(Waiting, &[b(One(400), 200, 100), b(One(400), 200, 7_500)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "it",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 500, 500)]),
            p(Congestion, &[b(One(425), 200, 200)]),
            p(Waiting, &[b(One(425), 400, 100), b(One(425), 250, 100), b(One(425), 150, 14_000)]),
            p(Record, &[b(One(1_400), 400, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "jp",
        &[
            p(Ring, &[b(Wobbling(400, 16), 1_000, 2_000)]),
            p(Busy, &[b(One(400), 500, 500)]),
            p(Waiting, &[b(Wobbling(400, 16), 500, 8_000)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "mx",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 250, 250)]),
            p(Waiting, &[b(One(425), 200, 600), b(One(425), 200, 10_000)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "nl",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 500, 500)]),
            p(Congestion, &[b(One(425), 250, 250)]),
            p(Waiting, &[b(One(425), 500, 9_500)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "pl",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 500, 500)]),
            p(Waiting, &[b(One(425), 150, 150), b(One(425), 150, 4_000)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "ru",
        &[
            p(Ring, &[b(One(425), 1_000, 4_000)]),
            p(Busy, &[b(One(425), 350, 350)]),
            p(Congestion, &[b(One(425), 175, 175)]),
            p(Waiting, &[b(One(425), 200, 5_000)]),
            p(Record, &[b(One(1_400), 400, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "se",
        &[
            p(Ring, &[b(One(425), 1_000, 5_000)]),
            p(Busy, &[b(One(425), 250, 250)]),
            p(Congestion, &[b(One(425), 250, 750)]),
            p(Waiting, &[b(One(425), 200, 500), b(One(425), 200, 9_100)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "sg",
        &[
            p(Ring, &[b(Wobbling(425, 24), 400, 200), b(Wobbling(425, 24), 400, 2_000)]),
            p(Busy, &[b(One(425), 750, 750)]),
            p(Congestion, &[b(One(425), 250, 250)]),
            p(Waiting, &[b(Wobbling(425, 24), 300, 200), b(Wobbling(425, 24), 300, 3_200)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
        ],
    ),
    zone(
        "tw",
        &[
            p(Ring, &[b(Two(440, 480), 1_000, 2_000)]),
            p(Busy, &[b(Two(480, 620), 500, 500)]),
            p(Congestion, &[b(Two(480, 620), 250, 250)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
    zone(
        "us",
        &[
            p(Ring, &[b(Two(440, 480), 2_000, 4_000)]),
            p(Busy, &[b(Two(480, 620), 500, 500)]),
            p(Congestion, &[b(Two(480, 620), 250, 250)]),
            p(Waiting, &[b(One(440), 300, 10_000)]),
            p(Record, &[b(One(1_400), 500, 15_000)]),
            SIT,
        ],
    ),
];
