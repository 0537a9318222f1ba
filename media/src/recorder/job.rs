//! One recording: a tape, and an encoder and a file for all voices, or for each. No clock: instants are arguments.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use audio::codec::{Coding, Decoder, SAMPLES_MAX};
use audio::convert::Converter;
use audio::tape::{Side, Stamp, Tape};
use facts::media::{Codec, RecordedFile, RecordingForm, Voices};
use seal::Keys;

use super::file::{PartFile, Sink};
use super::form::Coder;
use super::{MAX_PAUSES, MAX_PAYLOAD, Packet, WAIT_MAX};

/// A recording under way. Dropped without [`Job::finish`] it removes its file.
pub(super) struct Job<S: Sink = std::fs::File> {
    tape: Tape,
    /// Times whose packets are not laid on the tape; the last may still go on.
    pauses: Vec<(Instant, Option<Instant>)>,
    /// One, or A's and B's.
    tracks: Vec<Track<S>>,
    left: Vec<i16>,
    right: Vec<i16>,
    /// In place of a voice that a file does not have.
    quiet: Vec<i16>,
    /// What decodes the left and the right voice.
    voices: [Option<Voice>; 2],
    /// One packet, as it was decoded and at 8 kHz.
    sound: [Box<[i16]>; 2],
}

/// What becomes of the tape in one file.
struct Track<S: Sink> {
    /// Whose voice alone; `None`: both.
    of: Option<Side>,
    coder: Coder,
    file: PartFile<S>,
    frames: Vec<u8>,
}

impl<S: Sink> Track<S> {
    fn encode(&mut self, left: &[i16], right: &[i16], quiet: &[i16]) -> io::Result<()> {
        let (left, right) = match self.of {
            None => (left, right),
            Some(Side::Left) => (left, quiet),
            Some(Side::Right) => (quiet, right),
        };
        self.coder.encode(left, right, &mut self.frames)?;
        // After a long gap there may be minutes of silence to write: not all at once.
        if self.frames.len() > MAX_UNWRITTEN { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.frames.is_empty() {
            self.file.append(&self.frames)?;
            self.frames.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<RecordedFile> {
        self.coder.finish(&mut self.frames)?;
        self.flush()?;
        self.file.place(self.coder.samples())
    }
}

/// Whose voices go into how many files.
const fn sides(voices: Voices) -> &'static [Option<Side>] {
    match voices {
        Voices::Stereo | Voices::Mixed => &[None],
        Voices::A => &[Some(Side::Left)],
        Voices::B => &[Some(Side::Right)],
        Voices::Apart => &[Some(Side::Left), Some(Side::Right)],
    }
}

/// A voice in one coding, on its way to 8 kHz.
struct Voice {
    codec: Codec,
    decoder: Decoder,
    converter: Option<Converter>,
    /// Timestamp of its latest packet, and where that is at 8 kHz without the wrap.
    latest: u32,
    place: i64,
}

impl Voice {
    fn new(codec: Codec, timestamp: u32) -> Option<Voice> {
        let decoder = match codec {
            Codec::Pcmu => Decoder::new(Coding::Pcmu),
            Codec::Pcma => Decoder::new(Coding::Pcma),
            Codec::G722 => Decoder::new(Coding::G722),
            Codec::Opus => Decoder::at(Coding::Opus, audio::RATE),
            Codec::G729 => return None,
        };
        let decoder = decoder.ok()?;
        let converter = Converter::new(decoder.rate(), audio::RATE);
        Some(Voice { codec, decoder, converter, latest: timestamp, place: i64::from(timestamp) })
    }

    /// A timestamp in samples of 8 kHz: those of a faster clock wrap elsewhere.
    fn timestamp(&mut self, timestamp: u32) -> u32 {
        self.place += i64::from(timestamp.wrapping_sub(self.latest).cast_signed());
        self.latest = timestamp;
        let ratio = i64::from(self.codec.clock_hz() / audio::RATE);
        (self.place.div_euclid(ratio) & i64::from(u32::MAX)) as u32
    }

    /// Decodes a payload; gives the samples at 8 kHz. What cannot be decoded is silence.
    fn decode<'a>(&mut self, payload: &[u8], [wide, narrow]: [&'a mut [i16]; 2]) -> &'a [i16] {
        let count = self.decoder.decode(payload, wide).unwrap_or(0);
        match &mut self.converter {
            None => &wide[..count],
            Some(converter) => {
                let count = converter.convert(&wide[..count], narrow);
                &narrow[..count]
            }
        }
    }
}

impl Job {
    /// Makes the files and starts the clock of the tape. `file` is the name of the only one, or of A's.
    pub(super) fn start(
        folder: &Path,
        file: &str,
        form: RecordingForm,
        at: Instant,
        keys: Option<&Arc<Keys>>,
    ) -> io::Result<Job> {
        let mut files = vec![PartFile::create(folder, file, form, keys)?];
        if form.voices == Voices::Apart {
            let unnamed =
                || io::Error::new(io::ErrorKind::InvalidInput, "not the name of A's file");
            let other = Voices::other(file).ok_or_else(unnamed)?;
            files.push(PartFile::create(folder, &other, form, keys)?);
        }
        Job::with(files, form, at)
    }
}

impl<S: Sink> Job<S> {
    /// A recording into files that are already there: as many as `form` has.
    pub(super) fn with(
        files: Vec<PartFile<S>>,
        form: RecordingForm,
        at: Instant,
    ) -> io::Result<Job<S>> {
        let mut tracks = Vec::with_capacity(files.len());
        for (of, file) in sides(form.voices).iter().zip(files) {
            let (of, coder, frames) = (*of, Coder::new(form)?, Vec::new());
            tracks.push(Track { of, coder, file, frames });
        }
        let (left, right, quiet) = (Vec::new(), Vec::new(), Vec::new());
        let sound = [(); 2].map(|()| vec![0; SAMPLES_MAX].into_boxed_slice());
        let (tape, voices) = (Tape::new(at), [None, None]);
        let pauses = Vec::new();
        Ok(Job { tape, pauses, tracks, left, right, quiet, voices, sound })
    }

    /// Lays a packet on the tape. What became final by the packet's arrival is coded first, so that
    /// packets which waited in a queue find the tape as it was when they came.
    pub(super) fn put(&mut self, packet: &Packet) -> io::Result<()> {
        self.code(packet.arrival)?;
        if self.is_hidden(packet.arrival) {
            return Ok(());
        }
        let payload = &packet.payload[..usize::from(packet.length).min(MAX_PAYLOAD)];
        let voice = &mut self.voices[usize::from(packet.side == Side::Right)];
        if voice.as_ref().is_none_or(|voice| voice.codec != packet.codec) {
            *voice = Voice::new(packet.codec, packet.timestamp);
        }
        let Some(voice) = voice else { return Ok(()) };
        let timestamp = voice.timestamp(packet.timestamp);
        let samples = voice.decode(payload, self.sound.each_mut().map(|sound| &mut **sound));
        let stamp = Stamp { arrival: packet.arrival, timestamp };
        self.tape.put(packet.side, stamp, samples);
        Ok(())
    }

    /// What arrives from `at` on is not heard, or is heard again.
    pub(super) fn pause(&mut self, paused: bool, at: Instant) {
        let full = self.pauses.len() >= MAX_PAUSES;
        match self.pauses.last_mut() {
            Some((_, until @ None)) if !paused => *until = Some(at),
            // In doubt nothing is heard.
            Some((_, until)) if paused && full => *until = None,
            Some((_, Some(_))) | None if paused => self.pauses.push((at, None)),
            _ => {}
        }
    }

    fn is_hidden(&self, arrival: Instant) -> bool {
        let hides = |(from, until): &(Instant, Option<Instant>)| {
            *from <= arrival && until.is_none_or(|until| arrival < until)
        };
        self.pauses.iter().any(hides)
    }

    /// Codes what became final by `now` and hands the frames to the system.
    pub(super) fn turn(&mut self, now: Instant) -> io::Result<()> {
        self.pauses.retain(|(_, until)| until.is_none_or(|until| now < until + WAIT_MAX));
        self.code(now)?;
        for track in &mut self.tracks {
            track.coder.flush(&mut track.frames);
            track.flush()?;
        }
        Ok(())
    }

    /// Ends the recording at `end`, writes the tags and moves the files into place. Of two one is enough to be told
    /// of.
    pub(super) fn finish(mut self, end: Instant) -> io::Result<RecordedFile> {
        while self.tape.finish(end, &mut self.left, &mut self.right) > 0 {
            self.encode()?;
        }
        let mut all: Option<RecordedFile> = None;
        let mut failed = None;
        for track in self.tracks {
            match (track.finish(), &mut all) {
                (Ok(file), Some(first)) => first.other = Some(Box::new(file)),
                (Ok(file), None) => all = Some(file),
                (Err(error), _) => failed = Some(error),
            }
        }
        match (all, failed) {
            (Some(file), None) => Ok(file),
            (Some(file), Some(error)) => {
                tracing::warn!(%error, "the recording of one of two legs failed at its end");
                Ok(file)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(io::Error::other("there is no file")),
        }
    }

    fn code(&mut self, now: Instant) -> io::Result<()> {
        while self.tape.render(now, &mut self.left, &mut self.right) > 0 {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> io::Result<()> {
        self.quiet.resize(self.left.len(), 0);
        let (left, right, quiet) = (&self.left, &self.right, &self.quiet);
        let coded = self.tracks.iter_mut().try_for_each(|track| track.encode(left, right, quiet));
        self.left.clear();
        self.right.clear();
        coded
    }
}

/// Coded octets that may wait in memory.
const MAX_UNWRITTEN: usize = 64 * 1024;
