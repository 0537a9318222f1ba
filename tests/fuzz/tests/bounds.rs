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
