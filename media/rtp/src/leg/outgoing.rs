//! What a leg sends: another leg's packets, sound of our making, keys.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Arrival, Leg, Refusal, Setup};
use crate::coding::{Coding, Kind};
use crate::egress::{Owner, Recode, Sent};
use crate::packet::{HEADER_LEN, Header};

/// Where a packet leaves to, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    /// The far end.
    pub to: SocketAddr,
    /// Codings that a table converts the payload from and to, when the listener does not speak the
    /// speaker's.
    pub convert: Option<(Coding, Coding)>,
}

/// How a packet goes on to its listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// As it is: its header is rewritten.
    Send(Departure),
    /// Decoded and coded anew; what comes of it leaves by [`Leg::generate`].
    Recode(Recode),
}

/// Where sound of some coding leaves to, and in what.
#[derive(Clone, Copy, Debug)]
struct Outbound {
    to: SocketAddr,
    payload_type: u8,
    spoken: Coding,
}

impl Outbound {
    /// It has to be decoded and coded anew.
    fn is_anew(&self, coding: Coding) -> bool {
        self.spoken != coding && !self.spoken.by_table(coding)
    }
}

/// Octets of a telephone-event (RFC 4733 §2.3).
pub const EVENT_LEN: usize = 4;
/// Its end (§2.3.3).
const END: u8 = 0x80;
/// The level of keys of ours, in −dBm0 (§2.3.5).
const KEY_VOLUME: u8 = 10;

impl Leg {
    /// Rewrites another leg's packet for this one. `None`, and the packet untouched: it is sound that leaves here coded
    /// anew, or stands beside such sound; once it is in order it goes on by [`Leg::onward`].
    ///
    /// # Errors
    ///
    /// Why it is not sent. A packet that is swallowed on purpose leaves no gap.
    pub fn relay(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<Option<Departure>, Refusal> {
        let Kind::Audio(coding) = arrival.kind else {
            if arrival.again {
                // It was passed on by whoever told it first.
                self.missed = Some((arrival.header.ssrc, arrival.header.timestamp));
            }
            if self.egress.recodes() {
                return Ok(None);
            }
            return self.relay_beside(now, arrival, packet).map(Some);
        };
        let outbound = self.outbound_or_skip(coding, &arrival.header)?;
        if outbound.is_anew(coding) {
            return Ok(None);
        }
        // A pause instead of what nobody can silence.
        if arrival.leaks && coding == Coding::G729 {
            self.egress.skip(&arrival.header);
            return Err(Refusal::Leak);
        }
        self.relay_sound(now, (arrival, coding), outbound, packet).map(Some)
    }

    /// The second half of the way of what [`Leg::relay`] left alone.
    ///
    /// # Errors
    ///
    /// As [`Leg::relay`].
    pub fn onward(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<Passage, Refusal> {
        let Kind::Audio(coding) = arrival.kind else {
            return self.relay_beside(now, arrival, packet).map(Passage::Send);
        };
        let outbound = self.outbound_or_skip(coding, &arrival.header)?;
        if outbound.is_anew(coding) {
            let span = coding.span(&packet[arrival.header.payload.clone()]);
            let codings = (coding, outbound.spoken);
            return self.egress.line(&arrival.header, codings, span).map(Passage::Recode);
        }
        self.relay_sound(now, (arrival, coding), outbound, packet).map(Passage::Send)
    }

    fn relay_sound(
        &mut self,
        now: Instant,
        (arrival, coding): (&Arrival, Coding),
        outbound: Outbound,
        packet: &mut [u8],
    ) -> Result<Departure, Refusal> {
        let Outbound { to, payload_type, spoken } = outbound;
        let span = coding.span(&packet[arrival.header.payload.clone()]);
        let sent = Sent { payload_type, clock: coding.clock_hz(), span };
        self.egress.relay(now, &arrival.header, sent)?.write(packet);
        self.quality.say(spoken, span);
        let convert = (spoken != coding).then_some((coding, spoken));
        Ok(Departure { to, convert })
    }

    /// What is no sound: a telephone-event or comfort noise.
    fn relay_beside(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<Departure, Refusal> {
        let to = match arrival.kind {
            Kind::Event(clock) => self.relay_event(now, arrival, clock, packet),
            Kind::Noise | Kind::Audio(_) => self.relay_noise(now, arrival, packet),
        };
        if matches!(to, Err(Refusal::NoEvents | Refusal::NoNoise | Refusal::Held)) {
            self.egress.skip(&arrival.header);
        }
        Ok(Departure { to: to?, convert: None })
    }

    fn relay_event(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        from: u32,
        packet: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, to) = self.target()?;
        let (payload_type, clock) =
            setup.send.event(self.egress.clock_hz().unwrap_or(from)).ok_or(Refusal::NoEvents)?;
        let event = (arrival.header.ssrc, arrival.header.timestamp);
        if !self.is_relayed() {
            self.missed = Some(event);
        } else if self.missed == Some(event) {
            // Its rest alone would be another key.
            self.egress.skip(&arrival.header);
            return Err(Refusal::Late);
        }
        let payload = &mut packet[arrival.header.payload.clone()];
        let numbers = (payload_type, from, clock);
        self.egress.relay_event(now, &arrival.header, numbers, payload)?.write(packet);
        Ok(to)
    }

    fn relay_noise(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, to) = self.target()?;
        let payload_type = setup.send.noise.ok_or(Refusal::NoNoise)?;
        self.egress.relay_noise(now, &arrival.header, payload_type)?.write(packet);
        Ok(to)
    }

    /// Another leg's packet is not passed on though it was not lost: its number closes up.
    pub fn swallow(&mut self, header: &Header) {
        self.egress.skip(header);
    }

    fn outbound(&self, coding: Coding) -> Result<Outbound, Refusal> {
        let (setup, to) = self.target()?;
        let (payload_type, spoken) = setup.send.nearest(coding).ok_or(Refusal::PayloadType)?;
        Ok(Outbound { to, payload_type, spoken })
    }

    /// The same for another leg's packet: where there is none its number closes up.
    fn outbound_or_skip(&mut self, coding: Coding, header: &Header) -> Result<Outbound, Refusal> {
        let outbound = self.outbound(coding);
        if outbound.is_err() {
            self.egress.skip(header);
        }
        outbound
    }

    fn outbound_in(&self, coding: Coding) -> Result<(SocketAddr, u8), Refusal> {
        let Outbound { to, payload_type, spoken } = self.outbound(coding)?;
        if spoken == coding { Ok((to, payload_type)) } else { Err(Refusal::PayloadType) }
    }

    fn target(&self) -> Result<(&Setup, SocketAddr), Refusal> {
        let setup = self.setup.as_ref().ok_or(Refusal::NotReady)?;
        if !setup.flow.sends() || setup.remote.ip().is_unspecified() || setup.remote.port() == 0 {
            return Err(Refusal::Held);
        }
        Ok((setup, self.latch.target().ok_or(Refusal::NotReady)?))
    }

    /// The coding that generated sound has to be in; `None` where none is agreed that we can make.
    #[must_use]
    pub fn spoken(&self) -> Option<Coding> {
        self.setup.as_ref()?.send.turned().map(|(_, coding)| coding)
    }

    /// Writes the header of a packet of sound of our making, generated or coded anew: `span` is its length in
    /// units of its coding's clock.
    ///
    /// # Errors
    ///
    /// Why it must not be sent.
    pub fn generate(
        &mut self,
        now: Instant,
        coding: Coding,
        (span, octets): (u32, usize),
        header: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (to, payload_type) = self.outbound_in(coding)?;
        let sent = Sent { payload_type, clock: coding.clock_hz(), span };
        self.egress.generate(now, sent, octets)?.write_new(header);
        self.quality.say(coding, span);
        Ok(to)
    }

    /// Whether the far end takes keys as events.
    #[must_use]
    pub fn takes_events(&self) -> bool {
        self.setup.as_ref().is_some_and(|setup| !setup.send.events.is_empty())
    }

    /// What another leg says may leave here: nobody else has the outgoing stream.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.egress.owner() == Owner::Relay
    }

    /// Writes a packet of a key of ours (RFC 4733 §2.3) behind room for its header: which event, how long it has
    /// lasted, whether that is its end, and whether this is its first packet.
    ///
    /// # Errors
    ///
    /// Why it must not be sent.
    pub fn press(
        &mut self,
        now: Instant,
        (event, lasted, end): (u8, Duration, bool),
        first: bool,
        packet: &mut [u8; HEADER_LEN + EVENT_LEN],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, to) = self.target()?;
        let clock = self.egress.clock_hz().or(self.spoken().map(Coding::clock_hz));
        let numbers = setup.send.event(clock.unwrap_or(8_000)).ok_or(Refusal::NoEvents)?;
        let units = (lasted.as_micros() * u128::from(numbers.1) / 1_000_000).min(0xffff) as u16;
        packet[HEADER_LEN] = event;
        packet[HEADER_LEN + 1] = if end { END | KEY_VOLUME } else { KEY_VOLUME };
        packet[HEADER_LEN + 2..].copy_from_slice(&units.to_be_bytes());
        let stamp = self.egress.press(now, numbers, (units.into(), first), EVENT_LEN)?;
        stamp.write_new(packet);
        Ok(to)
    }
}
