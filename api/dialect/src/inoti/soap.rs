//! The envelope in which `GetPayments` and `SendSingleSMS` are asked and answered: SOAP 1.1 and 1.2, as .NET's services
//! of old spoke them, and the description that clients make themselves from (spec §5.4, §5.5).

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::Event;

use super::payments::FIELDS;

/// The name space of the service.
pub const NAMESPACE: &str = "http://tempuri.org/";
/// The operation that tells what was paid.
pub const OPERATION: &str = PAYMENTS.operation;

/// A service of one operation, whose result is a text.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name, after its address.
    pub name: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// Its inputs, in their order.
    pub fields: &'static [&'static str],
    /// Those of them that are no texts but yes or no.
    pub truths: &'static [&'static str],
}

/// What was paid.
pub const PAYMENTS: Service = Service {
    name: "ExternalUssdPay",
    operation: "GetPayments",
    fields: &FIELDS,
    truths: &["IsAll"],
};

/// One short message.
pub const SMS: Service = Service {
    name: "iNOTISMS",
    operation: "SendSingleSMS",
    fields: &["UserName", "Password", "LineNo", "MobileNumber", "Message"],
    truths: &[],
};
/// Octets of a request at most.
pub const REQUEST_MAX: usize = 64 * 1024;
/// Elements within each other at most.
const DEPTH_MAX: usize = 16;
/// Fields that are kept of one request.
const FIELDS_MAX: usize = 64;

const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// Which SOAP a request is in; its answer is in the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 1.1.
    V11,
    /// 1.2.
    V12,
}

impl Version {
    /// Content type of messages in it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Version::V11 => "text/xml; charset=utf-8",
            Version::V12 => "application/soap+xml; charset=utf-8",
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Version::V11 => SOAP_11,
            Version::V12 => SOAP_12,
        }
    }
}

/// A request that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// In which SOAP.
    pub version: Version,
    /// Fields of the operation by their names, as they were sent.
    pub fields: Vec<(String, String)>,
}

impl Request {
    /// The first of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why a request is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It is no XML, or not of this world (a document type, elements too deep).
    #[error("the request is not well-formed XML")]
    Malformed,
    /// It is XML, and no envelope with a body.
    #[error("the request is no SOAP envelope")]
    NoEnvelope,
    /// Another operation.
    #[error("the service has no such operation")]
    Operation,
}

/// Reads an envelope. Prefixes are free, the order of the fields too; unknown ones are kept for nobody.
///
/// # Errors
/// When it is no envelope with the operation of the service in its body.
pub fn read(service: &Service, text: &str) -> Result<Request, Fault> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    let mut walk = Walk { wanted: service.operation, ..Walk::default() };
    loop {
        match reader.read_event().map_err(|_| Fault::Malformed)? {
            Event::Start(tag) => {
                walk.open(tag.local_name().as_ref(), || version_of(&tag))?;
            }
            Event::Empty(tag) => {
                walk.open(tag.local_name().as_ref(), || version_of(&tag))?;
                walk.close();
            }
            Event::End(_) => walk.close(),
            Event::Text(text) => {
                walk.text(&text.xml10_content());
            }
            Event::CData(data) => {
                walk.text(&data.xml10_content());
            }
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let sign = match reference.resolve_char_ref() {
                    Ok(Some(sign)) => sign.to_string(),
                    Ok(None) => predefined(&name).ok_or(Fault::Malformed)?.to_owned(),
                    Err(_) => return Err(Fault::Malformed),
                };
                walk.text(&sign);
            }
            // Nobody needs one, and entities are how XML is made to explode.
            Event::DocType(_) => return Err(Fault::Malformed),
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    walk.end()
}

/// Where in the envelope the reader is.
#[derive(Default)]
struct Walk {
    wanted: &'static str,
    depth: usize,
    version: Option<Version>,
    in_body: bool,
    operation: bool,
    fields: Vec<(String, String)>,
}

impl Walk {
    fn open(&mut self, name: &str, version: impl Fn() -> Option<Version>) -> Result<(), Fault> {
        self.depth += 1;
        match self.depth {
            1 if name == "Envelope" => self.version = version(),
            1 => return Err(Fault::NoEnvelope),
            2 => self.in_body = name == "Body",
            3 if self.in_body && !self.operation => {
                if name != self.wanted {
                    return Err(Fault::Operation);
                }
                self.operation = true;
            }
            4 if self.in_body && self.fields.len() < FIELDS_MAX => {
                self.fields.push((name.to_owned(), String::new()));
            }
            depth if depth > DEPTH_MAX => return Err(Fault::Malformed),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn text(&mut self, text: &str) {
        if self.depth == 4
            && self.in_body
            && let Some((_, value)) = self.fields.last_mut()
        {
            value.push_str(text);
        }
    }

    fn end(self) -> Result<Request, Fault> {
        if self.depth != 0 {
            return Err(Fault::Malformed);
        }
        let version = self.version.ok_or(Fault::NoEnvelope)?;
        if !self.operation {
            return Err(Fault::Operation);
        }
        Ok(Request { version, fields: self.fields })
    }
}

/// By the name space that the prefix of the envelope stands for.
fn version_of(tag: &quick_xml::events::BytesStart<'_>) -> Option<Version> {
    let name = tag.name();
    let wanted = match name.prefix() {
        Some(prefix) => format!("xmlns:{}", prefix.as_ref()),
        None => "xmlns".to_owned(),
    };
    let declared = tag.try_get_attribute(wanted.as_str()).ok()??;
    let value = declared.normalized_value(XmlVersion::Implicit1_0).ok()?;
    match value.trim() {
        SOAP_11 => Some(Version::V11),
        SOAP_12 => Some(Version::V12),
        _ => None,
    }
}

/// The five that XML knows without being told (XML 1.0 §4.6).
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

const XML: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

/// The answer with this result.
#[must_use]
pub fn answer(service: &Service, version: Version, result: &str) -> String {
    let operation = service.operation;
    let (space, result) = (version.namespace(), escape(visible(result)).into_owned());
    format!(
        "{XML}<soap:Envelope xmlns:soap=\"{space}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><soap:Body><{operation}Response xmlns=\"{NAMESPACE}\">\
         <{operation}Result>{result}</{operation}Result></{operation}Response></soap:Body></soap:Envelope>"
    )
}

/// The answer of the forms by GET and POST.
#[must_use]
pub fn plain(result: &str) -> String {
    let result = escape(visible(result)).into_owned();
    format!("{XML}\r\n<string xmlns=\"{NAMESPACE}\">{result}</string>")
}

/// What a request gets that is none: the client's fault (status 500, SOAP 1.1 §6.2).
#[must_use]
pub fn fault(version: Version, why: Fault) -> String {
    let (space, why) = (version.namespace(), why.to_string());
    match version {
        Version::V11 => format!(
            "{XML}<soap:Envelope xmlns:soap=\"{space}\"><soap:Body><soap:Fault>\
             <faultcode>soap:Client</faultcode><faultstring>{why}</faultstring><detail/>\
             </soap:Fault></soap:Body></soap:Envelope>"
        ),
        Version::V12 => format!(
            "{XML}<soap:Envelope xmlns:soap=\"{space}\"><soap:Body><soap:Fault><soap:Code>\
             <soap:Value>soap:Sender</soap:Value></soap:Code><soap:Reason>\
             <soap:Text xml:lang=\"en\">{why}</soap:Text></soap:Reason></soap:Fault></soap:Body></soap:Envelope>"
        ),
    }
}

/// XML has no characters for controls (XML 1.0 §2.2).
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).collect()
}

/// The description of the service at this address: SOAP 1.1, SOAP 1.2, and the forms by GET and POST.
#[must_use]
pub fn wsdl(service: &Service, address: &str) -> String {
    let (name_of, operation) = (service.name, service.operation);
    let address = escape(address).into_owned();
    let element = |name: &&str| {
        let (least, kind) =
            if service.truths.contains(name) { ("1", "boolean") } else { ("0", "string") };
        format!(
            "<s:element minOccurs=\"{least}\" maxOccurs=\"1\" name=\"{name}\" type=\"s:{kind}\"/>"
        )
    };
    let elements: String = service.fields.iter().map(element).collect();
    let part = |name: &&str| format!("<wsdl:part name=\"{name}\" type=\"s:string\"/>");
    let parts: String = service.fields.iter().map(part).collect();
    let mut out = format!(
        "{XML}<wsdl:definitions xmlns:s=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:soap12=\"http://schemas.xmlsoap.org/wsdl/soap12/\" \
         xmlns:http=\"http://schemas.xmlsoap.org/wsdl/http/\" xmlns:mime=\"http://schemas.xmlsoap.org/wsdl/mime/\" \
         xmlns:tns=\"{NAMESPACE}\" xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" targetNamespace=\"{NAMESPACE}\">\
         <wsdl:types><s:schema elementFormDefault=\"qualified\" targetNamespace=\"{NAMESPACE}\">\
         <s:element name=\"{operation}\"><s:complexType><s:sequence>{elements}</s:sequence></s:complexType></s:element>\
         <s:element name=\"{operation}Response\"><s:complexType><s:sequence>\
         <s:element minOccurs=\"0\" maxOccurs=\"1\" name=\"{operation}Result\" type=\"s:string\"/>\
         </s:sequence></s:complexType></s:element><s:element name=\"string\" nillable=\"true\" type=\"s:string\"/>\
         </s:schema></wsdl:types>\
         <wsdl:message name=\"{operation}SoapIn\"><wsdl:part name=\"parameters\" element=\"tns:{operation}\"/></wsdl:message>\
         <wsdl:message name=\"{operation}SoapOut\"><wsdl:part name=\"parameters\" element=\"tns:{operation}Response\"/></wsdl:message>"
    );
    for door in ["HttpGet", "HttpPost"] {
        out += &format!(
            "<wsdl:message name=\"{operation}{door}In\">{parts}</wsdl:message>\
             <wsdl:message name=\"{operation}{door}Out\"><wsdl:part name=\"Body\" element=\"tns:string\"/></wsdl:message>"
        );
    }
    for door in ["Soap", "HttpGet", "HttpPost"] {
        out += &format!(
            "<wsdl:portType name=\"{name_of}{door}\"><wsdl:operation name=\"{operation}\">\
             <wsdl:input message=\"tns:{operation}{door}In\"/><wsdl:output message=\"tns:{operation}{door}Out\"/>\
             </wsdl:operation></wsdl:portType>"
        );
    }
    for soap in ["soap", "soap12"] {
        let name = if soap == "soap" { "Soap" } else { "Soap12" };
        out += &format!(
            "<wsdl:binding name=\"{name_of}{name}\" type=\"tns:{name_of}Soap\">\
             <{soap}:binding transport=\"http://schemas.xmlsoap.org/soap/http\"/><wsdl:operation name=\"{operation}\">\
             <{soap}:operation soapAction=\"{NAMESPACE}{operation}\" style=\"document\"/>\
             <wsdl:input><{soap}:body use=\"literal\"/></wsdl:input><wsdl:output><{soap}:body use=\"literal\"/></wsdl:output>\
             </wsdl:operation></wsdl:binding>"
        );
    }
    for (door, verb, input) in [
        ("HttpGet", "GET", "<http:urlEncoded/>"),
        ("HttpPost", "POST", "<mime:content type=\"application/x-www-form-urlencoded\"/>"),
    ] {
        out += &format!(
            "<wsdl:binding name=\"{name_of}{door}\" type=\"tns:{name_of}{door}\"><http:binding verb=\"{verb}\"/>\
             <wsdl:operation name=\"{operation}\"><http:operation location=\"/{operation}\"/>\
             <wsdl:input>{input}</wsdl:input><wsdl:output><mime:mimeXml part=\"Body\"/></wsdl:output>\
             </wsdl:operation></wsdl:binding>"
        );
    }
    out += &format!("<wsdl:service name=\"{name_of}\">");
    for (port, kind) in
        [("Soap", "soap"), ("Soap12", "soap12"), ("HttpGet", "http"), ("HttpPost", "http")]
    {
        out += &format!(
            "<wsdl:port name=\"{name_of}{port}\" binding=\"tns:{name_of}{port}\">\
             <{kind}:address location=\"{address}\"/></wsdl:port>"
        );
    }
    out + "</wsdl:service></wsdl:definitions>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(space: &str, body: &str) -> String {
        format!(
            "<s:Envelope xmlns:s=\"{space}\"><s:Header><x>1</x></s:Header><s:Body>{body}</s:Body></s:Envelope>"
        )
    }

    #[test]
    fn s5_4_an_envelope_of_either_version_with_any_prefix() {
        for (space, version) in [(SOAP_11, Version::V11), (SOAP_12, Version::V12)] {
            let body = "<q:GetPayments xmlns:q=\"http://tempuri.org/\"><q:Username>u</q:Username>\
                <q:Password>a&amp;b&#x26;<![CDATA[<c>]]></q:Password><q:CodeName/><q:Unknown>1</q:Unknown></q:GetPayments>";
            let request = read(&PAYMENTS, &envelope(space, body)).unwrap();
            assert_eq!(request.version, version);
            assert_eq!(request.field("Username"), Some("u"));
            assert_eq!(request.field("Password"), Some("a&b&<c>"));
            assert_eq!(request.field("CodeName"), Some(""));
            assert_eq!(request.field("IsAll"), None);
        }
        let bare = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'>\
            <Body><GetPayments xmlns=\"http://tempuri.org/\"><IsAll>true</IsAll></GetPayments></Body></Envelope>";
        assert_eq!(
            read(&PAYMENTS, &format!("\u{feff}{bare}")).unwrap().field("IsAll"),
            Some("true")
        );
    }

    #[test]
    fn s5_4_what_is_no_request_is_a_fault() {
        let body = "<GetPayments xmlns=\"http://tempuri.org/\"/>";
        for (text, why) in [
            (String::new(), Fault::NoEnvelope),
            ("nothing".into(), Fault::NoEnvelope),
            ("<a>".into(), Fault::NoEnvelope),
            ("<a></b>".into(), Fault::NoEnvelope),
            (envelope(SOAP_11, "<GetPayments>"), Fault::Malformed),
            (envelope(SOAP_11, "<GetPayments><a>&unknown;</a></GetPayments>"), Fault::Malformed),
            (envelope(SOAP_11, &"<a>".repeat(30)), Fault::Operation),
            (envelope(SOAP_11, &format!("<GetPayments>{}", "<a>".repeat(30))), Fault::Malformed),
            (envelope("http://elsewhere/", body), Fault::NoEnvelope),
            (envelope(SOAP_11, ""), Fault::Operation),
            (envelope(SOAP_11, "<GetMoney/>"), Fault::Operation),
            (
                format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", envelope(SOAP_11, body)),
                Fault::Malformed,
            ),
            (envelope(SOAP_11, body).trim_end_matches("</s:Envelope>").into(), Fault::Malformed),
        ] {
            assert_eq!(read(&PAYMENTS, &text), Err(why), "{text}");
        }
        assert!(
            fault(Version::V11, Fault::Malformed).contains("<faultcode>soap:Client</faultcode>")
        );
        assert!(fault(Version::V12, Fault::Malformed).contains("soap:Sender"));
    }

    #[test]
    fn s5_4_what_we_write_is_xml_and_says_the_result() {
        let result = "[{\"a\":\"<&>\u{1}\"}]";
        let text = answer(&PAYMENTS, Version::V11, result);
        assert!(
            text.contains(
                "<GetPaymentsResult>[{&quot;a&quot;:&quot;&lt;&amp;&gt;&quot;}]</GetPaymentsResult>"
            ),
            "{text}"
        );
        for text in [
            text,
            plain(result),
            wsdl(&PAYMENTS, "http://h/?a=1&b=2"),
            fault(Version::V12, Fault::Operation),
        ] {
            let mut reader = Reader::from_str(&text);
            loop {
                if let Event::Eof = reader.read_event().unwrap() {
                    break;
                }
            }
        }
        let wsdl = wsdl(&PAYMENTS, "http://h/x.asmx");
        assert_eq!(wsdl.matches("location=\"http://h/x.asmx\"").count(), 4);
        assert_eq!(wsdl.matches("type=\"s:boolean\"").count(), 1);
    }

    #[test]
    fn s5_5_the_service_of_messages_is_described_and_read_as_the_other_one() {
        let body = "<SendSingleSMS xmlns=\"http://tempuri.org/\"><UserName>u</UserName><LineNo>0</LineNo>\
            <Message>سلام</Message></SendSingleSMS>";
        let request = read(&SMS, &envelope(SOAP_12, body)).unwrap();
        assert_eq!((request.field("LineNo"), request.field("Message")), (Some("0"), Some("سلام")));
        assert_eq!(read(&PAYMENTS, &envelope(SOAP_12, body)), Err(Fault::Operation));
        let told = answer(&SMS, Version::V11, "17");
        assert!(told.contains("<SendSingleSMSResult>17</SendSingleSMSResult>"), "{told}");
        let wsdl = wsdl(&SMS, "http://h/s.asmx");
        assert!(wsdl.contains("name=\"iNOTISMSSoap12\"") && !wsdl.contains("s:boolean"), "{wsdl}");
        for field in SMS.fields {
            assert_eq!(wsdl.matches(&format!("name=\"{field}\"")).count(), 3, "{field}");
        }
    }
}
