//! URIs, addresses and Vias as peers write them.

#![allow(clippy::unwrap_used, reason = "tests")]

use sip::wire::{Contact, Host, NameAddr, Scheme, Uri, UriError, Via};

fn uri(text: &str) -> Uri {
    let uri = Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(uri.to_string(), text, "prints as it was read");
    uri
}

#[test]
fn users_with_dots_parameters_and_escapes() {
    assert_eq!(uri("sip:john.doe@example.com").user.as_deref(), Some("john.doe"));
    let semi = uri("sip:user;par=u%40example.net@example.com;transport=tcp");
    assert_eq!(semi.user.as_deref(), Some("user;par=u%40example.net"));
    assert_eq!(semi.user_text().as_deref(), Some("user;par=u@example.net"));
    assert_eq!(semi.transport(), Some("tcp"));
    let query = uri("sip:a?b/c:pa;ss@h:5061?Subject=x&Route=%3Csip:y%3E");
    assert_eq!(query.user.as_deref(), Some("a?b/c"));
    assert_eq!(query.password.as_deref(), Some("pa;ss"));
    assert_eq!(query.port, Some(5061));
    assert_eq!(query.headers.as_deref(), Some("Subject=x&Route=%3Csip:y%3E"));
    assert_eq!(uri("sip:%00@h").user_text().as_deref(), Some("\0"));
    assert_eq!(uri("sip:example.com;lr").user, None);
    assert_eq!(
        Uri::sip(Some("a b@c"), Host::parse("h").unwrap(), None).to_string(),
        "sip:a%20b%40c@h"
    );
}

#[test]
fn numbers_in_sip_and_tel_uris() {
    let local = uri("sip:7042;phone-context=+8610@gw.example.net;user=phone");
    assert_eq!(local.number().as_deref(), Some("7042"));
    assert_eq!(local.phone_context().as_deref(), Some("+8610"));
    assert_eq!(local.host.as_str(), "gw.example.net");
    let tel = uri("tel:+86-(10)-8888.9999;ext=12");
    assert_eq!(tel.scheme, Scheme::Tel);
    assert_eq!(tel.number().as_deref(), Some("+861088889999"));
    assert!(tel.host.is_empty());
    let short = uri("tel:863-1234;phone-context=example.com");
    assert_eq!((short.number().as_deref(), short.phone_context().as_deref()), {
        (Some("8631234"), Some("example.com"))
    });
    assert_eq!(uri("tel:*100%23").number().as_deref(), Some("*100#"));
    assert_eq!(uri("sip:alice-x@h").number().as_deref(), Some("alice-x"));
    assert_eq!(uri("mailto:x@y").number(), None);
    assert_eq!(Uri::tel("+8613800000000").to_string(), "tel:+8613800000000");
}

#[test]
fn hosts_of_every_kind() {
    let v6 = uri("sip:a@[2001:db8::10]:5070;transport=udp");
    assert_eq!(v6.host.ip(), Some("2001:db8::10".parse().unwrap()));
    assert_eq!(v6.port, Some(5070));
    assert_eq!(uri("sip:[2001:db8::10]").port, None);
    assert_eq!(uri("sip:[::ffff:192.0.2.1]").host.ip(), Some("::ffff:192.0.2.1".parse().unwrap()));
    assert_eq!(uri("sip:192.0.2.1:5060").host.ip(), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(uri("sip:host_x.example").host.ip(), None);
    let address = "[2001:db8::1]:5060".parse().unwrap();
    assert_eq!(Uri::at(Some("x"), address).to_string(), "sip:x@[2001:db8::1]:5060");
    assert!(Host::parse("EXAMPLE.com") == Host::parse("example.COM"));
    assert!(Host::parse("[2001:DB8:0::1]") == Host::parse("[2001:db8::1]"));
}

#[test]
fn what_is_no_uri() {
    for (bad, error) in [
        ("", UriError::Scheme),
        ("alice", UriError::Scheme),
        (":x", UriError::Scheme),
        ("1x:y", UriError::Scheme),
        ("sip:", UriError::Malformed),
        ("sip:@h", UriError::Malformed),
        ("sip::p@h", UriError::Malformed),
        ("sip:a@", UriError::Malformed),
        ("sip:a@h:", UriError::Malformed),
        ("sip:a@h:65536", UriError::Malformed),
        ("sip:a@h:-1", UriError::Malformed),
        ("sip:a@b@h", UriError::Malformed),
        ("sip:a@2001:db8::1", UriError::Malformed),
        ("sip:a@[2001:db8::1", UriError::Malformed),
        ("sip:a@[2001:db8:::1]", UriError::Malformed),
        ("sip:a@h;=x", UriError::Malformed),
        ("sip:a b@h", UriError::Malformed),
        ("sip:a@h>", UriError::Malformed),
        ("tel:", UriError::Malformed),
        ("tel:hello", UriError::Malformed),
        ("urn:", UriError::Malformed),
    ] {
        assert_eq!(Uri::parse(bad), Err(error), "{bad}");
    }
    assert_eq!(Uri::parse(&format!("sip:{}@h", "a".repeat(1100))), Err(UriError::TooLong));
    assert_eq!(Uri::parse_bytes(b"sip:\xd5\xc5@h"), Err(UriError::Malformed));
}

#[test]
fn rfc3261_19_1_4_equality() {
    let same = |a: &str, b: &str| {
        let (a, b) = (uri(a), uri(b));
        assert_eq!(a.equivalent(&b), b.equivalent(&a));
        a.equivalent(&b)
    };
    for (a, b) in [
        ("sip:%61lice@atlanta.example;transport=TCP", "sip:alice@AtLanTa.exaMple;Transport=tcp"),
        ("sip:carol@chicago.example", "sip:carol@chicago.example;newparam=5"),
        ("sip:carol@chicago.example;newparam=5", "sip:carol@chicago.example;security=on"),
        (
            "sip:b@b.example;transport=tcp?to=x%40y&subject=go",
            "sip:b@b.example;transport=tcp?Subject=go&to=x@y",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
    ] {
        assert!(same(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("SIP:ALICE@atlanta.example".replace("SIP", "sip").as_str(), "sip:alice@atlanta.example"),
        ("sip:bob@b.example", "sip:bob@b.example:5060"),
        ("sip:bob@b.example", "sip:bob@b.example;transport=udp"),
        ("sip:bob@b.example", "sips:bob@b.example"),
        ("sip:bob@b.example;x=1", "sip:bob@b.example;x=2"),
        ("sip:bob@b.example", "sip:bob@b.example?Subject=next"),
        ("sip:bob@b.example", "sip:bob:pw@b.example"),
        ("tel:863;phone-context=a.example", "tel:863;phone-context=b.example"),
    ] {
        assert!(!same(a, b), "{a} {b}");
    }
}

#[test]
fn softphone_contacts_with_instance_and_reg_id() {
    let value = b"<sip:1001@192.0.2.7:5060;transport=udp;ob>;expires=300;q=0.25;reg-id=1;\
        +sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";+u.sip!x=\"a;b\"";
    let contact = Contact::parse(value).unwrap();
    assert_eq!(contact.instance(), Some("urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF"));
    assert_eq!((contact.reg_id(), contact.expires()), (Some(1), Some(300)));
    assert_eq!(contact.q_thousandths(), Some(250));
    let address = contact.address().unwrap();
    assert!(address.uri.params.has("ob") && !address.params.has("ob"));
    assert_eq!(address.params.get("+u.sip!x"), Some("a;b"));
    assert_eq!(address.to_bytes(), value);
    let q = |value: &str| {
        Contact::parse(format!("<sip:h>;q={value}").as_bytes()).unwrap().q_thousandths()
    };
    assert_eq!(
        [q("1"), q("1.000"), q("0"), q("0.7")],
        [Some(1000), Some(1000), Some(0), Some(700)]
    );
    assert_eq!([q("1.1"), q("2"), q("0.1234"), q("-1"), q("0.x")], [None; 5]);
    assert_eq!(Contact::parse(b"<sip:h>;expires=soon").unwrap().expires(), Some(3600));
    assert_eq!(Contact::parse(b"<sip:h>;expires=99999999999").unwrap().expires(), Some(u32::MAX));
}

#[test]
fn addresses_with_and_without_brackets() {
    let parse = |text: &str| NameAddr::parse(text.as_bytes());
    let bare = parse("sip:a@h;tag=1").unwrap();
    assert_eq!((bare.tag(), bare.uri.params.is_empty()), (Some("1"), true));
    let tight = parse("\"A <x>; y\"<sip:a@h;lr>;tag=2").unwrap();
    assert_eq!((tight.tag(), tight.uri.is_loose()), (Some("2"), true));
    assert_eq!(tight.display_text().as_deref(), Some("A <x>; y"));
    assert_eq!(parse("Bob  B. <sip:b@h>").unwrap().display.as_deref(), Some(&b"Bob  B."[..]));
    assert_eq!(parse("\"\" <sip:b@h>").unwrap().display.as_deref(), Some(&b""[..]));
    let named = NameAddr::named("say \"hi\\\"", "sip:a@h".parse().unwrap());
    assert_eq!(NameAddr::parse(&named.to_bytes()), Some(named.clone()));
    assert_eq!(named.display_text().as_deref(), Some("say \"hi\\\""));
    for bad in [
        "",
        "<sip:a@h",
        "\"Mr. J. User <sip:j@h>",
        "Bell, Alexander <sip:a@h>",
        "sip:a@h?x=y",
        "<sip:a@h> junk",
        "< sip : a@h >",
        "\"x\" sip:a@h",
        "<sip:a@h>;=x",
        "<sip:a@h>;p=\"x",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn vias_of_every_kind() {
    let via = |text: &str| Via::parse(text.as_bytes());
    let odd = via("SIP / 2.0 / TLS-SCTP  host.example ;  branch = z9hG4bKx ; ttl=1").unwrap();
    assert_eq!((odd.transport.as_str(), odd.host.as_str()), ("TLS-SCTP", "host.example"));
    assert!(odd.has_cookie());
    let v6 = via("SIP/2.0/UDP [2001:db8::9:1]:5070;received=[2001:db8::9:255];branch=z9hG4bKas3")
        .unwrap();
    assert_eq!(v6.port, Some(5070));
    assert_eq!(v6.received(), Some("2001:db8::9:255".parse().unwrap()));
    let bare = via("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255").unwrap();
    assert_eq!(bare.received(), v6.received());
    assert!(!via("SIP/2.0/UDP h;branch=z9hG4bK").unwrap().has_cookie());
    assert!(!via("SIP/2.0/UDP h;branch=1").unwrap().has_cookie());
    assert!(!via("SIP/2.0/UDP h;branch=z9\u{e9}G4bK").unwrap().has_cookie());
    for bad in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 h",
        "SIP/3.0/UDP h",
        "HTTP/2.0/UDP h",
        "SIP/2.0/UDP 2001:db8::9:1",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/U DP h",
        "SIP/2.0/UDP h;branch=\"x",
    ] {
        assert_eq!(via(bad), None, "{bad}");
    }
}
