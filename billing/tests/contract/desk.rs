//! What companies of system 002 keep themselves: sounds, groups, who has signed in to them.

use billing::campaigns::{Campaign, CampaignState, Plan, Takers};
use billing::library::{Kept, OCTETS_MAX};
use billing::signs::{Done, Sign};
use billing::{Once, Store};

use crate::support::*;

pub(crate) async fn s4_9_sounds_of_a_company_are_kept_whole_and_within_bounds(
    store: Store,
    url: String,
) {
    store.migrate().await.unwrap();
    let octets: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let keep = async |company: &str, name: &str, octets: Vec<u8>| {
        store.keep_sound(company, (name, "wav"), (octets, 7), at(0)).await.unwrap()
    };
    assert_eq!(keep("1", "spring", octets.clone()).await, Kept::Kept);
    let sound = store.sound("1", "spring").await.unwrap().unwrap();
    assert_eq!((sound.length, sound.millis), (3_000_000, 7));
    // Another process has it as well.
    let other = Store::open(&url, billing::StoreConfig::default()).await.unwrap();
    assert_eq!(other.sound_octets("1", &sound.sum).await.unwrap(), Some(octets.clone()));
    assert_eq!(store.sound_octets("2", &sound.sum).await.unwrap(), None);
    // Its successor is there, or it is: never neither, never half of one.
    let replace = async {
        for n in 0..5 {
            keep("1", "spring", vec![n; 500_000]).await;
        }
    };
    let look = async {
        for _ in 0..20 {
            let sound = other.sound("1", "spring").await.unwrap().expect("one of them");
            if let Some(octets) = other.sound_octets("1", &sound.sum).await.unwrap() {
                assert_eq!(octets.len() as u64, sound.length);
            }
        }
    };
    tokio::join!(replace, look);
    assert_eq!(store.sounds("1").await.unwrap().len(), 1);
    // Two that come at once do not pass the bound together.
    let share = usize::try_from(OCTETS_MAX / 10).unwrap();
    for n in 0..9 {
        assert_eq!(keep("1", &format!("s{n}"), vec![0; share]).await, Kept::Kept);
    }
    let (one, two) =
        tokio::join!(keep("1", "a", vec![0; share / 2]), keep("1", "b", vec![0; share / 2]));
    let kept = [one, two].iter().filter(|kept| **kept == Kept::Kept).count();
    assert_eq!(kept, 1, "{one:?} {two:?}");
    assert!(store.drop_sound("1", "spring", at(9)).await.unwrap());
    assert!(!store.drop_sound("1", "spring", at(9)).await.unwrap());
    other.close().await;
}

/// A call that was promised a sound hears it, whatever becomes of its name.
pub(crate) async fn s4_9_a_sound_that_lost_its_name_is_kept_for_a_while(store: Store, _: String) {
    store.migrate().await.unwrap();
    let keep = async |name: &str, octets: Vec<u8>, second: u64| {
        let kept = store.keep_sound("1", (name, "wav"), (octets, 7), at(second)).await.unwrap();
        assert_eq!(kept, Kept::Kept);
        store.sound("1", name).await.unwrap().unwrap().sum
    };
    let there = async |sum: &str| store.sound_octets("1", sum).await.unwrap().is_some();
    let first = keep("a", vec![1; 600_000], 0).await;
    let second = keep("a", vec![2; 600_000], 100).await;
    assert!(there(&first).await && there(&second).await);
    assert!(store.drop_sound("1", "a", at(200)).await.unwrap());
    assert!(store.sounds("1").await.unwrap().is_empty());
    store.purge(at(690)).await.unwrap();
    assert!(there(&first).await && there(&second).await);
    store.purge(at(750)).await.unwrap();
    assert!(!there(&first).await && there(&second).await);
    // Sent in again it has its name, and then nothing ends it; two names share it.
    assert_eq!(keep("b", vec![2; 600_000], 300).await, second);
    assert_eq!(keep("c", vec![2; 600_000], 300).await, second);
    assert!(store.drop_sound("1", "b", at(400)).await.unwrap());
    store.purge(at(9_000)).await.unwrap();
    assert!(there(&second).await);
    // Nobody fills the store with what has no name: the last 32 MiB of it stay.
    let mut sums = Vec::new();
    for n in 0..5_u8 {
        sums.push(keep("d", vec![n; 10 << 20], 9_000 + u64::from(n)).await);
    }
    assert!(!there(&sums[0]).await, "the oldest");
    for sum in &sums[1..] {
        assert!(there(sum).await);
    }
}

/// A client that waits no longer sends the same again, while the first is still written.
pub(crate) async fn s4_9_the_same_sound_sent_in_twice_at_once_is_kept_for_both(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    let octets: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let keep =
        |name: &'static str| store.keep_sound("1", (name, "wav"), (octets.clone(), 7), at(0));
    let (a, b, c) = tokio::join!(keep("a"), keep("a"), keep("b"));
    for kept in [a, b, c] {
        assert_eq!(kept.unwrap(), Kept::Kept);
    }
    let sum = store.sound("1", "b").await.unwrap().unwrap().sum;
    assert_eq!(store.sound_octets("1", &sum).await.unwrap(), Some(octets));
}

/// Whoever writes beside a long sound waits for a piece of it at most.
pub(crate) async fn case_49_what_is_settled_does_not_wait_for_sounds(store: Store, _: String) {
    store.migrate().await.unwrap();
    let long = store.keep_sound("1", ("long", "mp3"), (vec![7; 10 << 20], 7), at(0));
    let beside = async {
        let mut written = 0;
        while store.sound("1", "long").await.unwrap().is_none() {
            let repeat = (facts::MerchantId(1), format!("k{written}"));
            store.note_repeat(repeat, "f".into(), at(1)).await.unwrap();
            written += 1;
        }
        written
    };
    let (kept, written) = tokio::join!(long, beside);
    assert_eq!(kept.unwrap(), Kept::Kept);
    assert!(written >= 10, "{written} were committed while the sound was written");
}

pub(crate) async fn s4_9_who_signs_in_or_out_is_what_the_engine_reads(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let version = async || store.settings_version().await.unwrap();
    let once = || Once::fresh().unwrap();
    let add = async |name: &str| {
        store.add_group(&once(), at(1), "company 1", (merchant, name, true)).await.unwrap()
    };
    let before = version().await;
    let made = add("night").await.unwrap();
    assert_eq!(add("night").await, Err(Done::Taken));
    assert_eq!(add(&made).await, Err(Done::Taken), "it is the number of that one");
    assert!(version().await > before, "engines read the settings anew");
    let snapshot = store.snapshot().await.unwrap();
    let (number, group) = snapshot.groups.iter().find(|(_, group)| group.name == "night").unwrap();
    assert!(group.enabled && group.merchant == merchant && group.members.is_empty());
    assert_eq!(*number, made);
    // What has the name of a number that comes later is no hindrance to whom that number leads.
    let later = (made.parse::<u32>().unwrap() + 2).to_string();
    let odd = add(&later).await.unwrap();
    assert_ne!(odd, later);
    let next = add("late").await.unwrap();
    assert!(next != later && next != odd);
    for number in [odd, next] {
        let gone = store.remove_group(&once(), at(1), "company 1", (merchant, &number)).await;
        assert_eq!(gone.unwrap(), Done::Done);
    }
    let sign = async |present: bool, second: u64| {
        let (number, extension) = (number.clone(), "70000".to_owned());
        let sign = Sign { number, extension, present, crmid: "7".into(), at: at(second) };
        store.sign(&once(), "company 1", sign).await.unwrap()
    };
    let members = async || store.snapshot().await.unwrap().groups[number].members.clone();
    // Who never was a member has nothing to leave.
    assert_eq!(sign(false, 1).await, Done::Done);
    assert!(store.signs().await.unwrap().is_empty());
    let (known, trail) = (version().await, store.trail_head().await.unwrap().entry);
    assert_eq!(sign(true, 2).await, Done::Done);
    assert_eq!(members().await, ["70000"]);
    assert_eq!(sign(true, 3).await, Done::Done);
    assert_eq!(version().await, known + 1, "what is so already is no change");
    let entries = store.trail(trail, 9).await.unwrap();
    assert_eq!((entries.len(), entries[0].act.as_str()), (1, "sign_in"));
    assert_eq!(store.signs().await.unwrap()[number][0].at, at(3));
    // The operator's file changes nothing of it, nor does a prune take what merchants made.
    let mut desired = basics("0");
    desired.prune = true;
    desired.groups.push(
        from_toml("[[groups]]\nnumber = \"70900\"\nmerchant = \"test\"\nmembers = [\"70000\"]")
            .groups
            .remove(0),
    );
    assert_eq!(store.apply(&desired, at(4), false).await.unwrap().mistakes, []);
    assert_eq!(members().await, ["70000"]);
    assert_eq!(sign(false, 5).await, Done::Done);
    assert_eq!(members().await, Vec::<String>::new());
    let remove = async |name: &str| {
        store.remove_group(&once(), at(6), "company 1", (merchant, name)).await.unwrap()
    };
    assert_eq!(remove("70900").await, Done::Needed, "it is the operator's");
    // Calls lead to it: those of a campaign until that is over, those that another group did not take.
    let stays = async |takers: Takers, id: &str| {
        let plan = Plan {
            takers,
            lines_per_agent: 1_000,
            predicts: false,
            concurrent: 1,
            abandoned: 0,
            shown: vec![],
            own: None,
        };
        let created = Campaign {
            id: id.into(),
            merchant,
            company: "9001".into(),
            name: "winter".into(),
            plan,
            begins: None,
            pauses: None,
            state: CampaignState::Paused,
            created: at(6),
        };
        store.create_campaign(created, std::sync::Arc::default(), None).await.unwrap();
        let needed = remove("night").await;
        store.set_campaign("9001", id, (CampaignState::Ended, at(7))).await.unwrap();
        needed
    };
    assert_eq!(stays(Takers::Group(number.clone()), "1").await, Done::Needed);
    let notice = r#"{"play":{"menu":{"keys":[["1","night"]]}}}"#;
    assert_eq!(stays(Takers::Notice(notice.into()), "2").await, Done::Needed);
    let mut leads = desired.clone();
    leads.groups[0].otherwise = Some(number.clone());
    assert_eq!(store.apply(&leads, at(8), false).await.unwrap().mistakes, []);
    assert_eq!(remove("night").await, Done::Needed, "another group leads there");
    assert_eq!(store.apply(&desired, at(9), false).await.unwrap().mistakes, []);
    assert_eq!((remove("night").await, remove("night").await), (Done::Done, Done::NoGroup));
    assert!(store.signs().await.unwrap().is_empty());
    assert!(!store.snapshot().await.unwrap().groups.contains_key(number));
}
