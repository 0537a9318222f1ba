//! What can be asked for at `/v1`, and what a key must be good for to ask it. The router, the check of keys and the
//! description of the surface are all read off this table.

use std::fmt;

macro_rules! scopes {
    ($( $(#[$doc:meta])* $name:ident = $word:literal; )*) => {
        /// What a key may be good for.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Scope { $( $(#[$doc])* $name ),* }

        impl Scope {
            /// All.
            pub const ALL: &'static [Scope] = &[$( Scope::$name ),*];

            /// The word in a key.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Scope::$name => $word ),* }
            }
        }
    };
}

scopes! {
    /// See calls and what they cost.
    CallsRead = "calls:read";
    /// Place and end calls, play sounds into them, pause their recordings.
    CallsWrite = "calls:write";
    /// Have codes said.
    CodesWrite = "codes:write";
    /// Have notices said.
    NoticesWrite = "notices:write";
    /// See conferences.
    ConferencesRead = "conferences:read";
    /// Begin conferences, invite, mute and send out who is in them, end them.
    ConferencesWrite = "conferences:write";
    /// See campaigns.
    CampaignsRead = "campaigns:read";
    /// Begin campaigns, add numbers to them, pause, resume and cancel them.
    CampaignsWrite = "campaigns:write";
    /// See bindings of privacy numbers.
    AxbRead = "axb:read";
    /// Make, prolong and end bindings of privacy numbers.
    AxbWrite = "axb:write";
    /// See numbers and the scenarios that answer them.
    ScenariosRead = "scenarios:read";
    /// Give numbers scenarios, and take them back.
    ScenariosWrite = "scenarios:write";
    /// See sessions of menus, and what they cost.
    UssdRead = "ussd:read";
    /// Try menus out.
    UssdWrite = "ussd:write";
    /// Download recordings.
    RecordingsRead = "recordings:read";
    /// Follow events.
    EventsRead = "events:read";
    /// See webhooks and what went there.
    WebhooksRead = "webhooks:read";
    /// Make, change and end webhooks, and send again what went there.
    WebhooksWrite = "webhooks:write";
    /// See the balance.
    BalanceRead = "balance:read";
}

impl Scope {
    /// The meaning of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Scope> {
        Scope::ALL.iter().copied().find(|scope| scope.word() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

macro_rules! operations {
    ($( $(#[$doc:meta])* $name:ident = $method:literal $path:literal, $scope:ident, $summary:literal; )*) => {
        /// An operation.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Op { $( $(#[$doc])* $name ),* }

        impl Op {
            /// All, in the order of the description.
            pub const ALL: &'static [Op] = &[$( Op::$name ),*];

            /// HTTP method.
            #[must_use]
            pub const fn method(self) -> &'static str {
                match self { $( Op::$name => $method ),* }
            }

            /// Path below `/v1`, its variables in braces.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $( Op::$name => $path ),* }
            }

            /// What a key must be good for.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $( Op::$name => Scope::$scope ),* }
            }

            /// What it does, in a few words.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $( Op::$name => $summary ),* }
            }

            /// Its name in the description.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Op::$name => stringify!($name) ),* }
            }
        }
    };
}

impl Op {
    /// Calls that cost money come of it: it may bear an `Idempotency-Key`.
    #[must_use]
    pub const fn costs(self) -> bool {
        matches!(
            self,
            Op::PlaceCall
                | Op::PlaceCode
                | Op::PlaceNotice
                | Op::BeginConference
                | Op::Invite
                | Op::BeginCampaign
                | Op::AddCampaignNumbers
        )
    }

    /// It reads a body.
    #[must_use]
    pub const fn takes_body(self) -> bool {
        matches!(
            self,
            Op::PlaceCall
                | Op::PlaceCode
                | Op::PlaceNotice
                | Op::BeginConference
                | Op::Invite
                | Op::Mute
                | Op::Unmute
                | Op::Deafen
                | Op::Undeafen
                | Op::Kick
                | Op::Play
                | Op::CreateWebhook
                | Op::ChangeWebhook
                | Op::RotateSecret
                | Op::BeginCampaign
                | Op::AddCampaignNumbers
                | Op::BindAxb
                | Op::ChangeAxb
                | Op::PutNumberScenario
                | Op::OpenMenu
                | Op::TypeMenu
        )
    }

    /// Its body is a list of numbers, and may be long.
    #[must_use]
    pub const fn takes_many(self) -> bool {
        matches!(self, Op::BeginCampaign | Op::AddCampaignNumbers)
    }

    /// Parameters that its query may have.
    #[must_use]
    pub const fn query(self) -> &'static [&'static str] {
        match self {
            Op::ListCalls => &["after", "limit", "status"],
            Op::ListAxb => &["after", "limit", "number", "party"],
            Op::Events
            | Op::ListDeliveries
            | Op::ListNumbers
            | Op::ListCampaigns
            | Op::ListMenus
            | Op::ListInvoices
            | Op::ListCampaignNumbers => &["after", "limit"],
            _ => &[],
        }
    }
}

operations! {
    /// A call of two, or a scenario.
    PlaceCall = "POST" "/calls", CallsWrite, "Place a call";
    /// Calls that are over, or that are under way.
    ListCalls = "GET" "/calls", CallsRead, "List calls";
    /// One call.
    ShowCall = "GET" "/calls/{call}", CallsRead, "Show a call";
    /// Ends it.
    HangUp = "DELETE" "/calls/{call}", CallsWrite, "Hang up";
    /// A sound over what is heard in it.
    Play = "POST" "/calls/{call}/play", CallsWrite, "Play a sound into a call";
    /// Ends that.
    StopPlay = "DELETE" "/calls/{call}/play", CallsWrite, "End what is played";
    /// Nothing is kept for a while.
    PauseRecording = "POST" "/calls/{call}/recording/pause", CallsWrite, "Pause the recording";
    /// It is kept again.
    ResumeRecording = "POST" "/calls/{call}/recording/resume", CallsWrite, "Resume the recording";
    /// The sound of a call.
    Recording = "GET" "/calls/{call}/recordings/{nth}", RecordingsRead, "Download a recording";
    /// A code, said to somebody.
    PlaceCode = "POST" "/codes", CodesWrite, "Say a code";
    /// A template, said to somebody.
    PlaceNotice = "POST" "/notices", NoticesWrite, "Say a notice";
    /// Many, joined.
    BeginConference = "POST" "/conferences", ConferencesWrite, "Begin a conference";
    /// How one stands, or stood.
    ShowConference = "GET" "/conferences/{conference}", ConferencesRead, "Show a conference";
    /// It is over.
    CloseConference = "DELETE" "/conferences/{conference}", ConferencesWrite, "End a conference";
    /// More are rung for it.
    Invite = "POST" "/conferences/{conference}/invite", ConferencesWrite, "Invite to a conference";
    /// The others do not hear somebody.
    Mute = "POST" "/conferences/{conference}/mute", ConferencesWrite, "Mute somebody";
    /// They do again.
    Unmute = "POST" "/conferences/{conference}/unmute", ConferencesWrite, "Let somebody be heard again";
    /// Somebody does not hear the others.
    Deafen = "POST" "/conferences/{conference}/deafen", ConferencesWrite, "Let somebody not hear the others";
    /// He does again.
    Undeafen = "POST" "/conferences/{conference}/undeafen", ConferencesWrite, "Let somebody hear the others again";
    /// Somebody is sent out.
    Kick = "POST" "/conferences/{conference}/kick", ConferencesWrite, "Send somebody out";
    /// Nobody else may be asked for.
    Lock = "POST" "/conferences/{conference}/lock", ConferencesWrite, "Lock a conference";
    /// Others may again.
    Unlock = "POST" "/conferences/{conference}/unlock", ConferencesWrite, "Unlock a conference";
    /// Many are called, one behind the other.
    BeginCampaign = "POST" "/campaigns", CampaignsWrite, "Begin a campaign";
    /// Those that there are.
    ListCampaigns = "GET" "/campaigns", CampaignsRead, "List campaigns";
    /// One.
    ShowCampaign = "GET" "/campaigns/{campaign}", CampaignsRead, "Show a campaign";
    /// More are called.
    AddCampaignNumbers = "POST" "/campaigns/{campaign}/numbers", CampaignsWrite, "Add numbers to a campaign";
    /// What has become of each.
    ListCampaignNumbers = "GET" "/campaigns/{campaign}/numbers", CampaignsRead, "List the numbers of a campaign";
    /// No more calls start.
    PauseCampaign = "POST" "/campaigns/{campaign}/pause", CampaignsWrite, "Pause a campaign";
    /// They do again, or begin to.
    ResumeCampaign = "POST" "/campaigns/{campaign}/resume", CampaignsWrite, "Resume a campaign";
    /// It is over.
    CancelCampaign = "POST" "/campaigns/{campaign}/cancel", CampaignsWrite, "Cancel a campaign";
    /// Two reach each other by a number, and neither learns the other's.
    BindAxb = "POST" "/axb/bindings", AxbWrite, "Bind two numbers to a privacy number";
    /// Those that there are.
    ListAxb = "GET" "/axb/bindings", AxbRead, "List bindings of privacy numbers";
    /// One.
    ShowAxb = "GET" "/axb/bindings/{binding}", AxbRead, "Show a binding of a privacy number";
    /// It holds for longer, or for less long.
    ChangeAxb = "PATCH" "/axb/bindings/{binding}", AxbWrite, "Change how long a binding holds";
    /// It holds no more.
    UnbindAxb = "DELETE" "/axb/bindings/{binding}", AxbWrite, "End a binding of a privacy number";
    /// Those that carriers deliver.
    ListNumbers = "GET" "/numbers", ScenariosRead, "List numbers and where they lead";
    /// What answers one.
    ShowNumberScenario = "GET" "/numbers/{number}/scenario", ScenariosRead, "Show the scenario of a number";
    /// Another answers it from now on.
    PutNumberScenario = "PUT" "/numbers/{number}/scenario", ScenariosWrite, "Let a scenario answer a number";
    /// It leads where it led before.
    DropNumberScenario = "DELETE" "/numbers/{number}/scenario", ScenariosWrite, "Take the scenario of a number back";
    /// A code is dialled, as a subscriber would.
    OpenMenu = "POST" "/ussd/sessions", UssdWrite, "Try a menu out";
    /// What he types then.
    TypeMenu = "POST" "/ussd/sessions/{session}/input", UssdWrite, "Type into a menu";
    /// He leaves.
    LeaveMenu = "DELETE" "/ussd/sessions/{session}", UssdWrite, "Leave a menu";
    /// What subscribers dialled.
    ListMenus = "GET" "/ussd/sessions", UssdRead, "List sessions of menus";
    /// What they wanted paid.
    ListInvoices = "GET" "/ussd/invoices", UssdRead, "List invoices of menus";
    /// One.
    ShowInvoice = "GET" "/ussd/invoices/{invoice}", UssdRead, "Show an invoice of a menu";
    /// What happens, as it happens.
    Events = "GET" "/events", EventsRead, "Follow events";
    /// Where events are pushed.
    CreateWebhook = "POST" "/webhooks", WebhooksWrite, "Make a webhook";
    /// All of them.
    ListWebhooks = "GET" "/webhooks", WebhooksRead, "List webhooks";
    /// One.
    ShowWebhook = "GET" "/webhooks/{webhook}", WebhooksRead, "Show a webhook";
    /// Another address, other events, stopped or begun anew.
    ChangeWebhook = "PATCH" "/webhooks/{webhook}", WebhooksWrite, "Change a webhook";
    /// It is no more.
    RemoveWebhook = "DELETE" "/webhooks/{webhook}", WebhooksWrite, "Remove a webhook";
    /// A new secret, while the old ones are good for a while.
    RotateSecret = "POST" "/webhooks/{webhook}/secret", WebhooksWrite, "Give a webhook a new secret";
    /// An event that is none.
    TestWebhook = "POST" "/webhooks/{webhook}/test", WebhooksWrite, "Try a webhook out";
    /// What was pushed there.
    ListDeliveries = "GET" "/webhooks/{webhook}/deliveries", WebhooksRead, "List deliveries";
    /// Attempt by attempt.
    ShowDelivery = "GET" "/webhooks/{webhook}/deliveries/{delivery}", WebhooksRead, "Show a delivery";
    /// Once more.
    Redeliver = "POST" "/webhooks/{webhook}/deliveries/{delivery}/redeliver", WebhooksWrite, "Send an event again";
    /// All that was given up.
    RedeliverAll = "POST" "/webhooks/{webhook}/redeliver", WebhooksWrite, "Send again what was given up";
    /// What can be spent.
    Balance = "GET" "/balance", BalanceRead, "Show the balance";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_operations_are_asked_for_alike() {
        for (at, op) in Op::ALL.iter().enumerate() {
            let alike = |other: &Op| other.method() == op.method() && other.path() == op.path();
            assert!(!Op::ALL[..at].iter().any(alike), "{op:?}");
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::named(scope.word()), Some(*scope));
        }
        assert_eq!(Scope::named("calls:all"), None);
    }
}
