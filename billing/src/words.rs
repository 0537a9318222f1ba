//! Words for people who wrote something that cannot be.

/// Words that are less alike are no help; 1 is equal.
const LIKE: f64 = 0.6;

/// The known word that somebody who wrote `word` may have meant.
#[must_use]
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(word, known);
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// The same as the end of a complaint; empty when no word is near.
#[must_use]
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    near(word, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// Serde's complaint in words that need no programmer. What it does not know stays as it is.
#[must_use]
pub fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    if let Some(rest) = line.strip_prefix("unknown field `") {
        let (word, known) = words(rest);
        return format!("no such field{}", meant(word, known));
    }
    if let Some(rest) = line.strip_prefix("unknown variant `") {
        let (word, known) = words(rest);
        return format!("`{word}` is none of {}{}", known.join(", "), meant(word, known));
    }
    let wrong = line
        .strip_prefix("invalid type: ")
        .or_else(|| line.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "));
    match wrong {
        Some((given, wanted)) => {
            let given = thing(given);
            // A fraction or a text is told from a number that does not fit.
            let wanted = kind(wanted, given.starts_with('-'));
            format!("takes {wanted}, not {given}")
        }
        None => line.to_owned(),
    }
}

/// `x`, expected one of `a`, `b`: what was written, and what may be.
fn words(rest: &str) -> (&str, Vec<&str>) {
    let mut words = rest.split('`').step_by(2);
    let word = words.next().unwrap_or_default();
    // What stands behind the last mark is no word.
    (word, words.filter(|word| !word.is_empty()).collect())
}

/// What was given: `string "many"`, `integer `5``, `boolean `true``, `map`.
fn thing(given: &str) -> String {
    match given.split_once(' ').map_or((given, ""), |(kind, rest)| (kind, rest)) {
        ("string", text) => format!("the text {text}"),
        ("integer" | "boolean", value) => value.trim_matches('`').to_owned(),
        ("floating", value) => value.trim_start_matches("point ").trim_matches('`').to_owned(),
        ("null" | "unit", _) => "nothing".into(),
        ("map", _) => "a table".into(),
        ("sequence", _) => "a list".into(),
        _ => given.to_owned(),
    }
}

/// What is taken.
fn kind(wanted: &str, negative: bool) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" if negative => "a whole number from 0 up",
        "u8" => "a whole number up to 255",
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" | "i64" | "i32" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "string or map" => "text",
        "a sequence" => "a list",
        _ if wanted.starts_with("struct ") => "a table",
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let known = ["max_calls", "calls_per_second", "caller_id"];
        assert_eq!(near("max_call", known), Some("max_calls"));
        assert_eq!(near("callerid", known), Some("caller_id"));
        assert_eq!(near("colour", known), None);
        assert_eq!(meant("max_call", known), "; did you mean max_calls?");
        assert_eq!(meant("colour", known), "");
    }

    #[test]
    fn serdes_complaints_need_no_programmer() {
        for (said, told) in [
            (
                "invalid type: string \"x\", expected u32",
                "takes a whole number, not the text \"x\"",
            ),
            ("invalid value: integer `-5`, expected u16", "takes a whole number from 0 up, not -5"),
            (
                "invalid value: integer `300`, expected u8",
                "takes a whole number up to 255, not 300",
            ),
            ("invalid type: floating point `1.5`, expected u32", "takes a whole number, not 1.5"),
            ("invalid type: boolean `true`, expected a string", "takes text, not true"),
            ("invalid type: map, expected a sequence", "takes a list, not a table"),
            ("invalid type: null, expected struct Probe", "takes a table, not nothing"),
            ("unknown field `x`, there are no fields", "no such field"),
            (
                "unknown variant `udq`, expected `udp` or `tcp`",
                "`udq` is none of udp, tcp; did you mean udp?",
            ),
            ("a currency is three capital letters", "a currency is three capital letters"),
        ] {
            assert_eq!(plain(said), told);
        }
    }
}
