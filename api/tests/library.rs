//! Sounds that companies of system 002 send in (merchant API §4.9), and how much of a request is read from whom.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use billing::library::{Address, SOUNDS_MAX};
use billing::{Store, StoreConfig};
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::company::{ask, code, form, parts, token, wave};
use world::{World, now, read};

const UPLOAD: &str = "App.Sip_Voice.Upload";
const PLAY: &str = "App.Sip_Call.PlayVoice";
const MIB: usize = 1024 * 1024;

async fn upload(world: &World, token: &str, name: &str, file: (&str, &[u8])) -> Value {
    let fields = [("service", UPLOAD), ("token", token), ("name", name)];
    ask(world, "/", "multipart/form-data", parts(&fields, Some(file))).await
}

async fn play(world: &World, token: &str, file: &str) -> Value {
    let asked =
        [("token", token), ("destnumber", "13333333333"), ("voicetype", "1"), ("voicefile", file)];
    form(world, PLAY, &asked).await
}

/// The address that the last call was to hear.
fn heard(world: &World) -> Option<Address> {
    let placed = world.switch.placed.lock().unwrap();
    let scenario = placed.last().unwrap().scenario.clone().unwrap();
    scenario.addresses().first().and_then(|url| Address::read(url))
}

#[tokio::test]
async fn s4_9_a_sound_is_sent_in_listed_played_replaced_and_deleted() {
    let world = World::new().await;
    let (token, other) = (token(&world, "1").await, token(&world, "cdrs").await);
    let first = wave(16_000);
    let answer = upload(&world, &token, "", ("spring.wav", &first)).await;
    assert_eq!(answer["data"]["desc"], "上传成功", "{answer}");
    assert_eq!(answer["data"]["result"], json!({ "voicefile": "spring.wav", "duration": 3 }));
    let list = form(&world, "App.Sip_Voice.List", &[("token", &token)]).await;
    let row = &list["data"]["result"][0];
    assert_eq!((&row["voicefile"], &row["size"]), (&json!("spring.wav"), &json!(first.len())));
    assert_eq!(play(&world, &token, "spring.wav").await["data"]["status"], 0);
    let address = heard(&world).unwrap();
    let octets = world.store.sound_octets(&address.company, &address.sum).await.unwrap();
    assert_eq!(octets.as_ref(), Some(&first));
    // The same name takes its place, whatever its ending; it is one row, so nobody sees half of it.
    let second = [b"ID3", &[7_u8; 90_000][..]].concat();
    let answer = upload(&world, &token, "spring", ("x.mp3", &second)).await;
    assert_eq!(answer["data"]["result"]["voicefile"], "spring.mp3", "{answer}");
    assert_eq!(play(&world, &token, "spring.wav").await["data"]["status"], 0);
    assert_ne!(heard(&world), Some(address.clone()));
    // Who was promised the first one hears the first one.
    let octets = world.store.sound_octets(&address.company, &address.sum).await.unwrap();
    assert_eq!(octets.as_ref(), Some(&first));
    let list = form(&world, "App.Sip_Voice.List", &[("token", &token)]).await;
    assert_eq!(list["data"]["result"].as_array().unwrap().len(), 1, "{list}");
    // A restart keeps it.
    let url = format!("sqlite://{}", world.folder.path().join("store.db").display());
    let again = Store::open(&url, StoreConfig::default()).await.unwrap();
    let address = heard(&world).unwrap();
    assert_eq!(again.sound_octets("1", &address.sum).await.unwrap(), Some(second));
    // It is nobody else's: neither to hear nor to delete.
    assert_eq!(play(&world, &other, "spring").await["ret"], 603);
    let theirs = self::token(&world, "poor").await;
    assert_eq!(code(&play(&world, &theirs, "spring").await).0, 1029);
    let delete = async |token: &str| {
        form(&world, "App.Sip_Voice.Delete", &[("token", token), ("name", "spring.mp3")]).await
    };
    assert_eq!(code(&delete(&theirs).await).0, 1029);
    assert_eq!(delete(&token).await["data"]["desc"], "删除成功");
    assert_eq!(code(&delete(&token).await).0, 1029);
    assert_eq!(code(&play(&world, &token, "spring").await).0, 1029);
}

/// Whoever sends sound after sound keeps no other merchant waiting.
#[tokio::test]
async fn s4_9_one_sound_of_each_merchant_waits_to_be_decoded() {
    let world = World::new().await;
    let (own, theirs) = (token(&world, "1").await, token(&world, "poor").await);
    let sound = wave(100);
    let held = world.switch.decoder.lock().await;
    let again = async {
        // The first one is in the line by now; the second of the same merchant is told to come later.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let mut again = Vec::new();
        for _ in 0..3 {
            again.push(upload(&world, &own, "b", ("b.wav", &sound)).await);
        }
        drop(held);
        again
    };
    let (first, other, again) = tokio::join!(
        upload(&world, &own, "a", ("a.wav", &sound)),
        upload(&world, &theirs, "a", ("a.wav", &sound)),
        again,
    );
    for again in again {
        let told = (&again["ret"], &again["msg"]);
        assert_eq!(told, (&json!(400), &json!("非法请求：请求过于频繁")));
    }
    assert_eq!((&first["data"]["status"], &other["data"]["status"]), (&json!(0), &json!(0)));
    // It is over: the next one is taken, also behind one that was none.
    let broken = [&wave(100)[..], b"broken"].concat();
    assert_eq!(code(&upload(&world, &own, "b", ("b.wav", &broken)).await).0, 1045);
    assert_eq!(upload(&world, &own, "b", ("b.wav", &sound)).await["data"]["status"], 0);
}

#[tokio::test]
async fn s4_9_what_is_no_sound_is_told_and_not_kept() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let broken = [&wave(100)[..], b"broken"].concat();
    for (file, octets) in [
        ("a.wav", &b"<html>"[..]),
        ("a.wav", &wave(100)[..30]),
        ("a.wav", &broken),
        ("a.ogg", b"OggS"),
        ("a.mp3", b""),
    ] {
        assert_eq!(
            code(&upload(&world, &token, "a", (file, octets)).await),
            (1045, "语音文件无效")
        );
    }
    for name in ["../a", "a/b", "..", "a\\b", ".a"] {
        assert_eq!(
            code(&upload(&world, &token, name, ("x.wav", &wave(9))).await).0,
            1002,
            "{name}"
        );
    }
    let nameless = upload(&world, &token, "", ("../../etc/passwd", &wave(9))).await;
    assert_eq!(code(&nameless).0, 1002);
    let none = form(&world, UPLOAD, &[("token", &token), ("name", "a")]).await;
    assert_eq!((&none["ret"], &none["msg"]), (&json!(400), &json!("非法请求：缺少上传文件：file")));
    assert!(world.store.sounds("1").await.unwrap().is_empty());
    // As many as there may be, and no more; one that is there may be replaced.
    for n in 0..SOUNDS_MAX {
        let name = format!("s{n}");
        let kept = world.store.keep_sound("1", (&name, "wav"), (vec![1], 1), now());
        kept.await.unwrap();
    }
    assert_eq!(code(&upload(&world, &token, "more", ("x.wav", &wave(9))).await).0, 1003);
    assert_eq!(upload(&world, &token, "s0", ("x.wav", &wave(9))).await["data"]["status"], 0);
}

/// Sounds that the operator keeps for companies, by their names.
#[tokio::test]
async fn s4_4_sounds_of_another_company_are_nobodys() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    // `welcome` is everybody's; what begins with the code of a company is that company's.
    assert_eq!(play(&world, &token, "welcome").await["data"]["status"], 0);
    for name in ["poor-welcome", "poor-welcome.wav", "2-spring"] {
        assert_eq!(code(&play(&world, &token, name).await).0, 1029, "{name}");
    }
}

#[tokio::test]
async fn s4_9_lists_of_ten_thousand_numbers_are_taken_in_every_form() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let list: Vec<String> = (0..10_000).map(|n| format!("1380{n:07}")).collect();
    let list = Value::from(list).to_string();
    let fields = [
        ("service", "App.Sip_Yccall.TaskCreat"),
        ("token", token.as_str()),
        ("assigntype", "1"),
        ("assignagent", "80000"),
        ("telphone", list.as_str()),
        ("status", "2"),
    ];
    let escaped: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", dialect::text::escape(value)))
        .collect();
    let object = |order: &mut dyn Iterator<Item = &(&str, &str)>| {
        let members = order.map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    for body in [
        parts(&fields, None),
        escaped.join("&").into_bytes(),
        object(&mut fields.iter()).into_bytes(),
        // Who he is stands behind the list: there is room for a few such.
        object(&mut fields.iter().rev()).into_bytes(),
    ] {
        assert!(body.len() > 140_000);
        let made = ask(&world, "/", "", body).await;
        assert_eq!(made["data"]["status"], 0, "{made}");
    }
    let (total, all) = world.store.campaigns("1", 0, 9).await.unwrap();
    assert_eq!((total, all[0].1.total), (4, 10_000));
}

/// Sends the beginning of a long body, and says how much of it was read.
async fn begin(world: &World, head: Vec<u8>, length: Option<usize>) -> (Value, usize, bool) {
    let taken = Arc::new(AtomicUsize::new(0));
    let body = Body::new(Endless { first: Some(head.into()), taken: Arc::clone(&taken) });
    let mut request = Request::post("/");
    if let Some(length) = length {
        request = request.header(header::CONTENT_LENGTH, length);
    }
    let response = world.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let closes = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
    let (status, body) = read(response).await;
    assert_eq!(status, StatusCode::OK);
    let read = taken.load(Ordering::SeqCst);
    (serde_json::from_slice(&body).unwrap(), read, closes)
}

/// A body that begins so and never ends.
struct Endless {
    first: Option<Bytes>,
    taken: Arc<AtomicUsize>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.first.take().unwrap_or_else(|| vec![b'x'; 16 * 1024].into());
        self.taken.fetch_add(data.len(), Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn s4_1_a_request_that_is_too_long_is_answered_by_the_envelope_and_a_stranger_is_not_read() {
    let world = World::new().await;
    let token = token(&world, "1").await;
    let head = |fields: &[(&str, &str)]| {
        let whole = parts(fields, Some(("a.wav", b"")));
        whole[..whole.len() - 30].to_vec()
    };
    let told = |answer: &Value| (answer["ret"].clone(), answer["msg"].as_str().unwrap().to_owned());
    let large = (json!(400), "非法请求：请求内容过大".to_owned());
    // Announced as longer than anything: read as far as anybody's.
    let (answer, read, closes) = begin(&world, vec![], Some(11 * MIB)).await;
    assert_eq!((told(&answer), closes), (large.clone(), true));
    assert!(read < 200_000, "{read}");
    // With a token that nobody has, a wrong key, none of either.
    let unknown = [("service", UPLOAD), ("token", "00000000000000000000000000000000")];
    let (answer, read, _) = begin(&world, head(&unknown), Some(9 * MIB)).await;
    assert_eq!(answer["ret"], 600, "{answer}");
    assert!(read < 200_000, "{read}");
    let wrong = [("service", PLAY), ("appid", "app1"), ("accesskey", "x")];
    let (answer, read, _) = begin(&world, head(&wrong), None).await;
    assert_eq!(answer["ret"], 601, "{answer}");
    assert!(read < 200_000, "{read}");
    let (answer, read, _) = begin(&world, head(&[("service", UPLOAD)]), Some(9 * MIB)).await;
    assert_eq!(told(&answer), large);
    assert!(read < 200_000, "{read}");
    let (answer, read, _) = begin(&world, head(&[("service", UPLOAD)]), None).await;
    assert_eq!(told(&answer), large);
    assert!((4 * MIB..5 * MIB).contains(&read), "{read}");
    // With a good one as much as its service may have.
    let known = [("service", UPLOAD), ("token", token.as_str())];
    let (answer, read, _) = begin(&world, head(&known), None).await;
    assert_eq!(told(&answer), large);
    assert!((10 * MIB..11 * MIB).contains(&read), "{read}");
    // In the language of whoever it is, as far as that has come.
    let english = self::token(&world, "2").await;
    let known = [("service", UPLOAD), ("token", english.as_str())];
    let large_in_english = (json!(400), "Bad Request: the request is too large".to_owned());
    for announced in [None, Some(9 * MIB + 1), Some(11 * MIB)] {
        let (answer, ..) = begin(&world, head(&known), announced).await;
        assert_eq!(told(&answer), large_in_english, "{announced:?}");
    }
    // In the query it is known before the body begins.
    let sound = wave(5 * 1024 * 1024 - 100);
    let target = format!("/?service={UPLOAD}&token={token}&name=long");
    let answer = ask(&world, &target, "", parts(&[], Some(("x.wav", &sound)))).await;
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    let over = wave(5 * 1024 * 1024);
    let answer = ask(&world, &target, "", parts(&[], Some(("x.wav", &over)))).await;
    assert_eq!(told(&answer), large, "10 MiB of sound");
}
