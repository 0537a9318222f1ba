//! Settings of sounds that are not announcements: what is heard on hold, and how what lies behind addresses is
//! kept.

use std::time::Duration;

use call::{HoldMusic, Track};

/// How sounds behind addresses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SoundKnobs {
    /// So long they are played without asking their server again.
    pub(crate) fresh: Duration,
    /// So long they are kept on disk after that.
    pub(crate) keep: Duration,
    /// MiB that they may take there.
    pub(crate) cache_mib: u64,
}

impl Default for SoundKnobs {
    fn default() -> Self {
        SoundKnobs {
            fresh: Duration::from_secs(300),
            keep: Duration::from_secs(30 * 24 * 3_600),
            cache_mib: 256,
        }
    }
}

/// A list: what is heard, and what is heard in calls of single merchants, `merchant=what`, and in those that came
/// in for single numbers, `+number=what`.
pub(super) fn hold_music(values: &[String]) -> Result<HoldMusic, String> {
    let mut music = HoldMusic::default();
    let mut usual = false;
    for value in values {
        // An address may have a `=` of its own, but not before its colon.
        let named = value.split_once('=').filter(|(name, _)| !name.contains(':'));
        match named {
            Some((merchant, what)) => {
                let merchant = merchant.trim().to_owned();
                if merchant.is_empty() {
                    return Err(format!("`{value}` names no merchant"));
                }
                let before = match merchant.strip_prefix('+') {
                    None => music.of.insert(merchant, track(what)?),
                    Some(digits) => music.at.insert(number(digits, value)?, track(what)?),
                };
                if before.is_some() {
                    return Err(format!("`{value}`: the merchant or number is named twice"));
                }
            }
            None if usual => return Err(format!("`{value}` is a second one for everybody")),
            None => {
                usual = true;
                music.usual = track(value)?;
            }
        }
    }
    Ok(music)
}

/// The digits of a number as it is called from outside (E.164: 15 at most).
fn number(digits: &str, value: &str) -> Result<String, String> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits && (1..=15).contains(&digits.len()) && !digits.starts_with('0') {
        return Ok(digits.to_owned());
    }
    Err(format!("`{value}` names no number: + and its digits, the country code first"))
}

fn track(value: &str) -> Result<Option<Track>, String> {
    let value = value.trim();
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value == "off" {
        return Ok(None);
    }
    if value.starts_with("http://") || value.starts_with("https://") {
        return Ok(Some(Track::Url(value.to_owned())));
    }
    if value.is_empty() || !value.chars().all(name) {
        return Err(format!("`{value}` is neither the name of an announcement nor an address"));
    }
    Ok(Some(Track::Name(value.to_owned())))
}

pub(super) fn show_hold_music(music: &HoldMusic) -> Vec<String> {
    let shown = |track: &Option<Track>| match track {
        None => "off".to_owned(),
        Some(Track::Name(what) | Track::Url(what)) => what.clone(),
    };
    let of = music.of.iter().map(|(merchant, track)| format!("{merchant}={}", shown(track)));
    let at = music.at.iter().map(|(number, track)| format!("+{number}={}", shown(track)));
    std::iter::once(shown(&music.usual)).chain(of).chain(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<HoldMusic, String> {
        hold_music(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn music_is_for_everybody_or_for_one_and_prints_as_it_was_written() {
        let values =
            ["waltz", "acme=https://a.example/m.mp3?x=1", "quiet=off", "+861087654321=polka"];
        let music = read(&values).unwrap();
        assert_eq!(music.of("other", None), Some(&Track::Name("waltz".into())));
        let own = Track::Url("https://a.example/m.mp3?x=1".into());
        assert_eq!(music.of("acme", None), Some(&own));
        assert_eq!(music.of("quiet", None), None);
        let polka = Track::Name("polka".into());
        for merchant in ["other", "acme", "quiet"] {
            assert_eq!(music.of(merchant, Some("861087654321")), Some(&polka), "{merchant}");
        }
        assert_eq!(music.of("acme", Some("861087654322")), Some(&own), "another number");
        assert_eq!(show_hold_music(&music), values);
        assert_eq!(read(&["off"]).unwrap(), HoldMusic::default());
        let all = read(&["https://a.example/?x=1"]).unwrap();
        assert_eq!(all.of("acme", None), Some(&Track::Url("https://a.example/?x=1".into())));
        for wrong in [&["a", "b"][..], &["=x"], &["m=a", "m=b"], &["../x"], &["ftp://a/b"], &[""]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [&["+=x"][..], &["+86a=x"], &["+0861=x"], &["+861=x", "+861=y"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
