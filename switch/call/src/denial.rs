//! Why a request was turned away, for logs, metrics and bans.

use facts::Kind;

/// Why somebody was turned away. The peer never hears it: an unknown user is answered like a known one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denial {
    /// There is no such extension.
    UnknownUser,
    /// The extension is there, the digest is wrong.
    WrongPassword,
    /// The extension is there and guarded: too many wrong passwords came for it lately. This one was not
    /// looked at.
    Guarded,
    /// The extension is not enabled.
    Disabled,
    /// Credentials that do not read.
    Malformed,
    /// The digest is right, but was used before (RFC 7616 §3.4).
    Replay,
    /// The digest is right, but was made for another Request-URI (RFC 7616 §3.4.6).
    OtherUri,
    /// Right credentials, and a registration for somebody else (RFC 3261 §10.3 step 4).
    OtherUser,
    /// A registration shorter than allowed, 423.
    TooBrief,
    /// More contacts than the extension may have.
    TooManyContacts,
    /// A registration that does not read, or is older than the one there is.
    BadRegistration,
    /// A call from an address of no carrier and in the name of none of our domains.
    Stranger,
    /// A call to a number that no route leads to.
    NoRoute,
    /// A call to a number that nobody has.
    UnknownNumber,
    /// A code for a call that rings or is parked, and there is none.
    NothingToTake,
    /// A call to what is no number.
    BadNumber,
    /// A call above a limit of the switch, the merchant or the trunk.
    Limit,
    /// A call that the merchant may not make.
    NotAllowed,
}

impl Denial {
    /// All, in the order of their declaration.
    pub const ALL: [Denial; 18] = [
        Denial::UnknownUser,
        Denial::WrongPassword,
        Denial::Guarded,
        Denial::Disabled,
        Denial::Malformed,
        Denial::Replay,
        Denial::OtherUri,
        Denial::OtherUser,
        Denial::TooBrief,
        Denial::TooManyContacts,
        Denial::BadRegistration,
        Denial::Stranger,
        Denial::NoRoute,
        Denial::UnknownNumber,
        Denial::NothingToTake,
        Denial::BadNumber,
        Denial::Limit,
        Denial::NotAllowed,
    ];

    /// Why an INVITE that would have failed so was refused; `None` when it is none of its sender's doing.
    #[must_use]
    pub fn of(kind: Kind) -> Option<Denial> {
        match kind {
            Kind::NoRoute => Some(Denial::NoRoute),
            Kind::Unallocated => Some(Denial::UnknownNumber),
            Kind::InvalidNumber => Some(Denial::BadNumber),
            Kind::Congestion => Some(Denial::Limit),
            Kind::Blocked | Kind::Forbidden => Some(Denial::NotAllowed),
            _ => None,
        }
    }

    /// For logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Denial::UnknownUser => "unknown_user",
            Denial::WrongPassword => "wrong_password",
            Denial::Guarded => "guarded",
            Denial::Disabled => "disabled",
            Denial::Malformed => "malformed",
            Denial::Replay => "replay",
            Denial::OtherUri => "other_uri",
            Denial::OtherUser => "other_user",
            Denial::TooBrief => "too_brief",
            Denial::TooManyContacts => "too_many_contacts",
            Denial::BadRegistration => "bad_registration",
            Denial::Stranger => "stranger",
            Denial::NoRoute => "no_route",
            Denial::UnknownNumber => "unknown_number",
            Denial::NothingToTake => "nothing_to_take",
            Denial::BadNumber => "bad_number",
            Denial::Limit => "limit",
            Denial::NotAllowed => "not_allowed",
        }
    }
}
