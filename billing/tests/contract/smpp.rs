//! Lines to networks: their settings, and parts of messages that came by them (spec §5.5, §5.6).

use billing::Store;
use billing::desired::Act;
use billing::smpp::{Alphabet, Bind, Kept, LongTexts, Part, PartOf, Version};
use facts::UnixMillis;

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
        window = 50
        per_second = 20
        enquire_seconds = 15
        sms = false
        ussd = true
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
    assert_eq!((plain.sender_ton, plain.sms, plain.ussd, plain.enabled), (None, true, false, true));
    assert_eq!(plain.password, "hidden");
    assert_eq!(
        (full.port, full.tls, full.version, full.bind),
        (3550, true, Version::V50, Bind::Pair)
    );
    assert_eq!((full.alphabet, full.long_texts), (Alphabet::Latin1, LongTexts::Sar));
    assert_eq!((full.sender_ton, full.sender_npi, full.window), (Some(3), Some(8), 50));
    assert_eq!((full.sms, full.ussd), (false, true));
    // A line by which messages leave is not taken away.
    let ways = "[sms]\nways = [\"phone\", \"smpp:carrier\"]";
    assert_eq!(apply(ways).await.mistakes, []);
    let less = "prune = true\n[[smpp_links]]\nname = \"menus\"\nhost = \"h\"\nsystem_id = \"t\"";
    let told = apply(less).await.mistakes;
    assert!(told.len() == 1 && told[0].message.contains("sms.ways"), "{told:?}");
    assert_eq!(apply("[sms]\nways = [\"phone\", \"smpp:menus\"]").await.mistakes, []);
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
        [[smpp_links]]
        name = "b"
        host = ""
        system_id = ""
        "#;
    let told: Vec<String> = apply(wrong).await.mistakes.into_iter().map(|one| one.path).collect();
    for field in [
        "[0].name",
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
    ] {
        assert!(told.contains(&format!("smpp_links{field}")), "{field}: {told:?}");
    }
}

pub(crate) async fn s5_5_parts_wait_for_the_others_and_are_whole_once(store: Store, _: String) {
    fill(&store, "0").await;
    let of = |reference| PartOf {
        link: "carrier".into(),
        sender: "989123456789".into(),
        recipient: "3000".into(),
        reference,
        total: 3,
    };
    let part = |number: u8| Part { number, coding: 8, octets: vec![0, number] };
    let keep = async |reference, number, ms| {
        store.keep_part(of(reference), part(number), UnixMillis(ms)).await.unwrap()
    };
    assert!(matches!(keep(1, 3, 10).await, Kept::Waits));
    // Again: it is the same part.
    assert!(matches!(keep(1, 3, 11).await, Kept::Waits));
    assert!(matches!(keep(2, 1, 11).await, Kept::Waits), "another message");
    assert!(matches!(keep(1, 1, 12).await, Kept::Waits));
    let Kept::Whole(parts) = keep(1, 2, 13).await else { panic!("not whole") };
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((parts[1].coding, parts[1].octets.as_slice()), (8, &[0, 2][..]));
    // Until it is handed on it stays whole.
    assert!(matches!(keep(1, 2, 14).await, Kept::Whole(_)));
    store.forget_parts(of(1)).await.unwrap();
    assert!(matches!(keep(1, 1, 15).await, Kept::Waits), "a new message of the same name");
    // After a day nobody waits any more.
    let day = 86_400_000;
    assert_eq!(store.purge(UnixMillis(day)).await.unwrap(), 0);
    assert_eq!(store.purge(UnixMillis(day + 16)).await.unwrap(), 2);
}
