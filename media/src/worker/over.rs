//! Sounds laid over what a leg hears, and keys that end sounds.
//!
//! Whether a key ends a sound belongs to that sound alone: what is heard after it, or under it, goes on when a key
//! is pressed. Of two sounds laid over the same leg the last one counts.

use facts::LegId;
use facts::media::{MediaEvent, Source};
use facts::sound::{Ended, Unplayable};

use super::Worker;
use super::seat::{self, Awaited, Hears, Layer};
use crate::sound::Sound;

impl Worker {
    /// A key ends what the leg was told to hear last, if that is still heard or awaited.
    pub(super) fn interruptible(&mut self, leg: LegId) {
        let Some(seat) = self.seats.number(leg).and_then(|number| self.seats.get(number)) else {
            return;
        };
        match (seat.told.take(), &mut seat.awaits_over, &mut seat.interjection) {
            // What lies over the leg meanwhile is another sound.
            (Some(Layer::Over), Some(awaited), _) => awaited.by_key = true,
            (Some(Layer::Over), None, Some(sound)) => sound.by_key = !sound.is_key(),
            (Some(Layer::Under), ..) => {
                if let Some(awaited) = &mut seat.awaits {
                    awaited.by_key = true;
                }
                if let Hears::Sound(sound) = &mut seat.hears {
                    sound.by_key = true;
                }
            }
            (Some(Layer::Over), None, None) | (None, ..) => {}
        }
    }

    /// A key was pressed on a leg: what is laid over what it hears is over, or else the sound that it hears, each
    /// if a key may end it.
    pub(super) fn interrupt(&mut self, number: usize) {
        let Some(seat) = self.seats.get(number) else { return };
        let leg = seat.id;
        let by_key = |sound: &mut Sound| sound.by_key;
        let awaited_by_key = |awaited: &mut Awaited| awaited.by_key;
        let over = seat.interjection.take_if(by_key).is_some()
            | seat.awaits_over.take_if(awaited_by_key).is_some();
        if over {
            seat.keys.next(&mut seat.interjection, seat.leg.takes_events());
            seat.give();
            self.note_sounding(number);
            self.event(MediaEvent::LaidOver { leg, ended: Ended::Interrupted });
            return;
        }
        let heard = matches!(&seat.hears, Hears::Sound(sound) if sound.by_key);
        if heard | seat.awaits.take_if(awaited_by_key).is_some() {
            if heard {
                seat.hears = Hears::Nothing;
            }
            seat.give();
            self.event(MediaEvent::Interrupted { leg });
        }
    }

    /// Lays a sound over what a leg hears; silence ends what was laid over it.
    pub(super) fn interject(&mut self, leg: LegId, source: Source) {
        let Some(number) = self.seats.number(leg) else { return };
        let silence = source == Source::Silence;
        let (hears, wish) = seat::hears(source, true);
        if wish.is_none() && !silence && !matches!(hears, Hears::Sound(_)) {
            tracing::warn!(%leg, "only a sound can be laid over what a leg hears");
            return;
        }
        self.over_displaced(number, silence);
        let Some(seat) = self.seats.get(number) else { return };
        seat.told = Some(Layer::Over);
        if let Hears::Sound(sound) = hears {
            return self.lay_over(number, sound);
        }
        seat.awaits_over = wish.clone().map(|wish| Awaited { wish, again: false, by_key: false });
        match wish {
            Some(wish) => self.ask(number, &wish),
            None => {
                // A key on its way to the far end is not what was laid over the leg.
                if seat.interjection.take_if(|sound| !sound.is_key()).is_some() {
                    seat.keys.next(&mut seat.interjection, seat.leg.takes_events());
                    seat.give();
                }
                self.note_sounding(number);
            }
        }
    }

    /// What was awaited is not heard any more: it was ended, or something else takes its place.
    fn over_displaced(&mut self, number: usize, ended: bool) {
        let awaited = self.seats.get(number).and_then(|seat| seat.awaits_over.take());
        if awaited.is_some() && !ended {
            self.over_unplayable(number, Unplayable::Displaced);
        }
    }

    /// A sound that was to be laid over what a leg hears cannot be had.
    pub(super) fn over_unplayable(&mut self, number: usize, why: Unplayable) {
        let Some(seat) = self.seats.get(number) else { return };
        let leg = seat.id;
        tracing::warn!(%leg, why = why.word(), "a sound cannot be played");
        (seat.told, seat.unplayable) = (None, Some(why));
        self.tally.unplayable += 1;
        self.event(MediaEvent::LaidOver { leg, ended: Ended::Unplayable(why) });
    }

    pub(super) fn lay_over(&mut self, number: usize, sound: Sound) {
        if let Some(seat) = self.seats.get(number) {
            seat.interjection = Some(sound);
            seat.give();
        }
        self.note_sounding(number);
    }
}
