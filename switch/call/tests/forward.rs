//! Calls that are led on: always, when busy, not answered or not to be reached, not to be disturbed; who pays,
//! what carriers are told, and where it ends (RFC 5359, RFC 5806, RFC 7044).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::team::{
    CALLER, DIRECT, GROUP, dial, from_carrier, internal, invited, public, team_with, told, wishes,
};
use common::{MERCHANT, NUMBER_A, Sim, callback, s};
use facts::media::{Source, Tone};
use facts::settings::{Merchant, Route, Snapshot};
use facts::{Kind, LegNo, MerchantId, Number, Outcome, Reach, Refusal, Strategy, TrunkId};
use sip::wire::{HeaderName, Message};

/// 80001 has wishes; carrier A leads to mobile phones, and the direct number to 80001.
fn sim(reach: Reach) -> Sim {
    sim_with(reach, |_| {})
}

fn sim_with(reach: Reach, set: impl FnOnce(&mut Snapshot)) -> Sim {
    team_with(Strategy::Sequential, |snapshot| {
        wishes(snapshot, "80001", reach);
        snapshot.routes = vec![Route::new("86138", TrunkId(1), 0)];
        snapshot.inbound.insert(DIRECT.into(), "80001".into());
        set(snapshot);
    })
}

fn lines(message: &Message, name: HeaderName) -> Vec<String> {
    message.lines(name).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// Whom the legs of the only record rang, and for how many seconds each talked.
fn legs(sim: &Sim) -> Vec<(String, u64)> {
    let legs = sim.record().legs.iter();
    legs.map(|leg| (leg.number.digits().to_owned(), leg.bill_seconds())).collect()
}

#[test]
fn rfc5359_2_7_call_forwarding_unconditional() {
    let mut sim = sim(Reach { always: internal("80002"), ..Reach::default() });
    dial(&mut sim, "80001");
    assert_eq!(invited(&sim), [0, 1, 0, 0]);
    let invite = sim.far("two").last("INVITE").clone();
    assert_eq!(
        lines(&invite, HeaderName::Diversion),
        ["<sip:80001@tandem.test>;reason=unconditional;counter=1"]
    );
    assert_eq!(lines(&invite, HeaderName::HistoryInfo).len(), 2);
    assert_eq!(invite.from().unwrap().uri.user_text().as_deref(), Some(CALLER.1), "who calls");
    sim.pick_up("two");
    sim.advance(s(5));
    sim.hang_up("caller");
    assert_eq!(legs(&sim), [("80005".into(), 5), ("80002".into(), 5)]);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_7_to_a_number_the_merchant_pays_from_the_first_leg_on() {
    let mut sim = sim(Reach { always: public(NUMBER_A), ..Reach::default() });
    from_carrier(&mut sim, &[("Diversion", "<sip:x@far>;reason=unconditional")]);
    let quoted = &sim.authorizations[0];
    assert_eq!(quoted.legs.len(), 1);
    assert_eq!(quoted.legs[0].number, Number::E164(NUMBER_A.into()), "held before it is rung");
    assert_eq!(quoted.command.merchant, MERCHANT);
    let invite = sim.far("a").last("INVITE").clone();
    let diversion = lines(&invite, HeaderName::Diversion);
    assert_eq!(diversion.len(), 2, "ours before theirs: {diversion:?}");
    assert_eq!(diversion[1], "<sip:x@far>;reason=unconditional");
    assert_eq!(invite.from().unwrap().uri.user_text().as_deref(), Some("+861088889999"));
    sim.pick_up("a");
    sim.advance(s(7));
    sim.hang_up("a");
    assert_eq!(legs(&sim)[1], (NUMBER_A.into(), 7));
    sim.assert_clean();
}

#[test]
fn rfc5359_2_8_call_forwarding_busy() {
    for (code, rings) in [(486, false), (603, true), (600, false)] {
        let mut sim = sim(Reach { busy: internal("80002"), ..Reach::default() });
        dial(&mut sim, "80001");
        if rings {
            sim.ring("one", 180, None);
        }
        sim.refuse("one", code, None);
        assert_eq!(invited(&sim), [1, 1, 0, 0], "{code}");
        let invite = sim.far("two").last("INVITE").clone();
        let diversion = lines(&invite, HeaderName::Diversion);
        assert!(diversion[0].contains("reason=user-busy"), "{diversion:?}");
        sim.ring("two", 180, None);
        assert_eq!(told(&sim, "caller"), Some(180));
        sim.pick_up("two");
        assert_eq!(told(&sim, "caller"), Some(200));
        assert_eq!(sim.hears(LegNo::A), Some(&Source::Leg(sim.leg(LegNo(2)))));
        assert_eq!(sim.hears(LegNo(2)), Some(&Source::Leg(sim.leg(LegNo::A))));
        sim.advance(s(5));
        sim.hang_up("two");
        assert!(sim.far("caller").ended());
        let whom = [("80005".into(), 5), ("80001".into(), 0), ("80002".into(), 5)];
        assert_eq!(legs(&sim), whom, "each leg once");
        assert_eq!(sim.record().outcome, Outcome::Completed);
        sim.assert_clean();
    }
}

#[test]
fn rfc5359_2_9_call_forwarding_no_answer() {
    let wishes = Reach { no_answer: public(NUMBER_A), no_answer_s: Some(8), ..Reach::default() };
    let mut sim = sim(wishes);
    from_carrier(&mut sim, &[]);
    sim.ring("one", 180, None);
    sim.advance(s(7));
    assert_eq!(sim.far("a").count("INVITE"), 0);
    sim.advance(s(2));
    assert!(sim.far("one").cancelled());
    assert_eq!(sim.added[0].number, Number::E164(NUMBER_A.into()), "held before it is rung");
    let invite = sim.far("a").last("INVITE").clone();
    assert!(lines(&invite, HeaderName::Diversion)[0].contains("reason=no-answer"));
    let history = lines(&invite, HeaderName::HistoryInfo);
    assert!(history[0].contains("Reason=SIP%3Bcause%3D408>;index=1"), "{history:?}");
    assert!(history[1].ends_with("index=1.1;mp=1"), "{history:?}");
    sim.pick_up("a");
    sim.advance(s(61));
    assert!(sim.extensions.iter().any(|ask| ask.leg.no == LegNo(2)), "it is paid as it goes on");
    sim.hang_up("b");
    assert_eq!(legs(&sim)[2], (NUMBER_A.into(), 61));
    sim.assert_clean();
}

#[test]
fn rfc5359_2_12_find_me_asks_one_place_after_the_other() {
    let mut sim = sim_with(
        Reach { no_answer: internal("80002"), no_answer_s: Some(5), ..Reach::default() },
        |snapshot| {
            let next = Reach { busy: public(NUMBER_A), ..Reach::default() };
            wishes(snapshot, "80002", next);
        },
    );
    dial(&mut sim, "80001");
    sim.ring("one", 180, None);
    sim.advance(s(6));
    sim.refuse("two", 486, None);
    sim.pick_up("a");
    let diversion = lines(&sim.far("a").last("INVITE").clone(), HeaderName::Diversion);
    let reasons: Vec<_> = diversion.iter().map(|line| line.split(';').nth(1).unwrap()).collect();
    assert_eq!(reasons, ["reason=user-busy", "reason=no-answer"], "the last one first");
    sim.advance(s(3));
    sim.hang_up("caller");
    assert_eq!(legs(&sim).len(), 4);
    sim.assert_clean();
}

#[test]
fn who_is_not_there_or_not_to_be_disturbed_is_not_rung_and_the_call_goes_on() {
    let absent = |snapshot: &mut Snapshot| {
        let away = Reach { unreachable: internal("80002"), ..Reach::default() };
        snapshot.extensions.insert("80009".into(), common::extension("80009", "right"));
        wishes(snapshot, "80009", away);
    };
    let mut sim = sim_with(Reach { dnd: true, ..Reach::default() }, absent);
    dial(&mut sim, "80009");
    assert_eq!(invited(&sim), [0, 1, 0, 0]);
    let diversion = lines(&sim.far("two").last("INVITE").clone(), HeaderName::Diversion);
    assert!(diversion[0].contains("reason=unavailable"));
    sim.refuse("two", 486, None);
    assert_eq!(told(&sim, "caller"), Some(486), "the last failure is the caller's answer");
    dial(&mut sim, "80001");
    assert_eq!((invited(&sim)[0], told(&sim, "caller")), (0, Some(486)), "do not disturb");
    let dnd = Reach { dnd: true, busy: internal(GROUP), ..Reach::default() };
    common::team::change(&mut sim, |snapshot| wishes(snapshot, "80001", dnd));
    dial(&mut sim, "80001");
    assert_eq!(invited(&sim), [0, 2, 0, 0], "the group passes 80001 over as well");
    sim.hang_up("caller");
    sim.assert_clean();
}

#[test]
fn conformance_2_14_a_chain_ends_after_five_hops_and_another_merchant_does_not_pay() {
    let mut sim = sim_with(Reach { busy: internal("80002"), ..Reach::default() }, |snapshot| {
        let back = Reach { busy: internal("80001"), ..Reach::default() };
        wishes(snapshot, "80002", back);
    });
    dial(&mut sim, "80001");
    sim.refuse("one", 486, None);
    sim.refuse("two", 486, None);
    assert_eq!((invited(&sim), told(&sim, "caller")), ([1, 1, 0, 0], Some(486)), "nobody twice");
    sim.assert_clean();
    // Somebody of another merchant calls; the wish of the one who is called would cost the caller's money.
    let mut sim = sim_with(Reach { busy: public(NUMBER_A), ..Reach::default() }, |snapshot| {
        let other = MerchantId(MERCHANT.0 + 1);
        let merchant = Merchant { name: "other".into(), ..snapshot.merchants[&MERCHANT].clone() };
        snapshot.merchants.insert(other, merchant);
        snapshot.extensions.get_mut(CALLER.1).unwrap().merchant = other;
    });
    dial(&mut sim, "80001");
    sim.refuse("one", 486, None);
    assert_eq!((sim.added.len(), told(&sim, "caller")), (0, Some(486)));
    assert_eq!(sim.far("a").count("INVITE"), 0);
    sim.assert_clean();
}

#[test]
fn a_callback_is_led_on_and_its_caller_hears_ring_back_meanwhile() {
    let mut sim =
        sim(Reach { no_answer: internal("80002"), no_answer_s: Some(5), ..Reach::default() });
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    sim.place(command);
    sim.pick_up("a");
    sim.ring("one", 180, None);
    sim.advance(s(6));
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::RingBack)));
    sim.pick_up("two");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Leg(sim.leg(LegNo(2)))));
    sim.advance(s(5));
    sim.hang_up("a");
    assert_eq!(legs(&sim)[2], ("80002".into(), 5));
    sim.assert_clean();
}

#[test]
fn a_call_cannot_be_led_on_without_money_in_a_drain_or_after_the_caller_left() {
    let busy = || sim(Reach { busy: public(NUMBER_A), ..Reach::default() });
    let mut sim = busy();
    from_carrier(&mut sim, &[]);
    sim.ledger.refuse = Some(Refusal::NoBalance);
    sim.refuse("one", 486, None);
    assert_eq!((sim.far("a").count("INVITE"), told(&sim, "b")), (0, Some(402)));
    sim.assert_clean();
    let mut sim = busy();
    from_carrier(&mut sim, &[]);
    sim.command(call::Command::Drain { grace: s(60) });
    sim.refuse("one", 486, None);
    assert_eq!((sim.added.len(), told(&sim, "b")), (0, Some(486)), "case 45");
    // The ledger is slow, and the caller does not wait for it.
    let mut sim = busy();
    from_carrier(&mut sim, &[]);
    sim.ledger.answers = false;
    sim.refuse("one", 486, None);
    assert_eq!(sim.added.len(), 1);
    sim.hang_up("b");
    let leg = sim.added[0].leg;
    sim.reply(call::Reply::Added { leg, answer: facts::ledger::Added::Paid(Some(s(60))) });
    assert_eq!(sim.far("a").count("INVITE"), 0);
    let Outcome::Failed(why) = sim.record().outcome else { panic!() };
    assert_eq!(why.kind, Kind::Abandoned);
    sim.assert_clean();
}

#[test]
fn a_crash_while_a_call_is_led_on_leaves_nothing_ringing_and_bills_each_leg_once() {
    let mut sim = sim(Reach { busy: public(NUMBER_A), ..Reach::default() });
    from_carrier(&mut sim, &[]);
    sim.refuse("one", 486, None);
    sim.pick_up("a");
    sim.advance(s(20));
    let call = sim.authorizations[0].call;
    let mut last = std::collections::BTreeMap::new();
    for entry in sim.journal.iter().filter(|entry| entry.leg.call == call) {
        last.insert(entry.leg, entry.clone());
    }
    let open = facts::ledger::OpenCall {
        call,
        command: sim.authorizations[0].command.clone(),
        placed: sim.settled.first().map_or(sim.now.wall, |facts| facts.placed),
        legs: last.into_values().collect(),
        alive: sim.now.wall,
    };
    let snapshot = std::sync::Arc::new(sim.snapshot.clone());
    sim.engine = call::Engine::new(common::engine_config(), snapshot, sim.now);
    sim.command(call::Command::Recover(Box::new(open)));
    sim.advance(s(2));
    assert!(sim.far("a").ended() && sim.far("b").ended(), "both ends are let go");
    assert_eq!(legs(&sim).len(), 3);
    assert_eq!(legs(&sim)[1], ("80001".into(), 0));
    assert_eq!(legs(&sim)[2], (NUMBER_A.into(), 20));
    assert!(sim.record().bridged.is_some(), "who took its place had answered");
}

#[test]
fn rfc5359_2_7_an_extension_dials_where_its_calls_go_and_hears_that_it_is_so() {
    let mut sim = sim(Reach::default());
    dial(&mut sim, "*7280002");
    assert_eq!(told(&sim, "caller"), Some(200));
    assert_eq!(sim.authorizations[0].legs, [], "it costs nobody anything");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::Warning)));
    sim.advance(s(2));
    assert!(sim.far("caller").ended(), "and that is all");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    assert_eq!(sim.record().legs.len(), 1);
    let reach = |sim: &Sim| sim.snapshot.extensions[CALLER.1].reach.clone();
    assert_eq!(reach(&sim).always, internal("80002"));
    for (code, expected) in [
        ("*73", Reach::default()),
        ("*78", Reach { dnd: true, ..Reach::default() }),
        ("*79", Reach::default()),
        ("*9013800138000", Reach { busy: public(NUMBER_A), ..Reach::default() }),
        ("*91", Reach::default()),
        ("*9280100", Reach { no_answer: internal(GROUP), ..Reach::default() }),
        ("*93", Reach::default()),
    ] {
        dial(&mut sim, code);
        sim.advance(s(2));
        assert_eq!(reach(&sim), expected, "{code}");
    }
    // To nobody, to itself, to a number that is none; and when the store is away nothing is promised.
    for (code, status) in [("*7280009", 404), ("*7280005", 484), ("*721", 404)] {
        dial(&mut sim, code);
        assert_eq!(told(&sim, "caller"), Some(status), "{code}");
    }
    assert_eq!(reach(&sim), Reach::default());
    sim.assert_clean();
}

#[test]
fn a_wish_that_is_not_written_down_is_not_confirmed() {
    let mut sim = sim(Reach::default());
    sim.ledger.answers = false;
    dial(&mut sim, "*78");
    let call = sim.authorizations[0].call;
    let paid = Vec::new();
    let answer = facts::ledger::Authorized::Granted { paid };
    sim.reply(call::Reply::Authorized { call, answer });
    assert_eq!(told(&sim, "caller"), Some(500), "the store said no");
    assert!(!sim.snapshot.extensions[CALLER.1].reach.dnd);
    sim.assert_clean();
}

#[test]
fn a_bound_phone_is_rung_at_its_own_merchants_cost_alone() {
    let strange = MerchantId(MERCHANT.0 + 1);
    let mut sim = sim_with(Reach::default(), |snapshot| {
        let merchant = snapshot.merchants[&MERCHANT].clone();
        snapshot.merchants.insert(strange, merchant);
        let mut stranger = common::extension("90001", "right");
        stranger.merchant = strange;
        stranger.bound_phone = Some(NUMBER_A.into());
        snapshot.extensions.insert("90001".into(), stranger);
        snapshot.inbound.insert(DIRECT.into(), "90001".into());
        wishes(snapshot, "80002", Reach { always: internal("90001"), ..Reach::default() });
    });
    let inside = |sim: &Sim, at: usize| {
        let legs = &sim.authorizations[at].legs;
        legs.iter().any(|leg| leg.number == Number::Internal("90001".into()))
            && legs.iter().all(|leg| leg.number != Number::E164(NUMBER_A.into()))
    };
    for (at, number) in ["90001", "80002"].into_iter().enumerate() {
        dial(&mut sim, number);
        assert_eq!(told(&sim, "caller"), Some(Kind::Unreachable.row().sip), "{number}");
        assert!(inside(&sim, at), "{number}");
    }
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    command.b.as_mut().unwrap().number = Number::Internal("90001".into());
    sim.place(command);
    sim.pick_up("one");
    assert!(sim.authorizations.len() == 3 && inside(&sim, 2));
    assert_eq!(sim.far("a").count("INVITE"), 0);
    // Who calls from outside is led there at the cost of the one whose number it is.
    from_carrier(&mut sim, &[]);
    assert_eq!(sim.far("a").count("INVITE"), 1);
    let quoted = sim.authorizations.last().unwrap();
    assert_eq!(quoted.command.merchant, strange);
    assert_eq!(quoted.legs[0].number, Number::E164(NUMBER_A.into()));
}
