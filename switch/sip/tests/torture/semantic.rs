//! RFC 4475 §3.2 to §3.4: messages that read well and mean something impossible.

use sip::wire::{HeaderName, Scheme, Uri};

use crate::case::{Case, Layer, Verdict, case, nothing};

const SDP: &str =
    "v=0\no=m 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 49217 RTP/AVP 0\n";

fn head(method: &str, id: &str) -> String {
    format!(
        "To: <sip:user@tandem.example>\n\
         From: <sip:caller@far.example>;tag=33242\n\
         Max-Forwards: 70\n\
         Call-ID: {id}.ndaksdj9342dasdd\n\
         CSeq: 8 {method}\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{id}\n"
    )
}

fn options(uri: &str, id: &str, lines: &str) -> String {
    format!("OPTIONS {uri} SIP/2.0\n{}{lines}l: 0\n\n", head("OPTIONS", id))
}

fn invite(id: &str, lines: &str) -> String {
    format!(
        "INVITE sip:user@tandem.example SIP/2.0\n{}Contact: <sip:caller@192.0.2.1>\n{lines}\
         Content-Type: application/sdp\nContent-Length: {{len}}\n\n{SDP}",
        head("INVITE", id)
    )
}

fn register(id: &str, lines: &str) -> String {
    format!("REGISTER sip:tandem.example SIP/2.0\n{}{lines}l: 0\n\n", head("REGISTER", id))
}

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = transaction_and_required();
    cases.extend(extensions_and_repeats());
    cases.extend(registers_and_responses());
    cases.extend(old_peers());
    cases
}

fn transaction_and_required() -> Vec<Case> {
    let user = "sip:user@tandem.example";
    vec![
        case(
            "4475 3.2.1",
            "a branch that is nothing but the cookie",
            &options(user, "badbranch", "").replace("z9hG4bKbadbranch", "z9hG4bK"),
            Verdict::Request,
            "RFC 3261 §17.2.3: such a branch identifies nothing, so the request is matched by the \
             rules for RFC 2543 peers",
            |message| assert!(!message.via().unwrap().has_cookie()),
        ),
        case(
            "4475 3.3.1",
            "no Call-ID, no From, no To",
            "INVITE sip:user@tandem.example SIP/2.0\n\
             CSeq: 193942 INVITE\n\
             Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\n\
             Content-Type: application/sdp\n\
             l: {len}\n\n\
             v=0\n",
            Verdict::Refused(Layer::Verify, 400),
            "RFC 3261 §8.1.1: mandatory in every request",
            |message| assert_eq!(message.call_id(), None),
        ),
        case(
            "4475 3.3.2",
            "a Request-URI of a scheme nobody knows",
            &options("nobodyKnowsThisScheme:totallyopaquecontent", "unkscm", ""),
            Verdict::Refused(Layer::Verify, 416),
            "RFC 3261 §8.2.2.1",
            nothing,
        ),
        case(
            "4475 3.3.3",
            "a Request-URI of a scheme that exists elsewhere",
            &options("soap.beep://192.0.2.103:3002", "novelsc", ""),
            Verdict::Refused(Layer::Verify, 416),
            "known to others is not known to us",
            nothing,
        ),
        case(
            "4475 3.3.4",
            "unknown schemes in To, From and Contact",
            &register("unksm2", "Contact: <name:Wang_Wei>\n")
                .replace("<sip:user@tandem.example>", "isbn:2983792873")
                .replace("<sip:caller@far.example>", "<http://www.far.example>"),
            Verdict::Request,
            "readable, so the registrar decides; it knows no such address of record",
            |message| {
                let scheme = |uri: Uri| uri.scheme;
                assert_eq!(scheme(message.to().unwrap().uri), Scheme::Other("isbn".into()));
                assert_eq!(scheme(message.from().unwrap().uri), Scheme::Other("http".into()));
                let contact = message.contacts().unwrap();
                let uri = contact[0].address().unwrap().uri.clone();
                assert_eq!(uri.user.as_deref(), Some("Wang_Wei"));
            },
        ),
    ]
}

fn extensions_and_repeats() -> Vec<Case> {
    let user = "sip:user@tandem.example";
    let endpoint = |status| Verdict::Refused(Layer::Endpoint, status);
    vec![
        case(
            "4475 3.3.5",
            "Require and Proxy-Require of things that do not exist",
            &options(
                user,
                "bext01",
                "Require: nothingSupportsThis, nothingSupportsThisEither\n\
                 Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n",
            ),
            endpoint(420),
            "RFC 3261 §8.2.2.3, with Unsupported naming them; Proxy-Require is for proxies",
            |message| assert_eq!(message.headers(HeaderName::Require).count(), 2),
        ),
        case(
            "4475 3.3.6",
            "an INVITE with a body of unknown type",
            &invite("invut", "").replace("application/sdp", "application/unknownformat"),
            endpoint(415),
            "RFC 3261 §8.2.3, with Accept naming what we take",
            nothing,
        ),
        case(
            "4475 3.3.7",
            "credentials of an unknown scheme",
            &register("regaut01", "Authorization: NoOneKnowsThisScheme opaque-data=here\n"),
            Verdict::Request,
            "they count as none: the registrar challenges",
            |message| {
                let value = message.header(HeaderName::Authorization).unwrap();
                assert_eq!(sip::digest::Authorization::parse(value), None);
            },
        ),
        case(
            "4475 3.3.8",
            "headers twice that may stand once",
            &invite(
                "multi01",
                "CSeq: 59 INVITE\nCall-ID: multi01.98asdh@192.0.2.2\nMax-Forwards: 5\n\
                 From: <sip:other@far.example>;tag=2\nTo: <sip:other@tandem.example>\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "which of them counts would be a guess, and another element may guess otherwise",
            |message| assert_eq!(message.count(HeaderName::CallId), 2),
        ),
        case(
            "4475 3.3.9",
            "two Content-Lengths that differ",
            &options(user, "mcl01", "Content-Length: 13\nContent-Length: 5\n").replace(
                "l: 0\n\n",
                "\nThere's no way to know how many octets are supposed to be here.\n",
            ),
            Verdict::Refused(Layer::Parse, 400),
            "there is no telling where the body ends; on a stream the connection is closed",
            nothing,
        ),
        case(
            "4475 3.3.11",
            "Max-Forwards zero",
            &options(user, "zeromf", "").replace("Max-Forwards: 70", "Max-Forwards: 0"),
            Verdict::Request,
            "zero forbids relaying, not answering: an OPTIONS to us ends here",
            |message| assert_eq!(message.max_forwards(), Ok(Some(0))),
        ),
        case(
            "4475 3.3.15",
            "an INVITE that accepts no SDP in the answer",
            &invite("sdp01", "Accept: text/nobodyKnowsThis\n"),
            endpoint(406),
            "RFC 3261 §21.4.7: our answer could only be SDP",
            nothing,
        ),
    ]
}

fn registers_and_responses() -> Vec<Case> {
    vec![
        case(
            "4475 3.3.10",
            "a 200 whose second Via is the broadcast address",
            "SIP/2.0 200 OK\n\
             Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n\
             Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\n\
             Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\n\
             CSeq: 35 INVITE\n\
             From: sip:user@tandem.example;tag=11141343\n\
             To: sip:user@far.example;tag=2229\n\
             Content-Length: 0\n\
             Contact: <sip:user@host198.far.example>\n\n",
            Verdict::Dropped(Layer::Endpoint),
            "RFC 3261 §18.1.2: its top Via is not ours, and a response is never sent on",
            |message| assert_eq!(message.vias().unwrap().len(), 2),
        ),
        case(
            "4475 3.3.12",
            "a Contact with an unknown header parameter",
            &register("cparam01", "Contact: sip:+19725552222@gw1.far.example;unknownparam\n"),
            Verdict::Request,
            "the parameter belongs to the header; an unknown one is ignored",
            |message| {
                let contact = message.contacts().unwrap()[0].address().unwrap().clone();
                assert!(contact.params.has("unknownparam") && contact.uri.params.is_empty());
            },
        ),
        case(
            "4475 3.3.13",
            "a Contact with an unknown URI parameter",
            &register("cparam02", "Contact: <sip:+19725552222@gw1.far.example;unknownparam>\n"),
            Verdict::Request,
            "the parameter belongs to the URI and is kept with the binding",
            |message| {
                let contact = message.contacts().unwrap()[0].address().unwrap().clone();
                assert!(contact.uri.params.has("unknownparam") && contact.params.is_empty());
            },
        ),
        case(
            "4475 3.3.14",
            "a Contact URI with escaped headers",
            &register(
                "regescrt",
                "Contact: <sip:user@far.example?Route=%3Csip:sip.far.example%3E>\n",
            ),
            Verdict::Request,
            "bracketed, so well formed; the headers stay part of the binding's text and are never \
             copied into a request unfiltered",
            |message| {
                let uri = message.contacts().unwrap()[0].address().unwrap().uri.clone();
                assert_eq!(uri.headers.as_deref(), Some("Route=%3Csip:sip.far.example%3E"));
            },
        ),
    ]
}

fn old_peers() -> Vec<Case> {
    vec![case(
        "4475 3.4.1",
        "an INVITE of an RFC 2543 peer: no branch, no tag, no Max-Forwards, no Content-Length",
        &format!(
            "INVITE sip:user@tandem.example SIP/2.0\n\
             Via: SIP/2.0/UDP iftgw.far.example\n\
             From: <sip:+13035551111@ift.far.example;user=phone>\n\
             Record-Route: <sip:user@tandem.example;maddr=ss1.far.example>\n\
             To: sip:+16505552222@ss1.tandem.example;user=phone\n\
             Call-ID: inv2543.1717@ift.far.example\n\
             CSeq: 56 INVITE\n\
             Contact: <sip:+13035551111@192.0.2.43>\n\
             Content-Type: application/sdp\n\n{SDP}"
        ),
        Verdict::Call,
        "RFC 3261 §17.2.3 and §12.1.1 keep such peers working",
        |message| {
            assert_eq!(message.via().unwrap().branch(), None);
            assert_eq!(message.from().unwrap().tag(), None);
            assert_eq!(message.max_forwards(), Ok(None));
            assert!(message.body().starts_with(b"v=0"));
            assert!(!message.record_routes().unwrap()[0].uri.is_loose());
        },
    )]
}
