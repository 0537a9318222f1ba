//! A program of the operator's that makes words of sound: one process for each leg that is listened to.
//!
//! It reads samples (16 bits, little-endian, 8 kHz, one channel) from its standard input until that ends, and
//! prints what it understood, a line at a time, in UTF-8. What the words mean is looked up in a table. A program
//! that is slow misses sound, one that hangs is ended, and no call waits for either.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use audio::announce::{State, Words};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::poll;

/// The table that ships.
const SHIPPED: &str = include_str!("../announcements/words.tsv");

/// Samples given at a time: 20 ms.
const BLOCK: usize = 160;
/// Blocks that may wait for the program: 4 s.
const BLOCKS_MAX: usize = 200;
/// The longest line that is read; what is longer is read as several.
const LINE_MAX: u64 = 2_000;
/// How long the program is left to read what it has.
const PIPE_FULL: Duration = Duration::from_millis(5);
/// How long the program may take to end after its input has.
const GRACE: Duration = Duration::from_secs(5);

/// The words that ship.
#[must_use]
pub fn words() -> Words {
    // The table is part of the program, and a test reads it.
    Words::parse(SHIPPED).unwrap_or_default()
}

/// Which program makes words, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WordsConfig {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Legs that are listened to by it at a time, at most.
    pub at_once: usize,
    /// A table of words that comes before the one that ships, if the file is there.
    pub table: PathBuf,
}

/// The program, and how many of it may run. It is started from a thread of its own: starting takes time, and the
/// threads that carry sound go first, which what they start would inherit.
#[derive(Debug)]
pub struct Recogniser {
    at_once: usize,
    running: Arc<AtomicUsize>,
    starts: Sender<Start>,
}

/// One that is to be started.
struct Start {
    blocks: Receiver<[i16; BLOCK]>,
    over: Arc<AtomicBool>,
    told: Box<dyn FnMut(State) + Send>,
    place: Place,
}

impl Recogniser {
    /// As it was configured.
    ///
    /// # Errors
    /// When the system refuses a thread. A table that cannot be used is told in the log and left aside.
    pub fn open(config: &WordsConfig) -> io::Result<Recogniser> {
        let own = match fs::read_to_string(&config.table) {
            Ok(text) => Words::parse(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Words::default()),
            Err(error) => Err(error.to_string()),
        };
        let own = own.unwrap_or_else(|error| {
            tracing::warn!(table = %config.table.display(), %error, "not a table of words");
            Words::default()
        });
        let words = own.before(words());
        Recogniser::new(config.command.clone(), config.at_once, words)
    }

    /// `command`: the program and its arguments.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(command: Vec<String>, at_once: usize, words: Words) -> io::Result<Recogniser> {
        let (starts, wanted) = bounded::<Start>(at_once.max(1));
        let words = Arc::new(words);
        let starter = std::thread::Builder::new().name("words".into());
        starter.spawn(move || {
            for start in wanted {
                if let Err(error) = begin(&command, &words, start) {
                    let program = command.first();
                    tracing::warn!(program, %error, "the recogniser of words does not start");
                }
            }
        })?;
        Ok(Recogniser { at_once, running: Arc::default(), starts })
    }

    /// Lets one listen. `told` is called with each new meaning, from another thread. `None` when as many as
    /// may be are listening. Never waits: a program that does not start says nothing.
    #[must_use]
    pub fn listen(&self, told: impl FnMut(State) + Send + 'static) -> Option<Dictation> {
        let take = |running: usize| (running < self.at_once).then_some(running + 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        let place = Place(self.running.clone());
        let (sender, blocks) = bounded(BLOCKS_MAX);
        let over = Arc::new(AtomicBool::new(false));
        let start = Start { blocks, over: over.clone(), told: Box::new(told), place };
        self.starts.try_send(start).ok()?;
        Some(Dictation { sender, over, block: [0; BLOCK], filled: 0 })
    }
}

/// Variables that the program is given; the switch's own may hold secrets.
const VARIABLES: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"];

fn begin(command: &[String], words: &Arc<Words>, start: Start) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let kept = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (input, output) = pipes.ok_or(ErrorKind::BrokenPipe)?;
    poll::never_waits(&input)?;
    let words = words.clone();
    let Start { blocks, over, told, place } = start;
    let reader = std::thread::Builder::new().name("words-out".into());
    let reader = reader.spawn(move || understand(output, &words, told));
    let feeder = std::thread::Builder::new().name("words-in".into());
    feeder.spawn(move || {
        if reader.is_ok() {
            feed(input, &blocks, &over);
        }
        end(&mut child);
        drop(place);
    })?;
    Ok(())
}

/// One of those that may run.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The sound of one leg on its way to the program, which ends when this is dropped.
#[derive(Debug)]
pub struct Dictation {
    sender: Sender<[i16; BLOCK]>,
    /// Nothing more comes: who does not read what is there is not waited for.
    over: Arc<AtomicBool>,
    block: [i16; BLOCK],
    filled: usize,
}

impl Dictation {
    /// What was heard next, at 8 kHz. Never waits: what the program is too slow for is lost.
    pub fn hear(&mut self, mut samples: &[i16]) {
        while !samples.is_empty() {
            let part = samples.len().min(BLOCK - self.filled);
            self.block[self.filled..self.filled + part].copy_from_slice(&samples[..part]);
            (self.filled, samples) = (self.filled + part, &samples[part..]);
            if self.filled == BLOCK {
                let _ = self.sender.try_send(self.block);
                self.filled = 0;
            }
        }
    }

    /// As [`Dictation::hear`], but waits for the program: for sound that is there already.
    pub fn hear_all(&mut self, samples: &[i16]) {
        for block in samples.chunks(BLOCK) {
            self.block = [0; BLOCK];
            self.block[..block.len()].copy_from_slice(block);
            if self.sender.send_timeout(self.block, GRACE).is_err() {
                return;
            }
        }
    }
}

impl Drop for Dictation {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

fn feed(mut input: ChildStdin, blocks: &Receiver<[i16; BLOCK]>, over: &AtomicBool) {
    let mut octets = [0; 2 * BLOCK];
    let mut late = None;
    for block in blocks {
        for (pair, sample) in octets.chunks_exact_mut(2).zip(block) {
            pair.copy_from_slice(&sample.to_le_bytes());
        }
        let mut left = &octets[..];
        while !left.is_empty() {
            match input.write(left) {
                Ok(taken) => left = &left[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let since = *late.get_or_insert_with(Instant::now);
                    if !over.load(Ordering::Acquire) {
                        late = None;
                    } else if since.elapsed() > GRACE {
                        return;
                    }
                    std::thread::sleep(PIPE_FULL);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It has heard enough, or is no more.
                Err(_) => return,
            }
        }
    }
}

/// Its input has ended: it may say what it still has to say.
fn end(child: &mut Child) {
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Each meaning is told once.
fn understand(output: ChildStdout, words: &Words, mut told: Box<dyn FnMut(State) + Send>) {
    let mut output = BufReader::new(output);
    let mut known = BTreeSet::new();
    loop {
        let mut line = Vec::new();
        match output.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let meaning = words.meaning(&String::from_utf8_lossy(&line));
        if let Some(state) = meaning.filter(|state| known.insert(*state)) {
            told(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn recogniser(script: &str, at_once: usize) -> Recogniser {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Recogniser::new(command, at_once, words()).unwrap()
    }

    fn listening(recogniser: &Recogniser) -> (Option<Dictation>, Receiver<State>) {
        let (send, told) = channel();
        let dictation = recogniser.listen(move |state| {
            let _ = send.send(state);
        });
        (dictation, told)
    }

    #[test]
    fn the_words_that_ship_can_be_read_and_know_the_texts_that_ship() {
        let words = Words::parse(SHIPPED).unwrap();
        let texts = include_str!("../announcements/texts.tsv");
        let mut unknown = Vec::new();
        for row in texts.lines().filter(|row| !row.starts_with('#')) {
            let mut columns = row.split('\t');
            let (language, state, text) = (columns.next(), columns.next(), columns.next());
            let state = state.and_then(State::parse).unwrap();
            if language != Some("fa") && words.meaning(text.unwrap()) != Some(state) {
                unknown.push(row);
            }
        }
        assert!(unknown.is_empty(), "{unknown:#?}");
    }

    #[test]
    fn what_the_program_says_of_the_samples_it_was_given_is_told_once() {
        // The second half second is louder than the first: only that is called busy.
        let script = "head -c 8000 | od -An -v -td2 | awk '{for(i=1;i<=NF;i++) if($i>9000) n++} \
                      END {print n ? \"is busy\" : \"nothing\"}'; \
                      head -c 8000 | od -An -v -td2 | awk '{for(i=1;i<=NF;i++) if($i>9000) n++} \
                      END {print n ? \"powered off\" : \"nothing\"; print \"Powered OFF!\"}'";
        let (dictation, told) = listening(&recogniser(script, 1));
        let mut dictation = dictation.unwrap();
        dictation.hear(&[100; 4_000]);
        for part in [10_000; 4_100].chunks(37) {
            dictation.hear(part);
        }
        drop(dictation);
        let told: Vec<State> = told.iter().collect();
        assert_eq!(told, [State::SwitchedOff]);
    }

    #[test]
    fn a_program_that_hangs_reads_nothing_or_dies_holds_nobody_up_and_gives_its_place_back() {
        for script in ["exec sleep 600", "exit 1", "exec cat >/dev/null"] {
            let recogniser = recogniser(script, 1);
            let (first, _told) = listening(&recogniser);
            let mut first = first.unwrap();
            assert!(listening(&recogniser).0.is_none(), "one at a time");
            let begun = Instant::now();
            for _ in 0..100 {
                first.hear(&[1; 8_000]);
            }
            assert!(begun.elapsed() < Duration::from_secs(2), "{script}: never waits");
            drop(first);
            ended(&recogniser, script);
        }
        let none = Recogniser::new(vec!["/no/such/program".into()], 1, words()).unwrap();
        let (deaf, told) = listening(&none);
        deaf.unwrap().hear(&[1; 800]);
        assert!(told.recv().is_err(), "nobody will say anything");
        ended(&none, "no program");
    }

    /// Its place is given back; the thread that does it has said before that nothing more will come.
    fn ended(recogniser: &Recogniser, what: &str) {
        let until = Instant::now() + 3 * GRACE;
        while recogniser.running.load(Ordering::Acquire) > 0 {
            assert!(Instant::now() < until, "{what}: ended");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_program_that_says_two_things_for_ever_is_told_twice() {
        let recogniser =
            recogniser("yes 'is busy\npowered off' | head -n 20000; cat >/dev/null", 1);
        let (dictation, told) = listening(&recogniser);
        let two: Vec<State> = told.iter().take(2).collect();
        drop(dictation);
        assert_eq!((two, told.iter().count()), (vec![State::Busy, State::SwitchedOff], 0));
    }

    /// Sound goes before what makes words of it, and what the switch's environment holds is not told.
    #[test]
    fn the_program_has_no_precedence_and_no_secrets() {
        let script = "test $(nice) -ge 0 && test -z \"$(env | grep -v -e ^PATH= -e ^HOME= -e ^LANG= -e ^LC_ALL= \
                      -e ^TMPDIR= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= -e ^_=)\" && echo is busy; cat >/dev/null";
        let recogniser = recogniser(script, 1);
        // As the threads do that carry sound, where that is permitted.
        let _ = poll::go_first();
        let (dictation, told) = listening(&recogniser);
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(State::Busy));
        drop(dictation);
    }
}
