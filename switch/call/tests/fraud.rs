//! Limits against toll fraud: one gate for what a merchant asks for, what a phone dials, what a transfer adds
//! and what a redirection leads to (advisory classes 13 and 14).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use common::phones::{DESK, SOFT, bind, call_from, own};
use common::*;
use facts::fraud::{Act, CallsTo, FraudLimits, Rule, Scope};
use facts::settings::Snapshot;
use facts::{Hours, Number, Refusal, SubAccountId};
use sip::endpoint::Event;
use sip::wire::{HeaderName, Message};

/// Two phones of one merchant; the limits are set by `scope`.
fn sim(scope: Scope, limits: FraudLimits) -> Sim {
    sim_with(|snapshot| {
        snapshot.fraud.insert(scope, limits);
    })
}

fn sim_with(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                let mut owner = extension(user, "right");
                owner.sub_account = Some(SubAccountId(12));
                snapshot.extensions.insert(user.into(), owner);
            }
            set(snapshot);
        },
    );
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

fn blocks(prefix: &str) -> FraudLimits {
    FraudLimits { block: vec![prefix.to_owned()], ..FraudLimits::default() }
}

fn at_once(prefix: &str, max_calls: u32) -> FraudLimits {
    let to = CallsTo { prefix: prefix.to_owned(), max_calls };
    FraudLimits { calls_to: vec![to], ..FraudLimits::default() }
}

fn merchant() -> Scope {
    Scope::Merchant(MERCHANT)
}

/// How calls of a far end failed.
fn refusals(sim: &mut Sim, name: &str) -> Vec<u16> {
    let events = sim.far(name).events.iter();
    let codes = events.filter_map(|event| match event {
        Event::Failed { code, .. } => Some(*code),
        _ => None,
    });
    codes.collect()
}

fn rules(sim: &Sim) -> Vec<(Rule, bool)> {
    sim.alerts.iter().map(|alert| (alert.rule, alert.blocked)).collect()
}

#[test]
fn class_13_a_phone_may_not_dial_what_is_blocked_for_it_its_sub_account_or_its_merchant() {
    for scope in [merchant(), Scope::SubAccount(SubAccountId(12)), Scope::Extension("80001".into())]
    {
        let mut sim = sim(scope.clone(), blocks("8610"));
        call_from(&mut sim, "desk", "80001", "01088880000");
        assert_eq!(refusals(&mut sim, "desk"), [403]);
        assert!(sim.authorizations.is_empty(), "nothing is asked for");
        assert_eq!(rules(&sim), [(Rule::Destination, true)]);
        assert_eq!(sim.alerts[0].scope, scope);
        assert_eq!((sim.alerts[0].call, sim.alerts[0].prefix.as_str()), (None, "861"));
        // Its colleague's calls do not cost anything and are not looked at.
        call_from(&mut sim, "desk", "80001", "80002");
        assert_eq!(sim.far("soft").count("INVITE"), 1);
    }
    let mut sim = sim(Scope::Extension("80001".into()), blocks("8610"));
    call_from(&mut sim, "soft", "80002", "01088880000");
    assert_eq!(sim.far("b").count("INVITE"), 1, "limits of another one");
}

#[test]
fn class_13_a_merchant_is_under_the_same_gate_and_hears_why() {
    for prefix in ["86138", "8610"] {
        let mut sim = sim(merchant(), blocks(prefix));
        let token = sim.place(callback());
        assert_eq!(sim.placed(token), Err(Refusal::Blocked), "{prefix}: either leg");
        assert!(sim.authorizations.is_empty());
    }
}

#[test]
fn class_13_a_number_bound_to_a_phone_is_looked_at_where_it_rings() {
    let mut sim = sim_with(|snapshot| {
        let mut owner = extension("80003", "right");
        owner.bound_phone = Some(NUMBER_B.into());
        snapshot.extensions.insert("80003".into(), owner);
        snapshot.fraud.insert(merchant(), blocks("8610"));
    });
    call_from(&mut sim, "desk", "80001", "80003");
    assert_eq!(refusals(&mut sim, "desk"), [403]);
    assert_eq!(sim.far("b").count("INVITE"), 0);
}

#[test]
fn class_13_so_many_at_once_to_a_class_and_each_that_ends_makes_room() {
    let mut sim = sim(merchant(), at_once("8610", 2));
    let calls: Vec<_> =
        (0..3).map(|_| call_from(&mut sim, "desk", "80001", "01088880000")).collect();
    assert_eq!(refusals(&mut sim, "desk"), [403], "the third");
    assert_eq!(rules(&sim), [(Rule::CallsTo, true)]);
    assert_eq!(sim.engine.counts().watched, 2);
    let now = sim.now.mono;
    sim.far("desk").endpoint.bye(now, calls[0], None);
    sim.drain();
    assert_eq!(sim.engine.counts().watched, 1, "it went before it was settled");
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(sim.far("b").count("INVITE"), 3);
    // A leg that the ledger refuses counts for nothing.
    sim.ledger.refuse = Some(Refusal::NoBalance);
    sim.far("desk").endpoint.bye(now, calls[1], None);
    sim.drain();
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(sim.engine.counts().watched, 1);
    sim.advance(s(120));
    sim.assert_clean();
}

#[test]
fn class_13_outside_its_hours_nothing_leads_out_but_what_is_short() {
    let set = |snapshot: &mut Snapshot| {
        let hours = Hours::try_from(vec!["mon 03:00-03:01".to_owned()]).unwrap();
        let limits = FraudLimits { hours, block: vec!["1".into()], ..FraudLimits::default() };
        snapshot.fraud.insert(merchant(), limits);
        snapshot.routes.push(facts::settings::Route::new("110", facts::TrunkId(3), 0));
    };
    let mut sim = sim_with(set);
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(refusals(&mut sim, "desk"), [403]);
    assert_eq!(rules(&sim), [(Rule::Hours, true)]);
    call_from(&mut sim, "desk", "80001", "110");
    assert_eq!(sim.far("c").count("INVITE"), 1, "an emergency is never in the way");
}

#[test]
fn class_13_a_limit_that_only_warns_is_told_and_lets_through() {
    let mut sim = sim(merchant(), FraudLimits { act: Act::Warn, ..blocks("8610") });
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(sim.far("b").count("INVITE"), 1);
    assert_eq!(rules(&sim), [(Rule::Destination, false)]);
}

/// REFER in the call that the desk made.
fn refer(sim: &mut Sim, to: &str) -> u16 {
    let heard = &sim.fars["desk"].heard;
    let invited = |message: &&Message| {
        message.status() == Some(200)
            && message.cseq().is_ok_and(|cseq| cseq.method == sip::wire::Method::Invite)
    };
    let answer = heard.iter().rev().find(invited).expect("it is in a call");
    let line = |name| answer.header_str(name).unwrap().to_owned();
    let (from, to_us) = (line(HeaderName::From), line(HeaderName::To));
    let text = format!(
        "REFER sip:x@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {DESK};branch=z9hG4bKr{}\n\
         Max-Forwards: 70\nFrom: {from}\nTo: {to_us}\nCall-ID: {}\nCSeq: {} REFER\n\
         Contact: <sip:x@{DESK}>\nRefer-To: {to}\nContent-Length: 0\n\n",
        heard.len(),
        answer.call_id().unwrap(),
        answer.cseq().unwrap().number,
    );
    sim.raw(DESK, &text);
    sim.fars["desk"]
        .heard
        .iter()
        .rev()
        .find(|message| {
            message.cseq().is_ok_and(|cseq| cseq.method.as_str() == "REFER")
                && message.status().is_some()
        })
        .and_then(Message::status)
        .unwrap()
}

#[test]
fn class_14_a_transfer_to_a_number_that_is_blocked_rings_nobody_and_changes_nothing() {
    let mut sim = sim(merchant(), blocks("86138"));
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(5));
    refer(&mut sim, &format!("<sip:013800138000@{REALM}>"));
    assert!(sim.added.is_empty(), "the ledger is not even asked");
    assert_eq!(sim.far("a").count("INVITE"), 0);
    assert_eq!(rules(&sim), [(Rule::Destination, true)]);
    assert!(sim.engine.live()[0].bridged.is_some(), "they talk on");
    let notify = |message: &&Message| {
        message.is_request() && message.method().is_some_and(|method| method.as_str() == "NOTIFY")
    };
    let told = sim.fars["desk"].heard.iter().filter(notify).map(|message| message.body().to_vec());
    let told: Vec<String> = told.map(|body| String::from_utf8(body).unwrap()).collect();
    assert!(told.last().unwrap().starts_with("SIP/2.0 403"), "{told:?}");
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn class_14_a_transfer_counts_where_a_call_would_and_its_end_makes_room() {
    let mut sim = sim(merchant(), at_once("86", 2));
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(5));
    assert_eq!(refer(&mut sim, &format!("<sip:013800138000@{REALM}>")), 202);
    assert_eq!(sim.engine.counts().watched, 2);
    call_from(&mut sim, "soft", "80002", "01088880000");
    assert_eq!(refusals(&mut sim, "soft"), [403]);
    sim.refuse("a", 486, None);
    assert_eq!(sim.engine.counts().watched, 1);
    sim.hang_up("b");
    sim.assert_clean();
}

/// Carrier A's subscriber calls the desk, and asks for nothing himself.
fn desk_is_called() -> Sim {
    desk_is_called_under(Scope::Extension("80001".into()))
}

fn desk_is_called_under(scope: Scope) -> Sim {
    let mut sim = sim(scope, blocks("8610"));
    // Whose limits a call is under is told by its two numbers: the group's is no extension of theirs.
    team::change(&mut sim, |snapshot| {
        let group = team::group(facts::Strategy::RingAll, &["80001"]);
        snapshot.groups.insert(team::GROUP.into(), group);
        snapshot.inbound.insert(team::DIRECT.into(), team::GROUP.into());
    });
    team::from_carrier(&mut sim, &[]);
    sim.pick_up("desk");
    sim.advance(s(5));
    assert!(sim.engine.live()[0].bridged.is_some());
    sim
}

fn refer_called(sim: &mut Sim, to: &str) -> u16 {
    transfers::refer(sim, "desk", &format!("<sip:{to}@{REALM}>"))
}

#[test]
fn class_14_whoever_took_a_call_of_a_group_transfers_within_its_own_limits() {
    let sub_account = Scope::SubAccount(SubAccountId(12));
    for scope in [Scope::Extension("80001".into()), sub_account.clone()] {
        let mut sim = desk_is_called_under(scope.clone());
        let before = sim.far("b").count("INVITE");
        refer_called(&mut sim, "01088880000");
        assert!(sim.added.is_empty(), "the ledger is not even asked");
        assert_eq!(sim.far("b").count("INVITE"), before);
        assert_eq!(sim.alerts.len(), 1, "{scope}");
        assert_eq!(sim.alerts[0].scope, scope);
    }
    let mut sim = desk_is_called();
    assert_eq!(refer_called(&mut sim, "013800138000"), 202);
    let own = vec![sub_account, Scope::Extension("80001".into())];
    assert_eq!(sim.added[0].own, own, "the ledger judges by them as well");
}

#[test]
fn class_13_the_first_leg_of_a_callback_counts_while_the_second_is_judged() {
    let mut one = sim(merchant(), at_once("86", 1));
    let token = one.place(callback());
    assert_eq!(one.placed(token), Err(Refusal::Blocked), "both are of the class");
    assert_eq!(rules(&one), [(Rule::CallsTo, true)]);
    assert_eq!(one.engine.counts().watched, 0);
    let mut two = sim(merchant(), at_once("86", 2));
    let token = two.place(callback());
    two.placed(token).unwrap();
    assert_eq!(two.engine.counts().watched, 2);
}

#[test]
fn class_14_a_leg_that_never_came_to_be_keeps_no_place() {
    let mut sim = sim(merchant(), at_once("86", 2));
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(5));
    let to = format!("<sip:013800138000@{REALM}>");
    // The ledger refuses it.
    sim.ledger.refuse = Some(Refusal::NoBalance);
    assert_eq!(refer(&mut sim, &to), 202);
    assert_eq!((sim.added.len(), sim.engine.counts().watched), (1, 1));
    // It fails, or says nothing in time.
    sim.ledger.refuse = None;
    sim.ledger.answers = false;
    assert_eq!(refer(&mut sim, &to), 202);
    assert_eq!(sim.engine.counts().watched, 2, "as long as it is asked");
    let leg = sim.added[1].leg;
    sim.reply(call::Reply::AddFailed { leg });
    assert_eq!(sim.engine.counts().watched, 1);
    assert_eq!(refer(&mut sim, &to), 202);
    sim.advance(s(30));
    assert_eq!((sim.added.len(), sim.engine.counts().watched), (3, 1));
    // It is granted, and nothing leads there any more.
    assert_eq!(refer(&mut sim, &to), 202);
    team::change(&mut sim, |snapshot| {
        snapshot.trunks.get_mut(&facts::TrunkId(1)).unwrap().enabled = false;
    });
    let leg = sim.added[3].leg;
    let answer = facts::ledger::Added::Paid(Some(s(60)));
    sim.reply(call::Reply::Added { leg, answer });
    assert_eq!(sim.far("a").count("INVITE"), 0);
    assert_eq!(sim.engine.counts().watched, 1);
    sim.ledger.answers = true;
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn class_14_a_phone_that_redirects_to_a_number_leads_nowhere() {
    let mut sim = sim(merchant(), FraudLimits::default());
    call_from(&mut sim, "desk", "80001", "80002");
    let now = sim.now.mono;
    let far = sim.far("soft");
    let session = far.session();
    let premium = format!("<sip:013800138000@{REALM}>, <tel:+8613800138000>");
    let headers = vec![("Contact".to_owned(), premium.into_bytes())];
    far.endpoint.reject(now, session, 302, headers);
    sim.drain();
    assert_eq!(sim.far("a").count("INVITE"), 0, "nobody has paid for it");
    assert_eq!(sim.authorizations.len(), 1);
    assert!(matches!(sim.authorizations[0].legs[0].number, Number::Internal(_)));
    assert!(own("80001").is_some());
}
