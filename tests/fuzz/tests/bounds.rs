//! What a stranger's sound file may cost: memory and processor time, of files that lie and of files
//! that blow up. Time is the thread's own, so that a busy machine changes nothing.

#![allow(unsafe_code, reason = "an allocator that counts, and a thread's own clock")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use fuzz::mutate::{Random, mutate};

/// Octets that the thread holds, and the most it ever held.
#[derive(Clone, Copy)]
struct Held {
    now: isize,
    most: isize,
}

thread_local! {
    static HELD: Cell<Held> = const { Cell::new(Held { now: 0, most: 0 }) };
}

struct Counting;

fn note(change: isize) {
    // A thread that is ending counts nothing any more.
    let _ = HELD.try_with(|held| {
        let Held { now, most } = held.get();
        let now = now + change;
        held.set(Held { now, most: most.max(now) });
    });
}

// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        // SAFETY: `at` came from the system's allocator with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread has computed so far.
fn busy() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which `time` is.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    let nanoseconds = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

/// Memory in octets and time that a file takes.
fn cost(bytes: &[u8]) -> (usize, Duration) {
    let start = busy();
    let before = HELD.with(|held| {
        let now = held.get().now;
        held.set(Held { now, most: now });
        now
    });
    fuzz::media::sound(bytes);
    let most = HELD.with(|held| held.get().most);
    ((most - before).unsigned_abs(), busy().saturating_sub(start))
}

/// The most that any file may hold while it is looked at: F1's figure.
const MEMORY: usize = 64 << 20;
/// The most that a file of a few kilobytes may compute; builds without optimisation included.
const TIME: Duration = Duration::from_millis(1_500);
/// The same for a file of a megabyte that holds five minutes of sound and more.
const TIME_WHOLE: Duration = Duration::from_secs(20);

fn assert_cheap(name: &str, bytes: &[u8], time: Duration) {
    let (memory, took) = cost(bytes);
    assert!(memory <= MEMORY, "{name} holds {memory} octets");
    assert!(took <= time, "{name} computes for {took:?}");
}

#[test]
fn f1_lying_sound_files_cost_little_memory_and_time() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/sound");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a corpus").flatten().map(|file| file.path()).collect();
    files.sort();
    assert!(files.len() >= 15);
    let mut random = Random::new(7);
    for file in files {
        let bytes = std::fs::read(&file).expect("a readable file");
        let name = file.display().to_string();
        assert_cheap(&name, &bytes, TIME);
        for round in 0..30 {
            assert_cheap(&format!("{name}, round {round}"), &mutate(&bytes, &mut random), TIME);
        }
    }
}

/// Conformance class 22: ten milliseconds of processor time for a message, however it is nested or repeated. Of a
/// build without optimisation, which is the slower by far.
const MESSAGE: Duration = Duration::from_millis(10);

/// Messages that made others recurse, backtrack or go through a list for each of its members.
fn nested() -> Vec<(&'static str, String)> {
    let request = |uri: &str, headers: &str, body: &str| {
        format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKn\r\nMax-Forwards: 70\r\n\
             From: <sip:a@b>;tag=n\r\nTo: <sip:c@d>\r\nCall-ID: n\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:a@192.0.2.9>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let plain = |headers: &str| request("sip:c@d", headers, "");
    let typed =
        |kind: &str, body: &str| request("sip:c@d", &format!("Content-Type: {kind}\r\n"), body);
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    let deep = (0..1_000)
        .map(|n| format!("--b{n}\r\nContent-Type: multipart/mixed;boundary=b{}\r\n\r\n", n + 1));
    let medias = "m=audio 4 RTP/AVP 0\r\n".to_owned() + &"a=rtpmap:0 PCMU/8000\r\n".repeat(3);
    vec![
        ("quotes", plain(&format!("Subject: {}\r\n", "\"\\".repeat(4_000)))),
        ("comments", plain(&format!("User-Agent: {}\r\n", "(".repeat(8_000)))),
        ("angles", plain(&format!("P-Asserted-Identity: {}\r\n", "<".repeat(8_000)))),
        ("commas", plain(&format!("Record-Route: {}\r\n", ",".repeat(8_000)))),
        (
            "a list of hops",
            plain(&format!("Record-Route: {}<sip:x;lr>\r\n", "<sip:x;lr>,".repeat(700))),
        ),
        ("parameters", plain(&format!("Via: SIP/2.0/UDP x{}\r\n", ";a=b".repeat(2_000)))),
        ("folds", plain(&format!("Subject: x{}\r\n", "\r\n ".repeat(2_600)))),
        ("many headers", plain(&"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKn\r\n".repeat(1_200))),
        ("a URI of escapes", request(&format!("sip:{}@d", "%41".repeat(330)), "", "")),
        ("a URI in a URI", request(&format!("sip:a@d?{}", "x=sip:a%40d?".repeat(80)), "", "")),
        ("media lines", typed("application/sdp", &(sdp.to_owned() + &medias.repeat(600)))),
        (
            "attributes",
            typed(
                "application/sdp",
                &(sdp.to_owned() + "m=audio 4 RTP/AVP 0\r\n" + &"a=fmtp:0 x\r\n".repeat(4_000)),
            ),
        ),
        (
            "formats",
            typed("application/sdp", &format!("{sdp}m=audio 4 RTP/AVP{}\r\n", " 0".repeat(20_000))),
        ),
        ("parts in parts", typed("multipart/mixed;boundary=b0", &deep.collect::<String>())),
        (
            "a digest of commas",
            plain(&format!("Authorization: Digest {}\r\n", "a=\"b\",".repeat(1_000))),
        ),
    ]
}

#[test]
fn advisory_22_no_message_computes_for_more_than_ten_milliseconds() {
    use sip::endpoint::{Endpoint, EndpointConfig, Flow, Listener, Transport};
    let here = std::net::SocketAddr::from(([192, 0, 2, 1], 5060));
    let there = std::net::SocketAddr::from(([192, 0, 2, 9], 5060));
    let listener = Listener { transport: Transport::Udp, bind: here, advertised: here };
    for (what, text) in nested() {
        let bytes = bytes::Bytes::from(text);
        // The first look warms what a message does not pay for.
        let took = (0..3).map(|_| {
            let config = EndpointConfig { listeners: vec![listener], ..EndpointConfig::default() };
            let mut endpoint = Endpoint::new(config);
            let start = busy();
            endpoint.handle_message(origin(), Flow::udp(here, there), bytes.clone());
            while endpoint.poll_transmit().is_some() {}
            let offer = sip::wire::Message::parse(bytes.clone()).ok();
            if let Some(offer) = &offer {
                sip::offer::wished(offer.body(), &[]);
            }
            busy().saturating_sub(start)
        });
        let took = took.min().expect("three times");
        assert!(took <= MESSAGE, "{what}: {took:?} for {} bytes", bytes.len());
    }
}

#[allow(clippy::disallowed_methods, reason = "a moment to count from")]
fn origin() -> std::time::Instant {
    std::time::Instant::now()
}

/// 24 hours of silence in 150 kB, with no length in its head: constant blocks of 65535 samples.
#[test]
fn f1_a_day_of_silence_is_given_up_after_five_minutes() {
    let mut flac = b"fLaC".to_vec();
    flac.extend([0x80, 0, 0, 34]);
    flac.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    // 8000 Hz, one channel, 16 bits, an unknown number of samples (RFC 9639 §8.2), no MD5.
    flac.extend([0x01, 0xf4, 0x00, 0xf0, 0, 0, 0, 0]);
    flac.extend([0; 16]);
    for number in 0..10_548_u32 {
        flac.extend(silent_frame(number));
    }
    assert!(flac.len() < 1 << 20);
    assert_eq!(media::prompt::samples(&flac), Err(media::prompt::PromptError::TooLong));
    assert_cheap("a day of FLAC", &flac, TIME_WHOLE);
    // The same file, cut off before the limit, is five minutes of silence less one block.
    let short: Vec<u8> = flac[..42].iter().copied().chain((0..36).flat_map(silent_frame)).collect();
    assert_eq!(media::prompt::samples(&short).map(|s| s.len()), Ok(36 * 65_535));
}

/// RFC 9639 §9: a frame of 65535 equal samples.
fn silent_frame(number: u32) -> Vec<u8> {
    // Fixed block size, 16 bits of block size at the end of the head, 8 kHz; mono, 16 bits.
    let mut frame = vec![0xff, 0xf8, 0x74, 0x08];
    match number {
        0..0x80 => frame.push(number as u8),
        0x80..0x800 => frame.extend([0xc0 | (number >> 6) as u8, 0x80 | (number & 63) as u8]),
        _ => frame.extend([
            0xe0 | (number >> 12) as u8,
            0x80 | (number >> 6 & 63) as u8,
            0x80 | (number & 63) as u8,
        ]),
    }
    frame.extend(0xfffe_u16.to_be_bytes());
    frame.push(crc(&frame, 8, 0x07) as u8);
    // A constant subframe and its sample.
    frame.extend([0, 0, 0]);
    let sum = crc(&frame, 16, 0x8005);
    frame.extend(sum.to_be_bytes());
    frame
}

fn crc(bytes: &[u8], bits: u32, polynomial: u16) -> u16 {
    let top = 1_u32 << (bits - 1);
    let mask = (top << 1) - 1;
    bytes.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << (bits - 8)), |sum, _| {
            let out = sum & top != 0;
            ((sum << 1) & mask) ^ if out { u32::from(polynomial) } else { 0 }
        })
    }) as u16
}
