//! Orders carried out: seats taken and left, setups, owners.

use std::net::SocketAddr;
use std::time::Instant;

use facts::id::CallId;
use facts::media::{
    Codec, Family, MediaCommand, MediaEvent, MediaStats, RecordingForm, Source, StreamSetup, Tone,
};
use facts::sound::{Music, Unplayable};
use facts::{LegId, MerchantId};
use rtp::rtcp::{CNAME_LEN, REPORT_MAX};
use rtp::srtp::TRAILER_MAX;
use rtp::{Identity, Leg};

use super::guard::Guard;
use super::keys::Keypad;
use super::play::tell_of_strangers;
use super::recode;
use super::seat::{self, Awaited, Hears, Layer, Seat};
use super::{CHORES, ORDERS_MAX, Order, Tape, Worker};
use crate::Home;
use crate::loader::{Had, Wanted, Wish};
use crate::recorder::Side;
use crate::socket::Pair;
use crate::sound::{Sound, What};
use crate::translate;

impl Worker {
    /// Takes a bounded number of orders; the rest is taken after the next batch of packets.
    pub(super) fn take_orders(&mut self) {
        for _ in 0..ORDERS_MAX {
            match self.parts.inbox.orders.try_recv() {
                Ok(Order::Command(command)) => self.obey(command),
                Ok(Order::Loaded { leg, wish, sound }) => self.loaded(leg, &wish, sound),
                Ok(Order::Know(announcements)) => self.known = announcements,
                Ok(Order::Stop) => self.stopping = true,
                Err(_) => break,
            }
        }
        self.publish();
    }

    fn obey(&mut self, command: MediaCommand) {
        let now = Instant::now();
        match command {
            MediaCommand::Open { leg, family } => self.open(now, leg, family),
            MediaCommand::Setup { leg, setup } => self.setup(now, leg, &setup),
            MediaCommand::Link { leg, to, codec } => {
                let setup = translate::link(&self.parts.homes, to, codec);
                self.setup(now, leg, &setup);
            }
            MediaCommand::Hear { leg, source } => self.hear(now, leg, source),
            MediaCommand::Interject { leg, source } => self.interject(leg, source),
            MediaCommand::Interruptible { leg } => self.interruptible(leg),
            MediaCommand::Interrupt { leg, digit } => {
                if let Some(number) = self.seats.number(leg) {
                    if let Some(seat) = self.seats.get(number) {
                        seat.leg.expects(now, digit);
                    }
                    self.interrupt(number);
                }
            }
            MediaCommand::Record { call, left, right, file, form } => {
                self.record(now, call, Tape { left, right }, (file, form));
            }
            MediaCommand::PauseRecording { call, paused } => {
                self.parts.recorder.pause(call, paused, now);
            }
            MediaCommand::Retape { call, left, right } => {
                self.retape(call, Tape { left, right: Some(right) });
            }
            MediaCommand::StopRecording { call } => self.stop_recording(now, call),
            MediaCommand::Room { call, order } => self.order_room(now, call, order),
            MediaCommand::Press { leg, digit } => {
                if let Some(number) = self.seats.number(leg) {
                    self.press(number, digit);
                }
            }
            MediaCommand::Listen { leg, country, turn } => self.listen(leg, &country, turn),
            MediaCommand::Fetch { leg, url, payer } => self.fetch(leg, url, payer),
            MediaCommand::StopListening { leg } => self.stop_hearing(leg),
            MediaCommand::Close { leg } => self.close(now, leg),
        }
    }

    fn open(&mut self, now: Instant, leg: LegId, family: Family) {
        let home = self.home(family);
        if let Some(number) = self.seats.number(leg) {
            // Asked twice: the answer is the same.
            if let Some(seat) = self.seats.get(number) {
                let port = seat.port;
                self.opened(leg, home, port);
            }
            return;
        }
        match self.take_seat(now, leg, home) {
            Ok(port) => self.opened(leg, home, port),
            Err(error) => {
                tracing::warn!(%leg, %error, "no port pair for a leg");
                self.event(MediaEvent::OpenFailed { leg });
            }
        }
    }

    /// Where a leg lives whose far end speaks this family: there is at least one home.
    fn home(&self, family: Family) -> Home {
        let homes = &self.parts.homes;
        *homes.iter().find(|home| Family::of(home.bind) == family).unwrap_or(&homes[0])
    }

    fn opened(&self, leg: LegId, home: Home, port: u16) {
        let local = SocketAddr::new(home.advertised, port);
        self.publish();
        self.event(MediaEvent::Opened { leg, local });
    }

    fn take_seat(&mut self, now: Instant, id: LegId, home: Home) -> std::io::Result<u16> {
        let identity = identity()?;
        let (port, sockets) = self.parts.pool.open(now, |port| Pair::open(home.bind, port))?;
        let token = (self.seats.next() as u64) << 1;
        let watched = self
            .poller
            .watch(&sockets.rtp, token)
            .and_then(|()| self.poller.watch(&sockets.rtcp, token | 1));
        if let Err(error) = watched {
            self.parts.pool.give_back(now, port);
            return Err(error);
        }
        let leg = Leg::new(now, self.clock, &identity);
        let number = self.seats.take(Seat::new(id, port, sockets, leg));
        self.chores_at = self.chores_at.min(now + CHORES);
        // Somebody may be waiting to hear this leg.
        let waiting = self.seats.of_call(id.call).collect::<Vec<_>>().into_iter().find(|other| {
            let seat = self.seats.get(*other);
            *other != number
                && seat.is_some_and(|seat| matches!(seat.hears, Hears::Leg(leg) if leg == id))
        });
        let tape = self.tapes.get(&id.call).and_then(|tape| tape.side(id));
        if let Some(seat) = self.seats.get(number) {
            seat.listener = waiting;
            seat.tape = tape;
        }
        Ok(port)
    }

    fn setup(&mut self, now: Instant, leg: LegId, setup: &StreamSetup) {
        let first_report = self.report_interval() / 2;
        let Some(seat) = self.seats.number(leg).and_then(|number| self.seats.get(number)) else {
            tracing::debug!(%leg, "a setup for a leg without a port");
            return;
        };
        if !Guard::set(&mut seat.guard, setup.srtp.as_deref()) {
            tracing::error!(%leg, "keys that do not fit their suite: the leg stays as it was");
            return;
        }
        seat.ptime_ms = setup.ptime_ms;
        seat.dtmf = setup.dtmf;
        seat.leg.setup(now, translate::setup(setup));
        Keypad::set(&mut seat.keypad, setup);
        // RFC 3550 §6.2: the first report comes in half the time.
        seat.report_at.get_or_insert(now + first_report);
        if let Some(number) = self.seats.number(leg) {
            self.prepare(now, number);
            self.enter(now, number);
        }
    }

    /// Whatever coders this leg and whoever it hears, or is heard by, will need.
    fn prepare(&mut self, now: Instant, number: usize) {
        let Some(seat) = self.seats.get(number) else { return };
        let heard = match seat.hears {
            Hears::Leg(heard) => self.seats.number(heard),
            _ => None,
        };
        for speaker in [Some(number), heard].into_iter().flatten() {
            if let Some((speaker, Some(listener))) = self.seats.with_listener(speaker) {
                recode::prepare(now, speaker, listener);
            }
        }
    }

    fn hear(&mut self, now: Instant, leg: LegId, source: Source) {
        let Some(number) = self.seats.number(leg) else {
            tracing::debug!(%leg, "nobody there to hear anything");
            return;
        };
        self.stop_listening(number);
        if let Source::Leg(heard) = source
            && let Some(heard_number) = self.seats.number(heard)
            && heard_number != number
            && let Some(heard_seat) = self.seats.get(heard_number)
        {
            let before = heard_seat.listener.replace(number);
            if before.is_some() {
                tracing::warn!(%leg, %heard, "a leg is heard by one other at most: the last wins");
            }
        }
        let source = self.or_tone(number, source);
        let again = matches!(source, Source::Music(_));
        let Some(seat) = self.seats.get(number) else { return };
        seat.told = Some(Layer::Under);
        if let (Hears::Leg(before), Source::Leg(after)) = (&seat.hears, &source)
            && before == after
        {
            return; // The stream goes on without a seam.
        }
        if matches!((&seat.hears, &source), (Hears::Room, Source::Room)) {
            return;
        }
        let (hears, wish) = seat::hears(source, false);
        seat.hears = hears;
        seat.awaits = wish.clone().map(|wish| Awaited { wish, again, by_key: false });
        if seat.interjection.is_none() {
            seat.give();
        }
        if let Some(wish) = wish {
            self.ask(number, &wish);
        }
        self.prepare(now, number);
        self.note_sounding(number);
        self.go_out(number);
        self.enter(now, number);
    }

    /// Asks for a sound that a leg waits for.
    pub(super) fn ask(&mut self, number: usize, wish: &Wish) {
        let Some(seat) = self.seats.get(number) else { return };
        let (leg, codec) = (seat.id, seat.codec().unwrap_or(Codec::Pcma));
        let wanted = Wanted { leg, wish: wish.clone(), codec, to: self.parts.own.clone() };
        let asked = match (wish, &self.parts.remote) {
            (Wish::Url(_) | Wish::Ahead(..), None) => Err(Unplayable::Refused),
            (Wish::Url(_) | Wish::Ahead(..), Some(remote)) => {
                remote.ask(wanted).then_some(()).ok_or(Unplayable::Busy)
            }
            (Wish::File(_) | Wish::Say(_), _) => {
                self.parts.loader.ask(wanted).then_some(()).ok_or(Unplayable::Busy)
            }
        };
        if let Err(why) = asked {
            self.loaded(leg, wish, Err(why));
        }
    }

    /// Asks for a sound that a leg will be told to hear.
    fn fetch(&mut self, leg: LegId, url: String, payer: MerchantId) {
        let wish = Wish::Ahead(url, payer);
        let to = self.parts.own.clone();
        let wanted = Wanted { leg, wish: wish.clone(), codec: Codec::Pcma, to };
        let asked = match &self.parts.remote {
            None => Err(Unplayable::Refused),
            Some(remote) => remote.ask(wanted).then_some(()).ok_or(Unplayable::Busy),
        };
        if let Err(why) = asked {
            self.loaded(leg, &wish, Err(why));
        }
    }

    /// A sound can be heard, or not. Who was told to hear something else meanwhile goes on with that.
    fn loaded(&mut self, leg: LegId, wish: &Wish, sound: Had) {
        if let Wish::Ahead(url, _) = wish {
            let (url, sound) = (url.clone(), sound.map(|_| ()));
            return self.event(MediaEvent::Fetched { leg, url, sound });
        }
        let Some(number) = self.seats.number(leg) else { return };
        let Some(seat) = self.seats.get(number) else { return };
        let awaits = |awaited: &mut Awaited| awaited.wish == *wish;
        let over = seat.awaits_over.take_if(awaits);
        let Some(awaited) = over.clone().or_else(|| seat.awaits.take_if(awaits)) else { return };
        match sound {
            Ok(sound) => {
                let mut sound = Sound::new(What::Made(sound), awaited.again);
                sound.by_key = awaited.by_key;
                if over.is_some() {
                    return self.lay_over(number, sound);
                }
                seat.hears = Hears::Sound(sound);
                if seat.interjection.is_none() {
                    seat.give();
                }
                self.note_sounding(number);
            }
            Err(why) if over.is_some() => self.over_unplayable(number, why),
            Err(why) => {
                tracing::warn!(%leg, why = why.word(), "a sound cannot be played");
                seat.unplayable = Some(why);
                self.tally.unplayable += 1;
                self.event(MediaEvent::Unplayable { leg, why });
            }
        }
    }

    /// Music that nobody has is a tone.
    fn or_tone(&mut self, number: usize, source: Source) -> Source {
        match source {
            Source::Music(Music::Prompt(prompt)) if !self.parts.library.has(&prompt) => {
                let Some(seat) = self.seats.get(number) else { return Source::Silence };
                let (leg, why) = (seat.id, Unplayable::Missing);
                seat.unplayable = Some(why);
                self.tally.unplayable += 1;
                self.event(MediaEvent::Unplayable { leg, why });
                Source::Tone(Tone::Hold)
            }
            source => source,
        }
    }

    /// The leg in a seat hears no other leg any more.
    fn stop_listening(&mut self, number: usize) {
        let Some(seat) = self.seats.get(number) else { return };
        if let Hears::Leg(heard) = seat.hears
            && let Some(heard) = self.seats.number(heard).and_then(|heard| self.seats.get(heard))
            && heard.listener == Some(number)
        {
            heard.listener = None;
        }
    }

    /// A leg that is not there yet is recorded from when it comes.
    fn record(
        &mut self,
        now: Instant,
        call: CallId,
        tape: Tape,
        (file, form): (String, RecordingForm),
    ) {
        if self.tapes.contains_key(&call) || self.rooms.taped(call) {
            tracing::warn!(%call, "the call is being recorded already");
            return;
        }
        self.parts.recorder.start(call, file, form, now);
        self.tapes.insert(call, tape);
        self.thread_tape(call, Some(tape));
    }

    /// One leg has taken the place of another: the file goes on with it.
    fn retape(&mut self, call: CallId, tape: Tape) {
        if let Some(running) = self.tapes.get_mut(&call) {
            *running = tape;
            self.thread_tape(call, Some(tape));
        }
    }

    pub(super) fn stop_recording(&mut self, now: Instant, call: CallId) {
        if self.tapes.remove(&call).is_some() {
            self.thread_tape(call, None);
            self.parts.recorder.stop(call, now);
        }
        if self.rooms.stop_tape(call) {
            self.parts.recorder.stop(call, now);
        }
    }

    fn thread_tape(&mut self, call: CallId, tape: Option<Tape>) {
        for number in self.seats.of_call(call).collect::<Vec<_>>() {
            if let Some(seat) = self.seats.get(number) {
                seat.tape = tape.and_then(|tape| tape.side(seat.id));
            }
        }
    }

    fn close(&mut self, now: Instant, leg: LegId) {
        let Some(number) = self.seats.number(leg) else {
            // Closed before, or never opened: whoever waits for the answer gets it.
            self.event(MediaEvent::Closed { leg, stats: MediaStats::default() });
            return;
        };
        if self.tapes.get(&leg.call).is_some_and(|tape| tape.side(leg).is_some()) {
            self.stop_recording(now, leg.call);
        }
        self.stop_listening(number);
        self.stop_hearing(leg);
        if let Some(seat) = self.seats.get(number) {
            seat.hears = Hears::Nothing;
        }
        self.go_out(number);
        if let Some(seat) = self.seats.get(number) {
            report(now, seat, true);
            tell_of_strangers(seat);
        }
        let Some(seat) = self.seats.leave(number) else { return };
        self.forget_room(now, leg.call);
        self.sounding.retain(|sounding| *sounding != number);
        self.parts.pool.give_back(now, seat.port);
        let mut stats = translate::stats(&seat.leg.figures());
        Guard::account(seat.guard.as_deref(), &mut stats);
        stats.unplayable = seat.unplayable;
        drop(seat);
        // Who hears of it finds the figures in agreement.
        self.publish();
        self.event(MediaEvent::Closed { leg, stats });
    }

    pub(super) fn close_all(&mut self) {
        let now = Instant::now();
        for leg in self.seats.legs() {
            self.close(now, leg);
        }
        while let Some((call, _)) = self.tapes.first_key_value() {
            let call = *call;
            self.stop_recording(now, call);
        }
        self.publish();
    }
}

impl Tape {
    fn side(&self, leg: LegId) -> Option<Side> {
        if leg == self.left {
            Some(Side::Left)
        } else if Some(leg) == self.right {
            Some(Side::Right)
        } else {
            None
        }
    }
}

/// Sends the report that is due. A report that cannot be sent is as good as lost on the way.
pub(super) fn report(now: Instant, seat: &mut Seat, bye: bool) {
    let mut out = [0; REPORT_MAX];
    let muxed = seat.leg.muxed();
    if let Some((len, to)) = seat.leg.report(now, bye, &mut out) {
        let mut packet = [0; REPORT_MAX + TRAILER_MAX];
        packet[..len].copy_from_slice(&out[..len]);
        let len = match &mut seat.guard {
            Some(guard) => guard.protect_rtcp(&mut packet, len),
            None => Some(len),
        };
        let socket = if muxed { &seat.sockets.rtp } else { &seat.sockets.rtcp };
        if let Some(len) = len {
            let _ = socket.send_to(&packet[..len], to);
        }
    }
}

fn identity() -> std::io::Result<Identity> {
    let mut random = [0_u8; 10 + CNAME_LEN / 2];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut cname = [0; CNAME_LEN];
    for (i, byte) in random[10..].iter().enumerate() {
        let digits = b"0123456789abcdef";
        cname[2 * i] = digits[usize::from(byte >> 4)];
        cname[2 * i + 1] = digits[usize::from(byte & 15)];
    }
    let word = |at: usize| {
        u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
    };
    let sequence = u16::from_be_bytes([random[8], random[9]]);
    // RFC 3711 §3.3.1: a stream that begins in the lower half of the numbers is not far from its first
    // roll-over when its first packets are lost.
    Ok(Identity { ssrc: word(0), sequence: sequence & 0x7fff, timestamp: word(4), cname })
}
