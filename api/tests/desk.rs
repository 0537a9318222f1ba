//! System 002's groups, queues, extensions and numbers (merchant API §4.9), and its recordings (§4.7), against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use api::ApiConfig;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use billing::desired::Desired;
use dialect::clock;
use facts::media::RecordedFile;
use facts::ports::Calls as _;
use serde_json::{Value, json};
use world::company::{code, form, token};
use world::{World, document, now};

async fn ask(world: &World, token: &str, service: &str, more: &[(&str, &str)]) -> Value {
    let service = format!("App.Sip_{service}");
    form(world, &service, &[&[("token", token)][..], more].concat()).await
}

/// Members of the merchant's group as the engine reads them.
async fn members(world: &World, name: &str) -> Vec<String> {
    let snapshot = world.store.snapshot().await.unwrap();
    let group = snapshot.groups.values().find(|group| group.name == name);
    group.map(|group| group.members.clone()).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn s4_9_a_group_is_made_signed_in_to_told_and_removed() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let made = ask(&world, &token, "Extgroup.AddExtgroup", &[("name", "night")]).await;
    assert_eq!(made["data"]["desc"], "添加成功", "{made}");
    assert!(world.switch.settings_changed.swap(false, Ordering::SeqCst), "the engine is told");
    let number = made["data"]["result"]["queuenumber"].as_str().unwrap();
    assert_eq!(made["data"]["result"], json!({ "queuename": "night", "queuenumber": number }));
    // Its name is taken, and so are the numbers of all groups: each would be another group's second name.
    for name in ["night", number, "80100", "81100"] {
        let again = ask(&world, &token, "Extgroup.AddExtgroup", &[("name", name)]).await;
        assert_eq!(code(&again).0, 1003, "{name}");
    }
    let by_number = [("extnumber", "80000"), ("queuename", number)];
    assert_eq!(ask(&world, &token, "Queue.SipSignIn", &by_number).await["data"]["status"], 0);
    assert_eq!(members(&world, "night").await, ["80000"]);
    assert_eq!(ask(&world, &token, "Queue.SipSignOut", &by_number).await["data"]["status"], 0);
    let odd = ask(&world, &token, "Extgroup.AddExtgroup", &[("name", "a;b")]).await;
    assert_eq!(code(&odd).0, 1002);
    assert_eq!(members(&world, "night").await, Vec::<String>::new());
    let who = [("extnumber", "80000"), ("queuename", "night"), ("crmid", "7")];
    let signed = ask(&world, &token, "Queue.SipSignIn", &who).await;
    assert_eq!(signed["data"]["desc"], "签入成功", "{signed}");
    assert!(world.switch.settings_changed.load(Ordering::SeqCst));
    assert_eq!(members(&world, "night").await, ["80000"]);
    // The list is all that `data` is.
    let told = ask(&world, &token, "Extgroup.GetGroupExt", &[("name", "night")]).await;
    let row = &told["data"][0];
    assert!(clock::parse_seconds(row["date"].as_str().unwrap()).is_some());
    let wanted = json!([{ "name": "night", "extnumber": "80000", "status": "hangup", "priority": 1,
        "linkcount": 0, "date": row["date"], "state": "idle" }]);
    assert_eq!((&told["data"], &told["ret"]), (&wanted, &json!(200)));
    let all = ask(&world, &token, "Extgroup.GetGroupExt", &[]).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 2, "{all}");
    let rows = all["data"].as_array().unwrap();
    let first = rows.iter().find(|row| row["name"] == "extGroup-1").unwrap();
    assert_eq!(first["date"], "", "who is in the operator's list never signed");
    let none = ask(&world, &token, "Extgroup.GetGroupExt", &[("extnumber", "80001")]).await;
    assert_eq!(none["data"], json!([]));
    let list = ask(&world, &token, "Queue.GetQueueList", &[]).await;
    let queues = list["data"]["result"].as_array().unwrap();
    let night = queues.iter().find(|queue| queue["queuename"] == "night").unwrap();
    assert_eq!((&night["extcount"], &night["status"]), (&json!(1), &json!(1)), "{night}");
    // A notice may lead there now.
    let play = [
        ("destnumber", "13333333333"),
        ("voicetype", "1"),
        ("voicefile", "welcome"),
        ("userid", "1@night"),
    ];
    assert_eq!(ask(&world, &token, "Call.PlayVoice", &play).await["data"]["status"], 0);
    let gone = ask(&world, &token, "Extgroup.DelExtgroup", &[("name", "night")]).await;
    assert_eq!(gone["data"]["desc"], "删除成功", "{gone}");
    assert_eq!(code(&ask(&world, &token, "Call.PlayVoice", &play).await).0, 1044);
    assert_eq!(
        code(&ask(&world, &token, "Extgroup.DelExtgroup", &[("name", "night")]).await).0,
        1044
    );
    // One of the operator's file is his.
    let theirs = ask(&world, &token, "Extgroup.DelExtgroup", &[("name", "extGroup-1")]).await;
    assert_eq!(code(&theirs).0, 1003);
}

#[tokio::test]
async fn s4_2_a_queue_that_has_all_the_members_it_may_have_is_1210() {
    let world = World::new().await;
    let mut document = document();
    let numbers: Vec<String> = (83_000..83_061).map(|number| number.to_string()).collect();
    for number in &numbers {
        document["extensions"].as_array_mut().unwrap().push(json!(
            { "number": number, "merchant": "test", "sub_account": "shop", "password": "p" }));
    }
    document["groups"].as_array_mut().unwrap().push(json!(
        { "number": "80200", "merchant": "test", "name": "full", "members": numbers[..60] }));
    let desired: Desired = serde_json::from_value(document).unwrap();
    let applied = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(applied.mistakes.is_empty(), "{:?}", applied.mistakes);
    let token = token(&world, "1").await;
    let who = [("extnumber", numbers[60].as_str()), ("queuename", "full")];
    assert_eq!(code(&ask(&world, &token, "Queue.SipSignIn", &who).await), (1210, "队列错误"));
    let first = [("extnumber", numbers[0].as_str()), ("queuename", "full")];
    assert_eq!(ask(&world, &token, "Queue.SipSignOut", &first).await["data"]["status"], 0);
    assert_eq!(ask(&world, &token, "Queue.SipSignIn", &who).await["data"]["status"], 0);
}

#[tokio::test]
async fn s4_9_who_signs_out_is_rung_no_more_until_he_signs_in_whatever_is_applied() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let sign = async |service: &str, group: &str, extension: &str| {
        let who = [("extnumber", extension), ("queuename", group)];
        ask(&world, &token, &format!("Queue.{service}"), &who).await
    };
    let status = async || {
        let asked = [("queuename", "extGroup-1"), ("extnumber", "80000")];
        let told = ask(&world, &token, "Queue.GetQueueSipStatus", &asked).await;
        told["data"]["result"][0]["code"].clone()
    };
    assert_eq!(
        (members(&world, "extGroup-1").await, status().await),
        (vec!["80000".into()], json!(1201))
    );
    assert_eq!(sign("SipSignOut", "extGroup-1", "80000").await["data"]["status"], 0);
    assert_eq!((members(&world, "extGroup-1").await, status().await), (vec![], json!(1217)));
    // The operator applies his file again.
    let desired: Desired = serde_json::from_value(document()).unwrap();
    assert!(world.store.apply(&desired, now(), false).await.unwrap().mistakes.is_empty());
    assert_eq!(members(&world, "extGroup-1").await, Vec::<String>::new());
    // By its number as well, twice as well as once.
    for _ in 0..2 {
        assert_eq!(sign("SipSignIn", "80100", "80000").await["data"]["status"], 0);
        assert_eq!(members(&world, "extGroup-1").await, ["80000"]);
    }
    for (group, extension, wanted) in [
        ("extGroup-1", "81000", 1011),
        ("extGroup-1", "89999", 1012),
        ("extGroup-1", "80009", 1013),
        ("nobody", "80000", 1044),
        // A name of others is nobody's business, a number is known to be theirs.
        ("theirs", "80000", 1044),
        ("81100", "80000", 1211),
    ] {
        for service in ["SipSignIn", "SipSignOut"] {
            assert_eq!(
                code(&sign(service, group, extension).await).0,
                wanted,
                "{group} {extension}"
            );
        }
    }
    let foreign = ask(&world, &token, "Queue.GetQueueSipStatus", &[("queuename", "81100")]).await;
    assert_eq!(code(&foreign).0, 1211);
    let missing = ask(&world, &token, "Queue.SipSignIn", &[("extnumber", "80000")]).await;
    assert_eq!(missing["msg"], "非法请求：缺少必要参数queuename");
}

#[tokio::test]
async fn s4_9_extensions_and_numbers_of_a_company() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap().id;
    let once = billing::Once::fresh().unwrap();
    let made = world.store.register_sub_account(&once, merchant, "测试", "", now()).await.unwrap();
    let all = ask(&world, &token, "Sipnum.GetSipnumberInfo", &[]).await;
    let rows = all["data"]["result"].as_array().unwrap().clone();
    // A password that was only ever a digest is not there to be told.
    let first = json!({ "extnumber": "80000", "password": "", "status": 1016, "register": "reg", "disnumber": "" });
    assert_eq!((rows.len(), &rows[0]), (3, &first), "{all}");
    let drawn = rows.iter().find(|row| row["extnumber"] == made.number).unwrap();
    assert_eq!(
        (&drawn["password"], &drawn["register"]),
        (&json!(made.password.unwrap()), &json!("nreg"))
    );
    let count = async |more: &[(&str, &str)]| {
        let told = ask(&world, &token, "Sipnum.GetSipnumberInfo", more).await;
        told["data"]["result"].as_array().unwrap().len()
    };
    assert_eq!((count(&[("status", "1")]).await, count(&[("status", "2")]).await), (2, 1));
    assert_eq!(count(&[("extnumber", "80000,81000,99999")]).await, 1, "others' are not there");
    let shown = ask(&world, &token, "Disnum.GetDisnumberInfo", &[("autocall", "1")]).await;
    let wanted = json!([{ "disnumber": "01053180002", "status": 1018 }, { "disnumber": "01053180003", "status": 1018 }]);
    assert_eq!(shown["data"]["result"], wanted);
}

/// A notice of a company that was recorded; the name of its recording.
async fn recorded(world: &World, company: &str) -> String {
    let token = token(world, company).await;
    let play = [("destnumber", "13333333333"), ("voicetype", "1"), ("voicefile", "welcome")];
    assert_eq!(ask(world, &token, "Call.PlayVoice", &play).await["data"]["status"], 0);
    let call = world.switch.live().await.unwrap()[0].call;
    let name = format!("{call}_abcdef.mp3");
    let folder = world.folder.path().join("recordings/ab");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&name), b"the sound").unwrap();
    let file = RecordedFile {
        file: format!("ab/{name}"),
        duration_ms: 1_000,
        bytes: 9,
        sha256: String::new(),
        other: None,
    };
    world.complete_with(call, Some(file)).await;
    name
}

fn there(config: ApiConfig) -> ApiConfig {
    ApiConfig { public_url: Some("https://pbx.example/".into()), ..config }
}

#[tokio::test]
async fn s4_7_a_recording_is_had_for_two_hours_and_by_nobody_who_makes_its_address_up() {
    let world = World::with(there).await;
    let name = recorded(&world, "1").await;
    let token = token(&world, "1").await;
    let told = ask(&world, &token, "Cdr.GetRecodeFile", &[("filename", &name)]).await;
    let result = &told["data"]["result"];
    let expired = result["expiredtime"].as_str().unwrap().strip_prefix("过期时间:").unwrap();
    let until = clock::parse_seconds(expired).unwrap();
    let left = until.seconds() - now().seconds();
    assert!((7_190..=7_200).contains(&left), "{left}");
    let path = result["downurl"].as_str().unwrap().strip_prefix("https://pbx.example").unwrap();
    assert_eq!(world.get(path).await, "the sound");
    let status =
        async |path: &str| world.send(Request::get(path).body(Body::empty()).unwrap()).await.0;
    // Nothing of it may be changed: neither the time, nor the name, nor the sign.
    let parts: Vec<&str> = path.split('/').collect();
    let later = (until + Duration::from_secs(1)).seconds().to_string();
    for (at, other) in
        [(2, later.as_str()), (3, &"0".repeat(32)), (3, "00"), (3, ""), (4, "1_abcdef.mp3")]
    {
        let mut changed = parts.clone();
        changed[at] = other;
        assert_eq!(status(&changed.join("/")).await, StatusCode::NOT_FOUND, "{changed:?}");
    }
    // Another company has no such file; nor is there one of a name made up, or one that was removed.
    let theirs = self::token(&world, "cdrs").await;
    let other = ask(&world, &theirs, "Cdr.GetRecodeFile", &[("filename", &name)]).await;
    assert_eq!(code(&other).0, 1029);
    for name in ["x.mp3", "../ab/x.mp3", "0000000000000000001_abcdef.mp3"] {
        let none = ask(&world, &token, "Cdr.GetRecodeFile", &[("filename", name)]).await;
        assert_eq!(code(&none).0, 1029, "{name}");
    }
    // A key that was changed ends it.
    let mut changed = document();
    changed["companies"][0]["accesskey"] = json!("another-key-of-the-company");
    let desired: Desired = serde_json::from_value(changed).unwrap();
    assert!(world.store.apply(&desired, now(), false).await.unwrap().mistakes.is_empty());
    tokio::time::sleep(Duration::from_millis(550)).await;
    assert_eq!(status(path).await, StatusCode::NOT_FOUND);
    std::fs::remove_file(world.folder.path().join("recordings/ab").join(&name)).unwrap();
    let token = {
        let login = [("appid", "app1"), ("accesskey", "another-key-of-the-company")];
        let answer = form(&world, world::company::LOGIN, &login).await;
        answer["data"]["result"]["token"].as_str().unwrap().to_owned()
    };
    let gone = ask(&world, &token, "Cdr.GetRecodeFile", &[("filename", &name)]).await;
    assert_eq!(code(&gone).0, 1029);
}

#[tokio::test]
async fn s4_7_the_words_before_the_time_are_english_where_the_company_is() {
    let world = World::new().await;
    let name = recorded(&world, "2").await;
    let mut english = document();
    english["companies"][1]["modules"] = json!(["call", "cdr"]);
    let desired: Desired = serde_json::from_value(english).unwrap();
    world.store.apply(&desired, now(), false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(550)).await;
    let token = token(&world, "2").await;
    let told = ask(&world, &token, "Cdr.GetRecodeFile", &[("filename", &name)]).await;
    let expired = told["data"]["result"]["expiredtime"].as_str().unwrap().to_owned();
    assert!(expired.starts_with("Expiration time:20"), "{told}");
}

#[tokio::test]
async fn s4_7_a_recording_by_its_name_alone_is_for_the_networks_that_the_company_names() {
    let world = World::with(|config| ApiConfig {
        trusted_proxies: vec!["192.0.2.99/32".parse().unwrap(), "0.0.0.0/32".parse().unwrap()],
        ..config
    })
    .await;
    let name = recorded(&world, "1").await;
    let from = async |address: &str| {
        let request = Request::get(format!("/{name}")).header("x-forwarded-for", address);
        world.send(request.body(Body::empty()).unwrap()).await
    };
    // A company that names none has it for nobody.
    assert_eq!(from("192.0.2.1").await.0, StatusCode::NOT_FOUND);
    let mut fenced = document();
    fenced["companies"][0]["allowed_ips"] = json!(["192.0.2.0/28"]);
    let desired: Desired = serde_json::from_value(fenced).unwrap();
    world.store.apply(&desired, now(), false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(550)).await;
    assert_eq!(from("192.0.2.1").await, (StatusCode::OK, "the sound".to_owned()));
    assert_eq!(from("192.0.2.16").await.0, StatusCode::NOT_FOUND);
    let post = Request::post(format!("/{name}")).header("x-forwarded-for", "192.0.2.1");
    let (status, _) = world.send(post.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Applies the document, changed.
async fn apply(world: &World, change: impl FnOnce(&mut Value)) {
    let mut changed = document();
    change(&mut changed);
    let desired: Desired = serde_json::from_value(changed).unwrap();
    let mistakes = world.store.apply(&desired, now(), false).await.unwrap().mistakes;
    assert!(mistakes.is_empty(), "{mistakes:?}");
    tokio::time::sleep(Duration::from_millis(550)).await;
}

#[tokio::test]
async fn s4_7_whoever_may_do_no_business_has_no_recordings_either() {
    let world = World::with(|config| ApiConfig {
        trusted_proxies: vec!["0.0.0.0/32".parse().unwrap()],
        ..there(config)
    })
    .await;
    let name = recorded(&world, "1").await;
    let token = token(&world, "1").await;
    let told = ask(&world, &token, "Cdr.GetRecodeFile", &[("filename", &name)]).await;
    let address = told["data"]["result"]["downurl"].as_str().unwrap();
    let path = address.strip_prefix("https://pbx.example").unwrap().to_owned();
    let both = async || {
        let mut told = Vec::new();
        for path in [&path, &format!("/{name}")] {
            let request = Request::get(path).header("x-forwarded-for", "192.0.2.1");
            told.push(world.send(request.body(Body::empty()).unwrap()).await.0);
        }
        told
    };
    let fenced = |document: &mut Value| {
        document["companies"][0]["allowed_ips"] = json!(["192.0.2.0/28"]);
    };
    apply(&world, fenced).await;
    assert_eq!(both().await, [StatusCode::OK, StatusCode::OK]);
    apply(&world, |document| {
        fenced(document);
        document["companies"][0]["expires"] = json!("2026-01-01");
    })
    .await;
    assert_eq!(both().await, [StatusCode::NOT_FOUND; 2], "the company has expired");
    apply(&world, |document| {
        fenced(document);
        document["merchants"][0]["status"] = json!("frozen");
    })
    .await;
    assert_eq!(both().await, [StatusCode::NOT_FOUND; 2], "the merchant is frozen");
    // By the name alone it is for the merchant's networks as well; an address that was told is for whoever has it.
    apply(&world, |document| {
        fenced(document);
        document["merchants"][0]["allowed_ips"] = json!(["198.51.100.0/24"]);
    })
    .await;
    assert_eq!(both().await, [StatusCode::OK, StatusCode::NOT_FOUND]);
}

#[tokio::test]
async fn s4_9_thousands_of_members_are_no_one_step_of_the_engine() {
    let world = World::new().await;
    apply(&world, |document| {
        for group in 0..5 {
            let numbers: Vec<String> =
                (0..60).map(|n| (83_000 + group * 60 + n).to_string()).collect();
            for number in &numbers {
                let extension = json!({ "number": number, "merchant": "test", "password": "p" });
                document["extensions"].as_array_mut().unwrap().push(extension);
            }
            let group = json!({ "number": (80_200 + group).to_string(), "merchant": "test",
                                "name": format!("g{group}"), "members": numbers });
            document["groups"].as_array_mut().unwrap().push(group);
        }
    })
    .await;
    let token = token(&world, "1").await;
    let asked = || std::mem::take(&mut *world.switch.asked.lock().unwrap());
    let told = ask(&world, &token, "Extgroup.GetGroupExt", &[]).await;
    assert_eq!(told["data"].as_array().unwrap().len(), 301);
    assert_eq!(asked(), [256, 45]);
    // Who is registered is no business of the engine at all.
    let told = ask(&world, &token, "Sipnum.GetSipnumberInfo", &[]).await;
    let rows = told["data"]["result"].as_array().unwrap();
    let there = |row: &&Value| row["register"] == "reg";
    assert_eq!((rows.len(), rows.iter().filter(there).count()), (302, 1));
    assert_eq!(asked(), Vec::<usize>::new());
}

/// A company that the operator takes out of use, or out of his file.
#[tokio::test]
async fn s4_3_a_company_that_is_closed_is_closed_at_once_and_its_token_with_it() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let list = async || ask(&world, &token, "Queue.GetQueueList", &[]).await["ret"].clone();
    assert_eq!(list().await, 200);
    let apply = async |change: &dyn Fn(&mut Value)| {
        let mut document = document();
        change(&mut document);
        let desired: Desired = serde_json::from_value(document).unwrap();
        let changes = world.store.apply(&desired, now(), false).await.unwrap();
        assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
        tokio::time::sleep(Duration::from_millis(550)).await;
    };
    apply(&|document| document["companies"][0]["active"] = json!(false)).await;
    assert_eq!(list().await, 601, "its token is known, it may do nothing with it");
    let login = [("appid", "app1"), ("accesskey", world::ACCESSKEY)];
    assert_eq!(form(&world, world::company::LOGIN, &login).await["ret"], 601);
    apply(&|_| {}).await;
    assert_eq!(list().await, 200);
    apply(&|document| {
        document["prune"] = json!(true);
        document["companies"].as_array_mut().unwrap().remove(0);
    })
    .await;
    assert_eq!(list().await, 600, "it is gone");
}
