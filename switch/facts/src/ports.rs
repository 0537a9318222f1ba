//! The doors between rooms that may not see each other. `switch` stands behind them.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::ban::Ban;
use crate::carrier::TrunkStatus;
use crate::command::{CallCommand, LiveCall, Placed, Refusal};
use crate::conference::{Act, ActRefused, ConferenceView};
use crate::control::{Control, ControlRefused};
use crate::id::{CallId, MerchantId};
use crate::number::Number;
use crate::routing::Explanation;
use crate::sms::{LinkStatus, Sent, Text};
use crate::sound::{Clip, Play};
use crate::station::Station;
use crate::ussd;

/// The switch did not say anything in time: what was asked of it may be done, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silent;

/// Pairs of media ports. Each leg of a call takes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MediaRoom {
    /// Those that a leg could have now.
    pub free: u64,
    /// All, also those that rest.
    pub all: u64,
}

/// How and when a number is to be rung.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Now, as the first of a call: its own line, wherever calls to it are led on.
    First,
    /// Now, for somebody who is there already, or with others.
    Now,
    /// At some time: a route that is closed at this hour will do.
    Ever,
}

/// A future that can cross threads.
pub type Promise<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Live calls, as the merchant surfaces and the operator's hand reach them.
pub trait Calls: Send + Sync + 'static {
    /// Places a call. Answers once the holds and the journal are committed, or why not; within two seconds.
    fn place(&self, command: CallCommand) -> Promise<Result<Placed, Refusal>>;

    /// Ends a call. False when no such call is live.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn hang_up(&self, call: CallId) -> Promise<Result<bool, Silent>>;

    /// Pauses or resumes the recording of a call. False when no such call is being recorded.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn pause_recording(&self, call: CallId, paused: bool) -> Promise<Result<bool, Silent>>;

    /// What of a sound cannot be had, in words, before anybody is to hear it: a name that nobody has, a language
    /// or words that cannot be said. What lies behind an address only a visit can tell.
    ///
    /// # Errors
    /// The words.
    fn playable(&self, clip: &Clip) -> Result<(), String>;

    /// How long the sound is that these octets are, once all of it was decoded: that takes a while.
    ///
    /// # Errors
    /// In words, why they cannot be played.
    fn sound_of(&self, octets: Vec<u8>) -> Promise<Result<Duration, String>>;

    /// Plays something into a call, or ends what is played. False when nobody there can hear it.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn play(&self, call: CallId, play: Play) -> Promise<Result<bool, Silent>>;

    /// Does something to a conference that is under way.
    ///
    /// # Errors
    /// Why nothing was done.
    fn confer(&self, call: CallId, act: Act) -> Promise<Result<(), ActRefused>>;

    /// How a conference stands; `None` when the call is none, or is over.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn conference(&self, call: CallId) -> Promise<Result<Option<ConferenceView>, Silent>>;

    /// Does something to a call in which two talk, and for which this merchant pays. Who is to be rung for it is asked
    /// for, and may not come.
    ///
    /// # Errors
    /// Why nothing was done.
    fn control(
        &self,
        call: CallId,
        merchant: MerchantId,
        control: Control,
    ) -> Promise<Result<(), ControlRefused>>;

    /// Does something at the door of this merchant's own tries, and says what is to be seen then: a session of somebody
    /// else is none, and only his codes answer. Waits for the page, for as long as its code lets it take.
    ///
    /// # Errors
    /// Why nothing was done.
    fn menu(
        &self,
        merchant: MerchantId,
        act: ussd::Act,
    ) -> Promise<Result<ussd::Shown, ussd::ActRefused>>;

    /// The live calls, oldest first.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn live(&self) -> Promise<Result<Vec<LiveCall>, Silent>>;

    /// One of them; `None` when it is not live.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn look(&self, call: CallId) -> Promise<Result<Option<LiveCall>, Silent>>;

    /// What the media plane has room for, as it was a moment ago; none at all before it runs.
    fn media_room(&self) -> MediaRoom;

    /// Registered contacts: extension, contact URI, seconds left.
    fn bindings(&self) -> Promise<Vec<(String, String, u64)>>;

    /// The same of these extensions alone.
    fn bindings_of(&self, extensions: Vec<String>) -> Promise<Vec<(String, String, u64)>>;

    /// What these extensions are at now, in their order; `None` when the switch did not answer in time.
    fn stations(&self, extensions: Vec<String>) -> Promise<Option<Vec<Station>>>;

    /// How each trunk stands; `None` when the switch did not answer in time.
    fn trunks(&self) -> Promise<Option<Vec<TrunkStatus>>>;

    /// Sources that are not listened to; `None` when the switch did not answer in time.
    fn bans(&self) -> Promise<Option<Vec<Ban>>>;

    /// Listens to an address again; false when it was not banned, `None` when the switch did not answer in time.
    fn lift(&self, address: IpAddr) -> Promise<Option<bool>>;

    /// Where a number would go now, and why; `Err` in words when it is no number, `None` when the switch did
    /// not answer in time.
    fn explain(&self, number: String) -> Promise<Option<Result<Explanation, String>>>;

    /// What is rung for each of these numbers where this merchant pays: what a route leads to, or who is behind it;
    /// `None` where nothing is. Limits, policies and prices are not looked at.
    ///
    /// # Errors
    /// When the switch says nothing.
    fn reaches(
        &self,
        payer: MerchantId,
        numbers: Vec<(Number, When)>,
    ) -> Promise<Result<Vec<Option<Number>>, Silent>>;

    /// False while starting or draining.
    fn ready(&self) -> bool;

    /// Says what the voice mailbox of an extension holds since somebody changed it: messages that nobody has
    /// heard, and messages that were heard and kept.
    fn mailbox_changed(&self, extension: String, new: u32, old: u32);

    /// Says that the settings in the store have changed and a new snapshot is due, or that bindings of privacy numbers
    /// have.
    fn settings_changed(&self);
}

/// Lines of the program's own by which short messages leave. Each answers within half a minute; a message whose answer
/// does not come may have left all the same.
pub trait Texts: Send + Sync + 'static {
    /// By SIP MESSAGE to the phones that are registered for this number (RFC 3428).
    fn to_phone(&self, text: Text) -> Promise<Sent>;

    /// By a line to a network (SMPP), by its name in the operator's file.
    fn by_link(&self, link: String, text: Text) -> Promise<Sent>;

    /// How the lines to networks stand, by name.
    fn links(&self) -> Vec<LinkStatus> {
        Vec::new()
    }
}

/// How a server tells one state of what it gives from another (RFC 9110 §8.8).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Validators {
    /// The entity tag, as it was written.
    pub etag: Option<String>,
    /// When it was last modified, as it was written.
    pub last_modified: Option<String>,
}

/// What came back from an address that a merchant gave us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Body, cut at the limit.
    pub body: Vec<u8>,
    /// `Content-Type`, as it was written.
    pub content_type: Option<String>,
    /// How its server calls it.
    pub validators: Validators,
    /// After how many seconds it wants to be asked again (RFC 9110 §10.2.3), where it says so in seconds.
    pub retry_after_s: Option<u32>,
}

/// Why nothing came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// Not a URL we visit: scheme, credentials, port.
    BadUrl,
    /// The address is one that merchants may not make us visit.
    Refused,
    /// Could not connect, or the connection broke; a word for the log.
    Failed(String),
    /// Took longer than allowed.
    TimedOut,
    /// Larger than allowed.
    TooLarge,
}

/// Visits addresses that merchants gave, behind the guard.
pub trait Fetcher: Send + Sync + 'static {
    /// Gets a URL unless it is still what `known` says (304, RFC 9110 §13.1); at most `limit` bytes of body.
    fn get_unless(
        &self,
        url: String,
        known: Validators,
        limit: usize,
    ) -> Promise<Result<Fetched, FetchError>>;

    /// Gets a URL; at most `limit` bytes of body.
    fn get(&self, url: String, limit: usize) -> Promise<Result<Fetched, FetchError>> {
        self.get_unless(url, Validators::default(), limit)
    }
}
