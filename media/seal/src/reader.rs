//! Opening what was sealed.

use std::io::{Read, Seek, SeekFrom};

use crate::OpenError;
use crate::frame::{BEGIN_MAX, Cipher, END_BYTES, FRAME_HEAD, FrameHead, Kind, TAG, name_of};
use crate::keys::Keys;

/// Reads a finished recording from anywhere.
pub struct Reader<R> {
    file: R,
    cipher: Cipher,
    /// Plain octets of the whole.
    length: u64,
    /// Frames of sound that the end tells of.
    sounds: u64,
    /// Where the next frame lies, and its number: 0 is the head, sound begins with 1.
    at: u64,
    next: u64,
    /// Opened and not given yet.
    plain: Vec<u8>,
    given: usize,
}

impl<R: Read + Seek> Reader<R> {
    /// Looks at the beginning and the end of a file.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(keys: &Keys, mut file: R) -> Result<Reader<R>, OpenError> {
        let cipher = Cipher::of(keys, &begin(&mut file)?)?;
        let end = file.seek(SeekFrom::End(0))?;
        let at = cipher.begin().len() as u64;
        let tail = end.checked_sub(END_BYTES as u64).filter(|tail| *tail > at);
        file.seek(SeekFrom::Start(tail.ok_or(OpenError::Unfinished)?))?;
        let mut frame = [0; END_BYTES];
        file.read_exact(&mut frame)?;
        let told = FrameHead::read(&frame).filter(|head| head.kind == Kind::End && head.plain == 8);
        let told = told.ok_or(OpenError::Unfinished)?;
        let mut reader =
            Reader { file, cipher, length: 0, sounds: 0, at, next: 0, plain: Vec::new(), given: 0 };
        // The end's number is that of the frames before it: they are counted by their heads.
        let sounds = reader.count(tail.unwrap_or(at))?;
        let (_, plain) = reader.cipher.open(sounds, &frame[..told.frame()])?;
        let length = plain.first_chunk().ok_or(OpenError::Broken)?;
        (reader.length, reader.sounds) = (u64::from_be_bytes(*length), sounds);
        Ok(reader)
    }

    /// Plain octets of the whole.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Goes on `octets` without giving them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn skip(&mut self, mut octets: u64) -> Result<(), OpenError> {
        loop {
            let here = (self.plain.len() - self.given) as u64;
            if octets <= here {
                self.given += octets as usize;
                return Ok(());
            }
            octets -= here;
            (self.plain, self.given) = (Vec::new(), 0);
            let head = self.peek()?;
            if head.kind != Kind::End && head.plain as u64 <= octets {
                octets -= head.plain as u64;
                self.at += head.frame() as u64;
                self.next += 1;
            } else if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The next octets, as many as there are up to the size of a frame; none at the end.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn read(&mut self) -> Result<Vec<u8>, OpenError> {
        if self.given == self.plain.len() && !self.fill()? {
            return Ok(Vec::new());
        }
        let rest = self.plain.split_off(self.given);
        (self.plain, self.given) = (Vec::new(), 0);
        Ok(rest)
    }

    /// Opens the next frame; false at the end.
    fn fill(&mut self) -> Result<bool, OpenError> {
        let head = self.peek()?;
        if head.kind == Kind::End {
            return if self.next == self.sounds + 1 { Ok(false) } else { Err(OpenError::Broken) };
        }
        let mut frame = vec![0; head.frame()];
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.read_exact(&mut frame)?;
        (self.plain, self.given) = (opened(&self.cipher, self.next, &frame)?.plain, 0);
        self.at += frame.len() as u64;
        self.next += 1;
        Ok(true)
    }

    fn peek(&mut self) -> Result<FrameHead, OpenError> {
        let mut head = [0; FRAME_HEAD];
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.read_exact(&mut head)?;
        FrameHead::read(&head).ok_or(OpenError::Broken)
    }

    /// Frames of sound up to `end`.
    fn count(&mut self, end: u64) -> Result<u64, OpenError> {
        let (from, mut frames) = (self.at, 0_u64);
        while self.at < end {
            self.at += self.peek()?.frame() as u64;
            frames += 1;
        }
        let whole = self.at == end;
        self.at = from;
        frames.checked_sub(1).filter(|_| whole).ok_or(OpenError::Broken)
    }
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("length", &self.length).finish_non_exhaustive()
    }
}

/// A frame that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// What was in it.
    pub plain: Vec<u8>,
    /// Of which generation it is.
    generation: u8,
}

/// Opens the head (number 0) or a frame of sound (numbers from 1).
fn opened(cipher: &Cipher, number: u64, frame: &[u8]) -> Result<Piece, OpenError> {
    let within = number.saturating_sub(1);
    let (head, plain) = cipher.open(within, frame)?;
    let wanted = if number == 0 { Kind::Head } else { Kind::Sound };
    if head.kind != wanted {
        return Err(OpenError::Broken);
    }
    Ok(Piece { plain, generation: head.generation })
}

/// How far an unfinished file goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Octets of the file.
    pub stored: u64,
    /// Plain octets in them.
    pub plain: u64,
    pub(crate) sounds: u64,
    pub(crate) generation: u8,
}

/// Reads the beginning of a file.
fn begin<R: Read + Seek>(file: &mut R) -> Result<Vec<u8>, OpenError> {
    file.seek(SeekFrom::Start(0))?;
    let mut start = Vec::with_capacity(BEGIN_MAX);
    file.by_ref().take(BEGIN_MAX as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// The name of the key that a file is sealed with.
///
/// # Errors
/// [`OpenError`].
pub fn key_of<R: Read + Seek>(mut file: R) -> Result<String, OpenError> {
    Ok(name_of(&begin(&mut file)?)?.to_owned())
}

/// Hands the head and the sound of an unfinished file to `each`, piece by piece, as far as they are whole, with how far
/// the file goes with the piece; gives the octets that the file begins with, for [`crate::Sealer::resume`]. An end that was
/// written before the process died is passed over. `each` says false to have no more.
///
/// # Errors
/// [`OpenError`], when not even the beginning is whole.
pub fn salvage<R: Read + Seek>(
    keys: &Keys,
    mut file: R,
    mut each: impl FnMut(&Piece, &Found) -> bool,
) -> Result<Vec<u8>, OpenError> {
    let cipher = Cipher::of(keys, &begin(&mut file)?)?;
    let mut found = Found { stored: cipher.begin().len() as u64, ..Found::default() };
    file.seek(SeekFrom::Start(found.stored))?;
    let mut frame = Vec::new();
    for number in 0_u64.. {
        frame.resize(FRAME_HEAD, 0);
        let Ok(()) = file.read_exact(&mut frame) else { break };
        let Some(head) = FrameHead::read(&frame) else { break };
        frame.resize(FRAME_HEAD + head.plain + TAG, 0);
        let Ok(()) = file.read_exact(&mut frame[FRAME_HEAD..]) else { break };
        if head.kind == Kind::End {
            break;
        }
        let Ok(piece) = opened(&cipher, number, &frame) else { break };
        found.stored += frame.len() as u64;
        found.plain += piece.plain.len() as u64;
        found.sounds = number;
        found.generation = found.generation.max(piece.generation);
        if !each(&piece, &found) {
            break;
        }
    }
    Ok(cipher.begin().to_vec())
}
