//! What legs and flows tell each other.

use facts::media::Direction;
use facts::scenario::Next;
use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::Typed;

/// What a leg tells its flow. Nothing here is SIP any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LegEvent {
    /// The INVITE left.
    Invited,
    /// The far phone rings.
    Ringing,
    /// The far phone rings after the far network was heard, and whoever calls is to know.
    RingsOn,
    /// The first sound of the far network arrived, before any answer.
    EarlyMedia,
    /// What was heard is over, and another carrier is asked.
    Anew,
    /// Somebody answered.
    Answered,
    /// Nobody will: the leg is over.
    Failed(Failure),
    /// The person let go: before the answer (an inbound leg) or after it.
    HungUp,
    /// The leg was up and is gone without anybody letting go.
    Lost(Failure),
    /// The prompt it heard is over.
    PromptOver,
    /// The message it was to hear cannot be played.
    Unplayable,
    /// The far end wants to change the sound of a call that is up (hold, resume, other codecs), and
    /// waits for an answer: what we may do then.
    Offered(Direction),
    /// The far end holds the call, or does not any more (RFC 3264 §8.4): answered here, the other one is not
    /// asked.
    Holds(bool),
    /// The far end took our offer: what we may do now.
    Agreed(Direction),
    /// The far end did not take our offer; everything is as it was.
    Declined(Decline),
    /// A key was pressed, told by sound or by signalling.
    Key(char),
}

/// Why an offer was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decline {
    /// Another one is under way: whoever asked may ask again.
    Pending,
    /// It is not wanted.
    Refused,
}

/// What the call as a whole tells its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// News of a leg.
    Leg(LegNo, LegEvent),
    /// The call must end now, for this reason.
    Cut(Failure),
    /// One of the two who talk wants the other one to be joined with a new leg.
    Transfer {
        /// Who wants it.
        by: LegNo,
        /// The new leg, whom nobody has rung yet.
        to: LegNo,
    },
    /// What the extension dialled is written down, or could not be.
    Served(bool),
    /// News of the mailbox that A listens to.
    Mail(Mail),
    /// Whoever asked for the call says how it goes on.
    Told {
        /// Which question it answers.
        turn: u8,
        /// Where; `None`: he did not say.
        next: Option<Next>,
    },
    /// What was waited for did not come in time, or a pause is over.
    Waited,
    /// All sounds that lie behind an address are there, or one of them is not.
    Fetched(bool),
    /// The leg that was rung has failed, and this one takes its place; nobody has rung it yet.
    Diverted {
        /// The new leg.
        to: LegNo,
    },
    /// Somebody called in to take the place of a leg, and waits for our answer.
    Take {
        /// Whose place. Ringing, up, or parked.
        old: LegNo,
        /// The leg of whoever called in.
        new: LegNo,
        /// What the place has to be still.
        place: Place,
    },
    /// One of the two who talk wants the other one to wait until somebody takes the call.
    Park {
        /// Who wants it.
        by: LegNo,
    },
    /// What becomes of a conference.
    Room(Room),
    /// What becomes of the way into somebody's conference.
    Visit(Visit),
    /// What becomes of the menu that A has called.
    Menu(MenuNews),
}

/// What becomes of a menu, for the call of whoever has called it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MenuNews {
    /// Its session is open.
    Open,
    /// There is something to hear.
    Say {
        /// The last word.
        last: bool,
    },
    /// What there is to see has gone to the phone.
    Written,
    /// It is over, and there is nothing more to see.
    Over,
}

/// What the call of somebody wants of the menu that he has called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MenuWish {
    /// Its session.
    Open,
    /// These keys are handed on.
    Type(Typed),
    /// What is to be heard begins,
    Hears,
    /// and is over, or was enough.
    Heard,
    /// It cannot be heard.
    Deaf,
    /// Whoever called is gone.
    Gone,
}

/// What becomes of whoever is led into a conference, for his own call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visit {
    /// He is in.
    In,
    /// The conference does not let him in, or its room does not take him, who was let in; why.
    Refused(Kind),
    /// He did not come in; or the conference is over for him.
    Out,
}

/// What becomes of a conference, other than by its participants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// Somebody is to be rung whom nobody has rung yet.
    Invited(LegNo),
    /// A scenario has led somebody here, and this is the port behind which he is.
    Came(LegNo),
    /// Somebody has to go, and why unless it was so wished.
    Out(LegNo, Option<Failure>),
    /// It is over, as was wished.
    Close,
}

/// News of a mailbox, for whoever listens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mail {
    /// It is known what it holds.
    Fetched {
        /// It holds anything.
        any: bool,
    },
    /// There is another message.
    Another,
    /// There is none.
    NoMore,
    /// The message is gone.
    Deleted,
    /// The store did not do what it was asked.
    Away,
}

/// What somebody who calls in may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// That of a leg that rings.
    Ringing,
    /// That of a leg that talks.
    Talking,
    /// That of whoever has parked the call.
    Parked,
}

/// What a leg shall hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hear {
    /// Ring-back tone.
    RingBack,
    /// That it is done: a short tone, once.
    Done,
    /// A prompt, once.
    Prompt(&'static str),
    /// Nothing.
    Nothing,
    /// That it waits: a short tone now and then.
    Hold,
    /// This leg.
    Leg(LegNo),
}

/// What becomes of a transfer, for whoever asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Report {
    /// The new leg rings.
    Ringing,
    /// It has answered: the transfer is done.
    Answered,
    /// It will not be: everything is as it was.
    Failed(Failure),
}

/// Why a leg is let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Release {
    /// Whose doing.
    pub(crate) by: Side,
    /// Why, unless somebody simply hung up. Gives the status and the Q.850 cause on the wire.
    pub(crate) failure: Option<Failure>,
}

/// What a flow wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Ring this leg.
    Dial(LegNo),
    /// Do what the extension dialled a code for.
    Serve,
    /// Keep what A says from now on, for a mailbox.
    Tape,
    /// Go on to the next message of a mailbox.
    Advance,
    /// Let A hear it.
    Play,
    /// A has heard it.
    Heard,
    /// A wants it gone.
    Delete,
    /// Let A hear a sound of a step of the scenario, once.
    Say {
        /// The step.
        step: u8,
        /// Which of its sounds.
        clip: u8,
    },
    /// Say so when it has been quiet for as long as the step waits for a key.
    Wait {
        /// The step.
        step: u8,
    },
    /// Visit the addresses of the scenario, and say so when all is there, or is not in time.
    Fetch,
    /// From now on the conversation is recorded, or is not.
    Taping(bool),
    /// Keep what A says from now on as the recording of the call, and say so when it has been long enough.
    Speak {
        /// The step.
        step: u8,
    },
    /// A has said it.
    Spoken,
    /// Ask whoever asked for the call how it goes on.
    Ask {
        /// The step.
        step: u8,
        /// Which of its questions it is.
        turn: u8,
    },
    /// Say so when it is time to say all once more.
    Pause,
    /// Ring whom the step leads to.
    Lead {
        /// The step.
        step: u8,
    },
    /// Let A hear what there is to see of its menu.
    Screen,
    /// Say so when no key came for a while; or do not any more.
    Typing(bool),
    /// The menu that A has called is to do this.
    Wish(MenuWish),
    /// Let A into the conference of the step.
    Confer {
        /// The step.
        step: u8,
    },
    /// Ring all who are to be in the conference and were not rung yet.
    Gather,
    /// Ask for the leg of a participant, and ring it if it may be.
    Invite(LegNo),
    /// This leg is in the room from now on.
    Enter(LegNo),
    /// From now on the call may last for as long as it may at all.
    Limit,
    /// These keys were pressed.
    Collected {
        /// Which.
        typed: Typed,
        /// They stand in no record.
        secret: bool,
    },
    /// Pass ringing on to an inbound leg: 180.
    Alert(LegNo),
    /// Open the sound path to an inbound leg before its answer: 183 with a description.
    Early(LegNo),
    /// Answer an inbound leg.
    Accept(LegNo),
    /// Change what a leg hears.
    Hear(LegNo, Hear),
    /// Both are up: let them talk, record if asked to, start the clock.
    Join,
    /// Ask for a new leg, and ring it if it may be.
    Add(LegNo),
    /// Tell whoever asked for a transfer.
    Report(LegNo, Report),
    /// The second leg takes the place of the first: it and the other one talk now.
    Replace(LegNo, LegNo),
    /// Offer a leg that is up a change of its sound: what we wish to do.
    Offer(LegNo, Direction),
    /// Answer a leg that waits for it: what we wish to do.
    Answer(LegNo, Direction),
    /// Do not take what a leg offered.
    Decline(LegNo, Decline),
    /// The first leg has left its place, which the second one is to take: a recording goes on for whoever
    /// stays.
    Vacate(LegNo, LegNo),
    /// Let a leg go that rings: its call was taken elsewhere.
    Elsewhere(LegNo),
    /// Let a leg go; does nothing to a leg that is down.
    Release(LegNo, Release),
    /// This is how the call came out. First word counts.
    Decide(Outcome, Side),
}

/// The kind of a failure that a leg or a limit caused, seen from the call.
pub(crate) const fn ours(kind: Kind) -> Failure {
    Failure::new(facts::Origin::Us, kind)
}
