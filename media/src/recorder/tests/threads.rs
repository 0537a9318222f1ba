//! The threads, in real time.

use super::*;

struct Studio {
    folder: tempfile::TempDir,
    recorder: Recorder,
    events: mpsc::Receiver<MediaEvent>,
}

fn studio(threads: usize) -> Studio {
    let folder = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let heard: Events = Arc::new(move |event| {
        sender.lock().unwrap().send(event).unwrap();
    });
    let config = RecorderConfig { folder: folder.path().to_owned(), threads, keys: None };
    let recorder = Recorder::open(&config, &heard).unwrap();
    Studio { folder, recorder, events }
}

impl Studio {
    fn tap(&self, call: CallId, side: Side, n: u32, hz: f64) {
        let packet = packet(side, n, hz, Instant::now());
        let heard = Heard {
            side,
            arrival: packet.arrival,
            timestamp: packet.timestamp,
            codec: packet.codec,
            payload: &packet.payload[..160],
        };
        self.recorder.tap(call, &heard);
    }

    fn next(&self) -> MediaEvent {
        self.events.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

#[test]
fn calls_are_recorded_side_by_side_and_announced_when_in_place() {
    let studio = studio(2);
    let calls: Vec<CallId> = (0..6).map(|n| CallId((1_000 + n) << 22)).collect();
    let start = Instant::now();
    for call in &calls {
        studio.recorder.start(*call, format!("{call}.mp3"), STEREO, start);
    }
    for n in 0..60_u32 {
        for call in &calls {
            studio.tap(*call, Side::Left, n, 700.0);
            studio.tap(*call, Side::Right, n, 1_100.0);
        }
        let next = start + ms(20) * (n + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let end = start + ms(1_200);
    for call in &calls {
        studio.recorder.stop(*call, end);
        studio.recorder.stop(*call, end);
    }
    let mut recorded = Vec::new();
    for _ in &calls {
        let MediaEvent::Recorded { call, file } = studio.next() else { panic!("not recorded") };
        let bytes = fs::read(studio.folder.path().join(&file.file)).unwrap();
        assert_eq!((file.bytes, file.duration_ms), (bytes.len() as u64, 1_200));
        let (_, sound) = channels(&bytes).unwrap();
        assert_eq!((sound[0].len(), sound[1].len()), (19_200, 19_200));
        assert!(amplitude(&sound[0][4_800..16_000], 700.0) > 0.22);
        assert!(amplitude(&sound[1][4_800..16_000], 1_100.0) > 0.22);
        recorded.push(call);
    }
    recorded.sort();
    assert_eq!(recorded, calls);
    let counts = studio.recorder.counts();
    assert_eq!((counts.recordings, counts.recorded, counts.failed, counts.taps_lost), (0, 6, 0, 0));
    assert!(studio.events.try_recv().is_err(), "one answer each");
}

#[test]
fn closing_the_recorder_finishes_what_is_under_way() {
    let studio = studio(1);
    let start = Instant::now();
    studio.recorder.start(CALL, "a/b/c.mp3".to_owned(), STEREO, start);
    for n in 0..10 {
        studio.tap(CALL, Side::Left, n, 700.0);
        std::thread::sleep(ms(20));
    }
    let Studio { folder, recorder, events } = studio;
    drop(recorder);
    let MediaEvent::Recorded { call, file } = events.try_recv().unwrap() else {
        panic!("not kept")
    };
    assert_eq!(call, CALL);
    assert!((200..=start.elapsed().as_millis() as u64 + 1).contains(&file.duration_ms));
    assert!(folder.path().join("a/b/c.mp3").exists());
}

#[test]
fn a_recording_that_cannot_be_made_is_answered_once_and_after_its_stop() {
    let studio = studio(1);
    let now = Instant::now();
    studio.recorder.start(CALL, "../outside.mp3".to_owned(), STEREO, now);
    studio.tap(CALL, Side::Left, 0, 700.0);
    std::thread::sleep(ms(250));
    assert!(studio.events.try_recv().is_err(), "the answer comes after the stop");
    studio.recorder.stop(CALL, Instant::now());
    assert_eq!(studio.next(), MediaEvent::RecordingFailed { call: CALL });
    studio.recorder.stop(CALL, Instant::now());
    studio.recorder.stop(CallId(99), Instant::now());
    std::thread::sleep(ms(250));
    assert!(studio.events.try_recv().is_err());
    assert_eq!(studio.recorder.counts().failed, 1);
    // Hanging up while a recording starts (case 39): no deadlock, one answer.
    studio.recorder.start(CALL, "quick.mp3".to_owned(), STEREO, Instant::now());
    studio.recorder.stop(CALL, Instant::now());
    assert!(matches!(studio.next(), MediaEvent::Recorded { .. }));
}

#[test]
fn a_full_queue_loses_packets_and_never_waits() {
    let studio = studio(1);
    let payload = [g711::ALAW_SILENCE; 160];
    let begun = Instant::now();
    let heard = Heard {
        side: Side::Left,
        arrival: begun,
        timestamp: 0,
        codec: Codec::Pcma,
        payload: &payload,
    };
    while studio.recorder.counts().taps_lost == 0 && begun.elapsed() < Duration::from_secs(5) {
        for _ in 0..MAX_PACKETS {
            studio.recorder.tap(CallId(7), &heard);
        }
    }
    let counts = studio.recorder.counts();
    assert!(counts.taps_lost > 0, "the queue has an end: {counts:?} after {:?}", begun.elapsed());
}

#[test]
fn long_packets_are_taken_in_parts() {
    let studio = studio(1);
    let start = Instant::now();
    studio.recorder.start(CALL, "long.mp3".to_owned(), STEREO, start);
    // 60 ms of A-law in one packet, twice.
    for n in 0..2_u32 {
        let from = n as usize * 480;
        let payload: Vec<u8> = sine(700.0, from, 480).map(g711::linear_to_alaw).collect();
        let arrival = start + ms(60) * n;
        let heard = Heard {
            side: Side::Left,
            arrival,
            timestamp: n * 480,
            codec: Codec::Pcma,
            payload: &payload,
        };
        studio.recorder.tap(CALL, &heard);
    }
    std::thread::sleep(ms(150));
    studio.recorder.stop(CALL, start + ms(120));
    let MediaEvent::Recorded { file, .. } = studio.next() else { panic!("not recorded") };
    let (_, sound) = channels(&fs::read(studio.folder.path().join(file.file)).unwrap()).unwrap();
    assert!(amplitude(&sound[0][160..1_760], 700.0) > 0.22);
}

#[test]
fn a_recording_that_finds_a_full_queue_has_failed_and_its_stop_is_answered_once() {
    let (told, answers) = mpsc::channel();
    let told = Mutex::new(told);
    let events: Events = Arc::new(move |event| told.lock().unwrap().send(event).unwrap());
    // A thread that takes nothing.
    let (orders, waiting) = bounded(MAX_ORDERS);
    let (packets, _heard) = bounded(1);
    let shards = vec![Shard { orders, packets, refused: Mutex::default() }];
    let recorder = Recorder { shards, shared: Arc::default(), events, threads: Vec::new() };
    let now = Instant::now();
    let last = MAX_RECORDINGS as u64 + 1;
    for call in 0..=last {
        recorder.start(CallId(call), format!("{call}.mp3"), STEREO, now);
    }
    assert_eq!(waiting.len(), MAX_RECORDINGS);
    for call in 0..last {
        recorder.stop(CallId(call), now);
    }
    // Every stop of what waits is in the queue; the refused one is answered at once.
    assert_eq!(waiting.len(), 2 * MAX_RECORDINGS);
    let failed = |call| MediaEvent::RecordingFailed { call: CallId(call) };
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [failed(last - 1)]);
    assert_eq!(recorder.counts().failed, 1);
    drop(recorder);
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [failed(last)]);
}
