//! System 002 through the router, against a real store: the entry, the envelope, tokens.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::{ACCESSKEY, World, now, read};

const LOGIN: &str = "App.Sip_Auth.Login";
const LOGOUT: &str = "App.Sip_Auth.Logout";

/// Sends a body to an address; the answer, which is always 200 and JSON.
async fn ask(world: &World, target: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Value {
    let mut request = Request::post(target);
    if !content_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let request = request.body(Body::from(body.into())).unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json;charset=utf-8");
    let (status, body) = read(response).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks for a service with parameters in a form.
async fn form(world: &World, service: &str, params: &[(&str, &str)]) -> Value {
    let escape = dialect::text::escape;
    let mut body = format!("service={}", escape(service));
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    ask(world, "/", "application/x-www-form-urlencoded", body).await
}

/// Logs a company in.
async fn token(world: &World, company: &str) -> String {
    let appid = format!("app{company}");
    let answer = form(world, LOGIN, &[("appid", &appid), ("accesskey", ACCESSKEY)]).await;
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(0)), "{answer}");
    answer["data"]["result"]["token"].as_str().unwrap().to_owned()
}

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
    // Who tries key after key is not listened to for a while.
    for _ in 0..40 {
        login("app1", "guess").await;
    }
    assert_eq!(login("app1", ACCESSKEY).await.0, 400);
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
