//! The measured side, in a process of its own: the floor, or the media plane.
//!
//! Both bind two ports a call on loopback, print `idle`, set up when a line comes, print one line of
//! ports (`A B A B …`), and carry packets until their standard input closes.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use facts::media::{
    Codec, Direction, Family, MediaCommand, MediaEvent, PayloadMap, RecordingForm, Source,
    StreamSetup, Tone,
};
use facts::{CallId, LegId, LegNo};
use media::{Home, Media, MediaConfig};

use load::sys;

use crate::floor::{self, Way};
use crate::speech::{Lock, Voice};

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What the media plane is to do with its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Join both legs.
    Bridge,
    /// Join and record in this form.
    Record(RecordingForm),
    /// Play to both legs.
    Play,
    /// Join, protected on both sides.
    Protect(Lock),
    /// Join two sides that speak these.
    Transcode([Voice; 2]),
    /// Join two sides that speak this, and listen to what the second one's network plays.
    Listen(Voice),
    /// Rooms in which every other member speaks these.
    Conference([Voice; 2]),
}

/// The addresses that a call's far ends have: one of few sockets a side.
pub(crate) fn far_ends(peers: &[SocketAddr], call: usize) -> [SocketAddr; 2] {
    let half = peers.len() / 2;
    [peers[call % half], peers[half + call % half]]
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn wait_for_line() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}

fn wait_for_end() -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}

/// A relay that does nothing but read and send.
pub(crate) fn floor(way: Way, calls: usize, peers: &[SocketAddr]) -> io::Result<()> {
    sys::raise_file_limit()?;
    say("idle")?;
    wait_for_line()?;
    let mut sockets = floor::Sockets::new();
    let mut ports = String::new();
    for call in 0..calls {
        for far_end in far_ends(peers, call) {
            let socket = UdpSocket::bind((HOME, 0))?;
            socket.set_nonblocking(way != Way::Ring)?;
            ports.push_str(&format!("{} ", socket.local_addr()?.port()));
            sockets.push((socket, far_end));
        }
    }
    say(&ports)?;
    std::thread::spawn(move || {
        if let Err(error) = floor::carry(way, &sockets) {
            eprintln!("floor: {error}");
        }
    });
    wait_for_end()
}

/// The media plane behind its own handle; `seats`: how many a conference room has.
pub(crate) fn plane(
    calls: usize,
    (work, seats): (Work, usize),
    workers: usize,
    peers: &[SocketAddr],
    folder: &Path,
) -> io::Result<()> {
    let (send, events) = channel();
    let config = MediaConfig {
        homes: vec![Home { bind: IpAddr::V4(HOME), advertised: IpAddr::V4(HOME) }],
        ports: 20_000..=32_767,
        quarantine: Duration::from_secs(5),
        workers,
        recordings: folder.to_path_buf(),
        keys: None,
        prompts: None,
        words: None,
    };
    let media = Media::start(&config, move |event| {
        let _ = send.send(event);
    })?;
    media.know(audio::announce::Library::new(media::announcements::starter()));
    say("idle")?;
    wait_for_line()?;
    let mut ports = String::new();
    for call in 0..calls {
        let id = CallId((call as u64 + 1) << 12);
        let [a, b] = match work {
            Work::Conference(_) => [2 * call, 2 * call + 1].map(|seat| member(seat, seats)),
            _ => [LegId::new(id, LegNo::A), LegId::new(id, LegNo::B)],
        };
        for (side, (leg, far_end)) in [a, b].into_iter().zip(far_ends(peers, call)).enumerate() {
            media.order(MediaCommand::Open { leg, family: Family::V4 });
            ports.push_str(&format!("{} ", opened(&events)?));
            media.order(MediaCommand::Setup { leg, setup: setup(far_end, work, side) });
        }
        for (leg, other) in [(a, b), (b, a)] {
            let source = match work {
                Work::Bridge
                | Work::Record(_)
                | Work::Protect(_)
                | Work::Transcode(_)
                | Work::Listen(_) => Source::Leg(other),
                Work::Play => Source::Tone(Tone::Busy),
                Work::Conference(_) => Source::Room,
            };
            media.order(MediaCommand::Hear { leg, source });
        }
        if let Work::Listen(_) = work {
            media.order(MediaCommand::Listen { leg: b, country: "cn".into(), turn: 0 });
        }
        if let Work::Record(form) = work {
            let file = format!("{call}.{}", form.format.ending());
            media.order(MediaCommand::Record { call: id, left: a, right: Some(b), file, form });
        }
    }
    say(&ports)?;
    let timers = Timers::start();
    wait_for_end()?;
    say(&timers.end())?;
    media.stop();
    Ok(())
}

/// A seat of the rooms, one after the other.
fn member(seat: usize, seats: usize) -> LegId {
    let room = CallId((seat as u64 / seats as u64 + 1) << 12);
    LegId::new(room, LegNo(u8::try_from(seat % seats).unwrap_or(u8::MAX)))
}

/// How late a thread wakes that waits for its timers as the one of signalling does, in the same process and with
/// its precedence.
struct Timers {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Timers {
    const STEP: Duration = Duration::from_millis(10);

    fn start() -> Timers {
        let ending = Arc::new(AtomicBool::new(false));
        let told = ending.clone();
        let thread = std::thread::spawn(move || {
            sys::go_first();
            let mut late = Vec::new();
            let mut due = Instant::now();
            while !told.load(Ordering::Acquire) {
                due += Timers::STEP;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                late.push(due.elapsed());
                due = due.max(Instant::now().checked_sub(Timers::STEP).unwrap_or(due));
            }
            late
        });
        Timers { ending, thread }
    }

    /// Microseconds that one of a hundred is late, and the worst.
    fn end(self) -> String {
        self.ending.store(true, Ordering::Release);
        let mut late = self.thread.join().unwrap_or_default();
        late.sort_unstable();
        let at = |part: usize| late.get(late.len() * part / 1_000).or(late.last());
        let micros = |late: Option<&Duration>| late.map_or(0, Duration::as_micros);
        format!("{} {}", micros(at(990)), micros(at(1_000)))
    }
}

fn opened(events: &Receiver<MediaEvent>) -> io::Result<u16> {
    loop {
        match events.recv_timeout(Duration::from_secs(10)) {
            Ok(MediaEvent::Opened { local, .. }) => return Ok(local.port()),
            Ok(MediaEvent::OpenFailed { .. }) => return Err(io::Error::other("no port")),
            Ok(_) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

fn setup(remote: SocketAddr, work: Work, side: usize) -> StreamSetup {
    let map = match work {
        Work::Transcode(voices) | Work::Conference(voices) => voices[side].map(),
        Work::Listen(voice) => voice.map(),
        _ => PayloadMap {
            audio: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
            events: vec![(101, 8_000)],
            noise: None,
        },
    };
    let srtp = match work {
        Work::Protect(lock) => Some(Box::new(lock.keys(side))),
        _ => None,
    };
    StreamSetup {
        remote,
        signalling: None,
        remote_rtcp: None,
        rtcp_mux: false,
        send: map.clone(),
        receive: map,
        direction: Direction::SendReceive,
        ptime_ms: 20,
        silence: Some(Duration::from_secs(60)),
        srtp,
        dtmf: facts::manners::Dtmf::Auto,
    }
}
