//! Sounds that we make: tones and announcements, as frames ready to send.
//!
//! Tones are rendered once and shared, so that sending one costs a copy: in G.711 at start, in other
//! codings when a leg first wants them, on the thread that reads sounds.

use std::sync::Arc;
use std::time::Instant;

use audio::dtmf::{self, Digit, Press};
use audio::g711;
use audio::tone::{Cadence, Generator};
use facts::media::{Codec, Prompt, Tone};
use facts::sound::Say;

use crate::prompt::{self, Frames, Store};

/// Octets of 20 ms of G.711.
pub(crate) const FRAME: usize = audio::FRAME;

/// All tones there are.
const TONES: [Tone; 8] = [
    Tone::RingBack,
    Tone::Busy,
    Tone::Congestion,
    Tone::Warning,
    Tone::Hold,
    Tone::Recorded,
    Tone::Joined,
    Tone::Left,
];

/// Everything that can be played.
#[derive(Debug)]
pub(crate) struct Library {
    tones: Vec<(Tone, prompt::Sound)>,
    /// By their event codes.
    keys: Vec<prompt::Sound>,
    prompts: Arc<Store>,
}

/// A sound that is asked for.
enum Fetched {
    Ready(Frames),
    /// It has to be made first.
    Later,
    /// There is none.
    Nothing,
}

/// What a leg plays: where it stands, and when the next packet is due.
#[derive(Debug)]
pub(crate) struct Sound {
    what: What,
    repeat: bool,
    /// Found when the leg can send, because only then its coding is known; found anew when the
    /// coding changes.
    frames: Option<(Codec, Frames)>,
    /// Octets played.
    at: usize,
    /// It was asked for in this coding, in which it has to be made.
    asked: Option<Codec>,
    /// When the next packet is due; `None` before the first.
    pub(crate) due: Option<Instant>,
    /// A key of whoever hears it ends it.
    pub(crate) by_key: bool,
}

/// What is played.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Tone(Tone),
    Prompt(Prompt),
    /// What was read or put together for it.
    Made(Arc<prompt::Sound>),
    /// The sound of a key (ITU-T Q.23), and the pause after it.
    Key(Digit),
}

impl What {
    /// For the log: nothing of what is said.
    fn name(&self) -> &str {
        match self {
            What::Tone(_) => "a tone",
            What::Prompt(prompt) => &prompt.name,
            What::Made(_) => "words or a file",
            What::Key(_) => "a key",
        }
    }
}

/// A step of a sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A payload was written: its octets, and its length in units of its coding's clock.
    More { octets: usize, span: u32 },
    /// It is being made: again a little later.
    Later,
    /// It is over, or there is no such sound.
    Over,
}

impl Sound {
    /// `repeat`: from the start again, until further notice.
    pub(crate) fn new(what: What, repeat: bool) -> Sound {
        Sound { what, repeat, frames: None, at: 0, asked: None, due: None, by_key: false }
    }

    /// It is a key.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self.what, What::Key(_))
    }

    /// A payload of it was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Writes the next packet's payload. `make` asks for a sound in a coding; false when it has to be
    /// asked again.
    pub(crate) fn step(
        &mut self,
        library: &Library,
        codec: Codec,
        payload: &mut [u8],
        make: impl FnOnce(&What) -> bool,
    ) -> Step {
        let stale = self.frames.as_ref().is_none_or(|(fetched, _)| *fetched != codec);
        if stale {
            self.frames = match library.fetch(&self.what, codec) {
                Fetched::Ready(frames) => Some((codec, frames)),
                Fetched::Nothing => None,
                Fetched::Later => {
                    if self.asked != Some(codec) && make(&self.what) {
                        self.asked = Some(codec);
                    }
                    return Step::Later;
                }
            };
        }
        let Some((_, frames)) = &self.frames else { return Step::Over };
        let octets = frames.as_flattened();
        if self.at >= octets.len() {
            if !self.repeat || octets.is_empty() {
                return Step::Over;
            }
            self.at = 0;
        }
        if codec == Codec::Opus {
            return self.packet(payload);
        }
        let rest = &octets[self.at..];
        let n = rest.len().min(payload.len());
        payload[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        // The last packet is filled up where one octet of silence is as good as another.
        let filled = match codec {
            Codec::Pcmu => Some(g711::ULAW_SILENCE),
            Codec::Pcma => Some(g711::ALAW_SILENCE),
            Codec::G722 | Codec::Opus | Codec::G729 => None,
        };
        let octets = match filled {
            Some(silence) => {
                payload[n..].fill(silence);
                payload.len()
            }
            None => n,
        };
        Step::More { octets, span: octets as u32 }
    }

    /// The next packet of Opus; one of no octets is a pause.
    fn packet(&mut self, payload: &mut [u8]) -> Step {
        let Some((_, frames)) = &self.frames else { return Step::Over };
        let Some(frame) = frames.get(self.at / FRAME) else { return Step::Over };
        self.at = (self.at / FRAME + 1) * FRAME;
        let octets = usize::from(frame[0]).min(FRAME - 1).min(payload.len());
        payload[..octets].copy_from_slice(&frame[1..=octets]);
        Step::More { octets, span: OPUS_SPAN }
    }
}

/// 20 ms at 48 kHz (RFC 7587 §4.1).
const OPUS_SPAN: u32 = 960;

impl Library {
    pub(crate) fn new(prompts: Store) -> Library {
        let tones = TONES.map(|tone| (tone, prompt::Sound::of(&period(tone)))).into();
        let keys = Digit::all().map(|digit| prompt::Sound::of(&pressed(digit))).collect();
        Library { tones, keys, prompts: Arc::new(prompts) }
    }

    /// The announcements and words.
    pub(crate) fn prompts(&self) -> Arc<Store> {
        Arc::clone(&self.prompts)
    }

    fn find<'a>(&'a self, what: &'a What) -> Option<&'a prompt::Sound> {
        match what {
            What::Tone(tone) => {
                let found = self.tones.iter().find(|(known, _)| known == tone);
                found.map(|(_, sound)| sound)
            }
            What::Made(sound) => Some(sound),
            What::Key(digit) => self.keys.get(usize::from(digit.event())),
            What::Prompt(Prompt { name, language }) => self.prompts.find(name, language),
        }
    }

    fn fetch(&self, what: &What, codec: Codec) -> Fetched {
        match self.find(what).map(|sound| sound.ready(codec)) {
            Some(Some(frames)) => Fetched::Ready(frames.clone()),
            Some(None) => Fetched::Later,
            None => Fetched::Nothing,
        }
    }

    /// Whether there is an announcement of this name.
    pub(crate) fn has(&self, prompt: &Prompt) -> bool {
        self.prompts.find(&prompt.name, &prompt.language).is_some()
    }

    /// Puts together what is to be said: that takes time.
    pub(crate) fn say(&self, what: &Say) -> Result<Vec<u8>, prompt::Unsaid> {
        self.prompts.say(what)
    }

    /// Makes a sound in a coding: that takes time.
    pub(crate) fn make(&self, what: &What, codec: Codec) {
        if let Some(sound) = self.find(what)
            && sound.frames(codec).is_none()
        {
            // Its name alone: what was made of words may be nobody's business.
            tracing::warn!(sound = what.name(), ?codec, "a sound cannot be coded");
        }
    }
}

/// A key and its pause.
fn pressed(digit: Digit) -> Vec<i16> {
    let press = Press { off_ms: PAUSE_MS, ..Press::usual(digit) };
    let mut samples = vec![0; press.samples() as usize];
    dtmf::Generator::new(press).fill(&mut samples);
    samples
}

/// The pause after a key: another one is told from it (ITU-T Q.24).
const PAUSE_MS: u32 = 60;

/// One period of a tone.
fn period(tone: Tone) -> Vec<i16> {
    let cadence = match tone {
        Tone::RingBack => Cadence::RING_BACK,
        Tone::Busy => Cadence::BUSY,
        Tone::Congestion => Cadence::CONGESTION,
        Tone::Warning => Cadence::WARNING,
        Tone::Hold => Cadence::HOLD,
        Tone::Recorded => Cadence::RECORDED,
        Tone::Joined => Cadence::JOINED,
        Tone::Left => Cadence::LEFT,
    };
    let mut generator = Generator::new(cadence);
    let frames = (cadence.period() as usize).div_ceil(FRAME);
    (0..frames).flat_map(|_| generator.frame()).collect()
}

#[cfg(test)]
mod tests {
    use audio::codec::{Coding, Decoder, SAMPLES_MAX};

    use super::*;

    #[test]
    fn ring_back_is_one_second_in_five_and_comes_round() {
        let library = Library::new(Store::default());
        let mut sound = Sound::new(What::Tone(Tone::RingBack), true);
        let mut loud = Vec::new();
        for _ in 0..500 {
            let mut payload = [0; 160];
            assert!(matches!(
                sound.step(&library, Codec::Pcma, &mut payload, |_| false),
                Step::More { .. }
            ));
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
                assert!(matches!(
                    sound.step(&library, Codec::Pcmu, &mut payload, |_| false),
                    Step::More { .. }
                ));
            }
            assert_eq!(sound.step(&library, Codec::Pcmu, &mut payload, |_| false), Step::Over);
        }
    }

    #[test]
    fn what_was_made_for_one_leg_is_heard_in_the_coding_it_comes_to() {
        let library = Library::new(Store::default());
        let loud: Vec<i16> = (0..320).map(|at| (at % 160) * 100).collect();
        let made = What::Made(Arc::new(prompt::Sound::once(&loud)));
        let mut sound = Sound::new(made.clone(), false);
        let (mut same, mut other) = ([0; 160], [0; 160]);
        assert!(matches!(
            sound.step(&library, Codec::Pcma, &mut same, |_| false),
            Step::More { .. }
        ));
        assert_eq!(sound.step(&library, Codec::Pcmu, &mut other, |_| true), Step::Later);
        library.make(&made, Codec::Pcmu);
        assert!(matches!(
            sound.step(&library, Codec::Pcmu, &mut other, |_| false),
            Step::More { .. }
        ));
        let mut expected = same;
        g711::alaw_to_ulaw_in_place(&mut expected);
        for (heard, wanted) in other.iter().zip(expected) {
            let (heard, wanted) = (g711::ulaw_to_linear(*heard), g711::ulaw_to_linear(wanted));
            assert!((i32::from(heard) - i32::from(wanted)).abs() <= i32::from(wanted) / 16 + 16);
        }
        assert_eq!(sound.step(&library, Codec::Pcmu, &mut other, |_| false), Step::Over);
    }

    #[test]
    fn b21_a_tone_is_heard_in_every_coding_once_it_is_made() {
        for (codec, coding) in [(Codec::G722, Coding::G722), (Codec::Opus, Coding::Opus)] {
            let library = Library::new(Store::default());
            let mut sound = Sound::new(What::Tone(Tone::Busy), true);
            let mut payload = [0; FRAME];
            let mut asked = 0;
            for _ in 0..3 {
                let step = sound.step(&library, codec, &mut payload, |_| {
                    asked += 1;
                    asked > 1
                });
                assert_eq!(step, Step::Later);
            }
            assert_eq!(asked, 2, "asked again only when it was refused");
            library.make(&What::Tone(Tone::Busy), codec);
            let mut decoder = Decoder::new(coding).unwrap();
            let (mut samples, mut loud) = (vec![0; SAMPLES_MAX], Vec::new());
            for _ in 0..70 {
                let step = sound.step(&library, codec, &mut payload, |_| false);
                let Step::More { octets, span } = step else { panic!("{step:?}") };
                assert_eq!(span, if codec == Codec::Opus { 960 } else { 160 });
                let count = decoder.decode(&payload[..octets], &mut samples).unwrap();
                assert_eq!(count, coding.rate() as usize / 50);
                let power: i64 = samples[..count].iter().map(|s| i64::from(*s).pow(2)).sum::<i64>();
                loud.push(power / count as i64 > 200_000);
            }
            // 0.35 s on, 0.35 s off: 17.5 frames each.
            let heard = loud.iter().filter(|loud| **loud).count();
            assert!((33..=40).contains(&heard), "{codec:?}: {heard} of 70 frames");
        }
        assert!(prompt::coded(&[0; 160], Codec::G729).is_none());
    }

    #[test]
    fn a_change_of_coding_in_mid_sound_goes_on_where_it_stood() {
        let library = Library::new(Store::default());
        let mut sound = Sound::new(What::Tone(Tone::Busy), true);
        let (mut a, mut b) = ([0; 160], [0; 160]);
        for _ in 0..17 {
            sound.step(&library, Codec::Pcmu, &mut a, |_| false);
        }
        // The 18th frame of the busy tone is half burst, half pause.
        sound.step(&library, Codec::Pcma, &mut b, |_| false);
        assert!(b[..40].iter().any(|code| *code != g711::ALAW_SILENCE));
        assert!(b[120..].iter().all(|code| *code == g711::ALAW_SILENCE));
    }
}
