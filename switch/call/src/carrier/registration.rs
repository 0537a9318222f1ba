//! One registration of ours at a carrier (RFC 3261 §10.2): a state and the next moment to act.

use std::time::{Duration, Instant};

use facts::carrier::{self, RegistrationStatus};
use sip::wire::{HeaderName, Message, NameAddr, Uri};

use crate::event::CarrierChange;

/// First wait after a failure, and the longest (RFC 5626 §4.5).
const BACK_OFF: Duration = Duration::from_secs(30);
const BACK_OFF_MAX: Duration = Duration::from_secs(1800);
/// A carrier that refuses us will hardly think better of it soon.
const REFUSED: Duration = Duration::from_secs(300);
/// A Retry-After is obeyed up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Hops of a Service-Route at most, and the longest of them in bytes.
const HOPS_MAX: usize = 8;
const HOP_BYTES_MAX: usize = 512;
/// A binding shorter than this is not what a carrier means.
const GRANTED_MIN: u32 = 1;

/// An answer to a REGISTER, or that there was none.
pub(super) struct Heard<'a> {
    /// 408 and 503 stand for silence and for a transport that failed.
    pub(super) code: u16,
    pub(super) message: Option<&'a Message>,
    /// Our Contact as it was sent.
    pub(super) contact: Option<&'a Uri>,
    /// Call-ID and CSeq of the last request of the series.
    pub(super) series: (String, u32),
    /// There was no answer, and another server may give one (RFC 3263 §4.3).
    pub(super) elsewhere: bool,
}

#[derive(Debug)]
pub(super) struct Registration {
    /// What is wanted.
    pub(super) wish: carrier::Registration,
    /// Seconds asked for: as wanted, or as a 423 asked.
    expires: u32,
    series: Option<(String, u32)>,
    /// The binding lasts until then.
    until: Option<Instant>,
    /// When to send the next REGISTER; `None` while one is under way.
    next: Option<Instant>,
    last: Option<u16>,
    failures: u32,
    /// The way that the registrar wants our calls to take (RFC 3608).
    service_route: Vec<NameAddr>,
}

impl Registration {
    pub(super) fn new(wish: carrier::Registration, first: Instant) -> Registration {
        Registration {
            expires: wish.expires,
            wish,
            series: None,
            until: None,
            next: Some(first),
            last: None,
            failures: 0,
            service_route: Vec::new(),
        }
    }

    /// The route set of calls to the carrier while the binding lasts.
    pub(super) fn service_route(&self) -> &[NameAddr] {
        if self.is_registered() { &self.service_route } else { &[] }
    }

    /// The moment of the next thing to do.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.next, self.until].into_iter().flatten().min()
    }

    pub(super) fn is_registered(&self) -> bool {
        self.until.is_some()
    }

    /// What is to be sent now: seconds asked for and the series; and what became of the binding.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> (Option<Ask>, Option<CarrierChange>) {
        let lapsed = self.until.is_some_and(|until| until <= now);
        if lapsed {
            self.until = None;
        }
        let ask = self.next.is_some_and(|next| next <= now).then(|| {
            self.next = None;
            Ask { expires: self.expires, series: self.series.clone() }
        });
        (ask, lapsed.then_some(CarrierChange::Unregistered))
    }

    /// A REGISTER could not be sent.
    pub(super) fn unsent(&mut self, again: Instant) {
        self.next = Some(again);
    }

    /// What takes the binding away, if there may be one.
    pub(super) fn leave(&mut self) -> Option<Ask> {
        let series = self.series.clone()?;
        (self.until.take().is_some() || self.next.is_none())
            .then_some(Ask { expires: 0, series: Some(series) })
    }

    /// `draw(n)` gives a number below `n`, evenly.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        heard: Heard<'_>,
        draw: &mut impl FnMut(u64) -> u64,
    ) -> Option<CarrierChange> {
        self.series = Some(heard.series);
        self.last = Some(heard.code);
        match heard.code {
            200..=299 => {
                let granted = heard.message.and_then(|message| granted(message, heard.contact));
                let granted = granted.unwrap_or(self.expires).max(GRANTED_MIN);
                let granted = Duration::from_secs(granted.into());
                self.failures = 0;
                self.service_route = heard.message.map(service_route).unwrap_or_default();
                self.next = Some(now + refresh_after(granted, draw));
                let was = self.until.replace(now + granted).is_some();
                (!was).then_some(CarrierChange::Registered)
            }
            423 => self.too_brief(now, heard.message, draw),
            code => {
                let news = self.failed(now, code, heard.message, draw);
                if heard.elsewhere {
                    self.next = Some(now);
                }
                news
            }
        }
    }

    /// §10.2.8: the carrier says what it would take.
    fn too_brief(
        &mut self,
        now: Instant,
        message: Option<&Message>,
        draw: &mut impl FnMut(u64) -> u64,
    ) -> Option<CarrierChange> {
        let least = message.and_then(|m| m.number(HeaderName::MinExpires).ok().flatten());
        match least
            .filter(|least| *least > self.expires && carrier::Registration::EXPIRES.contains(least))
        {
            Some(least) => {
                self.expires = least;
                self.next = Some(now);
                None
            }
            None => self.failed(now, 423, message, draw),
        }
    }

    fn failed(
        &mut self,
        now: Instant,
        code: u16,
        message: Option<&Message>,
        draw: &mut impl FnMut(u64) -> u64,
    ) -> Option<CarrierChange> {
        let first = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        let grown = BACK_OFF * 2u32.saturating_pow(self.failures.saturating_sub(1).min(8));
        let mut most = grown.min(BACK_OFF_MAX);
        if matches!(code, 401 | 403 | 404 | 407) {
            most = most.max(REFUSED);
        }
        // RFC 5626 §4.5: somewhere between half of it and all of it.
        let mut wait = most / 2 + part(most / 2, draw);
        if let Some(after) = message.and_then(Message::retry_after) {
            let after = Duration::from_secs(after.seconds.into()).min(RETRY_AFTER_MAX);
            wait = wait.max(after + part(after / 10, draw));
        }
        self.next = Some(now + wait);
        // A binding that is there stays until it lapses, unless the carrier says that it is gone.
        let gone = matches!(code, 403 | 404) && self.until.take().is_some();
        (gone || (first && self.until.is_none())).then_some(CarrierChange::Unregistered)
    }

    pub(super) fn status(&self, now: Instant) -> RegistrationStatus {
        let left = |at: Instant| at.saturating_duration_since(now).as_secs();
        RegistrationStatus {
            registered: self.is_registered(),
            expires_s: self.until.map(left),
            next_s: self.next.map(left),
            last_status: self.last,
            failures: self.failures,
        }
    }
}

/// RFC 3608 §6.1: what the latest 2xx says, and nothing of earlier ones. One that is too long, or names a hop that
/// would rewrite the request, is not used: the carrier is reached without.
fn service_route(answer: &Message) -> Vec<NameAddr> {
    let hops = answer.headers(HeaderName::ServiceRoute);
    let loose = |hop: &[u8]| {
        let read = NameAddr::parse(hop).filter(|hop| hop.uri.is_sip() && hop.uri.is_loose());
        read.filter(|_| hop.len() <= HOP_BYTES_MAX)
    };
    let route: Option<Vec<NameAddr>> = hops.take(HOPS_MAX + 1).map(loose).collect();
    route.filter(|route| route.len() <= HOPS_MAX).unwrap_or_default()
}

/// A REGISTER to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ask {
    /// Seconds asked for; 0 takes the binding away.
    pub(crate) expires: u32,
    /// Call-ID and last CSeq of the series; `None` for the first.
    pub(crate) series: Option<(String, u32)>,
}

/// §10.3 step 8: what the answer says of our Contact, else its Expires. A registrar that lists our
/// binding under another parameter order or with parameters of its own still means ours.
fn granted(answer: &Message, ours: Option<&Uri>) -> Option<u32> {
    let contacts = answer.contacts().unwrap_or_default();
    let same = |uri: &Uri| {
        ours.is_some_and(|ours| {
            (&uri.user, &uri.host, uri.port) == (&ours.user, &ours.host, ours.port)
        })
    };
    let own = contacts.iter().find(|contact| contact.address().is_some_and(|a| same(&a.uri)));
    own.and_then(sip::wire::Contact::expires).or_else(|| answer.expires().ok().flatten())
}

/// Before the binding lapses there is time for a REGISTER that is lost and for one more; and not all
/// registrations of a start fall due together.
fn refresh_after(granted: Duration, draw: &mut impl FnMut(u64) -> u64) -> Duration {
    let early = (granted / 10).clamp(Duration::from_secs(40), Duration::from_secs(300));
    let late = granted.saturating_sub(early).max(granted / 2);
    late.saturating_sub(part(granted / 20, draw))
}

/// Somewhere between nothing and all of it.
fn part(of: Duration, draw: &mut impl FnMut(u64) -> u64) -> Duration {
    let millis = u64::try_from(of.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(draw(millis.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;
    use bytes::Bytes;

    fn wish() -> carrier::Registration {
        carrier::Registration { user: "4711".into(), expires: 3600, contact_user: String::new() }
    }

    fn answer(status: &str, headers: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:4711@c>;tag=a\r\n\
             To: <sip:4711@c>;tag=b\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn hears(
        registration: &mut Registration,
        now: Instant,
        status: &str,
        headers: &str,
    ) -> Option<CarrierChange> {
        let message = answer(status, headers);
        let contact = Uri::parse("sip:4711@192.0.2.1:5060").unwrap();
        let heard = Heard {
            code: message.status().unwrap(),
            message: Some(&message),
            contact: Some(&contact),
            series: ("x".into(), 1),
            elsewhere: false,
        };
        registration.answered(now, heard, &mut |below| below - 1)
    }

    #[test]
    fn rfc3261_10_2_4_what_is_granted_counts_and_not_what_was_asked() {
        let now = start().mono;
        for (headers, granted) in [
            ("Contact: <sip:4711@192.0.2.1:5060>;expires=600\r\nExpires: 3600\r\n", 600),
            (
                "Contact: <sip:4711@192.0.2.9>;expires=60, <sip:4711@192.0.2.1:5060;ob>;q=1;expires=900\r\n",
                900,
            ),
            ("Contact: <sip:4711@192.0.2.9>;expires=60\r\nExpires: 120\r\n", 120),
            ("", 3600),
        ] {
            let mut registration = Registration::new(wish(), now);
            let (ask, _) = registration.handle_timeout(now);
            assert_eq!(ask, Some(Ask { expires: 3600, series: None }));
            assert_eq!(
                hears(&mut registration, now, "200 OK", headers),
                Some(CarrierChange::Registered)
            );
            let status = registration.status(now);
            assert_eq!((status.registered, status.expires_s), (true, Some(granted)), "{headers}");
            let next = status.next_s.unwrap();
            assert!(next < granted && next >= granted * 2 / 5, "{granted}: {next}");
        }
    }

    #[test]
    fn rfc3261_10_2_8_423_is_asked_again_with_what_the_carrier_wants_but_not_for_ever() {
        let now = start().mono;
        let mut registration = Registration::new(wish(), now);
        registration.handle_timeout(now);
        assert_eq!(
            hears(&mut registration, now, "423 Interval Too Brief", "Min-Expires: 7200\r\n"),
            None
        );
        let (ask, _) = registration.handle_timeout(now);
        assert_eq!(ask, Some(Ask { expires: 7200, series: Some(("x".into(), 1)) }));
        let again =
            hears(&mut registration, now, "423 Interval Too Brief", "Min-Expires: 7200\r\n");
        assert_eq!(again, Some(CarrierChange::Unregistered));
        assert!(registration.handle_timeout(now).0.is_none(), "it waits");
    }

    #[test]
    fn rfc5626_4_5_failures_wait_longer_and_longer_and_retry_after_is_obeyed() {
        let mut now = start().mono;
        let mut registration = Registration::new(wish(), now);
        let mut waits = Vec::new();
        for attempt in 0..9 {
            assert!(registration.handle_timeout(now).0.is_some(), "{attempt}");
            let news = hears(&mut registration, now, "500 Server Internal Error", "");
            assert_eq!(news, (attempt == 0).then_some(CarrierChange::Unregistered));
            let due = registration.due().unwrap();
            waits.push(due.duration_since(now).as_secs());
            now = due;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        registration.handle_timeout(now);
        hears(&mut registration, now, "503 Service Unavailable", "Retry-After: 2400\r\n");
        assert!(registration.due().unwrap() >= now + Duration::from_secs(2400));
        registration.handle_timeout(registration.due().unwrap());
        let back = hears(&mut registration, now, "200 OK", "Expires: 600\r\n");
        assert_eq!((back, registration.status(now).failures), (Some(CarrierChange::Registered), 0));
    }

    #[test]
    fn a_binding_outlives_a_refresh_that_fails_and_no_longer_than_it_was_granted() {
        let begun = start().mono;
        let mut registration = Registration::new(wish(), begun);
        registration.handle_timeout(begun);
        hears(&mut registration, begun, "200 OK", "Expires: 600\r\n");
        let refresh = registration.due().unwrap();
        assert!(registration.handle_timeout(refresh).0.is_some());
        assert_eq!(hears(&mut registration, refresh, "504 Server Time-out", ""), None);
        assert!(registration.is_registered());
        let lapse = begun + Duration::from_secs(600);
        let mut news = Vec::new();
        while let Some(due) = registration.due().filter(|due| *due <= lapse) {
            let (ask, told) = registration.handle_timeout(due);
            news.extend(told);
            if ask.is_some() {
                hears(&mut registration, due, "504 Server Time-out", "");
            }
        }
        assert_eq!(
            (news, registration.is_registered()),
            (vec![CarrierChange::Unregistered], false)
        );
    }

    #[test]
    fn a_carrier_that_does_not_know_us_any_more_ends_the_binding_at_once() {
        let now = start().mono;
        let mut registration = Registration::new(wish(), now);
        registration.handle_timeout(now);
        hears(&mut registration, now, "200 OK", "Expires: 600\r\n");
        registration.handle_timeout(registration.due().unwrap());
        assert_eq!(
            hears(&mut registration, now, "403 Forbidden", ""),
            Some(CarrierChange::Unregistered)
        );
        let wait = registration.due().unwrap().duration_since(now);
        assert!(wait >= REFUSED / 2, "{wait:?}");
    }

    #[test]
    fn what_may_be_bound_is_taken_away_and_what_never_was_is_not() {
        let now = start().mono;
        let mut registration = Registration::new(wish(), now);
        assert_eq!(registration.leave(), None, "nothing was ever asked");
        registration.handle_timeout(now);
        hears(&mut registration, now, "200 OK", "");
        assert_eq!(registration.leave(), Some(Ask { expires: 0, series: Some(("x".into(), 1)) }));
        assert!(!registration.is_registered());
    }
}
