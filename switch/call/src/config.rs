//! What the engine is told once. All of it are knobs; none changes what is decided, only when.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::manners::Dtmf;
use facts::media::{Codec, RecordingForm};
use facts::recognition::Release;
use facts::srtp::Protection;
use facts::{CallId, Features};
use sip::digest::Algorithm;
use sip::endpoint::EndpointConfig;

use crate::abuse::AbuseLimits;
use crate::registrar::RegisterLimits;

/// Who may have the other party of a call joined with somebody else, by REFER.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// Nobody.
    Off,
    /// The registered phones of extensions.
    Extensions,
    /// Carriers as well, for whoever pays for the call.
    All,
}

/// What whoever waits hears: a soft tone where nothing else is said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HoldMusic {
    /// In calls of every merchant that has none of its own.
    pub usual: Option<Track>,
    /// In those of one, by name; `None` is the tone.
    pub of: BTreeMap<String, Option<Track>>,
    /// In those that came in for one number of ours, by its E.164 digits, whoever pays.
    pub at: BTreeMap<String, Option<Track>>,
}

impl HoldMusic {
    /// What is heard in a call of a merchant that came in for a number of ours, if it did.
    #[must_use]
    pub fn of(&self, merchant: &str, number: Option<&str>) -> Option<&Track> {
        let at = number.and_then(|number| self.at.get(number));
        at.or_else(|| self.of.get(merchant)).unwrap_or(&self.usual).as_ref()
    }
}

/// A sound that is heard over and over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Track {
    /// An announcement, in the language of the call.
    Name(String),
    /// What lies behind an address.
    Url(String),
}

/// Everything an [`Engine`](crate::Engine) is built from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The SIP side: listeners, timers, seed.
    pub sip: EndpointConfig,
    /// Number of this process in the installation, for call ids; its low 10 bits count.
    pub node: u16,
    /// The highest call id in the books: ours begin above it, even when the wall clock stepped back.
    pub last_call: Option<CallId>,
    /// Key of the nonces that we hand out.
    pub secret: [u8; 32],
    /// Calls at one time at most, those that wait for settlement included.
    pub calls_max: usize,
    /// Of these as many are kept for calls of merchants and extensions: those of carriers are refused before.
    pub calls_reserved: usize,
    /// New calls per second at most; `None` is unlimited.
    pub calls_per_second: Option<u32>,
    /// A leg that is up is given up when no RTP came for this long; `None` never.
    pub silence: Option<Duration>,
    /// The warning tone sounds this long before a cut; 10 to 60 s.
    pub warning: Duration,
    /// Proof of life is written this often.
    pub alive: Duration,
    /// The ledger answers an authorization within this time, or the request is refused.
    pub authorize: Duration,
    /// When an authorization has waited for longer than this, no more are asked for: who asks for a call is
    /// told to come later. Shorter than `authorize`.
    pub backlog: Duration,
    /// The store writes a leg down within this time, or its INVITE, 200 or ACK leaves all the same. Never
    /// longer than T1, so that no far end has to repeat itself for it.
    pub journal: Duration,
    /// The media plane opens a port within this time, or the leg fails.
    pub open: Duration,
    /// The media plane closes ports and recordings within this time, or the call is settled without
    /// their figures.
    pub close: Duration,
    /// A prompt is cut after this time.
    pub prompt_max: Duration,
    /// The next hop says anything at all within this time, or another one is tried.
    pub response: Duration,
    /// What becomes of an offer of a far end in a call that is up.
    pub reinvite: Reinvite,
    /// Codecs of extensions, and of carriers that have no list of their own, best first; at least one.
    pub codecs: Vec<Codec>,
    /// Whether the sound of phones is protected by SRTP; where their signalling is not, it never is.
    pub srtp: Protection,
    /// How keys reach phones, and how they are taken from them.
    pub dtmf: Dtmf,
    /// Who may transfer calls.
    pub transfer: Transfer,
    /// What extensions may dial besides numbers.
    pub features: Features,
    /// A call that is parked and that nobody takes goes back to whoever parked it after this time.
    pub park: Duration,
    /// How long messages in mailboxes are.
    pub voicemail: Messages,
    /// How conversations are recorded.
    pub recording: RecordingForm,
    /// What both parties of one are told first.
    pub recording_notice: Notice,
    /// What they have to hear before it begins, and how they decline.
    pub consent: Consent,
    /// What whoever waits hears.
    pub hold_music: HoldMusic,
    /// What is made of what carriers play before an answer.
    pub hearing: Hearing,
    /// Targets of 3xx that one leg follows at most; 0 follows none.
    pub redirects: usize,
    /// How long registrations last.
    pub register: RegisterLimits,
    /// When somebody who knocks too often is not listened to any more.
    pub abuse: AbuseLimits,
    /// How long a nonce is good for.
    pub nonce_life: Duration,
    /// Digest algorithms to offer, preferred first.
    pub algorithms: Vec<Algorithm>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            sip: EndpointConfig::default(),
            node: 0,
            last_call: None,
            secret: [0; 32],
            calls_max: 20_000,
            calls_reserved: 0,
            calls_per_second: None,
            silence: Some(Duration::from_secs(60)),
            warning: Duration::from_secs(15),
            alive: Duration::from_secs(5),
            authorize: Duration::from_millis(1_800),
            backlog: Duration::from_millis(1_000),
            journal: Duration::from_millis(400),
            open: Duration::from_secs(5),
            close: Duration::from_secs(5),
            prompt_max: Duration::from_secs(20),
            response: Duration::from_secs(8),
            reinvite: Reinvite::Absorb,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            srtp: Protection::Optional,
            dtmf: Dtmf::Auto,
            transfer: Transfer::Extensions,
            features: Features::default(),
            park: Duration::from_secs(120),
            voicemail: Messages::default(),
            recording: RecordingForm::default(),
            recording_notice: Notice::None,
            consent: Consent::default(),
            hold_music: HoldMusic::default(),
            hearing: Hearing::default(),
            redirects: 5,
            register: RegisterLimits::default(),
            abuse: AbuseLimits::default(),
            nonce_life: Duration::from_secs(300),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        }
    }
}

/// What the parties of a conversation that is recorded are told when it begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Notice {
    /// Nothing.
    #[default]
    None,
    /// A beep.
    Tone,
    /// The announcement of this name, in the language of the call.
    Prompt(String),
}

/// What somebody hears before he is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// The announcement of this name, in the language of the call, to its end; `None`: nothing.
    pub prompt: Option<String>,
    /// The key by which he declines, then and while he is recorded; `None`: he cannot.
    pub decline: Option<char>,
}

impl Default for Consent {
    fn default() -> Self {
        Consent { prompt: None, decline: Some('9') }
    }
}

/// What is made of what carriers play before an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hearing {
    /// It is listened to.
    pub listens: bool,
    /// When an attempt is given up for it.
    pub release: Release,
    /// Whose tones carriers play that do not say (ISO 3166, small letters).
    pub country: String,
}

impl Default for Hearing {
    fn default() -> Self {
        Hearing { listens: true, release: Release::Never, country: "cn".to_owned() }
    }
}

/// How long messages in mailboxes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Messages {
    /// A message ends after this time.
    pub max: Duration,
    /// A shorter one is not kept.
    pub min: Duration,
}

impl Default for Messages {
    fn default() -> Self {
        Messages { max: Duration::from_secs(180), min: Duration::from_secs(2) }
    }
}

/// What becomes of an offer of a far end in a call that is up: a re-INVITE or an UPDATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reinvite {
    /// It is answered here: hold, another address and other codecs concern that leg alone.
    Absorb,
    /// When it changes the direction or the codecs it is offered to the other leg, whose answer is
    /// passed back. What only moves media or keeps the session alive is answered here all the same.
    Relay,
}

/// The warning tone sounds at least this long before a cut.
pub(crate) const WARNING_MIN: Duration = Duration::from_secs(10);
/// And at most this long.
pub(crate) const WARNING_MAX: Duration = Duration::from_secs(60);
