//! One recording: tape, encoder and file. No clock: instants are arguments.

use std::io;
use std::path::Path;
use std::time::Instant;

use audio::g711;
use audio::tape::{Stamp, Tape};
use facts::media::{Codec, RecordedFile, RecordingForm};

use super::file::{PartFile, Sink};
use super::form::Coder;
use super::{MAX_PAUSES, MAX_PAYLOAD, Packet, WAIT_MAX};

/// A recording under way. Dropped without [`Job::finish`] it removes its file.
pub(super) struct Job<S: Sink = std::fs::File> {
    tape: Tape,
    /// Times whose packets are not laid on the tape; the last may still go on.
    pauses: Vec<(Instant, Option<Instant>)>,
    coder: Coder,
    file: PartFile<S>,
    left: Vec<i16>,
    right: Vec<i16>,
    frames: Vec<u8>,
}

impl Job {
    /// Makes the file and starts the clock of the tape.
    pub(super) fn start(
        folder: &Path,
        file: &str,
        form: RecordingForm,
        at: Instant,
    ) -> io::Result<Job> {
        Job::with(PartFile::create(folder, file, form)?, form, at)
    }
}

impl<S: Sink> Job<S> {
    /// A recording into a file that is already there.
    pub(super) fn with(file: PartFile<S>, form: RecordingForm, at: Instant) -> io::Result<Job<S>> {
        let coder = Coder::new(form)?;
        let (left, right, frames) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Job { tape: Tape::new(at), pauses: Vec::new(), coder, file, left, right, frames })
    }

    /// Lays a packet on the tape. What became final by the packet's arrival is coded first, so that
    /// packets which waited in a queue find the tape as it was when they came.
    pub(super) fn put(&mut self, packet: &Packet) -> io::Result<()> {
        self.code(packet.arrival)?;
        if self.is_hidden(packet.arrival) {
            return Ok(());
        }
        let payload = &packet.payload[..usize::from(packet.length).min(MAX_PAYLOAD)];
        let mut samples = [0; MAX_PAYLOAD];
        let count = match packet.codec {
            Codec::Pcmu => g711::decode_ulaw(payload, &mut samples),
            Codec::Pcma => g711::decode_alaw(payload, &mut samples),
            // Their sound is not decoded: silence stands for it.
            Codec::G722 | Codec::Opus | Codec::G729 => return Ok(()),
        };
        let stamp = Stamp { arrival: packet.arrival, timestamp: packet.timestamp };
        self.tape.put(packet.side, stamp, &samples[..count]);
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
        self.flush()
    }

    /// Ends the recording at `end`, writes the tag and moves the file into place.
    pub(super) fn finish(mut self, end: Instant) -> io::Result<RecordedFile> {
        while self.tape.finish(end, &mut self.left, &mut self.right) > 0 {
            self.encode()?;
        }
        self.coder.finish(&mut self.frames)?;
        self.flush()?;
        self.file.place(self.coder.samples())
    }

    fn code(&mut self, now: Instant) -> io::Result<()> {
        while self.tape.render(now, &mut self.left, &mut self.right) > 0 {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> io::Result<()> {
        let coded = self.coder.encode(&self.left, &self.right, &mut self.frames);
        self.left.clear();
        self.right.clear();
        coded?;
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
}

/// Coded octets that may wait in memory.
const MAX_UNWRITTEN: usize = 64 * 1024;
