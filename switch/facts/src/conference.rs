//! Conferences as they are asked for: who is rung, what may be done while one is under way, how it stands.
//!
//! A conference is one call; each participant is a leg of it, with its own times, charge and failure. The room in
//! which they hear each other is [`crate::room`]'s.

use serde::{Deserialize, Serialize};

use crate::command::{Party, Refusal, RequestKey};
use crate::failure::Failure;
use crate::id::{CallId, LegNo};
use crate::number::Number;
use crate::time::UnixMillis;

/// Legs of one conference in its life at most, those that have left included: its participants are numbered by two
/// digits.
pub const LEGS_MAX: usize = 100;
/// Longest name of a conference or of somebody in it, characters.
pub const NAME_MAX: usize = 64;

/// Somebody who is to be rung.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Participant {
    /// His name, as whoever asked wrote it; often empty.
    pub name: String,
    /// Whom to ring, and how.
    pub party: Party,
}

/// What makes a call a conference. Its creator is A of the command, rung first; the others are rung when A has
/// answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conference {
    /// Its number: whoever asked for it speaks of it so. Nobody else's that is live or booked has the same.
    pub number: String,
    /// What it is called; often empty.
    pub title: String,
    /// The creator's name; often empty.
    pub creator: String,
    /// All others, in the order in which they are rung.
    pub others: Vec<Participant>,
    /// A tone tells all who are in that somebody came or went.
    pub chimes: bool,
    /// The booking that it is held for, if it was booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<i64>,
}

/// What may be done to a conference that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Ring these as well; all of them or nobody. With a key it happens once, however often it is asked for.
    Invite(Vec<Participant>, Option<RequestKey>),
    /// The others hear somebody, or do not.
    Mute {
        /// Who, as he was asked for.
        who: Number,
        /// They do not.
        muted: bool,
    },
    /// Somebody hears the others, or does not.
    Deafen {
        /// Who.
        who: Number,
        /// He does not.
        deaf: bool,
    },
    /// Sends somebody out; he may be asked for again.
    Kick {
        /// Who.
        who: Number,
    },
    /// Nobody else may be asked for, or may again.
    Lock {
        /// Nobody.
        locked: bool,
    },
    /// Ends it.
    Close,
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActRefused {
    /// No such conference is under way.
    Unknown,
    /// Nobody of this number is in it, or rung for it.
    NotThere,
    /// It has, or would have, as many legs as it may.
    Full,
    /// Somebody who is asked for is in it, or rung for it.
    AlreadyThere,
    /// Nobody else may be asked for.
    Locked,
    /// It was done before, under the same key.
    Repeated,
    /// Something else was done under the same key.
    KeyConflict,
    /// Somebody who is asked for may not be rung.
    Refused(Refusal),
}

/// Where a participant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nobody has rung him yet.
    Waiting,
    /// He is rung; nothing is known of his phone yet.
    Calling,
    /// His phone rings.
    Alerting,
    /// He is in.
    Joined,
    /// He has left, or did not come.
    Left,
}

/// A participant, as he stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParticipantView {
    /// His leg.
    pub leg: LegNo,
    /// His name.
    pub name: String,
    /// His number, as it was written.
    pub as_sent: String,
    /// Where he stands.
    pub standing: Standing,
    /// The others do not hear him.
    pub muted: bool,
    /// He does not hear the others.
    pub deaf: bool,
    /// He talks at this moment.
    pub talks: bool,
    /// The call by which he is in, where its scenario led him here: no leg of the conference, and none of its record.
    pub call: Option<CallId>,
    /// When he answered, or came in.
    pub joined: Option<UnixMillis>,
    /// When his leg was down, or he left.
    pub left: Option<UnixMillis>,
    /// Why he did not come, or left otherwise than by hanging up.
    pub failure: Option<Failure>,
}

/// A conference, as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConferenceView {
    /// Nobody else may be asked for.
    pub locked: bool,
    /// All who were asked for, by leg.
    pub participants: Vec<ParticipantView>,
}
