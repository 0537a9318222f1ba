//! Menus of mobile networks in SIP: the body `application/vnd.3gpp.ussd+xml` (3GPP TS 24.390 §5.1), and the dialect of
//! the Mobicents family of gateways, which puts its values into attributes.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};

/// The body's type.
pub const MEDIA_TYPE: &str = "application/vnd.3gpp.ussd+xml";
/// The package of its INFOs (TS 24.390 §7.1).
pub const PACKAGE: &str = "g.3gpp.ussd";
/// Octets of a body at most.
pub const BODY_MAX: usize = 4096;
/// Elements within each other at most.
const DEPTH_MAX: usize = 8;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Style {
    /// As TS 24.390 has it.
    #[default]
    Elements,
    /// As Mobicents and RestComm have it.
    Attributes,
}

/// What a text is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It wants an answer.
    Request,
    /// It wants to be read, and no answer.
    Notify,
    /// It is the last word.
    Last,
}

/// A body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UssdData {
    /// Language tag.
    pub language: Option<String>,
    /// What is shown, dialled or typed.
    pub text: Option<String>,
    /// What went wrong (TS 24.390 §5.1.3: 1 for whatever has no number of its own).
    pub error: Option<u32>,
    /// What it is for, where it says so.
    pub kind: Option<Kind>,
    /// How it is written.
    pub style: Style,
}

impl UssdData {
    /// Reads a body: whatever the name space and the prefixes, with the flags where the standard puts them and where
    /// old stacks do.
    ///
    /// `None`: it is no such body, or it is longer than [`BODY_MAX`].
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<UssdData> {
        let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= BODY_MAX)?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
        let mut found = UssdData::default();
        let mut path: Vec<String> = Vec::new();
        let mut rooted = false;
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    rooted = found.open(&path, &name, &tag, rooted)?;
                    path.push(name);
                    if path.len() > DEPTH_MAX {
                        return None;
                    }
                }
                Event::Empty(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    rooted = found.open(&path, &name, &tag, rooted)?;
                }
                Event::End(_) => {
                    path.pop()?;
                }
                Event::Text(text) => found.text(&path, &text.xml10_content()),
                Event::CData(data) => found.text(&path, &data.xml10_content()),
                Event::GeneralRef(reference) => {
                    let sign = match reference.resolve_char_ref().ok()? {
                        Some(sign) => sign.to_string(),
                        None => predefined(&reference.xml10_content())?.to_owned(),
                    };
                    found.text(&path, &sign);
                }
                // Entities are how XML is made to explode.
                Event::DocType(_) => return None,
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
        (rooted && path.is_empty()).then_some(found)
    }

    /// An element begins; whether the root has been seen.
    fn open(
        &mut self,
        path: &[String],
        name: &str,
        tag: &BytesStart<'_>,
        rooted: bool,
    ) -> Option<bool> {
        if path.is_empty() {
            return (name == "ussd-data" && !rooted).then_some(true);
        }
        let value = || {
            let attribute = tag.try_get_attribute("value").ok()??;
            Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
        };
        match name {
            "language" | "ussd-string" | "error-code" => {
                if let Some(value) = value() {
                    self.style = Style::Attributes;
                    self.set(name, &value);
                } else if name == "ussd-string" {
                    self.text.get_or_insert_default();
                }
            }
            "UnstructuredSS-Request" => self.kind = Some(Kind::Request),
            "UnstructuredSS-Notify" => self.kind = Some(Kind::Notify),
            _ => {}
        }
        Some(rooted)
    }

    fn text(&mut self, path: &[String], text: &str) {
        let Some(name) = path.last().filter(|_| path.len() > 1) else { return };
        match name.as_str() {
            "ussd-string" => self.text.get_or_insert_default().push_str(text),
            name => self.set(name, text),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let trimmed = value.trim();
        match name {
            "ussd-string" => self.text = Some(value.to_owned()),
            "language" if !trimmed.is_empty() => self.language = Some(trimmed.to_owned()),
            "error-code" => self.error = trimmed.parse().ok().or(self.error),
            "message-type" => {
                self.style = Style::Attributes;
                self.kind = match trimmed {
                    "unstructuredSSRequest_Request" => Some(Kind::Request),
                    "unstructuredSSNotify_Request" => Some(Kind::Notify),
                    "processUnstructuredSSRequest_Response" => Some(Kind::Last),
                    _ => self.kind,
                };
            }
            _ => {}
        }
    }

    /// Writes it.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ussd-data>");
        let mut put = |name: &str, value: &str| {
            let value = escape(visible(value)).into_owned();
            out += &match self.style {
                Style::Elements => format!("<{name}>{value}</{name}>"),
                Style::Attributes => {
                    format!("<{name} value=\"{}\"/>", value.replace('\n', "&#10;"))
                }
            };
        };
        if let Some(language) = &self.language {
            put("language", language);
        }
        if let Some(text) = &self.text {
            put("ussd-string", text);
        }
        if let Some(error) = self.error {
            put("error-code", &error.to_string());
        }
        out += match (self.style, self.kind) {
            (_, None) | (Style::Elements, Some(Kind::Last)) => "",
            (Style::Elements, Some(Kind::Request)) => "<anyExt><UnstructuredSS-Request/></anyExt>",
            (Style::Elements, Some(Kind::Notify)) => "<anyExt><UnstructuredSS-Notify/></anyExt>",
            (Style::Attributes, Some(Kind::Request)) => {
                "<anyExt><message-type>unstructuredSSRequest_Request</message-type></anyExt>"
            }
            (Style::Attributes, Some(Kind::Notify)) => {
                "<anyExt><message-type>unstructuredSSNotify_Request</message-type></anyExt>"
            }
            (Style::Attributes, Some(Kind::Last)) => {
                "<anyExt><message-type>processUnstructuredSSRequest_Response</message-type></anyExt>"
            }
        };
        out + "</ussd-data>"
    }
}

/// XML has no characters for controls (XML 1.0 §2.2).
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n')).collect()
}

fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<UssdData> {
        UssdData::parse(text.as_bytes())
    }

    #[test]
    fn b17_ts24_390_5_1_elements_with_the_flag_in_anyext_or_under_the_root() {
        let told = read(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ussd-data>\n <language>fa</language>\n \
             <ussd-string>1-خرید &amp; فروش&#10;2</ussd-string><anyExt><UnstructuredSS-Request/></anyExt></ussd-data>",
        )
        .unwrap();
        assert_eq!(told.language.as_deref(), Some("fa"));
        assert_eq!(told.text.as_deref(), Some("1-خرید & فروش\n2"));
        assert_eq!((told.kind, told.error), (Some(Kind::Request), None));
        let told = read(
            "<u:ussd-data xmlns:u=\"urn:x\"><u:ussd-string><![CDATA[<b>]]></u:ussd-string><u:UnstructuredSS-Notify/>\
             <u:alertingPattern>1</u:alertingPattern></u:ussd-data>",
        )
        .unwrap();
        assert_eq!((told.text.as_deref(), told.kind), (Some("<b>"), Some(Kind::Notify)));
        let told = read("<ussd-data><error-code>1</error-code></ussd-data>").unwrap();
        assert_eq!((told.text, told.error), (None, Some(1)));
        assert_eq!(
            read("<ussd-data><ussd-string/></ussd-data>").unwrap().text.as_deref(),
            Some("")
        );
    }

    #[test]
    fn b17_the_mobicents_dialect_is_read_and_written() {
        let told = read(
            "<ussd-data><language value=\"en\"/><ussd-string value=\"*6655*123#\"/><anyExt>\
             <message-type>processUnstructuredSSRequest_Request</message-type></anyExt></ussd-data>",
        )
        .unwrap();
        assert_eq!((told.style, told.kind), (Style::Attributes, None));
        assert_eq!(told.text.as_deref(), Some("*6655*123#"));
        for kind in [Kind::Request, Kind::Notify, Kind::Last] {
            let ours = UssdData {
                language: Some("fa".into()),
                text: Some("\"1\"\n<2>".into()),
                kind: Some(kind),
                style: Style::Attributes,
                error: None,
            };
            assert_eq!(read(&ours.print()), Some(ours));
        }
    }

    #[test]
    fn b17_what_is_no_such_body_is_none() {
        for text in [
            "",
            "text",
            "<ussd-data>",
            "<other/>",
            "<ussd-data/><ussd-data/>",
            "<ussd-data><a></ussd-data>",
            "<ussd-data><ussd-string>&x;</ussd-string></ussd-data>",
            "<!DOCTYPE a><ussd-data/>",
            &"<ussd-data>".repeat(20),
            &format!("<ussd-data><ussd-string>{}</ussd-string></ussd-data>", "x".repeat(4096)),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(UssdData::parse(b"<ussd-data>\xff</ussd-data>"), None);
    }

    proptest! {
        #[test]
        fn b17_what_is_written_is_read_again(
            text in "[^\\p{Cc}]{0,80}", request in any::<bool>(), attributes in any::<bool>(),
        ) {
            let ours = UssdData {
                text: Some(text),
                kind: Some(if request { Kind::Request } else { Kind::Notify }),
                style: if attributes { Style::Attributes } else { Style::Elements },
                ..UssdData::default()
            };
            prop_assert_eq!(read(&ours.print()), Some(ours));
        }

        #[test]
        fn b17_no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = UssdData::parse(&bytes);
        }
    }
}
