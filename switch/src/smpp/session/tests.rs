use super::*;

type Bind = Session<u32>;

fn knobs(window: usize) -> Knobs {
    let who = Who {
        system_id: "tandem".into(),
        password: "secret".into(),
        system_type: String::new(),
        version: 0x34,
    };
    let (spacing, enquire) = (Duration::ZERO, Duration::from_secs(30));
    Knobs { role: Role::Transceiver, who, window, spacing, enquire }
}

fn origin() -> Instant {
    Instant::now()
}

fn ok(sequence: u32, body: Body) -> Pdu {
    Pdu { status: 0, sequence, body }
}

fn taken(sequence: u32) -> Pdu {
    ok(sequence, Body::SubmitResp(format!("id{sequence}")))
}

fn refused(sequence: u32, status: u32) -> Pdu {
    Pdu { status, sequence, body: Body::SubmitResp(String::new()) }
}

fn job(now: Instant, of: u32) -> Job<u32> {
    let message = Message { octets: vec![u8::try_from(of).unwrap()], ..Message::default() };
    Job { message, rank: Rank::Message, until: now + Duration::from_secs(25), of }
}

/// Sequence numbers of what left, and which message each is.
fn sent(session: &mut Bind) -> Vec<(u32, u8)> {
    std::iter::from_fn(|| session.poll_transmit())
        .filter_map(|pdu| match pdu.body {
            Body::Submit(message) => Some((pdu.sequence, message.octets[0])),
            _ => None,
        })
        .collect()
}

fn done(session: &mut Bind) -> Vec<(u32, Outcome)> {
    std::iter::from_fn(|| session.poll_event())
        .filter_map(|event| match event {
            Event::Done(of, outcome) => Some((of, outcome)),
            _ => None,
        })
        .collect()
}

fn over(session: &mut Bind) -> Option<Why> {
    std::iter::from_fn(|| session.poll_event()).find_map(|event| match event {
        Event::Over(why) => Some(why),
        _ => None,
    })
}

fn bound(now: Instant, knobs: Knobs) -> Bind {
    let role = knobs.role;
    let mut session = Session::begin(now, knobs);
    let bind = session.poll_transmit().unwrap();
    assert!(matches!(&bind.body, Body::Bind(asked, who) if *asked == role && who.version == 0x34));
    session.handle(now, ok(bind.sequence, Body::BindResp(role)));
    assert!(matches!(session.poll_event(), Some(Event::Bound)));
    session
}

#[test]
fn smpp34_2_2_a_bind_is_taken_refused_or_too_late() {
    let t = origin();
    assert!(bound(t, knobs(1)).is_bound());
    let mut session = Bind::begin(t, knobs(1));
    session.handle(t, Pdu { status: 0x0e, sequence: 1, body: Body::BindResp(Role::Transceiver) });
    assert_eq!(over(&mut session), Some(Why::Refused(0x0e)));
    // Some say so with a generic_nack.
    let mut session = Bind::begin(t, knobs(1));
    session.handle(t, Pdu { status: 0x03, sequence: 1, body: Body::Nack });
    assert_eq!(over(&mut session), Some(Why::Refused(0x03)));
    let mut session = Bind::begin(t, knobs(1));
    assert_eq!(session.poll_timeout(), Some(t + ANSWER_MAX));
    session.handle_timeout(t + ANSWER_MAX);
    assert_eq!(over(&mut session), Some(Why::Silent));
    assert_eq!(session.poll_timeout(), None);
    // What is to leave before there is a bind does not wait for it; what is delivered then is to come again.
    let mut session = Bind::begin(t, knobs(1));
    session.submit(t, job(t, 1));
    assert_eq!(done(&mut session), [(1, Outcome::Unsent(None))]);
    session.poll_transmit();
    session.handle(t, ok(5, Body::Deliver(Box::default())));
    let answer = session.poll_transmit().unwrap();
    assert_eq!((answer.sequence, answer.status), (5, status::TEMPORARY));
}

#[test]
fn smpp34_2_9_no_more_than_the_window_waits_for_answers() {
    let t = origin();
    let mut session = bound(t, knobs(3));
    for of in 0..10 {
        session.submit(t, job(t, of));
    }
    assert_eq!(sent(&mut session), [(2, 0), (3, 1), (4, 2)]);
    assert_eq!(session.depth(), (3, 7));
    // Answers come in any order.
    session.handle(t, taken(4));
    session.handle(t, taken(2));
    assert_eq!(sent(&mut session), [(5, 3), (6, 4)]);
    let outcomes = [(2, Outcome::Taken("id4".into())), (0, Outcome::Taken("id2".into()))];
    assert_eq!(done(&mut session), outcomes);
    // One that nobody waits for changes nothing.
    session.handle(t, taken(4));
    assert_eq!((sent(&mut session), done(&mut session)), (vec![], vec![]));
    // A menu's answer is before all messages.
    session.submit(t, Job { rank: Rank::Menu, ..job(t, 99) });
    session.handle(t, taken(3));
    assert_eq!(sent(&mut session), [(7, 99)]);
    // So is the rest of a message that has begun.
    session.submit(t, Job { rank: Rank::Begun, ..job(t, 98) });
    session.handle(t, taken(5));
    assert_eq!(sent(&mut session), [(8, 98)]);
    for of in 10..100 {
        session.submit(t, job(t, of));
    }
    assert!(!session.has_room(), "whoever has more holds it back");
}

#[test]
fn smpp34_5_1_3_who_is_throttled_waits_and_sends_the_same_again() {
    let t = origin();
    let mut session = bound(t, knobs(2));
    for of in 0..3 {
        session.submit(t, job(t, of));
    }
    assert_eq!(sent(&mut session), [(2, 0), (3, 1)]);
    session.handle(t, refused(3, status::THROTTLED));
    session.handle(t, refused(2, status::QUEUE_FULL));
    assert_eq!(sent(&mut session), [], "nothing leaves for a while");
    assert_eq!(session.poll_timeout(), Some(t + PAUSE_MIN));
    let later = t + PAUSE_MIN;
    session.handle_timeout(later);
    assert_eq!(sent(&mut session), [(4, 0), (5, 1)], "in the order in which they came");
    session.handle(later, refused(4, status::THROTTLED));
    assert_eq!(session.poll_timeout(), Some(later + PAUSE_MIN * 2), "longer each time");
    session.handle(later, taken(5));
    assert_eq!(sent(&mut session), []);
    // Who has waited long enough is told so, and with what.
    session.handle_timeout(t + Duration::from_secs(25));
    let late: Vec<_> = done(&mut session);
    assert!(late.contains(&(0, Outcome::Unsent(None))), "{late:?}");
    // Anything else is no reason to try again.
    let mut session = bound(t, knobs(2));
    session.submit(t, job(t, 1));
    session.handle(t, refused(2, 0x0b));
    assert_eq!(done(&mut session), [(1, Outcome::Refused(0x0b))]);
}

#[test]
fn a_link_that_takes_so_many_a_second_is_given_no_more() {
    let t = origin();
    let spacing = Duration::from_millis(100);
    let mut session = bound(t, Knobs { spacing, ..knobs(50) });
    for of in 0..20 {
        session.submit(t, job(t, of));
    }
    let mut now = t;
    let mut all = sent(&mut session).len();
    while all < 20 {
        now = session.poll_timeout().unwrap();
        session.handle_timeout(now);
        all += sent(&mut session).len();
    }
    assert_eq!(now - t, spacing * 19);
}

#[test]
fn smpp34_4_11_silence_is_asked_about_and_ends_the_link() {
    let t = origin();
    let mut session = bound(t, knobs(2));
    let quiet = t + Duration::from_secs(30);
    assert_eq!(session.poll_timeout(), Some(quiet));
    session.handle_timeout(quiet);
    let question = session.poll_transmit().unwrap();
    assert_eq!(question.body, Body::EnquireLink);
    session.handle(quiet, ok(question.sequence, Body::EnquireLinkResp));
    assert_eq!(session.poll_timeout(), Some(quiet + Duration::from_secs(30)));
    // Theirs is answered.
    session.handle(quiet, ok(77, Body::EnquireLink));
    assert_eq!(session.poll_transmit(), Some(ok(77, Body::EnquireLinkResp)));
    let quiet = quiet + Duration::from_secs(30);
    session.handle_timeout(quiet);
    assert_eq!(session.poll_timeout(), Some(quiet + ANSWER_MAX), "asked once");
    session.submit(quiet, job(quiet, 1));
    session.handle_timeout(quiet + ANSWER_MAX);
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(matches!(events[0], Event::Done(1, Outcome::Unanswered)), "{events:?}");
    assert!(matches!(events[1], Event::Over(Why::Silent)), "{events:?}");
}

#[test]
fn smpp34_7_2_a_request_without_an_answer_is_given_up_and_the_far_end_asked() {
    let t = origin();
    let mut session = bound(t, knobs(2));
    session.submit(t, job(t, 1));
    sent(&mut session);
    session.handle(t + Duration::from_secs(9), ok(50, Body::EnquireLink));
    session.poll_transmit();
    session.handle_timeout(t + ANSWER_MAX);
    assert_eq!(done(&mut session), [(1, Outcome::Unanswered)]);
    assert_eq!(session.poll_transmit().unwrap().body, Body::EnquireLink);
    assert!(session.is_bound());
    // Its answer comes all the same: nobody is told twice.
    session.handle(t + ANSWER_MAX, taken(2));
    assert_eq!(done(&mut session), []);
}

#[test]
fn smpp34_4_2_who_leaves_waits_for_what_is_under_way() {
    let t = origin();
    let mut session = bound(t, knobs(1));
    for of in 0..3 {
        session.submit(t, job(t, of));
    }
    session.submit(t, Job { rank: Rank::Menu, ..job(t, 9) });
    assert_eq!(sent(&mut session), [(2, 0)]);
    session.leave(t);
    assert_eq!(done(&mut session), [(1, Outcome::Unsent(None)), (2, Outcome::Unsent(None))]);
    session.handle(t, taken(2));
    assert_eq!(sent(&mut session), [(3, 9)], "menus are told their end");
    session.handle(t, taken(3));
    let unbind = session.poll_transmit().unwrap();
    assert_eq!(unbind.body, Body::Unbind);
    session.handle(t, ok(unbind.sequence, Body::UnbindResp));
    assert_eq!(over(&mut session), Some(Why::Left));
    // Who does not answer is not waited for.
    let mut session = bound(t, knobs(1));
    session.leave(t);
    session.handle_timeout(t + LEAVING_MAX);
    assert_eq!(over(&mut session), Some(Why::Left));
    // Theirs is answered, and what was under way is told.
    let mut session = bound(t, knobs(1));
    session.submit(t, job(t, 1));
    session.submit(t, job(t, 2));
    sent(&mut session);
    session.handle(t, ok(9, Body::Unbind));
    assert_eq!(session.poll_transmit(), Some(ok(9, Body::UnbindResp)));
    assert_eq!(done(&mut session), [(1, Outcome::Unanswered), (2, Outcome::Unsent(None))]);
}

#[test]
fn smpp34_4_2_2_an_unbind_resp_that_nobody_asked_for_ends_nothing() {
    let t = origin();
    let mut session = Bind::begin(t, knobs(1));
    session.handle(t, ok(1, Body::UnbindResp));
    assert_eq!(over(&mut session), None);
    let mut session = bound(t, knobs(1));
    session.handle(t, ok(7, Body::UnbindResp));
    assert!(session.is_bound());
    session.submit(t, job(t, 1));
    assert_eq!(sent(&mut session), [(2, 1)]);
}

/// Whoever refuses all there is because it has lost our bind is bound to again.
#[test]
fn smpp34_5_1_3_a_far_end_that_knows_of_no_bind_is_bound_to_anew() {
    let t = origin();
    let mut session = bound(t, knobs(1));
    session.submit(t, job(t, 1));
    session.submit(t, job(t, 2));
    sent(&mut session);
    session.handle(t, refused(2, status::BAD_BIND));
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(matches!(events[0], Event::Done(1, Outcome::Refused(status::BAD_BIND))));
    assert!(matches!(events[1], Event::Done(2, Outcome::Unsent(None))), "{events:?}");
    assert!(matches!(events[2], Event::Over(Why::Forgotten)), "{events:?}");
}

#[test]
fn smpp34_4_3_what_is_not_known_or_not_read_is_answered_so_and_the_link_goes_on() {
    let t = origin();
    let mut session = bound(t, knobs(1));
    let unread = |id, sequence| Unread { id, sequence, status: status::BAD_LENGTH };
    for (came, answer) in [
        (Ok(ok(4, Body::Other(0x103))), Some((4, status::BAD_COMMAND, Body::Nack))),
        (Ok(ok(5, Body::Submit(Box::default()))), Some((5, status::BAD_COMMAND, Body::Nack))),
        // alert_notification has no answer; an answer to nothing none either.
        (Ok(ok(6, Body::Other(0x102))), None),
        (Ok(ok(7, Body::Other(0x8000_0103))), None),
        (Err(unread(5, 8)), Some((8, status::BAD_LENGTH, Body::DeliverResp))),
        (Err(unread(0x103, 9)), Some((9, status::BAD_LENGTH, Body::Nack))),
        (Err(unread(0x8000_0015, 9)), None),
    ] {
        match came {
            Ok(pdu) => session.handle(t, pdu),
            Err(unread) => session.handle_unread(t, unread),
        }
        let answered = session.poll_transmit().map(|pdu| (pdu.sequence, pdu.status, pdu.body));
        assert_eq!(answered, answer);
    }
    assert!(session.is_bound());
    session.submit(t, job(t, 1));
    assert_eq!(sent(&mut session), [(2, 1)]);
    session.handle(t, Pdu { status: 0x01, sequence: 2, body: Body::Nack });
    assert_eq!(done(&mut session), [(1, Outcome::Refused(0x01))]);
}

#[test]
fn a_stream_that_breaks_leaves_nobody_without_an_answer() {
    let t = origin();
    let mut session = bound(t, knobs(2));
    for of in 0..5 {
        session.submit(t, job(t, of));
    }
    session.lost();
    let outcomes: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert_eq!(outcomes.len(), 6);
    assert!(matches!(outcomes[1], Event::Done(1, Outcome::Unanswered)));
    assert!(matches!(outcomes[2], Event::Done(2, Outcome::Unsent(None))));
    assert!(matches!(outcomes[5], Event::Over(Why::Lost)));
    session.handle(t, taken(2));
    session.submit(t, job(t, 9));
    assert_eq!(done(&mut session), [(9, Outcome::Unsent(None))]);
}

#[test]
fn who_tries_again_waits_longer_each_time_and_not_as_long_as_others() {
    let ms = |failures, random| backoff(failures, random).as_millis();
    assert_eq!((ms(0, 0), ms(0, u32::MAX)), (500, 1_000));
    assert_eq!((ms(3, 0), ms(3, u32::MAX)), (4_000, 8_000));
    assert_eq!((ms(6, u32::MAX), ms(4_000_000, u32::MAX)), (60_000, 60_000));
}

/// Whoever wanted it sent is told that it was not, and may try it by another way: it must not leave as well.
#[test]
fn what_nobody_wants_sent_any_more_does_not_leave_however_it_waited() {
    let t = origin();
    let mut session = bound(t, knobs(1));
    let second = Duration::from_secs(1);
    for (of, until) in [(0, 25), (1, 9), (2, 3), (3, 20)] {
        session.submit(t, Job { until: t + second * until, ..job(t, of) });
    }
    assert_eq!(sent(&mut session), [(2, 0)]);
    // The answer comes before anybody has looked at the clock; 2 stands behind 1, whose time is longer.
    session.handle(t + second * 9, taken(2));
    assert_eq!(sent(&mut session), [(3, 3)]);
    let late = [1, 2].map(|of| (of, Outcome::Unsent(None)));
    let outcomes = done(&mut session);
    assert_eq!(outcomes[1..], late, "{outcomes:?}");
}
