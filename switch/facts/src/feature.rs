//! What an extension may dial besides numbers: a code, and perhaps digits behind it.
//!
//! One table: a feature is a variant, its word for the settings, the code it has unless the operator says
//! otherwise, and what follows the code. `*871` asks for the pick-up of 71 where `*8` is the code.

use std::collections::BTreeMap;

/// A service that is dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Feature {
    /// Take a call that rings at another extension; without digits, any that rings (RFC 5359 §2.16).
    Pickup,
    /// Where a call is sent to be parked (RFC 5359 §2.15).
    Park,
    /// Take a parked call: that of the extension whose number follows, or one's own.
    Retrieve,
    /// All calls go to the number that follows (RFC 5359 §2.7).
    AlwaysOn,
    /// They do not any more.
    AlwaysOff,
    /// Calls that find it busy go to the number that follows (RFC 5359 §2.8).
    BusyOn,
    /// They do not any more.
    BusyOff,
    /// Calls that it does not answer go to the number that follows (RFC 5359 §2.9).
    NoAnswerOn,
    /// They do not any more.
    NoAnswerOff,
    /// It does not want to be disturbed.
    DndOn,
    /// It may be disturbed again.
    DndOff,
    /// Hear what callers have left in its mailbox.
    Voicemail,
}

/// What may follow a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// Nothing.
    None,
    /// Digits or nothing.
    Optional,
    /// Digits.
    Required,
}

impl Feature {
    /// All, in the order of their declaration.
    pub const ALL: [Feature; 12] = [
        Feature::Pickup,
        Feature::Park,
        Feature::Retrieve,
        Feature::AlwaysOn,
        Feature::AlwaysOff,
        Feature::BusyOn,
        Feature::BusyOff,
        Feature::NoAnswerOn,
        Feature::NoAnswerOff,
        Feature::DndOn,
        Feature::DndOff,
        Feature::Voicemail,
    ];

    /// Its word, below `features` in the settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Feature::Pickup => "pickup",
            Feature::Park => "park",
            Feature::Retrieve => "retrieve",
            Feature::AlwaysOn => "forward",
            Feature::AlwaysOff => "forward_off",
            Feature::BusyOn => "forward_busy",
            Feature::BusyOff => "forward_busy_off",
            Feature::NoAnswerOn => "forward_no_answer",
            Feature::NoAnswerOff => "forward_no_answer_off",
            Feature::DndOn => "dnd",
            Feature::DndOff => "dnd_off",
            Feature::Voicemail => "voicemail",
        }
    }

    /// The code it has unless the operator says otherwise.
    #[must_use]
    pub const fn usual(self) -> &'static str {
        match self {
            Feature::Pickup => "*8",
            Feature::Park => "*70",
            Feature::Retrieve => "*71",
            Feature::AlwaysOn => "*72",
            Feature::AlwaysOff => "*73",
            Feature::BusyOn => "*90",
            Feature::BusyOff => "*91",
            Feature::NoAnswerOn => "*92",
            Feature::NoAnswerOff => "*93",
            Feature::DndOn => "*78",
            Feature::DndOff => "*79",
            Feature::Voicemail => "*97",
        }
    }

    /// What may follow its code.
    #[must_use]
    pub const fn argument(self) -> Argument {
        match self {
            Feature::AlwaysOn | Feature::BusyOn | Feature::NoAnswerOn => Argument::Required,
            Feature::Park
            | Feature::AlwaysOff
            | Feature::BusyOff
            | Feature::NoAnswerOff
            | Feature::DndOn
            | Feature::DndOff
            | Feature::Voicemail => Argument::None,
            Feature::Pickup | Feature::Retrieve => Argument::Optional,
        }
    }
}

/// The codes of an installation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features {
    /// A feature that has none is off.
    codes: BTreeMap<Feature, String>,
}

impl Default for Features {
    fn default() -> Features {
        let usual = |feature: Feature| (feature, feature.usual().to_owned());
        Features { codes: Feature::ALL.map(usual).into() }
    }
}

impl Features {
    /// Longest code.
    pub const CODE_MAX: usize = 8;

    /// None at all.
    #[must_use]
    pub const fn off() -> Features {
        Features { codes: BTreeMap::new() }
    }

    /// Gives a feature its code; an empty one turns it off.
    ///
    /// # Errors
    /// What is wrong with the code, in words: it begins with `*` or `#`, so that it is never the beginning
    /// of a number, digits follow, and no other feature has the same.
    pub fn set(&mut self, feature: Feature, code: &str) -> Result<(), String> {
        if code.is_empty() {
            self.codes.remove(&feature);
            return Ok(());
        }
        let key = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#');
        if !code.starts_with(['*', '#']) || !code.bytes().all(key) || code.len() > Self::CODE_MAX {
            return Err(format!(
                "`{code}` is no code: `*` or `#` and then digits, {} keys at most",
                Self::CODE_MAX
            ));
        }
        let same = |(other, known): &(&Feature, &String)| **other != feature && *known == code;
        if let Some((other, _)) = self.codes.iter().find(same) {
            return Err(format!("`{code}` is the code of features.{} already", other.word()));
        }
        self.codes.insert(feature, code.to_owned());
        Ok(())
    }

    /// The code of a feature, unless it is off.
    #[must_use]
    pub fn code(&self, feature: Feature) -> Option<&str> {
        self.codes.get(&feature).map(String::as_str)
    }

    /// Reads what somebody dialled: the feature with the longest code that it begins with, and the digits
    /// behind it. `None`: it is no code.
    #[must_use]
    pub fn read<'a>(&self, dialled: &'a str) -> Option<(Feature, &'a str)> {
        // Nearly every call: a number.
        if !dialled.starts_with(['*', '#']) {
            return None;
        }
        let mut found: Option<(Feature, &str)> = None;
        for (feature, code) in &self.codes {
            let Some(rest) = dialled.strip_prefix(code.as_str()) else { continue };
            let fits = match feature.argument() {
                Argument::None => rest.is_empty(),
                Argument::Optional => true,
                Argument::Required => !rest.is_empty(),
            };
            let longest = found.is_none_or(|(_, other)| rest.len() < other.len());
            if fits && longest {
                found = Some((*feature, rest));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dialled_is_read_by_the_longest_code() {
        let mut features = Features::default();
        for (dialled, read) in [
            ("*880001", Some((Feature::Pickup, "80001"))),
            ("*8", Some((Feature::Pickup, ""))),
            ("*70", Some((Feature::Park, ""))),
            ("*705", None),
            ("*7180001", Some((Feature::Retrieve, "80001"))),
            ("*71", Some((Feature::Retrieve, ""))),
            ("*7280001", Some((Feature::AlwaysOn, "80001"))),
            ("*72", None),
            ("*73", Some((Feature::AlwaysOff, ""))),
            ("*731", None),
            ("80001", None),
            ("", None),
            ("*", None),
            ("*6", None),
        ] {
            assert_eq!(features.read(dialled), read, "{dialled}");
        }
        features.set(Feature::Retrieve, "*").unwrap();
        assert_eq!(features.read("*88"), Some((Feature::Pickup, "8")));
        assert_eq!(features.read("*55"), Some((Feature::Retrieve, "55")));
        features.set(Feature::Pickup, "").unwrap();
        assert_eq!(features.read("*88"), Some((Feature::Retrieve, "88")));
        assert_eq!(Features::off().read("*8"), None);
    }

    #[test]
    fn a_code_is_nobodys_number_and_nobody_elses_code() {
        let mut features = Features::default();
        for wrong in ["8", "0*8", "*a", "*8 ", "*123456789", "＊8"] {
            assert!(features.set(Feature::Park, wrong).is_err(), "{wrong}");
        }
        assert!(features.set(Feature::Park, "*8").unwrap_err().contains("features.pickup"));
        assert_eq!(features.code(Feature::Park), Some("*70"), "as it was");
        features.set(Feature::Park, "#5").unwrap();
        assert_eq!(features.read("#5"), Some((Feature::Park, "")));
        // The usual ones are codes, and each is read as what it is.
        for feature in Feature::ALL {
            let mut fresh = Features::off();
            fresh.set(feature, feature.usual()).unwrap();
            let dialled = format!(
                "{}{}",
                feature.usual(),
                match feature.argument() {
                    Argument::None | Argument::Optional => "",
                    Argument::Required => "1",
                }
            );
            assert_eq!(Features::default().read(&dialled).map(|(read, _)| read), Some(feature));
        }
    }
}
