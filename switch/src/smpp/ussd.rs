//! Menus by SMPP (spec §5.6; SMPP 3.4 §5.3.2.43-44): which session of the network is which of ours, and what is said to
//! subscribers in it. Who asked for what a message means is decided here; pages are the engine's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use billing::smpp::Alphabet;
use facts::CallId;
use facts::gsm::{self, Room};
use facts::ussd::{Dialled, End};

use super::coding;
use super::wire::{Address, Message};

/// Operations of `ussd_service_op`.
const PSSD_INDICATION: u8 = 0;
const PSSR_INDICATION: u8 = 1;
const USSR_REQUEST: u8 = 2;
const USSN_REQUEST: u8 = 3;
const PSSD_RESPONSE: u8 = 16;
const PSSR_RESPONSE: u8 = 17;
const USSR_CONFIRM: u8 = 18;
const USSN_CONFIRM: u8 = 19;
/// The session is over: the lowest bit of the second octet of `its_session_info`.
const OVER: u8 = 1;
/// Sessions from which on those that ended before anybody knew of them are looked for.
const SEATS: usize = 8_192;

/// Within this time a dial that looks like the one before is that one: the network has heard no answer to it, and is back
/// as soon as the link is.
const DIALS_AGAIN: Duration = Duration::from_secs(30);
/// The same of what is typed, where the network counts the steps of a session.
const TYPES_AGAIN: Duration = Duration::from_secs(90);

/// What somebody wants with a message that has `ussd_service_op`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// Dials.
    Open,
    /// Types.
    Type,
    /// Leaves.
    Leave,
    /// Nothing: a last word of ours has come through.
    Nothing,
}

/// What it wants, where a session of this subscriber is `open` or not. Networks differ in what they call an answer: all
/// that the field has been seen to use is taken for one.
pub(super) fn wish(message: &Message, text: &str, open: bool) -> Wish {
    let over = message.session.is_some_and(|[_, turn]| turn & OVER != 0);
    match message.ussd.unwrap_or(PSSR_INDICATION) {
        // Some say this for each step: what is no code is typed.
        PSSR_INDICATION | PSSD_INDICATION if open && Dialled::parse(text).is_none() => {
            if over {
                Wish::Leave
            } else {
                Wish::Type
            }
        }
        PSSR_INDICATION | PSSD_INDICATION => Wish::Open,
        USSR_REQUEST | PSSD_RESPONSE | USSR_CONFIRM if !over => Wish::Type,
        USSN_REQUEST | USSN_CONFIRM => Wish::Nothing,
        PSSR_RESPONSE if !open => Wish::Nothing,
        _ => Wish::Leave,
    }
}

/// How a subscriber is spoken to: as his own message came, turned round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) link: String,
    service_type: String,
    /// The service's address, and his, as the network writes them.
    ours: Address,
    his: Address,
    /// How the network calls the session, where it does.
    number: Option<u8>,
    /// What was said by us so far.
    turn: u8,
    coding: u8,
    alphabet: Alphabet,
}

impl Way {
    pub(super) fn of(link: &str, alphabet: Alphabet, message: &Message) -> Way {
        Way {
            link: link.to_owned(),
            service_type: message.service_type.clone(),
            ours: message.to.clone(),
            his: message.from.clone(),
            number: message.session.map(|[number, _]| number),
            turn: 0,
            coding: message.coding,
            alphabet,
        }
    }

    /// What he is to see. `more`: he may type.
    fn say(&mut self, text: &str, more: bool) -> Message {
        // That coding names the alphabet itself, whatever is usual there.
        let alphabet = if self.coding == 0x0f { Alphabet::Gsm } else { self.alphabet };
        let text = &fitting(text, alphabet);
        let coding = match coding::coding_of(text, alphabet) {
            // As he was heard: some gateways take the codings of cell broadcast alone.
            coding::DEFAULT if self.coding == 0x0f => 0x0f,
            coding::UCS2 if self.coding == 0x48 => 0x48,
            coding => coding,
        };
        let octets = match coding {
            0x0f => coding::octets(text, coding::DEFAULT, alphabet),
            coding => coding::octets(text, coding, alphabet),
        };
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1) & 0x7f;
        Message {
            service_type: self.service_type.clone(),
            from: self.ours.clone(),
            to: self.his.clone(),
            coding,
            octets,
            ussd: Some(if more { USSR_REQUEST } else { PSSR_RESPONSE }),
            session: self.number.map(|number| [number, turn << 1 | if more { 0 } else { OVER }]),
            ..Message::default()
        }
    }
}

/// What of a screen one string of USSD holds, in the coding in which it leaves (TS 23.038 §6.1.2.3). The engine has made it
/// fit for the 7 bit alphabet; where the network's own has less, UCS-2 would hold not half of it: what that alphabet has
/// not is written with what it has.
fn fitting(text: &str, alphabet: Alphabet) -> String {
    let wide = |text: &str| coding::coding_of(text, alphabet) == coding::UCS2;
    let long = |text: &str| text.encode_utf16().count() > gsm::USSD_UNITS;
    let text = match wide(text) && long(text) && gsm::septet_count(text).is_some() {
        true => text.replace('€', "EUR").replace(|c| u32::from(c) > 0xff, "?"),
        false => text.to_owned(),
    };
    if Room::USSD.holds(&text) {
        return text;
    }
    Room::USSD.parts(&text).first().copied().unwrap_or_default().to_owned()
}

/// The answer to somebody whose session is over or never was: the network lets him go.
pub(super) fn release(link: &str, alphabet: Alphabet, message: &Message) -> Message {
    Way::of(link, alphabet, message).say("", false)
}

/// A session of ours.
#[derive(Debug, Default)]
struct Seat {
    /// `None`: the engine has begun it, and whoever asked for it has not heard so yet.
    way: Option<Way>,
    mobile: String,
    /// What was to be seen before the way was known.
    early: Vec<(String, bool)>,
    /// The network was told that it is over.
    closed: bool,
    ended: Option<End>,
}

/// All sessions of this door.
#[derive(Debug, Default)]
pub(super) struct Desk {
    seats: BTreeMap<CallId, Seat>,
    /// Which session a subscriber has at a link.
    of: BTreeMap<(String, String), CallId>,
    /// What he said last, where the network names it.
    steps: BTreeMap<(String, String), Step>,
    room: usize,
}

/// The last step of a subscriber at a link.
#[derive(Debug)]
struct Step {
    /// What the network calls it: its session, and its turn in it.
    name: [u8; 2],
    op: Option<u8>,
    text: String,
    at: Instant,
    /// It was named otherwise than the one before, in the same session.
    counts: bool,
    dials: bool,
}

/// What is to leave, and by which link, of which session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Out {
    pub(super) session: CallId,
    pub(super) link: String,
    pub(super) message: Message,
}

impl Desk {
    /// The engine has begun a session: what is to be seen in it may come before it is known whose it is.
    pub(super) fn begin(&mut self, session: CallId) {
        self.seats.entry(session).or_default();
        if self.seats.len() > self.room.max(SEATS) {
            self.seats.retain(|_, seat| seat.ended.is_none());
            self.room = self.seats.len() * 2;
        }
    }

    /// It is known whose it is. What was to be seen meanwhile leaves now.
    pub(super) fn opened(&mut self, session: CallId, mobile: &str, way: Way) -> Vec<Out> {
        let seat = self.seats.entry(session).or_default();
        self.of.insert((way.link.clone(), mobile.to_owned()), session);
        (seat.way, seat.mobile) = (Some(way), mobile.to_owned());
        let early = std::mem::take(&mut seat.early);
        let ended = seat.ended.take();
        let mut out: Vec<Out> =
            early.iter().filter_map(|(text, more)| self.show(session, text, *more)).collect();
        out.extend(ended.and_then(|end| self.end(session, end)));
        out
    }

    /// The session that this subscriber has at this link. The network's own number tells an old one from it.
    pub(super) fn find(&self, link: &str, mobile: &str, number: Option<u8>) -> Option<CallId> {
        let session = *self.of.get(&(link.to_owned(), mobile.to_owned()))?;
        let way = self.seats.get(&session)?.way.as_ref()?;
        let same = number.is_none() || way.number.is_none() || number == way.number;
        same.then_some(session)
    }

    /// Whether the network says again what it said last, for our answer did not come through; else this is what it said
    /// last. Networks that name no steps, or all alike, are believed.
    pub(super) fn again(
        &mut self,
        (link, mobile): (&str, &str),
        (message, text): (&Message, &str),
        wish: Wish,
        now: Instant,
    ) -> bool {
        let Some(name) = message.session.filter(|name| *name != [0, 0]) else { return false };
        let (key, dials) = ((link.to_owned(), mobile.to_owned()), wish == Wish::Open);
        let before = self.steps.get(&key);
        let again = before.is_some_and(|before| {
            let within = if dials { DIALS_AGAIN } else { TYPES_AGAIN };
            (before.name, before.op, before.text.as_str()) == (name, message.ussd, text)
                && (before.counts || before.dials && dials)
                && now.saturating_duration_since(before.at) < within
        });
        if !again {
            let counts =
                before.is_some_and(|before| before.name[0] == name[0] && before.name != name);
            let step =
                Step { name, op: message.ussd, text: text.to_owned(), at: now, counts, dials };
            self.steps.insert(key, step);
        }
        if self.steps.len() > self.room.max(SEATS) {
            let old = |step: &Step| now.saturating_duration_since(step.at) >= TYPES_AGAIN;
            self.steps.retain(|_, step| !old(step));
        }
        again
    }

    /// What he said last came to nothing: said again, it is asked again.
    pub(super) fn refused(&mut self, link: &str, mobile: &str) {
        self.steps.remove(&(link.to_owned(), mobile.to_owned()));
    }

    /// This is to be seen. Sessions of other doors have no seat here.
    pub(super) fn show(&mut self, session: CallId, text: &str, more: bool) -> Option<Out> {
        let seat = self.seats.get_mut(&session)?;
        let Some(way) = &mut seat.way else {
            seat.early.push((text.to_owned(), more));
            return None;
        };
        seat.closed |= !more;
        Some(Out { session, link: way.link.clone(), message: way.say(text, more) })
    }

    /// The session is over. Whoever was not told so is let go, unless he left by himself.
    pub(super) fn end(&mut self, session: CallId, end: End) -> Option<Out> {
        let seat = self.seats.get_mut(&session)?;
        if seat.way.is_none() {
            seat.ended = Some(end);
            return None;
        }
        let mut seat = self.seats.remove(&session)?;
        let way = seat.way.as_mut()?;
        let key = (way.link.clone(), std::mem::take(&mut seat.mobile));
        if self.of.get(&key) == Some(&session) {
            self.of.remove(&key);
            self.steps.remove(&key);
        }
        let told = seat.closed || end == End::Left;
        (!told).then(|| Out { session, link: way.link.clone(), message: way.say("", false) })
    }

    /// Sessions of a link that is lost.
    pub(super) fn at(&self, link: &str) -> Vec<CallId> {
        self.of.iter().filter(|((at, _), _)| at == link).map(|(_, session)| *session).collect()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.of.is_empty() && self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: CallId = CallId(7);
    const MOBILE: &str = "989123456789";

    fn came(op: u8, session: Option<[u8; 2]>, coding: u8) -> Message {
        let address = |digits: &str| Address { ton: 1, npi: 1, digits: digits.into() };
        Message {
            service_type: "USSD".into(),
            from: address(MOBILE),
            to: address("6655"),
            ussd: Some(op),
            session,
            coding,
            ..Message::default()
        }
    }

    fn way(session: Option<[u8; 2]>, coding: u8) -> Way {
        Way::of("carrier", Alphabet::Gsm, &came(1, session, coding))
    }

    /// A session that is open, by its network's number.
    fn open(session: Option<[u8; 2]>) -> Desk {
        let mut desk = Desk::default();
        desk.begin(SESSION);
        assert_eq!(desk.opened(SESSION, MOBILE, way(session, 0)), []);
        desk
    }

    #[test]
    fn s5_6_what_networks_call_an_answer_is_one() {
        let plain = |op, text, open| wish(&came(op, None, 0), text, open);
        assert_eq!(plain(1, "*6655*123#", false), Wish::Open);
        assert_eq!(plain(0, "*6655*123#", false), Wish::Open);
        assert_eq!(plain(1, "*6655*123#", true), Wish::Open, "he dialled anew");
        assert_eq!(plain(1, "4711", true), Wish::Type);
        for op in [2, 16, 18] {
            assert_eq!(plain(op, "4711", true), Wish::Type, "{op}");
            assert_eq!(
                plain(op, "4711", false),
                Wish::Type,
                "{op}: whose session is over is let go"
            );
        }
        assert_eq!((plain(19, "", true), plain(19, "", false)), (Wish::Nothing, Wish::Nothing));
        // The last word's acknowledgement, or a network that ends it.
        assert_eq!((plain(17, "", false), plain(17, "", true)), (Wish::Nothing, Wish::Leave));
        assert_eq!(plain(35, "", true), Wish::Leave);
        // The end bit.
        assert_eq!(wish(&came(18, Some([4, 3]), 0), "", true), Wish::Leave);
        assert_eq!(wish(&came(18, Some([4, 2]), 0), "1", true), Wish::Type);
    }

    #[test]
    fn s5_6_screens_leave_as_requests_and_the_last_as_the_response_with_the_networks_number() {
        let mut desk = open(Some([9, 0]));
        let menu = desk.show(SESSION, "کد", true).unwrap();
        assert_eq!((menu.link.as_str(), menu.session), ("carrier", SESSION));
        let menu = menu.message;
        assert_eq!((menu.ussd, menu.session, menu.coding), (Some(2), Some([9, 0]), 8));
        assert_eq!((menu.from.digits.as_str(), menu.to.digits.as_str()), ("6655", MOBILE));
        assert_eq!((menu.service_type.as_str(), menu.registered), ("USSD", 0));
        let last = desk.show(SESSION, "Done @", false).unwrap().message;
        assert_eq!((last.ussd, last.session, last.coding), (Some(17), Some([9, 3]), 0));
        assert_eq!(last.octets, [b'D', b'o', b'n', b'e', b' ', 0]);
        assert_eq!(desk.end(SESSION, End::Said), None, "he was told");
        assert!(desk.is_empty());
        // A network that has no numbers is told none; its codings are used.
        let mut way = way(None, 0x0f);
        assert_eq!((way.say("a", true).session, way.say("a", true).coding), (None, 0x0f));
        way.coding = 0x48;
        assert_eq!((way.say("ک", true).coding, way.say("a", true).coding), (0x48, 0));
    }

    #[test]
    fn ts23_038_6_1_2_3_no_screen_is_longer_than_ussd_holds_whatever_the_networks_alphabet_lacks() {
        let mut way = Way { alphabet: Alphabet::Latin1, ..way(None, 0) };
        let short = way.say("5 €", true);
        assert_eq!((short.coding, short.octets.len()), (coding::UCS2, 6));
        let words = format!("{}5 € Δ", "a".repeat(100));
        let long = way.say(&words, true);
        assert_eq!(long.coding, coding::DEFAULT);
        assert_eq!(long.octets, [&[b'a'; 100][..], b"5 EUR ?"].concat());
        for words in ["€".repeat(91), "ک".repeat(200), "a".repeat(300), "😀".repeat(60)] {
            let said = way.say(&words, true);
            let most = if said.coding == coding::UCS2 { 160 } else { gsm::USSD_SEPTETS };
            assert!(!said.octets.is_empty() && said.octets.len() <= most, "{}", said.octets.len());
        }
        // A coding that names the alphabet itself has all of it.
        way.coding = 0x0f;
        assert_eq!(
            (way.say(&words, true).coding, way.say("€", true).octets),
            (0x0f, vec![0x1b, 0x65])
        );
    }

    #[test]
    fn s5_6_what_is_to_be_seen_before_it_is_known_whose_it_is_waits() {
        let mut desk = Desk::default();
        desk.begin(SESSION);
        assert_eq!(desk.show(SESSION, "first", true), None);
        assert_eq!(desk.find("carrier", MOBILE, None), None);
        let out = desk.opened(SESSION, MOBILE, way(None, 0));
        assert_eq!(out.len(), 1);
        assert_eq!(
            (out[0].message.ussd, out[0].message.octets.as_slice()),
            (Some(2), &b"first"[..])
        );
        // Even its end.
        let other = CallId(8);
        desk.begin(other);
        desk.show(other, "no service", false);
        assert_eq!(desk.end(other, End::Unavailable), None);
        let out = desk.opened(other, "98912", way(None, 0));
        assert_eq!(out.iter().map(|out| out.message.ussd).collect::<Vec<_>>(), [Some(17)]);
        assert_eq!(desk.find("carrier", "98912", None), None);
        // One of another door has no seat.
        assert_eq!(desk.show(CallId(99), "x", true), None);
        assert_eq!(desk.end(CallId(99), End::Said), None);
    }

    #[test]
    fn s5_6_a_step_that_the_network_says_again_is_the_same_where_it_names_its_steps() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let said = |desk: &mut Desk, name: Option<[u8; 2]>, text: &str, second: u64| {
            let wish = if text.starts_with('*') { Wish::Open } else { Wish::Type };
            desk.again(("carrier", MOBILE), (&came(1, name, 0), text), wish, at(second))
        };
        // A dial, before anybody knows what becomes of it and while its menu is open.
        let mut desk = open(Some([9, 2]));
        assert!(!said(&mut desk, Some([9, 2]), "*6655*123#", 0));
        assert!(said(&mut desk, Some([9, 2]), "*6655*123#", 5));
        assert!(!said(&mut desk, Some([10, 2]), "*6655*123#", 6), "another session");
        assert!(!said(&mut desk, Some([10, 2]), "*6655*123#", 36), "he dials anew");
        // What is typed, where its turn says which it is.
        assert!(!said(&mut desk, Some([10, 4]), "1", 40));
        assert!(said(&mut desk, Some([10, 4]), "1", 60));
        assert!(!said(&mut desk, Some([10, 4]), "2", 61), "that is another one");
        assert!(!said(&mut desk, Some([10, 6]), "2", 62));
        assert!(!said(&mut desk, Some([10, 6]), "2", 152), "too late");
        // A network that names all steps alike, and one that names none: 1 and 1 again are two.
        let mut desk = Desk::default();
        for name in [Some([3, 2]), Some([0, 0]), None] {
            assert!(!said(&mut desk, name, "*6655*123#", 0));
            assert!(!said(&mut desk, name, "1", 1) && !said(&mut desk, name, "1", 2), "{name:?}");
        }
        // One that came to nothing, and whose menu is over, is asked again.
        let mut desk = open(Some([9, 2]));
        assert!(!said(&mut desk, Some([9, 2]), "*6655*123#", 0));
        desk.refused("carrier", MOBILE);
        assert!(!said(&mut desk, Some([9, 2]), "*6655*123#", 1));
        desk.end(SESSION, End::Said);
        assert!(desk.is_empty());
    }

    #[test]
    fn s5_6_a_session_is_known_by_link_subscriber_and_number() {
        let desk = open(Some([9, 0]));
        assert_eq!(desk.find("carrier", MOBILE, Some(9)), Some(SESSION));
        assert_eq!(desk.find("carrier", MOBILE, None), Some(SESSION));
        assert_eq!(desk.find("carrier", MOBILE, Some(8)), None, "an old one");
        assert_eq!(desk.find("other", MOBILE, Some(9)), None);
        assert_eq!(desk.find("carrier", "98912", Some(9)), None);
        assert_eq!((desk.at("carrier"), desk.at("other")), (vec![SESSION], vec![]));
        assert_eq!(open(None).find("carrier", MOBILE, Some(3)), Some(SESSION));
    }

    #[test]
    fn s5_6_who_was_silent_is_let_go_and_who_left_is_not_told() {
        let mut desk = open(Some([9, 0]));
        desk.show(SESSION, "menu", true);
        let out = desk.end(SESSION, End::Silent).unwrap().message;
        assert_eq!((out.ussd, out.session, out.octets.len()), (Some(17), Some([9, 3]), 0));
        assert!(desk.is_empty());
        let mut desk = open(None);
        assert_eq!(desk.end(SESSION, End::Left), None);
        assert!(desk.is_empty());
        // One that he opened in its place stays his.
        let mut desk = open(Some([9, 0]));
        let next = CallId(8);
        desk.begin(next);
        desk.opened(next, MOBILE, way(Some([10, 0]), 0));
        assert_eq!(desk.end(SESSION, End::Left), None);
        assert_eq!(desk.find("carrier", MOBILE, Some(10)), Some(next));
        let out = release("carrier", Alphabet::Gsm, &came(18, Some([3, 4]), 0));
        assert_eq!((out.ussd, out.session), (Some(17), Some([3, 1])));
    }

    #[test]
    fn sessions_that_ended_before_anybody_knew_of_them_go_when_there_is_no_more_room() {
        let mut desk = Desk::default();
        for session in 0..=SEATS as u64 {
            desk.begin(CallId(session));
            desk.end(CallId(session), End::Said);
        }
        desk.begin(CallId(u64::MAX));
        assert!(desk.seats.len() <= 2, "{}", desk.seats.len());
    }
}
