//! The real binary, real sockets, phones that share no code with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod bench;

use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use bench::{A, B, Bench, text};
use phone::{Answer, Behaviour, Law, Wire};

const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(40);

fn after(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn it_comes_up_says_where_it_listens_and_goes_when_told() {
    let mut bench = Bench::start(&[]);
    assert_eq!(bench.http("/healthz").0, 200);
    assert_eq!(bench.admin("/readyz").0, 200);
    let (status, metrics) = bench.admin("/metrics");
    assert_eq!(status, 200);
    for name in
        ["tandem_calls 0", "tandem_registrations 1", "tandem_panics_total 0", "tandem_ports_free"]
    {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    for file in ["tandem.sqlite", "admin.token"] {
        let mode = bench.data().join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is readable by others");
    }
    bench.signal("TERM");
    assert_eq!(bench.ended(SHORT), 0, "{}", bench.log());
}

#[test]
fn a_callback_is_placed_joined_recorded_billed_and_told() {
    let bench = Bench::start(&[]);
    // Two laws, so that the sound is transcoded on the way, and different numbers for keys.
    bench.a.behave(Behaviour {
        tone_hz: 700,
        laws: vec![Law::Pcmu],
        keys: Some((after(1600), "42#".into())),
        ..Behaviour::default()
    });
    bench.b.behave(Behaviour {
        tone_hz: 1100,
        laws: vec![Law::Pcma],
        event: Some(97),
        hang_up_after: Some(after(2500)),
        ..Behaviour::default()
    });
    bench.place("c1");
    assert_eq!(bench.callback("c1"), "result=success&callbackid=c1&duplicate=1");
    bench.both_talk();
    let told = bench.merchant.notified("c1", SHORT);
    assert_eq!(told.value("callback_result"), "success");
    assert_eq!((told.value("callback_num"), told.value("destination_num")), (A.into(), B.into()));
    assert_eq!(
        (told.value("callback_fee"), told.value("destination_fee")),
        ("0.05".into(), "0.15".into())
    );
    assert_eq!(told.value("destination_duration"), "3");
    assert_eq!(told.value("data"), "x");
    let (a, b) = (bench.a.report(), bench.b.report());
    assert_eq!(a.calls[0].rtp.tone.map(|tone| tone.0), Some(1100));
    assert_eq!(b.calls[0].rtp.tone.map(|tone| tone.0), Some(700));
    assert_eq!((a.calls[0].rtp.lost, b.calls[0].rtp.lost), (0, 0));
    assert_eq!((a.calls[0].rtp.payload_type, b.calls[0].rtp.payload_type), (Some(0), Some(8)));
    assert_eq!(b.calls[0].rtp.keys, "42#");
    assert_eq!(a.calls[0].ended_by, "they hung up");
    assert_eq!(bench.merchant.heard().len(), 1, "told once");
    bench.finish();
}

/// RFC 8866 §5.7, RFC 6157: each leg has addresses of its own family, in SIP, SDP and sound.
#[test]
fn a_phone_with_ipv6_talks_to_a_carrier_with_ipv4_and_the_other_way_round() {
    for [a, b] in [["[::1]:0", "127.0.0.1:0"], ["127.0.0.1:0", "[::1]:0"], ["[::1]:0", "[::1]:0"]] {
        let bench = Bench::at(Wire::Udp, [a, b], &[]);
        bench.b.behave(Behaviour {
            tone_hz: 1100,
            hang_up_after: Some(after(1500)),
            ..Behaviour::default()
        });
        bench.place("v6");
        bench.both_talk();
        assert!(
            bench.a.wait(SHORT, |report| report.calls[0].ended_by == "they hung up"),
            "{a} {b}"
        );
        let (heard_a, heard_b) = (bench.a.report(), bench.b.report());
        assert_eq!(heard_a.calls[0].rtp.tone.map(|tone| tone.0), Some(1100), "{a} {b}");
        assert_eq!(heard_b.calls[0].rtp.tone.map(|tone| tone.0), Some(700), "{a} {b}");
        bench.finish();
    }
}

#[test]
fn a_call_from_the_carrier_rings_the_extension() {
    let bench = Bench::start(&[]);
    bench.a.behave(Behaviour { tone_hz: 700, ..Behaviour::default() });
    bench.b.behave(Behaviour {
        tone_hz: 1100,
        hang_up_after: Some(after(1800)),
        ..Behaviour::default()
    });
    let sip = bench.sip();
    bench.b.dial(&format!("sip:+861088880000@{sip}"), sip, "+8613800138000", None).unwrap();
    bench.both_talk();
    assert!(bench.a.wait(SHORT, |report| report.calls[0].ended_by == "they hung up"));
    let (a, b) = (bench.a.report(), bench.b.report());
    assert_eq!(a.calls[0].rtp.tone.map(|tone| tone.0), Some(1100));
    assert_eq!(b.calls[0].rtp.tone.map(|tone| tone.0), Some(700));
    assert!(b.count(false, "180") == 1, "the carrier hears of the ringing");
    bench.finish();
}

#[test]
fn case_1_hold_silences_and_resume_brings_the_sound_back_within_a_second() {
    let bench = Bench::start(&[]);
    bench.place("h1");
    bench.both_talk();
    let heard = |phone: &phone::Phone| phone.report().calls[0].rtp.received;
    assert!(bench.a.wait(SHORT, |report| report.calls[0].rtp.received > 25));
    for _ in 0..3 {
        bench.a.hold(true);
        assert!(
            bench.a.wait(SHORT, |r| r.log.iter().any(|l| !l.sent && l.text.contains("a=recvonly")))
        );
        thread::sleep(after(100));
        let before = heard(&bench.a);
        thread::sleep(after(300));
        assert!(heard(&bench.a) <= before + 1, "A is held and hears nothing");
        bench.a.hold(false);
        thread::sleep(after(1000));
        let resumed = heard(&bench.a);
        assert!(resumed >= before + 10, "A hears again: {resumed} after {before}");
    }
    assert!(bench.b.report().calls[0].rtp.received > 100);
    assert_eq!(bench.a.report().calls[0].rtp.source_changes, 0, "one source for the whole call");
    bench.a.hang_up();
    assert_eq!(bench.merchant.notified("h1", SHORT).value("callback_result"), "success");
    bench.finish();
}

#[test]
fn a_flood_of_rubbish_is_survived_and_counted() {
    let bench = Bench::start(&[]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let lines: [&[u8]; 4] = [
        &[0; 64],
        b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n\r\n",
        b"\xff\xfe garbage that is no message at all \r\n\r\n",
        b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nCall-ID: x\r\n\r\n",
    ];
    for round in 0..40_000_usize {
        let _ = socket.send_to(lines[round % lines.len()], bench.sip());
    }
    bench.b.behave(Behaviour { hang_up_after: Some(after(600)), ..Behaviour::default() });
    // While the queue is full the merchant is told to try again, which is safe with the same id.
    let deadline = std::time::Instant::now() + SHORT;
    while !bench.callback("r1").starts_with("result=success") {
        assert!(std::time::Instant::now() < deadline, "{}", bench.log());
        thread::sleep(after(100));
    }
    assert_eq!(bench.merchant.notified("r1", LONG).value("callback_result"), "success");
    let (_, metrics) = bench.admin("/metrics");
    assert!(metrics.contains("tandem_panics_total 0"), "{metrics}");
    bench.finish();
}

/// One way in which B may fail, and what the merchant is told.
fn b_fails(answer: Answer, result: &str) {
    let bench = Bench::start(&["--set", "call.ring=2s"]);
    bench.b.behave(Behaviour { answer, ..Behaviour::default() });
    bench.place("f1");
    let told = bench.merchant.notified("f1", LONG);
    assert_eq!(told.value("callback_result"), result);
    assert_eq!(
        (told.value("destination_duration"), told.value("destination_fee")),
        ("0".into(), "0.00".into())
    );
    assert_ne!(told.value("callback_fee"), "0.00", "A had answered");
    assert_eq!(bench.a.report().calls[0].ended_by, "they hung up", "A was let go");
    bench.finish();
}

#[test]
fn b_is_busy() {
    b_fails(Answer::Reject { after: after(0), code: 486, cause: Some(17) }, "callee_busy");
}

#[test]
fn b_rejects() {
    b_fails(Answer::Reject { after: after(300), code: 603, cause: None }, "callee_reject");
}

#[test]
fn b_does_not_exist() {
    b_fails(Answer::Reject { after: after(0), code: 404, cause: Some(1) }, "callee_invalid");
}

#[test]
fn b_does_not_answer_and_is_cancelled() {
    b_fails(Answer::Never, "callee_noanswer");
}

#[test]
fn a_is_busy_and_b_is_never_called() {
    let bench = Bench::start(&[]);
    bench.a.behave(Behaviour::rejects(486));
    bench.place("a1");
    let told = bench.merchant.notified("a1", SHORT);
    assert_eq!(told.value("callback_result"), "caller_busy");
    assert_eq!(
        (told.value("callback_fee"), told.value("destination_fee")),
        ("0.00".into(), "0.00".into())
    );
    assert_eq!(bench.b.report().calls.len(), 0);
    bench.finish();
}

#[test]
fn case_66_a_leaves_while_b_rings_and_the_merchant_hears_of_it() {
    let bench = Bench::start(&[]);
    bench.a.behave(Behaviour { hang_up_after: Some(after(800)), ..Behaviour::default() });
    bench.b.behave(Behaviour::never_answers());
    bench.place("a2");
    let told = bench.merchant.notified("a2", SHORT);
    assert_eq!(told.value("callback_result"), "caller_hangup");
    assert!(bench.b.wait(SHORT, |report| report.calls[0].ended_by == "cancelled"));
    bench.finish();
}

#[test]
fn after_kill_9_the_call_is_ended_settled_once_and_told() {
    let mut bench = Bench::start(&[]);
    bench.place("k1");
    bench.both_talk();
    thread::sleep(after(2500));
    bench.kill();
    bench.serve();
    let told = bench.merchant.notified("k1", LONG);
    let (whole, unfinished) = bench.recordings();
    assert_eq!((whole.len(), unfinished), (1, 0), "the recording was put right: {whole:?}");
    let seconds = whole[0] as f64 / 10_000.0;
    assert!((1.5..5.0).contains(&seconds), "{seconds} s of 80 kbit/s");
    assert_eq!(told.value("callback_result"), "system_error");
    assert_eq!(
        (told.value("callback_fee"), told.value("destination_fee")),
        ("0.05".into(), "0.15".into())
    );
    for phone in [&bench.a, &bench.b] {
        assert!(phone.wait(LONG, |report| report.calls[0].ended_by == "they hung up"));
    }
    let (status, metrics) = bench.admin("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("tandem_calls_settled_total 1"), "{metrics}");
    // The registration outlived the crash: A is rung without registering again.
    bench.b.behave(Behaviour { hang_up_after: Some(after(500)), ..Behaviour::default() });
    bench.place("k2");
    assert_eq!(bench.merchant.notified("k2", SHORT).value("callback_result"), "success");
    let of_k1 = bench.merchant.heard().iter().filter(|told| told.contains("=k1&")).count();
    assert_eq!(of_k1, 1);
    bench.finish();
}

#[test]
fn on_term_calls_may_end_by_themselves_and_new_ones_are_refused() {
    let mut bench = Bench::start(&["--set", "call.drain_grace=20s"]);
    bench.b.behave(Behaviour { hang_up_after: Some(after(2500)), ..Behaviour::default() });
    bench.place("d1");
    bench.both_talk();
    bench.signal("TERM");
    thread::sleep(after(300));
    assert_eq!(bench.admin("/readyz").0, 503);
    assert!(bench.callback("d2").starts_with("result=fail"), "no new call while draining");
    assert_eq!(bench.ended(SHORT), 0, "{}", bench.log());
    assert_eq!(bench.merchant.notified("d1", SHORT).value("callback_result"), "success");
}

#[test]
fn on_term_calls_are_ended_after_the_grace_time_and_told_before_the_end() {
    let mut bench = Bench::start(&["--set", "call.drain_grace=1s"]);
    bench.place("g1");
    bench.both_talk();
    bench.signal("TERM");
    assert_eq!(bench.ended(SHORT), 0, "{}", bench.log());
    assert_eq!(bench.merchant.notified("g1", after(0)).value("callback_result"), "system_error");
    for phone in [&bench.a, &bench.b] {
        assert_eq!(phone.report().calls[0].ended_by, "they hung up");
    }
    let check = bench.tandem(&["check", "--books"]);
    assert!(check.status.success() && text(&check.stdout).contains("open calls: 0"));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut bench = Bench::start(&["--set", "call.drain_grace=60s"]);
    bench.place("s1");
    bench.both_talk();
    bench.signal("TERM");
    bench.logs("draining");
    bench.signal("TERM");
    // Far below the grace time, and the log says why the process is gone.
    assert_eq!(bench.ended(LONG), 1);
    assert!(bench.log().contains("a second signal: ended at once"), "{}", bench.log());
}

#[test]
fn applying_twice_changes_nothing_and_mistakes_come_all_at_once_with_their_lines() {
    let bench = Bench::start(&[]);
    let file = bench.operator_file(&bench.operator_text());
    let again = bench.tandem(&["apply", &file]);
    assert!(again.status.success());
    assert_eq!(text(&again.stdout), "nothing to change\n");

    // A running switch takes up what another process applied.
    let more = bench.operator_text()
        + "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"test\"\npassword = \"secret-80001\"\n";
    let added = bench.tandem(&["apply", &bench.operator_file(&more)]);
    assert!(text(&added.stdout).contains("+ extension 80001"), "{}", text(&added.stdout));
    let deadline = std::time::Instant::now() + after(4000);
    while bench.register_as("80001").is_err() {
        assert!(std::time::Instant::now() < deadline, "80001 cannot register: {}", bench.log());
        thread::sleep(after(100));
    }

    let wrong = bench.operator_text().replace("amount = \"10.00\"", "amount = \"ten\"")
        + "\n[[routes]]\ntrunk = \"nobody\"\n\n[[extensions]]\nnumber = \"80001\"\nmerchants = \"x\"\n";
    let line_of = |needle: &str| wrong.lines().position(|line| line == needle).unwrap() + 1;
    let file = bench.operator_file(&wrong);
    let refused = bench.tandem(&["apply", &file]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    for needle in ["amount = \"ten\"", "trunk = \"nobody\"", "merchants = \"x\""] {
        let place = format!("{file}:{}:", line_of(needle));
        assert!(said.contains(&place), "{place} is not in\n{said}");
    }
    let dry = bench.tandem(&["check", &file]);
    assert_eq!(dry.status.code(), Some(2));
}

#[test]
fn a_signature_is_explained_from_the_books_and_the_key_is_masked() {
    let bench = Bench::start(&[]);
    let url = |sign: &str| format!("http://h/api/biz_balance?username=test&sign={sign}");
    let told = bench.tandem(&["explain-signature", &url("bd3357466af4e8dc152beb996b8e0385")]);
    let page = text(&told.stdout);
    assert!(told.status.success(), "{page}{}", text(&told.stderr));
    assert!(
        page.contains("username=test&key=***") && page.contains("<- this one matches"),
        "{page}"
    );
    // Signed over the base string without the key.
    let told = bench.tandem(&["explain-signature", &url("aa83a6dd3a1aa14c5dcc5de723c50ab7")]);
    let page = text(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{page}");
    assert!(page.contains("made without the key") && !page.contains(bench::KEY), "{page}");
    // Headers and body go beside a URL, or all of it in a file.
    let ytx = "/201512/sid/nobody/call/DailbackCall.wx?Sign=0";
    let header = "Authorization: bm9ib2R5fDIwMjYwMTE1MDkzMDAw";
    let at = ["--at", "1768440607000"];
    let told = bench.tandem(&["explain-signature", ytx, "--header", header, at[0], at[1]]);
    let page = text(&told.stdout).to_owned();
    assert!(page.contains("nobody of this name") && page.contains("7 s behind ours"), "{page}");
    let file = bench.folder.path().join("request");
    std::fs::write(&file, format!("POST {ytx} HTTP/1.1\r\n{header}\r\n\r\n{{}}")).unwrap();
    let told =
        bench.tandem(&["explain-signature", "--file", &file.display().to_string(), at[0], at[1]]);
    assert_eq!(text(&told.stdout), page);
    assert_eq!(bench.tandem(&["explain-signature", "/healthz"]).status.code(), Some(2));
}

#[test]
fn a_route_is_explained_from_the_books_and_by_the_switch_that_runs() {
    let bench = Bench::start(&[]);
    let more = bench.operator_text()
        + "\n[[routes]]\nprefix = \"86\"\ntrunk = \"carrier\"\nhours = [\"mon 03:00-03:01\"]\n";
    let applied = bench.tandem(&["apply", &bench.operator_file(&more)]);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let told = bench.tandem(&["explain", "013800138000"]);
    let page = text(&told.stdout).to_owned();
    assert!(page.starts_with("+8613800138000 leads to +8613800138000, over a trunk"), "{page}");
    let line = |start: &str| page.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("1 ").contains("tried") && line("1 ").contains("carrier"), "{page}");
    assert!(page.contains("not tried: open only mon 03:00-03:01"), "{page}");
    assert_eq!(bench.tandem(&["explain", "alice"]).status.code(), Some(2));

    // The running switch takes up what was applied, and knows how full its trunks are.
    let deadline = std::time::Instant::now() + after(4000);
    loop {
        let (status, live) = bench.admin("/admin/v1/explain/+8613800138000");
        assert_eq!(status, 200, "{live}");
        if live.contains("mon 03:00-03:01") {
            assert!(live.contains("\"live\":true"), "{live}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "not taken up: {live}");
        thread::sleep(after(100));
    }
}

#[test]
fn a_look_at_a_file_makes_no_database() {
    let bench = Bench::start(&[]);
    let barred = "\n[[companies]]\ncompanycode = \"c\"\nappid = \"c\"\naccesskey = \"k\"\nmerchant = \"test\"\n\
                  cdr_url = \"http://198.51.100.1:9200/\"\nstate_url = \"http://merchant.example:9000/\"\n";
    let file = bench.operator_file(&(bench.operator_text() + barred));
    let nowhere = bench.folder.path().join("nowhere");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["check", &file, "--data"])
        .arg(&nowhere)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Where nothing would be sent is said, with its line, and is no mistake.
    let said = text(&output.stderr);
    assert!(said.contains("companies[0].cdr_url: nothing would be sent there"), "{said}");
    assert!(said.contains(&format!("warning: {file}:")) && !said.contains("state_url"), "{said}");
    assert!(text(&output.stdout).contains("+ merchant test"));
    assert!(!nowhere.exists());
}

#[test]
fn a_second_process_over_the_same_folder_is_refused() {
    let bench = Bench::start(&[]);
    let output = bench.tandem(&["serve", "--sip-udp", "127.0.0.1:0", "--sip-tcp", "off"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("another tandem serves"), "{}", text(&output.stderr));
}

#[test]
fn a_callback_over_tcp_from_end_to_end() {
    let bench = Bench::over(Wire::Tcp, &[]);
    bench.b.behave(Behaviour { hang_up_after: Some(after(1200)), ..Behaviour::default() });
    bench.place("t1");
    bench.both_talk();
    let told = bench.merchant.notified("t1", SHORT);
    assert_eq!(told.value("callback_result"), "success");
    let sent = bench.a.report().log.iter().filter(|line| line.text.contains("SIP/2.0/TCP")).count();
    assert!(sent > 0 && bench.a.report().calls[0].rtp.received > 20);
    bench.finish();
}

#[test]
fn settings_that_are_wrong_are_all_named_and_nothing_starts() {
    let bench = Bench::start(&[]);
    let output =
        bench.tandem(&["serve", "--http", "nowhere", "--set", "sip.t1=soon", "--set", "x=1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for name in ["--http", "--set sip.t1", "--set x"] {
        assert!(said.contains(name), "{name} is not in {said}");
    }
}
