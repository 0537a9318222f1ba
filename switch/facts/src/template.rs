//! Templates of notices: announcements and values, put together anew for each that is rung.

use serde::{Deserialize, Serialize};

use crate::sound::{Say, Spoken, SpokenCurrency};

/// What is said, with places for values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Template {
    /// In which language; `None`: that of whoever asks.
    pub language: Option<String>,
    /// One behind the other, 1–[`Say::PARTS_MAX`].
    pub parts: Vec<Part>,
    /// Keys that are taken at most where a request wants them.
    pub keys: u8,
}

/// A part of a template. In every text but a name of an announcement `{1}` stands for the first value of a
/// request, `{2}` for the second, and so on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// An announcement by its name.
    Prompt(String),
    /// `0`–`9`, `*` and `#`, one by one.
    Digits(String),
    /// A whole number.
    Number(String),
    /// An amount of money.
    Money(Amount),
    /// `2026-11-22` or `20261122`.
    Date(String),
    /// `14:30`, `14:30:00` or `1430`.
    Time(String),
    /// Seconds.
    Duration(String),
    /// A telephone number.
    Phone(String),
    /// Latin letters and digits, slowly.
    Spelled(String),
}

/// An amount as people write it: `12.50`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// The amount, in the currency itself: yuan, dollars, rials.
    pub amount: String,
    /// Of what.
    pub currency: SpokenCurrency,
}

/// Why a template and values are nothing that can be said. The number is that of the part, counted from 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// As many values as the template has places for are wanted.
    #[error("{wanted} values are wanted, and {given} were given")]
    Values {
        /// Places.
        wanted: usize,
        /// Values.
        given: usize,
    },
    /// What stands there is not what the part says.
    #[error("part {0}: {1}")]
    Part(usize, &'static str),
}

impl Template {
    /// Values at most.
    pub const VALUES_MAX: usize = 32;
    /// Characters of a value at most.
    pub const VALUE_MAX: usize = 64;

    /// How many values it has places for: the highest number that stands in it.
    ///
    /// # Errors
    /// When braces hold no number from 1 to [`Template::VALUES_MAX`].
    pub fn places(&self) -> Result<usize, Unfit> {
        let mut most = 0;
        for (at, part) in self.parts.iter().enumerate() {
            filled(part.text(), |place| {
                most = most.max(place);
                (1..=Template::VALUES_MAX).contains(&place).then_some("")
            })
            .ok_or(Unfit::Part(at, "a place is written {1} to {32}"))?;
        }
        Ok(most)
    }

    /// All that is wrong with it, whatever the values are: places that are none, and text without places that is not what its part
    /// says.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Unfit> {
        let wrong = |(at, part): (usize, &Part)| {
            let text = part.text();
            let known = |place: usize| (1..=Template::VALUES_MAX).contains(&place).then_some("");
            let why = match filled(text, known) {
                None => "a place is written {1} to {32}",
                Some(_) if matches!(part, Part::Prompt(name) if name.is_empty()) => {
                    "an announcement has a name"
                }
                Some(_) if text.contains('{') => return None,
                Some(_) => part.spoken(text.trim()).err()?,
            };
            Some(Unfit::Part(at, why))
        };
        self.parts.iter().enumerate().filter_map(wrong).collect()
    }

    /// The parts that are the same whatever the values are, each with its number.
    pub fn fixed(&self) -> impl Iterator<Item = (usize, Spoken)> + '_ {
        let fixed = |part: &&Part| !part.text().contains('{');
        let parts = self.parts.iter().enumerate().filter(move |(_, part)| fixed(part));
        parts.filter_map(|(at, part)| Some((at, part.spoken(part.text().trim()).ok()?)))
    }

    /// What is said with these values.
    ///
    /// # Errors
    /// When there are too many or too few, or one is not what its part says.
    pub fn say(&self, language: &str, values: &[String]) -> Result<Say, Unfit> {
        let (wanted, given) = (self.places()?, values.len());
        if wanted != given {
            return Err(Unfit::Values { wanted, given });
        }
        let part = |(at, part): (usize, &Part)| {
            let value = |place: usize| values.get(place.checked_sub(1)?).map(String::as_str);
            let text =
                filled(part.text(), value).ok_or(Unfit::Part(at, "there is no such place"))?;
            part.spoken(text.trim()).map_err(|why| Unfit::Part(at, why))
        };
        let parts = self.parts.iter().enumerate().map(part).collect::<Result<_, _>>()?;
        let language = self.language.as_deref().unwrap_or(language).to_owned();
        Ok(Say { language, parts })
    }
}

impl Part {
    /// Its text, with its places.
    fn text(&self) -> &str {
        match self {
            // Nobody's value names an announcement.
            Part::Prompt(_) => "",
            Part::Money(money) => &money.amount,
            Part::Digits(text)
            | Part::Number(text)
            | Part::Date(text)
            | Part::Time(text)
            | Part::Duration(text)
            | Part::Phone(text)
            | Part::Spelled(text) => text,
        }
    }

    fn spoken(&self, text: &str) -> Result<Spoken, &'static str> {
        let all = |fits: fn(u8) -> bool| !text.is_empty() && text.bytes().all(fits);
        Ok(match self {
            Part::Prompt(name) => Spoken::Prompt(name.clone()),
            Part::Digits(_) if all(|sign| sign.is_ascii_digit() || b"*#".contains(&sign)) => {
                Spoken::Digits(text.to_owned())
            }
            Part::Digits(_) => return Err("digits, * and # are wanted"),
            Part::Number(_) => Spoken::Number(text.parse().map_err(|_| "a number is wanted")?),
            Part::Money(money) => money.spoken(text).ok_or("an amount is wanted, e.g. 12.50")?,
            Part::Date(_) => date(text).ok_or("a date is wanted, e.g. 2026-11-22")?,
            Part::Time(_) => time(text).ok_or("a time of day is wanted, e.g. 14:30")?,
            Part::Duration(_) => Spoken::Duration(text.parse().map_err(|_| "seconds are wanted")?),
            Part::Phone(_) => {
                let bare: String =
                    text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
                let digits = bare.strip_prefix('+').unwrap_or(&bare);
                let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                fits.then_some(Spoken::Phone(bare)).ok_or("a telephone number is wanted")?
            }
            Part::Spelled(_)
                if all(|sign| sign.is_ascii_alphanumeric() || b"*#".contains(&sign)) =>
            {
                Spoken::Spelled(text.to_owned())
            }
            Part::Spelled(_) => return Err("Latin letters and digits are wanted"),
        })
    }
}

impl Amount {
    /// In the smallest unit: fen and cents are hundredths, rials have none.
    fn spoken(&self, text: &str) -> Option<Spoken> {
        let places = match self.currency {
            SpokenCurrency::Cny | SpokenCurrency::Usd => 2,
            SpokenCurrency::Irr | SpokenCurrency::Toman => 0,
        };
        let (minus, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // What is not spoken of is not rounded away.
        let part = part.trim_end_matches('0');
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > places {
            return None;
        }
        let amount: i64 = format!("{whole}{part:0<places$}").parse().ok()?;
        Some(Spoken::Money { amount: minus * amount, currency: self.currency })
    }
}

fn date(text: &str) -> Option<Spoken> {
    let bare: String = text.split('-').collect();
    let shape = bare.len() == 8 && bare.bytes().all(|byte| byte.is_ascii_digit());
    let shape = shape && (text.len() == 8 || text.len() == 10);
    let date: jiff::civil::Date = Some(bare).filter(|_| shape)?.parse().ok()?;
    let year = u16::try_from(date.year()).ok().filter(|year| (1900..=2100).contains(year))?;
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    Some(Spoken::Date { year, month, day })
}

fn time(text: &str) -> Option<Spoken> {
    let bare: String = text.split(':').collect();
    if !bare.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(bare.len(), 4 | 6) {
        return None;
    }
    let hour = bare.get(..2)?.parse().ok().filter(|hour| *hour < 24)?;
    let minute = bare.get(2..4)?.parse().ok().filter(|minute| *minute < 60)?;
    Some(Spoken::Time { hour, minute })
}

/// A text with its places filled; `None` where one cannot be.
fn filled<'v>(text: &str, mut value: impl FnMut(usize) -> Option<&'v str>) -> Option<String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}')?;
        whole.push_str(before);
        whole.push_str(value(place.parse().ok()?)?);
        rest = after;
    }
    whole.push_str(rest);
    (!rest.contains('}')).then_some(whole)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn one(part: Part) -> Template {
        Template { language: None, parts: vec![part], keys: 1 }
    }

    fn said(part: Part, value: &str) -> Result<Spoken, Unfit> {
        let say = one(part).say("zh", &[value.to_owned()])?;
        Ok(say.parts[0].clone())
    }

    fn money(currency: SpokenCurrency) -> Part {
        Part::Money(Amount { amount: "{1}".into(), currency })
    }

    #[test]
    fn s3_3_values_are_said_by_their_kind() {
        use SpokenCurrency::{Cny, Irr, Toman};
        let text = || "{1}".to_owned();
        for (part, value, spoken) in [
            (Part::Digits(text()), "0 12".replace(' ', ""), Spoken::Digits("012".into())),
            (Part::Digits("7{1}#".into()), "1".into(), Spoken::Digits("71#".into())),
            (Part::Number(text()), "-15".into(), Spoken::Number(-15)),
            (money(Cny), "12.5".into(), Spoken::Money { amount: 1_250, currency: Cny }),
            (money(Cny), "-0.07".into(), Spoken::Money { amount: -7, currency: Cny }),
            (money(Cny), "3.100".into(), Spoken::Money { amount: 310, currency: Cny }),
            (money(Irr), "50000".into(), Spoken::Money { amount: 50_000, currency: Irr }),
            (money(Toman), "50000.0".into(), Spoken::Money { amount: 50_000, currency: Toman }),
            (
                Part::Date(text()),
                "2026-11-22".into(),
                Spoken::Date { year: 2026, month: 11, day: 22 },
            ),
            (Part::Date(text()), "20280229".into(), Spoken::Date { year: 2028, month: 2, day: 29 }),
            (Part::Time(text()), "14:05".into(), Spoken::Time { hour: 14, minute: 5 }),
            (Part::Time(text()), "000000".into(), Spoken::Time { hour: 0, minute: 0 }),
            (Part::Duration(text()), " 90 ".into(), Spoken::Duration(90)),
            (Part::Phone(text()), "+86 138-0013".into(), Spoken::Phone("+861380013".into())),
            (Part::Spelled(text()), "4aZ".into(), Spoken::Spelled("4aZ".into())),
        ] {
            assert_eq!(said(part.clone(), &value), Ok(spoken), "{part:?} {value}");
        }
        for (part, value) in [
            (Part::Digits(text()), "1a"),
            (Part::Digits(text()), ""),
            (Part::Number(text()), "1.5"),
            (money(Cny), "1.005"),
            (money(Cny), ".5"),
            (money(Irr), "1.5"),
            (money(Cny), "99999999999999999999"),
            (Part::Date(text()), "2026-02-30"),
            (Part::Date(text()), "1899-01-01"),
            (Part::Time(text()), "24:00"),
            (Part::Time(text()), "9:00"),
            (Part::Phone(text()), "+"),
            (Part::Spelled(text()), "ä"),
        ] {
            assert!(
                matches!(said(part.clone(), value), Err(Unfit::Part(0, _))),
                "{part:?} {value}"
            );
        }
    }

    #[test]
    fn s3_3_places_are_filled_in_order_and_no_value_names_an_announcement() {
        let template = Template {
            language: Some("en".into()),
            parts: vec![
                Part::Prompt("{1}".into()),
                Part::Digits("{2}{1}".into()),
                Part::Number("{2}".into()),
            ],
            keys: 1,
        };
        let values = ["7".to_owned(), "42".to_owned()];
        let say = template.say("zh", &values).unwrap();
        assert_eq!(say.language, "en");
        let parts =
            [Spoken::Prompt("{1}".into()), Spoken::Digits("427".into()), Spoken::Number(42)];
        assert_eq!(say.parts, parts);
        let short = template.say("zh", &values[..1]);
        assert_eq!(short, Err(Unfit::Values { wanted: 2, given: 1 }));
        // A value is a value, whatever it looks like.
        assert!(template.say("zh", &["{2}".to_owned(), "1".to_owned()]).is_err());
        for wrong in ["{0}", "{33}", "{x}", "{1", "1}", "{}"] {
            assert!(one(Part::Digits(wrong.into())).places().is_err(), "{wrong}");
        }
    }
}
