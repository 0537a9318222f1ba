//! Which indices were used (RFC 3711 §3.3.2), and what index a packet has (§3.3.1, appendix A).

use super::Failure;

/// How many indices behind the highest can still be told apart from used ones. RFC 3711 asks for 64 at
/// least; two of these are 2.5 s of packets each 20 ms.
pub(super) const WINDOW: u64 = 128;

/// The indices of one stream that were used under one key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// The highest used, once there is one.
    highest: Option<u64>,
    /// Bit n: `highest - n` was used.
    used: u128,
}

impl Window {
    /// The highest index used.
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// # Errors
    ///
    /// [`Failure::Replayed`] for an index that was used, or may have been.
    pub(super) fn check(&self, index: u64) -> Result<(), Failure> {
        let Some(highest) = self.highest.filter(|highest| index <= *highest) else { return Ok(()) };
        let behind = highest - index;
        if behind >= WINDOW || self.used >> behind & 1 == 1 {
            return Err(Failure::Replayed);
        }
        Ok(())
    }

    /// The index is used from now on. It was checked.
    pub(super) fn note(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                let behind = highest - index;
                self.used |= if behind < WINDOW { 1 << behind } else { 0 };
            }
            Some(highest) => {
                let ahead = index - highest;
                self.used = if ahead < WINDOW { self.used << ahead | 1 } else { 1 };
                self.highest = Some(index);
            }
            None => (self.highest, self.used) = (Some(index), 1),
        }
    }
}

/// The index of the packet with this sequence number that lies nearest to the highest known.
///
/// # Errors
///
/// [`Failure::Replayed`] if that would be before the first, [`Failure::Exhausted`] if beyond the last.
pub(super) fn estimate(highest: u64, sequence: u16) -> Result<u64, Failure> {
    let (roll_over, last) = (highest >> 16, (highest & 0xffff) as u16);
    let roll_over = if last < 0x8000 {
        if i32::from(sequence) - i32::from(last) > 0x8000 {
            roll_over.checked_sub(1).ok_or(Failure::Replayed)?
        } else {
            roll_over
        }
    } else if i32::from(last) - 0x8000 > i32::from(sequence) {
        roll_over + 1
    } else {
        roll_over
    };
    if roll_over > u64::from(u32::MAX) {
        return Err(Failure::Exhausted);
    }
    Ok(roll_over << 16 | u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3711_a_the_nearest_index_is_taken() {
        let at = |roll_over: u64, sequence: u64| roll_over << 16 | sequence;
        assert_eq!(estimate(at(0, 5), 6), Ok(at(0, 6)));
        assert_eq!(estimate(at(0, 65_535), 0), Ok(at(1, 0)), "rolled over");
        assert_eq!(
            estimate(at(1, 0), 65_535),
            Ok(at(0, 65_535)),
            "late, from before the roll-over"
        );
        assert_eq!(estimate(at(7, 0x7fff), 0xffff), Ok(at(7, 0xffff)), "half a circle is ahead");
        assert_eq!(estimate(at(7, 0x7ffe), 0xffff), Ok(at(6, 0xffff)), "more is behind");
        assert_eq!(estimate(at(7, 0x8000), 0), Ok(at(7, 0)), "half a circle back");
        assert_eq!(estimate(at(7, 0x8001), 0), Ok(at(8, 0)));
        assert_eq!(
            estimate(at(0, 3), 65_000),
            Err(Failure::Replayed),
            "nothing was before the first"
        );
        assert_eq!(estimate(at(u64::from(u32::MAX), 65_535), 0), Err(Failure::Exhausted));
    }

    #[test]
    fn b8_rfc3711_3_3_2_the_window_holds_more_than_64() {
        let mut window = Window::default();
        window.note(1000);
        for index in (1000 - (WINDOW - 1))..1000 {
            assert_eq!(window.check(index), Ok(()));
        }
        assert_eq!(window.check(1000 - WINDOW), Err(Failure::Replayed), "too old to tell");
        assert_eq!(window.check(1000), Err(Failure::Replayed));
    }

    proptest! {
        #[test]
        fn rfc3711_3_3_2_nothing_is_let_in_twice_and_nothing_new_is_kept_out(
            indices in proptest::collection::vec(0..600_u64, 1..400),
        ) {
            let (mut window, mut used) = (Window::default(), BTreeSet::new());
            for index in indices {
                let newest = used.last().copied();
                let expected =
                    !used.contains(&index) && newest.is_none_or(|newest: u64| index + WINDOW > newest);
                prop_assert_eq!(window.check(index).is_ok(), expected);
                if expected {
                    window.note(index);
                    used.insert(index);
                }
            }
        }

        #[test]
        fn rfc3711_3_3_1_within_half_a_circle_the_estimate_is_right(
            highest in 0x8000..1_u64 << 47, offset in -0x7fff..=0x8000_i64,
        ) {
            let index = highest.saturating_add_signed(offset);
            prop_assert_eq!(estimate(highest, (index & 0xffff) as u16), Ok(index));
        }
    }
}
