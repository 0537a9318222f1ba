//! A small world for the doors: a real SQLite store in a folder of its own, and a switch that authorizes
//! calls through that store but rings nobody.

#![allow(clippy::unwrap_used, reason = "a helper of tests")]
#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod ask;
pub(crate) mod client;
pub(crate) mod company;
mod document;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use api::guard::{GuardConfig, GuardedClient};
use api::{ApiConfig, ApiState, Counters};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use billing::desired::Desired;
use billing::{SettleContext, Store, StoreConfig};
use facts::ban::Ban;
use facts::carrier::{RegistrationStatus, TrunkStatus};
use facts::command::LiveCall;
use facts::conference::{Act, ActRefused, ConferenceView};
use facts::control::{Control, ControlRefused};
use facts::ledger::{AddLeg, Added, Authorize, Authorized, LegQuote};
use facts::media::{MediaStats, RecordedFile};
use facts::ports::{Calls, MediaRoom, Promise, Silent, Texts, When};
use facts::record::LegState;
use facts::routing::{Candidate, Explanation, Verdict};
use facts::sms::{Sent, Text};
use facts::sound::{Clip, Play};
use facts::station::Station;
use facts::ussd;
use facts::{
    CallCommand, CallFacts, CallId, CallIds, CallRecord, Failure, Kind, LegFacts, LegId, LegNo,
    MerchantId, Micros, Number, Origin, Outcome, Party, Placed, Refusal, Side, StateChange,
    UnixMillis, Unrung,
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;
use tower::ServiceExt as _;

pub(crate) use document::document;

pub(crate) const KEY: &str = "awrlk45ghfg7";
pub(crate) const TOKEN: &str = "operator-secret";
pub(crate) const SID: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const AUTH_TOKEN: &str = "fedcba9876543210fedcba9876543210";
pub(crate) const ACCESSKEY: &str = "awrlk45ghfg7s3cret";
pub(crate) const APP: &str = "ff8080813fc70a7b013fc72312324213";

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}

/// Places calls in the store as the switch does, and keeps them live until told otherwise.
pub(crate) struct Switch {
    store: Store,
    ids: Mutex<CallIds>,
    live: Arc<Mutex<Vec<LiveCall>>>,
    /// What became calls.
    pub(crate) placed: Arc<Mutex<Vec<CallCommand>>>,
    /// Answered instead of asking the store.
    pub(crate) refuse: Mutex<Option<Refusal>>,
    /// Never answers.
    pub(crate) stuck: AtomicBool,
    /// Takes so long to place a call.
    pub(crate) slow: Mutex<Duration>,
    /// Says nothing of live calls.
    pub(crate) silent: AtomicBool,
    pub(crate) ready: AtomicBool,
    /// Nothing can be played any more.
    pub(crate) mute: AtomicBool,
    /// What its media plane has room for, beyond the calls that are live.
    pub(crate) room: Mutex<MediaRoom>,
    pub(crate) bans: Mutex<Vec<Ban>>,
    /// Whoever holds it keeps sounds from being decoded.
    pub(crate) decoder: Arc<tokio::sync::Mutex<()>>,
    pub(crate) settings_changed: AtomicBool,
    /// Recordings that were paused or resumed.
    pub(crate) pauses: Mutex<Vec<(CallId, bool)>>,
    pub(crate) plays: Mutex<Vec<Play>>,
    /// What was done to conferences.
    pub(crate) acts: Mutex<Vec<(CallId, Act)>>,
    /// Answered instead of doing it.
    pub(crate) unwilling: Mutex<Option<ActRefused>>,
    /// What was done to calls.
    pub(crate) controls: Mutex<Vec<(CallId, Control)>>,
    /// Answered instead of doing it.
    pub(crate) uncontrolled: Mutex<Option<ControlRefused>>,
    /// How extensions stand that are not free.
    pub(crate) stations: Mutex<Vec<Station>>,
    /// How many of them were asked for, each time.
    pub(crate) asked: Mutex<Vec<usize>>,
    /// Numbers that no route leads to.
    pub(crate) nowhere: Mutex<Vec<String>>,
    /// How every live conference stands.
    pub(crate) view: Mutex<Option<ConferenceView>>,
    /// What was done at the door of menus.
    pub(crate) menus: Mutex<Vec<(MerchantId, ussd::Act)>>,
    /// What was to leave by lines of the program's own, by way.
    pub(crate) texts: Mutex<Vec<(String, Text)>>,
    /// Nothing comes of it.
    pub(crate) hang: AtomicBool,
    /// What comes of it, by way; nobody is there where nothing stands.
    pub(crate) lines: Mutex<BTreeMap<String, Sent>>,
    /// What is to be seen then.
    pub(crate) screen: Mutex<Result<ussd::Shown, ussd::ActRefused>>,
    /// What mailboxes hold now, as it was told.
    pub(crate) mailboxes: Mutex<Vec<(String, u32, u32)>>,
}

impl Switch {
    /// Every call is in this state from now on.
    pub(crate) fn set_state(&self, state: &str) {
        for call in self.live.lock().unwrap().iter_mut() {
            call.state = state.into();
        }
    }

    pub(crate) fn live_is_empty(&self) -> bool {
        self.live.lock().unwrap().is_empty()
    }

    /// What it says, unless it says nothing.
    fn told<T: Send + 'static>(&self, word: T) -> Promise<Result<T, Silent>> {
        let word = if self.silent.load(Ordering::SeqCst) { Err(Silent) } else { Ok(word) };
        Box::pin(async move { word })
    }
}

impl Switch {
    fn leaves(&self, way: &str, text: Text) -> Promise<Sent> {
        self.texts.lock().unwrap().push((way.to_owned(), text));
        if self.hang.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        let came = self.lines.lock().unwrap().get(way).cloned().unwrap_or(Sent::NotHere);
        Box::pin(std::future::ready(came))
    }
}

impl Texts for Switch {
    fn to_phone(&self, text: Text) -> Promise<Sent> {
        self.leaves("phone", text)
    }

    fn by_link(&self, link: String, text: Text) -> Promise<Sent> {
        self.leaves(&link, text)
    }
}

impl Calls for Switch {
    fn place(&self, command: CallCommand) -> Promise<Result<Placed, Refusal>> {
        if self.stuck.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        if let Some(refusal) = *self.refuse.lock().unwrap() {
            return Box::pin(async move { Err(refusal) });
        }
        let (store, live) = (self.store.clone(), Arc::clone(&self.live));
        let placed = Arc::clone(&self.placed);
        let call = self.ids.lock().unwrap().next(now());
        let slow = *self.slow.lock().unwrap();
        Box::pin(async move {
            tokio::time::sleep(slow).await;
            let quote = |leg, party: &Party| LegQuote { leg, number: party.number.clone() };
            let b = command.b.as_ref().map(|b| quote(LegNo::B, b));
            let legs = std::iter::once(quote(LegNo::A, &command.a)).chain(b).collect();
            let ask = Authorize { call, command: command.clone(), legs, caps: vec![], at: now() };
            match store.authorize(ask).await {
                Ok(Authorized::Granted { .. }) => {
                    placed.lock().unwrap().push(command.clone());
                    live.lock().unwrap().push(LiveCall {
                        call,
                        merchant: command.merchant,
                        sub_account: command.sub_account,
                        state: "dialing_a".into(),
                        b: command.called_as_sent().to_owned(),
                        a: command.a.as_sent,
                        since: now(),
                        bridged: None,
                    });
                    Ok(Placed { call, duplicate: false })
                }
                Ok(Authorized::Existing { call }) => Ok(Placed { call, duplicate: true }),
                Ok(Authorized::Refused(refusal)) => Err(refusal),
                Err(_) => Err(Refusal::Internal),
            }
        })
    }

    fn hang_up(&self, call: CallId) -> Promise<Result<bool, Silent>> {
        if self.silent.load(Ordering::SeqCst) {
            return self.told(false);
        }
        let mut live = self.live.lock().unwrap();
        let before = live.len();
        live.retain(|one| one.call != call);
        let found = live.len() < before;
        self.told(found)
    }

    fn pause_recording(&self, call: CallId, paused: bool) -> Promise<Result<bool, Silent>> {
        let found = self.live.lock().unwrap().iter().any(|one| one.call == call);
        if found {
            self.pauses.lock().unwrap().push((call, paused));
        }
        self.told(found)
    }

    fn playable(&self, clip: &Clip) -> Result<(), String> {
        match clip {
            _ if self.mute.load(Ordering::SeqCst) => Err("there is no sound any more".to_owned()),
            Clip::Prompt(prompt) if prompt.name != "welcome" => {
                Err(format!("there is no sound of the name {}", prompt.name))
            }
            _ => Ok(()),
        }
    }

    fn sound_of(&self, octets: Vec<u8>) -> Promise<Result<Duration, String>> {
        // What is in it only the media plane can tell.
        let told = match octets.ends_with(b"broken") {
            true => Err("cut short".to_owned()),
            false => Ok(Duration::from_millis(octets.len() as u64 / 16)),
        };
        let decoder = Arc::clone(&self.decoder);
        Box::pin(async move {
            let _turn = decoder.lock().await;
            told
        })
    }

    fn play(&self, call: CallId, play: Play) -> Promise<Result<bool, Silent>> {
        let found = self.live.lock().unwrap().iter().any(|one| one.call == call);
        if found {
            self.plays.lock().unwrap().push(play);
        }
        self.told(found)
    }

    fn confer(&self, call: CallId, act: Act) -> Promise<Result<(), ActRefused>> {
        let found = self.live.lock().unwrap().iter().any(|one| one.call == call);
        let answer = match *self.unwilling.lock().unwrap() {
            _ if !found => Err(ActRefused::Unknown),
            Some(why) => Err(why),
            None => Ok(()),
        };
        if answer.is_ok() {
            self.acts.lock().unwrap().push((call, act));
        }
        Box::pin(async move { answer })
    }

    fn control(
        &self,
        call: CallId,
        merchant: MerchantId,
        control: Control,
    ) -> Promise<Result<(), ControlRefused>> {
        let live = self.live.lock().unwrap().clone();
        let found = live.iter().any(|one| one.call == call && one.merchant == merchant);
        let answer = match *self.uncontrolled.lock().unwrap() {
            _ if !found => Err(ControlRefused::NotTalking),
            Some(why) => Err(why),
            None => Ok(()),
        };
        if answer.is_ok() {
            self.controls.lock().unwrap().push((call, control));
        }
        Box::pin(async move { answer })
    }

    fn conference(&self, call: CallId) -> Promise<Result<Option<ConferenceView>, Silent>> {
        let found = self.live.lock().unwrap().iter().any(|one| one.call == call);
        self.told(self.view.lock().unwrap().clone().filter(|_| found))
    }

    fn menu(
        &self,
        merchant: MerchantId,
        act: ussd::Act,
    ) -> Promise<Result<ussd::Shown, ussd::ActRefused>> {
        self.menus.lock().unwrap().push((merchant, act));
        let screen = self.screen.lock().unwrap().clone();
        Box::pin(async move { screen })
    }

    fn media_room(&self) -> MediaRoom {
        let MediaRoom { free, all } = *self.room.lock().unwrap();
        let legs = self.live.lock().unwrap().len() as u64;
        MediaRoom { free: free.saturating_sub(legs), all }
    }

    fn live(&self) -> Promise<Result<Vec<LiveCall>, Silent>> {
        self.told(self.live.lock().unwrap().clone())
    }

    fn look(&self, call: CallId) -> Promise<Result<Option<LiveCall>, Silent>> {
        self.told(self.live.lock().unwrap().iter().find(|one| one.call == call).cloned())
    }

    fn bindings(&self) -> Promise<Vec<(String, String, u64)>> {
        Box::pin(async { vec![("80000".into(), "sip:80000@192.0.2.7:5060".into(), 55)] })
    }

    fn bindings_of(&self, extensions: Vec<String>) -> Promise<Vec<(String, String, u64)>> {
        let all = self.bindings();
        Box::pin(async move {
            let all = all.await;
            all.into_iter().filter(|(user, ..)| extensions.contains(user)).collect()
        })
    }

    fn stations(&self, extensions: Vec<String>) -> Promise<Option<Vec<Station>>> {
        self.asked.lock().unwrap().push(extensions.len());
        let known = self.stations.lock().unwrap().clone();
        let free = |extension| {
            let known = known.iter().find(|station| station.extension == extension).cloned();
            known.unwrap_or(Station {
                extension,
                registered: true,
                calls: vec![],
                fades: false,
                quiet: false,
                rests: false,
                idle_since: None,
            })
        };
        let stations = extensions.into_iter().map(free).collect();
        Box::pin(async move { Some(stations) })
    }

    fn trunks(&self) -> Promise<Option<Vec<TrunkStatus>>> {
        let trunk = TrunkStatus {
            name: "carrier".into(),
            enabled: true,
            addresses: vec!["192.0.2.10:5060".parse().unwrap()],
            legs: 3,
            resting_s: None,
            registration: Some(RegistrationStatus {
                registered: true,
                expires_s: Some(570),
                next_s: Some(510),
                last_status: Some(200),
                failures: 0,
            }),
            health: None,
        };
        Box::pin(async move { Some(vec![trunk]) })
    }

    fn bans(&self) -> Promise<Option<Vec<Ban>>> {
        let bans = self.bans.lock().unwrap().clone();
        Box::pin(async move { Some(bans) })
    }

    fn reaches(
        &self,
        _payer: MerchantId,
        numbers: Vec<(Number, When)>,
    ) -> Promise<Result<Vec<Option<Number>>, Silent>> {
        let nowhere = self.nowhere.lock().unwrap();
        let rung = |(number, _): (Number, When)| {
            (!nowhere.iter().any(|digits| digits == number.digits())).then_some(number)
        };
        self.told(numbers.into_iter().map(rung).collect())
    }

    fn lift(&self, address: IpAddr) -> Promise<Option<bool>> {
        let mut bans = self.bans.lock().unwrap();
        let before = bans.len();
        bans.retain(|ban| ban.source != address.into());
        let lifted = bans.len() < before;
        Box::pin(async move { Some(lifted) })
    }

    fn explain(&self, number: String) -> Promise<Option<Result<Explanation, String>>> {
        let explained = match number.strip_prefix('+') {
            None => Err(format!("{number:?} is no number")),
            Some(_) => Ok(Explanation {
                asked: number.clone(),
                number,
                leads_to: "a trunk".into(),
                local_time: "sat 15:00 UTC".into(),
                live: true,
                candidates: vec![Candidate {
                    prefix: "86".into(),
                    trunk: "carrier".into(),
                    priority: 100,
                    weight: 1,
                    cost: Some(Micros(45_000)),
                    place: None,
                    verdict: Verdict::Full { legs: 30 },
                    pool: None,
                }],
                delivered: None,
                phones: Vec::new(),
                pools: Vec::new(),
                policies: Vec::new(),
            }),
        };
        Box::pin(async move { Some(explained) })
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    fn mailbox_changed(&self, extension: String, new: u32, old: u32) {
        self.mailboxes.lock().unwrap().push((extension, new, old));
    }

    fn settings_changed(&self) {
        self.settings_changed.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) state: ApiState,
    pub(crate) switch: Arc<Switch>,
    pub(crate) guard: GuardedClient,
    pub(crate) counters: Arc<Counters>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) router: Router,
    pub(crate) merchants: Router,
    pub(crate) operators: Router,
}

/// What tests usually configure.
pub(crate) fn config(folder: &TempDir) -> ApiConfig {
    let recordings = folder.path().join("recordings");
    std::fs::create_dir_all(&recordings).unwrap();
    ApiConfig {
        admin_token: Some(TOKEN.into()),
        recordings,
        place_timeout: Duration::from_millis(300),
        ..ApiConfig::default()
    }
}

/// Who was rung for a conference, and from when to when he was in, seconds after its beginning.
type Rung<'a> = (&'a str, Option<(u64, u64)>);

impl World {
    pub(crate) async fn new() -> World {
        World::with(|config| config).await
    }

    pub(crate) async fn with(change: impl FnOnce(ApiConfig) -> ApiConfig) -> World {
        World::on(StoreConfig::default(), change).await
    }

    pub(crate) async fn on(
        knobs: StoreConfig,
        change: impl FnOnce(ApiConfig) -> ApiConfig,
    ) -> World {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        let store = Store::open(&url, knobs).await.unwrap();
        store.migrate().await.unwrap();
        let desired: Desired = serde_json::from_value(document()).unwrap();
        let changes = store.apply(&desired, now(), false).await.unwrap();
        assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
        World::over(store, folder, 7, change)
    }

    /// Another process over the same store, with calls and phones of its own.
    pub(crate) fn beside(&self) -> World {
        World::over(self.store.clone(), tempfile::tempdir().unwrap(), 8, |config| config)
    }

    fn over(
        store: Store,
        folder: TempDir,
        node: u16,
        change: impl FnOnce(ApiConfig) -> ApiConfig,
    ) -> World {
        let guard = GuardedClient::new(GuardConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            total_timeout: Duration::from_secs(2),
            ..GuardConfig::default()
        })
        .unwrap();
        World::by(store, guard, (folder, node), change)
    }

    /// A process over a store, with a client that visits.
    pub(crate) fn by(
        store: Store,
        guard: GuardedClient,
        (folder, node): (TempDir, u16),
        change: impl FnOnce(ApiConfig) -> ApiConfig,
    ) -> World {
        let switch = Arc::new(Switch {
            store: store.clone(),
            ids: Mutex::new(CallIds::new(node)),
            live: Arc::default(),
            placed: Arc::default(),
            refuse: Mutex::default(),
            stuck: AtomicBool::new(false),
            slow: Mutex::default(),
            silent: AtomicBool::new(false),
            ready: AtomicBool::new(true),
            mute: AtomicBool::new(false),
            room: Mutex::new(MediaRoom { free: 10_000, all: 10_000 }),
            bans: Mutex::default(),
            decoder: Arc::default(),
            settings_changed: AtomicBool::new(false),
            pauses: Mutex::default(),
            plays: Mutex::default(),
            acts: Mutex::default(),
            unwilling: Mutex::default(),
            controls: Mutex::default(),
            uncontrolled: Mutex::default(),
            asked: Mutex::default(),
            stations: Mutex::default(),
            nowhere: Mutex::default(),
            view: Mutex::default(),
            menus: Mutex::default(),
            texts: Mutex::default(),
            hang: AtomicBool::new(false),
            lines: Mutex::default(),
            screen: Mutex::new(Err(ussd::ActRefused::NoCode)),
            mailboxes: Mutex::default(),
        });
        let counters = Arc::new(Counters::default());
        let wake = Arc::new(Notify::new());
        let config = change(ApiConfig { node, ..config(&folder) });
        let state = ApiState::new(
            store.clone(),
            (Arc::clone(&switch) as Arc<dyn Calls>, Arc::clone(&switch) as Arc<dyn Texts>),
            guard.clone(),
            config,
            Arc::clone(&counters),
            Arc::new(|| "tandem_calls 3\n".into()),
            Arc::clone(&wake),
        );
        let merchants = api::merchant_router(state.clone());
        let operators = api::operator_router(state.clone());
        let router = api::router(state.clone());
        World { folder, store, state, switch, guard, counters, wake, router, merchants, operators }
    }

    /// Sends a request through the router; status and body.
    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, body) = read(response).await;
        (status, String::from_utf8(body).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let (status, body) = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// An operator's request; status and JSON.
    pub(crate) async fn admin(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let (status, body) = self.send(request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Plays a call that the merchants placed to its end, and settles it: both talked for a minute.
    pub(crate) async fn complete(&self, call: CallId) -> CallRecord {
        self.complete_with(call, None).await
    }

    /// The same of a call that was recorded.
    pub(crate) async fn complete_with(
        &self,
        call: CallId,
        recording: Option<RecordedFile>,
    ) -> CallRecord {
        let entry = self.store.call(call).await.unwrap().unwrap();
        // Long enough ago to be over by now: nothing is told before it has happened.
        let start = now() - Duration::from_secs(70);
        let a = leg(LegNo::A, &entry.command.a, start, Some((4, 64)));
        let b = entry.command.b.as_ref().map(|b| leg(LegNo::B, b, start, Some((9, 64))));
        let legs = std::iter::once(a).chain(b).collect();
        self.settle((&entry.command, call), Outcome::Completed, (legs, Vec::new()), recording).await
    }

    /// Plays a call whose first leg was never answered.
    pub(crate) async fn unanswered(&self, call: CallId) -> CallRecord {
        let entry = self.store.call(call).await.unwrap().unwrap();
        let failure = Failure::new(Origin::LegA, Kind::NoAnswer);
        let start = now() - Duration::from_secs(70);
        let mut a = leg(LegNo::A, &entry.command.a, start, None);
        a.alerting = Some(a.invited);
        a.failure = Some(failure);
        a.q850 = Some(19);
        self.settle((&entry.command, call), Outcome::Failed(failure), (vec![a], Vec::new()), None)
            .await
    }

    /// Plays a conference to its end: who was rung, when he answered and left, seconds after its beginning.
    pub(crate) async fn held(&self, call: CallId, rung: &[Rung<'_>]) -> CallRecord {
        self.held_without(call, rung, Vec::new()).await
    }

    /// The same of one in which some could not be rung.
    pub(crate) async fn held_without(
        &self,
        call: CallId,
        rung: &[Rung<'_>],
        unrung: Vec<Unrung>,
    ) -> CallRecord {
        let entry = self.store.call(call).await.unwrap().unwrap();
        let start = now() - Duration::from_secs(200);
        let of = |no: u8, (sent, talk): &Rung<'_>| {
            let party = Party { as_sent: (*sent).to_owned(), ..entry.command.a.clone() };
            leg(LegNo(no), &party, start, *talk)
        };
        let legs: Vec<LegFacts> = (0..).zip(rung).map(|(no, one)| of(no, one)).collect();
        for leg in &legs[1..] {
            let ask = AddLeg {
                leg: LegId::new(call, leg.no),
                number: leg.number.clone(),
                own: Vec::new(),
                caps: Vec::new(),
                at: now(),
            };
            assert!(matches!(self.store.add_leg(ask).await, Ok(Added::Paid(_))));
        }
        self.settle((&entry.command, call), Outcome::Completed, (legs, unrung), None).await
    }

    async fn settle(
        &self,
        (command, call): (&CallCommand, CallId),
        outcome: Outcome,
        (legs, unrung): (Vec<LegFacts>, Vec<Unrung>),
        recording: Option<RecordedFile>,
    ) -> CallRecord {
        self.switch.live.lock().unwrap().retain(|live| live.call != call);
        let ended = legs.iter().filter_map(|leg| leg.ended).max().unwrap();
        let facts = CallFacts {
            call,
            command: command.clone(),
            placed: legs[0].invited,
            bridged: legs.get(1).and_then(|leg| leg.answered),
            ended,
            outcome,
            released_by: Side::Caller,
            legs,
            unrung,
            recording,
            unrecorded: None,
            message: None,
            mailbox: None,
            collected: Vec::new(),
        };
        self.store.settle(facts, SettleContext::default()).await.unwrap()
    }

    /// The states of a call that both sides answered, as the switch reports them.
    pub(crate) async fn report_states(&self, call: CallId, a: &str, b: &str) {
        let steps = [
            (LegNo::A, LegState::Callout, a, b),
            (LegNo::A, LegState::Alerting, a, b),
            (LegNo::A, LegState::Answer, a, b),
            (LegNo::B, LegState::Callout, b, a),
            (LegNo::B, LegState::Alerting, b, a),
            (LegNo::B, LegState::Answer, b, a),
            (LegNo::A, LegState::Disconnect, a, b),
            (LegNo::B, LegState::Disconnect, b, a),
        ];
        for (sequence, (leg, state, number, shown)) in (0..).zip(steps) {
            let change = StateChange {
                leg: LegId::new(call, leg),
                sequence,
                state,
                number: number.into(),
                shown: shown.into(),
                at: now(),
                extension: None,
            };
            self.store.notify(change).await.unwrap();
        }
    }

    /// Serves the router on loopback as the process does.
    pub(crate) async fn serve(&self) -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let config = api::server::ServerConfig::default();
        tokio::spawn(api::server::serve(
            listener,
            self.router.clone(),
            config,
            Arc::clone(&self.counters),
            stopped,
        ));
        (address, stop)
    }
}

fn leg(no: LegNo, party: &Party, start: UnixMillis, talk: Option<(u64, u64)>) -> LegFacts {
    let at = |seconds| start + Duration::from_secs(seconds);
    LegFacts {
        no,
        number: party.number.clone(),
        as_sent: party.as_sent.clone(),
        shown: String::new(),
        trunk: "carrier".into(),
        sip_call_id: format!("{no}@test"),
        invited: start,
        progress: talk.map(|_| at(1)),
        alerting: talk.map(|_| at(1)),
        answered: talk.map(|(from, _)| at(from)),
        ended: Some(at(talk.map_or(30, |(_, to)| to))),
        sip_final: Some(if talk.is_some() { 200 } else { 480 }),
        q850: None,
        released_by: None,
        failure: None,
        replaced_by: None,
        paid_until: None,
        media: MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

pub(crate) async fn read(response: Response) -> (StatusCode, Vec<u8>) {
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

pub(crate) fn md5(bytes: impl AsRef<[u8]>) -> String {
    use md5::{Digest, Md5};
    hex::encode(Md5::digest(bytes.as_ref()))
}

/// A signed `biz_callback` query.
pub(crate) fn callback(username: &str, id: &str, a: &str, b: &str, returnurl: &str) -> String {
    let base = format!("username={username}&callbackid={id}&callback_num={a}&destination_num={b}");
    let sign = md5(format!("{base}&key={KEY}"));
    format!("/api/biz_callback?{base}&returnurl={returnurl}&data=test&sign={sign}")
}

/// A signed query of one of the smaller commands.
pub(crate) fn signed(name: &str, base: &str) -> String {
    format!("/api/{name}?{base}&sign={}", md5(format!("{base}&key={KEY}")))
}
