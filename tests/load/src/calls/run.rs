//! One run: a fresh switch, so many calls a second at absolute deadlines, the kernel's accounting over the
//! plateau.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use e2e::country::{KEY, USER, Wish, operator};
use e2e::merchant::callback_target;
use e2e::postgres::Postgres;
use e2e::tandem::{Setup, Tandem};
use load::sys::Poller;
use load::usage::{self, Machine};

use crate::account::{Account, Call, Stamp, Waits};
use crate::kamailio::Kamailio;
use crate::lines::Over;
use crate::phones::{Calling, Phones};
use crate::soak::{self, Watch};
use crate::squatters::{Left, Squatters};
use crate::web::{Token, Web};

/// Connections that carry the requests.
const CONNECTIONS: usize = 32;
/// What a carrier's callers dial.
const DIALLED: &str = "+861053180009";
/// Tokens of the poller.
const LISTENER: usize = 2;
const ASKING: usize = 1_000;
const TOLD: usize = 100_000;
/// How long after the last call the rest may take.
const REST: Duration = Duration::from_secs(20);

/// Where the books are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Books {
    /// SQLite on the disk of temporary files, every commit synced.
    Sqlite,
    /// SQLite on a RAM disk: the same work, but syncing costs nothing.
    Ram,
    /// A PostgreSQL of its own, every commit synced; its processes are not charged.
    Postgres,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Switch {
    /// This product: a merchant asks, both legs are called.
    Tandem,
    /// This product: a carrier calls a number, which leads to an extension whose bound phone is rung through the
    /// other carrier and paid for. Nobody is told but the books.
    Inbound,
    /// Kamailio as a proxy with Record-Route, two children: A calls B. No media, no money, no HTTP.
    Kamailio,
}

/// What is to be offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) switch: Switch,
    pub(crate) rate: u32,
    /// Seconds before the plateau, and of it.
    pub(crate) ramp: u32,
    pub(crate) seconds: u32,
    pub(crate) ring_ms: u64,
    pub(crate) talk_ms: u64,
    pub(crate) books: Books,
    /// What the carriers speak.
    pub(crate) over: Over,
    /// Looked at every minute, and afterwards.
    pub(crate) soak: bool,
    /// Connections of nobody beside the calls.
    pub(crate) squatters: usize,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) account: Account,
    pub(crate) plateau: std::ops::Range<Stamp>,
    /// Calls told of during the plateau.
    pub(crate) done: u64,
    /// CPU seconds of the switch over the plateau, and by thread.
    pub(crate) cpu: f64,
    pub(crate) threads: BTreeMap<String, f64>,
    /// Cores that the generator took.
    pub(crate) generator: f64,
    /// Resident octets before the first call and at the end of the plateau.
    pub(crate) resident: [u64; 2],
    /// Calls up at the end of the plateau.
    pub(crate) up: usize,
    pub(crate) connections_heard: u64,
    pub(crate) idle: f64,
    pub(crate) stolen: f64,
}

impl Outcome {
    pub(crate) fn refused(&self) -> usize {
        self.account.calls.iter().filter(|call| call.replied > 0 && !call.accepted).count()
    }

    /// How soon those were told who were refused.
    pub(crate) fn refusals(&self) -> Waits {
        let refused = |call: &Call| if call.accepted { 0 } else { call.replied };
        self.account.between(&self.plateau, |call| call.due, refused)
    }

    /// Calls carried to their end in a second of the plateau.
    pub(crate) fn goodput(&self) -> f64 {
        self.done as f64 * 1e9 / (self.plateau.end - self.plateau.start) as f64
    }

    pub(crate) fn waits(&self) -> [Pair; 5] {
        let between = |from: fn(&Call) -> Stamp, to: fn(&Call) -> Stamp| {
            self.account.between(&self.plateau, from, to)
        };
        [
            ("HTTP answer", between(|c| c.due, |c| c.replied)),
            ("request to INVITE at A", between(|c| c.asked, |c| c.invited[0])),
            ("200 of A to INVITE at B", between(|c| c.answered[0], |c| c.invited[1])),
            ("200 of B to ACK at B", between(|c| c.answered[1], |c| c.acknowledged[1])),
            ("BYE of B to BYE at A", between(|c| c.hung_up, |c| c.ended)),
        ]
    }
}

/// What was waited for, and how long.
pub(crate) type Pair = (&'static str, Waits);

/// Figures at one instant.
struct Sample {
    at: Stamp,
    cpu: f64,
    threads: BTreeMap<String, f64>,
    own: f64,
    machine: Machine,
    told: u64,
}

impl Sample {
    fn take(pid: u32, account: &Account) -> io::Result<Sample> {
        Ok(Sample {
            at: account.clock.now(),
            cpu: usage::family_seconds(pid)?,
            threads: usage::threads(pid)?,
            own: usage::cpu_seconds(std::process::id())?,
            machine: Machine::read()?,
            told: account.told,
        })
    }
}

/// Starts a switch, offers the calls, and counts.
pub(crate) fn run(plan: &Plan) -> io::Result<Outcome> {
    let calls = plan.rate * (plan.ramp + plan.seconds);
    if plan.switch == Switch::Kamailio {
        return run_proxy(plan, calls);
    }
    let postgres = (plan.books == Books::Postgres).then(Postgres::start);
    let folder = match plan.books {
        Books::Ram => tempfile::tempdir_in("/dev/shm")?,
        Books::Sqlite | Books::Postgres => tempfile::tempdir()?,
    };
    let vouched = (plan.over == Over::Tls).then(|| e2e::tandem::certificate(folder.path()));
    let pem = vouched.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
    let tls = pem.map(|_| SocketAddr::from(([127, 0, 0, 1], e2e::ports::one())));
    let mut phones = Phones::new(calls, (plan.ring_ms, plan.talk_ms), (plan.over, pem))?;
    if plan.switch == Switch::Inbound {
        phones.calling = Some(Calling::Number(DIALLED));
    }
    let tandem = start(folder.path(), &phones, postgres.as_ref(), plan.over, pem.zip(tls));
    let SocketAddr::V4(sip) = tandem.sip else { return Err(io::Error::other("not IPv4")) };
    let world = World::new(plan, calls, &mut phones, sip, Some(tandem.http))?;
    let watch = plan.soak.then(|| Watch::start(tandem.pid()));
    let doors = std::iter::once(tandem.sip).chain(tls).collect();
    let squatters = (plan.squatters > 0).then(|| Squatters::start(plan.squatters, doors));
    let outcome = world.play(tandem.pid())?;
    if let Some(squatters) = squatters {
        let Left { opened, refused, open, seconds } = squatters.end()?;
        println!(
            "        {opened} connections of nobody, {refused} refused, {open} open after {seconds:.0} s"
        );
    }
    drop(watch);
    if plan.soak {
        soak::afterwards(&tandem)?;
    }
    let (books, said) = tandem.run(&["check", "--books"]);
    if !books {
        return Err(io::Error::other(said));
    }
    Ok(outcome)
}

fn run_proxy(plan: &Plan, calls: u32) -> io::Result<Outcome> {
    let mut phones = Phones::new(calls, (plan.ring_ms, plan.talk_ms), (Over::Udp, None))?;
    phones.calling = Some(Calling::Callee);
    let folder = tempfile::tempdir()?;
    let proxy = Kamailio::start(folder.path(), phones.port(1))?;
    World::new(plan, calls, &mut phones, proxy.at(), None)?.play(proxy.pid())
}

/// Figures of a whole run.
fn outcome(
    [before, after]: [Sample; 2],
    resident: [u64; 2],
    up: usize,
    connections_heard: u64,
    mut account: Account,
) -> Outcome {
    account.close();
    let (idle, stolen) = after.machine.since(&before.machine);
    let seconds = (after.at - before.at) as f64 / 1e9;
    let threads = after.threads.iter().map(|(name, seconds)| {
        (name.clone(), seconds - before.threads.get(name).copied().unwrap_or(0.0))
    });
    Outcome {
        plateau: before.at..after.at,
        done: after.told - before.told,
        cpu: after.cpu - before.cpu,
        threads: threads.collect(),
        generator: (after.own - before.own) / seconds,
        resident,
        up,
        connections_heard,
        idle,
        stolen,
        account,
    }
}

fn start(
    folder: &Path,
    phones: &Phones,
    postgres: Option<&Postgres>,
    over: Over,
    pem: Option<((&Path, &Path), SocketAddr)>,
) -> Tandem {
    let more = format!(
        "[[extensions]]\nnumber = \"80009\"\nmerchant = \"{USER}\"\npassword = \"not-used-here\"\n\
         bound_phone = \"13900000009\"\n[[inbound]]\nnumber = \"{DIALLED}\"\nextension = \"80009\"\n"
    );
    let wish =
        Wish { balance: "1000000", max_calls: 100_000, record: false, more, ..Wish::default() };
    let mut settings: Vec<String> = [
        "log.level=warn",
        "rtp.ports=32000-63999",
        "rtp.quarantine=100ms",
        // One merchant at one address is all there is.
        "http.address_rate=off",
        "http.merchant_rate=off",
    ]
    .map(str::to_owned)
    .into();
    settings.extend(postgres.map(|server| format!("database={}", server.url())));
    if let Some(((cert, key), at)) = pem {
        settings.push(format!("sip.tls={at}"));
        settings.push(format!("sip.tls_cert={}", cert.display()));
        settings.push(format!("sip.tls_key={}", key.display()));
        settings.push(format!("sip.tls_ca={}", cert.display()));
    }
    let operator = operator(&wish, phones.port(0), phones.port(1));
    let operator = operator.replace(
        "target = \"127.0.0.1:",
        &format!("transport = \"{}\"\ntarget = \"127.0.0.1:", over.word()),
    );
    Tandem::start(folder, &Setup { settings, operator })
}

/// The generator: one thread, one poller.
struct World<'a> {
    plan: Plan,
    poller: Poller,
    phones: &'a mut Phones,
    web: Web,
    account: Account,
    next: u32,
}

impl<'a> World<'a> {
    fn new(
        plan: &Plan,
        calls: u32,
        phones: &'a mut Phones,
        sip: SocketAddrV4,
        http: Option<SocketAddr>,
    ) -> io::Result<World<'a>> {
        let poller = Poller::new()?;
        phones.face(sip);
        for (side, descriptor) in phones.descriptors().iter().enumerate() {
            poller.watch(descriptor, side)?;
        }
        let mut web = Web::new()?;
        poller.watch(web.listener(), LISTENER)?;
        if let Some(http) = http {
            let mut watch =
                |stream: &std::net::TcpStream, token| poller.watch(stream, number(token));
            web.connect(http, CONNECTIONS, &mut watch)?;
        }
        let url = web.url("/back");
        let target = |no: u32| {
            let (a, b) = (format!("138{no:08}"), format!("139{no:08}"));
            callback_target(USER, KEY, &format!("load-{no}"), &a, &b, &url)
        };
        web.targets = (0..calls).map(target).collect();
        let account = Account::new(calls);
        Ok(World { plan: *plan, poller, phones, web, account, next: 0 })
    }

    /// The whole run against a process and its children.
    fn play(mut self, pid: u32) -> io::Result<Outcome> {
        std::thread::sleep(Duration::from_millis(300));
        let empty = usage::family_resident(pid)?;
        let calls = u32::try_from(self.account.calls.len()).unwrap_or(0);
        self.account = Account::new(calls);
        let second = |n: u32| Duration::from_secs(n.into());
        let (ramp, started) = (self.plan.ramp, Duration::from_millis(50));
        let end = started + second(ramp + self.plan.seconds);
        self.until(started + second(ramp), started)?;
        let before = Sample::take(pid, &self.account)?;
        self.until(end, started)?;
        let after = Sample::take(pid, &self.account)?;
        let resident = [empty, usage::family_resident(pid)?];
        let is_up = |call: &&Call| call.invited[0].max(call.invited[1]) > 0 && call.ended == 0;
        let up = self.account.calls.iter().filter(is_up).count();
        self.rest(end + REST)?;
        Ok(outcome([before, after], resident, up, self.web.connections_heard, self.account))
    }

    /// Offers and serves until this long after the start of the clock; the first call is due at `started`.
    fn until(&mut self, end: Duration, started: Duration) -> io::Result<()> {
        let (end, started) = (nanoseconds(end), nanoseconds(started));
        let calls = self.account.calls.len() as u32;
        loop {
            let now = self.account.clock.now();
            if now >= end {
                return Ok(());
            }
            let due = |n: u32| started + u64::from(n) * 1_000_000_000 / u64::from(self.plan.rate);
            while self.next < calls && due(self.next) <= now {
                let no = self.next as usize;
                self.account.calls[no].due = due(self.next);
                match self.plan.switch {
                    Switch::Tandem => self.web.ask(no, &mut self.account),
                    Switch::Kamailio | Switch::Inbound => {
                        self.phones.call(no, &mut self.account)?;
                    }
                }
                self.next += 1;
            }
            let next = (self.next < calls).then(|| due(self.next));
            let wake = [next, self.phones.next(), Some(end)].into_iter().flatten().min();
            self.turn(wake.unwrap_or(end))?;
        }
    }

    /// Serves what is under way, until all is told or time is up.
    fn rest(&mut self, end: Duration) -> io::Result<()> {
        let end = nanoseconds(end) + self.plan.talk_ms * 1_000_000;
        while !self.account.settled() && self.account.clock.now() < end {
            let soon = self.account.clock.now() + 20_000_000;
            self.turn(self.phones.next().unwrap_or(soon).min(soon))?;
        }
        Ok(())
    }

    fn turn(&mut self, wake: Stamp) -> io::Result<()> {
        let wait = Duration::from_nanos(wake.saturating_sub(self.account.clock.now()));
        let ready: Vec<usize> = self.poller.wait(wait).collect();
        let poller = &self.poller;
        for token in ready {
            let token = match token {
                0 | 1 => {
                    let mut watch = |new: &RawFd| poller.watch(new, token);
                    self.phones.read(token, &mut self.account, &mut watch)?;
                    continue;
                }
                LISTENER => Token::Listener,
                told if told >= TOLD => Token::Told(told - TOLD),
                asking => Token::Asking(asking - ASKING),
            };
            let mut watch =
                |stream: &std::net::TcpStream, token| poller.watch(stream, number(token));
            self.web.ready(token, &mut self.account, &mut watch);
        }
        self.phones.tick(&mut self.account)
    }
}

fn number(token: Token) -> usize {
    match token {
        Token::Listener => LISTENER,
        Token::Asking(at) => ASKING + at,
        Token::Told(at) => TOLD + at,
    }
}

fn nanoseconds(duration: Duration) -> Stamp {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
