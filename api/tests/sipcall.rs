//! System 002 through the router, against a real store: the entry, the envelope, tokens.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::clock;
use facts::ports::Calls as _;
use facts::scenario::{Next, Step};
use facts::{Dialect, Number, Purpose, PushKind, Refusal};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::company::{LOGIN, ask, code, form, token, wave};
use world::{ACCESSKEY, World, now};

const LOGOUT: &str = "App.Sip_Auth.Logout";

fn refusal(answer: &Value) -> (i64, &str) {
    (answer["ret"].as_i64().unwrap(), answer["msg"].as_str().unwrap())
}

#[tokio::test]
async fn s8_multipart_urlencoded_json_and_get_all_log_in() {
    let world = World::new().await;
    let fields = [("service", LOGIN), ("appid", "app1"), ("accesskey", ACCESSKEY)];
    let parts: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        })
        .collect();
    let multipart = format!("{}--XyZ--\r\n", parts.concat());
    let encoded = format!("service={LOGIN}&appid=app1&accesskey={ACCESSKEY}");
    let object = json!({ "service": LOGIN, "appid": "app1", "accesskey": ACCESSKEY }).to_string();
    let mut seen = Vec::new();
    // The type is not believed.
    for content_type in [
        "",
        "multipart/form-data",
        "text/plain",
        "application/x-www-from-urlencoded",
        "application/json;charset=utf-8;",
        "multipart/form-data; boundary=other",
    ] {
        for body in [&multipart, &encoded, &object] {
            let answer = ask(&world, "/", content_type, body.as_bytes()).await;
            assert_eq!(answer["ret"], 200, "{content_type}: {body}: {answer}");
            seen.push(answer["data"]["result"].clone());
        }
    }
    for path in ["/", "/index.php", "/api/yunhu"] {
        let answer: Value =
            serde_json::from_str(&world.get(&format!("{path}?{encoded}")).await).unwrap();
        seen.push(answer["data"]["result"].clone());
    }
    let short = format!("/?s=Sip_Auth.Login&appid=app1&accesskey={ACCESSKEY}");
    let answer: Value = serde_json::from_str(&world.get(&short).await).unwrap();
    seen.push(answer["data"]["result"].clone());
    assert!(seen.iter().all(|result| *result == seen[0]), "{seen:#?}");
    // A form wins over the query, an object over both.
    let answer = ask(&world, "/?service=App.X.Y&appid=nobody", "", encoded).await;
    assert_eq!(answer["ret"], 200, "{answer}");
}

#[tokio::test]
async fn s4_3_login_tells_the_company_and_one_token_for_twelve_hours() {
    let world = World::new().await;
    let answer = form(&world, LOGIN, &[("appid", "app1"), ("accesskey", ACCESSKEY)]).await;
    let result = &answer["data"]["result"];
    assert_eq!(answer["data"]["desc"], "授权成功");
    let token = result["token"].as_str().unwrap();
    assert!(
        token.len() == 32 && token.bytes().all(|b| b"0123456789abcdef".contains(&b)),
        "{token}"
    );
    let wanted = json!({ "companycode": "1", "companyname": "test", "token": token,
        "authtime": "2099-12-31 23:59:59", "authmodel": "", "ipwhite": "" });
    assert_eq!(result, &wanted);
    assert!((answer["data"]["reqtime"].as_i64().unwrap() - now().seconds()).abs() < 5);
    let other = form(&world, LOGIN, &[("appid", "app2"), ("accesskey", ACCESSKEY)]).await;
    let result = &other["data"]["result"];
    assert_eq!(
        (&other["data"]["desc"], &result["companyname"]),
        (&json!("authorization succeeded"), &json!("2"))
    );
    assert_eq!(
        (&result["authtime"], &result["authmodel"]),
        (&json!("2099-01-02 03:04:05"), &json!("call"))
    );
    assert_ne!(result["token"], token);
}

#[tokio::test]
async fn s4_3_each_refused_login() {
    let world = World::new().await;
    let login = async |appid: &str, key: &str| {
        let answer = form(&world, LOGIN, &[("appid", appid), ("accesskey", key)]).await;
        assert_eq!(answer["data"], json!({}), "an object, not a list");
        (answer["ret"].as_i64().unwrap(), answer["msg"].as_str().unwrap().to_owned())
    };
    assert_eq!(login("app1", "wrong").await, (601, "appid未授权".into()));
    assert_eq!(login("app2", "wrong").await, (601, "appid not authorized".into()));
    assert_eq!(login("nobody", ACCESSKEY).await, (601, "appid未授权".into()));
    assert_eq!(login("appoff", ACCESSKEY).await.0, 601);
    assert_eq!(login("appfrozen", ACCESSKEY).await.0, 601);
    assert_eq!(login("appover", ACCESSKEY).await, (602, "appid授权已到期".into()));
    assert_eq!(login("appfenced", ACCESSKEY).await, (604, "非法IP访问".into()));
    assert_eq!(login("", ACCESSKEY).await.0, 400);
    let missing = form(&world, LOGIN, &[("appid", "app1")]).await;
    assert_eq!(refusal(&missing), (400, "非法请求：缺少必要参数accesskey"));
    // Who tries key after key of a company is not listened to for a while; others who come from there are.
    for _ in 0..40 {
        login("app1", "guess").await;
    }
    assert_eq!(login("app1", ACCESSKEY).await.0, 400);
    assert_eq!(token(&world, "2").await.len(), 32);
}

#[tokio::test]
async fn s4_3_tries_at_one_time_are_counted_as_those_one_after_the_other() {
    let world = World::new().await;
    // Good keys count for nothing.
    for _ in 0..40 {
        token(&world, "1").await;
    }
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let request = Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("service={LOGIN}&appid=app1&accesskey=guess")));
        tries.spawn(world.router.clone().oneshot(request.unwrap()));
    }
    let mut looked_at = 0;
    while let Some(answered) = tries.join_next().await {
        let (_, body) = world::read(answered.unwrap().unwrap()).await;
        looked_at += usize::from(String::from_utf8(body).unwrap().contains("601"));
    }
    assert!((1..=35).contains(&looked_at), "{looked_at} keys were compared at one time");
    let good = [("appid", "app1"), ("accesskey", ACCESSKEY)];
    assert_eq!(form(&world, LOGIN, &good).await["ret"], 400);
}

#[tokio::test]
async fn s4_1_unknown_services_are_404_with_an_object() {
    let world = World::new().await;
    let answer = form(&world, "App.Sip_Call.Foo", &[]).await;
    assert_eq!(
        answer,
        json!({ "ret": 404, "data": {}, "msg": "非法请求：接口服务App.Sip_Call.Foo不存在" })
    );
    let answer = form(&world, "App..Foo", &[]).await;
    assert_eq!(refusal(&answer), (400, "非法请求：非法服务：App..Foo"));
}

/// What all the envelopes and pages say in words: `msg`, `desc`, `codemsg`.
fn words(answer: &Value) -> String {
    let data = &answer["data"];
    [&answer["msg"], &data["desc"], &data["errors"]["codemsg"]]
        .map(|text| text.as_str().unwrap_or_default())
        .join("")
}

/// An English company has English words wherever it is refused, as soon as it is known which one asks.
#[tokio::test]
async fn s4_1_whoever_is_english_is_refused_in_english_at_every_door() {
    let world = World::new().await;
    let token = token(&world, "2").await;
    let key = format!("appid=app2&accesskey={ACCESSKEY}");
    let known = format!("token={token}");
    let long = "1".repeat(200_001);
    let play = "voicetype=1&voicefile=gone";
    for (target, query) in [
        // The entry: names of services, parameters, the module, what the service says.
        ("/", format!("service=App..X&{known}")),
        ("/", format!("service=App.No.Thing&{known}")),
        ("/", format!("service={PLAY}&{known}")),
        ("/", format!("service={PLAY}&{known}&destnumber=&{play}")),
        ("/", format!("service={PLAY}&{known}&destnumber={long}&{play}")),
        ("/", format!("service={PLAY}&{known}&destnumber=13333333333&voicetype=9")),
        ("/", format!("service={PLAY}&{known}&destnumber=x&{play}")),
        ("/", format!("service={PLAY}&{known}&destnumber=13333333333&{play}")),
        (
            "/",
            format!("service=App.Sip_Call.MakeCall&{known}&extnumber=1&destnumber=2&callmethod=x"),
        ),
        ("/", format!("service=App.Sip_Cdr.GetBill&{known}&starttime=x&endtime=y")),
        ("/", format!("service=App.Sip_Voice.List&{known}")),
        ("/", format!("service=App.Sip_Voice.Upload&{known}")),
        // Keys.
        ("/", "service=App.Sip_Auth.Login&appid=app2".into()),
        ("/", "service=App.Sip_Auth.Login&appid=app2&accesskey=wrong".into()),
        ("/", format!("service={LOGOUT}&token=short&{key}")),
        ("/", format!("service={LOGOUT}&token={}&{key}", "0".repeat(32))),
        // Notices to many.
        ("/api/yunhu", format!("service={PLAY}&appid=app2")),
        ("/api/yunhu", format!("service={PLAY}&appid=app2&accesskey=wrong&destnumber=1&{play}")),
        ("/api/yunhu", format!("service={PLAY}&{key}&destnumber={long}&{play}")),
        ("/api/yunhu", format!("service={PLAY}&{key}&destnumber=1,x&{play}")),
        ("/api/yunhu", format!("service={PLAY}&{key}&destnumber=1&nationcode=xx&{play}")),
        ("/api/yunhu", format!("service={PLAY}&{key}&destnumber=13333333333&{play}")),
        // The page that says a code.
        ("/api/voicecode", "appid=app2".into()),
        ("/api/voicecode", "appid=app2&accesskey=wrong&code=1234&phone=13333333333".into()),
        ("/api/voicecode", format!("{key}&code=12345&phone=13333333333")),
        ("/api/voicecode", format!("{key}&code=12a4&phone=13333333333")),
        ("/api/voicecode", format!("{key}&code=1234&phone=110")),
        ("/api/voicecode", format!("{key}&code=1234&phone=13333333333&nationCode=xx")),
    ] {
        let answer = ask(&world, target, "", query.as_str()).await;
        let said = words(&answer);
        let start: String = query.chars().take(120).collect();
        assert!(!said.is_empty() && said.is_ascii(), "{target}?{start}: {answer}");
    }
    // Also where the switch says no, and where somebody tries key after key.
    let asked = [
        ("token", token.as_str()),
        ("destnumber", "13333333333"),
        ("voicetype", "2"),
        ("voicefile", "a.example/x"),
    ];
    for refusal in [Refusal::TooManyCalls, Refusal::Blocked, Refusal::Busy, Refusal::NoBalance] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        let said = words(&form(&world, PLAY, &asked).await);
        assert!(!said.is_empty() && said.is_ascii(), "{refusal:?}: {said}");
    }
    let mut last = String::new();
    for _ in 0..40 {
        last = words(&form(&world, LOGIN, &[("appid", "app2"), ("accesskey", "no")]).await);
        assert!(last.is_ascii(), "{last}");
    }
    assert_eq!(last, "Bad Request: too many requests");
    // Whoever is nobody has the framework's own language.
    let nobody = form(&world, LOGOUT, &[("token", "short"), ("appid", "nobody")]).await;
    assert!(!words(&nobody).is_ascii(), "{nobody}");
}

#[tokio::test]
async fn s4_1_only_get_and_post_carry_a_service_out() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let play = format!(
        "service={PLAY}&token={token}&destnumber=13333333333&voicetype=1&voicefile=welcome"
    );
    let code = format!("appid=app1&accesskey={ACCESSKEY}&code=1234&phone=13333333333");
    for (path, query) in
        [("/", &play), ("/index.php", &play), ("/api/yunhu", &play), ("/api/voicecode", &code)]
    {
        let send = async |method: &str| {
            let request = Request::builder().method(method).uri(format!("{path}?{query}"));
            world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
            let refused = send(method).await;
            assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(refused.headers()["allow"], "GET, POST");
        }
        assert!(world.switch.placed.lock().unwrap().is_empty(), "{path}");
        for method in ["GET", "POST"] {
            assert_eq!(send(method).await.status(), StatusCode::OK, "{method} {path}");
        }
        assert_eq!(world.switch.placed.lock().unwrap().drain(..).count(), 2, "{path}");
    }
}

#[tokio::test]
async fn s4_3_a_token_is_asked_for_in_the_frameworks_order() {
    let world = World::new().await;
    let answer = form(&world, LOGOUT, &[]).await;
    assert_eq!(refusal(&answer), (400, "非法请求：缺少必要参数token"));
    let answer = form(&world, LOGOUT, &[("token", "ABCDEFG")]).await;
    let words = "非法请求：token.len应该大于或等于32, 但现在token.len = 7";
    assert_eq!(refusal(&answer), (400, words));
    let answer = form(&world, LOGOUT, &[("token", &"0".repeat(32))]).await;
    assert_eq!(answer, json!({ "ret": 600, "data": {}, "msg": "token无效" }));
}

#[tokio::test]
async fn s4_3_logging_out_ends_the_token_for_all() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let answer = form(&world, " App.Sip_Auth.Logout", &[("token", &token)]).await;
    assert_eq!((&answer["ret"], &answer["data"]["desc"]), (&json!(200), &json!("注销成功")));
    assert_eq!(answer["data"]["result"], Value::Null);
    assert_eq!(form(&world, LOGOUT, &[("token", &token)]).await["ret"], 600);
    assert_ne!(self::token(&world, "1").await, token, "the next login has another");
}

const PLAY: &str = "App.Sip_Call.PlayVoice";

/// The seed's own request but for the sound, changed so: an empty value takes a parameter out.
async fn play(world: &World, company: &str, changes: &[(&str, &str)]) -> Value {
    let token = token(world, company).await;
    let mut asked = vec![
        ("token", token.as_str()),
        ("destnumber", "13333333333"),
        ("voicetype", "1"),
        ("voicefile", "welcome.wav"),
        ("chengshudu", "1"),
        ("userid", "1@extGroup-1"),
        ("customuuid", "110001168"),
    ];
    for (name, value) in changes {
        asked.retain(|(known, _)| known != name);
        if !value.is_empty() {
            asked.push((name, value));
        }
    }
    form(world, PLAY, &asked).await
}

#[tokio::test]
async fn s4_4_no_notice_rings_an_emergency() {
    let world = World::new().await;
    assert_eq!(code(&play(&world, "1", &[("destnumber", "110")]).await).0, 1002);
    assert!(world.switch.placed.lock().unwrap().is_empty());
    assert_eq!(play(&world, "1", &[]).await["data"]["status"], 0);
}

#[tokio::test]
async fn s4_4_a_notice_is_placed_with_its_menu_and_its_pushes() {
    let world = World::new().await;
    let answer = play(&world, "1", &[("waittime", "45"), ("conntime", "90")]).await;
    assert_eq!(answer["data"]["desc"], "播放命令发送成功", "{answer}");
    assert!(answer["data"]["result"]["uuid"].is_string());
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!((placed.dialect, placed.purpose), (Dialect::Sipcall, Purpose::Notice));
    assert_eq!((placed.app.as_str(), placed.b), ("1", None));
    assert_eq!(placed.a.number, Number::E164("8613333333333".into()));
    assert_eq!((placed.a.as_sent.as_str(), placed.a.ring.as_secs()), ("13333333333", 45));
    assert_eq!(placed.max_talk.map(|talk| talk.as_secs()), Some(90));
    let shown = placed.a.shown.unwrap();
    assert!(["861053180002", "861053180003"].contains(&shown.digits()), "{shown:?}");
    assert_eq!(placed.key, None, "the same customuuid again is another call");
    let pushes: Vec<_> = placed.pushes.iter().map(|p| (p.kind, p.endpoint.as_str())).collect();
    let wanted = [
        (PushKind::Extension, "http://127.0.0.1:9009/state"),
        (PushKind::Record, "http://127.0.0.1:9009/cdr"),
    ];
    assert_eq!(pushes, wanted);
    let scenario = placed.scenario.unwrap();
    let [Step::Say(say), Step::Say(word), Step::Lead { to, failed }] = scenario.steps() else {
        panic!("{scenario:?}")
    };
    assert_eq!((say.choices[0].keys.as_str(), say.choices[0].next), ("1", Next::Step(2)));
    assert_eq!((say.none, say.other, say.wait.as_secs()), (Next::HangUp, Next::HangUp, 5));
    assert_eq!((to, *failed), (&Number::Internal("80100".into()), Next::Step(1)));
    assert_eq!(word.clips.len(), 1, "a word where nobody is there");
}

#[tokio::test]
async fn s4_4_what_is_not_given_has_its_default() {
    let world = World::new().await;
    let url = [("voicetype", "2"), ("voicefile", "a.example/x.mp3")];
    let less = [("chengshudu", ""), ("userid", ""), ("customuuid", "")];
    play(&world, "1", &[url, [less[0], less[1]]].concat()).await;
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!((placed.a.ring.as_secs(), placed.max_talk.unwrap().as_secs()), (60, 3600));
    let scenario = placed.scenario.unwrap();
    assert_eq!(scenario.addresses(), ["http://a.example/x.mp3"]);
    let Step::Say(say) = &scenario.steps()[0] else { panic!("{scenario:?}") };
    assert!(!say.listens() && say.none == Next::HangUp, "a plain notice takes no key");
    // A key that leads nowhere is noted, and whoever presses nothing may be led as well.
    play(&world, "1", &[("userid", ""), ("userkey", "1")]).await;
    play(&world, "1", &[("userid", "T@extGroup-1;2@80100")]).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    let Step::Say(say) = &placed[0].scenario.as_ref().unwrap().steps()[0] else { panic!() };
    assert!(say.collect.is_some_and(|collect| collect.max == 1 && !collect.secret));
    let Step::Say(say) = &placed[1].scenario.as_ref().unwrap().steps()[0] else { panic!() };
    assert_eq!((say.choices[0].next, say.none), (Next::Step(2), Next::Step(3)));
}

#[tokio::test]
async fn s4_4_each_code_by_one_minimal_bad_request() {
    let world = World::new().await;
    for (changes, wanted) in [
        ([("destnumber", "13a")], (1002, "数据验证错误")),
        ([("destnumber", "81000")], (1002, "数据验证错误")),
        ([("userid", "x@extGroup-1")], (1002, "数据验证错误")),
        ([("voicefile", "gone.wav")], (1029, "文件不存在")),
        ([("voicefile", "../welcome.wav")], (1029, "文件不存在")),
        ([("disnumber", "01053180009")], (1021, "号码不属于该公司")),
        ([("disnumber", "abc")], (1021, "号码不属于该公司")),
        ([("userid", "1@nobody")], (1044, "分机组不存在")),
        ([("userid", "1@theirs")], (1044, "分机组不存在")),
        ([("destnumber", "0044207946000")], (1002, "数据验证错误")),
    ] {
        assert_eq!(code(&play(&world, "1", &changes).await), wanted, "{changes:?}");
    }
    // Addresses that no visit could be made to.
    for url in [
        "ftp://a.example/x.mp3",
        "http://10.0.0.1/x.mp3",
        "169.254.169.254/x.mp3",
        "http://[::1]/x.mp3",
        "http://user:word@a.example/x.mp3",
        "library:1/00",
    ] {
        let answer = play(&world, "1", &[("voicetype", "2"), ("voicefile", url)]).await;
        assert_eq!(code(&answer).0, 1002, "{url}");
    }
    let poor = play(&world, "poor", &[("userid", "")]).await;
    assert_eq!(code(&poor), (1040, "余额不足"));
    for (refusal, wanted) in [
        (Refusal::TooManyCalls, 1041),
        (Refusal::Blocked, 1042),
        (Refusal::OutsideHours, 1043),
        (Refusal::TooOften, 1043),
        (Refusal::Busy, 1001),
        (Refusal::Internal, 1001),
        (Refusal::Disabled, 1003),
        (Refusal::NoRoute, 1002),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_eq!(code(&play(&world, "1", &[]).await).0, wanted, "{refusal:?}");
    }
    let english = play(&world, "2", &[]).await;
    assert_eq!(code(&english), (1002, "validation error"));
    assert!(world.switch.live_is_empty());
}

#[tokio::test]
async fn s4_1_parameters_come_before_the_token_and_the_token_before_the_module() {
    let world = World::new().await;
    let unknown = ("token", "00000000000000000000000000000000");
    let answer = form(&world, PLAY, &[unknown]).await;
    assert_eq!(refusal(&answer), (400, "非法请求：缺少必要参数destnumber"));
    let three = play(&world, "1", &[("voicetype", "3")]).await;
    assert_eq!(refusal(&three), (400, "非法请求：voicetype应该小于等于2, 但现在voicetype = 3"));
    assert_eq!(play(&world, "1", &[unknown]).await["ret"], 600);
    let answer = play(&world, "cdrs", &[]).await;
    assert_eq!(answer, json!({ "ret": 603, "data": {}, "msg": "模块未授权" }));
    // The language is the token's, also where a parameter is wrong.
    let answer = play(&world, "2", &[("voicetype", "3")]).await;
    let words = "Bad Request: voicetype should <= 2, but now voicetype = 3";
    assert_eq!(refusal(&answer), (400, words));
}

#[tokio::test]
async fn s6_a_customuuid_is_taken_once_where_the_company_wants_it() {
    let world = World::new().await;
    let uuid = |answer: &Value| answer["data"]["result"]["uuid"].clone();
    let plain = [("userid", "")];
    let first = play(&world, "2", &plain).await;
    assert_eq!(first["data"]["status"], 0, "{first}");
    assert_eq!(uuid(&play(&world, "2", &plain).await), uuid(&first));
    let other = play(&world, "2", &[("userid", ""), ("destnumber", "13333333334")]).await;
    assert_eq!(code(&other).0, 1003, "the same name for another request");
    for changed in [("disnumber", "1"), ("userkey", "1"), ("conntime", "30"), ("ext", "other")] {
        let other = play(&world, "2", &[("userid", ""), changed]).await;
        assert_eq!(code(&other).0, 1003, "{changed:?}");
    }
    let again = play(&world, "2", &[("userid", ""), ("waittime", "20")]).await;
    assert_eq!(uuid(&again), uuid(&first), "how long it may ring is no part of it");
    let next = play(&world, "2", &[("userid", ""), ("customuuid", "2")]).await;
    assert_ne!(uuid(&next), uuid(&first));
    assert_eq!(world.switch.placed.lock().unwrap().len(), 2);
    // What was taken when its sound was there is not refused for what became of the sound since.
    world.store.keep_sound("2", ("spring", "wav"), (wave(800), 100), now()).await.unwrap();
    let spring = [("userid", ""), ("customuuid", "3"), ("voicefile", "spring.wav")];
    let taken = play(&world, "2", &spring).await;
    assert!(world.store.drop_sound("2", "spring", now()).await.unwrap());
    assert_eq!(uuid(&play(&world, "2", &spring).await), uuid(&taken), "{taken}");
    let fresh = [("userid", ""), ("customuuid", "4"), ("voicefile", "spring.wav")];
    assert_eq!(code(&play(&world, "2", &fresh).await).0, 1029);
}

const BILL: &str = "App.Sip_Cdr.GetBill";

async fn bills(world: &World, token: &str, more: &[(&str, &str)]) -> Value {
    let day = std::time::Duration::from_secs(86_400);
    let (from, until) = (clock::seconds(now() - day), clock::seconds(now()));
    let times = [("token", token), ("starttime", &from), ("endtime", &until), ("callmethod", "6")];
    let answer = form(world, BILL, &[&times[..], more].concat()).await;
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(0)), "{answer}");
    answer["data"]["result"].clone()
}

/// Places so many notices and plays them to their ends.
async fn settled(world: &World, count: usize) {
    for nth in 0..count {
        let name = format!("name-{nth}");
        play(world, "1", &[("customuuid", &name)]).await;
    }
    let live = world.switch.live();
    for call in live.await.unwrap() {
        world.complete(call.call).await;
    }
}

#[tokio::test]
async fn s8_bills_that_were_fetched_are_not_told_again() {
    let world = World::new().await;
    settled(&world, 3).await;
    let token = token(&world, "1").await;
    let all = bills(&world, &token, &[("syncflag", "3")]).await;
    assert_eq!(
        (&all["totalitems"], &all["currentpage"], &all["itemsperpage"]),
        (&json!(3), &json!(1), &json!(10))
    );
    let bill = &all["bills"][0];
    assert_eq!((&bill["customuuid"], &bill["userid"]), (&json!("name-0"), &json!("1@extGroup-1")));
    assert_eq!((&bill["hangupcause"], &bill["hangupdirection"]), (&json!(10001), &json!(10041)));
    assert_eq!((&bill["duration"], &bill["billsec"]), (&json!(4), &json!(60)));
    assert_eq!((&bill["callmethod"], &bill["direction"]), (&json!(6), &json!("callout")));
    assert!(["01053180002", "01053180003"].contains(&bill["displaynumber"].as_str().unwrap()));
    assert_eq!(bill.as_object().unwrap().len(), 20);
    // All were told, so none is new.
    wait_none(&world, &token).await;
    assert_eq!(bills(&world, &token, &[("syncflag", "2")]).await["totalitems"], 3);
}

/// What is noted once the answer was written is noted a moment later.
async fn wait_none(world: &World, token: &str) {
    for _ in 0..100 {
        if bills(world, token, &[("itemsperpage", "1")]).await["totalitems"] == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("they are still new");
}

#[tokio::test]
async fn s4_8_an_answer_that_nobody_took_tells_nothing() {
    let world = World::new().await;
    settled(&world, 1).await;
    let token = token(&world, "1").await;
    let from = clock::seconds(now() - std::time::Duration::from_secs(86_400));
    let escape = dialect::text::escape;
    let until = escape(&clock::seconds(now()));
    let query = format!(
        "/?s=Sip_Cdr.GetBill&token={token}&callmethod=0&starttime={}&endtime={until}",
        escape(&from)
    );
    let request = Request::get(query).body(Body::empty()).unwrap();
    let unread = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    drop(unread);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(bills(&world, &token, &[]).await["totalitems"], 1);
}

/// Over a connection as clients have them: an answer of known length is written whole and its end is not asked for.
#[tokio::test]
async fn s4_8_an_answer_over_a_connection_counts_once_it_was_written() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    settled(&world, 2).await;
    let token = token(&world, "1").await;
    let (address, _stop) = world.serve().await;
    let escape = dialect::text::escape;
    let day = std::time::Duration::from_secs(86_400);
    let ask = format!(
        "GET /?s=Sip_Cdr.GetBill&token={token}&callmethod=0&starttime={}&endtime={} HTTP/1.1\r\nHost: x\r\n\r\n",
        escape(&clock::seconds(now() - day)),
        escape(&clock::seconds(now())),
    );
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut told = async || {
        connection.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(br#""msg":""}"#) {
            assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0, "the connection stays");
        }
        String::from_utf8(answer).unwrap()
    };
    let first = told().await;
    assert!(first.contains(r#""totalitems":2"#) && first.contains("content-length: "), "{first}");
    wait_none(&world, &token).await;
    assert!(told().await.contains(r#""totalitems":0"#), "on the same connection");
}

#[tokio::test]
async fn s4_8_bills_are_looked_for_and_come_page_by_page() {
    let world = World::new().await;
    settled(&world, 5).await;
    let token = token(&world, "1").await;
    let all = ("syncflag", "3");
    let page = bills(&world, &token, &[all, ("itemsperpage", "2"), ("currentpage", "2")]).await;
    assert_eq!((&page["totalitems"], page["bills"].as_array().unwrap().len()), (&json!(5), 2));
    assert_eq!(page["bills"][0]["customuuid"], "name-2");
    for (more, count) in [
        ([("customuuid", "name-3")], 1),
        ([("destnumber", "13333333333")], 5),
        ([("destnumber", "1")], 0),
        ([("userid", "1@extGroup-1")], 5),
        ([("chengshudu", "1")], 5),
        ([("chengshudu", "0")], 0),
        ([("memberid", "0")], 5),
        ([("extnumber", "80000")], 0),
        ([("direction", "1")], 0),
        ([("direction", "2")], 5),
    ] {
        let found = bills(&world, &token, &[&[all][..], &more].concat()).await;
        assert_eq!(found["totalitems"], count, "{more:?}");
    }
    // Whoever names no method has the calls of method 3, of whatever kind 0 has them all; another company has none.
    let placed = async |service: &str, numbers: &[(&str, &str)]| {
        let asked = [&[("token", token.as_str()), ("extnumber", "80000")][..], numbers].concat();
        let told = form(&world, service, &asked).await;
        assert_eq!(told["data"]["status"], 0, "{told}");
        let call = world.switch.live().await.unwrap()[0].call;
        world.complete(call).await;
    };
    // Who writes into it what marks the other method is not found by that.
    let odd = ("userid", r#"{"method":4,\"method\":4"#);
    placed("App.Sip_Call.MakeCall", &[("destnumber", "13333333333"), odd]).await;
    let two = [("anumber", "13333333333"), ("bnumber", "13333333334")];
    placed("App.Sip_Call.DoubleCall", &two).await;
    let plain = |more: &[(&'static str, &'static str)]| {
        let mut asked = vec![("token", token.clone()), ("syncflag", "3".to_owned())];
        let day = std::time::Duration::from_secs(86_400);
        asked.push(("starttime", clock::seconds(now() - day)));
        asked.push(("endtime", clock::seconds(now())));
        asked.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        asked
    };
    for (more, count) in [
        (&[][..], 1),
        (&[("callmethod", "3"), ("extnumber", "80000")], 1),
        (&[("callmethod", "4")], 1),
        (&[("callmethod", "0")], 7),
        (&[("callmethod", "0"), ("destnumber", "13333333334")], 1),
        (&[("callmethod", "6")], 5),
        (&[("callmethod", "5")], 0),
        (&[("callmethod", "2")], 0),
        (&[("callmethod", "1")], 0),
        (&[("callmethod", "6"), ("customuuid", "name-3")], 1),
        (&[("customuuid", "name-3"), ("extnumber", "80000")], 0),
    ] {
        let asked = plain(more);
        let asked: Vec<(&str, &str)> =
            asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = form(&world, BILL, &asked).await;
        assert_eq!(found["data"]["result"]["totalitems"], count, "{more:?}");
    }
    let token = self::token(&world, "2").await;
    assert_eq!(
        form(&world, BILL, &[("token", &token), ("starttime", "x"), ("endtime", "y")]).await["ret"],
        603
    );
    let token = self::token(&world, "cdrs").await;
    assert_eq!(bills(&world, &token, &[all]).await["totalitems"], 0);
}

#[tokio::test]
async fn s4_9_how_extensions_stand() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let ask = async |service: &str| {
        let asked = [("token", token.as_str()), ("extnumber", "80000, 80009,81000,99999")];
        form(&world, service, &asked).await["data"]["result"].clone()
    };
    let codes = |answer: &Value| -> Vec<i64> {
        answer.as_array().unwrap().iter().map(|row| row["code"].as_i64().unwrap()).collect()
    };
    let registered = ask("App.Sip_Status.GetSipRegisterStatus").await;
    assert_eq!(codes(&registered), [1017, 1013, 1011, 1012]);
    let wanted =
        json!({ "extnumber": "80000", "code": 1017, "clientip": "192.0.2.7", "serverip": "" });
    assert_eq!(registered[0], wanted);
    let valid = ask("App.Sip_Status.GetSipValidStatus").await;
    assert_eq!(codes(&valid), [1016, 1013, 1011, 1012]);
    assert_eq!(valid[1], json!({ "extnumber": "80009", "code": 1013 }));
    let none =
        form(&world, "App.Sip_Status.GetSipValidStatus", &[("token", &token), ("extnumber", ",")])
            .await;
    assert_eq!(code(&none).0, 1002);
}
