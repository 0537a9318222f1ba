//! sipp as whoever dials the code of a menu (spec §5.6): a phone of the IMS (3GPP TS 24.390) in both dialects of the body,
//! and a telephone behind a carrier, which hears what there is to see and presses keys.

use crate::sipp::Behaviour;

/// What subscribers of the tests type, where something may be typed.
pub const TYPED: &str = "4711";

/// What is seen of a menu, one after the other: the text, and whether something may be typed.
pub type Screens<'a> = &'a [(&'a str, bool)];

/// A request of the phone in its dialog, or the first one.
fn request(
    (method, uri): (&str, &str),
    (caller, cseq): (&str, u32),
    headers: &str,
    body: &str,
) -> String {
    format!(
        "<send{}><![CDATA[\n\n{method} {uri} SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
         Max-Forwards: 70\nFrom: <sip:{caller}@home1.net>;tag=[pid]x[call_number]\n\
         To: <sip:*6655*123%23@home1.net>[peer_tag_param]\nCall-ID: [call_id]\nCSeq: {cseq} {method}\n\
         Contact: <sip:ue@[local_ip]:[local_port]>\n{headers}Content-Length: [len]\n\n{body}\n]]></send>\n",
        if method == "ACK" { "" } else { " retrans=\"500\"" }
    )
}

/// Its answer to a request of ours.
const TAKEN: &str = "<send><![CDATA[\n\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>\n";

/// A request of ours, whose body fits each of these, and headers each of those.
fn told(method: &str, headers: &[(&str, &str)], body: &[&str]) -> String {
    let mut checks = String::new();
    let mut names = Vec::new();
    for (at, (header, value)) in headers.iter().enumerate() {
        names.push(format!("{method}h{at}"));
        checks += &format!(
            "<ereg regexp=\"{value}\" search_in=\"hdr\" header=\"{header}:\" check_it=\"true\" assign_to=\"{method}h{at}\"/>"
        );
    }
    for (at, text) in body.iter().enumerate() {
        names.push(format!("{method}b{at}"));
        checks += &format!(
            "<ereg regexp=\"{text}\" search_in=\"body\" check_it=\"true\" assign_to=\"{method}b{at}\"/>"
        );
    }
    let names = names.join(",");
    format!(
        "<recv request=\"{method}\" timeout=\"10000\"><action>{checks}</action></recv>\n<Reference variables=\"{names}\"/>\n{TAKEN}"
    )
}

/// The dialogue of spec §5.6 with what there is to see: [`TYPED`] is the answer to all of it but the last, and whoever may
/// still type then hangs up. `old`: as gateways of the Mobicents family write.
#[must_use]
pub fn dialogue(port: u16, old: bool, caller: &str, screens: Screens<'_>) -> Behaviour {
    let write = |text: &str, kind: &str| match old {
        false => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ussd-data><language>fa</language><ussd-string>{text}</ussd-string></ussd-data>"
        ),
        true => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ussd-data><language value=\"fa\"/><ussd-string value=\"{text}\"/><anyExt><message-type>{kind}</message-type></anyExt></ussd-data>"
        ),
    };
    let shows = |text: &str| match old {
        false => format!("&lt;ussd-string&gt;{text}&lt;/ussd-string&gt;"),
        true => format!("&lt;ussd-string value=.{text}.[[:space:]]*/&gt;"),
    };
    let xml = "Content-Type: application/vnd.3gpp.ussd+xml\n";
    let package = "Info-Package: g.3gpp.ussd\nContent-Disposition: Info-Package\n";
    let mut steps = match old {
        false => {
            let body = format!(
                "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 0 RTP/AVP 8\r\n\r\n--b\r\nContent-Type: application/vnd.3gpp.ussd+xml\r\n\r\n{}\r\n--b--",
                write("*6655*123#", "")
            );
            let headers = "Recv-Info: g.3gpp.ussd\nAccept: application/sdp, application/3gpp-ims+xml, application/vnd.3gpp.ussd+xml\n\
                           Content-Type: multipart/mixed;boundary=b\n";
            let uri = "sip:*6655*123%23;phone-context=home1.net@127.0.0.1;user=dialstring";
            request(("INVITE", uri), (caller, 1), headers, &body)
        }
        // It declares no package: nobody did when it was made.
        true => {
            let body = write("*6655*123#", "processUnstructuredSSRequest_Request");
            let uri = format!("sip:*6655*123%23@127.0.0.1:{port}");
            request(("INVITE", &uri), (caller, 1), xml, &body)
        }
    };
    steps += "<recv response=\"100\" optional=\"true\"/>\n";
    steps += match old {
        false => {
            "<recv response=\"200\" rrs=\"true\"><action><ereg regexp=\"g.3gpp.ussd\" search_in=\"hdr\" header=\"Recv-Info:\" check_it=\"true\" assign_to=\"taken\"/></action></recv>\n<Reference variables=\"taken\"/>\n"
        }
        true => "<recv response=\"200\" rrs=\"true\"/>\n",
    };
    steps += &request(("ACK", "[next_url]"), (caller, 1), "", "");
    let (asks, answers) = match old {
        false => ("UnstructuredSS-Request", package),
        true => ("unstructuredSSRequest_Request", ""),
    };
    let headers: &[(&str, &str)] = if old {
        &[]
    } else {
        &[("Info-Package", "g.3gpp.ussd"), ("Content-Disposition", "Info-Package")]
    };
    let input = write(TYPED, "unstructuredSSRequest_Response");
    for (nth, (text, more)) in (1..).zip(screens) {
        let last = nth as usize == screens.len();
        if !more {
            let kind = [("Content-Type", "vnd.3gpp.ussd.xml")];
            steps += &told("BYE", &kind, &[&shows(text)]);
            continue;
        }
        steps += &told("INFO", headers, &[&shows(text), asks]);
        let cseq = (caller, nth + 1);
        steps += &match last {
            false => request(("INFO", "[next_url]"), cseq, &format!("{answers}{xml}"), &input),
            true => request(("BYE", "[next_url]"), cseq, "", ""),
        };
        steps += "<recv response=\"200\"/>\n";
    }
    Behaviour::Written { port, steps }
}

/// Somebody calls by a carrier that asserts his number, listens so long to each screen but the last, presses these keys by
/// INFO then, and listens on: to the end, or so long if there is none.
#[must_use]
pub fn listener(port: u16, caller: &str, keys: &[(u32, &str)], leaves: Option<u32>) -> Behaviour {
    let uri = format!("sip:*6655*123%23@127.0.0.1:{port}");
    let sdp = "v=0\no=sipp 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=audio [media_port] RTP/AVP 8\na=rtpmap:8 PCMA/8000\n";
    let headers =
        format!("P-Asserted-Identity: <sip:{caller}@home1.net>\nContent-Type: application/sdp\n");
    let mut steps = request(("INVITE", &uri), (caller, 1), &headers, sdp);
    steps += "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"200\" rrs=\"true\" timeout=\"10000\"/>\n";
    steps += &request(("ACK", "[next_url]"), (caller, 1), "", "");
    let mut cseq = 1;
    for (listens_ms, pressed) in keys {
        steps += &format!("<pause milliseconds=\"{listens_ms}\"/>\n");
        for key in pressed.chars() {
            cseq += 1;
            let headers = "Content-Type: application/dtmf-relay\n";
            let body = format!("Signal={key}\nDuration=100");
            steps += &request(("INFO", "[next_url]"), (caller, cseq), headers, &body);
            steps += "<recv response=\"200\" timeout=\"10000\"/>\n";
        }
    }
    steps += &match leaves {
        Some(listens_ms) => {
            format!("<pause milliseconds=\"{listens_ms}\"/>\n")
                + &request(("BYE", "[next_url]"), (caller, cseq + 1), "", "")
                + "<recv response=\"200\" timeout=\"10000\"/>\n"
        }
        None => format!("<recv request=\"BYE\" timeout=\"20000\"/>\n{TAKEN}"),
    };
    Behaviour::Written { port, steps }
}
