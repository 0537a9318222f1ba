use std::collections::BTreeSet;

use super::*;

/// The words, with a bar for a pause.
fn words(language: Language, what: Spoken<'_>) -> String {
    let mut out = Vec::new();
    say(language, what, &mut out).unwrap();
    let words: Vec<&str> = out
        .iter()
        .map(|piece| match piece {
            Piece::Word(word) => word,
            Piece::Pause(_) => "|",
        })
        .collect();
    words.join(" ")
}

fn number(language: Language, number: i64) -> String {
    words(language, Spoken::Number(number))
}

#[test]
fn chinese_numbers_tell_a_gap_once_and_two_in_two_words() {
    for (figure, said) in [
        (0, "0"),
        (2, "2"),
        (10, "10"),
        (12, "10 2"),
        (20, "2 10"),
        (22, "2 10 2"),
        (100, "1 100"),
        (105, "1 100 0 5"),
        (110, "1 100 1 10"),
        (200, "liang 100"),
        (1_005, "1 1000 0 5"),
        (1_050, "1 1000 0 5 10"),
        (2_002, "liang 1000 0 2"),
        (2_200, "liang 1000 2 100"),
        (10_000, "1 10000"),
        (10_005, "1 10000 0 5"),
        (10_010, "1 10000 0 1 10"),
        (20_000, "liang 10000"),
        (100_000, "10 10000"),
        (105_000, "10 10000 5 1000"),
        (100_500, "10 10000 0 5 100"),
        (120_000, "10 2 10000"),
        (22_000_000, "liang 1000 2 100 10000"),
        (200_000_000, "liang 100000000"),
        (100_000_005, "1 100000000 0 5"),
        (100_005_000, "1 100000000 0 5 1000"),
        (1_000_050_000, "10 100000000 0 5 10000"),
        (
            999_999_999_999,
            "9 1000 9 100 9 10 9 100000000 9 1000 9 100 9 10 9 10000 9 1000 9 100 9 10 9",
        ),
        (-7, "minus 7"),
    ] {
        assert_eq!(number(Language::Zh, figure), said, "{figure}");
    }
}

#[test]
fn english_numbers_have_an_and_and_words_up_to_twenty() {
    for (figure, said) in [
        (0, "0"),
        (13, "13"),
        (20, "20"),
        (21, "20 1"),
        (40, "40"),
        (99, "90 9"),
        (100, "1 100"),
        (105, "1 100 and 5"),
        (119, "1 100 and 19"),
        (1_000, "1 1000"),
        (1_005, "1 1000 and 5"),
        (1_100, "1 1000 1 100"),
        (10_000, "10 1000"),
        (105_000, "1 100 and 5 1000"),
        (1_000_001, "1 1000000 and 1"),
        (
            999_999_999_999,
            "9 100 and 90 9 1000000000 9 100 and 90 9 1000000 9 100 and 90 9 1000 9 100 and 90 9",
        ),
        (-21, "minus 20 1"),
    ] {
        assert_eq!(number(Language::En, figure), said, "{figure}");
    }
}

#[test]
fn persian_numbers_have_an_o_between_any_two_parts() {
    for (figure, said) in [
        (0, "0"),
        (19, "19"),
        (20, "20"),
        (21, "20 and 1"),
        (100, "100"),
        (105, "100 and 5"),
        (119, "100 and 19"),
        (999, "900 and 90 and 9"),
        (1_000, "1000"),
        (1_001, "1000 and 1"),
        (2_000, "2 1000"),
        (1_234, "1000 and 200 and 30 and 4"),
        (21_000, "20 and 1 1000"),
        (1_000_000, "1 1000000"),
        (1_001_000, "1 1000000 and 1000"),
        (
            999_999_999_999,
            "900 and 90 and 9 1000000000 and 900 and 90 and 9 1000000 and 900 and 90 and 9 1000 \
             and 900 and 90 and 9",
        ),
        (-5, "minus 5"),
    ] {
        assert_eq!(number(Language::Fa, figure), said, "{figure}");
    }
}

#[test]
fn days_are_told_in_the_calendar_of_the_language() {
    let told = |year, month, day| {
        Language::ALL.map(|language| words(language, Spoken::Date(Day { year, month, day })))
    };
    assert_eq!(
        told(2026, 11, 22),
        [
            "2 0 2 6 year month-11 2 10 2 day",
            "month-11 ord-22 20 20 6",
            "ord-1 month-9 1000 and 400 and 5",
        ]
    );
    assert_eq!(told(2005, 5, 1)[1], "month-5 ord-1 2 1000 and 5");
    assert_eq!(told(1905, 5, 31)[1], "month-5 ord-31 19 oh 5");
    assert_eq!(told(1900, 5, 31)[1], "month-5 ord-31 19 100");
    assert_eq!(told(2100, 1, 3)[1], "month-1 ord-3 20 1 100");
    // 22 Bahman 1357 and 31 Farvardin 1405.
    assert_eq!(told(1979, 2, 11)[2], "20 and ord-2 month-11 1000 and 300 and 50 and 7");
    assert_eq!(told(2026, 4, 20)[2], "30 and ord-1 month-1 1000 and 400 and 5");
}

#[test]
fn the_persian_year_begins_with_spring() {
    for (gregorian, persian) in [
        ((2025, 3, 20), (1403, 12, 30)),
        ((2025, 3, 21), (1404, 1, 1)),
        ((2026, 3, 20), (1404, 12, 29)),
        ((2026, 3, 21), (1405, 1, 1)),
        ((2021, 3, 20), (1399, 12, 30)),
        ((2021, 3, 21), (1400, 1, 1)),
        ((2000, 1, 1), (1378, 10, 11)),
        ((2017, 3, 20), (1395, 12, 30)),
        ((1979, 2, 11), (1357, 11, 22)),
        ((2024, 2, 29), (1402, 12, 10)),
        ((1970, 1, 1), (1348, 10, 11)),
    ] {
        let day = |(year, month, day)| Day { year, month, day };
        assert_eq!(jalali(day(gregorian)), day(persian));
    }
}

#[test]
fn each_day_of_two_centuries_follows_the_one_before() {
    let mut before: Option<Day> = None;
    for year in 1900..=2100 {
        for month in 1..=12 {
            for day in 1..=31 {
                let day = Day { year, month, day };
                if !day.is_one() {
                    continue;
                }
                let now = jalali(day);
                if let Some(last) = before {
                    let same_month =
                        (now.year, now.month, now.day) == (last.year, last.month, last.day + 1);
                    let next_month = now.day == 1
                        && last.day >= 29
                        && (now.month == last.month + 1
                            || (now.month, last.month) == (1, 12) && now.year == last.year + 1);
                    assert!(same_month || next_month, "{last:?} {now:?}");
                }
                before = Some(now);
            }
        }
    }
}

#[test]
fn times_of_day() {
    let told =
        |hour, minute| Language::ALL.map(|language| words(language, Spoken::Time { hour, minute }));
    assert_eq!(told(14, 5), ["10 4 clock 0 5 minute", "2 oh 5 pm", "clock 14 and 5 minutes"]);
    assert_eq!(told(2, 0), ["liang clock sharp", "2 am", "clock 2"]);
    assert_eq!(told(0, 30), ["0 clock 3 10 minute", "12 30 am", "clock 0 and 30 minutes"]);
    assert_eq!(told(12, 0)[1], "12 pm");
}

#[test]
fn money_in_the_words_of_those_who_pay() {
    let told = |amount, money| {
        Language::ALL.map(|language| words(language, Spoken::Money { amount, money }))
    };
    assert_eq!(
        told(1_234, Money::Cny),
        ["10 2 yuan 3 jiao 4 fen", "12 yuan and 30 4 fen", "12 yuan and 30 and 4 fen"]
    );
    assert_eq!(told(1_005, Money::Cny)[0], "10 yuan 0 5 fen");
    assert_eq!(told(220, Money::Cny)[0], "liang yuan liang jiao");
    assert_eq!(told(5, Money::Cny)[0], "5 fen");
    assert_eq!(told(0, Money::Cny), ["0 yuan", "0 yuan", "0 yuan"]);
    assert_eq!(
        told(101, Money::Usd),
        ["1 dollars 1 cents", "1 dollar and 1 cent", "1 dollars and 1 cents"]
    );
    assert_eq!(told(-250, Money::Usd)[1], "minus 2 dollars and 50 cents");
    assert_eq!(
        told(25_000, Money::Irr),
        ["liang 10000 5 1000 rials", "20 5 1000 rials", "20 and 5 1000 rials"]
    );
    assert_eq!(
        told(25_005, Money::Toman),
        [
            "liang 1000 5 100 tomans 5 rials",
            "2 1000 5 100 tomans and 5 rials",
            "2 1000 and 500 tomans and 5 rials"
        ]
    );
}

#[test]
fn how_long_something_takes() {
    let told =
        |seconds| Language::ALL.map(|language| words(language, Spoken::Duration { seconds }));
    assert_eq!(
        told(3_723),
        [
            "1 hours liang minutes 3 seconds",
            "1 hour 2 minutes and 3 seconds",
            "1 hours and 2 minutes and 3 seconds"
        ]
    );
    assert_eq!(told(0), ["0 seconds", "0 seconds", "0 seconds"]);
    assert_eq!(told(172_801)[1], "2 days and 1 second");
}

#[test]
fn telephone_numbers_come_in_groups() {
    let phone = |number| words(Language::En, Spoken::Phone(number));
    assert_eq!(phone("13800138000"), "1 3 8 | 0 0 1 3 | 8 0 0 0");
    assert_eq!(phone("09123456789"), "0 9 1 2 | 3 4 5 | 6 7 8 9");
    assert_eq!(phone("+989123456789"), "plus 9 8 | 9 1 2 | 3 4 5 | 6 7 8 9");
    assert_eq!(phone("80001"), "8 0 0 | 0 1");
    assert_eq!(phone("1234"), "1 2 3 4");
    assert_eq!(phone("2025550123"), "2 0 2 | 5 5 5 | 0 1 2 3");
    assert_eq!(words(Language::Zh, Spoken::Phone("110")), "yao yao 0");
    assert_eq!(words(Language::Zh, Spoken::Digits("110*#")), "1 1 0 star pound");
}

#[test]
fn what_is_spelled_can_be_written_down() {
    for language in Language::ALL {
        let spelled = words(language, Spoken::Spelled("4aZ#"));
        assert_eq!(spelled, "4 | letter-a | letter-z | pound");
    }
}

#[test]
fn what_cannot_be_said_is_refused_and_leaves_nothing() {
    let long = "1".repeat(DIGITS_MAX + 1);
    let day = |year, month, day| Spoken::Date(Day { year, month, day });
    for (what, why) in [
        (Spoken::Number(1_000_000_000_000), Unsayable::TooLarge),
        (Spoken::Number(i64::MIN), Unsayable::TooLarge),
        (Spoken::Money { amount: i64::MIN, money: Money::Irr }, Unsayable::TooLarge),
        (Spoken::Duration { seconds: u64::MAX }, Unsayable::TooLarge),
        (Spoken::Digits(""), Unsayable::Length),
        (Spoken::Digits(&long), Unsayable::Length),
        (Spoken::Digits("12a"), Unsayable::Sign),
        (Spoken::Digits("۱۲"), Unsayable::Sign),
        (Spoken::Spelled(""), Unsayable::Length),
        (Spoken::Spelled("a-1"), Unsayable::Sign),
        (Spoken::Phone("+"), Unsayable::Length),
        (Spoken::Phone("12+3"), Unsayable::Sign),
        (day(2026, 2, 29), Unsayable::Day),
        (day(2026, 13, 1), Unsayable::Day),
        (day(2026, 0, 1), Unsayable::Day),
        (day(2026, 4, 31), Unsayable::Day),
        (day(1899, 12, 31), Unsayable::Day),
        (day(u16::MAX, 1, 1), Unsayable::Day),
        (Spoken::Time { hour: 24, minute: 0 }, Unsayable::Time),
        (Spoken::Time { hour: 3, minute: 60 }, Unsayable::Time),
    ] {
        for language in Language::ALL {
            let mut out = Vec::new();
            assert_eq!(say(language, what, &mut out), Err(why), "{what:?}");
            assert!(out.is_empty(), "{what:?}");
        }
    }
}

/// Every word that is said was recorded, and every word that was recorded is said.
#[test]
fn all_words_there_are_were_recorded() {
    let texts = include_str!("../../../say/texts.tsv");
    for language in Language::ALL {
        let recorded: BTreeSet<&str> = texts
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('\t');
                (cells.next() == Some(language.code())).then(|| cells.next())?
            })
            .collect();
        let mut out = Vec::new();
        let mut add = |what| say(language, what, &mut out).unwrap();
        for number in (0..2_500).chain((0..12).map(|power| 10_i64.pow(power) * 2)) {
            add(Spoken::Number(number));
            for money in [Money::Cny, Money::Usd, Money::Irr, Money::Toman] {
                add(Spoken::Money { amount: number, money });
            }
            add(Spoken::Duration { seconds: number.unsigned_abs() });
        }
        add(Spoken::Number(-1_001_001_001));
        add(Spoken::Duration { seconds: 90_061 });
        for year in [1_900, 2_005, 2_026] {
            for month in 1..=12 {
                for day in 1..=28 {
                    add(Spoken::Date(Day { year, month, day }));
                }
            }
        }
        for day in [29, 30, 31] {
            add(Spoken::Date(Day { year: 2_026, month: 1, day }));
        }
        for (hour, minute) in (0..24).flat_map(|hour| (0..60).map(move |minute| (hour, minute))) {
            add(Spoken::Time { hour, minute });
        }
        add(Spoken::Phone("+12345678901"));
        add(Spoken::Digits("0123456789*#"));
        add(Spoken::Spelled("abcdefghijklmnopqrstuvwxyz"));
        let said: BTreeSet<&str> = out
            .iter()
            .filter_map(|piece| match piece {
                Piece::Word(word) => Some(*word),
                Piece::Pause(_) => None,
            })
            .collect();
        assert_eq!(said, recorded, "{language:?}");
    }
}
