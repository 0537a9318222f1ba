//! Sessions against hand-fed pages, on instants of their own.

use facts::MerchantId;
use facts::Micros;
use facts::gsm::Room;
use facts::ussd::{Dialled, longest};
use proptest::prelude::*;

use super::*;

fn code() -> Arc<Code> {
    Arc::new(Code {
        merchant: MerchantId(1),
        code: Dialled::code("6655*123").unwrap(),
        leading_star: true,
        language: Language::Fa,
        page: Duration::from_secs(8),
        input: Duration::from_secs(60),
        session: Duration::from_secs(180),
        price: Micros::ZERO,
    })
}

/// Always the same instant.
fn epoch() -> Instant {
    static EPOCH: std::sync::LazyLock<Instant> =
        std::sync::LazyLock::new(|| crate::testing::start().mono);
    *EPOCH
}

fn secs(count: u64) -> Instant {
    epoch() + Duration::from_secs(count)
}

fn begin(inputs: &[&str]) -> (Session, Act) {
    let inputs: Vec<String> = inputs.iter().map(|text| (*text).to_owned()).collect();
    let who = (CallId(7), "989121234567".into(), Door::Ims);
    let mut session = Session::begin(epoch(), code(), who, &inputs);
    let act = session.ask(epoch());
    (session, act)
}

fn menu(text: &str) -> Screen {
    Screen::Menu(text.into())
}

fn call_of(act: &Act) -> String {
    match act {
        Act::Ask(step) => step.call(true),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s5_6_the_dialogue_of_the_seed() {
    let (mut session, act) = begin(&[]);
    assert_eq!(call_of(&act), "*6655*123");
    let prompt = "لطفا کد ثبت نام خود را وارد نمایید";
    assert_eq!(session.answered(secs(1), 1, menu(prompt)), Some(Act::Show(prompt.into())));
    let act = session.typed(secs(9), "4711#").unwrap();
    assert_eq!(call_of(&act), "*6655*123*4711");
    let done = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
    let act = session.answered(secs(10), 2, Screen::Last(done.into()));
    assert_eq!(act, Some(Act::Close(done.into())));
    assert_eq!((session.end(), session.steps()), (Some(End::Said), 2));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn s5_2_a_deep_code_is_one_step() {
    let (_, act) = begin(&["7", "2"]);
    assert_eq!(call_of(&act), "*6655*123*7*2");
}

#[test]
fn s5_2_a_page_that_says_nothing_in_time_is_unavailable_and_what_comes_later_is_not_shown() {
    let (mut session, _) = begin(&[]);
    assert_eq!(session.due(secs(9)), None);
    assert_eq!(session.poll_timeout(), Some(secs(10)));
    assert_eq!(session.due(secs(10)), Some(Act::Close("سرویس در دسترس نیست".into())));
    assert_eq!(session.end(), Some(End::Unavailable));
    assert_eq!(session.answered(secs(11), 1, menu("late")), None);
    for screen in [Screen::Unavailable, Screen::Menu(" \n".into()), Screen::Last(String::new())] {
        let (mut session, _) = begin(&[]);
        let act = session.answered(secs(1), 1, screen);
        assert_eq!(act, Some(Act::Close("سرویس در دسترس نیست".into())));
    }
}

#[test]
fn s5_2_an_answer_to_another_step_is_not_taken() {
    let (mut session, _) = begin(&[]);
    assert_eq!(session.answered(secs(1), 2, menu("not yet asked")), None);
    assert!(session.answered(secs(1), 1, menu("1")).is_some());
    assert_eq!(session.answered(secs(1), 1, menu("twice")), None);
    assert!(matches!(session.typed(secs(2), "a"), Some(Act::Ask(_))));
    assert_eq!(session.typed(secs(2), "b"), None, "a page is asked already");
    assert_eq!(session.answered(secs(3), 1, menu("again")), None);
}

#[test]
fn s5_2_who_types_nothing_for_a_minute_is_left_silently() {
    let (mut session, _) = begin(&[]);
    let _ = session.answered(secs(1), 1, menu("?"));
    assert_eq!(session.due(secs(60)), None);
    assert_eq!(session.due(secs(61)), Some(Act::Leave));
    assert_eq!(session.end(), Some(End::Silent));
}

#[test]
fn s5_2_a_session_ends_after_three_minutes_whatever_happens() {
    let (mut session, _) = begin(&[]);
    let mut step = 1;
    for at in (1..180).step_by(20) {
        let _ = session.answered(secs(at), step, menu("?")).unwrap();
        if step < 9 {
            let _ = session.typed(secs(at + 1), "1").unwrap();
            step += 1;
        }
    }
    assert_eq!(session.poll_timeout(), Some(secs(180)));
    assert_eq!(session.due(secs(180)), Some(Act::Close("زمان شما به پایان رسید".into())));
    assert_eq!(session.end(), Some(End::Long));
}

#[test]
fn s5_2_a_ninth_input_ends_with_a_word() {
    let (mut session, _) = begin(&[]);
    for step in 1..=9 {
        let _ = session.answered(secs(1), step, menu("?")).unwrap();
        let act = session.typed(secs(2), "1").unwrap();
        if step < 9 {
            assert!(matches!(act, Act::Ask(_)));
        } else {
            assert!(matches!(act, Act::Close(_)));
        }
    }
    assert_eq!((session.end(), session.steps()), (Some(End::Deep), 9));
}

#[test]
fn s8_200_persian_characters_are_shown_page_by_page_without_asking() {
    let text = "کد ثبت نام ".repeat(20).trim().to_owned();
    let (mut session, _) = begin(&[]);
    let Some(Act::Show(first)) = session.answered(secs(1), 1, menu(&text)) else { panic!() };
    assert!(first.ends_with("\n0-بعد") && Room::USSD.holds(&first), "{first}");
    let mut all = first.trim_end_matches("\n0-بعد").to_owned();
    for _ in 0..9 {
        let Some(Act::Show(next)) = session.typed(secs(2), "0") else { break };
        all = format!("{all} {}", next.trim_end_matches("\n0-بعد"));
        if !next.ends_with("بعد") {
            break;
        }
    }
    assert_eq!(all, text);
    assert_eq!(session.steps(), 1);
    // On the last of them 0 is what the merchant may mean by it.
    assert_eq!(call_of(&session.typed(secs(3), "0").unwrap()), "*6655*123*0");
}

#[test]
fn s5_2_on_the_first_of_several_screens_another_key_goes_to_the_page() {
    let (mut session, _) = begin(&[]);
    let _ = session.answered(secs(1), 1, menu(&"x".repeat(500)));
    assert_eq!(call_of(&session.typed(secs(2), "3").unwrap()), "*6655*123*3");
}

#[test]
fn s5_2_five_screens_at_most_and_a_long_last_word_closes_with_its_last() {
    let (mut session, _) = begin(&[]);
    let text = "y".repeat(2000);
    let mut act = session.answered(secs(1), 1, Screen::Last(text)).unwrap();
    let mut shown = 1;
    while let Act::Show(_) = act {
        act = session.typed(secs(2), "0").unwrap();
        shown += 1;
    }
    assert!(matches!(act, Act::Close(_)));
    assert_eq!((shown, session.end()), (5, Some(End::Said)));
    // Who types another key leaves: nobody answers it.
    let (mut session, _) = begin(&[]);
    let _ = session.answered(secs(1), 1, Screen::Last("z".repeat(500)));
    assert_eq!(session.typed(secs(2), "5"), Some(Act::Leave));
    assert_eq!((session.end(), session.steps()), (Some(End::Said), 1));
}

#[test]
fn s5_2_nothing_typed_shows_the_same_again() {
    let (mut session, _) = begin(&[]);
    let _ = session.answered(secs(1), 1, menu("1 or 2?"));
    assert_eq!(session.typed(secs(2), " *# "), Some(Act::Show("1 or 2?".into())));
    assert_eq!(session.steps(), 1);
}

#[test]
fn the_longest_code_wins() {
    let with =
        |text: &str| Arc::new(Code { code: Dialled::code(text).unwrap(), ..(*code()).clone() });
    let codes = [with("6655"), with("6655*123"), with("123")].map(|code| (code.code.clone(), code));
    let codes = codes.into_iter().collect();
    let found = |text: &str| {
        let dialled = Dialled::parse(text).unwrap();
        longest(&codes, &dialled).map(|code| code.code.to_string())
    };
    assert_eq!(found("*6655*123*7#").as_deref(), Some("*6655*123#"));
    assert_eq!(found("*6655*12#").as_deref(), Some("*6655#"));
    assert_eq!(found("*123#").as_deref(), Some("*123#"));
    assert_eq!(found("*1234#"), None);
}

proptest! {
    /// Whatever pages say and whoever types what, each screen fits, and it ends.
    #[test]
    fn every_screen_fits_and_every_session_ends(
        texts in prop::collection::vec((any::<bool>(), "\\PC{0,600}"), 1..12),
        keys in prop::collection::vec("[0-3*#\\PC]{0,4}", 1..40),
    ) {
        let (mut session, mut act) = begin(&[]);
        let (mut texts, mut keys) = (texts.into_iter().cycle(), keys.into_iter().cycle());
        let mut now = epoch();
        for _ in 0..200 {
            act = match act {
                Act::Ask(step) => {
                    prop_assert!(step.fits());
                    let (last, text) = texts.next().unwrap();
                    let screen = if last { Screen::Last(text) } else { Screen::Menu(text) };
                    session.answered(now, step.number, screen).unwrap()
                }
                Act::Show(text) => {
                    prop_assert!(Room::USSD.holds(&text));
                    now += Duration::from_secs(2);
                    match session.due(now) {
                        Some(act) => act,
                        None => session.typed(now, &keys.next().unwrap()).unwrap(),
                    }
                }
                Act::Close(text) => {
                    prop_assert!(Room::USSD.holds(&text));
                    break;
                }
                Act::Leave => break,
            };
        }
        prop_assert!(session.end().is_some());
    }
}
