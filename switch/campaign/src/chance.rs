//! How many of those who are rung may answer at once.

/// How sure a rate has to be: nine times out of ten the true one is below.
const SURE: f64 = 1.281_551_565_5;

/// The highest rate that `hits` of `trials` may well have come from (Wilson's score, upper end); 1 while nothing
/// was tried.
pub(crate) fn upper(hits: u64, trials: u64) -> f64 {
    if trials == 0 {
        return 1.0;
    }
    let (n, z2) = (trials as f64, SURE * SURE);
    let seen = hits.min(trials) as f64 / n;
    let spread = (seen * (1.0 - seen) / n + z2 / (4.0 * n * n)).sqrt();
    ((seen + z2 / (2.0 * n) + SURE * spread) / (1.0 + z2 / n)).min(1.0)
}

/// How many of `rung`, each of whom answers with probability `p`, are expected to answer beyond `places`.
pub(crate) fn beyond(rung: u32, p: f64, places: u32) -> f64 {
    if rung <= places {
        return 0.0;
    }
    if p >= 1.0 {
        return f64::from(rung - places);
    }
    // E[max(X - s, 0)] = np - s + E[max(s - X, 0)]: the sum has only as many terms as there are places.
    let odds = p / (1.0 - p);
    let mut weight = (1.0 - p).ln() * f64::from(rung);
    let mut short = 0.0;
    for answered in 0..places {
        short += f64::from(places - answered) * weight.exp();
        weight += (f64::from(rung - answered) / f64::from(answered + 1) * odds).ln();
    }
    (f64::from(rung) * p - f64::from(places) + short).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_thought_to_be_high_until_it_is_known() {
        assert!(upper(0, 0) >= 1.0);
        assert!(upper(0, 10) > 0.1 && upper(0, 10) < 0.2);
        assert!(upper(300, 1_000) > 0.3 && upper(300, 1_000) < 0.33);
        assert!(upper(10, 10) <= 1.0 && upper(10, 10) > 0.99);
        assert!(upper(7, 5) <= 1.0, "nonsense stays a rate");
    }

    #[test]
    fn what_is_expected_beyond_is_what_all_outcomes_add_up_to() {
        for (rung, p, places) in
            [(1, 0.5, 0), (2, 0.5, 1), (10, 0.3, 4), (12, 0.9, 11), (40, 0.02, 3)]
        {
            let mut weight = (1.0_f64 - p).powi(rung);
            let mut all = 0.0;
            for x in 0..=rung {
                all += f64::from((x - places).max(0)) * weight;
                weight *= f64::from(rung - x) / f64::from(x + 1) * p / (1.0 - p);
            }
            let found = beyond(rung as u32, p, places as u32);
            assert!((found - all).abs() < 1e-9, "{rung} {p} {places}: {found}, {all}");
        }
        assert_eq!(beyond(3, 1.0, 5), 0.0);
        assert_eq!(beyond(5, 1.0, 3), 2.0);
        assert!(beyond(100_000, 0.4, 30_000) > 9_000.0, "weights below what a float holds");
    }
}
