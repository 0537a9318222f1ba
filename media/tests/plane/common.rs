//! A media plane on loopback and far ends made of plain sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use facts::manners::Dtmf;
use facts::media::{
    Codec, Direction, Family, MediaCommand, MediaEvent, MediaStats, PayloadMap, Source, StreamSetup,
};
use facts::{CallId, LegId, LegNo};
use media::{Home, Media, MediaConfig};

pub(crate) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const CALL: CallId = CallId(0x1234_5678_9000);
pub(crate) const A: LegId = LegId { call: CALL, no: LegNo(0) };
pub(crate) const B: LegId = LegId { call: CALL, no: LegNo(1) };
/// Longest wait for anything that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct World {
    pub(crate) media: Media,
    pub(crate) events: Receiver<MediaEvent>,
    pub(crate) folder: tempfile::TempDir,
}

/// A plane below a folder, without ports.
pub(crate) fn plain(folder: &Path) -> MediaConfig {
    MediaConfig {
        homes: vec![Home { bind: HOME, advertised: HOME }],
        ports: 0..=0,
        quarantine: Duration::from_secs(5),
        workers: 1,
        recordings: folder.join("recordings"),
        keys: None,
        prompts: None,
        words: None,
    }
}

impl World {
    /// `ports`: the first of a range that no other test uses.
    pub(crate) fn new(first: u16, pairs: u16, adjust: impl FnOnce(&mut MediaConfig)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            MediaConfig { ports: first..=first + 2 * pairs - 1, ..plain(folder.path()) };
        adjust(&mut config);
        let (send, events) = channel();
        let media = Media::start(&config, move |event| {
            let _ = send.send(event);
        })
        .unwrap();
        World { media, events, folder }
    }

    pub(crate) fn order(&self, command: MediaCommand) {
        self.media.order(command);
    }

    /// The next event that is not the beginning of a stream.
    pub(crate) fn next(&self) -> MediaEvent {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(MediaEvent::Started { .. }) => {}
                Ok(event) => return event,
                Err(error) => panic!("no event: {error}"),
            }
        }
    }

    /// The first event within a time that `wanted` agrees to; others are passed over.
    pub(crate) fn find(
        &self,
        within: Duration,
        wanted: impl Fn(&MediaEvent) -> bool,
    ) -> Option<MediaEvent> {
        let until = Instant::now() + within;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return Some(event),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("the media plane is gone"),
            }
        }
    }

    pub(crate) fn open(&self, leg: LegId) -> SocketAddr {
        self.order(MediaCommand::Open { leg, family: Family::V4 });
        match self.next() {
            MediaEvent::Opened { leg: opened, local } if opened == leg => local,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn setup(&self, leg: LegId, setup: StreamSetup) {
        self.order(MediaCommand::Setup { leg, setup });
    }

    pub(crate) fn hear(&self, leg: LegId, source: Source) {
        self.order(MediaCommand::Hear { leg, source });
    }

    pub(crate) fn close(&self, leg: LegId) -> MediaStats {
        self.order(MediaCommand::Close { leg });
        let closed = self.find(
            PATIENCE,
            |event| matches!(event, MediaEvent::Closed { leg: l, .. } if *l == leg),
        );
        match closed {
            Some(MediaEvent::Closed { stats, .. }) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// Two legs, open, agreed and joined.
    pub(crate) fn bridge(
        &self,
        a: (&Phone, StreamSetup),
        b: (&Phone, StreamSetup),
    ) -> [SocketAddr; 2] {
        let locals = [self.open(A), self.open(B)];
        self.setup(A, a.1);
        self.setup(B, b.1);
        self.hear(A, Source::Leg(B));
        self.hear(B, Source::Leg(A));
        a.0.target.set(Some(locals[0]));
        b.0.target.set(Some(locals[1]));
        self.settle();
        locals
    }

    /// Waits until every order given so far was carried out.
    pub(crate) fn settle(&self) {
        let probe = LegId::new(CALL, LegNo(200));
        self.close(probe);
    }
}

/// A far end: an RTP socket on an even port, an RTCP socket on the next.
pub(crate) struct Phone {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    pub(crate) target: std::cell::Cell<Option<SocketAddr>>,
    pub(crate) ssrc: u32,
    sequence: std::cell::Cell<u16>,
    timestamp: std::cell::Cell<u32>,
}

/// A packet as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) at: Instant,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

impl Phone {
    pub(crate) fn new(ssrc: u32) -> Phone {
        Phone::at(HOME, ssrc)
    }

    pub(crate) fn at(address: IpAddr, ssrc: u32) -> Phone {
        loop {
            let rtp = UdpSocket::bind((address, 0)).unwrap();
            let port = rtp.local_addr().unwrap().port();
            if port.is_multiple_of(2)
                && let Ok(rtcp) = UdpSocket::bind((address, port + 1))
            {
                let (sequence, timestamp) = (65_530.into(), (u32::MAX - 500).into());
                return Phone { rtp, rtcp, target: None.into(), ssrc, sequence, timestamp };
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    /// Sends one packet, 20 ms after the last on its own clock.
    pub(crate) fn say(&self, payload_type: u8, payload: &[u8]) {
        self.timestamp.set(self.timestamp.get().wrapping_add(160));
        self.say_at(payload_type, self.timestamp.get(), payload);
    }

    pub(crate) fn say_at(&self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        self.sequence.set(self.sequence.get().wrapping_add(1));
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.get().to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.rtp.send_to(&packet, self.target.get().unwrap()).unwrap();
    }

    /// A packet with numbers of its own.
    pub(crate) fn throw(
        &self,
        ssrc: u32,
        sequence: u16,
        (pt, timestamp): (u8, u32),
        payload: &[u8],
    ) {
        let mut packet = vec![0x80, pt];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(payload);
        self.rtp.send_to(&packet, self.target.get().unwrap()).unwrap();
    }

    /// Loses a packet on the way.
    pub(crate) fn lose(&self) {
        self.sequence.set(self.sequence.get().wrapping_add(1));
        self.timestamp.set(self.timestamp.get().wrapping_add(160));
    }

    /// The next packet within a time.
    pub(crate) fn hear(&self, within: Duration) -> Option<Packet> {
        let mut bytes = [0; 2048];
        let (len, _) = receive(&self.rtp, within, &mut bytes)?;
        let bytes = &bytes[..len];
        assert_eq!(bytes[0], 0x80);
        Some(Packet {
            at: Instant::now(),
            marker: bytes[1] & 0x80 != 0,
            payload_type: bytes[1] & 0x7f,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            ssrc: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            payload: bytes[12..].to_vec(),
        })
    }

    pub(crate) fn must_hear(&self) -> Packet {
        self.hear(PATIENCE).expect("a packet")
    }

    /// Packets for a while.
    pub(crate) fn listen(&self, time: Duration) -> Vec<Packet> {
        let until = Instant::now() + time;
        let mut out = Vec::new();
        while let Some(packet) = self.hear(until.saturating_duration_since(Instant::now())) {
            out.push(packet);
        }
        out
    }
}

/// One datagram within a time.
pub(crate) fn receive(
    socket: &UdpSocket,
    within: Duration,
    bytes: &mut [u8],
) -> Option<(usize, SocketAddr)> {
    socket.set_read_timeout(Some(within.max(Duration::from_millis(1)))).unwrap();
    match socket.recv_from(bytes) {
        Ok(received) => Some(received),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn both(event: Option<u8>) -> PayloadMap {
    let events = event.map(|number| (number, 8_000)).into_iter().collect();
    PayloadMap { audio: vec![(0, Codec::Pcmu), (8, Codec::Pcma)], events, noise: None }
}

pub(crate) fn only(payload_type: u8, codec: Codec) -> PayloadMap {
    PayloadMap { audio: vec![(payload_type, codec)], ..PayloadMap::default() }
}

pub(crate) fn setup(phone: &Phone, map: PayloadMap) -> StreamSetup {
    StreamSetup {
        remote: phone.address(),
        signalling: None,
        remote_rtcp: None,
        rtcp_mux: false,
        send: map.clone(),
        receive: map,
        direction: Direction::SendReceive,
        ptime_ms: 20,
        silence: None,
        srtp: None,
        dtmf: Dtmf::Auto,
    }
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
