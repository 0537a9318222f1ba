//! What signalling tells the media plane, and what it hears back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{CallId, LegId, MerchantId};
use crate::manners::Dtmf;
use crate::recognition::Recognition;
use crate::room::{RoomNews, RoomOrder};
use crate::sound::{Clip, Ended, Music, Say, Unplayable};
use crate::spoken::Codecs;
use crate::srtp::SrtpKeys;

pub use crate::recording::{MESSAGE, Record, RecordedFile, RecordingForm, RecordingFormat, Voices};

/// An audio coding that can be relayed. Stored by its name: names never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, 8000 Hz (RFC 3551 §4.5.14), static payload type 0.
    Pcmu,
    /// G.711 A-law, 8000 Hz (RFC 3551 §4.5.14), static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s: 16000 samples a second under a clock of 8000 Hz (RFC 3551 §4.5.2), static
    /// payload type 9.
    G722,
    /// Opus (RFC 6716, RFC 7587): a clock of 48000 Hz, a dynamic payload type.
    Opus,
    /// G.729 (RFC 3551 §4.5.6), 8000 Hz, static payload type 18. It passes as it is, and is turned into
    /// no other.
    G729,
}

impl Codec {
    /// All, those that cost least to turn into what carriers speak first.
    pub const ALL: [Codec; 5] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus, Codec::G729];

    /// RTP timestamp units a second.
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G729 => 8_000,
            Codec::Opus => 48_000,
        }
    }

    /// Whether we can decode it and code it, and so join it with every other one of which this is true.
    #[must_use]
    pub const fn transcodes(self) -> bool {
        !matches!(self, Codec::G729)
    }

    /// The name that settings and files of objects give it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "pcmu",
            Codec::Pcma => "pcma",
            Codec::G722 => "g722",
            Codec::Opus => "opus",
            Codec::G729 => "g729",
        }
    }

    /// The one with this name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Whether two legs that speak these can be joined: by one that both speak, or by turning one of
    /// the one into one of the other.
    #[must_use]
    pub fn join(one: &[Codec], two: &[Codec]) -> bool {
        one.iter().any(|codec| two.contains(codec))
            || one.iter().any(|codec| codec.transcodes())
                && two.iter().any(|codec| codec.transcodes())
    }

    /// Of `takes`, in its order, what a leg may agree on whose other leg speaks `beside`: what both
    /// speak, and what can be turned into something that the other one speaks. While the other one is
    /// not known, what can be turned into anything; all, where nothing can.
    #[must_use]
    pub fn joinable(takes: &[Codec], beside: &[Codec]) -> Vec<Codec> {
        let turned = beside.is_empty() || beside.iter().any(|codec| codec.transcodes());
        let fits = |codec: &&Codec| beside.contains(codec) || turned && codec.transcodes();
        let fitting: Vec<Codec> = takes.iter().filter(fits).copied().collect();
        if fitting.is_empty() && beside.is_empty() { takes.to_vec() } else { fitting }
    }
}

/// Payload numbers of one direction of one leg (RFC 3264 §5.1: they may differ per direction).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PayloadMap {
    /// Audio payload types in order of preference. Sending uses the first.
    pub audio: Vec<(u8, Codec)>,
    /// telephone-events (RFC 4733) that were agreed, each with its clock in Hz: RFC 4733 §2.1 wants
    /// that of the audio beside it.
    pub events: Vec<(u8, u32)>,
    /// Comfort noise (RFC 3389) at 8000 Hz, if agreed.
    pub noise: Option<u8>,
}

impl PayloadMap {
    /// The codec behind a payload type.
    #[must_use]
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.audio.iter().find(|(pt, _)| *pt == payload_type).map(|(_, codec)| *codec)
    }

    /// The payload type to send a codec with.
    #[must_use]
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.audio.iter().find(|(_, c)| *c == codec).map(|(pt, _)| *pt)
    }
}

/// Which way audio may flow on a leg, seen from us (RFC 3264 §5.1, §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both ways.
    SendReceive,
    /// We send only: the far end holds us.
    SendOnly,
    /// We receive only.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The same as the far end sees it; also what one of two joined legs may do when the other does
    /// this.
    #[must_use]
    pub const fn mirrored(self) -> Direction {
        match self {
            Direction::SendOnly => Direction::ReceiveOnly,
            Direction::ReceiveOnly => Direction::SendOnly,
            Direction::SendReceive | Direction::Inactive => self,
        }
    }
}

/// What offer and answer agreed for a leg's audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamSetup {
    /// Where the far end says it listens for RTP. The latch may learn better.
    pub remote: SocketAddr,
    /// Where its signalling comes from, as the network shows it: the only other place that its
    /// first RTP may come from (RFC 7362 §4). `None` when nobody knows.
    pub signalling: Option<IpAddr>,
    /// Where it listens for RTCP (RFC 3605); `None` means the next port.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share a port (RFC 5761): both sides said so.
    pub rtcp_mux: bool,
    /// How we number what we send.
    pub send: PayloadMap,
    /// How the far end numbers what it sends.
    pub receive: PayloadMap,
    /// Which way audio may flow.
    pub direction: Direction,
    /// Packet time we send, milliseconds.
    pub ptime_ms: u8,
    /// Report silence when no RTP came for this long; `None` while on hold or before the answer.
    pub silence: Option<Duration>,
    /// Keys, if the sound is protected. Those of the last setup go on where they were.
    pub srtp: Option<Box<SrtpKeys>>,
    /// How its far end takes keys, and where they are listened for.
    pub dtmf: Dtmf,
}

/// A sound made by a generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tone {
    /// What a caller hears while the far phone rings (ITU-T E.180; China: 450 Hz, 1 s on, 4 s off).
    RingBack,
    /// 450 Hz, 0.35 s on, 0.35 s off.
    Busy,
    /// 450 Hz, 0.7 s on, 0.7 s off.
    Congestion,
    /// A short high beep: the call will be cut soon.
    Warning,
    /// A short soft tone now and then: the call waits for somebody.
    Hold,
    /// A beep: the call is recorded from now on.
    Recorded,
    /// Somebody came into the room.
    Joined,
    /// Somebody left the room.
    Left,
}

/// A recorded announcement, by name; the prompt store finds the file and the language.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// File name without its ending, e.g. `callee-busy`.
    pub name: String,
    /// `zh`, `en` or `fa`.
    pub language: String,
}

/// What a leg hears: its outgoing stream has exactly one owner at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Comfort silence is not sent: nothing leaves.
    Silence,
    /// A tone until further notice.
    Tone(Tone),
    /// A prompt, once; then silence and [`MediaEvent::Played`].
    Prompt(Prompt),
    /// The audio of another leg.
    Leg(LegId),
    /// All others who are in the room of its call: it is a member from now on, and they hear it.
    Room,
    /// A recording whose sound is on its left channel alone, once, by its path below the recordings folder;
    /// then silence and [`MediaEvent::Played`], or [`MediaEvent::Unplayable`].
    File(String),
    /// Recorded words put together, once; then silence and [`MediaEvent::Played`], or
    /// [`MediaEvent::Unplayable`].
    Say(Say),
    /// What lies behind an address, once; then silence and [`MediaEvent::Played`], or
    /// [`MediaEvent::Unplayable`].
    Url(String),
    /// Over and over, until further notice. [`Tone::Hold`] until it is there, and in its place where it cannot
    /// be had; then [`MediaEvent::Unplayable`] says so.
    Music(Music),
}

impl From<Clip> for Source {
    fn from(clip: Clip) -> Source {
        match clip {
            Clip::Prompt(prompt) => Source::Prompt(prompt),
            Clip::Url(url) => Source::Url(url),
            Clip::Say(say) => Source::Say(say),
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4: `IP4` in a session description (RFC 8866 §5.7).
    V4,
    /// IPv6: `IP6`.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        if address.to_canonical().is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// An order to the media plane. Orders for one call are carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaCommand {
    /// Take a port pair for a leg. Answered by `Opened` or `OpenFailed`.
    Open {
        /// For which leg.
        leg: LegId,
        /// What its far end speaks. Where we have no address of that family, another is taken.
        family: Family,
    },
    /// Offer and answer agreed, or agreed anew: from now on accept and send accordingly.
    Setup {
        /// Which leg.
        leg: LegId,
        /// What was agreed.
        setup: StreamSetup,
    },
    /// From now on the far end of this leg is another port of ours: two calls have become one conversation.
    Link {
        /// Which leg.
        leg: LegId,
        /// The port, as its `Opened` told it.
        to: SocketAddr,
        /// What is sent there. Either of both is taken from there.
        codec: Codec,
    },
    /// Get what lies behind an address, so that it is there when a leg is to hear it: [`MediaEvent::Fetched`]. The leg
    /// need not be there yet.
    Fetch {
        /// The leg that is to hear it.
        leg: LegId,
        /// The address.
        url: String,
        /// Who pays for the call: visits of one merchant keep those of others from nothing.
        payer: MerchantId,
    },
    /// Change the owner of what a leg hears.
    Hear {
        /// The listening leg.
        leg: LegId,
        /// The new owner.
        source: Source,
    },
    /// Lay a short sound over what a leg hears, then give the stream back to its owner: [`MediaEvent::LaidOver`].
    /// Silence ends what was laid over it, without a word.
    Interject {
        /// The listening leg.
        leg: LegId,
        /// The sound; played once through (a tone plays one beep).
        source: Source,
    },
    /// The next key of this leg ends the sound that it was told to hear last, by `Hear` or `Interject`: at once, and
    /// [`MediaEvent::Interrupted`] or [`MediaEvent::LaidOver`] follows the key. That sound and no other.
    Interruptible {
        /// The listening leg.
        leg: LegId,
    },
    /// A key of this leg came by signalling: it ends what a key may end. The same one in its media within two seconds
    /// is no other: it is told as one that came, and does nothing.
    Interrupt {
        /// The listening leg.
        leg: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// Record two legs into one file: `left` is A. Answered by `Recorded` or `RecordingFailed` after
    /// `StopRecording` or when either leg closes.
    Record {
        /// Which call.
        call: CallId,
        /// Left channel.
        left: LegId,
        /// Right channel; `None`: one voice alone, and this channel stays silent.
        right: Option<LegId>,
        /// Path of the finished file below the recordings folder, unguessable. It ends as `form` says; where each
        /// leg has a file of its own, this is A's, and B's is [`Voices::other`].
        file: String,
        /// How it is written.
        form: RecordingForm,
    },
    /// A recording that runs hears nothing for a while, or hears again; nothing without one. What is not heard is
    /// silence of the same length.
    PauseRecording {
        /// Which call.
        call: CallId,
        /// Hears nothing.
        paused: bool,
    },
    /// The legs of a recording that runs are these from now on; nothing without one.
    Retape {
        /// Which call.
        call: CallId,
        /// Left channel.
        left: LegId,
        /// Right channel.
        right: LegId,
    },
    /// Close the recording.
    StopRecording {
        /// Which call.
        call: CallId,
    },
    /// The room of a call.
    Room {
        /// Which call.
        call: CallId,
        /// What it is told.
        order: RoomOrder,
    },
    /// A key is pressed for whoever is on this leg, as its far end takes keys: an event (RFC 4733) where it agreed to
    /// that, or else as sound. Several wait for each other.
    Press {
        /// The listening leg.
        leg: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// Find out what a leg's network plays, from now on: `Recognised` tells. A second one begins anew.
    Listen {
        /// Which leg.
        leg: LegId,
        /// Whose tones are known (ISO 3166, small letters).
        country: String,
        /// Comes back with what was found.
        turn: u8,
    },
    /// Listen no more.
    StopListening {
        /// Which leg.
        leg: LegId,
    },
    /// Give the leg's ports back. Answered by `Closed`.
    Close {
        /// Which leg.
        leg: LegId,
    },
}

/// News from the media plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaEvent {
    /// The leg has a port pair.
    Opened {
        /// Which leg.
        leg: LegId,
        /// Address and RTP port to offer; RTCP is the next port.
        local: SocketAddr,
    },
    /// No ports left, or the system refused.
    OpenFailed {
        /// Which leg.
        leg: LegId,
    },
    /// The first RTP of a leg arrived and was latched to.
    Started {
        /// Which leg.
        leg: LegId,
    },
    /// No RTP for as long as the setup allows.
    Silent {
        /// Which leg.
        leg: LegId,
        /// How long ago the last packet came.
        since: Duration,
    },
    /// A key was pressed, as an event (RFC 4733), or as sound on a leg whose far end has no events: told once.
    Digit {
        /// Which leg.
        leg: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// What lies behind an address is there, or why it is not.
    Fetched {
        /// The leg that is to hear it.
        leg: LegId,
        /// The address.
        url: String,
        /// Why not.
        sound: Result<(), Unplayable>,
    },
    /// What a leg's network plays was recognised.
    Recognised {
        /// Which leg.
        leg: LegId,
        /// The turn of the order.
        turn: u8,
        /// What it is.
        verdict: Recognition,
    },
    /// What the leg heard ended.
    Played {
        /// Which leg.
        leg: LegId,
    },
    /// A key has ended what the leg heard. The key was told before.
    Interrupted {
        /// Which leg.
        leg: LegId,
    },
    /// What the leg was to hear cannot be had; it heard nothing of it.
    Unplayable {
        /// Which leg.
        leg: LegId,
        /// Why.
        why: Unplayable,
    },
    /// What was laid over what the leg hears ended, other than by an order.
    LaidOver {
        /// Which leg.
        leg: LegId,
        /// How.
        ended: Ended,
    },
    /// The recording is in place and its size was checked.
    Recorded {
        /// Which call.
        call: CallId,
        /// The file.
        file: RecordedFile,
    },
    /// There is no usable recording.
    RecordingFailed {
        /// Which call.
        call: CallId,
    },
    /// News from the room of a call.
    Room {
        /// Which call.
        call: CallId,
        /// What happened.
        news: RoomNews,
    },
    /// The leg's ports are in quarantine; these are its last figures.
    Closed {
        /// Which leg.
        leg: LegId,
        /// What its media saw.
        stats: MediaStats,
    },
}

/// What one leg's media saw (RFC 3550 §6.4 terms).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaStats {
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP payload octets received.
    pub octets_received: u64,
    /// Packets missing from the received sequence.
    pub packets_lost: u64,
    /// Largest interarrival jitter seen, microseconds.
    pub jitter_max_us: u32,
    /// Packets refused: wrong source, wrong payload type, malformed.
    pub packets_dropped: u64,
    /// Those of them that came from strangers: neither the far end that was described nor where its
    /// signalling comes from. Many, and none received, mean one-way sound.
    pub packets_refused: u64,
    /// Round trip by RTCP, microseconds; 0 when never measured.
    pub round_trip_us: u32,
    /// Loss the far end reported of what we sent, in 1/256 (RFC 3550 §6.4.1 fraction lost).
    pub far_loss: u8,
    /// Packets whose SRTP tag was wrong (RFC 3711 §3.3 step 5); refused, and among those dropped.
    pub srtp_forged: u64,
    /// Packets of SRTP that came before, or too late to tell; the same.
    pub srtp_replayed: u64,
    /// Packets that came more than 120 ms behind the fastest: received, and too late to be played.
    pub packets_late: u64,
    /// Mean interarrival jitter, microseconds.
    pub jitter_mean_us: u32,
    /// Packets that the far end reported lost of what we sent, in all.
    pub far_packets_lost: u64,
    /// Largest interarrival jitter that it reported, microseconds.
    pub far_jitter_max_us: u32,
    /// Mean opinion score (ITU-T G.107) of what we received, in hundredths: the mean over all packets. 0 where
    /// nothing was measured, else 100 to 450.
    pub mos_in_x100: u16,
    /// The same of the worst stretch between two reports of ours.
    pub mos_in_least_x100: u16,
    /// The mean opinion score of what the far end received, by its reports.
    pub mos_out_x100: u16,
    /// The same of the worst stretch between two of its reports.
    pub mos_out_least_x100: u16,
    /// What the far end spoke.
    #[serde(skip_serializing_if = "Codecs::is_empty")]
    pub heard: Codecs,
    /// What we spoke to it.
    #[serde(skip_serializing_if = "Codecs::is_empty")]
    pub said: Codecs,
    /// Why a sound that it was to hear was not heard: of the last such sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unplayable: Option<Unplayable>,
}

impl MediaStats {
    /// Packets missing from the received sequence, in parts of a million; `None` when none was expected.
    #[must_use]
    pub fn lost_ppm(&self) -> Option<u64> {
        let expected = self.packets_received.saturating_add(self.packets_lost);
        self.packets_lost.saturating_mul(1_000_000).checked_div(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_stored_read_back_as_they_were() {
        for codec in Codec::ALL {
            assert_eq!(Codec::named(codec.name()), Some(codec));
            let stored = serde_json::to_string(&codec).unwrap();
            assert_eq!(stored, format!("\"{codec:?}\""));
            assert_eq!(serde_json::from_str::<Codec>(&stored).unwrap(), codec);
        }
        assert_eq!(Codec::named("OPUS"), Some(Codec::Opus));
        assert_eq!(Codec::named("gsm"), None);
    }

    #[test]
    fn what_cannot_be_turned_is_agreed_on_only_where_the_other_leg_speaks_it() {
        use Codec::{G722, G729, Opus, Pcma};
        let all = [Pcma, G729, Opus];
        assert_eq!(Codec::joinable(&all, &[G722]), [Pcma, Opus]);
        assert_eq!(Codec::joinable(&all, &[G722, G729]), all);
        assert_eq!(Codec::joinable(&all, &[G729]), [G729]);
        assert_eq!(Codec::joinable(&all, &[]), [Pcma, Opus]);
        assert_eq!(Codec::joinable(&[G729], &[]), [G729], "there is nothing else to offer");
        assert_eq!(Codec::joinable(&[G729], &[Pcma]), []);
        assert!(Codec::join(&[Opus], &[Pcma]) && Codec::join(&[G729], &[Pcma, G729]));
        assert!(!Codec::join(&[G729], &[Pcma]) && !Codec::join(&[], &[Pcma]));
    }
}
