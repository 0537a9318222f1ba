//! The calls of an extension as others may see them (RFC 4235).

use std::fmt::Write as _;

use facts::LegId;

use super::watch::Lines;

/// How far a call of an extension is (RFC 4235 §3.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// An INVITE is under way.
    Trying,
    /// Somebody's phone rings.
    Early,
    /// It is up.
    Confirmed,
}

impl Progress {
    fn as_str(self) -> &'static str {
        match self {
            Progress::Trying => "trying",
            Progress::Early => "early",
            Progress::Confirmed => "confirmed",
        }
    }
}

/// One call of an extension, as its phone sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) progress: Progress,
    /// The phone has called, and was not called.
    pub(crate) initiator: bool,
    pub(crate) call_id: String,
    /// The tag of the phone; empty while it has none.
    pub(crate) local_tag: String,
    /// Our tag.
    pub(crate) remote_tag: String,
    /// The URI of the other party.
    pub(crate) remote: String,
}

/// Calls in one document at most, the latest ones: it has to fit into a message.
const SHOWN_MAX: usize = 8;

/// The document: all calls there are, and one that has just ended (RFC 4235 §4.1).
pub(crate) fn document(
    entity: &str,
    version: u32,
    lines: &Lines,
    gone: Option<(LegId, &Line)>,
) -> String {
    let mut text = String::with_capacity(640);
    let entity = escaped(entity);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"{version}\" state=\"full\" entity=\"{entity}\">\r\n"
    );
    for (leg, line) in lines.iter().rev().take(SHOWN_MAX) {
        write_line(&mut text, &entity, *leg, line, line.progress.as_str());
    }
    if let Some((leg, line)) = gone {
        write_line(&mut text, &entity, leg, line, "terminated");
    }
    text.push_str("</dialog-info>\r\n");
    text
}

fn write_line(text: &mut String, entity: &str, leg: LegId, line: &Line, state: &str) {
    let direction = if line.initiator { "initiator" } else { "recipient" };
    let call_id = escaped(&line.call_id);
    let _ = write!(text, "<dialog id=\"{}-{}\" call-id=\"{call_id}\"", leg.call, leg.no.0);
    for (name, tag) in [("local-tag", &line.local_tag), ("remote-tag", &line.remote_tag)] {
        if !tag.is_empty() {
            let _ = write!(text, " {name}=\"{}\"", escaped(tag));
        }
    }
    let remote = escaped(&line.remote);
    let _ = write!(
        text,
        " direction=\"{direction}\">\r\n<state>{state}</state>\r\n\
         <local><identity>{entity}</identity><target uri=\"{entity}\"/></local>\r\n\
         <remote><identity>{remote}</identity><target uri=\"{remote}\"/></remote>\r\n</dialog>\r\n"
    );
}

/// Text within XML: what far ends wrote must not end an element, nor be no XML at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use facts::{CallId, LegNo};

    use super::*;

    fn line(progress: Progress) -> Line {
        Line {
            progress,
            initiator: false,
            call_id: "a\"<b>&'c".into(),
            local_tag: String::new(),
            remote_tag: "t1".into(),
            remote: "sip:x@y".into(),
        }
    }

    #[test]
    fn rfc4235_4_1_what_far_ends_wrote_stays_within_its_attribute() {
        let leg = LegId::new(CallId(7), LegNo::B);
        let lines = Lines::from([(leg, line(Progress::Early))]);
        let text = document("sip:80001@tandem", 3, &lines, None);
        assert!(
            text.contains(" version=\"3\" state=\"full\" entity=\"sip:80001@tandem\""),
            "{text}"
        );
        assert!(
            text.contains("call-id=\"a&quot;&lt;b&gt;&amp;&apos;c\" remote-tag=\"t1\""),
            "{text}"
        );
        assert!(text.contains("direction=\"recipient\">\r\n<state>early</state>"), "{text}");
        assert_eq!(text.matches("<dialog ").count(), 1);
        let none = document("e", 0, &Lines::default(), Some((leg, &line(Progress::Confirmed))));
        assert!(
            none.contains("<state>terminated</state>") && !none.contains("confirmed"),
            "{none}"
        );
    }

    #[test]
    fn rfc4235_a_document_has_the_latest_calls_and_fits_into_a_message() {
        let of = |call| (LegId::new(CallId(call), LegNo::B), line(Progress::Confirmed));
        let text = document("sip:80001@tandem", 0, &(1..=20).map(of).collect(), None);
        assert_eq!(text.matches("<dialog ").count(), SHOWN_MAX);
        assert!(
            text.contains(&format!("id=\"{}-", CallId(20))) && text.len() < 4_096,
            "{}",
            text.len()
        );
    }
}
