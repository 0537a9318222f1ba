//! A small, dumb SIP and RTP phone, written from the RFCs and on purpose not from the switch's own stack:
//! the far end in demonstrations and tests.
//!
//! It registers, answers (or does not), rings, plays a tone, listens to tones, presses keys, holds, hangs
//! up, and keeps a log of every message. Blocking threads, one lock, no cleverness: a phone that shares no
//! code with the switch cannot share its mistakes.

pub mod digest;
mod link;
pub mod message;
mod rtp;
mod sdp;
pub mod sound;
mod ua;
mod uac;
mod uas;

use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use digest::Credentials;
pub use link::Wire;
pub use rtp::RtpReport;
pub use sound::Law;
use ua::Core;

/// What this phone does when it is called.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Send 180 this long after the INVITE; `None`: no 180.
    pub ring_after: Option<Duration>,
    /// Send 183 with a description and speak early, this long after the INVITE.
    pub early_media_after: Option<Duration>,
    /// The final answer.
    pub answer: Answer,
    /// Hang up this long after the ACK.
    pub hang_up_after: Option<Duration>,
    /// Hold (re-INVITE with `sendonly`) this long after the ACK, and resume after the second time.
    pub hold: Option<(Duration, Duration)>,
    /// Press these keys this long after the ACK (RFC 4733).
    pub keys: Option<(Duration, String)>,
    /// Tone to send in hertz; 0 sends G.711 silence.
    pub tone_hz: u32,
    /// A rhythm to send in place of the tone, over and over: hertz (0 is silence) and milliseconds.
    pub rhythm: Vec<(u32, u32)>,
    /// Speech to send in place of both, 8 kHz: over and over, with a second of silence in between.
    pub speech: Arc<[i16]>,
    /// Speak at all.
    pub speaks: bool,
    /// Codings offered and accepted, best first.
    pub laws: Vec<Law>,
    /// Payload type of telephone-event in our descriptions; `None`: not offered.
    pub event: Option<u8>,
    /// Leave a BYE unanswered, as a dead phone does.
    pub ignores_bye: bool,
    /// Answer CANCEL with 200 but take the call all the same: the crossing of CANCEL and 200.
    pub ignores_cancel: bool,
}

/// The final answer to an INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 after this long.
    After(Duration),
    /// A failure after this long, with a Q.850 cause in a Reason header (RFC 3326) if given.
    Reject {
        /// How long after the INVITE.
        after: Duration,
        /// Status, 300 to 699.
        code: u16,
        /// Q.850 cause.
        cause: Option<u8>,
    },
    /// Rings until the other side gives up.
    Never,
    /// Does not answer any request at all: the phone is off.
    Off,
}

impl Default for Behaviour {
    /// Rings at once, answers after 300 ms, sends 700 Hz, never hangs up.
    fn default() -> Self {
        Behaviour {
            ring_after: Some(Duration::ZERO),
            early_media_after: None,
            answer: Answer::After(Duration::from_millis(300)),
            hang_up_after: None,
            hold: None,
            keys: None,
            tone_hz: 700,
            rhythm: Vec::new(),
            speech: Arc::default(),
            speaks: true,
            laws: vec![Law::Pcma, Law::Pcmu],
            event: Some(101),
            ignores_bye: false,
            ignores_cancel: false,
        }
    }
}

impl Behaviour {
    /// Refuses with `code` at once.
    #[must_use]
    pub fn rejects(code: u16) -> Behaviour {
        let answer = Answer::Reject { after: Duration::ZERO, code, cause: None };
        Behaviour { answer, ring_after: None, ..Behaviour::default() }
    }

    /// Rings and is never picked up.
    #[must_use]
    pub fn never_answers() -> Behaviour {
        Behaviour { answer: Answer::Never, ..Behaviour::default() }
    }
}

/// One message in a phone's log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// True when this phone sent it.
    pub sent: bool,
    /// The other end.
    pub peer: SocketAddr,
    /// A copy of a message already in the log.
    pub again: bool,
    /// `INVITE`, or `180 Ringing`.
    pub what: String,
    /// The CSeq method: what a response answers.
    pub method: String,
    /// Its Call-ID.
    pub call_id: String,
    /// It carried a session description.
    pub sdp: bool,
    /// The whole message.
    pub text: String,
}

/// Where a call of this phone stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// Not answered yet.
    Ringing,
    /// 200 sent, ACK not yet there.
    Answered,
    /// Both sides agree that it is up.
    Up,
    /// Over.
    Down,
}

/// One call of this phone.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// SIP Call-ID.
    pub call_id: String,
    /// The other side's From or To value.
    pub remote: String,
    /// Where it stands.
    pub state: CallState,
    /// When it was answered.
    pub answered: Option<Instant>,
    /// When it was over.
    pub ended: Option<Instant>,
    /// How it ended: `we hung up`, `they hung up`, `cancelled`, `486`, `no ACK`.
    pub ended_by: String,
    /// Its sound.
    pub rtp: RtpReport,
}

/// What a phone saw.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every message, oldest first.
    pub log: Vec<Line>,
    /// Every call, oldest first.
    pub calls: Vec<CallReport>,
}

impl Report {
    /// How many distinct messages of this kind were seen: `sent` tells whose, `what` starts the line.
    #[must_use]
    pub fn count(&self, sent: bool, what: &str) -> usize {
        self.log
            .iter()
            .filter(|line| line.sent == sent && !line.again && line.what.starts_with(what))
            .count()
    }
}

/// A registration could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// The registrar refused.
    #[error("the registrar answered {0}")]
    Refused(u16),
    /// Nobody answered in time.
    #[error("no answer from {0}")]
    Silence(SocketAddr),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Who registers where.
#[derive(Clone, Debug)]
pub struct Account {
    /// User name and password.
    pub credentials: Credentials,
    /// Domain of the address of record.
    pub domain: String,
    /// Where the registrar listens.
    pub registrar: SocketAddr,
    /// Seconds asked for; 0 removes the binding.
    pub expires: u32,
}

/// The phone. Dropping it stops its threads without a word to anybody.
pub struct Phone {
    core: Arc<Mutex<Core>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Phone {
    /// A phone on UDP; port 0 takes a free one. The address must be one that the other side can reach.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: SocketAddr, behaviour: Behaviour) -> io::Result<Phone> {
        Phone::on(Wire::Udp, address, behaviour)
    }

    /// A phone on UDP or TCP.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn on(wire: Wire, address: SocketAddr, behaviour: Behaviour) -> io::Result<Phone> {
        let link = link::Link::bind(wire, address)?;
        let address = link.local();
        let core = Arc::new(Mutex::new(Core::new(link, behaviour)));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&core), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if !lock(&shared).turn() {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Ok(Phone { core, stop, thread: Some(thread), address })
    }

    /// A far end that may run for months: what it does with a call is chosen by the number that was called, it
    /// keeps no log and forgets calls that are over, and answers where it was asked from, whatever addresses
    /// the other side says it has.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn far_end(address: SocketAddr, chosen: fn(&str) -> Behaviour) -> io::Result<Phone> {
        let phone = Phone::bind(address, Behaviour::default())?;
        lock(&phone.core).chosen = Some(chosen);
        Ok(phone)
    }

    /// Where this phone listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does with the next call.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.core).behaviour = behaviour;
    }

    /// Registers and waits for the answer, 5 s at most (RFC 3261 §10.2).
    ///
    /// # Errors
    /// When the registrar refuses or is silent.
    pub fn register(&self, account: &Account) -> Result<(), PhoneError> {
        let ticket = lock(&self.core).register(account)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            match lock(&self.core).outcome(ticket) {
                Some(200..=299) => return Ok(()),
                Some(code) => return Err(PhoneError::Refused(code)),
                None => {}
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(PhoneError::Silence(account.registrar))
    }

    /// Calls `uri` through `next_hop` (RFC 3261 §13.2); the call shows up in the report.
    ///
    /// # Errors
    /// When no media port is free or nothing can be sent.
    pub fn dial(
        &self,
        uri: &str,
        next_hop: SocketAddr,
        user: &str,
        credentials: Option<Credentials>,
    ) -> io::Result<()> {
        lock(&self.core).dial(uri, next_hop, user, credentials)
    }

    /// Hangs up every call: BYE, or CANCEL, or 480 before the answer.
    pub fn hang_up(&self) {
        lock(&self.core).hang_up_all();
    }

    /// Holds or resumes every call that is up (RFC 3264 §8.4).
    pub fn hold(&self, on: bool) {
        lock(&self.core).hold_all(on);
    }

    /// Presses keys in every call that is up.
    pub fn press(&self, keys: &str) {
        lock(&self.core).press(keys);
    }

    /// From now on copies each log line to the receiver.
    #[must_use]
    pub fn watch(&self) -> mpsc::Receiver<Line> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.core).watchers.push(sender);
        receiver
    }

    /// What it saw so far.
    #[must_use]
    pub fn report(&self) -> Report {
        lock(&self.core).report()
    }

    /// Waits until the report satisfies `done`; false when it did not within `limit`.
    pub fn wait(&self, limit: Duration, done: impl Fn(&Report) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if done(&self.report()) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 64 unpredictable bits, good enough for tags and branches.
fn random() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u8(0);
    hasher.finish()
}
