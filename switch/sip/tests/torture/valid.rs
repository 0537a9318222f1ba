//! RFC 4475 §3.1.1: messages that are right, however odd they look.

use sip::wire::{HeaderName, Method, Uri};

use crate::case::{Case, Layer, Verdict, case, nothing};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "4475 3.1.1.1",
            "tortuous INVITE: folds, blanks, compact names, escapes, empty values, unknown parts",
            "INVITE sip:dong.li@tandem.example;x-unknown;y=2 SIP/2.0\n\
             tO :\n  sip:dong.li@tandem.example\n\
             fROM   : \"Zhao \\\\ \\\" Wei\"       <sip:zhao@far.example>\n    ;\n  tag = 98asjd8\n\
             MaX-fOrWaRdS: 0068\n\
             Call-ID: odd.0ha0isndaksdj@192.0.2.77\n\
             CSeq: 0009\n  INVITE\n\
             Via  : SIP  /   2.0\n /UDP\n    192.0.2.77 ; branch =\n z9hG4bKodd1\n\
             s :\n\
             Unfamiliar-Header: some words; and=\"quoted \\\\\\\" ones\"\n\
             Content-Type: application/sdp\n\
             Route:\n <sip:edge.tandem.example;lr;strange=value;stranger>\n\
             v:  SIP  / 2.0  / TCP     spindle.far.example   ;\n  branch  =   z9hG4bK9ikj8  ,\n \
             SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n\
             m:\"A quoted \\\"\\\" name\" <sip:zhao@192.0.2.77> ; newparam =\n      newvalue ;\n  \
             flag ; q = 0.33\n\
             l: {len}\n\n\
             v=0\no=zhao 29739 7272939 IN IP4 192.0.2.77\ns=-\nc=IN IP4 192.0.2.77\nt=0 0\n\
             m=audio 49217 RTP/AVP 0 12\na=rtpmap:31 LPC\n",
            Verdict::Call,
            "every construct in it is allowed by RFC 3261 §7.3 and §25",
            |message| {
                assert_eq!(message.max_forwards(), Ok(Some(68)));
                assert_eq!(message.cseq().unwrap().number, 9);
                let from = message.from().unwrap();
                assert_eq!(from.display_text().as_deref(), Some("Zhao \\ \" Wei"));
                assert_eq!(from.tag(), Some("98asjd8"));
                let vias = message.vias().unwrap();
                assert_eq!(vias.len(), 3);
                assert_eq!(vias[2].branch(), Some("z9hG4bK30239"));
                assert_eq!(message.header(HeaderName::Subject), Some(&b""[..]));
                assert!(message.routes().unwrap()[0].uri.is_loose());
                let contact = &message.contacts().unwrap()[0];
                assert_eq!(contact.q_thousandths(), Some(330));
                assert!(message.other("unfamiliar-header").is_some());
                assert!(message.body().starts_with(b"v=0\r\n"));
            },
        ),
        case(
            "4475 3.1.1.2",
            "every character a token, a user part, a quoted string may have",
            "!Odd-Method0123456789*+`.%really'~ \
             sip:7_odd.USER~(may-be!sure)&isn't+it$/so?,/;;*:&p+w=1,odd!*pas$wo~d_yes.(no)@far.example SIP/2.0\n\
             Via: SIP/2.0/TCP host7.far.example;branch=z9hG4bK-.!%66*_+`'~\n\
             To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:7_odd.USER~(may-be!sure)&isn't+it$/so?,/;;*@far.example>\n\
             From: tok1~` tok2'+_ tok3*%!.- <sip:plain@far.example>;fromParam''~+*_!.-%=\"\u{442}\u{435}\u{441}\u{442}\";tag=_tok~1'+`*%!-.\n\
             Call-ID: odd.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n\
             CSeq: 139122385 !Odd-Method0123456789*+`.%really'~\n\
             Max-Forwards: 255\n\
             extensionHeader-!.%*+_`'~:\u{2}\u{ef}\u{5927}\u{505c}\u{96fb}\n\
             Content-Length: 0\n\n",
            Verdict::Refused(Layer::Endpoint, 501),
            "well formed; the method is nobody's, which only a server that read it all can say",
            |message| {
                let name = "!Odd-Method0123456789*+`.%really'~";
                assert_eq!(message.method(), Some(&Method::Other(name.into())));
                let uri: Uri = message.request_uri().unwrap().parse().unwrap();
                assert_eq!(uri.password.as_deref(), Some("&p+w=1,odd!*pas$wo~d_yes.(no)"));
                assert_eq!(uri.host.as_str(), "far.example");
                assert_eq!(
                    message.to().unwrap().display_text().as_deref(),
                    Some("BEL:\u{7} NUL:\0 DEL:\u{7f}")
                );
                assert_eq!(message.from().unwrap().tag(), Some("_tok~1'+`*%!-."));
                assert_eq!(message.call_id(), Some("odd.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"));
            },
        ),
        case(
            "4475 3.1.1.3",
            "escapes that change where a URI's parts end, were they resolved too early",
            "INVITE sip:sips%3Abeta%40far.example@tandem.example SIP/2.0\n\
             To: sip:%62eta@tandem.example\n\
             From: <sip:I%20have%20blanks@far.example>;tag=938\n\
             Max-Forwards: 87\n\
             i: esc.239409asdfakjkn23@192.0.2.5\n\
             CSeq: 234234 INVITE\n\
             Via: SIP/2.0/UDP host5.far.example;branch=z9hG4bKkdjuw\n\
             C: application/sdp\n\
             Contact:\n  <sip:cal%6Cer@192.0.2.5:5060;%6C%72;n%61me=v%61lue%25%34%31>\n\
             Content-Length: {len}\n\n\
             v=0\no=m 1 1 IN IP4 192.0.2.5\ns=-\nc=IN IP4 192.0.2.5\nt=0 0\nm=audio 49217 RTP/AVP 0\n",
            Verdict::Call,
            "RFC 3261 §19.1.2: escapes are data, so the user is not cut at an escaped @",
            |message| {
                let uri: Uri = message.request_uri().unwrap().parse().unwrap();
                assert_eq!(uri.user_text().as_deref(), Some("sips:beta@far.example"));
                assert_eq!(uri.host.as_str(), "tandem.example");
                let plain: Uri = "sip:beta@tandem.example".parse().unwrap();
                assert!(message.to().unwrap().uri.equivalent(&plain));
                let user = message.from().unwrap().uri.user_text();
                assert_eq!(user.as_deref(), Some("I have blanks"));
                let contact = message.contact().unwrap();
                assert!(!contact.uri.is_loose(), "an escaped name is not the name");
            },
        ),
        case(
            "4475 3.1.1.4",
            "escaped NULs are characters, and two of them are not one",
            "REGISTER sip:tandem.example SIP/2.0\n\
             To: sip:nul-%00-nul@tandem.example\n\
             From: sip:nul-%00-nul@tandem.example;tag=839923423\n\
             Max-Forwards: 70\n\
             Call-ID: nul.39203ndfvkjdasfkq3w4otrq0adsfdfnavd\n\
             CSeq: 14398234 REGISTER\n\
             Via: SIP/2.0/UDP host5.far.example;branch=z9hG4bKkdjuw3\n\
             Contact: <sip:%00@host5.far.example>\n\
             Contact: <sip:%00%00@host5.far.example>\n\
             L:0\n\n",
            Verdict::Request,
            "RFC 3261 §25.1 allows %00; the registrar sees two different bindings",
            |message| {
                let contacts = message.contacts().unwrap();
                let users: Vec<_> = contacts
                    .iter()
                    .map(|contact| contact.address().unwrap().uri.user_text().unwrap())
                    .collect();
                assert_eq!(users, ["\0", "\0\0"]);
                let uris: Vec<_> = contacts.iter().map(|c| &c.address().unwrap().uri).collect();
                assert!(!uris[0].equivalent(uris[1]));
                let to = message.to().unwrap().uri.user_text();
                assert_eq!(to.as_deref(), Some("nul-\0-nul"));
            },
        ),
        case(
            "4475 3.1.1.5",
            "a percent sign where escapes do not exist",
            "RE%47IST%45R sip:tandem.example SIP/2.0\n\
             To: \"%Z%45\" <sip:resource@tandem.example>\n\
             From: \"%Z%45\" <sip:resource@tandem.example>;tag=f232jadfj23\n\
             Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf\n\
             Via: SIP/2.0/TCP host.far.example;branch=z9hG4bK209%fzsnel234\n\
             CSeq: 29344 RE%47IST%45R\n\
             Max-Forwards: 70\n\
             Contact: <sip:alias1@host1.far.example>\n\
             C%6Fntact: <sip:alias2@host2.far.example>\n\
             Contact: <sip:alias3@host3.far.example>\n\
             l: 0\n\n",
            Verdict::Refused(Layer::Endpoint, 501),
            "method and header names are tokens: nothing is unescaped, so this is not REGISTER",
            |message| {
                assert_eq!(message.method(), Some(&Method::Other("RE%47IST%45R".into())));
                assert_eq!(message.contacts().unwrap().len(), 2);
                assert!(message.other("C%6Fntact").is_some());
                assert_eq!(message.to().unwrap().display_text().as_deref(), Some("%Z%45"));
                assert_eq!(message.via().unwrap().branch(), Some("z9hG4bK209%fzsnel234"));
            },
        ),
        case(
            "4475 3.1.1.6",
            "no blank between display name and <",
            "OPTIONS sip:user@tandem.example SIP/2.0\n\
             To: sip:user@tandem.example\n\
             From: caller<sip:caller@far.example>;tag=323\n\
             Max-Forwards: 70\n\
             Call-ID: lwsdisp.1234abcd@far.example\n\
             CSeq: 60 OPTIONS\n\
             Via: SIP/2.0/UDP far.example;branch=z9hG4bKkdjuw\n\
             l: 0\n\n",
            Verdict::Request,
            "the blank is optional; the name is `caller`",
            |message| {
                let from = message.from().unwrap();
                assert_eq!(from.display.as_deref(), Some(&b"caller"[..]));
                assert_eq!(from.tag(), Some("323"));
            },
        ),
        long_values(),
        case(
            "4475 3.1.1.8",
            "bytes after the message in one datagram",
            "REGISTER sip:tandem.example SIP/2.0\n\
             To: sip:j.user@tandem.example\n\
             From: sip:j.user@tandem.example;tag=43251j3j324\n\
             Max-Forwards: 8\n\
             I: twice.0ha0isndaksdj99sdfafnl3lk233412\n\
             Contact: sip:j.user@host.far.example\n\
             CSeq: 8 REGISTER\n\
             Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492\n\
             Content-Length: 0\n\n\
             INVITE sip:joe@tandem.example SIP/2.0\n\
             t: sip:joe@tandem.example\n\
             From: sip:caller@far.example;tag=141334\n\
             Max-Forwards: 8\n\
             Call-ID: twice.0ha0isnda977644900765@192.0.2.15\n\
             CSeq: 8 INVITE\n\
             Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234\n\n",
            Verdict::Request,
            "RFC 3261 §18.3: what follows the announced body is noise, not a second message",
            |message| {
                assert_eq!(message.method(), Some(&Method::Register));
                assert!(message.body().is_empty());
                assert_eq!(message.count(HeaderName::CallId), 1);
            },
        ),
        case(
            "4475 3.1.1.9",
            "semicolons before the @ belong to the user",
            "OPTIONS sip:user;par=u%40far.example@tandem.example SIP/2.0\n\
             To: sip:j_user@tandem.example\n\
             From: sip:caller@far.example;tag=33242\n\
             Max-Forwards: 3\n\
             Call-ID: semiuri.0ha0isndaksdj\n\
             CSeq: 8 OPTIONS\n\
             Accept: application/sdp, application/pkcs7-mime,\n  multipart/mixed, multipart/signed,\n\
             \x20 message/sip, message/sipfrag\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw\n\
             l: 0\n\n",
            Verdict::Request,
            "RFC 3261 §19.1.1: the URI has no parameters, its user has",
            |message| {
                let uri: Uri = message.request_uri().unwrap().parse().unwrap();
                assert_eq!(uri.user_text().as_deref(), Some("user;par=u@far.example"));
                assert!(uri.params.is_empty());
                assert_eq!(message.headers(HeaderName::Accept).count(), 6);
            },
        ),
        case(
            "4475 3.1.1.10",
            "Via transports known and unknown",
            "OPTIONS sip:user@tandem.example SIP/2.0\n\
             To: sip:user@tandem.example\n\
             From: <sip:caller@far.example>;tag=323\n\
             Max-Forwards: 70\n\
             Call-ID: transports.kijh4akdnaqjkwendsasfdj\n\
             Accept: application/sdp\n\
             CSeq: 60 OPTIONS\n\
             Via: SIP/2.0/UDP t1.far.example;branch=z9hG4bKkdjuw\n\
             Via: SIP/2.0/SCTP t2.far.example;branch=z9hG4bKklasjdhf\n\
             Via: SIP/2.0/TLS t3.far.example;branch=z9hG4bK2980unddj\n\
             Via: SIP/2.0/PIGEON t4.far.example;branch=z9hG4bKasd0f3en\n\
             Via: SIP/2.0/TCP t5.far.example;branch=z9hG4bK0a9idfnee\n\
             l: 0\n\n",
            Verdict::Request,
            "only the top Via is ours to use; the others are copied",
            |message| {
                let transports: Vec<_> =
                    message.vias().unwrap().into_iter().map(|via| via.transport).collect();
                assert_eq!(transports, ["UDP", "SCTP", "TLS", "PIGEON", "TCP"]);
            },
        ),
        multipart(),
    ];
    cases.extend(responses());
    cases
}

/// §3.1.1.7, with values long in every place that our limits allow.
fn long_values() -> Case {
    let name = "abcdefghij".repeat(25);
    let vias: String = (1..=30)
        .map(|at| {
            format!("Via: SIP/2.0/TCP sip{at}.far.example;branch=z9hG4bK{}{at}\n", "x".repeat(60))
        })
        .collect();
    let text = format!(
        "INVITE sip:{name}@tandem.example SIP/2.0\n\
         To: \"{name} with a name\" <sip:{name}@tandem.example:6000;unknown{name}={name}>\n\
         F: sip:{name}@far.example;tag=12982424;p{name}={name}\n\
         Call-ID: {name}{name}\n\
         CSeq: 3882340 INVITE\n\
         Unknown-{name}: {}\n\
         {vias}\
         Max-Forwards: 70\n\
         Contact: <sip:{name}@host5.far.example>\n\
         Content-Type: application/sdp\n\
         l: {{len}}\n\n\
         v=0\no=m 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 49217 RTP/AVP 0\n",
        name.repeat(20),
    );
    case(
        "4475 3.1.1.7",
        "long values in every place",
        &text,
        Verdict::Call,
        "long is not wrong: all stay within 1 KiB a URI, 8 KiB a header, 128 headers",
        |message| {
            assert_eq!(message.vias().unwrap().len(), 30);
            assert_eq!(message.call_id().unwrap().len(), 500);
        },
    )
}

/// §3.1.1.11: a multipart body whose second part is binary.
fn multipart() -> Case {
    let mut body = b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n\
        --7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    body.extend(0u8..=255);
    body.extend_from_slice(b"\r\n--7a9cbec02ceef655--\r\n");
    let mut message = format!(
        "MESSAGE sip:kumiko@tandem.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport\r\n\
         Max-Forwards: 70\r\n\
         Route: <sip:127.0.0.1:5080;lr>\r\n\
         From: \"fluffy\" <sip:fluffy@far.example>;tag=2fb0dcc9\r\n\
         To: <sip:kumiko@tandem.example>\r\n\
         Call-ID: 3d9485ad0c49859b@192.0.2.1\r\n\
         CSeq: 1 MESSAGE\r\n\
         Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    message.extend_from_slice(&body);
    Case {
        section: "4475 3.1.1.11",
        point: "a multipart body with a binary part",
        message,
        verdict: Verdict::Request,
        reason: "the body is bytes to us; what it means is for whoever takes messages to say",
        check: |message| {
            assert_eq!(message.content_type(), Some("multipart/mixed"));
            assert!(message.body().windows(256).any(|part| part.iter().copied().eq(0u8..=255)));
        },
    }
}

fn responses() -> Vec<Case> {
    vec![
        case(
            "4475 3.1.1.12",
            "a reason phrase of signs and another script",
            "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} - \u{43f}\u{440}\u{43e}\n\
             Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n\
             Call-ID: unreason.1234ksdfak3j2erwedfsASdf\n\
             CSeq: 35 INVITE\n\
             From: sip:user@tandem.example;tag=11141343\n\
             To: sip:user@far.example;tag=2229\n\
             Content-Length: 0\n\
             Contact: <sip:user@host198.far.example>\n\n",
            Verdict::Dropped(Layer::Endpoint),
            "a response like any other; it answers nothing that we sent",
            |message| {
                assert_eq!(message.status(), Some(200));
                assert!(message.reason_phrase().starts_with(b"= 2**3 * 5**2 \xd0"));
            },
        ),
        case(
            "4475 3.1.1.13",
            "an empty reason phrase",
            "SIP/2.0 100 \n\
             Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n\
             Call-ID: noreason.asndj203insdf99223ndf\n\
             CSeq: 35 INVITE\n\
             From: <sip:user@tandem.example>;tag=39ansfi3\n\
             To: <sip:user@far.example>;tag=902jndnke3\n\
             Content-Length: 0\n\
             Contact: <sip:user@host105.far.example>\n\n",
            Verdict::Dropped(Layer::Endpoint),
            "RFC 3261 §25.1: the phrase may be empty; it answers nothing that we sent",
            |message| {
                assert_eq!(message.status(), Some(100));
                assert!(message.reason_phrase().is_empty());
                nothing(message);
            },
        ),
    ]
}
