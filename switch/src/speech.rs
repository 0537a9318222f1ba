//! Free text spoken by a program of the operator's: one process a text, which reads it from its standard input until that
//! ends, and writes a WAV file to its standard output.
//!
//! It is bounded in time, in octets and in number; one that is late is ended with all that it began, and so is one that
//! nobody waits for. What is longer than a sound may be is cut, for what stands at its beginning was paid for.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use facts::ports::{FetchError, Fetched, Validators};
use facts::speech::Speech;
use media::SOUND_OCTETS_MAX;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// A text has so long, its waiting for a place among others too.
const SPOKEN_WITHIN: Duration = Duration::from_secs(8);
/// Seconds of sound that are heard of a text at most: those of any sound.
const SECONDS_MAX: usize = 300;
/// In the arguments of the program: the language of the text.
const LANGUAGE: &str = "{language}";
/// Variables that the program is given; the switch's own may hold secrets.
const VARIABLES: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"];

/// The program, and how many of it may run.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    /// With its arguments; `None`: nothing can be said.
    command: Option<Arc<[String]>>,
    places: Arc<Semaphore>,
    within: Duration,
}

impl Speaker {
    /// `command`: the program and its arguments.
    pub(crate) fn new(command: Option<Vec<String>>, at_once: usize) -> Speaker {
        Speaker {
            command: command.map(Into::into),
            places: Arc::new(Semaphore::new(at_once)),
            within: SPOKEN_WITHIN,
        }
    }

    /// Speaks a text.
    ///
    /// # Errors
    /// The program is not there, took too long, wrote too much, or ended with an error.
    pub(crate) async fn say(&self, speech: &Speech) -> Result<Fetched, FetchError> {
        let Some(command) = &self.command else {
            tracing::warn!("a menu cannot be said: there is no speech.program");
            return Ok(found(404, Vec::new()));
        };
        let spoken = async {
            let place = self.places.acquire().await;
            let octets = place.is_ok().then(|| run(command, speech));
            match octets {
                Some(octets) => octets.await,
                None => Err(FetchError::Failed("stopping".into())),
            }
        };
        let mut octets = match tokio::time::timeout(self.within, spoken).await {
            Ok(spoken) => spoken?,
            Err(_) => return Err(FetchError::TimedOut),
        };
        mend(&mut octets);
        Ok(found(200, octets))
    }
}

fn found(status: u16, body: Vec<u8>) -> Fetched {
    let validators = Validators::default();
    Fetched { status, body, content_type: None, validators, retry_after_s: None }
}

/// A process that leads a group of its own. Dropped before its end, the whole group is ended: a script may have begun
/// others, and they hold its output.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that was waited for has no number any more, which may be somebody else's by now.
        let leader = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// One process, by itself or with others that it begins.
async fn run(command: &[String], speech: &Speech) -> Result<Vec<u8>, FetchError> {
    let failed = |error: std::io::Error| FetchError::Failed(error.to_string());
    let (program, arguments) =
        command.split_first().ok_or_else(|| FetchError::Failed("no program".into()))?;
    let kept = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace(LANGUAGE, &speech.language)))
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut child = Running(child);
    let mut octets = talk(&mut child.0, &speech.text).await.map_err(failed)?;
    if octets.len() > SOUND_OCTETS_MAX {
        if !is_wav(&octets) {
            return Err(FetchError::TooLarge);
        }
        octets.truncate(SOUND_OCTETS_MAX);
        return Ok(octets);
    }
    let status = child.0.wait().await.map_err(failed)?;
    if !status.success() {
        return Err(FetchError::Failed(status.to_string()));
    }
    Ok(octets)
}

/// Gives it the text and takes what it says, both at once: either pipe may be full. A program that does not read to the
/// end may know enough.
async fn talk(child: &mut Child, text: &str) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut input) = input {
            let _ = input.write_all(text.as_bytes()).await;
            let _ = input.shutdown().await;
        }
    };
    let read = async {
        match output {
            Some(output) => {
                let most = SOUND_OCTETS_MAX as u64 + 1;
                output.take(most).read_to_end(&mut octets).await.map(|_| ())
            }
            None => Ok(()),
        }
    };
    let ((), read) = tokio::join!(write, read);
    read.map(|()| octets)
}

fn is_wav(octets: &[u8]) -> bool {
    octets.len() >= HEAD && octets.starts_with(b"RIFF") && &octets[8..HEAD] == b"WAVE"
}

/// `RIFF`, a length, `WAVE`.
const HEAD: usize = 12;

/// A file that is written as it is spoken does not know its length when it begins: where it says more than there is, it
/// is told what there is. What is longer than a sound may be is cut.
fn mend(wav: &mut Vec<u8>) {
    if !is_wav(wav) {
        return;
    }
    let (mut at, mut second) = (HEAD, None);
    while let Some(chunk) = wav.get(at..at + 8) {
        let (is_format, is_data) = (chunk.starts_with(b"fmt "), chunk.starts_with(b"data"));
        let length = number(chunk, 4).unwrap_or_default();
        let left = wav.len() - at - 8;
        if is_format && length >= 16 {
            // Octets of a second, and of a sample of all channels.
            let block =
                wav.get(at + 20..at + 22).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8);
            second = number(wav, at + 16).zip(block.filter(|block| *block > 0));
        }
        let most = second
            .filter(|_| is_data)
            .and_then(|(second, block)| Some(second.checked_mul(SECONDS_MAX)? / block * block));
        let fits = length.min(left).min(most.unwrap_or(usize::MAX));
        if fits < length {
            wav.truncate(at + 8 + fits);
            put(wav, at + 4, fits);
            put(wav, 4, at + fits);
            return;
        }
        at += 8 + length + length % 2;
    }
}

fn number(octets: &[u8], at: usize) -> Option<usize> {
    let four = octets.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

fn put(wav: &mut [u8], at: usize, length: usize) {
    if let (Some(place), Ok(length)) = (wav.get_mut(at..at + 4), u32::try_from(length)) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const OWN: facts::MerchantId = facts::MerchantId(1);

    fn shell(script: &str) -> Speaker {
        let command = ["/bin/sh", "-c", script, "{language}"].map(str::to_owned);
        Speaker { within: Duration::from_millis(600), ..Speaker::new(Some(command.into()), 2) }
    }

    async fn say(speaker: &Speaker, text: &str) -> Result<Fetched, FetchError> {
        speaker.say(&Speech::new(OWN, "fa", text)).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn espeak_says_persian_english_and_chinese_and_it_is_a_sound() {
        let command = ["espeak-ng", "-v", "{language}", "--stdin", "--stdout"].map(str::to_owned);
        let speaker = Speaker::new(Some(command.into()), 2);
        for (language, text) in
            [("fa", "کد ملی خود را وارد کنید"), ("en", "Enter your code"), ("zh", "请输入您的号码")]
        {
            let speech = Speech::new(OWN, language, text);
            let spoken = speaker.say(&speech).await.unwrap();
            let samples = media::prompt::samples(&spoken.body).unwrap();
            assert!(samples.len() > 8_000, "{language}: {} samples", samples.len());
            let loud = samples.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
            assert!(loud > samples.len() / 20, "{language}: {loud} of {}", samples.len());
            let other = Speaker::new(Some(vec!["/bin/cat".into()]), 1);
            let other = other.say(&speech).await.unwrap();
            assert_eq!(other.body, text.as_bytes(), "the text and nothing else");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_that_is_late_fails_floods_or_is_not_there_is_no_sound_and_delays_nobody() {
        let began = Instant::now();
        assert_eq!(say(&shell("sleep 30"), "x").await, Err(FetchError::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(3));
        assert!(matches!(say(&shell("exit 3"), "x").await, Err(FetchError::Failed(_))));
        let flood = Speaker { within: Duration::from_secs(5), ..shell("exec cat /dev/zero") };
        assert_eq!(say(&flood, "x").await, Err(FetchError::TooLarge));
        let none = Speaker::new(Some(vec!["/nowhere/speaks".into()]), 1);
        assert!(matches!(say(&none, "x").await, Err(FetchError::Failed(_))));
        let off = Speaker::new(None, 1);
        assert_eq!(say(&off, "x").await.unwrap().status, 404);
        // Its own environment, its language, and no more than so many at once.
        let told = say(&shell("echo \"$0\"; env | grep -c CARGO; true"), "x").await.unwrap();
        assert_eq!(told.body, b"fa\n0\n");
        let two = shell("sleep 0.4");
        let (one, other, third) = tokio::join!(say(&two, "x"), say(&two, "x"), say(&two, "x"));
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(third, Err(FetchError::TimedOut), "it waits for a place, and no longer");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_program_has_begun_is_ended_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("began");
        // The shell waits for another process, which would live on without it.
        let script = format!("sleep 31.4 & echo $! > {}; wait; true", mark.display());
        assert_eq!(say(&shell(&script), "x").await, Err(FetchError::TimedOut));
        let began = std::fs::read_to_string(&mark).unwrap();
        let line = format!("/proc/{}/cmdline", began.trim());
        let lives = || std::fs::read(&line).is_ok_and(|line| line.starts_with(b"sleep"));
        let until = Instant::now() + Duration::from_secs(5);
        while lives() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!lives(), "process {}", began.trim());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn s5_6_of_a_text_whose_sound_is_too_long_the_beginning_is_heard() {
        // What a program says that does not know how long it will speak: 8,000 samples a second, for 400 s.
        let head = r"RIFF\377\377\377\177WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\200\076\0\0\002\0\020\0data\377\377\377\177";
        let script = format!("printf '{head}'; head -c 6400000 /dev/zero");
        let speaker = Speaker { within: Duration::from_secs(5), ..shell(&script) };
        let spoken = say(&speaker, "x").await.unwrap();
        assert_eq!(media::prompt::samples(&spoken.body).unwrap().len(), 300 * 8_000);
        // And for longer than anybody reads.
        let script = format!("printf '{head}'; exec cat /dev/zero");
        let speaker = Speaker { within: Duration::from_secs(5), ..shell(&script) };
        let spoken = say(&speaker, "x").await.unwrap();
        assert_eq!(spoken.body.len(), 44 + 300 * 16_000);
        // Of the longest text there is, all is heard.
        let command = ["espeak-ng", "-v", "{language}", "--stdin", "--stdout"].map(str::to_owned);
        let speaker = Speaker::new(Some(command.into()), 2);
        let speech = Speech::new(OWN, "zh", &"请输入您的号码".repeat(300));
        let spoken = speaker.say(&speech).await.unwrap();
        // 22,050 samples a second.
        let seconds = spoken.body.len() / 44_100;
        assert!((100..300).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn a_length_that_was_not_known_is_what_there_is() {
        let mut wav = b"RIFF\x24\xf0\xff\x7fWAVEfmt \x02\0\0\0abdata\0\xf0\xff\x7f1234".to_vec();
        mend(&mut wav);
        assert_eq!(wav, b"RIFF\x1a\0\0\0WAVEfmt \x02\0\0\0abdata\x04\0\0\x001234");
        for other in [&b""[..], b"RIFF", b"OggS and so on and on", b"RIFF\0\0\0\0WAVEfm"] {
            let mut same = other.to_vec();
            mend(&mut same);
            assert_eq!(same, other);
        }
    }
}
