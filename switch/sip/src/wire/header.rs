//! Header names: known ones as an enum, compact forms included; all others by their text.

macro_rules! header_names {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// The name of a header field that this crate knows. Extension headers are reached by their
        /// text through [`Message::other`](super::Message::other).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any header not named above.
            Other,
        }

        impl HeaderName {
            /// Every known name, in the order of the enum.
            pub const ALL: &'static [HeaderName] = &[$(HeaderName::$variant),*];

            /// The name as printed; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $text,)*
                    HeaderName::Other => "",
                }
            }
        }
    };
}

header_names! {
    Via "Via", From "From", To "To", CallId "Call-ID", CSeq "CSeq", Contact "Contact",
    MaxForwards "Max-Forwards", Route "Route", RecordRoute "Record-Route",
    ContentLength "Content-Length", ContentType "Content-Type",
    ContentEncoding "Content-Encoding", ContentDisposition "Content-Disposition",
    ContentLanguage "Content-Language", Accept "Accept", AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language", AcceptContact "Accept-Contact", AlertInfo "Alert-Info",
    Allow "Allow", AllowEvents "Allow-Events", AuthenticationInfo "Authentication-Info",
    Authorization "Authorization", CallInfo "Call-Info", Date "Date", Diversion "Diversion",
    ErrorInfo "Error-Info", Event "Event", Expires "Expires", HistoryInfo "History-Info",
    Identity "Identity", IdentityInfo "Identity-Info", InReplyTo "In-Reply-To",
    InfoPackage "Info-Package", Join "Join", MaxBreadth "Max-Breadth",
    MimeVersion "MIME-Version", MinExpires "Min-Expires", MinSe "Min-SE",
    Organization "Organization", PAssertedIdentity "P-Asserted-Identity",
    PPreferredIdentity "P-Preferred-Identity", Path "Path", Priority "Priority",
    Privacy "Privacy", ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization", ProxyRequire "Proxy-Require", RAck "RAck",
    RSeq "RSeq", Reason "Reason", RecvInfo "Recv-Info", ReferSub "Refer-Sub",
    ReferTo "Refer-To", ReferredBy "Referred-By", RejectContact "Reject-Contact",
    Replaces "Replaces", ReplyTo "Reply-To", RequestDisposition "Request-Disposition",
    Require "Require", RetryAfter "Retry-After", Server "Server",
    ServiceRoute "Service-Route", SessionExpires "Session-Expires", SipEtag "SIP-ETag",
    SipIfMatch "SIP-If-Match", Subject "Subject", SubscriptionState "Subscription-State",
    Supported "Supported", TargetDialog "Target-Dialog", Timestamp "Timestamp",
    Unsupported "Unsupported", UserAgent "User-Agent", Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

impl HeaderName {
    /// The name a header line bears, in any case, long or compact (RFC 3261 §7.3.1, §7.3.3 and the
    /// compact forms registered since: RFC 3515 `r`, 3892 `b`, 4028 `x`, 3841 `a d j`, 4474 `n y`).
    pub fn of(name: &[u8]) -> HeaderName {
        use HeaderName as N;
        if let [letter] = name {
            return match letter.to_ascii_lowercase() {
                b'a' => N::AcceptContact,
                b'b' => N::ReferredBy,
                b'c' => N::ContentType,
                b'd' => N::RequestDisposition,
                b'e' => N::ContentEncoding,
                b'f' => N::From,
                b'i' => N::CallId,
                b'j' => N::RejectContact,
                b'k' => N::Supported,
                b'l' => N::ContentLength,
                b'm' => N::Contact,
                b'n' => N::IdentityInfo,
                b'o' => N::Event,
                b'r' => N::ReferTo,
                b's' => N::Subject,
                b't' => N::To,
                b'u' => N::AllowEvents,
                b'v' => N::Via,
                b'x' => N::SessionExpires,
                b'y' => N::Identity,
                _ => N::Other,
            };
        }
        let Some(bucket) = BY_LENGTH.get(name.len()) else { return N::Other };
        for &code in &bucket.names[..bucket.count] {
            if code.as_str().as_bytes().eq_ignore_ascii_case(name) {
                return code;
            }
        }
        N::Other
    }

    /// Whether the value is a comma-separated list, so that several lines and one line with commas
    /// mean the same (RFC 3261 §7.3.1).
    pub const fn is_list(self) -> bool {
        use HeaderName as N;
        matches!(
            self,
            N::Via
                | N::Contact
                | N::Route
                | N::RecordRoute
                | N::Accept
                | N::AcceptEncoding
                | N::AcceptLanguage
                | N::AcceptContact
                | N::AlertInfo
                | N::Allow
                | N::AllowEvents
                | N::CallInfo
                | N::ContentEncoding
                | N::ContentLanguage
                | N::Diversion
                | N::ErrorInfo
                | N::HistoryInfo
                | N::InReplyTo
                | N::PAssertedIdentity
                | N::PPreferredIdentity
                | N::Path
                | N::ProxyRequire
                | N::Reason
                | N::RecvInfo
                | N::RejectContact
                | N::RequestDisposition
                | N::Require
                | N::ServiceRoute
                | N::Supported
                | N::Unsupported
                | N::Warning
        )
    }

    /// Whether a request may bear this header once only (RFC 3261 §7.3.1 and table 2): a second one
    /// leaves the meaning open and is refused.
    pub const fn is_single(self) -> bool {
        use HeaderName as N;
        matches!(
            self,
            N::From
                | N::To
                | N::CallId
                | N::CSeq
                | N::MaxForwards
                | N::ContentLength
                | N::ContentType
                | N::Expires
                | N::MinExpires
                | N::SessionExpires
                | N::MinSe
                | N::ReferTo
                | N::ReferredBy
                | N::Replaces
                | N::Event
        )
    }
}

const LONGEST: usize = 21;
const BUCKET: usize = 10;

#[derive(Clone, Copy)]
struct Bucket {
    names: [HeaderName; BUCKET],
    count: usize,
}

/// Known names by length; within one length in the order of the enum, common ones first.
const BY_LENGTH: [Bucket; LONGEST] = {
    let mut table = [Bucket { names: [HeaderName::Other; BUCKET], count: 0 }; LONGEST];
    let mut at = 0;
    while at < HeaderName::ALL.len() {
        let name = HeaderName::ALL[at];
        let slot = &mut table[name.as_str().len()];
        slot.names[slot.count] = name;
        slot.count += 1;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for &name in HeaderName::ALL {
            assert_eq!(HeaderName::of(name.as_str().as_bytes()), name);
            assert_eq!(HeaderName::of(name.as_str().to_ascii_uppercase().as_bytes()), name);
        }
        assert_eq!(HeaderName::of(b"X-Vendor"), HeaderName::Other);
        assert_eq!(HeaderName::of(b"z"), HeaderName::Other);
        assert_eq!(HeaderName::of(&[b'a'; 400]), HeaderName::Other);
    }
}
