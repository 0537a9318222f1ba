//! What may be done to a call from outside of it: one of two who talk is led on to somebody else, somebody comes in who
//! supervises one of them, an extension is rung no longer.

use crate::command::Refusal;
use crate::number::Number;

/// How a supervisor takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// He hears both, and nobody hears him.
    Listen,
    /// He hears both, and whom he supervises hears him; the other one does not.
    Whisper,
    /// All hear each other.
    Barge,
}

/// Who is led on to somebody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Led {
    /// Whoever has this number, as he was called or as he called.
    This(Number),
    /// Whoever talks with him; he himself leaves.
    OtherOf(Number),
}

/// Something to be done to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// One of the two is to talk with somebody else: that one is rung, and when he answers the other of the two is let
    /// go. Where he does not come, the two talk on.
    Transfer {
        /// Who is led on.
        who: Led,
        /// Whom he is to talk with.
        to: Number,
        /// The same, as it was written.
        as_sent: String,
    },
    /// An extension is rung, and hears the two from then on. One supervises a call at a time.
    Monitor {
        /// Whom it supervises.
        who: Number,
        /// The extension.
        supervisor: String,
        /// How it takes part.
        mode: Mode,
    },
    /// Whoever supervises the call takes part otherwise from now on.
    Part {
        /// His extension.
        supervisor: String,
        /// How.
        mode: Mode,
    },
    /// An extension that is rung is rung no longer: as if somebody there had refused. Whoever else is rung rings on.
    Decline {
        /// The extension.
        extension: String,
    },
    /// Whoever supervises the call leaves it.
    Leave {
        /// His extension.
        supervisor: String,
    },
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRefused {
    /// There is no such call, or whoever is named does not talk in it.
    NotTalking,
    /// Something else is being done to it: a transfer is under way, it is parked, or somebody supervises it.
    Pending,
    /// No phone of the supervisor is registered.
    Offline,
    /// The supervisor is in a call.
    Busy,
    /// One of those who talk speaks what cannot be mixed with other voices: G.729.
    Codec,
    /// The call has had as many legs as it may have.
    Full,
    /// Whoever is to be rung may not be.
    Refused(Refusal),
}
