//! RFC 5118: IPv6 in SIP.

use sip::offer::{Audio, SessionDescription};
use sip::wire::{Message, Uri};

use crate::case::{Case, Layer, Verdict, case, nothing};

fn request(start: &str, via: &str, contact: &str, method: &str, rest: &str) -> String {
    let id = start.len() * 100 + via.len() + rest.len();
    format!(
        "{start}\nTo: <sip:user@tandem.example>\nFrom: <sip:caller@far.example>;tag=81x2\n\
         Via: {via}\nCall-ID: v6.{id}@[2001:db8::9]\nMax-Forwards: 70\nCSeq: 98176 {method}\n\
         Contact: <{contact}>\n{rest}"
    )
}

fn uri(message: &Message) -> Uri {
    message.request_uri().unwrap().parse().unwrap()
}

const VIA: &str = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";
const CALLER: &str = "sip:caller@[2001:db8::9:1]";
const EMPTY: &str = "Content-Length: 0\n\n";

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = uris();
    cases.extend(vias());
    cases.extend(descriptions());
    cases
}

fn uris() -> Vec<Case> {
    let register =
        |uri: &str| request(&format!("REGISTER {uri} SIP/2.0"), VIA, CALLER, "REGISTER", EMPTY);
    let options =
        |uri: &str| request(&format!("OPTIONS {uri} SIP/2.0"), VIA, CALLER, "OPTIONS", EMPTY);
    vec![
        case(
            "5118 4.1",
            "IPv6 in Request-URI, Via and Contact",
            &register("sip:[2001:db8::10]"),
            Verdict::Request,
            "well formed",
            |message| {
                let address = "2001:db8::10".parse().unwrap();
                assert_eq!(uri(message).host.ip(), Some(address));
                let via = message.via().unwrap();
                assert_eq!(via.host.ip(), Some("2001:db8::9:1".parse().unwrap()));
                assert_eq!(via.port, None);
            },
        ),
        case(
            "5118 4.2",
            "IPv6 in a Request-URI without brackets",
            &register("sip:2001:db8::10"),
            Verdict::Refused(Layer::Verify, 400),
            "the host would be 2001 and the rest a port that is none",
            nothing,
        ),
        case(
            "5118 4.3",
            "what looks like a port is inside the brackets",
            &register("sip:[2001:db8::10:5070]"),
            Verdict::Request,
            "well formed: it is part of the address, and the port is the default one",
            |message| {
                let uri = uri(message);
                assert_eq!(uri.host.ip(), Some("2001:db8::10:5070".parse().unwrap()));
                assert_eq!(uri.port, None);
            },
        ),
        case(
            "5118 4.4",
            "the port is outside the brackets",
            &register("sip:[2001:db8::10]:5070"),
            Verdict::Request,
            "well formed",
            |message| {
                let uri = uri(message);
                assert_eq!(uri.host.ip(), Some("2001:db8::10".parse().unwrap()));
                assert_eq!(uri.port, Some(5070));
            },
        ),
        case(
            "5118 4.10 three colons",
            "the third colon that RFC 3261's grammar allows before an IPv4 tail",
            &options("sip:user@[2001:db8:::192.0.2.1]"),
            Verdict::Request,
            "peers built from that grammar send it; it means two colons",
            |message| {
                let meant: Uri = "sip:user@[2001:db8::192.0.2.1]".parse().unwrap();
                assert!(uri(message).equivalent(&meant));
                assert!("sip:[2001:db8:::1]".parse::<Uri>().is_err(), "there and nowhere else");
            },
        ),
        case(
            "5118 4.10 two colons",
            "the same address as it should be",
            &options("sip:user@[2001:db8::192.0.2.1]"),
            Verdict::Request,
            "well formed",
            |message| {
                let address = "2001:db8::192.0.2.1".parse().unwrap();
                assert_eq!(uri(message).host.ip(), Some(address));
            },
        ),
    ]
}

fn vias() -> Vec<Case> {
    let options = |via: &str| {
        request("OPTIONS sip:user@[2001:db8::10] SIP/2.0", via, CALLER, "OPTIONS", EMPTY)
    };
    let received = |message: &Message| {
        let via = message.via().unwrap();
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
    };
    vec![
        case(
            "5118 4.5 with delimiters",
            "received with brackets",
            &options(
                "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-112",
            ),
            Verdict::Request,
            "the grammar has none there, but implementations write them",
            received,
        ),
        case(
            "5118 4.5 without delimiters",
            "received without brackets",
            &options("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-113"),
            Verdict::Request,
            "as the grammar has it",
            received,
        ),
        case(
            "5118 4.7",
            "both address families in Via and Contact of a BYE",
            &request(
                "BYE sip:user@host.far.example SIP/2.0",
                "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-114\n\
                 Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144\n\
                 Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
                CALLER,
                "BYE",
                EMPTY,
            )
            .replace("To: <sip:user@tandem.example>", "To: <sip:user@tandem.example>;tag=9bhj"),
            Verdict::Refused(Layer::Endpoint, 481),
            "well formed; there is no such dialog",
            |message| {
                let vias = message.vias().unwrap();
                let v4: Vec<_> = vias.iter().map(|via| via.host.ip().unwrap().is_ipv4()).collect();
                assert_eq!(v4, [false, true, false]);
                assert_eq!(vias[0].port, Some(6050));
                assert!(vias[2].received().unwrap().is_ipv4());
            },
        ),
    ]
}

fn descriptions() -> Vec<Case> {
    fn audio(message: &Message) -> Audio {
        let description = SessionDescription::parse(message.body()).unwrap();
        Audio::read(&description, &description.media[0]).unwrap()
    }
    let invite = |via: &str, contact: &str, sdp: &str| {
        let rest = format!("Content-Type: application/sdp\nContent-Length: {{len}}\n\n{sdp}");
        request("INVITE sip:user@[2001:db8::10] SIP/2.0", via, contact, "INVITE", &rest)
    };
    vec![
        case(
            "5118 4.6",
            "IPv6 in the session description",
            &invite(
                "SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-115",
                CALLER,
                "v=0\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\ns=-\n\
                 c=IN IP6 2001:db8::20\nt=3338481189 3370017201\nm=audio 6000 RTP/AVP 2 8\n\
                 a=rtpmap:2 G726-32/8000\nm=video 6024 RTP/AVP 107\na=rtpmap:107 H263-1998/90000\n",
            ),
            Verdict::Call,
            "well formed",
            |message| assert_eq!(audio(message).addr, "[2001:db8::20]:6000".parse().unwrap()),
        ),
        case(
            "5118 4.8",
            "both address families in one session description",
            &invite(
                "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-116",
                CALLER,
                "v=0\no=bob 280744730 28977631 IN IP4 host.far.example\ns=-\nt=0 0\n\
                 m=audio 22334 RTP/AVP 0\nc=IN IP4 192.0.2.1\n\
                 m=video 6024 RTP/AVP 107\nc=IN IP6 2001:db8::1\na=rtpmap:107 H263-1998/90000\n",
            ),
            Verdict::Call,
            "each stream has its own connection line",
            |message| {
                assert_eq!(audio(message).addr, "192.0.2.1:22334".parse().unwrap());
                let description = SessionDescription::parse(message.body()).unwrap();
                let video = description.connection_of(&description.media[1]).unwrap();
                assert_eq!(video.ip, Some("2001:db8::1".parse().unwrap()));
            },
        ),
        case(
            "5118 4.9",
            "IPv4-mapped addresses in headers and description",
            &invite(
                "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\n\
                 Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-117",
                "sip:ted@[::ffff:192.0.2.2]",
                "v=0\no=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2\ns=-\n\
                 c=IN IP6 ::ffff:192.0.2.2\nt=0 0\nm=audio 6000 RTP/AVP 8\n",
            ),
            Verdict::Call,
            "well formed",
            |message| {
                assert_eq!(message.via().unwrap().port, Some(19823));
                let address = "::ffff:192.0.2.2".parse().unwrap();
                assert_eq!(message.contact().unwrap().uri.host.ip(), Some(address));
                assert_eq!(audio(message).addr.ip(), address);
            },
        ),
    ]
}
