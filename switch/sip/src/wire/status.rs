//! Status codes and their default reason phrases (RFC 3261 §21 and the registry since).

/// The registered phrase of a status code; of an unregistered one, the phrase of its class's x00
/// code (RFC 3261 §8.1.3.2).
pub fn reason_phrase(code: u16) -> &'static str {
    match PHRASES.binary_search_by_key(&code, |(known, _)| *known) {
        Ok(at) => PHRASES[at].1,
        Err(_) => match code / 100 {
            1 => "Session Progress",
            2 => "OK",
            3 => "Multiple Choices",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Busy Everywhere",
        },
    }
}

/// By code.
const PHRASES: &[(u16, &str)] = &[
    (100, "Trying"),
    (180, "Ringing"),
    (181, "Call Is Being Forwarded"),
    (182, "Queued"),
    (183, "Session Progress"),
    (199, "Early Dialog Terminated"),
    (200, "OK"),
    (202, "Accepted"),
    (204, "No Notification"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Moved Temporarily"),
    (305, "Use Proxy"),
    (380, "Alternative Service"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (410, "Gone"),
    (412, "Conditional Request Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Unsupported URI Scheme"),
    (417, "Unknown Resource Priority"),
    (420, "Bad Extension"),
    (421, "Extension Required"),
    (422, "Session Interval Too Small"),
    (423, "Interval Too Brief"),
    (428, "Use Identity Header"),
    (429, "Provide Referrer Identity"),
    (430, "Flow Failed"),
    (433, "Anonymity Disallowed"),
    (436, "Bad Identity Info"),
    (437, "Unsupported Certificate"),
    (438, "Invalid Identity Header"),
    (439, "First Hop Lacks Outbound Support"),
    (440, "Max Breadth Exceeded"),
    (469, "Bad Info Package"),
    (470, "Consent Needed"),
    (480, "Temporarily Unavailable"),
    (481, "Call/Transaction Does Not Exist"),
    (482, "Loop Detected"),
    (483, "Too Many Hops"),
    (484, "Address Incomplete"),
    (485, "Ambiguous"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (488, "Not Acceptable Here"),
    (489, "Bad Event"),
    (491, "Request Pending"),
    (493, "Undecipherable"),
    (494, "Security Agreement Required"),
    (500, "Server Internal Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Server Time-out"),
    (505, "Version Not Supported"),
    (513, "Message Too Large"),
    (555, "Push Notification Service Not Supported"),
    (580, "Precondition Failure"),
    (600, "Busy Everywhere"),
    (603, "Decline"),
    (604, "Does Not Exist Anywhere"),
    (606, "Not Acceptable"),
    (607, "Unwanted"),
    (608, "Rejected"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_found_by_its_code() {
        assert!(PHRASES.is_sorted_by(|(one, _), (next, _)| one < next));
        assert!(PHRASES.iter().all(|(code, phrase)| reason_phrase(*code) == *phrase));
        assert_eq!((reason_phrase(199), reason_phrase(299)), ("Early Dialog Terminated", "OK"));
        assert_eq!((reason_phrase(499), reason_phrase(699)), ("Bad Request", "Busy Everywhere"));
    }

    /// rsip's names are the registry's phrases with the blanks taken out; where it has a name, ours
    /// says the same, but for the spellings listed.
    #[test]
    fn phrases_agree_with_the_vocabulary_of_rsip() {
        let plain = |text: &str| {
            text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
        };
        let mut agreed = 0;
        for code in 100..700 {
            let theirs = rsip::StatusCode::from(code);
            if matches!(theirs, rsip::StatusCode::Other(..)) {
                continue;
            }
            let name = format!("{theirs:?}");
            if plain(&name) == plain(reason_phrase(code)) {
                agreed += 1;
            } else {
                println!("{code}: rsip {name}, ours {}", reason_phrase(code));
            }
        }
        assert!(agreed >= 60, "only {agreed} agree");
    }
}
