//! Extensions as those who count on them see them: whether they are there, and what they are at.

use serde::{Deserialize, Serialize};

use crate::id::{CallId, LegNo};
use crate::time::UnixMillis;

/// An extension and what it is at now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Station {
    /// Its number.
    pub extension: String,
    /// A phone of it is registered.
    pub registered: bool,
    /// Its calls, oldest first.
    pub calls: Vec<StationCall>,
    /// A phone of it may not know yet that its last call is over.
    pub fades: bool,
    /// It does not want to be rung.
    pub quiet: bool,
    /// It let several calls ring in vain, one behind the other, and is left alone for a while.
    pub rests: bool,
    /// When the last call ended in which it talked, where this process had one.
    pub idle_since: Option<UnixMillis>,
}

/// A call of an extension.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StationCall {
    /// Which call.
    pub call: CallId,
    /// Its leg.
    pub leg: LegNo,
    /// How far it is.
    pub stage: Stage,
    /// Since when.
    pub since: UnixMillis,
    /// Whom it is with, as that number was sent; empty while there is nobody.
    pub other: String,
    /// The number that is shown on its leg.
    pub shown: String,
    /// The number that is shown to whom it is with.
    pub other_shown: String,
    /// Somebody called us, and it was rung for him.
    pub called_in: bool,
    /// It supervises the call of somebody else.
    pub supervises: bool,
}

/// How far a call of an extension is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has dialled or was called back, and nobody has answered yet whom it wants.
    Dials,
    /// It is rung.
    Rings,
    /// It has answered, or was answered.
    Talks,
}

impl Station {
    /// It could pick up now: it is there, wants to be rung, did not let the last calls ring in vain, and is at nothing but being rung
    /// for calls of which `ours` is true.
    #[must_use]
    pub fn is_free(&self, ours: impl Fn(CallId) -> bool) -> bool {
        let rung = self.calls.iter().all(|call| call.stage == Stage::Rings && ours(call.call));
        self.registered && !self.quiet && !self.fades && !self.rests && rung
    }

    /// It talks to somebody.
    #[must_use]
    pub fn talks(&self) -> bool {
        self.calls.iter().any(|call| call.stage == Stage::Talks)
    }
}
