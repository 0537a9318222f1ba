//! The recording of a call: what begins it, what keeps it from going on, and what becomes of its file.
//!
//! A call is recorded because whoever placed it asked for that, or because the inbound number, the group or one of the
//! extensions in it is: whoever began it. Somebody who comes in later may be such an extension; then it begins with him.
//! Once begun it stays with the call, whoever leaves.
//!
//! Where an announcement has to be heard first (`recording.consent`) it begins when both have heard it to its end.
//! Whoever takes a place later hears it too, and until then nothing is kept. Whoever presses the key that declines
//! ends it for the whole call: what was kept is thrown away. Without such an announcement it begins as both are
//! joined.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::media::{MediaCommand, Prompt, Record, RecordedFile, RecordingForm, Source, Voices};
use facts::record::Unrecorded;
use facts::room::RoomOrder;
use facts::settings::Recorded;
use facts::{LegId, LegNo, Number};

use crate::call::{Call, Phase};
use crate::event::Effect;
use crate::leg::Leg;
use crate::timers::{Key, Timer};
use crate::world::World;

/// Both hear this once one of them has declined.
const NOT_RECORDED: &str = "call-not-recorded";
/// An announcement of whose end nothing was heard for so long was not heard.
const ANNOUNCED_MAX: Duration = Duration::from_secs(60);
/// Times that an announcement is begun for one leg at most: another sound may have failed in its place.
const TRIES_MAX: u8 = 2;

/// How far the file has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Recording {
    #[default]
    None,
    Running,
    Closing,
    Done(RecordedFile),
}

/// How far the announcement has come for one leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hears {
    /// It is to be begun, anew.
    Nothing,
    Now,
    Heard,
    /// It cannot be heard there.
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Told {
    hears: Hears,
    tries: u8,
}

/// The recording of one call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tape {
    recording: Recording,
    /// A call is recorded once: one that failed is not begun again.
    begun: bool,
    /// The operator lets nothing be kept.
    paused: bool,
    /// Somebody has not heard the announcement yet.
    hidden: bool,
    /// Who hears the announcement, or has heard it.
    told: BTreeMap<LegNo, Told>,
    /// The beep before the end waits for the end of the announcement.
    beep_due: bool,
    unrecorded: Option<Unrecorded>,
}

impl Tape {
    /// What goes into the facts of the call.
    pub(crate) fn file(&self) -> Option<RecordedFile> {
        match &self.recording {
            Recording::Done(file) => Some(file.clone()),
            Recording::None | Recording::Running | Recording::Closing => None,
        }
    }

    /// Why nothing was kept of a call that was to be recorded.
    pub(crate) fn unrecorded(&self) -> Option<Unrecorded> {
        self.unrecorded
    }

    /// True while the last word on the file is awaited.
    pub(crate) fn is_closing(&self) -> bool {
        self.recording == Recording::Closing
    }

    /// True while this leg hears the announcement: nothing else may take its place.
    pub(crate) fn is_telling(&self, no: LegNo) -> bool {
        self.told.get(&no).is_some_and(|told| told.hears == Hears::Now)
    }

    /// True while the announcement is heard: the beep comes after it.
    pub(crate) fn holds_beep(&mut self) -> bool {
        let telling = self.told.values().any(|told| told.hears == Hears::Now);
        self.beep_due |= telling;
        telling
    }

    /// What this leg's port leads to has changed: somebody else has to be told.
    pub(crate) fn forget(&mut self, no: LegNo) {
        self.told.remove(&no);
    }

    fn note(&mut self, no: LegNo, hears: Hears) {
        if let Some(told) = self.told.get_mut(&no) {
            told.hears = hears;
        }
    }
}

impl Call {
    /// True while it is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.tape.recording == Recording::Running
    }

    /// Both are joined.
    pub(crate) fn joined(&mut self, w: &mut World) {
        self.heed(w);
        self.begin_unasked(w);
    }

    /// Begins where nothing has to be announced first; where something has, that is begun once both can hear it.
    pub(crate) fn begin_unasked(&mut self, w: &mut World) {
        let wanted = self.command.record.is_wanted() && !self.tape.begun;
        if wanted && w.config.consent.prompt.is_none() {
            self.begin_tape(w);
        }
    }

    /// Notes whether those who talk now are recorded.
    pub(crate) fn heed(&mut self, w: &World) {
        self.command.record = self.wanted(w);
    }

    /// What is said first counts: by whoever placed the call, of whom it was for, of those who talk.
    fn wanted(&self, w: &World) -> Record {
        let talks = self.talkers().into_iter();
        let talks = talks.map(|no| self.leg(no).map(|leg| &leg.facts.number));
        let parties = [Some(&self.command.a.number), self.command.b.as_ref().map(|b| &b.number)];
        let mut said = self.command.record;
        for number in parties.into_iter().chain(talks).flatten() {
            if let Number::Internal(user) = number {
                let whose = Recorded::Internal(user.clone());
                said = said.or(w.snapshot.recorded.get(&whose).copied().unwrap_or_default());
            }
        }
        said
    }

    fn begin_tape(&mut self, w: &mut World) {
        if self.roster.is_some() {
            self.record_room(w);
        } else {
            let [left, right] = self.pair.map(|no| LegId::new(self.id, no));
            self.record(w, (left, Some(right)));
        }
        if self.tape.paused {
            w.media(MediaCommand::PauseRecording { call: self.id, paused: true });
        }
        let language = self.plan.language.clone();
        for no in self.talkers() {
            self.notice(w, no, &language);
        }
    }

    /// Somebody hears that he is recorded.
    pub(crate) fn notice(&mut self, w: &mut World, no: LegNo, language: &str) {
        if let Some(source) = Leg::notice_of(w, language)
            && !self.tie_tell(w, no, (source.clone(), false))
        {
            self.with(no, |leg, _| leg.notice(w, source));
        }
    }

    /// Has all voices of a conference written to one file of one channel.
    fn record_room(&mut self, w: &mut World) {
        (self.tape.recording, self.tape.begun) = (Recording::Running, true);
        let form = RecordingForm { voices: Voices::Mixed, ..w.config.recording };
        let file = self.file_name(w, "", form);
        w.media(MediaCommand::Room { call: self.id, order: RoomOrder::Record { file, form } });
    }

    /// Where a recording is kept: nobody guesses it.
    fn file_name(&self, w: &mut World, kind: &str, form: RecordingForm) -> String {
        let word = w.unguessable();
        let (mark, ending) = (form.voices.mark(), form.format.ending());
        format!("{}/{}_{kind}{word}{mark}.{ending}", &word[..2], self.id)
    }

    /// Has voices written to a file.
    pub(crate) fn record(&mut self, w: &mut World, (left, right): (LegId, Option<LegId>)) {
        (self.tape.recording, self.tape.begun) = (Recording::Running, true);
        // A message in a mailbox is one voice, and phones play what was written this way.
        let (talk, mail) = (right.is_some(), self.mailbox.is_some());
        let mut form = if mail { RecordingForm::default() } else { w.config.recording };
        match self.command.record {
            Record::As(voices) if talk => form.voices = voices,
            _ if !talk && !mail => form.voices = Voices::A,
            _ => {}
        }
        let kind = if mail { facts::media::MESSAGE } else { "" };
        let file = self.file_name(w, kind, form);
        w.media(MediaCommand::Record { call: self.id, left, right, file, form });
    }

    /// Lets nothing be recorded for a while, or again. False when it is not recorded, and will not be.
    pub(crate) fn pause_recording(&mut self, w: &mut World, paused: bool) -> bool {
        let waits = self.asks_first(w) && !self.tape.begun;
        if !self.is_recorded() && !waits {
            return false;
        }
        self.tape.paused = paused;
        self.hush(w);
        true
    }

    /// A step says whether the conversation is recorded. What is kept already stays.
    pub(crate) fn taping(&mut self, w: &mut World, on: bool) {
        if on && !self.command.record.is_wanted() {
            self.command.record = Record::Yes;
        }
        self.tape.paused = !on;
        self.hush(w);
    }

    /// True where a recording may still be begun: a call has one.
    pub(crate) fn may_record(&self) -> bool {
        !self.tape.begun
    }

    /// Tells the media plane whether anything may be kept now.
    fn hush(&self, w: &mut World) {
        if self.is_recorded() {
            let paused = self.tape.paused || self.tape.hidden;
            w.media(MediaCommand::PauseRecording { call: self.id, paused });
        }
    }

    /// Before the ports close: the file ends where the conversation did.
    pub(crate) fn end_tape(&mut self, w: &mut World) {
        if self.is_recorded() {
            self.tape.recording = Recording::Closing;
            w.media(MediaCommand::StopRecording { call: self.id });
        }
    }

    /// The last word of the media plane on the file.
    pub(crate) fn recorded(&mut self, w: &mut World, file: Option<RecordedFile>) {
        match (&self.tape.recording, file) {
            (Recording::Running | Recording::Closing, Some(file)) => {
                if self.tape.unrecorded == Some(Unrecorded::Declined) {
                    self.discard(w, &file);
                    self.tape.recording = Recording::None;
                } else {
                    self.tape.recording = Recording::Done(file);
                }
            }
            (Recording::Running | Recording::Closing, None) => {
                self.tape.recording = Recording::None;
            }
            // One word on a recording is enough.
            (Recording::None | Recording::Done(_), _) => {}
        }
    }

    /// Has a recording thrown away.
    pub(crate) fn discard(&self, w: &mut World, file: &RecordedFile) {
        for file in file.all() {
            w.emit(Effect::Discard { call: self.id, file: file.file.clone() });
        }
    }

    /// True while two talk who are recorded, or will be, and who are asked whether they mind.
    fn asks_first(&self, w: &World) -> bool {
        w.config.consent.prompt.is_some()
            && self.command.record.is_wanted()
            && self.tape.unrecorded.is_none()
            && matches!(self.tape.recording, Recording::None | Recording::Running)
            && (self.is_recorded() || !self.tape.begun)
            && self.is_joined()
            && matches!(self.phase, Phase::Live)
            && !self.plan.flow.ending()
    }

    /// Whoever talks and was not told is told; the recording goes on while everybody was. Changes nothing when
    /// nothing has changed.
    pub(crate) fn ask_first(&mut self, w: &mut World) {
        if !self.asks_first(w) {
            return;
        }
        let talkers = self.talkers();
        for no in &talkers {
            self.announce(w, *no);
        }
        let heard = |no: LegNo| {
            self.is_there(no)
                && self.tape.told.get(&no).is_some_and(|told| told.hears == Hears::Heard)
        };
        let agreed = talkers.into_iter().all(heard);
        if self.is_recorded() && self.tape.hidden == agreed {
            self.tape.hidden = !agreed;
            self.hush(w);
        } else if agreed && !self.tape.begun {
            self.begin_tape(w);
        }
    }

    /// Lets a leg hear the announcement that it was not told yet. One that nobody answered yet is told later.
    fn announce(&mut self, w: &mut World, no: LegNo) {
        let Some(name) = w.config.consent.prompt.clone() else { return };
        let told =
            self.tape.told.get(&no).copied().unwrap_or(Told { hears: Hears::Nothing, tries: 0 });
        let there = self.is_there(no);
        if told.hears != Hears::Nothing || !there {
            return;
        }
        if told.tries >= TRIES_MAX {
            return self.not_announced(no);
        }
        self.tape.told.insert(no, Told { hears: Hears::Now, tries: told.tries + 1 });
        let leg = LegId::new(self.id, no);
        w.timers.set(Key::leg(leg, Timer::Consent), w.now.mono + ANNOUNCED_MAX);
        self.say(w, no, name);
    }

    fn say(&mut self, w: &mut World, no: LegNo, name: String) {
        let prompt = Prompt { name, language: self.plan.language.clone() };
        let source = Source::Prompt(prompt);
        if !self.tie_tell(w, no, (source.clone(), false)) {
            self.with(no, |leg, _| leg.tell(w, source));
        }
    }

    /// Somebody is on this leg, or behind it.
    fn is_there(&self, no: LegNo) -> bool {
        self.is_tied(no) || self.leg(no).is_some_and(Leg::is_there)
    }

    /// A sound that was laid over what a leg hears is over: heard to its `end`, or not.
    pub(crate) fn announced(&mut self, w: &mut World, no: LegNo, end: bool) {
        if !self.tape.is_telling(no) {
            return;
        }
        w.timers.cancel(Key::leg(LegId::new(self.id, no), Timer::Consent));
        self.tape.note(no, if end { Hears::Heard } else { Hears::Nothing });
        self.beep_at_last(w);
    }

    /// Nothing was heard of the end of the announcement.
    pub(crate) fn announced_late(&mut self, w: &mut World, no: LegNo) {
        if self.tape.is_telling(no) {
            self.not_announced(no);
            self.beep_at_last(w);
        }
        self.run(w);
    }

    /// Who cannot be told is not recorded; what was kept of others before is.
    fn not_announced(&mut self, no: LegNo) {
        let told = Told { hears: Hears::Never, tries: TRIES_MAX };
        self.tape.told.insert(no, told);
        if !self.tape.begun {
            self.tape.unrecorded = Some(Unrecorded::Unannounced);
        }
    }

    fn beep_at_last(&mut self, w: &mut World) {
        let due = std::mem::take(&mut self.tape.beep_due);
        if due {
            self.beep(w);
        }
    }

    /// A key of somebody who talks: it may say that he does not want to be recorded. Then nobody is.
    pub(crate) fn declined_by_key(&mut self, w: &mut World, no: LegNo, digit: char) {
        let declines = w.config.consent.decline == Some(digit);
        if !declines || !self.talkers().contains(&no) || !self.asks_first(w) {
            return;
        }
        self.tape.unrecorded = Some(Unrecorded::Declined);
        self.end_tape(w);
        for no in self.talkers() {
            w.timers.cancel(Key::leg(LegId::new(self.id, no), Timer::Consent));
            self.say(w, no, NOT_RECORDED.to_owned());
        }
        self.tape.told.clear();
        // What was to come after the announcement may lie over this one.
        self.tape.beep_due = false;
    }
}
