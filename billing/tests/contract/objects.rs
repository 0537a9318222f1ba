//! What the operator applies and the surfaces read.

use std::time::Duration;

use billing::desired::{Act, Desired};
use billing::rows::{Binding, Callback, MerchantStatus};
use billing::{Error, Store, StoreConfig};
use facts::MerchantId;
use facts::carrier::{Probe, Registration};
use facts::media::Codec;

use crate::support::*;

pub(crate) fn everything() -> Desired {
    let mut desired = basics("100");
    let more = from_toml(
        r#"
        [[trunks]]
        name = "carrier"
        target = "192.0.2.10:5060"
        peers = ["192.0.2.0/24", "2001:db8::1"]
        user = "u"
        password = "p"
        realm = "carrier.example"
        codecs = ["pcmu"]
        [[trunks]]
        name = "backup"
        target = "192.0.2.20:5060"
        transport = "tcp"
        [[routes]]
        prefix = "86"
        trunk = "carrier"
        [[routes]]
        trunk = "backup"
        priority = 200
        weight = 3
        cost = "0.045"
        hours = ["mon-fri 08:00-20:00"]
        [[inbound]]
        number = "010-88888888"
        extension = "70000"
        [[ytx_accounts]]
        sid = "0123456789abcdef0123456789abcdef"
        auth_token = "fedcba9876543210fedcba9876543210"
        merchant = "test"
        [[ytx_apps]]
        appid = "11111111111111111111111111111111"
        account = "0123456789abcdef0123456789abcdef"
        callers = ["01053180002"]
        callback_url = "http://merchant.example/cb?"
        cdr_types = "number"
        [[companies]]
        companycode = "1001"
        appid = "app"
        accesskey = "k"
        merchant = "test"
        cdr_url = "http://merchant.example/cdr"
        state_url = "http://merchant.example/state"
        "#,
    );
    desired.trunks = more.trunks;
    desired.routes = more.routes;
    desired.inbound = more.inbound;
    desired.ytx_accounts = more.ytx_accounts;
    desired.ytx_apps = more.ytx_apps;
    desired.companies = more.companies;
    desired.merchants[0].password = Some("let me in".into());
    desired
}

pub(crate) async fn apply(store: &Store, desired: &Desired) -> billing::desired::Changes {
    store.apply(desired, T0, false).await.unwrap()
}

pub(crate) async fn what_is_not_migrated_yet_is_told_without_doing_it(store: Store, _: String) {
    let pending = store.pending().await.unwrap();
    assert!(pending.len() >= 5 && pending[0] == "0001_objects", "{pending:?}");
    assert_eq!(store.pending().await.unwrap(), pending, "a look changes nothing");
    assert_eq!(store.migrate().await.unwrap(), pending);
    assert_eq!(store.pending().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn applying_twice_changes_nothing(store: Store, _: String) {
    store.migrate().await.unwrap();
    let desired = everything();
    let first = apply(&store, &desired).await;
    assert_eq!(first.mistakes, []);
    // Everything is new but the one row of settings, which is there from the beginning.
    assert_eq!(first.count(Act::Created), first.lines.len() - 1);
    assert_eq!(first.count(Act::Updated), 1);
    let version = store.settings_version().await.unwrap();
    assert_eq!(version, first.version);
    let second = apply(&store, &desired).await;
    assert_eq!(second.mistakes, []);
    assert_eq!(second.count(Act::Unchanged), second.lines.len(), "{:?}", second.lines);
    assert_eq!((second.version, store.settings_version().await.unwrap()), (version, version));
    in_order(&store).await;
}

pub(crate) async fn an_extension_has_its_own_way_of_taking_keys_or_none(store: Store, _: String) {
    use facts::manners::Dtmf;
    store.migrate().await.unwrap();
    let mut desired = everything();
    for own in [None, Some(Dtmf::Info), Some(Dtmf::Inband), None] {
        desired.extensions[0].dtmf = own;
        assert_eq!(apply(&store, &desired).await.mistakes, []);
        assert_eq!(store.snapshot().await.unwrap().extensions["70000"].dtmf, own);
        assert_eq!(store.extension("70000").await.unwrap().unwrap().dtmf, own);
    }
    let text = "number = \"70001\"\nmerchant = \"test\"\ndtmf = \"rfc4733\"";
    let read: billing::desired::Extension = toml::from_str(text).unwrap();
    assert_eq!(read.dtmf, Some(Dtmf::Rfc4733));
    let wrong = text.replace("rfc4733", "rfc2833");
    assert!(toml::from_str::<billing::desired::Extension>(&wrong).is_err());
}

pub(crate) async fn mistakes_are_told_all_at_once_and_nothing_is_written(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.merchants[0].tariff = Some("gold".into());
    desired.merchants[1].allowed_ips = vec!["10.0.0.0/8".into(), "10.0.0.0/40".into()];
    desired.tariffs[0].rates[1].per_minute = "0.1234567".into();
    desired.extensions[0].number = "12".into(); // which leaves the inbound number without its extension
    desired.trunks[0].codecs = vec!["g728".into()];
    desired.trunks[1].user = Some("half".into());
    desired.routes[1].trunk = "nowhere".into();
    desired.top_ups[0].amount = "-5".into();
    desired.ytx_apps[0].callback_url = Some("ftp://x".into());
    desired.companies.push(desired.companies[0].clone());
    let changes = apply(&store, &desired).await;
    let paths: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    for path in [
        "merchants[0].tariff",
        "merchants[1].allowed_ips[1]",
        "tariffs[0].rates[1].per_minute",
        "extensions[0].number",
        "trunks[0].codecs[0]",
        "trunks[1]",
        "routes[1].trunk",
        "inbound[0].extension",
        "top_ups[0].amount",
        "ytx_apps[0].callback_url",
        "companies[1].companycode",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert_eq!(paths.len(), 11, "{:?}", changes.mistakes);
    assert_eq!(store.merchants().await.unwrap(), []);
    assert_eq!(store.trunks().await.unwrap(), []);
    assert_eq!(store.settings_version().await.unwrap(), 1);
    // The realm did not change either.
    assert_eq!(store.snapshot().await.unwrap().realm, "tandem");
    // One mistake in a merchant is one mistake, whatever else in the file belongs to that merchant.
    let mut desired = everything();
    desired.merchants[0].tariff = Some("gold".into());
    let changes = apply(&store, &desired).await;
    let paths: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(paths, ["merchants[0].tariff"]);
}

pub(crate) async fn a_carriers_manners_are_kept_and_judged(store: Store, _: String) {
    use facts::manners::{AnswerRule, HeaderAct, HeaderRule, Rewrite, Then, Whose};
    store.migrate().await.unwrap();
    let mut desired = everything();
    let (whose, prefix, add) = (Whose::Called, "+86".to_owned(), "0".to_owned());
    let rewrite = Rewrite { whose, prefix, length: Some(14), strip: 3, add };
    let header =
        |name: &str, act, value: &str| HeaderRule { name: name.into(), act, value: value.into() };
    let answer = AnswerRule { codes: vec![480], then: Some(Then::Next), read_as: Some(404) };
    let options = &mut desired.trunks[0].options;
    options.rewrite = vec![rewrite.clone()];
    options.headers = vec![header("X-Account", HeaderAct::Set, "1")];
    options.answers = vec![answer];
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let kept = store.trunks().await.unwrap();
    assert_eq!(kept[0].trunk.options, desired.trunks[0].options);
    let options = &mut desired.trunks[0].options;
    options.rewrite[0].add = "sip:".into();
    options.headers = vec![
        header("Call-ID", HeaderAct::Set, "x"),
        header("X-A", HeaderAct::Remove, "x"),
        header("X-B", HeaderAct::Add, "a\r\nVia: b"),
        header("X B", HeaderAct::Add, "a"),
    ];
    options.answers = vec![AnswerRule { codes: vec![200], then: None, read_as: Some(180) }];
    let mistakes = apply(&store, &desired).await.mistakes;
    let paths: Vec<&str> =
        mistakes.iter().filter_map(|m| m.path.strip_prefix("trunks[0].options.")).collect();
    let wrong = [
        "rewrite[0]",
        "headers[0].name",
        "headers[1].value",
        "headers[2].value",
        "headers[3].name",
        "answers[0].codes",
        "answers[0].read_as",
    ];
    assert_eq!(paths, wrong);
}

pub(crate) async fn a_carrier_may_be_a_name(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.trunks[0].target = "SIP.Carrier.example".parse().unwrap();
    desired.trunks[0].peers = vec!["192.0.2.0/24".into(), "Out.carrier.example".into()];
    desired.trunks[0].options.naptr = true;
    desired.trunks[1].target = "b.carrier.example:5070".parse().unwrap();
    desired.trunks[1].peers.clear();
    desired.trunks[1].options.response_ms = Some(500);
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let kept = store.trunks().await.unwrap();
    let first = &kept[0].trunk;
    assert_eq!((first.target.to_string(), first.peers.len()), ("sip.carrier.example".into(), 1));
    assert_eq!(first.peer_names, ["out.carrier.example"]);
    assert_eq!(kept[1].trunk.target, desired.trunks[1].target);
    assert_eq!(kept[1].trunk.peer_names, ["b.carrier.example"], "as requests go to");
    let again = apply(&store, &desired).await;
    assert_eq!(again.count(Act::Unchanged), again.lines.len(), "nothing has changed");
    desired.trunks[0].target = "192.0.2.1:5060".parse().unwrap();
    desired.trunks[0].peers = vec!["not a name".into()];
    desired.trunks[1].options.naptr = true;
    desired.trunks[1].options.response_ms = Some(5);
    let mistakes = apply(&store, &desired).await.mistakes;
    let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let wrong = [
        "trunks[0].peers[0]",
        "trunks[0].options.naptr",
        "trunks[1].options.naptr",
        "trunks[1].options.response_ms",
    ];
    assert_eq!(paths, wrong);
}

/// Its prices would be taken from accounts of another currency, number for number.
pub(crate) async fn a_tariff_keeps_the_currency_of_those_who_have_it(store: Store, _: String) {
    store.migrate().await.unwrap();
    let all = everything();
    assert_eq!(apply(&store, &all).await.mistakes, []);
    let had = all.merchants[0].tariff.clone().unwrap();
    let tariff = all.tariffs.iter().find(|tariff| tariff.name == had).unwrap().clone();
    let mut alone = Desired { tariffs: vec![tariff], ..Desired::default() };
    assert_eq!(apply(&store, &alone).await.mistakes, []);
    alone.tariffs[0].currency = "XTS".into();
    let before = store.tariffs().await.unwrap();
    let mistakes = apply(&store, &alone).await.mistakes;
    assert!(!mistakes.is_empty());
    for mistake in &mistakes {
        assert_eq!(mistake.path, "tariffs[0].currency");
        assert!(mistake.message.contains("pays in"), "{}", mistake.message);
    }
    assert_eq!(store.tariffs().await.unwrap(), before);
}

pub(crate) async fn a_trunks_options_are_kept_and_judged(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.trunks[1].transport = facts::settings::Transport::Tls;
    let register =
        || Registration { user: "4711".into(), expires: 600, contact_user: String::new() };
    desired.trunks[1].options = facts::settings::TrunkOptions {
        tls_peer_name: "sip.carrier.example".into(),
        mtls: true,
        register: Some(register()),
        probe: Some(Probe { accept: vec![200, 404], ..Probe::default() }),
        identity: facts::settings::Identity::Asserted,
        untrusted: true,
        ..Default::default()
    };
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let kept = store.trunks().await.unwrap();
    assert_eq!(kept[1].trunk.options, desired.trunks[1].options);
    assert_eq!(kept[1].trunk.certified_name(), "sip.carrier.example");
    assert_eq!(kept[0].trunk.options, facts::settings::TrunkOptions::default());
    let again = apply(&store, &desired).await;
    assert_eq!(again.count(Act::Unchanged), again.lines.len(), "nothing has changed");
    desired.trunks[0].transport = facts::settings::Transport::Wss;
    desired.trunks[0].options.tls_peer_name = "*.carrier.example".into();
    desired.trunks[1].options.tls_peer_name = String::new();
    let mistakes = apply(&store, &desired).await.mistakes;
    let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let wrong =
        ["trunks[0].transport", "trunks[0].options.tls_peer_name", "trunks[1].options.mtls"];
    assert_eq!(paths, wrong);
    desired.trunks[0] = everything().trunks[0].clone();
    desired.trunks[0].options.register = Some(Registration { expires: 5, ..register() });
    desired.trunks[1].options.mtls = false;
    desired.trunks[1].options.register = Some(Registration { user: "a@b".into(), ..register() });
    let probe = Probe { every: 1, up_after: 0, accept: vec![100], ..Probe::default() };
    desired.trunks[1].options.probe = Some(probe);
    let mistakes = apply(&store, &desired).await.mistakes;
    let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let wrong = [
        "trunks[0].options.register.expires",
        "trunks[1].options.register.user",
        "trunks[1].options.probe.every",
        "trunks[1].options.probe.up_after",
        "trunks[1].options.probe.accept",
    ];
    assert_eq!(paths, wrong);
}

pub(crate) async fn a_dry_run_shows_the_difference_and_keeps_the_store(store: Store, _: String) {
    store.migrate().await.unwrap();
    let dry = store.apply(&everything(), T0, true).await.unwrap();
    assert_eq!(dry.mistakes, []);
    assert_eq!(store.merchants().await.unwrap(), []);
    let wet = apply(&store, &everything()).await;
    assert_eq!(dry, wet);
}

pub(crate) async fn changes_are_named_and_prices_take_effect(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let mut desired = basics("100");
    desired.merchants[0].max_calls = Some(10);
    desired.merchants[0].key = Some("new".into());
    desired.merchants[0].credit = "5".into();
    desired.tariffs[0].rates[0].per_minute = "1.50".into();
    desired.tariffs[0].rates.remove(2);
    desired.extensions[0].password = Some("other".into());
    let changes = apply(&store, &desired).await;
    assert_eq!(changes.mistakes, []);
    let updated: Vec<(&str, &str, &[String])> = changes
        .lines
        .iter()
        .filter(|line| line.act == Act::Updated)
        .map(|line| (line.kind, line.name.as_str(), line.fields.as_slice()))
        .collect();
    let fields = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        updated,
        [
            (
                "tariff",
                "standard",
                fields(&["rate 86: 1.00 → 1.50 a minute", "rate 44: removed"]).as_slice()
            ),
            (
                "merchant",
                "test",
                fields(&["key: changed", "max_calls: none → 10", "credit: 0.00 → 5.00"]).as_slice()
            ),
            ("extension", "70000", fields(&["ha1_md5: changed", "ha1_sha256: changed"]).as_slice()),
        ]
    );
    // Money the merchant does not have any more cannot be lent back.
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    assert_eq!(held(&store, merchant).await, micros("3"));
    // A second store on the same database sees the new price too: caches go by version.
    desired.tariffs[0].rates[0].per_minute = "2.00".into();
    apply(&store, &desired).await;
    granted(&store, 2, &command).await;
    assert_eq!(held(&store, merchant).await, micros("7"));
    // What is committed of a credit line cannot be taken away.
    desired.tariffs[0].rates[0].per_minute = "52.00".into();
    desired.merchants[0].credit = "20".into();
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    granted(&store, 3, &command).await;
    desired.merchants[0].credit = "5".into();
    let changes = apply(&store, &desired).await;
    assert_eq!(changes.mistakes[0].path, "merchants[0].credit");
    in_order(&store).await;
}

pub(crate) async fn prune_takes_away_what_the_file_no_longer_names(store: Store, _: String) {
    store.migrate().await.unwrap();
    apply(&store, &everything()).await;
    let merchant = store.merchant_by_name("test").await.unwrap().unwrap().id;
    let given = store.register_sub_account(&once(), merchant, "Li", "", T0).await.unwrap();
    let mut desired = everything();
    desired.merchants.remove(1);
    desired.trunks.remove(1);
    desired.routes.remove(1);
    desired.companies.clear();
    // Without `prune` only the list of routes is complete.
    let changes = apply(&store, &desired).await;
    let removed = |changes: &billing::desired::Changes| {
        let lines = changes.lines.iter().filter(|line| line.act == Act::Removed);
        lines.map(|line| format!("{} {}", line.kind, line.name)).collect::<Vec<_>>()
    };
    assert_eq!(removed(&changes), ["route * → backup"]);
    desired.prune = true;
    let changes = apply(&store, &desired).await;
    assert_eq!(changes.mistakes, []);
    assert_eq!(removed(&changes), ["trunk backup", "merchant other"]);
    let other = store.merchant_by_name("other").await.unwrap().unwrap();
    assert_eq!(other.status, MerchantStatus::Frozen);
    // Companies are not in the file at all, and what biz_regist made is not the file's to remove.
    assert_eq!(store.companies().await.unwrap().len(), 1);
    assert!(store.extension(&given.number).await.unwrap().is_some());
    // What something else still needs cannot go.
    desired.tariffs[0].name = "other".into();
    desired.merchants[0].tariff = None;
    let changes = apply(&store, &desired).await;
    assert_eq!(changes.mistakes.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(), ["prune"]);
}

pub(crate) async fn a_top_up_is_booked_once(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    assert_eq!(apply(&store, &basics("100")).await.count(Act::Created), 0);
    assert_eq!(posted(&store, merchant).await, micros("100"));
    // The same id for another merchant is another top-up; with another amount it is a mistake.
    let mut desired = basics("100");
    desired.top_ups[0].merchant = "other".into();
    assert_eq!(apply(&store, &desired).await.count(Act::Created), 1);
    let changes = apply(&store, &basics("99")).await;
    assert_eq!(changes.mistakes[0].path, "top_ups[0].amount");
    assert_eq!(posted(&store, merchant).await, micros("100"));
    in_order(&store).await;
}

pub(crate) async fn the_snapshot_is_what_was_applied(store: Store, _: String) {
    store.migrate().await.unwrap();
    let changes = apply(&store, &everything()).await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.version, changes.version);
    assert_eq!(snapshot.realm, "sip.example");
    assert_eq!(snapshot.merchants.len(), 2);
    let merchant = store.merchant_by_name("test").await.unwrap().unwrap();
    let limits = &snapshot.merchants[&merchant.id];
    assert!(limits.enabled);
    assert_eq!(limits.max_talk, Duration::from_secs(3600));
    let extension = &snapshot.extensions["70000"];
    assert_eq!(extension.merchant, merchant.id);
    // md5("70000:sip.example:secret")
    assert_eq!(extension.ha1_md5, "499c84fa83d515ffb046a770840cbd3a");
    let trunk = snapshot.trunks.values().find(|trunk| trunk.name == "carrier").unwrap();
    assert_eq!(trunk.codecs, [Codec::Pcmu]);
    assert_eq!(trunk.credentials.as_ref().map(|c| c.password.as_str()), Some("p"));
    assert_eq!(trunk.peers.len(), 2);
    let backup = snapshot.trunks.values().find(|trunk| trunk.name == "backup").unwrap();
    assert!(backup.peers[0].contains(&backup.target.address().unwrap().ip()));
    assert_eq!(snapshot.routes.len(), 2);
    let route = snapshot.routes.iter().find(|route| route.prefix.is_empty()).unwrap();
    assert_eq!((route.priority, route.weight, route.cost), (200, 3, Some(micros("0.045"))));
    assert_eq!(route.hours.to_string(), "mon-fri 08:00-20:00");
    let first = snapshot.routes.iter().find(|route| route.prefix == "86").unwrap();
    assert_eq!((first.weight, first.cost, first.hours.always()), (1, None, true));
    assert_eq!(snapshot.zone.name(), "Asia/Shanghai");
    assert_eq!(snapshot.inbound["861088888888"], "70000");
    // Lists for people show no password.
    let listed = store.trunks().await.unwrap();
    assert!(
        listed
            .iter()
            .filter_map(|row| row.trunk.credentials.as_ref())
            .all(|c| c.password.is_empty())
    );
    // A disabled sub-account takes its extensions with it.
    let mut desired = everything();
    desired.sub_accounts[0].enabled = false;
    apply(&store, &desired).await;
    assert!(!store.snapshot().await.unwrap().extensions["70000"].enabled);
    assert!(!store.extension("70000").await.unwrap().unwrap().enabled);
}

pub(crate) async fn biz_regist_hands_out_rising_numbers_and_knows_a_repeat(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1").await;
    let mut desired = basics("1");
    desired.extensions[0].number = "80001".into();
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let version = store.settings_version().await.unwrap();
    let first =
        store.register_sub_account(&once(), merchant, "张三", "z@a.cn", at(0)).await.unwrap();
    assert_eq!((first.number.as_str(), first.duplicate), ("80000", false));
    let password = first.password.clone().unwrap();
    assert_eq!(password.len(), 12);
    assert!(store.settings_version().await.unwrap() > version);
    // 80001 is taken by the file.
    let second = store.register_sub_account(&once(), merchant, "", "", at(1)).await.unwrap();
    assert_eq!(second.number, "80002");
    let third = store.register_sub_account(&once(), merchant, "", "", at(1)).await.unwrap();
    assert_eq!(third.number, "80003");
    let again =
        store.register_sub_account(&once(), merchant, "张三", "z@a.cn", at(86_399)).await.unwrap();
    assert_eq!((again.number.as_str(), again.duplicate), ("80000", true));
    assert_eq!(again.password, Some(password));
    let later =
        store.register_sub_account(&once(), merchant, "张三", "z@a.cn", at(86_401)).await.unwrap();
    assert_eq!((later.number.as_str(), later.duplicate), ("80004", false));
    let snapshot = store.snapshot().await.unwrap();
    let extension = &snapshot.extensions["80000"];
    assert_eq!((extension.merchant, extension.sub_account), (merchant, Some(first.account.id)));
    let unknown = store.register_sub_account(&once(), MerchantId(77), "", "", at(0)).await;
    assert!(matches!(unknown, Err(Error::Missing("merchant"))));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store.register_sub_account(&once(), merchant, "", "", at(2)).await
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap().unwrap().number);
    }
    numbers.sort();
    let wanted: Vec<String> = (80_005..80_025).map(|number| number.to_string()).collect();
    assert_eq!(numbers, wanted);
}

pub(crate) async fn a_registration_that_is_repeated_after_a_lost_answer_makes_one_account(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1").await;
    let lost = once();
    let first = store.register_sub_account(&lost, merchant, "", "", at(0)).await.unwrap();
    let version = store.settings_version().await.unwrap();
    let again = store.register_sub_account(&lost, merchant, "", "", at(0)).await.unwrap();
    assert_eq!(again, first, "as the first time, with its password");
    assert_eq!(store.settings_version().await.unwrap(), version);
    let other = store.register_sub_account(&once(), merchant, "", "", at(0)).await.unwrap();
    assert_ne!(other.number, first.number, "a stranger without an address is somebody else");
}

pub(crate) async fn system_001_and_002_objects_read_back(store: Store, _: String) {
    store.migrate().await.unwrap();
    apply(&store, &everything()).await;
    let account = store.ytx_account("0123456789abcdef0123456789abcdef").await.unwrap().unwrap();
    assert!(account.active);
    let app = store.ytx_app("11111111111111111111111111111111").await.unwrap().unwrap();
    assert_eq!((&app.sid, app.merchant), (&account.sid, account.merchant));
    assert_eq!(app.callback, Callback::Suffix { url: "http://merchant.example/cb?".into() });
    assert_eq!(app.callers, ["861053180002"]);
    assert!(app.functions.contains("call") && app.functions.contains("account"));
    let company = store.company("1001").await.unwrap().unwrap();
    assert_eq!(company.state_url.as_deref(), Some("http://merchant.example/state"));
    assert!(store.ytx_app("nobody").await.unwrap().is_none());
    let merchant = store.merchant(account.merchant).await.unwrap().unwrap();
    assert_eq!(
        (merchant.key.as_str(), merchant.tariff.as_deref()),
        ("awrlk45ghfg7", Some("standard"))
    );
    // Secrets do not leave by the lists.
    for json in [
        serde_json::to_string(&store.merchants().await.unwrap()).unwrap(),
        serde_json::to_string(&store.ytx_accounts().await.unwrap()).unwrap(),
        serde_json::to_string(&store.companies().await.unwrap()).unwrap(),
    ] {
        assert!(!json.contains("awrlk45ghfg7") && !json.contains("fedcba98"), "{json}");
    }
    let tariffs = store.tariffs().await.unwrap();
    let mut rates = basics("0").tariffs[0].rates.clone();
    rates.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    let prefixes: Vec<_> =
        tariffs[0].rates.iter().map(|rate| (&rate.prefix, &rate.per_minute)).collect();
    assert_eq!(
        prefixes,
        rates.iter().map(|rate| (&rate.prefix, &rate.per_minute)).collect::<Vec<_>>()
    );
}

pub(crate) async fn bindings_outlive_a_restart(store: Store, url: String) {
    store.migrate().await.unwrap();
    let binding = |contact: &str, expires| Binding {
        extension: "70000".into(),
        contact: contact.into(),
        expires: at(expires),
        detail: "{}".into(),
    };
    store.save_binding(binding("a", 100)).await.unwrap();
    store.save_binding(binding("b", 100)).await.unwrap();
    store.save_binding(binding("b", 300)).await.unwrap();
    store.save_binding(binding("c", 300)).await.unwrap();
    store.drop_binding("70000".into(), "c".into()).await.unwrap();
    drop(store);
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    assert_eq!(store.bindings(at(200)).await.unwrap(), [binding("b", 300)]);
    assert_eq!(store.purge(at(200)).await.unwrap(), 1);
    store.close().await;
}

pub(crate) async fn empty_secrets_and_names_that_break_signed_texts_are_refused(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.extensions[0].password = Some(String::new());
    desired.merchants[0].key = Some(String::new());
    desired.companies[0].accesskey.clear();
    let changes = apply(&store, &desired).await;
    let paths: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(paths, ["merchants[0].key", "extensions[0].password", "companies[0].accesskey"]);
    for (name, fits) in [
        ("测试-1.a_b", true),
        ("a&key=x", false),
        ("a b", false),
        ("a=b", false),
        ("a\tb", false),
        ("a%26b", false),
    ] {
        let mut desired = everything();
        let mut merchant = desired.merchants[0].clone();
        // Without a key: one that uses other systems only.
        (merchant.name, merchant.key) = (name.into(), None);
        desired.merchants.push(merchant);
        let path = format!("merchants[{}].name", desired.merchants.len() - 1);
        let changes = store.apply(&desired, T0, true).await.unwrap();
        let wrong = changes.mistakes.iter().any(|mistake| mistake.path == path);
        assert_eq!((wrong, changes.mistakes.is_empty()), (!fits, fits), "{name}: {changes:?}");
    }
}

pub(crate) async fn a_limit_of_nothing_is_refused_with_the_word_for_it(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.merchants[0].max_calls = Some(0);
    desired.merchants[0].calls_per_second = Some(0);
    desired.merchants[1].max_talk = 0;
    desired.extensions[0].max_contacts = 0;
    desired.trunks[0].max_calls = Some(0);
    desired.trunks[1].calls_per_second = Some(0);
    let changes = apply(&store, &desired).await;
    let told: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let expected = [
        "merchants[0].max_calls",
        "merchants[0].calls_per_second",
        "merchants[1].max_talk",
        "extensions[0].max_contacts",
        "trunks[0].max_calls",
        "trunks[1].calls_per_second",
    ];
    assert_eq!(told, expected);
    for mistake in &changes.mistakes {
        assert!(mistake.message.starts_with("0 would let nothing through; "), "{mistake:?}");
    }
    assert!(changes.mistakes[0].message.contains("frozen"), "{:?}", changes.mistakes[0]);
}

/// An empty name is a mistake like any other, not a failure of the database.
pub(crate) async fn empty_names_are_mistakes(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.tariffs[0].name.clear();
    desired.merchants[1].name.clear();
    desired.sub_accounts[0].name.clear();
    desired.trunks[1].name.clear();
    desired.ytx_accounts[0].sid.clear();
    desired.ytx_apps[0].appid.clear();
    desired.companies[0].companycode.clear();
    desired.top_ups[0].id.clear();
    let changes = apply(&store, &desired).await;
    let told: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    for path in [
        "tariffs[0].name",
        "merchants[1].name",
        "sub_accounts[0].name",
        "trunks[1].name",
        "top_ups[0].id",
        "ytx_accounts[0].sid",
        "ytx_apps[0].appid",
        "companies[0].companycode",
    ] {
        assert!(told.contains(&path), "{path} is not among {told:?}");
    }
}

pub(crate) async fn biz_regist_ends_at_ten_thousand_sub_accounts(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    let mut sub = desired.sub_accounts[0].clone();
    let merchant = sub.merchant.clone();
    desired.sub_accounts.retain(|sub| sub.merchant != merchant);
    desired.extensions.retain(|extension| extension.merchant != merchant);
    desired.inbound.clear();
    for n in 0..9_999 {
        sub.name = format!("s{n}");
        desired.sub_accounts.push(sub.clone());
    }
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let id = store.merchant_by_name(&merchant).await.unwrap().unwrap().id;
    store.register_sub_account(&once(), id, "Zhang", "z@example.cn", T0).await.unwrap();
    let one_more = store.register_sub_account(&once(), id, "Li", "l@example.cn", T0).await;
    assert!(
        matches!(one_more, Err(Error::Conflict(billing::Constraint::SubAccounts))),
        "{one_more:?}"
    );
    // Who is there already is still told so.
    assert!(
        store
            .register_sub_account(&once(), id, "Zhang", "z@example.cn", T0)
            .await
            .unwrap()
            .duplicate
    );
}

pub(crate) async fn a_route_says_what_is_wrong_with_its_share_price_and_hours(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    apply(&store, &everything()).await;
    let mut desired = everything();
    desired.routes[1].weight = 0;
    desired.routes[1].cost = Some("-1".into());
    desired.routes[1].hours = vec!["always".into()];
    let mut settings = from_toml("[settings]\nrealm = \"sip.example\"").settings.unwrap();
    settings.time_zone = "Asia/Atlantis".into();
    desired.settings = Some(settings);
    let changes = apply(&store, &desired).await;
    let paths: Vec<_> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let expected = ["settings.time_zone", "routes[1].weight", "routes[1].cost", "routes[1].hours"];
    assert_eq!(paths, expected);
    assert_eq!(store.snapshot().await.unwrap().zone.name(), "Asia/Shanghai", "nothing was written");
}

pub(crate) async fn a_company_has_one_token_until_it_expires_or_its_key_changes(
    store: Store,
    url: String,
) {
    use std::time::Duration;
    store.migrate().await.unwrap();
    let mut desired = everything();
    apply(&store, &desired).await;
    let company = async |store: &Store| store.companies_of("app").await.unwrap().remove(0);
    let life = Duration::from_secs(43_200);
    let known = company(&store).await;
    let first = store.log_in(&known, at(0), life).await.unwrap();
    assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    // Workers that log in at once share it, and it lives no longer for that.
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let later = at(43_199);
    let both = tokio::join!(store.log_in(&known, later, life), other.log_in(&known, later, life));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (first.clone(), first.clone()));
    // Over a restart too.
    assert_eq!(other.company_of_token(&first, later).await.unwrap().as_deref(), Some("1001"));
    assert_eq!(other.company_of_token(&first, at(43_200)).await.unwrap(), None);
    assert_eq!(store.company_of_token(&"0".repeat(32), at(0)).await.unwrap(), None);
    let second = store.log_in(&known, at(43_200), life).await.unwrap();
    assert_ne!(second, first);
    store.log_out("1001").await.unwrap();
    assert_eq!(store.company_of_token(&second, at(43_200)).await.unwrap(), None);
    // A token ends with the key that it was given for.
    let third = store.log_in(&known, at(43_300), life).await.unwrap();
    assert!(store.company_of_token(&third, at(43_300)).await.unwrap().is_some());
    desired.companies[0].accesskey = "another".into();
    apply(&store, &desired).await;
    assert_eq!(store.company_of_token(&third, at(43_300)).await.unwrap(), None);
    let fourth = store.log_in(&company(&store).await, at(43_300), life).await.unwrap();
    assert_ne!(fourth, third);
    other.close().await;
}

pub(crate) async fn a_company_of_system_002_reads_back(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    apply(&store, &desired).await;
    let company = store.company("1001").await.unwrap().unwrap();
    assert_eq!((company.name.as_str(), &company.language), ("1001", &None));
    assert_eq!((company.expires, company.modules.len()), (None, 0));
    let wanted = &mut desired.companies[0];
    wanted.name = Some("测试".into());
    wanted.language = Some("en".into());
    wanted.allowed_ips = vec!["192.0.2.1".into()];
    wanted.expires = Some("2026-01-15 09:30:00".into());
    wanted.modules = vec!["voice".into(), "call".into(), "call".into()];
    wanted.callers = vec!["01053180002".into(), "13333333333".into()];
    wanted.record = facts::media::Record::Yes;
    wanted.dedupe_customuuid = true;
    wanted.cdr_version = billing::rows::CdrVersion::Y2025;
    wanted.state_method = billing::rows::StateMethod::Ivr;
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let company = store.company("1001").await.unwrap().unwrap();
    assert_eq!((company.name.as_str(), company.language.as_deref()), ("测试", Some("en")));
    assert_eq!(company.allowed_ips, ["192.0.2.1/32"]);
    assert_eq!(company.expires, Some(facts::UnixMillis(1_768_440_600_000)));
    assert_eq!(Vec::from_iter(company.modules), ["call", "voice"]);
    assert_eq!(company.callers, ["861053180002", "8613333333333"]);
    assert!(company.record.is_wanted() && company.dedupe_customuuid);
    assert_eq!(company.cdr_version, billing::rows::CdrVersion::Y2025);
    assert_eq!(company.state_method, billing::rows::StateMethod::Ivr);
    let wrong = &mut desired.companies[0];
    wrong.language = Some("tlh".into());
    wrong.expires = Some("tomorrow".into());
    wrong.modules = vec!["calls".into()];
    wrong.appid.clear();
    let mistakes = apply(&store, &desired).await.mistakes;
    let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    let wanted = ["appid", "language", "modules[0]", "expires"];
    assert_eq!(paths, wanted.map(|path| format!("companies[0].{path}")));
}
