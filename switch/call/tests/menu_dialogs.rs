//! Menus over SIP where the far end is old, slow, gone for a moment, or says that it is still there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;
#[path = "common/menus.rs"]
mod menu_tools;

use common::phones::{DESK, bind};
use common::{CARRIER_A, Sim, s};
use facts::TrunkId;
use facts::ussd::End;
use menu_tools::*;
use sip::ussd::{MEDIA_TYPE, Style, UssdData};
use sip::wire::{HeaderName, Message};

const PLAIN: &str = "sip:*6655*123%23@home1.net";
const OLD: &str = "<?xml version=\"1.0\"?><ussd-data><language value=\"en\"/><ussd-string value=\"*6655*123#\"/>\
                   <anyExt><message-type>processUnstructuredSSRequest_Request</message-type></anyExt></ussd-data>";
/// A description without sound, as a phone of the IMS sends it.
const SILENT: &str =
    "v=0\no=- 1 2 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 0 RTP/AVP 8\n";

/// The answers to requests of the phone, oldest first.
fn answers(sim: &Sim) -> Vec<&Message> {
    sim.fars["a"].heard.iter().filter(|m| m.status().is_some_and(|code| code > 100)).collect()
}

#[test]
fn rfc6086_4_2_2_whoever_takes_no_package_is_sent_no_info_of_it() {
    let of = |body: &str| (format!("Content-Type: {MEDIA_TYPE}\n"), body.to_owned());
    let accepts = (format!("Accept: application/sdp, {MEDIA_TYPE}\n"), String::new());
    for (headers, body) in [of(&xml("*6655*123#")), accepts] {
        let mut sim = sim();
        let (mut phone, answer) = Phone::dial(&mut sim, 1, PLAIN, &headers, &body);
        assert_eq!((answer.status(), sim.pages.len()), (Some(488), 0), "it costs nothing");
        phone.within(&mut sim, "ACK", "", "");
        sim.assert_clean();
    }
    // Gateways of the Mobicents family say nothing of packages, and are told nothing of them.
    let mut sim = sim();
    let (headers, body) = of(OLD);
    let (mut phone, ok) = Phone::dial(&mut sim, 2, "sip:x@home1.net", &headers, &body);
    assert_eq!((ok.status(), ok.header(HeaderName::RecvInfo)), (Some(200), None));
    // RFC 3261 §20.1: a re-INVITE may still bear a description.
    assert!([MEDIA_TYPE, "application/sdp"].iter().all(|of| ok.lists(HeaderName::Accept, of)));
    phone.within(&mut sim, "ACK", "", "");
    say(&mut sim, menu("1 or 2?"));
    assert_eq!(shown(&sim, "INFO").style, Style::Attributes);
    assert_eq!(sim.fars["a"].last("INFO").header(HeaderName::InfoPackage), None);
    take(&mut sim);
    let typed = "<ussd-data><ussd-string value=\"4711\"/></ussd-data>";
    phone.within(&mut sim, "INFO", &headers, typed);
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*4711"]);
    // A key of a phone is none of the menu's.
    phone.within(&mut sim, "INFO", "Content-Type: application/dtmf-relay\n", "Signal=5");
    assert_eq!(sim.pages.len(), 2);
    say(&mut sim, last(DONE));
    assert_eq!(shown(&sim, "BYE").text.as_deref(), Some(DONE));
    sim.assert_clean();
}

#[test]
fn rfc3261_14_2_a_reinvite_and_an_update_in_a_menu_change_nothing_and_are_taken() {
    let mut sim = sim();
    let mut phone = up(&mut sim, 1);
    let first = String::from_utf8(answers(&sim)[0].body().to_vec()).unwrap();
    let sdp = "Content-Type: application/sdp\n";
    phone.within(&mut sim, "INVITE", &format!("Recv-Info: g.3gpp.ussd\n{sdp}"), SILENT);
    let ok = (*answers(&sim).last().unwrap()).clone();
    assert_eq!((ok.status(), ok.to_tag().as_deref()), (Some(200), Some(phone.tag.as_str())));
    assert_eq!(String::from_utf8(ok.body().to_vec()).unwrap(), first, "RFC 3264 §8: the same");
    phone.within(&mut sim, "ACK", "", "");
    // RFC 3261 §14.2: without an offer ours is wanted again.
    phone.within(&mut sim, "INVITE", "", "");
    let ok = (*answers(&sim).last().unwrap()).clone();
    assert_eq!((ok.status(), ok.body() == first.as_bytes()), (Some(200), true));
    phone.within(&mut sim, "ACK", sdp, SILENT);
    // RFC 3311 §5.2, RFC 4028 §7.4: with a description and without.
    phone.within(&mut sim, "UPDATE", sdp, SILENT);
    assert_eq!(answers(&sim).last().unwrap().status(), Some(200));
    phone.within(&mut sim, "UPDATE", "Supported: timer\n", "");
    assert_eq!(answers(&sim).last().unwrap().status(), Some(200));
    say(&mut sim, menu("1 or 2?"));
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("1 or 2?"), "and it goes on");
    take(&mut sim);
    phone.within(&mut sim, "BYE", "", "");
    assert_eq!(over(&sim), (End::Left, 1));
    sim.assert_clean();
}

#[test]
fn rfc4028_7_4_a_menu_that_lasts_is_refreshed_by_us_where_that_is_ours() {
    let mut sim = sim_with(|snapshot| {
        let codes = std::mem::take(&mut snapshot.ussd);
        snapshot.ussd.extend(codes.into_iter().map(|(dialled, code)| {
            let code = facts::ussd::Code { input: s(600), session: s(900), ..(*code).clone() };
            (dialled, code.into())
        }));
    });
    let headers = format!(
        "Recv-Info: g.3gpp.ussd\nSupported: timer\nSession-Expires: 90;refresher=uas\nMin-SE: 90\n\
         Content-Type: {MEDIA_TYPE}\n"
    );
    let (mut phone, ok) = Phone::dial(&mut sim, 1, PLAIN, &headers, &xml("*6655*123#"));
    assert_eq!(ok.status(), Some(200));
    let told = ok.header_str(HeaderName::SessionExpires).unwrap().to_owned();
    assert!(told.ends_with("refresher=uas"), "{told}");
    phone.within(&mut sim, "ACK", "", "");
    say(&mut sim, menu("1 or 2?"));
    take(&mut sim);
    let seconds: u64 = told.split(';').next().unwrap().parse().unwrap();
    sim.advance(s(seconds / 2 + 1));
    let refresh = sim.fars["a"].last("INVITE").clone();
    assert!(refresh.is_request() && sim.overs.is_empty());
    reply(&mut sim, &refresh, 200);
    assert_eq!(sim.fars["a"].count("ACK"), 1);
    phone.within(&mut sim, "BYE", "", "");
    assert_eq!(over(&sim), (End::Left, 1));
}

#[test]
fn s5_6_a_screen_that_did_not_arrive_ends_nothing_once_another_one_is_on_show() {
    let mut sim = sim();
    let mut phone = up(&mut sim, 1);
    say(&mut sim, menu("first"));
    let info = sim.fars["a"].last("INFO").clone();
    phone.types(&mut sim, "1");
    say(&mut sim, menu("second"));
    assert_eq!(sim.fars["a"].count("INFO"), 1, "TS 24.390: one at a time");
    reply(&mut sim, &info, 500);
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("second"));
    take(&mut sim);
    assert!(sim.overs.is_empty());
    phone.within(&mut sim, "BYE", "", "");
    sim.assert_clean();
    // The same by MESSAGE.
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    say(&mut sim, menu("first"));
    let message = sim.fars["desk"].last("MESSAGE").clone();
    assert_eq!(writes(&mut sim, &mut desk, "1"), 200);
    say(&mut sim, menu("second"));
    desk.reply(&mut sim, &message, 500, "");
    assert!(sim.overs.is_empty());
    assert_eq!(read(&mut sim, &desk, 200), "second");
    assert_eq!(writes(&mut sim, &mut desk, "2"), 200);
    assert_eq!(calls(&sim).last().unwrap(), "*6655*123*1*2");
}

/// The desk's phone has taken its binding away.
fn leaves(sim: &mut Sim, desk: &mut asker::Asker) {
    let contact = std::mem::replace(&mut desk.contact, "*".into());
    let _ = desk.ask_proved(sim, ("REGISTER", "80001"), "Expires: 0\n", "");
    desk.contact = contact;
    assert_eq!(sim.engine.counts().bindings, 1, "the other phone's");
}

#[test]
fn s5_6_a_phone_that_is_not_there_for_a_moment_is_tried_again() {
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    leaves(&mut sim, &mut desk);
    say(&mut sim, menu("1 or 2?"));
    assert_eq!((sim.fars["desk"].count("MESSAGE"), sim.overs.len()), (0, 0));
    sim.advance(s(5));
    bind(&mut sim, &[("80001", DESK)]);
    sim.advance(s(2));
    assert_eq!(read(&mut sim, &desk, 200), "1 or 2?");
    assert_eq!(writes(&mut sim, &mut desk, "1"), 200);
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*1"]);
    // So are the last words of a session that is over by then; but not for ever.
    leaves(&mut sim, &mut desk);
    let before = sim.fars["desk"].count("MESSAGE");
    say(&mut sim, last(DONE));
    assert_eq!((over(&sim), sim.fars["desk"].count("MESSAGE")), ((End::Said, 2), before));
    sim.advance(s(30));
    bind(&mut sim, &[("80001", DESK)]);
    sim.advance(s(2));
    assert_eq!(read(&mut sim, &desk, 200), DONE);
    sim.assert_clean();
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    leaves(&mut sim, &mut desk);
    say(&mut sim, last(DONE));
    sim.advance(s(70));
    bind(&mut sim, &[("80001", DESK)]);
    sim.assert_clean();
    assert_eq!(sim.fars["desk"].count("MESSAGE"), 0);
}

#[test]
fn s5_6_rfc3325_5_only_a_trusted_peers_word_on_who_asks_opens_a_menu() {
    let asserted = "Recv-Info: g.3gpp.ussd\nP-Asserted-Identity: <sip:+989351112233@home1.net>\n";
    let trial = |(untrusted, menus): (bool, bool), headers: &str| {
        let mut sim = sim_with(|snapshot| {
            let options = &mut snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options;
            (options.untrusted, options.menus) = (untrusted, menus);
        });
        let (_phone, answer) = Phone::dial(&mut sim, 1, PLAIN, headers, "");
        (answer.status(), sim.pages.first().map(|step| step.mobile.clone()))
    };
    assert_eq!(trial((false, false), asserted), (Some(200), Some("989351112233".into())));
    // Anybody's number in From or asserted, and a session that the merchant pays and a bill that the victim gets.
    for menus in [false, true] {
        for headers in [asserted, "Recv-Info: g.3gpp.ussd\n"] {
            assert_eq!(trial((true, menus), headers), (Some(403), None), "{menus} {headers}");
        }
    }
}

#[test]
fn rfc3261_9_2_a_cancel_that_comes_behind_our_200_ends_nothing_and_its_bye_does() {
    let mut sim = sim();
    let (mut phone, ok) = dial(&mut sim, 1, "*6655*123#");
    assert_eq!(ok.status(), Some(200));
    sim.raw(
        CARRIER_A,
        &format!(
            "CANCEL sip:*6655*123%23;phone-context=home1.net@home1.net;user=dialstring SIP/2.0\n\
             Via: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKp1x1INVITE\nMax-Forwards: 70\n\
             From: <sip:+{MOBILE}@home1.net>;tag=p1\nTo: <sip:*6655*123%23@home1.net>\n\
             Call-ID: menu-1\nCSeq: 1 CANCEL\nContent-Length: 0\n\n"
        ),
    );
    assert_eq!((sim.engine.counts().menus, sim.overs.len()), (1, 0));
    phone.within(&mut sim, "ACK", "", "");
    // RFC 3261 §15: whenever the subscriber wants, also while the page is asked.
    phone.within(&mut sim, "BYE", "", "");
    assert_eq!(over(&sim), (End::Left, 1));
    say(&mut sim, menu("too late"));
    assert_eq!(sim.fars["a"].count("INFO"), 0);
    sim.assert_clean();
    // TS 24.390 §4.5.3: an error in the phone's BYE is an end as any other.
    let mut sim = menu_tools::sim();
    let mut phone = up(&mut sim, 2);
    let headers = format!("Content-Type: {MEDIA_TYPE}\n");
    let error = "<ussd-data><error-code>1</error-code></ussd-data>";
    assert!(UssdData::parse(error.as_bytes()).is_some_and(|data| data.error == Some(1)));
    phone.within(&mut sim, "BYE", &headers, error);
    assert_eq!(over(&sim), (End::Left, 1));
}
