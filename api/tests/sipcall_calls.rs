//! System 002 through the router: calls of extensions, and what is done to calls that are up (merchant API §4.9).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use axum::body::Body;
use axum::http::Request;
use facts::conference::{Act, ActRefused};
use facts::control::{Control, ControlRefused, Led, Mode};
use facts::ports::Calls as _;
use facts::station::{Stage, Station, StationCall};
use facts::{CallCommand, CallId, Dialect, LegNo, Number, Purpose, PushKind, Refusal, UnixMillis};
use serde_json::{Value, json};
use world::{ACCESSKEY, World, now};

/// Asks for a service with these parameters and the token of a company.
async fn ask(world: &World, (company, service): (&str, &str), params: &[(&str, &str)]) -> Value {
    let login = [("appid", format!("app{company}")), ("accesskey", ACCESSKEY.to_owned())];
    let login = login.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
    let token = send(world, "App.Sip_Auth.Login", &login).await["data"]["result"]["token"].clone();
    let params = [&[("token", token.as_str().unwrap())], params].concat();
    send(world, service, &params).await
}

async fn send(world: &World, service: &str, params: &[(&str, &str)]) -> Value {
    let escape = dialect::text::escape;
    let mut body = format!("service={service}");
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    let (_, text) = world.send(Request::post("/").body(Body::from(body)).unwrap()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const MAKE: (&str, &str) = ("1", "App.Sip_Call.MakeCall");
const PLOY: (&str, &str) = ("1", "App.Sip_Call.MakePloyCall");
const DOUBLE: (&str, &str) = ("1", "App.Sip_Call.DoubleCall");
const HANGUP: (&str, &str) = ("1", "App.Sip_Call.HangupCall");
const SPY: (&str, &str) = ("1", "App.Sip_Call.SpyCall");
const FORCE: (&str, &str) = ("1", "App.Sip_Call.ForceCall");
const TRANSFER: (&str, &str) = ("1", "App.Sip_Call.TransferCall");
const STATUS: (&str, &str) = ("1", "App.Sip_Status.GetSipCallStatus");

fn code(answer: &Value) -> i64 {
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(1)), "{answer}");
    answer["data"]["errors"]["code"].as_i64().unwrap()
}

fn desc(answer: &Value) -> &str {
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(0)), "{answer}");
    answer["data"]["desc"].as_str().unwrap()
}

fn placed(world: &World) -> CallCommand {
    world.switch.placed.lock().unwrap().pop().unwrap()
}

const BOTH: [(&str, &str); 2] = [("extnumber", "80000"), ("destnumber", "133-3333 3333")];

#[tokio::test]
async fn s4_9_a_call_rings_the_extension_and_then_the_customer() {
    let world = World::new().await;
    let more = [("userid", "u"), ("memberid", "m"), ("chengshudu", "7"), ("customuuid", "x")];
    let answer = ask(&world, MAKE, &[&BOTH[..], &more].concat()).await;
    assert_eq!(desc(&answer), "呼叫命令发送成功");
    assert!(answer["data"]["result"]["uuid"].is_string());
    let command = placed(&world);
    assert_eq!((command.dialect, command.purpose), (Dialect::Sipcall, Purpose::Callback));
    assert_eq!((command.app.as_str(), command.sub_account.is_some()), ("1", true));
    let customer = Number::E164("8613333333333".into());
    assert_eq!(command.a.number, Number::Internal("80000".into()));
    assert_eq!(command.a.shown.as_ref(), Some(&customer), "who sits there sees whom it is with");
    let b = command.b.unwrap();
    assert_eq!((&b.number, b.as_sent.as_str()), (&customer, "13333333333"));
    let shown = b.shown.unwrap();
    assert!(["861053180002", "861053180003"].contains(&shown.digits()), "{shown:?}");
    let pushes: Vec<PushKind> = command.pushes.iter().map(|push| push.kind).collect();
    assert_eq!(pushes, [PushKind::Extension, PushKind::Record]);
    let context: Value = serde_json::from_str(&command.pushes[0].context).unwrap();
    assert_eq!((&context["method"], &context["extnumber"]), (&json!("3"), &json!("80000")));
    let echo: Value = serde_json::from_str(&command.custom).unwrap();
    assert_eq!((&echo["memberid"], &echo["chengshudu"]), (&json!("m"), &json!("7")));
    assert_eq!((&echo["method"], &echo["customer"]), (&json!(3), &json!("b")));
    // The customer first.
    ask(&world, MAKE, &[&BOTH[..], &[("callmethod", "reverse")]].concat()).await;
    let command = placed(&world);
    assert_eq!(command.a.as_sent, "13333333333");
    assert_eq!(command.b.unwrap().number, Number::Internal("80000".into()));
    // By the settings of numbers.
    let answer = ask(&world, PLOY, &[&BOTH[..], &[("disnumber", "1")]].concat()).await;
    assert_eq!(desc(&answer), "呼叫命令发送成功");
    assert_eq!(placed(&world).b.unwrap().shown, None);
}

#[tokio::test]
async fn s4_9_a_double_call_rings_a_and_then_b() {
    let world = World::new().await;
    let asked = [("extnumber", "80000"), ("anumber", "13333333333"), ("bnumber", "13444444444")];
    let answer = ask(&world, DOUBLE, &[&asked[..], &[("disnumber", "01053180002")]].concat()).await;
    assert_eq!(desc(&answer), "双呼命令发送成功");
    let command = placed(&world);
    let b = command.b.unwrap();
    assert_eq!((command.a.as_sent.as_str(), b.as_sent.as_str()), ("13333333333", "13444444444"));
    let shown = Some(Number::E164("861053180002".into()));
    assert_eq!((command.a.shown, b.shown), (shown.clone(), shown));
    let echo: Value = serde_json::from_str(&command.custom).unwrap();
    assert_eq!((&echo["method"], &echo["extnumber"]), (&json!(4), &json!("80000")));
    let double = async |a: &str, b: &str| {
        let asked = [("extnumber", "80000"), ("anumber", a), ("bnumber", b)];
        code(&ask(&world, DOUBLE, &asked).await)
    };
    assert_eq!(double("x", "1").await, 1002);
    // No machine rings an emergency, for nobody has dialled it.
    assert_eq!(double("110", "13444444444").await, 1002);
    assert_eq!(double("13444444444", "110").await, 1002);
    let police = [("extnumber", "80000"), ("destnumber", "110"), ("callmethod", "reverse")];
    assert_eq!(code(&ask(&world, MAKE, &police).await), 1002);
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn s4_9_each_code_of_a_call_by_one_minimal_bad_request() {
    let world = World::new().await;
    stand(&world, Station { registered: false, ..free("80000") });
    assert_eq!(code(&ask(&world, MAKE, &BOTH).await), 1014);
    assert_eq!(
        code(&ask(&world, MAKE, &[&BOTH[..], &[("doublecall", "yes")]].concat()).await),
        1014
    );
    world.switch.stations.lock().unwrap().clear();
    for (extension, number, shown, wanted) in [
        ("81000", "13333333333", "", 1011),
        ("89999", "13333333333", "", 1012),
        ("80009", "13333333333", "", 1013),
        ("80000", "81000", "", 1002),
        ("80000", "13a", "", 1002),
        ("80000", "13333333333", "01053180009", 1021),
    ] {
        let asked = [("extnumber", extension), ("destnumber", number), ("disnumber", shown)];
        assert_eq!(code(&ask(&world, MAKE, &asked).await), wanted, "{asked:?}");
    }
    let poor = [("extnumber", "81000"), ("destnumber", "13333333333")];
    assert_eq!(code(&ask(&world, ("poor", MAKE.1), &poor).await), 1040);
    for (refusal, wanted) in [
        (Refusal::TooManyCalls, 1041),
        (Refusal::Blocked, 1042),
        (Refusal::OutsideHours, 1043),
        (Refusal::SameNumber, 1002),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_eq!(code(&ask(&world, MAKE, &BOTH).await), wanted, "{refusal:?}");
    }
    assert!(world.switch.live_is_empty());
}

/// 1002 says what was wrong: whoever reads `code` and `codemsg` finds what he always found.
#[tokio::test]
async fn s4_2_a_validation_error_names_its_parameter() {
    let world = World::new().await;
    let play = ("1", "App.Sip_Call.PlayVoice");
    let voice = [("voicetype", "2"), ("voicefile", "a.example/x.mp3")];
    let one = |name, value| vec![(name, value)];
    let both = |first, second| vec![("extnumber", "80000"), first, second];
    let with = |more: Vec<(&'static str, &'static str)>| {
        [&voice[..], &[("destnumber", "13333333333")], &more].concat()
    };
    for (service, asked, name) in [
        (play, with(one("destnumber", "13a")), "destnumber"),
        (play, with(one("destnumber", "81000")), "destnumber"),
        (play, with(one("userid", "x@y")), "userid"),
        (play, with(one("voicefile", "ftp://a/x")), "voicefile"),
        (MAKE, vec![("extnumber", "80000"), ("destnumber", "110a")], "destnumber"),
        (DOUBLE, both(("anumber", "x"), ("bnumber", "13333333333")), "anumber"),
        (DOUBLE, both(("anumber", "110"), ("bnumber", "13333333333")), "anumber"),
        (DOUBLE, both(("anumber", "13333333333"), ("bnumber", "81000")), "bnumber"),
        (DOUBLE, both(("anumber", "13333333333"), ("bnumber", "110")), "bnumber"),
        (("1", "App.Sip_Cdr.GetBill"), vec![("starttime", "x"), ("endtime", "y")], "starttime"),
        (("1", "App.Sip_Extgroup.AddExtgroup"), one("name", "a;b"), "name"),
        (("1", "App.Sip_Status.GetSipCallStatus"), one("extnumber", ","), "extnumber"),
        (("1", "App.Sip_Voice.Delete"), one("name", "../x"), "name"),
    ] {
        let answer = ask(&world, service, &asked).await;
        assert_eq!(code(&answer), 1002, "{asked:?}");
        assert_eq!(answer["data"]["errors"]["codemsg"], "数据验证错误");
        assert_eq!(answer["data"]["desc"], format!("数据验证错误：{name}"), "{asked:?}");
    }
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoRoute);
    let told = ask(&world, MAKE, &BOTH).await;
    assert_eq!(told["data"]["desc"], "数据验证错误：destnumber");
    let double = both(("anumber", "13333333333"), ("bnumber", "13444444444"));
    let told = ask(&world, DOUBLE, &double).await;
    assert_eq!(told["data"]["desc"], "数据验证错误", "one of the two");
}

#[tokio::test]
async fn s4_2_what_policies_refuse_is_1032_where_a_call_by_policy_was_asked_for() {
    let world = World::new().await;
    for (refusal, ploy, make) in [
        (Refusal::Blocked, 1032, 1042),
        (Refusal::OutsideHours, 1032, 1043),
        (Refusal::TooOften, 1032, 1043),
        (Refusal::TooManyCalls, 1041, 1041),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_eq!(code(&ask(&world, PLOY, &BOTH).await), ploy, "{refusal:?}");
        assert_eq!(code(&ask(&world, MAKE, &BOTH).await), make, "{refusal:?}");
    }
}

fn free(extension: &str) -> Station {
    Station {
        extension: extension.into(),
        registered: true,
        calls: vec![],
        fades: false,
        quiet: false,
        rests: false,
        idle_since: None,
    }
}

fn stand(world: &World, station: Station) {
    let mut all = world.switch.stations.lock().unwrap();
    all.retain(|known| known.extension != station.extension);
    all.push(station);
}

fn at(extension: &str, call: CallId, stage: Stage) -> Station {
    let call = StationCall {
        call,
        leg: LegNo::A,
        stage,
        since: UnixMillis(now().0 - 61_000),
        other: "13333333333".into(),
        shown: "13333333333".into(),
        other_shown: "861053180002".into(),
        called_in: false,
        supervises: false,
    };
    Station { calls: vec![call], ..free(extension) }
}

/// A call of the company's merchant that is up, and 80000 talks in it.
async fn talking(world: &World) -> CallId {
    ask(world, MAKE, &BOTH).await;
    let call = world.switch.live().await.unwrap()[0].call;
    stand(world, at("80000", call, Stage::Talks));
    call
}

#[tokio::test]
async fn s4_9_what_extensions_are_at() {
    let world = World::new().await;
    let status = async || {
        let asked = [("extnumber", "80000, 80009,81000,89999")];
        ask(&world, STATUS, &asked).await["data"]["result"].clone()
    };
    let rows = status().await;
    let states: Vec<i64> =
        rows.as_array().unwrap().iter().map(|row| row["status"].as_i64().unwrap()).collect();
    assert_eq!(states, [1201, 1013, 1011, 1012]);
    let idle = json!({ "extnumber": "80000", "status": 1201, "caller": "", "callee": "",
        "disnumber": "", "direction": "", "channel": "", "idleduration": 0, "callduration": 0 });
    assert_eq!(rows[0], idle);
    let since = Some(UnixMillis(now().0 - 30_500));
    stand(&world, Station { idle_since: since, ..free("80000") });
    assert_eq!(status().await[0]["idleduration"], 30);
    stand(&world, Station { registered: false, ..free("80000") });
    assert_eq!(status().await[0]["status"], 1200);
    let call = CallId(77);
    for (stage, wanted, seconds) in
        [(Stage::Rings, 1202, 0), (Stage::Dials, 1203, 0), (Stage::Talks, 1204, 61)]
    {
        stand(&world, at("80000", call, stage));
        let row = status().await[0].clone();
        assert_eq!((&row["status"], &row["callduration"]), (&json!(wanted), &json!(seconds)));
        assert_eq!((&row["caller"], &row["callee"]), (&json!("80000"), &json!("13333333333")));
        assert_eq!(
            (&row["disnumber"], &row["direction"]),
            (&json!("01053180002"), &json!("callout"))
        );
        assert_eq!(row["channel"], dialect::sipcall::call_uuid(call));
    }
    let mut station = at("80000", call, Stage::Rings);
    station.calls[0].called_in = true;
    stand(&world, station);
    let row = status().await[0].clone();
    assert_eq!((&row["caller"], &row["callee"]), (&json!("13333333333"), &json!("80000")));
    assert_eq!(row["direction"], "callin");
}

#[tokio::test]
async fn s4_9_the_call_of_an_extension_is_hung_up() {
    let world = World::new().await;
    let asked = [("extnumber", "80000")];
    assert_eq!(code(&ask(&world, HANGUP, &asked).await), 1015);
    assert_eq!(code(&ask(&world, HANGUP, &[("extnumber", "81000")]).await), 1011);
    assert_eq!(code(&ask(&world, HANGUP, &[("extnumber", "89999")]).await), 1012);
    talking(&world).await;
    assert_eq!(desc(&ask(&world, HANGUP, &asked).await), "挂断命令发送成功");
    assert!(world.switch.live_is_empty());
    assert_eq!(code(&ask(&world, HANGUP, &asked).await), 1015, "it is over already");
    // A conference goes on without it.
    let call = talking(&world).await;
    world.switch.set_state("conference");
    assert_eq!(desc(&ask(&world, HANGUP, &asked).await), "挂断命令发送成功");
    let who = Number::Internal("80000".into());
    assert_eq!(*world.switch.acts.lock().unwrap(), [(call, Act::Kick { who })]);
    *world.switch.unwilling.lock().unwrap() = Some(ActRefused::NotThere);
    assert_eq!(code(&ask(&world, HANGUP, &asked).await), 1015);
    // Who supervises leaves, and the others talk on.
    let mut station = at("80000", world.switch.live().await.unwrap()[0].call, Stage::Talks);
    station.calls[0].supervises = true;
    stand(&world, station);
    assert_eq!(desc(&ask(&world, HANGUP, &asked).await), "挂断命令发送成功");
    let controls = world.switch.controls.lock().unwrap().clone();
    assert_eq!(controls[0].1, Control::Leave { supervisor: "80000".into() });
    assert!(!world.switch.live_is_empty());
    // Where it is only rung, the call goes on as if it had refused.
    let rung = at("80000", world.switch.live().await.unwrap()[0].call, Stage::Rings);
    stand(&world, rung);
    assert_eq!(desc(&ask(&world, HANGUP, &asked).await), "挂断命令发送成功");
    let controls = world.switch.controls.lock().unwrap().clone();
    assert_eq!(controls[1].1, Control::Decline { extension: "80000".into() });
    assert!(!world.switch.live_is_empty());
}

/// The merchant's second extension, which supervises.
async fn with_boss() -> World {
    let world = World::new().await;
    let mut document = world::document();
    let more = json!({ "number": "80001", "merchant": "test", "password": "p5" });
    document["extensions"].as_array_mut().unwrap().push(more);
    let desired = serde_json::from_value(document).unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    world
}

#[tokio::test]
async fn s4_9_a_supervisor_listens_whispers_and_comes_in() {
    let world = with_boss().await;
    let spy = async |kind: &str| {
        let asked = [("extnumber", "80001"), ("destnumber", "80000"), ("monitortype", kind)];
        ask(&world, SPY, &asked).await
    };
    assert_eq!(code(&spy("1").await), 1015, "nobody talks there");
    let call = talking(&world).await;
    let last = || world.switch.controls.lock().unwrap().pop().unwrap();
    for (kind, mode) in [("1", Mode::Listen), ("2", Mode::Whisper), ("4", Mode::Barge)] {
        assert_eq!(desc(&spy(kind).await), "监听命令发送成功");
        let who = Number::Internal("80000".into());
        let wanted = Control::Monitor { who, supervisor: "80001".into(), mode };
        assert_eq!(last(), (call, wanted));
    }
    assert_eq!(code(&spy("3").await), 1015, "who does not take part cannot stop");
    let mut boss = at("80001", call, Stage::Talks);
    boss.calls[0].supervises = true;
    stand(&world, boss);
    for (kind, mode) in [("2", Mode::Whisper), ("3", Mode::Listen), ("4", Mode::Barge)] {
        spy(kind).await;
        assert_eq!(last().1, Control::Part { supervisor: "80001".into(), mode });
    }
    let force = async |kind: &str| {
        let asked = [("extnumber", "80001"), ("destnumber", "80000"), ("forcetype", kind)];
        ask(&world, FORCE, &asked).await
    };
    assert_eq!(desc(&force("1").await), "强插命令发送成功");
    assert_eq!(last().1, Control::Part { supervisor: "80001".into(), mode: Mode::Barge });
    // A supervisor is nobody to be supervised.
    let asked = [("extnumber", "80000"), ("destnumber", "80001"), ("monitortype", "1")];
    assert_eq!(code(&ask(&world, SPY, &asked).await), 1015);
    stand(&world, Station { registered: false, ..free("80001") });
    assert_eq!(code(&spy("1").await), 1014);
    stand(&world, free("80001"));
    for (why, wanted) in [
        (ControlRefused::NotTalking, 1015),
        (ControlRefused::Busy, 1003),
        (ControlRefused::Pending, 1003),
        (ControlRefused::Codec, 1046),
        (ControlRefused::Full, 1003),
        (ControlRefused::Offline, 1014),
        (ControlRefused::Refused(Refusal::NoBalance), 1040),
        (ControlRefused::Refused(Refusal::TooManyCalls), 1041),
    ] {
        *world.switch.uncontrolled.lock().unwrap() = Some(why);
        assert_eq!(code(&spy("1").await), wanted, "{why:?}");
    }
    let foreign = [("extnumber", "80001"), ("destnumber", "81000"), ("monitortype", "1")];
    assert_eq!(code(&ask(&world, SPY, &foreign).await), 1011);
    assert_eq!(spy("5").await["ret"], 400);
    assert_eq!(desc(&force("2").await), "强拆命令发送成功");
    assert!(world.switch.live_is_empty());
}

#[tokio::test]
async fn s4_9_a_customer_is_led_on() {
    let world = with_boss().await;
    let transfer = async |a: &str, to: &str, kind: &str| {
        let asked = [("anumber", a), ("destnumber", to), ("transfertype", kind)];
        ask(&world, TRANSFER, &asked).await
    };
    assert_eq!(code(&transfer("80000", "80001", "1").await), 1015);
    assert_eq!(code(&transfer("13333333333", "80001", "1").await), 1015);
    let call = talking(&world).await;
    let last = || world.switch.controls.lock().unwrap().pop().unwrap();
    let to = |who, to: &str, as_sent: &str| Control::Transfer {
        who,
        to: Number::Internal(to.into()),
        as_sent: as_sent.into(),
    };
    assert_eq!(desc(&transfer("80000", "80001", "1").await), "转接命令发送成功");
    let seat = Led::OtherOf(Number::Internal("80000".into()));
    assert_eq!(last(), (call, to(seat.clone(), "80001", "80001")));
    assert_eq!(desc(&transfer("80000", "extGroup-1", "2").await), "转接命令发送成功");
    assert_eq!(last().1, to(seat, "80100", "extGroup-1"));
    // The customer, in a call in which two talk.
    assert_eq!(code(&transfer("13333333333", "80001", "1").await), 1015);
    world.switch.set_state("bridged");
    assert_eq!(desc(&transfer("133-33333333", "80001", "1").await), "转接命令发送成功");
    let customer = Led::This(Number::E164("8613333333333".into()));
    assert_eq!(last(), (call, to(customer, "80001", "80001")));
    for (number, kind, wanted) in [
        ("89999", "1", 1012),
        ("81000", "1", 1011),
        ("80009", "1", 1013),
        ("nobody", "2", 1044),
        ("theirs", "2", 1044),
    ] {
        assert_eq!(code(&transfer("80000", number, kind).await), wanted, "{number}");
    }
    stand(&world, Station { registered: false, ..free("80001") });
    assert_eq!(code(&transfer("80000", "80001", "1").await), 1014);
    assert_eq!(transfer("80000", "80001", "3").await["ret"], 400);
}
