//! What the shell tells the engine and hears back. What legs and flows tell each other stands in `order`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use facts::axb::AxbBinding;
use facts::ban::Ban;
use facts::carrier::TrunkStatus;
use facts::command::LiveCall;
use facts::conference::{Act, ActRefused, ConferenceView};
use facts::control::{Control, ControlRefused};
use facts::fraud::Alert;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, OpenCall};
use facts::media::MediaCommand;
use facts::policy::Stopped;
use facts::ports::When;
use facts::routing::Explanation;
use facts::scenario::{NumberScenario, Question, Told};
use facts::settings::Snapshot;
use facts::sms::{Arrived, Sent, Text};
use facts::sound::Play;
use facts::station::Station;
use facts::ussd;
use facts::{
    Binding, CallCommand, CallFacts, CallId, LegId, MerchantId, Number, Placed, ReachSet, Refusal,
    StateChange, UnixMillis,
};
use sip::endpoint::{Flow, Transmit};
use sip::locate::{Question as NameQuestion, Record};

pub use crate::denial::Denial;
pub(crate) use crate::order::{
    Decline, Hear, Input, LegEvent, Mail, MenuNews, MenuWish, Order, Place, Release, Report, Room,
    Visit, ours,
};
pub(crate) use crate::typed::Typed;

/// A wish of the shell's clients. `token` comes back with the [`Answer`].
#[derive(Clone, Debug)]
pub enum Command {
    /// Place a call.
    Place {
        /// Whom to answer.
        token: u64,
        /// The call asked for.
        command: Box<CallCommand>,
    },
    /// End a call.
    HangUp {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
    },
    /// Pause or resume the recording of a call.
    PauseRecording {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
        /// Nothing is recorded until it is resumed.
        paused: bool,
    },
    /// Play something into a call, or end what is played.
    Play {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
        /// What, and who hears it.
        play: Box<Play>,
    },
    /// Do something to a conference.
    Confer {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
        /// What.
        act: Box<Act>,
    },
    /// Do something to a call in which two talk.
    Control {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
        /// Who has to pay for it.
        merchant: MerchantId,
        /// What.
        control: Box<Control>,
    },
    /// Say how a conference stands.
    Conference {
        /// Whom to answer.
        token: u64,
        /// Which call.
        call: CallId,
    },
    /// List the live calls.
    Live {
        /// Whom to answer.
        token: u64,
    },
    /// Show one live call.
    Look {
        /// Whom to answer.
        token: u64,
        /// Which.
        call: CallId,
    },
    /// Somebody at a door that is not SIP's dials a menu, types into it, or leaves it.
    Menu {
        /// Whom to answer.
        token: u64,
        /// What he does.
        act: Box<ussd::Act>,
    },
    /// Write to the phones that are registered for a number.
    Text {
        /// Whom to answer.
        token: u64,
        /// To whom, and what.
        text: Box<Text>,
    },
    /// List the registered contacts.
    Bindings {
        /// Whom to answer.
        token: u64,
    },
    /// Say what extensions are at.
    Stations {
        /// Whom to answer.
        token: u64,
        /// Their numbers.
        extensions: Vec<String>,
    },
    /// Say how the trunks stand.
    Trunks {
        /// Whom to answer.
        token: u64,
    },
    /// List the sources that are not listened to.
    Bans {
        /// Whom to answer.
        token: u64,
    },
    /// Listen to a source again.
    Lift {
        /// Whom to answer.
        token: u64,
        /// An address of it.
        address: IpAddr,
    },
    /// Say where a number would go now, and why.
    Explain {
        /// Whom to answer.
        token: u64,
        /// The number as people write it, or an extension.
        number: String,
    },
    /// Say what is rung for numbers.
    Reaches {
        /// Whom to answer.
        token: u64,
        /// Who would pay.
        payer: MerchantId,
        /// Each, and when.
        numbers: Vec<(Number, When)>,
    },
    /// How bindings of privacy numbers stand, in the order of their changes; calls under way stay as they are.
    Axb(Vec<AxbBinding>),
    /// Which numbers of merchants a scenario answers, in the order of their changes; calls under way stay as they are.
    Numbers(Vec<NumberScenario>),
    /// New settings; calls under way keep the legs they have.
    Settings(Arc<Snapshot>),
    /// Take no new calls; after `grace` end those that are left. [`Effect::Drained`] follows.
    Drain {
        /// How long calls may go on.
        grace: Duration,
    },
    /// A call that was open when the last process died: end it and settle it.
    Recover(Box<OpenCall>),
    /// A leg of a call that was settled before the last process died, whose far end may not know: end it.
    Farewell(Box<JournalLeg>),
    /// What the voice mailbox of an extension holds now: said at the start for each that holds anything, and
    /// after each change.
    Mailbox {
        /// The extension.
        user: String,
        /// Messages that nobody has heard.
        new: u32,
        /// Messages that were heard and kept.
        old: u32,
    },
}

/// What came of an [`Effect`]. Every effect that asks for a reply gets exactly one.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Effect::Authorize`].
    Authorized {
        /// Which call.
        call: CallId,
        /// The ledger's word.
        answer: Authorized,
    },
    /// To [`Effect::Authorize`]: the store could not be asked, and holds nothing of the call. It may come
    /// long after the request was refused for lateness. Also to [`Effect::Abandon`]. Nothing is dialled.
    AuthorizeFailed {
        /// Which call.
        call: CallId,
    },
    /// To [`Effect::AddLeg`].
    Added {
        /// Which leg.
        leg: LegId,
        /// The ledger's word.
        answer: Added,
    },
    /// To [`Effect::AddLeg`]: the store could not be asked. What it may hold all the same goes back when the
    /// call is settled.
    AddFailed {
        /// Which leg.
        leg: LegId,
    },
    /// To [`Effect::Extend`].
    Extended {
        /// Which leg.
        leg: LegId,
        /// The step that was asked for.
        step: u32,
        /// The ledger's word.
        answer: Extended,
    },
    /// To [`Effect::Extend`]: the store could not be asked. The same step is asked again.
    ExtendFailed {
        /// Which leg.
        leg: LegId,
        /// The step that was asked for.
        step: u32,
    },
    /// To [`Effect::Journal`] or [`Effect::Papers`] with a number: this state of the leg, or a later one, survives a crash.
    Journaled {
        /// Which leg.
        leg: LegId,
        /// The number that was given.
        seq: u32,
    },
    /// To [`Effect::Journal`] or [`Effect::Papers`] with a number: the store gave up on it.
    JournalFailed {
        /// Which leg.
        leg: LegId,
        /// The number that was given.
        seq: u32,
    },
    /// To [`Effect::SetReach`].
    ReachSet {
        /// The call by which it was asked for.
        call: CallId,
        /// It is so, for the next call.
        done: bool,
    },
    /// To [`Effect::FetchMail`].
    Mail {
        /// The call by which it was asked for.
        call: CallId,
        /// What the mailbox holds, oldest first; `None`: the store could not be asked.
        kept: Option<Vec<Kept>>,
    },
    /// To [`Effect::DeleteMail`].
    MailDeleted {
        /// The call by which it was asked for.
        call: CallId,
        /// The call that had left the message.
        message: CallId,
        /// It is gone.
        done: bool,
    },
    /// To [`Effect::Settle`]: the call is on record and may be forgotten.
    Settled {
        /// Which call.
        call: CallId,
    },
    /// To [`Effect::Settle`]: not written. The same facts are sent again, later and later.
    SettleFailed {
        /// Which call.
        call: CallId,
    },
    /// The registrations of the last process, once at start. Answers nothing.
    Bindings(Vec<Binding>),
    /// To [`Effect::Consult`].
    Consulted {
        /// Whose step asked.
        call: CallId,
        /// Which of its questions.
        turn: u8,
        /// The answer; `None`: there is none that can be carried out.
        told: Option<Told>,
    },
    /// To [`Effect::AskPage`].
    Screen {
        /// Which session.
        session: CallId,
        /// Which of its steps.
        number: u32,
        /// What is to be seen next.
        screen: ussd::Screen,
    },
    /// To [`Effect::Texted`].
    Texted {
        /// Which message.
        message: u64,
        /// It is kept.
        kept: bool,
    },
    /// To [`Effect::Resolve`].
    Resolved {
        /// What was asked.
        question: NameQuestion,
        /// What the DNS says.
        told: Resolved,
    },
}

/// What the DNS says to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// These records.
    Found {
        /// Of the kind that was asked for.
        records: Vec<Record>,
        /// How long they are good for.
        ttl: Duration,
    },
    /// There is no such name, or it has no such records (RFC 2308 §2).
    Nothing {
        /// How long that is so.
        ttl: Duration,
    },
    /// No answer, or one that is none.
    Failed,
}

/// Answer to a [`Command`] that has a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Command::Place`].
    Placed(Result<Placed, Refusal>),
    /// To [`Command::HangUp`]: false when no such call is live.
    HungUp(bool),
    /// To [`Command::PauseRecording`]: false when no such call is being recorded.
    Paused(bool),
    /// To [`Command::Play`]: false when nobody there can hear it.
    Played(bool),
    /// To [`Command::Confer`].
    Conferred(Result<(), ActRefused>),
    /// To [`Command::Menu`]: the session.
    Menu(Result<CallId, ussd::ActRefused>),
    /// To [`Command::Text`].
    Texted(Sent),
    /// To [`Command::Control`].
    Controlled(Result<(), ControlRefused>),
    /// To [`Command::Conference`]; `None`: no such conference is under way.
    Conference(Option<Box<ConferenceView>>),
    /// To [`Command::Live`], oldest first.
    Live(Vec<LiveCall>),
    /// To [`Command::Look`]; `None` when it is not live.
    Looked(Option<Box<LiveCall>>),
    /// To [`Command::Bindings`]: extension, contact URI, seconds left.
    Bindings(Vec<(String, String, u64)>),
    /// To [`Command::Stations`], in the order in which they were named.
    Stations(Vec<Station>),
    /// To [`Command::Trunks`], by row id.
    Trunks(Vec<TrunkStatus>),
    /// To [`Command::Bans`], by source.
    Bans(Vec<Ban>),
    /// To [`Command::Lift`]: false when it was not banned.
    Lifted(bool),
    /// To [`Command::Reaches`], in the order in which they were named; `None`: nothing.
    Reaches(Vec<Option<Number>>),
    /// To [`Command::Explain`]; in words when it is no number.
    Explained(Box<Result<Explanation, String>>),
}

/// Work for the shell.
#[derive(Debug)]
pub enum Effect {
    /// Send a SIP message.
    Transmit(Transmit),
    /// Ask the ledger for a call; [`Reply::Authorized`] or [`Reply::AuthorizeFailed`].
    Authorize(Box<Authorize>),
    /// Take back what the ledger granted too late, as if it had never been asked;
    /// [`Reply::AuthorizeFailed`] when that is done.
    Abandon {
        /// Which call. Nothing of it was dialled.
        call: CallId,
        /// Whose.
        merchant: MerchantId,
    },
    /// Ask the ledger for one more leg; [`Reply::Added`] or [`Reply::AddFailed`].
    AddLeg(AddLeg),
    /// Ask the ledger for more time; [`Reply::Extended`] or [`Reply::ExtendFailed`].
    Extend(Extend),
    /// Write down the state of a leg. In order per leg.
    Journal {
        /// What is written.
        entry: Box<JournalLeg>,
        /// Without a number it is written soon, and nobody is told. With one it is written at once:
        /// [`Reply::Journaled`] or [`Reply::JournalFailed`] brings the number back.
        seq: Option<u32>,
    },
    /// What is needed to end the sessions of a leg has changed; nothing else of it has, and its call may
    /// be settled. In order with [`Effect::Journal`].
    Papers {
        /// Which leg.
        leg: LegId,
        /// As [`JournalLeg::dialog`]. `None`: nothing is left to end, the row of a settled call may go.
        dialog: Option<Vec<u8>>,
        /// As that of [`Effect::Journal`].
        seq: Option<u32>,
    },
    /// These calls are alive. No reply.
    Alive {
        /// Calls that were dialled and are not down.
        calls: Vec<CallId>,
        /// As of when, by the clock of these calls.
        at: UnixMillis,
    },
    /// Tell whoever follows the call. No reply.
    Notify(StateChange),
    /// The call is over; [`Reply::Settled`] or [`Reply::SettleFailed`].
    Settle(Box<CallFacts>),
    /// An order to the media plane.
    Media(MediaCommand),
    /// Answer a command.
    Answer {
        /// The command's token.
        token: u64,
        /// The answer.
        answer: Answer,
    },
    /// Keep a registered contact over restarts; replaces the one with the same user and key.
    SaveBinding(Box<Binding>),
    /// Change what becomes of calls to an extension, as it dialled; [`Reply::ReachSet`].
    SetReach {
        /// The call by which it did.
        call: CallId,
        /// The extension.
        user: String,
        /// What is to be so.
        set: ReachSet,
    },
    /// Ask for what the mailbox of an extension holds, whose owner listens; [`Reply::Mail`].
    FetchMail {
        /// The call by which it does.
        call: CallId,
        /// The extension.
        user: String,
    },
    /// The owner of a mailbox has heard a message. No reply.
    HearMail {
        /// The call by which it did.
        call: CallId,
        /// The extension.
        user: String,
        /// The call that had left the message.
        message: CallId,
    },
    /// The owner of a mailbox wants a message gone; [`Reply::MailDeleted`].
    DeleteMail {
        /// The call by which it says so.
        call: CallId,
        /// The extension.
        user: String,
        /// The call that had left the message.
        message: CallId,
    },
    /// Nobody will want this file of the recordings: remove it.
    Discard {
        /// The call of which it is.
        call: CallId,
        /// Its path below the recordings folder.
        file: String,
    },
    /// Forget a registered contact.
    DropBinding {
        /// The extension.
        user: String,
        /// [`Binding::key`].
        key: String,
    },
    /// Somebody was not let in. For the log and the counters; no reply.
    TurnedAway(Box<TurnedAway>),
    /// Close this connection: it has been idle, and nobody is registered or in a call by it.
    CloseFlow(Flow),
    /// A carrier came, went, or has a binding for us no more. For the log; no reply.
    Carrier(Box<CarrierNews>),
    /// An INVITE to a carrier came to nothing. For the log and the counters; no reply.
    Missed(Box<Missed>),
    /// A source is not listened to from now on. For the log and the audit trail; no reply.
    Banned(Ban),
    /// A limit against toll fraud was reached. For the log, the counters and the audit trail; no reply.
    Fraud(Box<Alert>),
    /// A policy did not let a leg be. For the log and the counters; no reply.
    Stopped(Box<Stopped>),
    /// Ask whoever asked for a call how it goes on; [`Reply::Consulted`].
    Consult(Box<Question>),
    /// Ask the page of a menu; [`Reply::Screen`]. The first step of a session is what it is paid for by.
    AskPage(Box<ussd::Step>),
    /// Whoever came by a door that is not SIP's sees this. No reply.
    Show {
        /// Which session.
        session: CallId,
        /// What.
        text: String,
        /// Something may be typed; else it was the last word.
        more: bool,
    },
    /// A session of a menu is over: write it down. No reply; whoever came by a door that is not SIP's, and sees a
    /// menu, sees that it is over.
    MenuOver(ussd::Over),
    /// A phone wrote to a number of the operator's: keep it; [`Reply::Texted`].
    Texted {
        /// Which message.
        message: u64,
        /// What, and who wrote it.
        text: Box<Arrived>,
    },
    /// Ask the DNS; [`Reply::Resolved`].
    Resolve(NameQuestion),
    /// Whose certificate each of these addresses has to show over TLS, in place of all that were told
    /// before. No reply.
    Certified(Vec<(SocketAddr, String)>),
    /// Draining was asked for and no call is left.
    Drained,
}

/// A message in a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The call that left it.
    pub message: CallId,
    /// Its sound, a path below the recordings folder.
    pub file: String,
    /// Length of the sound.
    pub length: Duration,
    /// Its owner has heard it.
    pub heard: bool,
}

/// What has become of a carrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CarrierNews {
    /// What is new.
    pub change: CarrierChange,
    /// How it stands.
    pub status: TrunkStatus,
}

/// An INVITE to a carrier that came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missed {
    /// Which leg; another carrier may be asked for it.
    pub leg: LegId,
    /// The trunk's name.
    pub trunk: String,
    /// Where it was sent.
    pub server: SocketAddr,
    /// What came of it.
    pub why: Miss,
}

/// What came of an INVITE to a carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// Nothing at all, in time.
    Silence,
    /// It could not be sent.
    NotSent,
    /// This final answer.
    Refused(u16),
    /// What it played: given up for this Q.850 cause.
    Heard(u8),
}

/// What is new of a carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CarrierChange {
    /// It has a binding for us.
    Registered,
    /// It has none, or none any more. We go on asking.
    Unregistered,
    /// It answers OPTIONS again.
    Up,
    /// It does not answer OPTIONS, or not as it should: no calls go there.
    Down,
}

/// A registration that was not made, or an INVITE that did not become a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnedAway {
    /// Where the request came from.
    pub source: SocketAddr,
    /// `REGISTER`, `INVITE`, `SUBSCRIBE` or `MESSAGE`.
    pub method: &'static str,
    /// The trunk or extension that it is, or the user that it names, whether there is one or not: then
    /// written by a stranger.
    pub user: Option<String>,
    /// Why.
    pub why: Denial,
}

/// Sizes of the engine's tables, for metrics and for the leak audit. All but `bindings` and `subscriptions`
/// are zero some time after the last call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Calls that are not settled yet.
    pub calls: usize,
    /// Legs that are not down.
    pub legs: usize,
    /// Legs whose media port is not given back.
    pub ports: usize,
    /// Places that merchants' calls occupy.
    pub places: usize,
    /// Legs that occupy extensions, and sessions of theirs that were let go and are not over.
    pub agents: usize,
    /// Places that legs occupy on trunks.
    pub trunk_legs: usize,
    /// Sessions of menus.
    pub menus: usize,
    /// Who is shown them: dialogs, phones, calls to codes, and requests of ours that are not answered.
    pub shown: usize,
    /// Legs that count against classes of destinations, and legs that show a number of a pool.
    pub watched: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// SIP sessions (INVITE dialogs, early and confirmed), those that only wait for copies included.
    pub sessions: usize,
    /// SIP sessions whose end the far side has not confirmed yet.
    pub unended: usize,
    /// Legs of which the journal holds what ends them.
    pub papers: usize,
    /// SIP sessions whose news goes to a leg.
    pub heard: usize,
    /// Registered contacts.
    pub bindings: usize,
    /// Deadlines that are set.
    pub timers: usize,
    /// Subscriptions of phones; each ends by itself.
    pub subscriptions: usize,
    /// Messages between phones that wait for their answers.
    pub messages: usize,
    /// Messages between phones since the start that a phone took.
    pub delivered: u64,
    /// Those that were sent to phones, and none took.
    pub undelivered: u64,
    /// Keys since the start that far ends took by INFO.
    pub keys_told: u64,
    /// Those that they refused or did not answer, and those that too many stood before.
    pub keys_untold: u64,
    /// Requests to carriers, and keys by INFO, that wait for their answers.
    pub asked: usize,
    /// Sources that are not listened to.
    pub bans: usize,
    /// Messages of theirs that were dropped, since the start.
    pub dropped: u64,
    /// What the endpoint dropped or refused by itself since the start.
    pub drops: sip::endpoint::Drops,
    /// Calls refused at admission since the start.
    pub refused: u64,
    /// INVITEs, answers and ACKs since the start that left before the store had written them down.
    pub unwritten: u64,
}
