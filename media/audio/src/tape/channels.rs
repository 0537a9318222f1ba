//! How many channels a recording has.

/// The channels of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Channels {
    /// One: both sides together.
    Mono,
    /// Two: A left, B right.
    #[default]
    Stereo,
}

impl Channels {
    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Channels::Mono => 1,
            Channels::Stereo => 2,
        }
    }
}

/// Both sides in one channel, sample by sample, as far as the shortest of the three goes. What is too loud for
/// the numbers is cut.
pub fn sum<'a>(left: &[i16], right: &[i16], out: &'a mut [i16]) -> &'a [i16] {
    let count = left.len().min(right.len()).min(out.len());
    for ((out, left), right) in out[..count].iter_mut().zip(left).zip(right) {
        *out = left.saturating_add(*right);
    }
    &out[..count]
}
