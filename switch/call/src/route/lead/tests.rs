use facts::settings::Merchant;
use facts::{Group, Strategy};

use super::*;
use crate::route::tests::extension;

const PAYER: MerchantId = MerchantId(1);

fn to(user: &str) -> Option<LeadsTo> {
    Some(LeadsTo::Internal(user.into()))
}

/// Extensions 80001 to 80009 and group 80100, otherwise 80002.
fn snapshot(set: impl Fn(&str, &mut Reach)) -> Snapshot {
    let mut snapshot = Snapshot { realm: "tandem.test".into(), ..Snapshot::default() };
    for user in 80_001..80_010 {
        let user = user.to_string();
        let mut one = extension();
        set(&user, &mut one.reach);
        snapshot.extensions.insert(user, one);
    }
    let group = Group {
        merchant: PAYER,
        name: String::new(),
        enabled: true,
        strategy: Strategy::RingAll,
        members: vec!["80001".into()],
        ring_s: 20,
        timeout_s: 60,
        otherwise: to("80002"),
    };
    snapshot.groups.insert("80100".into(), group);
    snapshot
}

fn follow(snapshot: &Snapshot, trail: &mut Trail, user: &str) -> Result<Target, Kind> {
    trail.follow(snapshot, |_| true, (&Number::Internal(user.into()), PAYER))
}

#[test]
fn each_failure_leads_where_the_extension_says() {
    let mut snapshot = snapshot(|user, reach| {
        if user == "80001" {
            *reach = Reach {
                busy: to("80002"),
                no_answer: to("80003"),
                unreachable: to("80004"),
                ..Reach::default()
            };
        }
    });
    for (kind, next) in [
        (Kind::Busy, Some("80002")),
        (Kind::Rejected, Some("80002")),
        (Kind::NoAnswer, Some("80003")),
        (Kind::Unreachable, Some("80004")),
        (Kind::TransportFailed, Some("80004")),
        (Kind::NoBalance, None),
        (Kind::Abandoned, None),
        (Kind::Shutdown, None),
    ] {
        let mut trail = Trail::default();
        assert_eq!(follow(&snapshot, &mut trail, "80001"), Ok(Target::Contacts("80001".into())));
        let next = next.map(|user| Number::Internal(user.into()));
        assert_eq!(trail.next(&snapshot, kind), next, "{kind:?}");
    }
    let mut trail = Trail::default();
    follow(&snapshot, &mut trail, "80001").unwrap();
    let minute = Duration::from_secs(60);
    assert_eq!(trail.ring(minute), Duration::from_secs(20), "so long, where it does not say");
    snapshot.extensions.get_mut("80001").unwrap().reach.no_answer = None;
    follow(&snapshot, &mut trail, "80001").unwrap();
    assert_eq!(trail.ring(minute), minute, "nobody waits for it");
}

#[test]
fn rfc5393_5_3_nobody_is_passed_twice_and_no_chain_is_endless() {
    let round = snapshot(|user, reach| {
        reach.always = match user {
            "80001" => to("80002"),
            "80002" => to("80001"),
            _ => None,
        }
    });
    assert_eq!(follow(&round, &mut Trail::default(), "80001"), Err(Kind::Unreachable));
    let chain = snapshot(|user, reach| {
        reach.always = Some(LeadsTo::Internal((user.parse::<u32>().unwrap() + 1).to_string()));
    });
    assert_eq!(follow(&chain, &mut Trail::default(), "80001"), Err(Kind::Unreachable));
    let five = snapshot(|user, reach| {
        let next = user.parse::<u32>().unwrap() + 1;
        reach.always = (next <= 80_006).then(|| LeadsTo::Internal(next.to_string()));
    });
    let mut trail = Trail::default();
    assert_eq!(follow(&five, &mut trail, "80001"), Ok(Target::Contacts("80006".into())));
    // A group whose overflow leads back to it by way of a member's forwarding.
    let back = snapshot(|user, reach| reach.busy = to("80100").filter(|_| user == "80002"));
    let mut trail = Trail::default();
    assert_eq!(follow(&back, &mut trail, "80100"), Ok(Target::Group("80100".into())));
    let next = trail.next(&back, Kind::Busy).unwrap();
    assert_eq!(follow(&back, &mut trail, next.digits()), Ok(Target::Contacts("80002".into())));
    let next = trail.next(&back, Kind::Busy).unwrap();
    assert_eq!(follow(&back, &mut trail, next.digits()), Err(Kind::Unreachable));
}

#[test]
fn conformance_2_14_whoever_leads_a_call_on_does_not_spend_another_merchants_money() {
    let abroad = || Some(LeadsTo::Public("8613900139000".into()));
    let snapshot = snapshot(|user, reach| reach.always = abroad().filter(|_| user == "80001"));
    let number = Number::Internal("80001".into());
    let follow = |payer| Trail::default().follow(&snapshot, |_| true, (&number, payer));
    assert_eq!(follow(PAYER), Ok(Target::Public(Number::E164("8613900139000".into()))));
    assert_eq!(follow(MerchantId(2)), Err(Kind::Forbidden));
}

fn lines(trail: &Trail, snapshot: &Snapshot, came_with: &[(&str, &str)]) -> Vec<String> {
    let came: Vec<_> =
        came_with.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    let text =
        |(name, value): (String, Vec<u8>)| format!("{name}: {}", String::from_utf8(value).unwrap());
    trail.headers(snapshot, &came).into_iter().map(text).collect()
}

#[test]
fn rfc5806_4_and_rfc7044_10_3_each_turn_is_told_with_its_reason() {
    let mut snapshot = snapshot(|user, reach| {
        if user == "80001" {
            (reach.dnd, reach.busy) = (true, to("80002"));
        }
        reach.no_answer = to("80003").filter(|_| user == "80002");
    });
    let mut trail = Trail::default();
    assert!(lines(&trail, &snapshot, &[]).is_empty());
    follow(&snapshot, &mut trail, "80001").unwrap();
    let next = trail.next(&snapshot, Kind::Busy).unwrap();
    follow(&snapshot, &mut trail, next.digits()).unwrap();
    trail.next(&snapshot, Kind::NoAnswer).unwrap();
    let one = "History-Info: <sip:80001@tandem.test?Reason=SIP%3Bcause%3D486>;index=1";
    let two = "History-Info: <sip:80002@tandem.test?Reason=SIP%3Bcause%3D408>;index=1.1;mp=1";
    let three = "History-Info: <sip:80003@tandem.test>;index=1.1.1;mp=1.1";
    assert_eq!(
        lines(&trail, &snapshot, &[]),
        [
            "Diversion: <sip:80002@tandem.test>;reason=no-answer;counter=1",
            "Diversion: <sip:80001@tandem.test>;reason=do-not-disturb;counter=1",
            one,
            two,
            three,
        ]
    );
    // Behind what the call came with; and to a carrier with the public number of whoever has one.
    let merchant = Merchant {
        name: "acme".into(),
        enabled: true,
        max_calls: None,
        calls_per_second: None,
        max_talk: Duration::from_secs(60),
        language: "en".into(),
        shown: Some("861088889999".into()),
    };
    snapshot.merchants.insert(PAYER, merchant);
    let came = [
        ("Diversion", "<sip:x@far>;reason=unconditional"),
        ("History-Info", "<sip:y@far>;index=1, <sip:x@far>;index=1.2"),
    ];
    let told = lines(&trail, &snapshot, &came);
    assert!(told[0].starts_with("Diversion: <sip:80002@tandem.test>"), "our own phone: {told:?}");
    let reach = &mut snapshot.extensions.get_mut("80002").unwrap().reach;
    reach.no_answer = Some(LeadsTo::Public("8613900001111".into()));
    let mut trail = Trail::default();
    follow(&snapshot, &mut trail, "80001").unwrap();
    let next = trail.next(&snapshot, Kind::Busy).unwrap();
    follow(&snapshot, &mut trail, next.digits()).unwrap();
    trail.next(&snapshot, Kind::NoAnswer).unwrap();
    let told = lines(&trail, &snapshot, &came);
    assert_eq!(told[2], "Diversion: <sip:x@far>;reason=unconditional");
    assert!(told[0].starts_with("Diversion: <sip:+861088889999@tandem.test>"), "{told:?}");
    assert!(told[4].ends_with("cause%3D486>;index=1.2.1"), "{told:?}");
    assert!(told[6].ends_with(";index=1.2.1.1.1;mp=1.2.1.1"), "{told:?}");
}
