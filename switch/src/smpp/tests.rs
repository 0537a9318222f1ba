//! Links against a message centre that does what a test wants, over sockets of loopback: what one of somebody else's
//! making cannot be made to do.

use billing::smpp::{Alphabet, Bind, Ids, LongTexts, Version};
use bytes::BytesMut;
use facts::UnixMillis;
use facts::sms::LinkState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::wire::{Body, Pdu};
use super::*;
use crate::clock;

/// A connection of the message centre.
struct Far {
    stream: TcpStream,
    read: BytesMut,
    last: u32,
}

impl Far {
    async fn accept(listener: &TcpListener) -> Far {
        let (stream, _) = listener.accept().await.unwrap();
        Far { stream, read: BytesMut::new(), last: 0 }
    }

    /// The next that comes; `None`: the connection is over.
    async fn next(&mut self) -> Option<Pdu> {
        loop {
            if let Some(pdu) = wire::next(&mut self.read).unwrap() {
                return Some(pdu.unwrap());
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn say(&mut self, status: u32, sequence: u32, body: Body) {
        let octets = wire::octets(&Pdu { status, sequence, body });
        self.stream.write_all(&octets).await.unwrap();
    }

    /// Takes a bind.
    async fn bound(listener: &TcpListener) -> Far {
        let mut far = Far::accept(listener).await;
        let bind = far.next().await.unwrap();
        let Body::Bind(role, who) = bind.body else { panic!("{bind:?}") };
        assert_eq!((who.system_id.as_str(), who.password.as_str()), ("tandem", "secret"));
        far.say(0, bind.sequence, Body::BindResp(role)).await;
        far
    }

    /// The next message.
    async fn submitted(&mut self) -> (u32, Message) {
        let pdu = self.next().await.expect("a message");
        match pdu.body {
            Body::Submit(message) => (pdu.sequence, *message),
            body => panic!("{body:?}"),
        }
    }

    /// Delivers a message; the status of its answer.
    async fn deliver(&mut self, message: Message) -> u32 {
        self.last += 1;
        self.say(0, self.last, Body::Deliver(Box::new(message))).await;
        let answer = self.next().await.expect("an answer");
        assert_eq!((answer.sequence, answer.body), (self.last, Body::DeliverResp));
        answer.status
    }
}

/// Takes down what comes.
struct Ear(mpsc::UnboundedSender<Message>, u32);

impl Hears for Ear {
    fn came(&self, _: Arc<Line>, message: Message) -> Promise<u32> {
        let _ = self.0.send(message);
        Box::pin(std::future::ready(self.1))
    }

    fn lost(&self, _: &Line) {}
}

fn link(port: u16) -> Link {
    Link {
        name: "carrier".into(),
        host: "127.0.0.1".into(),
        port,
        tls: false,
        version: Version::V34,
        system_id: "tandem".into(),
        password: "secret".into(),
        system_type: String::new(),
        bind: Bind::Transceiver,
        sender: "3000".into(),
        sender_ton: None,
        sender_npi: None,
        alphabet: Alphabet::Gsm,
        long_texts: LongTexts::Udh,
        ids: Ids::Same,
        window: 10,
        per_second: 0,
        enquire_seconds: 30,
        sms: true,
        ussd: true,
        enabled: true,
        node: None,
    }
}

async fn far_end() -> (TcpListener, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, link(port))
}

/// All links, of which there is this one.
fn smpp(link: Link) -> Smpp {
    let smpp = Smpp::new(Handle::current(), 0);
    let (stop, stopped) = watch::channel(false);
    let (line, outgoing) = Line::new(link);
    let hears: Arc<dyn Hears> = Arc::new(smpp.clone());
    let given = Given { hears, tls: None, stop: stopped };
    let task = tokio::spawn(line::run(Arc::clone(&line), outgoing, given));
    let name = line.settings.name.clone();
    smpp.0.lines.write().unwrap().insert(name, Running { line, stop, task });
    smpp
}

async fn stands(smpp: &Smpp, state: LinkState) -> LinkStatus {
    loop {
        let status = smpp.links().remove(0);
        if status.state == state {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn text(id: i64, words: &str) -> Text {
    let (from, to) = (String::new(), "989123456789".into());
    Text { id, from, to, text: words.into(), until: None }
}

fn send(smpp: &Smpp, text: Text) -> JoinHandle<Sent> {
    tokio::spawn(smpp.send("carrier".into(), text))
}

fn taken(id: &str) -> Body {
    Body::SubmitResp(id.into())
}

#[tokio::test]
async fn s5_5_parts_that_have_left_do_not_leave_again_when_the_message_is_tried_again() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let words = "a".repeat(400);
    let sending = send(&smpp, text(5, &words));
    let (sequence, first) = far.submitted().await;
    assert_eq!(first.octets[..6], [5, 0, 3, 5, 3, 1]);
    far.say(0, sequence, taken("one")).await;
    let (_, second) = far.submitted().await;
    assert_eq!(second.octets[5], 2);
    // The cable is cut before its answer: nobody knows whether it has it.
    drop(far);
    assert_eq!(sending.await.unwrap(), Sent::Begun("part 2 of 3: no answer".into()));
    let down = stands(&smpp, LinkState::Down).await;
    assert_eq!((down.why.as_str(), down.lost, down.unanswered), ("connection lost", 1, 1));
    let nobody = smpp.send("carrier".into(), text(5, &words)).await;
    assert_eq!(nobody, Sent::Later("part 2 of 3: not bound: connection lost".into()));
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let sending = send(&smpp, text(5, &words));
    for (part, id) in [(2, "two"), (3, "three")] {
        let (sequence, message) = far.submitted().await;
        assert_eq!((message.octets[3], message.octets[5]), (5, part));
        far.say(0, sequence, taken(id)).await;
    }
    let references = ["one", "two", "three"].map(str::to_owned).to_vec();
    assert_eq!(sending.await.unwrap(), Sent::Taken(references));
    assert!(smpp.begun().is_empty());
    // A link of another name, or one that carries no messages: another way may do.
    assert_eq!(smpp.send("other".into(), text(6, "x")).await, Sent::NotHere);
}

#[tokio::test]
async fn smpp34_5_1_3_refusals_are_for_good_or_for_now() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    for (refused, came) in [
        (0x0b, Sent::Refused("ESME_RINVDSTADR (0xb)".into())),
        (0x45, Sent::Refused("ESME_RSUBMITFAIL (0x45)".into())),
        (0x401, Sent::Refused("status 0x401".into())),
        (0x08, Sent::Later("ESME_RSYSERR (0x8)".into())),
    ] {
        let sending = send(&smpp, text(1, "x"));
        let (sequence, message) = far.submitted().await;
        assert_eq!((message.from.digits.as_str(), message.registered), ("3000", 1));
        far.say(refused, sequence, taken("")).await;
        assert_eq!(sending.await.unwrap(), came);
    }
    let status = smpp.links().remove(0);
    assert_eq!((status.refused, status.taken, status.outstanding), (4, 0, 0));
}

/// A link that is paced or busy sends all of one message before it begins another: in the time that it has it sends some
/// whole, and of the others nothing.
#[tokio::test]
async fn s5_5_on_a_slow_link_a_message_that_has_begun_leaves_whole_before_the_next() {
    let (listener, link) = far_end().await;
    let smpp = smpp(Link { per_second: 3, ..link });
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let words = "a".repeat(400);
    let all: Vec<_> = (1..=4).map(|id| send(&smpp, text(id, &words))).collect();
    let mut order = Vec::new();
    for _ in 0..12 {
        let (sequence, message) = far.submitted().await;
        order.push(message.octets[3]);
        far.say(0, sequence, taken("id")).await;
    }
    assert!(order.chunks(3).all(|parts| parts.iter().all(|id| *id == parts[0])), "{order:?}");
    for one in all {
        assert!(matches!(one.await.unwrap(), Sent::Taken(_)));
    }
    // What has begun and cannot go on now goes on here, and by no other way.
    let sending = send(&smpp, text(7, &words));
    for status in [0, status::SYSTEM] {
        let (sequence, _) = far.submitted().await;
        far.say(status, sequence, taken("one")).await;
    }
    assert_eq!(sending.await.unwrap(), Sent::Begun("part 2 of 3: ESME_RSYSERR (0x8)".into()));
}

/// The far end was started anew behind a connection that stayed: it knows of no bind.
#[tokio::test]
async fn smpp34_5_1_3_a_bind_that_is_lost_is_made_anew_and_the_message_tried_again() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    // Nor does an answer to nothing end the link, now or for good.
    far.say(0, 77, Body::UnbindResp).await;
    let sending = send(&smpp, text(1, "x"));
    let (sequence, _) = far.submitted().await;
    far.say(status::BAD_BIND, sequence, taken("")).await;
    assert_eq!(sending.await.unwrap(), Sent::Later("ESME_RINVBNDSTS (0x4)".into()));
    assert_eq!(far.next().await, None);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let sending = send(&smpp, text(1, "x"));
    let (sequence, _) = far.submitted().await;
    far.say(0, sequence, taken("1")).await;
    assert_eq!(sending.await.unwrap(), Sent::Taken(vec!["1".into()]));
}

#[tokio::test]
async fn a_link_that_ends_says_so_and_takes_down_what_it_can() {
    let (listener, link) = far_end().await;
    let smpp = smpp(Link { bind: Bind::Pair, ..link });
    let (mut one, mut other) = (Far::bound(&listener).await, Far::bound(&listener).await);
    stands(&smpp, LinkState::Bound).await;
    let running = smpp.0.lines.write().unwrap().remove("carrier").unwrap();
    let line = Arc::clone(&running.line);
    let ended = running.end();
    for far in [&mut one, &mut other] {
        let unbind = far.next().await.unwrap();
        assert_eq!(unbind.body, Body::Unbind);
        far.say(0, unbind.sequence, Body::UnbindResp).await;
        assert_eq!(far.next().await, None);
    }
    ended.await.unwrap();
    assert_eq!(line.state().0, LinkState::Down);
    assert!(line.post(Message::default(), Rank::Message, Instant::now()).is_none());
}

#[tokio::test]
async fn smpp34_4_6_what_comes_is_answered_as_it_was_dealt_with_and_the_rest_by_its_sequence() {
    let (listener, link) = far_end().await;
    for status in [status::OK, status::TEMPORARY] {
        let (heard, mut ear) = mpsc::unbounded_channel();
        let (line, outgoing) = Line::new(link.clone());
        let (stop, stopped) = watch::channel(false);
        let given = Given { hears: Arc::new(Ear(heard, status)), tls: None, stop: stopped };
        let task = tokio::spawn(line::run(line, outgoing, given));
        let mut far = Far::bound(&listener).await;
        let message = Message { octets: b"hello".to_vec(), ..Message::default() };
        assert_eq!(far.deliver(message.clone()).await, status);
        assert_eq!(ear.recv().await.unwrap().octets, b"hello");
        // A frame that ends in the middle of a field: an answer of its own, and the link goes on.
        let whole = wire::octets(&Pdu {
            status: 0,
            sequence: 77,
            body: Body::Deliver(Box::new(message.clone())),
        });
        let mut cut = whole[..30].to_vec();
        cut[3] = 30;
        far.stream.write_all(&cut).await.unwrap();
        let answer = far.next().await.unwrap();
        assert_eq!((answer.sequence, answer.status), (77, status::BAD_LENGTH));
        assert_eq!(far.deliver(message).await, status);
        // One field that is not as the standard has it, and a stray octet: it comes all the same.
        let mut odd = whole.to_vec();
        odd.extend([0x04, 0x27, 0, 2, 0, 2, 0]);
        odd[3] = u8::try_from(odd.len()).unwrap();
        far.stream.write_all(&odd).await.unwrap();
        assert_eq!(far.next().await.unwrap().status, status);
        assert!(ear.recv().await.is_some());
        let heard = ear.recv().await.unwrap();
        assert_eq!((heard.octets.as_slice(), heard.state), (&b"hello"[..], Some(2)));
        // What is no SMPP ends it.
        far.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(far.next().await, None);
        stop.send_replace(true);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_before_anybody_can_deal_with_it_is_to_come_again() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    assert_eq!(far.deliver(Message { ussd: Some(1), ..Message::default() }).await, 0x64);
    assert_eq!(smpp.links().remove(0).delivered, 1);
}

#[tokio::test]
async fn s5_6_a_screen_leaves_before_messages_that_wait() {
    let (listener, link) = far_end().await;
    let smpp = smpp(Link { window: 1, ..link });
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let all: Vec<_> = (0..5).map(|id| send(&smpp, text(id, "text"))).collect();
    let (first, _) = far.submitted().await;
    while smpp.links().remove(0).waiting < 4 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let came = Message { ussd: Some(1), session: Some([3, 0]), ..Message::default() };
    smpp.begin(CallId(9));
    smpp.show(CallId(9), "menu", true);
    let out = smpp.desk().opened(CallId(9), "98912", Way::of("carrier", Alphabet::Gsm, &came));
    out.into_iter().for_each(|out| smpp.push(out));
    while smpp.links().remove(0).waiting < 5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    far.say(0, first, taken("1")).await;
    let (sequence, screen) = far.submitted().await;
    assert_eq!((screen.ussd, screen.octets.as_slice()), (Some(2), &b"menu"[..]));
    far.say(0, sequence, taken("2")).await;
    for _ in 0..4 {
        let (sequence, message) = far.submitted().await;
        assert_eq!(message.octets, b"text");
        far.say(0, sequence, taken("3")).await;
    }
    for one in all {
        assert!(matches!(one.await.unwrap(), Sent::Taken(_)));
    }
}

/// Hears once, and then panics.
struct Faint(mpsc::UnboundedSender<()>);

impl Hears for Faint {
    fn came(&self, _: Arc<Line>, message: Message) -> Promise<u32> {
        let _ = self.0.send(());
        assert_ne!(message.octets, b"now", "a fault at once");
        Box::pin(async move {
            assert_ne!(message.octets, b"later", "a fault later");
            status::OK
        })
    }

    fn lost(&self, _: &Line) {}
}

#[tokio::test]
async fn a_fault_of_ours_costs_one_connection_and_not_the_link() {
    let (listener, link) = far_end().await;
    let (heard, mut ear) = mpsc::unbounded_channel();
    let (line, outgoing) = Line::new(link);
    let (stop, stopped) = watch::channel(false);
    let given = Given { hears: Arc::new(Faint(heard)), tls: None, stop: stopped };
    let task = tokio::spawn(line::run(Arc::clone(&line), outgoing, given));
    let mut far = Far::bound(&listener).await;
    let message = |words: &str| Message { octets: words.into(), ..Message::default() };
    // While one is dealt with: it is to come again, and the connection goes on.
    assert_eq!(far.deliver(message("later")).await, status::TEMPORARY);
    assert_eq!(far.deliver(message("fine")).await, status::OK);
    // In the connection itself: another follows, and carries both ways.
    far.say(0, 9, Body::Deliver(Box::new(message("now")))).await;
    assert_eq!(far.next().await, None);
    let mut far = Far::bound(&listener).await;
    assert_eq!(far.deliver(message("fine")).await, status::OK);
    let until = Instant::now() + Duration::from_secs(5);
    let outcome = line.post(message("out"), Rank::Message, until).expect("it is bound");
    let (sequence, _) = far.submitted().await;
    far.say(0, sequence, taken("1")).await;
    assert_eq!(outcome.await.unwrap(), Outcome::Taken("1".into()));
    assert_eq!(line.status().lost, 1);
    for _ in 0..4 {
        assert!(ear.recv().await.is_some());
    }
    drop(far);
    stop.send_replace(true);
    task.await.unwrap();
}

#[tokio::test]
async fn smpp34_4_4_2_what_was_taken_under_an_odd_id_does_not_leave_again() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let sending = send(&smpp, text(1, "x"));
    let (sequence, _) = far.submitted().await;
    let id = "a".repeat(80);
    let mut frame = Vec::new();
    for word in [16 + 81, 0x8000_0004, 0, sequence] {
        frame.extend_from_slice(&word.to_be_bytes());
    }
    frame.extend_from_slice(format!("{id}\0").as_bytes());
    far.stream.write_all(&frame).await.unwrap();
    assert_eq!(sending.await.unwrap(), Sent::Taken(vec![id]));
}

#[test]
fn s5_2_a_subscribers_number_is_read_as_networks_write_it() {
    let smpp = Smpp(Arc::new(Inner {
        lines: RwLock::default(),
        desk: Mutex::default(),
        begun: Mutex::default(),
        unsure: Mutex::default(),
        behind: OnceLock::new(),
        plan: RwLock::new(NumberPlan {
            country: "98".into(),
            trunk_prefix: "0".into(),
            international_prefix: "00".into(),
            short_max: 6,
        }),
        node: 0,
        runtime: tokio::runtime::Runtime::new().unwrap().handle().clone(),
    }));
    let read = |ton, digits: &str| smpp.number(&Address { ton, npi: 1, digits: digits.into() });
    let mobile = Some("989123456789".to_owned());
    for (ton, digits) in [
        (1, "989123456789"),
        (1, "+989123456789"),
        (0, "989123456789"),
        (2, "9123456789"),
        (0, "09123456789"),
        (0, "00989123456789"),
        (1, "00989123456789"),
    ] {
        assert_eq!(read(ton, digits), mobile, "{ton} {digits}");
    }
    assert_eq!((read(5, "iNoti"), read(0, "3000"), read(0, "")), (None, None, None));
    assert_eq!(read(1, "4915112345678"), Some("4915112345678".into()));
}

/// SMPP 3.4 §5.2.16, §7.1.1.2: a code that nobody wants tomorrow is not delivered tomorrow.
#[tokio::test]
async fn smpp34_5_2_16_a_network_is_told_for_how_long_a_message_is_worth_its_delivery() {
    let (listener, link) = far_end().await;
    let smpp = smpp(link);
    let mut far = Far::bound(&listener).await;
    stands(&smpp, LinkState::Bound).await;
    let until = |seconds: i64| Some(UnixMillis(clock::wall().0 + seconds * 1_000));
    let short = Text { until: until(600), ..text(7, "your code is 4711") };
    let sending = send(&smpp, short.clone());
    let (sequence, message) = far.submitted().await;
    assert!(matches!(message.validity, Some(590..=600)), "{:?}", message.validity);
    far.say(0, sequence, taken("one")).await;
    assert_eq!(sending.await.unwrap(), Sent::Taken(vec!["one".into()]));
    // As long as the network likes; and nearly over by our clock.
    for (until, told) in [(None, None), (until(2), Some(60))] {
        let sending = send(&smpp, Text { until, ..text(8, "x") });
        let (sequence, message) = far.submitted().await;
        assert_eq!(message.validity, told);
        far.say(0, sequence, taken("two")).await;
        sending.await.unwrap();
    }
    // A network that takes no such time has the message without, and so those that are worth longer than half of it.
    let long = Text { until: until(86_400), ..text(9, "a bill") };
    let sending = send(&smpp, long.clone());
    let (sequence, _) = far.submitted().await;
    far.say(status::BAD_VALIDITY, sequence, taken("")).await;
    let (sequence, message) = far.submitted().await;
    assert_eq!(message.validity, None);
    far.say(0, sequence, taken("three")).await;
    assert_eq!(sending.await.unwrap(), Sent::Taken(vec!["three".into()]));
    for (text, told) in [(long, false), (short, true)] {
        let sending = send(&smpp, text);
        let (sequence, message) = far.submitted().await;
        assert_eq!(message.validity.is_some(), told);
        far.say(0, sequence, taken("four")).await;
        assert_eq!(sending.await.unwrap(), Sent::Taken(vec!["four".into()]));
    }
}

#[tokio::test]
async fn s5_6_a_link_with_a_node_is_bound_by_that_process_alone() {
    let store = Store::open("sqlite::memory:", billing::StoreConfig::default()).await.unwrap();
    store.migrate().await.unwrap();
    let file = serde_json::from_value(serde_json::json!({ "smpp_links": [
        { "name": "menus", "host": "h.example", "system_id": "t", "sms": false, "ussd": true, "node": 1 },
        { "name": "texts", "host": "h.example", "system_id": "t" },
    ] }));
    let file: billing::desired::Desired = file.unwrap();
    store.apply(&file, clock::wall(), false).await.unwrap();
    for (node, own) in [(0, vec!["texts"]), (1, vec!["menus", "texts"])] {
        let (_, links, _) = refreshed(&store, node, None).await.unwrap().unwrap();
        let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, own);
    }
}
