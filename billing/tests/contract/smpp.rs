//! Lines to networks: their settings, and parts of messages that came by them (spec §5.5, §5.6).

use billing::Store;
use billing::desired::Act;
use std::time::Duration;

use billing::smpp::{Alphabet, Bind, Came, Ids, Kept, LongTexts, Part, PartOf, Version};
use billing::sms::{NewInbound, PartState, SmsSent, SmsState};
use facts::UnixMillis;
use facts::sms::{Arrived, Delivery, Receipt};

use crate::support::*;

pub(crate) async fn s5_6_links_stand_in_the_file_and_their_passwords_nowhere_else(
    store: Store,
    _: String,
) {
    fill(&store, "0").await;
    let file = r#"
        prune = true
        [[smpp_links]]
        name = "carrier"
        host = "smsc.example"
        system_id = "tandem"
        password = "hidden"
        [[smpp_links]]
        name = "menus"
        host = "2001:db8::1"
        port = 3550
        tls = true
        version = "5.0"
        system_id = "tandem"
        system_type = "VMA"
        bind = "pair"
        sender = "3000"
        sender_ton = 3
        sender_npi = 8
        alphabet = "latin1"
        long_texts = "sar"
        ids = "hex_then_decimal"
        window = 50
        per_second = 20
        enquire_seconds = 15
        sms = false
        ussd = true
        node = 7
        "#;
    let apply = async |text: &str| store.apply(&from_toml(text), at(1), false).await.unwrap();
    let changes = apply(file).await;
    assert_eq!((changes.mistakes.as_slice(), changes.count(Act::Created)), (&[][..], 2));
    assert!(!format!("{changes:?}").contains("hidden"));
    assert_eq!(apply(file).await.count(Act::Unchanged), 2);
    let links = store.smpp_links().await.unwrap();
    assert!(!format!("{links:?}{}", serde_json::to_string(&links).unwrap()).contains("hidden"));
    let (plain, full) = (&links[0], &links[1]);
    assert_eq!(
        (plain.port, plain.tls, plain.version, plain.bind),
        (2775, false, Version::V34, Bind::Transceiver)
    );
    assert_eq!((plain.window, plain.per_second, plain.enquire_seconds), (10, 0, 30));
    assert_eq!((plain.alphabet, plain.long_texts), (Alphabet::Gsm, LongTexts::Udh));
    assert_eq!((plain.ids, full.ids), (Ids::Same, Ids::HexThenDecimal));
    assert_eq!((plain.sender_ton, plain.sms, plain.ussd, plain.enabled), (None, true, false, true));
    assert_eq!(plain.password, "hidden");
    assert_eq!(
        (full.port, full.tls, full.version, full.bind),
        (3550, true, Version::V50, Bind::Pair)
    );
    assert_eq!((full.alphabet, full.long_texts), (Alphabet::Latin1, LongTexts::Sar));
    assert_eq!((full.sender_ton, full.sender_npi, full.window), (Some(3), Some(8), 50));
    assert_eq!((full.sms, full.ussd, full.node, plain.node), (false, true, Some(7), None));
    // A line by which messages leave is not taken away.
    let ways = "[sms]\nways = [\"phone\", \"smpp:carrier\"]";
    assert_eq!(apply(ways).await.mistakes, []);
    let less = "prune = true\n[[smpp_links]]\nname = \"menus\"\nhost = \"h\"\nsystem_id = \"t\"";
    let told = apply(less).await.mistakes;
    assert!(told.len() == 1 && told[0].message.contains("sms.ways"), "{told:?}");
    let link = "[[smpp_links]]\nname = \"carrier\"\nhost = \"smsc.example\"\nsystem_id = \"tandem\"\nsms = false\nussd = true";
    let told = apply(link).await.mistakes;
    assert!(told.len() == 1 && told[0].path == "smpp_links[0].sms", "{told:?}");
    // Nor does anything leave by one that takes no messages.
    let ways = "[sms]\nways = [\"phone\", \"smpp:menus\"]";
    let told = apply(ways).await.mistakes;
    assert!(told.len() == 1 && told[0].message.contains("sms = false"), "{told:?}");
    let link = "[[smpp_links]]\nname = \"menus\"\nhost = \"2001:db8::1\"\nsystem_id = \"tandem\"";
    assert_eq!(apply(&format!("{ways}\n{link}")).await.mistakes, []);
    let less = "prune = true\n[[smpp_links]]\nname = \"menus\"\nhost = \"h\"\nsystem_id = \"t\"";
    let changes = apply(less).await;
    assert_eq!((changes.count(Act::Removed), changes.count(Act::Updated)), (1, 1));
    let wrong = r#"
        [[smpp_links]]
        name = "a b"
        host = "smsc.example/x"
        port = 0
        system_id = "longer than fifteen"
        password = "morethan8"
        system_type = "longer than this"
        sender = "پیام"
        sender_ton = 99
        window = 0
        per_second = 10001
        enquire_seconds = 4
        node = 1
        [[smpp_links]]
        name = "b"
        host = "192.0.2.1:2775"
        system_id = ""
        [[smpp_links]]
        name = "c"
        host = "[2001:db8::1]"
        system_id = "t"
        sms = false
        [sms]
        ways = ["smpp:b", "smpp:d"]
        "#;
    let told: Vec<String> = apply(wrong).await.mistakes.into_iter().map(|one| one.path).collect();
    for field in [
        "[0].name",
        "[0].node",
        "[0].host",
        "[0].port",
        "[0].system_id",
        "[0].password",
        "[0].system_type",
        "[0].sender",
        "[0].sender_ton",
        "[0].window",
        "[0].per_second",
        "[0].enquire_seconds",
        "[1].host",
        "[1].system_id",
        "[2].host",
        "[2].sms",
    ] {
        assert!(told.contains(&format!("smpp_links{field}")), "{field}: {told:?}");
    }
    // A line that is wrong is no line that is missing.
    let ways: Vec<_> = told.iter().filter(|path| path.starts_with("sms.ways")).collect();
    assert_eq!(ways, ["sms.ways[1]"]);
}

fn of(sender: &str, reference: u32) -> PartOf {
    PartOf {
        link: "carrier".into(),
        sender: sender.into(),
        recipient: "3000".into(),
        reference,
        total: 3,
    }
}

fn part(number: u8, letter: u8) -> Part {
    Part { number, coding: 8, octets: vec![letter, number] }
}

/// Hands a message on at this millisecond; false where it came before.
async fn hand_on(store: &Store, once: &str, parts: Option<PartOf>, ms: i64) -> bool {
    let arrived = Arrived {
        link: "carrier".into(),
        once: once.into(),
        from: "989123456789".into(),
        to: "3000".into(),
        text: "1".into(),
    };
    let new = NewInbound { arrived, public: true, words: super::sms::words };
    let came = Came { same: Some(Duration::from_secs(90)), renewed: true, parts };
    store.sms_came(new, came, UnixMillis(ms)).await.unwrap()
}

pub(crate) async fn s5_5_parts_wait_for_the_others_and_are_whole_once(store: Store, _: String) {
    fill(&store, "0").await;
    let phone = "989123456789";
    let keep_of = async |reference, (number, letter), ms| {
        let (of, part) = (of(phone, reference), part(number, letter));
        store.keep_part(of, part, UnixMillis(ms)).await.unwrap()
    };
    let keep = async |reference, number, ms| keep_of(reference, (number, 0), ms).await;
    assert!(matches!(keep(1, 3, 10).await, Kept::Waits));
    // Again: it is the same part.
    assert!(matches!(keep(1, 3, 11).await, Kept::Waits));
    assert!(matches!(keep(2, 1, 11).await, Kept::Waits), "another message");
    assert!(matches!(keep(1, 1, 12).await, Kept::Waits));
    let Kept::Whole(parts) = keep(1, 2, 13).await else { panic!("not whole") };
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((parts[1].coding, parts[1].octets.as_slice()), (8, &[0, 2][..]));
    // Until it is handed on it stays whole; then a part that comes again changes nothing.
    assert!(matches!(keep(1, 2, 14).await, Kept::Whole(_)));
    assert!(hand_on(&store, "long", Some(of(phone, 1)), 14).await);
    assert!(matches!(keep(1, 3, 15).await, Kept::Again));
    assert!(!hand_on(&store, "long", Some(of(phone, 1)), 15).await);
    // The next message of the same name has none of its parts.
    assert!(matches!(keep_of(1, (1, 7), 16).await, Kept::Waits));
    assert!(matches!(keep_of(1, (2, 7), 17).await, Kept::Waits));
    // Nor has one that begins long after another of which a part was lost; slow ones wait for each other.
    let minute = 60_000;
    assert!(matches!(keep_of(1, (3, 8), 11 * minute).await, Kept::Waits), "those are too old");
    assert!(matches!(keep_of(1, (1, 8), 20 * minute).await, Kept::Waits));
    let Kept::Whole(parts) = keep_of(1, (2, 8), 29 * minute).await else { panic!("not whole") };
    assert!(parts.iter().all(|part| part.octets[0] == 8));
    // After a day nobody waits any more.
    let day = 86_400_000;
    assert_eq!(store.purge(UnixMillis(day)).await.unwrap(), 0);
    assert_eq!(store.purge(UnixMillis(day + 12)).await.unwrap(), 1);
    assert_eq!(store.purge(UnixMillis(day + 30 * minute)).await.unwrap(), 3);
}

/// Parts whose others never come keep only their sender from more, and only while the others may still come.
pub(crate) async fn s5_5_parts_of_nothing_close_a_link_to_nobody_else(store: Store, _: String) {
    fill(&store, "0").await;
    let keep = async |sender: &str, reference, number, ms| {
        let (of, part) = (of(sender, reference), part(number, 0));
        store.keep_part(of, part, UnixMillis(ms)).await.unwrap()
    };
    let (noisy, other) = ("989120000000", "989123456789");
    for reference in 0..500 {
        assert!(matches!(keep(noisy, reference, 1, 10).await, Kept::Waits), "{reference}");
    }
    assert!(matches!(keep(noisy, 500, 1, 11).await, Kept::Full));
    assert!(matches!(keep(other, 1, 1, 11).await, Kept::Waits));
    // What has begun may become whole.
    assert!(matches!(keep(noisy, 7, 2, 12).await, Kept::Waits));
    assert!(matches!(keep(noisy, 7, 3, 12).await, Kept::Whole(_)));
    let minute = 60_000;
    assert!(matches!(keep(noisy, 500, 1, 11 * minute).await, Kept::Waits), "they never come");
}

/// A network brings the parts of a message one behind the other, and does not wait for our answers.
pub(crate) async fn s5_5_of_parts_that_come_at_one_time_one_makes_it_whole(
    store: Store,
    _: String,
) {
    fill(&store, "0").await;
    for message in 0..12 {
        let phone = format!("98912345678{message}");
        let keeping: Vec<_> = (1..=3)
            .map(|number| {
                let (store, of) = (store.clone(), of(&phone, 1));
                tokio::spawn(async move {
                    store.keep_part(of, part(number, 0), UnixMillis(10)).await.unwrap()
                })
            })
            .collect();
        let mut whole = 0;
        for kept in keeping {
            match kept.await.unwrap() {
                Kept::Whole(parts) => {
                    assert_eq!(parts.len(), 3);
                    whole += 1;
                }
                kept => assert!(matches!(kept, Kept::Waits)),
            }
        }
        assert_eq!(whole, 1, "message {message}");
    }
}

/// Nothing names a message of a network: the same words soon after are one that came again, later they are another.
pub(crate) async fn s5_5_the_same_words_are_another_message_after_a_while(store: Store, _: String) {
    fill(&store, "0").await;
    // On both sides of any boundary of minutes.
    let start = 599_000;
    assert!(hand_on(&store, "1", None, start).await);
    assert!(!hand_on(&store, "1", None, start + 2_000).await);
    assert!(!hand_on(&store, "1", None, start + 90_000).await);
    assert!(!hand_on(&store, "1", None, start + 170_000).await, "it was brought just now");
    assert!(hand_on(&store, "1", None, start + 261_000).await, "he votes again");
    assert!(!hand_on(&store, "1", None, start + 262_000).await);
    assert!(hand_on(&store, "1", None, start + 353_000).await);
    let at_once: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { hand_on(&store, "1", None, start + 450_000).await })
        })
        .collect();
    let mut new = 0;
    for one in at_once {
        new += i32::from(one.await.unwrap());
    }
    assert_eq!(new, 1);
    assert_eq!(store.sms_inbound(None, 0, 10).await.unwrap().len(), 4);
}

/// Which parts have left is known to whoever tries the rest; a receipt of long ago is of another message.
pub(crate) async fn s5_5_parts_that_have_left_are_known_and_old_receipts_are_nobodys(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1").await;
    let left = async |total| store.parts_left("carrier", 7, total).await.unwrap();
    let note = async |number, reference: &str| {
        let (of, part) = (("carrier", 7), (number, 3));
        store.part_left(of, part, reference, UnixMillis(5)).await.unwrap();
    };
    note(1, "a").await;
    note(1, "again").await;
    note(2, "").await;
    assert_eq!(left(3).await, ["a", ""]);
    assert!(left(2).await.is_empty(), "it is cut in another way now");
    assert!(store.parts_left("other", 7, 3).await.unwrap().is_empty());
    assert_eq!(store.purge(UnixMillis(86_400_000 + 6)).await.unwrap(), 2);
    assert!(left(3).await.is_empty());

    let receipt = async |reference: &str, s| {
        let (link, word) = ("carrier".to_owned(), "UNDELIV".to_owned());
        let (reference, delivery) = (reference.to_owned(), Delivery::Undelivered);
        let receipt = Receipt { link, reference, delivery, word };
        assert!(store.sms_receipt(receipt, at(s)).await.unwrap());
    };
    receipt("old", 10).await;
    receipt("early", 2_000).await;
    let sale = super::sms::sale(merchant, &["8613800138000"], "hello");
    super::sms::sold(&store, sale, 2_000).await;
    let sms = store.take_sms(at(2_100), 1).await.unwrap().remove(0);
    let references = vec!["old".to_owned(), "early".to_owned()];
    let taken = SmsSent::Taken("smpp:carrier".into(), references);
    store.note_sms((sms.id, sms.lease), taken, at(2_101)).await.unwrap();
    let parts = store.sms_parts((sms.id, sms.id)).await.unwrap();
    let states: Vec<_> = parts.iter().map(|part| (part.reference.as_str(), part.state)).collect();
    assert_eq!(states, [("early", PartState::Undelivered), ("old", PartState::Sent)]);
}

/// Hours may be between the first part of a message and its last: what is told of the first meanwhile is of it.
pub(crate) async fn s5_5_a_receipt_of_a_part_that_left_long_before_the_others_counts(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "2").await;
    let sale = || super::sms::sale(merchant, &["8613800138000"], "hello");
    let receipt = async |reference: &str, delivery, s| {
        let (link, word) = ("carrier".to_owned(), String::new());
        let receipt = Receipt { link, reference: reference.to_owned(), delivery, word };
        assert!(store.sms_receipt(receipt, at(s)).await.unwrap());
    };
    let left = async |sms: i64, reference: &str, s| {
        store.part_left(("carrier", sms), (1, 2), reference, at(s)).await.unwrap();
    };
    let state = async |id: i64| {
        store.sms(billing::sms::SmsAsked::page(id - 1, 1)).await.unwrap().remove(0).state
    };
    super::sms::sold(&store, sale(), 1).await;
    let sms = store.take_sms(at(2), 1).await.unwrap().remove(0);
    left(sms.id, "a", 3).await;
    receipt("a", Delivery::Delivered, 10).await;
    assert_eq!(state(sms.id).await, SmsState::Pending);
    let sms = store.take_sms(at(7_200), 1).await.unwrap().remove(0);
    let taken = SmsSent::Taken("smpp:carrier".into(), vec!["a".into(), "b".into()]);
    store.note_sms((sms.id, sms.lease), taken, at(7_201)).await.unwrap();
    receipt("b", Delivery::Delivered, 7_202).await;
    assert_eq!(state(sms.id).await, SmsState::Delivered);
    // One that went whole by another way in the end: a part that had left before is none of it.
    super::sms::sold(&store, sale(), 8_000).await;
    let sms = store.take_sms(at(8_001), 1).await.unwrap().remove(0);
    left(sms.id, "c", 8_002).await;
    receipt("c", Delivery::Undelivered, 8_003).await;
    store
        .note_sms((sms.id, sms.lease), SmsSent::Taken("phone".into(), vec![]), at(8_004))
        .await
        .unwrap();
    assert_eq!(state(sms.id).await, SmsState::Sent);
    assert!(store.sms_parts((sms.id, sms.id)).await.unwrap().is_empty());
}
