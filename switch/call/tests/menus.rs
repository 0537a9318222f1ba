//! Menus of merchants' pages over SIP (3GPP TS 24.390, spec §5.6), and at the doors of the shell.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;
#[path = "common/menus.rs"]
mod menu_tools;

use std::time::Duration;

use call::{Answer, Command};
use common::phones::{SOFT, bind};
use common::{CARRIER_A, MERCHANT, Sim, s};
use facts::ussd::{Act, ActRefused, Dialled, Door, End, Screen};
use menu_tools::*;
use sip::ussd::{Kind, MEDIA_TYPE, Style};
use sip::wire::HeaderName;

#[test]
fn s5_6_ts24_390_the_dialogue_of_the_seed() {
    let mut sim = sim();
    let (mut phone, ok) = dial(&mut sim, 1, "*6655*123#");
    assert_eq!(ok.status(), Some(200));
    assert!(ok.lists(HeaderName::RecvInfo, "g.3gpp.ussd"));
    let sdp = String::from_utf8(ok.body().to_vec()).unwrap();
    assert!(sdp.contains("\r\nm=audio 0 RTP/AVP 8\r\n"), "no sound: {sdp}");
    let step = &sim.pages[0];
    assert_eq!((step.mobile.as_str(), step.door, step.number), (MOBILE, Door::Ims, 1));
    assert_eq!(step.merchant, MERCHANT);
    say(&mut sim, menu(PROMPT));
    assert_eq!(sim.fars["a"].count("INFO"), 0, "RFC 3261 §13.2.2.4: the 200 is not acknowledged");
    phone.within(&mut sim, "ACK", "", "");
    let prompt = shown(&sim, "INFO");
    assert_eq!((prompt.text.as_deref(), prompt.kind), (Some(PROMPT), Some(Kind::Request)));
    assert_eq!((prompt.language.as_deref(), prompt.style), (Some("fa"), Style::Elements));
    let info = sim.fars["a"].last("INFO");
    assert_eq!(info.header(HeaderName::InfoPackage), Some(b"g.3gpp.ussd".as_slice()));
    assert_eq!(info.header(HeaderName::ContentDisposition), Some(b"Info-Package".as_slice()));
    take(&mut sim);
    phone.types(&mut sim, "4711");
    say(&mut sim, last(DONE));
    let bye = shown(&sim, "BYE");
    assert_eq!(bye.text.as_deref(), Some(DONE));
    let request = sim.fars["a"].last("BYE").clone();
    reply(&mut sim, &request, 200);
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*4711"]);
    assert_eq!(sim.pages[1].session, sim.pages[0].session);
    assert_eq!(over(&sim), (End::Said, 2));
    assert_eq!(sim.fars["a"].count("INFO"), 1);
    sim.assert_clean();
}

#[test]
fn s5_6_what_is_dialled_is_read_off_the_body_or_the_uri_however_they_are_written() {
    let plain = "sip:*6655*123%23@home1.net";
    let package = "Recv-Info: g.3gpp.ussd\n";
    let typed = |text: &str| (format!("{package}Content-Type: {MEDIA_TYPE}\n"), text.to_owned());
    let mobicents = "<?xml version=\"1.0\"?><ussd-data><language value=\"en\"/><ussd-string value=\"*6655*123#\"/>\
                     <anyExt><message-type>processUnstructuredSSRequest_Request</message-type></anyExt></ussd-data>";
    let rows = [
        ("sip:x@home1.net", typed(&xml("*6655*123#")), "*6655*123"),
        ("sip:x@home1.net", typed(mobicents), "*6655*123"),
        (plain, (package.to_owned(), String::new()), "*6655*123"),
        ("sip:%2A6655%2A123%23@home1.net", (package.to_owned(), String::new()), "*6655*123"),
        ("sip:*6655*123@home1.net", (package.to_owned(), String::new()), "*6655*123"),
        // The body says more than the address.
        (plain, typed(&xml("*6655*123*7*8#")), "*6655*123*7*8"),
        (plain, typed("<ussd-data></ussd-data>"), "*6655*123"),
        ("sip:x@home1.net", typed(&xml("*6655*7#")), "*6655*7"),
    ];
    for (at, (uri, (headers, body), call)) in rows.into_iter().enumerate() {
        let mut sim = sim();
        let (mut phone, ok) = Phone::dial(&mut sim, at as u32, uri, &headers, &body);
        assert_eq!((at, ok.status()), (at, Some(200)));
        assert_eq!(calls(&sim), [call], "{at}");
        phone.within(&mut sim, "ACK", "", "");
        say(&mut sim, menu("1 or 2?"));
        let style = if body == mobicents { Style::Attributes } else { Style::Elements };
        assert_eq!(shown(&sim, "INFO").style, style, "as the far end writes");
        phone.within(&mut sim, "BYE", "", "");
        assert_eq!(over(&sim), (End::Left, 1));
        sim.assert_clean();
    }
}

#[test]
fn s5_6_what_cannot_be_a_menu_is_refused_and_costs_nothing() {
    let plain = "sip:*6655*123%23@home1.net";
    let package = "Recv-Info: g.3gpp.ussd\n";
    let of = |kind: &str| format!("{package}Content-Type: {kind}\n");
    let rows = [
        ("sip:*6655*9%23@home1.net", package.to_owned(), String::new(), 404),
        ("sip:*6655%23@home1.net", package.to_owned(), String::new(), 404),
        ("sip:+861088889999@home1.net", package.to_owned(), String::new(), 404),
        (plain, of(MEDIA_TYPE), "<ussd-data><ussd-string>".to_owned(), 400),
        (plain, of(MEDIA_TYPE), format!("<!DOCTYPE a>{}", xml("*6655*123#")), 400),
        (plain, of("application/vnd.else+xml"), "<a/>".to_owned(), 415),
    ];
    for (at, (uri, headers, body, status)) in rows.into_iter().enumerate() {
        let mut sim = sim();
        let (mut phone, answer) = Phone::dial(&mut sim, at as u32, uri, &headers, &body);
        assert_eq!((at, answer.status()), (at, Some(status)));
        if status == 415 {
            assert!(answer.lists(HeaderName::Accept, MEDIA_TYPE), "RFC 3261 §8.2.3");
        }
        phone.within(&mut sim, "ACK", "", "");
        assert!(sim.pages.is_empty() && sim.overs.is_empty());
        sim.assert_clean();
    }
    // A page is told who asks: nobody without a number may (RFC 5079 §5).
    let mut sim = sim();
    sim.raw(
        CARRIER_A,
        &format!(
            "INVITE {plain} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKanon\nMax-Forwards: 70\n\
             From: <sip:anonymous@anonymous.invalid>;tag=1\nTo: <{plain}>\nCall-ID: anon\nCSeq: 1 INVITE\n\
             Contact: <sip:ue@{CARRIER_A}>\n{package}Content-Length: 0\n\n"
        ),
    );
    assert_eq!(sim.fars["a"].heard.last().unwrap().status(), Some(433));
    assert!(sim.pages.is_empty());
}

#[test]
fn s5_6_whoever_could_be_shown_menus_and_calls_a_number_is_led_there() {
    let mut sim = sim_with(|snapshot| {
        snapshot.inbound.insert("861088889999".into(), "80002".into());
    });
    sim.add("soft", SOFT, 181);
    bind(&mut sim, &[("80002", SOFT)]);
    let phone = Phone { call: 1, cseq: 1, tag: String::new() };
    let headers = format!("Recv-Info: g.3gpp.ussd\nAccept: application/sdp, {MEDIA_TYPE}\n");
    phone.send(&mut sim, ("INVITE", 1, "sip:+861088889999@home1.net"), &headers, "");
    assert_eq!((sim.fars["soft"].count("INVITE"), sim.pages.len()), (1, 0));
}

#[test]
fn s5_6_one_info_at_a_time_and_what_is_typed_while_the_page_is_asked_goes_nowhere() {
    let mut sim = sim();
    let mut phone = up(&mut sim, 1);
    phone.types(&mut sim, "9");
    assert_eq!(calls(&sim), ["*6655*123"], "nothing was shown to type into");
    say(&mut sim, menu("first"));
    assert_eq!(sim.fars["a"].count("INFO"), 1);
    // It types before it has answered ours: the next screen waits for that answer.
    phone.types(&mut sim, "1");
    say(&mut sim, menu("second"));
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("first"));
    take(&mut sim);
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("second"));
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*1"]);
    // A copy of an answer of the page changes nothing.
    say(&mut sim, menu("third"));
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("second"));
    take(&mut sim);
    phone.within(&mut sim, "BYE", "", "");
    assert_eq!(over(&sim), (End::Left, 2));
    sim.assert_clean();
}

#[test]
fn s5_2_a_page_that_says_nothing_in_time_and_nobody_who_types_both_end_it() {
    let mut sim = sim();
    let _phone = up(&mut sim, 1);
    sim.advance(s(9));
    assert_eq!(sim.fars["a"].count("BYE"), 0, "the shell tells that the page was silent");
    sim.advance(s(2));
    assert_eq!(shown(&sim, "BYE").text.as_deref(), Some(AWAY));
    assert_eq!(over(&sim), (End::Unavailable, 1));
    // What the page says after all is for nobody.
    say(&mut sim, menu("late"));
    assert_eq!(sim.fars["a"].count("INFO"), 0);
    let mut sim = self::sim();
    let _phone = up(&mut sim, 2);
    say(&mut sim, menu("1 or 2?"));
    take(&mut sim);
    sim.advance(s(61));
    assert!(sim.fars["a"].last("BYE").body().is_empty(), "without a word");
    assert_eq!(over(&sim), (End::Silent, 1));
    for screen in [Screen::Unavailable, Screen::Unpaid] {
        let mut sim = self::sim();
        let _phone = up(&mut sim, 3);
        say(&mut sim, screen);
        assert_eq!(shown(&sim, "BYE").text.as_deref(), Some(AWAY));
        sim.assert_clean();
    }
}

#[test]
fn s5_6_a_far_end_that_does_not_take_a_screen_or_never_acknowledges_is_let_go() {
    let mut sim = sim();
    let _phone = up(&mut sim, 1);
    say(&mut sim, menu("1 or 2?"));
    let info = sim.fars["a"].last("INFO").clone();
    reply(&mut sim, &info, 469);
    assert_eq!(over(&sim), (End::Lost, 1));
    assert_eq!(sim.fars["a"].count("BYE"), 1);
    sim.assert_clean();
    // RFC 3261 §13.3.1.4: no ACK for 32 s.
    let mut sim = self::sim();
    let (_phone, ok) = dial(&mut sim, 2, "*6655*123#");
    assert_eq!(ok.status(), Some(200));
    say(&mut sim, menu("1 or 2?"));
    sim.advance(s(33));
    assert_eq!((sim.overs.len(), sim.fars["a"].count("INFO")), (1, 0));
    sim.assert_clean();
    // RFC 3261 §12.2.1.2: the dialog is gone there.
    let mut sim = self::sim();
    let _phone = up(&mut sim, 3);
    say(&mut sim, menu("1 or 2?"));
    let info = sim.fars["a"].last("INFO").clone();
    reply(&mut sim, &info, 481);
    assert_eq!(sim.overs.len(), 1);
    sim.assert_clean();
}

#[test]
fn s5_6_an_error_of_the_phone_ends_it_and_whoever_dials_anew_leaves_the_menu_before() {
    let mut sim = sim();
    let mut phone = up(&mut sim, 1);
    say(&mut sim, menu("1 or 2?"));
    take(&mut sim);
    let headers = format!("Info-Package: g.3gpp.ussd\nContent-Type: {MEDIA_TYPE}\n");
    let error = "<ussd-data><language>fa</language><error-code>1</error-code></ussd-data>";
    phone.within(&mut sim, "INFO", &headers, error);
    assert_eq!(over(&sim), (End::Left, 1));
    let _second = up(&mut sim, 2);
    assert_eq!(sim.engine.counts().menus, 1);
    let byes = sim.fars["a"].count("BYE");
    let _third = up(&mut sim, 3);
    assert_eq!((sim.engine.counts().menus, sim.fars["a"].count("BYE")), (1, byes + 1));
    assert_eq!(sim.overs[1].end, End::Left);
    assert_eq!(calls(&sim), ["*6655*123"; 3]);
    sim.assert_clean();
}

#[test]
fn s5_2_a_blocked_merchants_code_answers_nobody_and_a_switch_that_goes_down_opens_no_menu() {
    let mut sim = sim_with(|snapshot| {
        snapshot.merchants.get_mut(&MERCHANT).unwrap().enabled = false;
    });
    let (_phone, answer) = dial(&mut sim, 1, "*6655*123#");
    assert_eq!(answer.status(), Some(403));
    let mut sim = self::sim();
    let mut phone = up(&mut sim, 2);
    say(&mut sim, menu("1 or 2?"));
    take(&mut sim);
    sim.command(Command::Drain { grace: s(20) });
    assert_eq!(sim.drained, 0, "a menu is on show");
    phone.types(&mut sim, "1");
    say(&mut sim, menu("and now?"));
    assert_eq!(shown(&sim, "INFO").text.as_deref(), Some("and now?"));
    let (_other, answer) = dial(&mut sim, 3, "*6655*123#");
    assert_eq!(answer.status(), Some(503));
    sim.advance(s(21));
    assert_eq!((sim.drained, over(&sim)), (1, (End::Lost, 2)));
    assert!(sim.fars["a"].count("BYE") > 0);
}

#[test]
fn s5_6_rfc3428_a_phone_of_ours_dials_a_code_and_types_by_messages() {
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    let step = &sim.pages[0];
    assert_eq!((step.mobile.as_str(), step.door), ("989351112233", Door::Message));
    say(&mut sim, menu(PROMPT));
    let message = sim.fars["desk"].last("MESSAGE").clone();
    assert_eq!(message.from().unwrap().uri.user_text().as_deref(), Some("*6655*123#"));
    assert_eq!(message.header_str(HeaderName::ContentType), Some("text/plain;charset=UTF-8"));
    assert_eq!(read(&mut sim, &desk, 200), PROMPT);
    assert_eq!(writes(&mut sim, &mut desk, "4711"), 200);
    say(&mut sim, last(DONE));
    assert_eq!(read(&mut sim, &desk, 200), DONE);
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*4711"]);
    assert_eq!(over(&sim), (End::Said, 2));
    // What is dialled in a message is dialled, whatever is on show.
    assert_eq!(writes(&mut sim, &mut desk, "*6655*123*7#"), 200);
    assert_eq!(writes(&mut sim, &mut desk, "*6655*7#"), 200);
    assert_eq!(calls(&sim)[2..], ["*6655*123*7", "*6655*7"]);
    sim.assert_clean();
}

#[test]
fn s5_6_what_is_written_to_another_code_is_not_for_the_page_of_this_one() {
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    say(&mut sim, menu(PROMPT));
    read(&mut sim, &desk, 200);
    assert_eq!(writes_to(&mut sim, &mut desk, "*6655*7%23", "0012345678"), 200);
    assert_eq!((calls(&sim)[1].as_str(), over(&sim)), ("*6655*7", (End::Left, 1)));
    say(&mut sim, menu("seven"));
    assert_eq!(read(&mut sim, &desk, 200), "seven");
    assert_eq!(writes_to(&mut sim, &mut desk, "*6655*7%23", "1"), 200);
    assert_eq!(calls(&sim)[2], "*6655*7*1");
    // Where a code was dialled in the chat with another one, both are its own.
    say(&mut sim, menu("more"));
    read(&mut sim, &desk, 200);
    assert_eq!(writes_to(&mut sim, &mut desk, "*6655*7%23", "*7#"), 200);
    for (chat, call) in [("*6655*7%23", "*7*1"), ("*7%23", "*7*1*1")] {
        say(&mut sim, menu("which?"));
        read(&mut sim, &desk, 200);
        assert_eq!(writes_to(&mut sim, &mut desk, chat, "1"), 200);
        assert_eq!(calls(&sim).last().unwrap(), call);
    }
    assert_eq!(writes_to(&mut sim, &mut desk, "*6655*9%23", "1"), 404, "no such code");
    assert_eq!(sim.engine.counts().menus, 1);
    sim.assert_clean();
}

#[test]
fn s5_2_a_star_that_is_typed_into_an_open_menu_dials_nothing_but_a_whole_code() {
    let (mut sim, mut desk, _) = office();
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    // `*7#` is somebody else's code; `*7` and `*9#` are words.
    for (typed, call) in [
        ("*7", "*6655*123*7"),
        ("*9#", "*6655*123*7*9"),
        ("*7*", "*6655*123*7*9*7"),
        ("\u{200e}*\u{6f7}", "*6655*123*7*9*7*7"),
    ] {
        say(&mut sim, menu("1 or 2?"));
        read(&mut sim, &desk, 200);
        assert_eq!(writes(&mut sim, &mut desk, typed), 200);
        assert_eq!(calls(&sim).last().unwrap(), call);
    }
    assert!(sim.overs.is_empty(), "it is the same session");
    assert_eq!(writes(&mut sim, &mut desk, " *7#\n"), 200);
    assert_eq!((calls(&sim).last().unwrap().as_str(), over(&sim)), ("*7", (End::Left, 5)));
    sim.assert_clean();
}

#[test]
fn s5_6_rfc3428_what_a_phone_may_not_write_and_a_phone_that_takes_no_message() {
    let (mut sim, mut desk, mut soft) = office();
    assert_eq!(writes(&mut sim, &mut soft, "hello"), 403, "whose number is not known");
    let to = ("MESSAGE", "*6655*9%23");
    assert_eq!(desk.ask_proved(&mut sim, to, TEXT, "x").unwrap().status(), Some(404));
    let to = ("MESSAGE", "*6655*123%23");
    let cpim = "Content-Type: message/cpim\n";
    let refused = desk.ask_proved(&mut sim, to, cpim, "x").unwrap();
    assert_eq!(refused.status(), Some(415));
    let composing = "Content-Type: application/im-iscomposing+xml\n";
    assert_eq!(desk.ask_proved(&mut sim, to, composing, "<a/>").unwrap().status(), Some(200));
    assert!(sim.pages.is_empty());
    assert_eq!(writes(&mut sim, &mut desk, "hello"), 200);
    say(&mut sim, menu("1 or 2?"));
    assert_eq!(read(&mut sim, &desk, 405), "1 or 2?");
    assert_eq!(over(&sim), (End::Lost, 1));
    sim.assert_clean();
}

#[test]
fn at_the_doors_of_the_shell_a_merchant_tries_his_own_codes() {
    let mut sim = sim();
    let act = |sim: &mut Sim, token: u64, act: Act| {
        sim.command(Command::Menu { token, act: Box::new(act) });
        match sim.answers.get(&token) {
            Some(Answer::Menu(done)) => *done,
            other => panic!("{other:?}"),
        }
    };
    let open = |text: &str, only: u32| Act::Open {
        dialled: Dialled::parse(text).unwrap(),
        mobile: MOBILE.into(),
        door: Door::Simulator,
        only: Some(facts::MerchantId(MERCHANT.0 + i64::from(only))),
    };
    assert_eq!(act(&mut sim, 1, open("*6655*9#", 0)), Err(ActRefused::NoCode));
    assert_eq!(act(&mut sim, 2, open("*6655*123#", 1)), Err(ActRefused::NoCode), "somebody's else");
    let session = act(&mut sim, 3, open("*6655*123#", 0)).unwrap();
    let types = |text: &str| Act::Type { session, text: text.into() };
    assert_eq!(act(&mut sim, 4, types("1")), Err(ActRefused::NotNow));
    say(&mut sim, menu(PROMPT));
    assert_eq!(sim.shown, [(session, PROMPT.to_owned(), true)]);
    assert_eq!(act(&mut sim, 5, types("4711")), Ok(session));
    say(&mut sim, last(DONE));
    assert_eq!(sim.shown[1], (session, DONE.to_owned(), false));
    assert_eq!(over(&sim), (End::Said, 2));
    assert_eq!(act(&mut sim, 6, types("1")), Err(ActRefused::NoSession));
    let session = act(&mut sim, 7, open("*6655*123#", 0)).unwrap();
    assert_eq!(act(&mut sim, 8, Act::Leave { session }), Ok(session));
    assert_eq!(sim.overs[1].end, End::Left);
    assert_eq!(act(&mut sim, 9, Act::Leave { session }), Err(ActRefused::NoSession));
    sim.advance(Duration::from_secs(1));
    sim.assert_clean();
}

#[test]
fn f17_a_try_under_somebodys_number_ends_no_session_of_his() {
    let mut sim = sim();
    let _phone = up(&mut sim, 1);
    let mobile = sim.pages[0].mobile.clone();
    let open = |sim: &mut Sim, token: u64| {
        let act = Act::Open {
            dialled: Dialled::parse("*6655*123#").unwrap(),
            mobile: mobile.clone(),
            door: Door::Simulator,
            only: Some(MERCHANT),
        };
        sim.command(Command::Menu { token, act: Box::new(act) });
        match sim.answers.get(&token) {
            Some(Answer::Menu(Ok(session))) => *session,
            other => panic!("{other:?}"),
        }
    };
    let tries = [open(&mut sim, 1), open(&mut sim, 2)];
    assert_eq!((sim.engine.counts().menus, sim.overs.len()), (3, 0));
    // Nor does his next session end them.
    let _again = up(&mut sim, 2);
    assert_eq!((sim.engine.counts().menus, sim.overs.len()), (3, 1));
    assert!(!tries.contains(&sim.overs[0].session));
}
