//! Sounds that we make: tones and announcements, as frames ready to send.
//!
//! Tones are rendered once per coding at start and shared, so that sending one costs a copy.

use std::sync::Arc;
use std::time::Instant;

use audio::g711;
use audio::tone::{Cadence, Generator};
use facts::media::{Codec, Prompt, Tone};

use crate::prompt::{Frames, Store};

/// Octets of 20 ms of G.711.
pub(crate) const FRAME: usize = audio::FRAME;

/// 20 ms of G.711.
pub(crate) type Frame = [u8; FRAME];

/// All tones there are.
const TONES: [Tone; 6] =
    [Tone::RingBack, Tone::Busy, Tone::Congestion, Tone::Warning, Tone::Hold, Tone::Recorded];

/// Everything that can be played.
#[derive(Debug)]
pub(crate) struct Library {
    tones: Vec<(Tone, Codec, Arc<[Frame]>)>,
    prompts: Store,
}

/// What a leg plays: where it stands, and when the next packet is due.
#[derive(Debug)]
pub(crate) struct Sound {
    what: What,
    repeat: bool,
    /// Fetched when the leg can send, because only then its coding is known; fetched anew when the
    /// coding changes.
    frames: Option<(Codec, Arc<[Frame]>)>,
    /// Octets played.
    at: usize,
    /// When the next packet is due; `None` before the first.
    pub(crate) due: Option<Instant>,
}

/// What is played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Tone(Tone),
    Prompt(Prompt),
    /// What was read from a file.
    File,
}

/// A step of a sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A payload was written.
    More,
    /// It is over, or there is no such sound.
    Over,
}

impl Sound {
    /// `repeat`: from the start again, until further notice.
    pub(crate) fn new(what: What, repeat: bool) -> Sound {
        Sound { what, repeat, frames: None, at: 0, due: None }
    }

    /// What was read from a file, in the coding that was asked for; once.
    pub(crate) fn of_file(sound: (Codec, Frames)) -> Sound {
        Sound { what: What::File, repeat: false, frames: Some(sound), at: 0, due: None }
    }

    /// A payload of it was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Writes the next packet's payload.
    pub(crate) fn step(&mut self, library: &Library, codec: Codec, payload: &mut [u8]) -> Step {
        let stale = self.frames.as_ref().is_none_or(|(fetched, _)| *fetched != codec);
        if stale && self.what != What::File {
            self.frames = library.fetch(&self.what, codec).map(|frames| (codec, frames));
        }
        let Some((coding, frames)) = &self.frames else { return Step::Over };
        let octets = frames.as_flattened();
        if self.at >= octets.len() {
            if !self.repeat || octets.is_empty() {
                return Step::Over;
            }
            self.at = 0;
        }
        let rest = &octets[self.at..];
        let n = rest.len().min(payload.len());
        payload[..n].copy_from_slice(&rest[..n]);
        match (*coding, codec) {
            (Codec::Pcmu, Codec::Pcma) => g711::ulaw_to_alaw_in_place(&mut payload[..n]),
            (Codec::Pcma, Codec::Pcmu) => g711::alaw_to_ulaw_in_place(&mut payload[..n]),
            (one, other) if one == other => {}
            // A file that was read for another coding cannot be heard in this one.
            _ => return Step::Over,
        }
        payload[n..].fill(silence(codec));
        self.at += n;
        Step::More
    }
}

impl Library {
    pub(crate) fn new(prompts: Store) -> Library {
        let mut tones = Vec::new();
        for tone in TONES {
            for codec in [Codec::Pcmu, Codec::Pcma] {
                tones.push((tone, codec, render(tone, codec)));
            }
        }
        Library { tones, prompts }
    }

    fn fetch(&self, what: &What, codec: Codec) -> Option<Arc<[Frame]>> {
        match what {
            What::Tone(tone) => {
                let found = self.tones.iter().find(|(t, c, _)| t == tone && *c == codec);
                found.map(|(_, _, frames)| frames.clone())
            }
            What::File => None,
            What::Prompt(Prompt { name, language }) => self.prompts.frames(name, language, codec),
        }
    }
}

/// One period of a tone.
fn render(tone: Tone, codec: Codec) -> Arc<[Frame]> {
    let cadence = match tone {
        Tone::RingBack => Cadence::RING_BACK,
        Tone::Busy => Cadence::BUSY,
        Tone::Congestion => Cadence::CONGESTION,
        Tone::Warning => Cadence::WARNING,
        Tone::Hold => Cadence::HOLD,
        Tone::Recorded => Cadence::RECORDED,
    };
    let mut generator = Generator::new(cadence);
    let frames = (cadence.period() as usize).div_ceil(FRAME);
    (0..frames)
        .map(|_| {
            let mut frame = [0; FRAME];
            match codec {
                Codec::Pcmu => g711::encode_ulaw(&generator.frame(), &mut frame),
                _ => g711::encode_alaw(&generator.frame(), &mut frame),
            };
            frame
        })
        .collect()
}

fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => g711::ULAW_SILENCE,
        _ => g711::ALAW_SILENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_back_is_one_second_in_five_and_comes_round() {
        let library = Library::new(Store::default());
        let mut sound = Sound::new(What::Tone(Tone::RingBack), true);
        let mut loud = Vec::new();
        for _ in 0..500 {
            let mut payload = [0; 160];
            assert_eq!(sound.step(&library, Codec::Pcma, &mut payload), Step::More);
            loud.push(payload.iter().any(|code| (code ^ g711::ALAW_SILENCE) & 0x7f > 2));
        }
        let runs: Vec<usize> = loud.chunk_by(|a, b| a == b).map(<[bool]>::len).collect();
        assert_eq!(runs, [50, 200, 50, 200]);
    }

    #[test]
    fn once_through_ends_and_other_packet_times_cover_the_same_sound() {
        let library = Library::new(Store::default());
        for (ptime, packets) in [(10, 20), (20, 10), (30, 7)] {
            let mut sound = Sound::new(What::Tone(Tone::Warning), false);
            let mut payload = vec![0; ptime * 8];
            for _ in 0..packets {
                assert_eq!(sound.step(&library, Codec::Pcmu, &mut payload), Step::More);
            }
            assert_eq!(sound.step(&library, Codec::Pcmu, &mut payload), Step::Over);
        }
    }

    #[test]
    fn what_was_read_in_one_coding_is_heard_in_the_other_too() {
        let library = Library::new(Store::default());
        let loud: Vec<u8> = (0..160).map(|at| g711::linear_to_alaw(at * 100)).collect();
        let frame: Frame = loud.clone().try_into().unwrap();
        let mut sound = Sound::of_file((Codec::Pcma, vec![frame; 2].into()));
        let (mut same, mut other, mut none) = ([0; 160], [0; 160], [0; 160]);
        assert_eq!(sound.step(&library, Codec::Pcma, &mut same), Step::More);
        assert_eq!(sound.step(&library, Codec::Pcmu, &mut other), Step::More);
        assert_eq!(same.as_slice(), loud);
        let mut expected = loud;
        g711::alaw_to_ulaw_in_place(&mut expected);
        assert_eq!(other.as_slice(), expected);
        assert_eq!(sound.step(&library, Codec::Pcmu, &mut none), Step::Over);
    }

    #[test]
    fn a_change_of_coding_in_mid_sound_goes_on_where_it_stood() {
        let library = Library::new(Store::default());
        let mut sound = Sound::new(What::Tone(Tone::Busy), true);
        let (mut a, mut b) = ([0; 160], [0; 160]);
        for _ in 0..17 {
            sound.step(&library, Codec::Pcmu, &mut a);
        }
        // The 18th frame of the busy tone is half burst, half pause.
        sound.step(&library, Codec::Pcma, &mut b);
        assert!(b[..40].iter().any(|code| *code != g711::ALAW_SILENCE));
        assert!(b[120..].iter().all(|code| *code == g711::ALAW_SILENCE));
    }
}
