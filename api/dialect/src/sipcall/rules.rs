//! Reading parameters by the framework's rules: what is missing, too short, too long, or none of the words.

use super::fault::Fault;
use super::params::Params;

/// Parameters, read one by one in the order of a service's rules: the first that is wrong is told.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a>(pub &'a Params);

impl<'a> Rules<'a> {
    /// A text that has to be there; its bytes are counted. An empty one is there.
    ///
    /// # Errors
    /// What the framework says.
    pub fn text(self, name: &'static str, (min, max): (i64, i64)) -> Result<&'a str, Fault> {
        let value = self.0.get(name).ok_or(Fault::Missing(name))?;
        sized(name, value, (min, max))
    }

    /// A text; what is not there is empty.
    ///
    /// # Errors
    /// What the framework says of one that is too long.
    pub fn maybe(self, name: &'static str, max: i64) -> Result<&'a str, Fault> {
        self.0.get(name).map_or(Ok(""), |value| sized(name, value, (0, max)))
    }

    /// A whole number that has to be there, read as PHP reads numbers.
    ///
    /// # Errors
    /// What the framework says.
    pub fn int(self, name: &'static str, (min, max): (i64, i64)) -> Result<i64, Fault> {
        let value = intval(self.0.get(name).ok_or(Fault::Missing(name))?);
        ranged(name, value, (min, max))
    }

    /// A whole number, or what it is when nobody says.
    ///
    /// # Errors
    /// What the framework says of one that is too small or too large.
    pub fn int_or(
        self,
        name: &'static str,
        default: i64,
        (min, max): (i64, i64),
    ) -> Result<i64, Fault> {
        let value = self.0.get(name).map_or(default, intval);
        ranged(name, value, (min, max))
    }

    /// One of these words; the first when nobody says.
    ///
    /// # Errors
    /// What the framework says of another word.
    pub fn word(
        self,
        name: &'static str,
        range: &'static [&'static str],
    ) -> Result<&'static str, Fault> {
        let Some(value) = self.0.get(name) else {
            return Ok(range.first().copied().unwrap_or_default());
        };
        let found = range.iter().copied().find(|word| *word == value);
        found.ok_or_else(|| Fault::NoneOf { name, range, value: value.to_owned() })
    }
}

fn sized<'a>(name: &str, value: &'a str, (min, max): (i64, i64)) -> Result<&'a str, Fault> {
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    ranged(&format!("{name}.len"), length, (min, max)).map(|_| value)
}

fn ranged(name: &str, value: i64, (min, max): (i64, i64)) -> Result<i64, Fault> {
    let name = || name.to_owned();
    if value < min {
        return Err(Fault::Below { name: name(), min, value });
    }
    if value > max {
        return Err(Fault::Above { name: name(), max, value });
    }
    Ok(value)
}

/// PHP's `intval`: blanks, a sign, and digits as far as they go; what does not begin so is 0. A fraction is cut off, an
/// exponent is read.
fn intval(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(&text[sign..]);
    let mut end = sign + whole;
    let mut fraction = 0;
    if text[end..].starts_with('.') {
        fraction = digits(&text[end + 1..]);
        end += usize::from(whole + fraction > 0) * (1 + fraction);
    }
    if whole + fraction == 0 {
        return 0;
    }
    let exponent = text[end..].strip_prefix(['e', 'E']).map(|rest| {
        let sign = usize::from(rest.starts_with(['+', '-']));
        (digits(&rest[sign..]) > 0).then(|| 1 + sign + digits(&rest[sign..]))
    });
    let exponent = exponent.flatten();
    if fraction == 0 && exponent.is_none() {
        let negative = text.starts_with('-');
        // Beyond 64 bits it is the nearest.
        let nearest = if negative { i64::MIN } else { i64::MAX };
        return text[..sign + whole].trim_start_matches('+').parse().unwrap_or(nearest);
    }
    let number: f64 = text[..end + exponent.unwrap_or(0)].parse().unwrap_or(0.0);
    truncated(number)
}

#[allow(clippy::cast_possible_truncation, reason = "the cast saturates, and is what is wanted")]
fn truncated(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn s4_1_numbers_are_read_as_php_reads_them() {
        for (text, value) in [
            ("", 0),
            ("abc", 0),
            ("0", 0),
            ("42", 42),
            (" 42", 42),
            ("42abc", 42),
            ("-7", -7),
            ("+7", 7),
            ("1.9", 1),
            ("-1.9", -1),
            (".5", 0),
            (".", 0),
            ("-", 0),
            ("1e3", 1000),
            ("1e", 1),
            ("1e+", 1),
            ("1.5e2x", 150),
            ("0x1A", 0),
            ("012", 12),
            ("1 2", 1),
            ("１", 0),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(intval(text), value, "{text}");
        }
    }

    #[test]
    fn s4_1_missing_lengths_ranges_and_words() {
        let mut params = Params::default();
        params.form("a=&b=%E6%B5%8B&n=abc&w=x".as_bytes());
        let rules = Rules(&params);
        assert_eq!(rules.text("z", (0, 9)), Err(Fault::Missing("z")));
        assert_eq!(rules.text("a", (0, 9)), Ok(""), "an empty one is there");
        let below = Fault::Below { name: "a.len".into(), min: 1, value: 0 };
        assert_eq!(rules.text("a", (1, 9)), Err(below));
        assert_eq!(rules.text("b", (3, 3)), Ok("测"), "lengths are bytes");
        let above = Fault::Above { name: "b.len".into(), max: 2, value: 3 };
        assert_eq!(rules.maybe("b", 2), Err(above));
        assert_eq!((rules.maybe("z", 2), rules.int_or("z", 7, (1, 9))), (Ok(""), Ok(7)));
        let below = Fault::Below { name: "n".into(), min: 1, value: 0 };
        assert_eq!((rules.int("n", (0, 9)), rules.int("n", (1, 9))), (Ok(0), Err(below)));
        assert_eq!(rules.word("z", &["p", "q"]), Ok("p"));
        let none = Fault::NoneOf { name: "w", range: &["p", "q"], value: "x".into() };
        assert_eq!(rules.word("w", &["p", "q"]), Err(none));
    }

    proptest! {
        #[test]
        fn any_text_is_a_number(text in ".{0,30}") { let _ = intval(&text); }

        #[test]
        fn whole_numbers_are_themselves(value in any::<i64>()) {
            prop_assert_eq!(intval(&value.to_string()), value);
        }
    }
}
