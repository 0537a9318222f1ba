//! Free text spoken by a program of the operator's: one process a text, which reads it from its standard input until that
//! ends, and writes a WAV file to its standard output. What it spoke is kept with the sounds behind addresses.
//!
//! It is bounded in time, in octets and in number; one that is late is ended, and so is one that nobody waits for.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use facts::ports::{FetchError, Fetched, Validators};
use facts::speech::Speech;
use media::SOUND_OCTETS_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// A text has so long, its waiting for a place among others too.
const SPOKEN_WITHIN: Duration = Duration::from_secs(8);
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

    /// Speaks a text; unless what is `known` was spoken by the same program.
    ///
    /// # Errors
    /// The program is not there, took too long, wrote too much, or ended with an error.
    pub(crate) async fn say(
        &self,
        speech: &Speech,
        known: Validators,
    ) -> Result<Fetched, FetchError> {
        let Some(command) = &self.command else {
            tracing::warn!("a menu cannot be said: there is no speech.program");
            return Ok(found(404, Vec::new(), None));
        };
        let by = command.join(" ");
        if known.etag.as_ref() == Some(&by) {
            return Ok(found(304, Vec::new(), Some(by)));
        }
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
        Ok(found(200, octets, Some(by)))
    }
}

fn found(status: u16, body: Vec<u8>, etag: Option<String>) -> Fetched {
    let validators = Validators { etag, last_modified: None };
    Fetched { status, body, content_type: None, validators, retry_after_s: None }
}

/// One process. Dropped before its end, it is ended.
async fn run(command: &[String], speech: &Speech) -> Result<Vec<u8>, FetchError> {
    let failed = |error: std::io::Error| FetchError::Failed(error.to_string());
    let (program, arguments) =
        command.split_first().ok_or_else(|| FetchError::Failed("no program".into()))?;
    let kept = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace(LANGUAGE, &speech.language)))
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let octets = talk(&mut child, &speech.text).await.map_err(failed)?;
    if octets.len() > SOUND_OCTETS_MAX {
        return Err(FetchError::TooLarge);
    }
    let status = child.wait().await.map_err(failed)?;
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

/// A file that is written as it is spoken does not know its length when it begins: where it says more than there is, it
/// is told what there is.
fn mend(wav: &mut [u8]) {
    const HEAD: usize = 12;
    let is_wav = wav.len() >= HEAD && wav.starts_with(b"RIFF") && &wav[8..HEAD] == b"WAVE";
    if !is_wav {
        return;
    }
    let all = wav.len();
    let mut at = HEAD;
    while let Some(chunk) = wav.get(at..at + 8) {
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
        let left = all - at - 8;
        if length > left {
            put(wav, at + 4, left);
            put(wav, 4, all - 8);
            return;
        }
        at += 8 + length + length % 2;
    }
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

    fn shell(script: &str) -> Speaker {
        let command = ["/bin/sh", "-c", script, "{language}"].map(str::to_owned);
        Speaker { within: Duration::from_millis(600), ..Speaker::new(Some(command.into()), 2) }
    }

    async fn say(speaker: &Speaker, text: &str) -> Result<Fetched, FetchError> {
        speaker.say(&Speech::new("fa", text), Validators::default()).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn espeak_says_persian_english_and_chinese_and_it_is_a_sound() {
        let command = ["espeak-ng", "-v", "{language}", "--stdin", "--stdout"].map(str::to_owned);
        let speaker = Speaker::new(Some(command.into()), 2);
        for (language, text) in
            [("fa", "کد ملی خود را وارد کنید"), ("en", "Enter your code"), ("zh", "请输入您的号码")]
        {
            let speech = Speech::new(language, text);
            let spoken = speaker.say(&speech, Validators::default()).await.unwrap();
            let samples = media::prompt::samples(&spoken.body).unwrap();
            assert!(samples.len() > 8_000, "{language}: {} samples", samples.len());
            let loud = samples.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
            assert!(loud > samples.len() / 20, "{language}: {loud} of {}", samples.len());
            // The same program is not asked twice.
            let known = spoken.validators;
            assert_eq!(speaker.say(&speech, known.clone()).await.unwrap().status, 304);
            let other = Speaker::new(Some(vec!["/bin/cat".into()]), 1);
            let other = other.say(&speech, known).await.unwrap();
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
