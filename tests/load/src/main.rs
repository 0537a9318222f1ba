//! `media-load`: what carrying calls costs, next to the least it can cost.
//!
//! The measured side runs in a process of its own and is charged by the kernel's accounting over
//! the plateau; loss and latency are the receiver's. The floor, a relay that does nothing but read
//! and send, runs under the same load before and after, because only the ratio to it outlives the
//! machine. The command prints one table; a run that the machine spoiled says so.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the product")]

mod floor;
mod generator;
mod rtpengine;
mod serve;
mod speech;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use facts::media::{RecordingForm, RecordingFormat, Voices};
use floor::Way;
use generator::{Account, FarEnds, Talk};
use load::svg::{Labels, Series, chart};
use load::usage::{self, Machine};
use rtpengine::Rtpengine;
use serve::Work;
use speech::{Lock, Speech, Voice};

/// Measures the media plane.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    side: Option<Side>,
    /// Calls at once, one run each.
    #[arg(long, value_delimiter = ',', default_value = "100,400")]
    calls: Vec<usize>,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_value = "floor,bridge,record,play,floor")]
    work: Vec<Measured>,
    /// Length of the plateau in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Phases that the streams are spread over within 20 ms.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=400))]
    phases: u32,
    /// Worker threads of the media plane.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How often everything is done; medians follow when it is more than once.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Seats of a conference room; about two of them talk at a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(2..=250))]
    seats: u8,
    /// Draws the growth of CPU with the number of calls into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// The measured side; started by the command itself.
#[derive(Subcommand)]
enum Side {
    /// Serves until standard input ends.
    #[command(hide = true)]
    Serve {
        work: Measured,
        calls: usize,
        workers: usize,
        seats: usize,
        folder: PathBuf,
        peers: Vec<SocketAddr>,
    },
}

/// What a run measures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
enum Measured {
    /// Two sockets a call, epoll, one read and one send a packet.
    Floor,
    /// The same by `recvmmsg` and `sendmmsg`.
    FloorMmsg,
    /// The same by io_uring.
    FloorUring,
    /// Bridged calls.
    Bridge,
    /// Bridged and recorded calls: MP3.
    Record,
    /// The same as WAV.
    RecordWav,
    /// The same as Opus.
    RecordOpus,
    /// Sounds played to both legs.
    Play,
    /// Bridged calls, with an ear on what leg B's network plays.
    Listen,
    /// The same in G.722.
    ListenG722,
    /// The same in Opus.
    ListenOpus,
    /// Bridged calls with SRTP on both sides: AES_CM_128_HMAC_SHA1_80.
    Srtp,
    /// The same with AEAD_AES_128_GCM.
    Gcm,
    /// G.711 on one side and G.722 on the other.
    G722,
    /// G.711 on one side and Opus on the other.
    Opus,
    /// Conferences in G.711; a call is two seats, and costs are those of one.
    Conference,
    /// The same, every other seat in G.722.
    ConferenceG722,
    /// The same, every other seat in Opus.
    ConferenceOpus,
    /// A peer that bridges: rtpengine in user space, with as many threads as it likes.
    Rtpengine,
    /// The peer with SRTP on both sides.
    RtpengineSrtp,
    /// The same with AEAD_AES_128_GCM.
    RtpengineGcm,
    /// The peer between G.711 and G.722.
    RtpengineG722,
    /// The peer between G.711 and Opus.
    RtpengineOpus,
}

/// Each leg on a channel of its own.
const fn form(format: RecordingFormat) -> RecordingForm {
    RecordingForm { format, voices: Voices::Stereo }
}

impl Measured {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What is done; the floor does the least of it.
    const fn work(self) -> Work {
        match self {
            Measured::Floor
            | Measured::FloorMmsg
            | Measured::FloorUring
            | Measured::Bridge
            | Measured::Rtpengine => Work::Bridge,
            Measured::Record => Work::Record(form(RecordingFormat::Mp3)),
            Measured::RecordWav => Work::Record(form(RecordingFormat::Wav)),
            Measured::RecordOpus => Work::Record(form(RecordingFormat::Opus)),
            Measured::Conference => Work::Conference([Voice::Pcmu, Voice::Pcmu]),
            Measured::ConferenceG722 => Work::Conference([Voice::Pcmu, Voice::G722]),
            Measured::ConferenceOpus => Work::Conference([Voice::Pcmu, Voice::Opus]),
            Measured::Play => Work::Play,
            Measured::Listen => Work::Listen(Voice::Pcmu),
            Measured::ListenG722 => Work::Listen(Voice::G722),
            Measured::ListenOpus => Work::Listen(Voice::Opus),
            Measured::Srtp | Measured::RtpengineSrtp => Work::Protect(Lock::Sha1),
            Measured::Gcm | Measured::RtpengineGcm => Work::Protect(Lock::Gcm),
            Measured::G722 | Measured::RtpengineG722 => Work::Transcode([Voice::Pcmu, Voice::G722]),
            Measured::Opus | Measured::RtpengineOpus => Work::Transcode([Voice::Pcmu, Voice::Opus]),
        }
    }

    const fn is_peer(self) -> bool {
        matches!(
            self,
            Measured::Rtpengine
                | Measured::RtpengineSrtp
                | Measured::RtpengineGcm
                | Measured::RtpengineG722
                | Measured::RtpengineOpus
        )
    }

    fn talk(self, seats: usize) -> io::Result<Talk> {
        Ok(match self.work() {
            Work::Bridge | Work::Record(_) => Talk::Stamps,
            Work::Play => Talk::Silent,
            Work::Protect(lock) => {
                let voice = || Speech::of(Voice::Pcmu);
                Talk::Speech([voice()?, voice()?], Some(lock))
            }
            Work::Transcode([a, b]) => Talk::Speech([Speech::of(a)?, Speech::of(b)?], None),
            Work::Listen(voice) => Talk::Speech([Speech::of(voice)?, Speech::of(voice)?], None),
            Work::Conference([a, b]) => {
                let turns = (seats / 2).max(2);
                let voice = |voice| Speech::of(voice).map(|speech| speech.in_turns(turns));
                Talk::Speech([voice(a)?, voice(b)?], None)
            }
        })
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Side::Serve { work, calls, workers, seats, folder, peers }) = arguments.side {
        return match work {
            Measured::Floor => serve::floor(Way::Single, calls, &peers),
            Measured::FloorMmsg => serve::floor(Way::Batched, calls, &peers),
            Measured::FloorUring => serve::floor(Way::Ring, calls, &peers),
            work if work.is_peer() => Err(io::Error::other("a program of its own")),
            work => serve::plane(calls, (work.work(), seats), workers, &peers, &folder),
        };
    }
    println!("PCMU, 20 ms, both ways; CPU of the measured process over the plateau");
    println!(
        "p50, p99: one-way latency; of sounds that do not arrive as they left (played, protected, in \
         another coding, mixed), the distance from 20 ms after the last"
    );
    println!(
        "{:>14} {:>6} {:>10} {:>7} {:>9} {:>6} {:>7} {:>7} {:>9} {:>6} {:>6}  notes",
        "work",
        "calls",
        "%core/100",
        "x floor",
        "received",
        "lost",
        "p50 µs",
        "p99 µs",
        "kB/call",
        "idle%",
        "steal%"
    );
    let mut all: BTreeMap<(Measured, usize), Vec<Figures>> = BTreeMap::new();
    for _ in 0..arguments.repeat {
        for calls in &arguments.calls {
            let mut floor = None;
            for work in &arguments.work {
                let figures = run(&arguments, *work, *calls)?;
                if *work == Measured::Floor {
                    floor.get_or_insert(figures.cpu);
                }
                figures.print(*work, *calls, floor, arguments.phases);
                all.entry((*work, *calls)).or_default().push(figures);
            }
        }
    }
    if arguments.repeat > 1 {
        print_medians(&all);
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, growth(&all))?;
    }
    Ok(())
}

/// The middle one; the lower of two.
fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

fn print_medians(all: &BTreeMap<(Measured, usize), Vec<Figures>>) {
    println!("medians of the runs that were not spoiled; lost: all of them together");
    println!(
        "{:>14} {:>6} {:>5} {:>10} {:>7} {:>6} {:>7} {:>7} {:>9}",
        "work", "calls", "runs", "%core/100", "x floor", "lost", "p50 µs", "p99 µs", "kB/call"
    );
    for ((work, calls), runs) in all {
        let good: Vec<Figures> =
            runs.iter().filter(|run| run.spoiled().is_none()).cloned().collect();
        let floor = all.get(&(Measured::Floor, *calls)).map(|runs| {
            let good: Vec<Figures> =
                runs.iter().filter(|run| run.spoiled().is_none()).cloned().collect();
            median(&good, |run| run.cpu)
        });
        let cpu = median(&good, |run| run.cpu);
        println!(
            "{:>14} {calls:>6} {:>5} {cpu:>10.2} {:>7} {:>6} {:>7} {:>7} {:>9.1}",
            work.name(),
            format!("{}/{}", good.len(), runs.len()),
            floor.map_or("-".into(), |floor| format!("{:.2}", cpu / floor)),
            if *work == Measured::Play {
                "-".to_owned()
            } else {
                good.iter().map(|run| run.account.lost).sum::<u64>().to_string()
            },
            median(&good, |run| run.account.p50_us as f64),
            median(&good, |run| run.account.p99_us as f64),
            median(&good, |run| run.kilobytes),
        );
    }
}

/// The chart of all runs, spoiled or not: it shows a shape, the table the figures.
fn growth(all: &BTreeMap<(Measured, usize), Vec<Figures>>) -> String {
    let mut series: BTreeMap<Measured, Series> = BTreeMap::new();
    for ((work, calls), runs) in all {
        let line =
            series.entry(*work).or_insert_with(|| Series { name: work.name(), points: Vec::new() });
        line.points.push((*calls as f64, median(runs, |run| run.cpu)));
    }
    let labels = Labels {
        title: "CPU of sound by the number of calls",
        x: "calls at once",
        y: "% of a core per 100 calls",
    };
    chart(&labels, &series.into_values().collect::<Vec<_>>())
}

/// What a run found.
#[derive(Clone, Debug)]
struct Figures {
    /// Per cent of a core per 100 calls.
    cpu: f64,
    kilobytes: f64,
    idle: f64,
    stolen: f64,
    seconds: f64,
    plateau: u64,
    account: Account,
    timers: Option<[u64; 2]>,
}

impl Figures {
    fn spoiled(&self) -> Option<&'static str> {
        usage::spoiled(self.idle, self.stolen)
    }

    fn print(&self, work: Measured, calls: usize, floor: Option<f64>, phases: u32) {
        let account = &self.account;
        let name = work.name();
        let ratio = floor.map_or("-".into(), |floor| format!("{:.2}", self.cpu / floor));
        let mut notes: Vec<String> = self.spoiled().map(str::to_owned).into_iter().collect();
        if account.unsent > 0 {
            notes.push(format!("{} unsent", account.unsent));
        }
        if account.disordered > 0 {
            notes.push(format!("{} out of order", account.disordered));
        }
        if account.late_ticks > 0 {
            let share = account.late_ticks as f64 / (self.seconds * f64::from(phases) / 2.0);
            notes.push(format!("generator late {share:.1} %"));
        }
        if let Some([usual, worst]) = self.timers {
            notes.push(format!("timers p99 {usual} µs, worst {worst}"));
        }
        let silent = work == Measured::Play;
        let text = |value: u64| if silent { "-".to_owned() } else { value.to_string() };
        println!(
            "{name:>14} {calls:>6} {:>10.2} {ratio:>7} {:>9} {:>6} {:>7} {:>7} {:>9.1} {:>6.1} {:>6.1}  {}",
            self.cpu,
            self.plateau,
            text(account.lost),
            account.p50_us,
            account.p99_us,
            self.kilobytes,
            self.idle,
            self.stolen,
            notes.join(", ")
        );
    }
}

/// The measured process.
struct Served {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Served {
    fn start(arguments: &[String]) -> io::Result<Served> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().map(BufReader::new);
        let output = output.ok_or_else(|| io::Error::other("no output"))?;
        Ok(Served { child, input, output })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    fn go(&mut self) -> io::Result<()> {
        match &mut self.input {
            Some(input) => input.write_all(b"go\n"),
            None => Ok(()),
        }
    }

    /// What it has to say of its timers at the end: µs late, one of a hundred and the worst.
    fn timers(&mut self) -> Option<[u64; 2]> {
        drop(self.input.take());
        let line = self.line().ok()?;
        let mut words = line.split_whitespace().map(str::parse);
        Some([words.next()?.ok()?, words.next()?.ok()?])
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Who carries the packets.
enum Carrier {
    Ours(Served),
    Rtpengine(Rtpengine),
}

impl Carrier {
    fn start(
        arguments: &Arguments,
        work: Measured,
        calls: usize,
        folder: &Path,
        far_ends: &[SocketAddr],
    ) -> io::Result<Carrier> {
        if work.is_peer() {
            return Rtpengine::start().map(Carrier::Rtpengine);
        }
        let mut command = vec!["serve".to_owned(), work.name()];
        let seats = arguments.seats.to_string();
        command.extend([calls.to_string(), arguments.workers.to_string(), seats]);
        command.push(folder.display().to_string());
        command.extend(far_ends.iter().map(ToString::to_string));
        let mut served = Served::start(&command)?;
        served.line()?;
        Ok(Carrier::Ours(served))
    }

    fn pid(&self) -> u32 {
        match self {
            Carrier::Ours(served) => served.child.id(),
            Carrier::Rtpengine(engine) => engine.pid(),
        }
    }

    /// Sets the calls up; the ports that far ends send to, A B A B.
    fn set_up(
        &mut self,
        calls: usize,
        work: Work,
        far_ends: &[SocketAddr],
    ) -> io::Result<Vec<u16>> {
        let ports: Vec<u16> = match self {
            Carrier::Ours(served) => {
                served.go()?;
                served.line()?.split_whitespace().filter_map(|port| port.parse().ok()).collect()
            }
            Carrier::Rtpengine(engine) => {
                let mut ports = Vec::new();
                for call in 0..calls {
                    ports.extend(engine.call(call, serve::far_ends(far_ends, call), work)?);
                }
                ports
            }
        };
        if ports.len() == 2 * calls {
            Ok(ports)
        } else {
            Err(io::Error::other("the measured side did not start"))
        }
    }
}

fn run(arguments: &Arguments, work: Measured, calls: usize) -> io::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let far_ends = FarEnds::new()?;
    let addresses = far_ends.addresses()?;
    let mut carrier = Carrier::start(arguments, work, calls, folder.path(), &addresses)?;
    std::thread::sleep(Duration::from_millis(300));
    let pid = carrier.pid();
    let empty = usage::resident(pid)?;
    let ports = carrier.set_up(calls, work.work(), &addresses)?;
    let load = far_ends.start(&ports, arguments.phases, work.talk(arguments.seats.into())?)?;
    std::thread::sleep(Duration::from_secs(2));
    load.measure(true);
    let (cpu, machine, received) = (usage::cpu_seconds(pid)?, Machine::read()?, load.received());
    let start = std::time::Instant::now();
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let seconds = start.elapsed().as_secs_f64();
    let cpu = usage::cpu_seconds(pid)? - cpu;
    let (idle, stolen) = Machine::read()?.since(&machine);
    let plateau = load.received() - received;
    let resident = usage::resident(pid)?;
    load.measure(false);
    let account = load.end();
    let timers = match &mut carrier {
        Carrier::Ours(served) => served.timers(),
        Carrier::Rtpengine(_) => None,
    };
    let units = match work.work() {
        Work::Conference(_) => 2 * calls,
        _ => calls,
    } as f64;
    Ok(Figures {
        cpu: cpu / seconds * 100.0 * 100.0 / units,
        kilobytes: resident.saturating_sub(empty) as f64 / 1024.0 / units,
        idle,
        stolen,
        seconds,
        plateau,
        account,
        timers,
    })
}
