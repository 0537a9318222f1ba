//! Conferences: what a room is told, and what it tells.
//!
//! A call has one room at most; its members are those legs of the call that hear [`Source::Room`]. They
//! hear each other, and nobody hears himself. A leg leaves by hearing something else, or by closing.

use crate::id::LegNo;
use crate::media::{RecordingForm, Source};

/// What a member may do. It stays with the leg, in the room and out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoomRole {
    /// The others hear it; a leg that is muted does not.
    pub speaks: bool,
    /// It hears the others; one that is deaf does not.
    pub hears: bool,
    /// What it says is for this leg alone, and the others do not hear it; nor does the recording of the room.
    pub to: Option<LegNo>,
}

impl Default for RoomRole {
    /// Speaks to all and hears.
    fn default() -> RoomRole {
        RoomRole { speaks: true, hears: true, to: None }
    }
}

/// An order to the room of a call. The room is there from its first order or member until the last leg of the
/// call closes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomOrder {
    /// From now on a leg may do this.
    Role {
        /// Which leg.
        leg: LegNo,
        /// What it may do.
        role: RoomRole,
    },
    /// A member leaves and hears nothing. It may come back, unless the room is locked.
    Kick {
        /// Which leg.
        leg: LegNo,
    },
    /// Whoever is not in does not come in; or does again.
    Lock {
        /// Nobody comes in.
        locked: bool,
    },
    /// A tone tells all who are in that somebody came or went; off unless ordered.
    Chimes {
        /// There is one.
        on: bool,
    },
    /// All members hear a tone once through or a prompt, over what else they hear; after those that were
    /// ordered before. Answered by [`RoomNews::Announced`].
    Announce {
        /// A tone or a prompt.
        source: Source,
    },
    /// Record what all members say, and announcements, in one channel, whatever the form says. Ended by
    /// `StopRecording` or with the room; answered like every recording. A call has one recording at a time.
    Record {
        /// Path of the finished file below the recordings folder.
        file: String,
        /// How it is written.
        form: RecordingForm,
    },
}

/// News from the room of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomNews {
    /// A leg is in: it agreed on a coding, and hears the others.
    Joined {
        /// Which leg.
        leg: LegNo,
    },
    /// A member is out: it hears something else, was told to go, or closed.
    Left {
        /// Which leg.
        leg: LegNo,
    },
    /// A leg is not in, and hears nothing.
    Refused {
        /// Which leg.
        leg: LegNo,
        /// Why.
        why: RoomRefusal,
    },
    /// A member began to talk, or has not been heard for half a second. No more than ten a second come from a
    /// room: what has changed back meanwhile is not told.
    Talking {
        /// Which leg.
        leg: LegNo,
        /// It talks.
        talks: bool,
    },
    /// An announcement is over; or there is no such sound, or too many waited.
    Announced,
}

/// Why a leg does not come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomRefusal {
    /// The room is locked.
    Locked,
    /// There are as many in it as a room holds.
    Full,
    /// The far end speaks nothing that can be mixed: G.729.
    Codec,
    /// The media thread has as many rooms as it may.
    TooManyRooms,
}
