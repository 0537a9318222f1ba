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

/// A list: what is heard, and what is heard in calls of single merchants, `merchant=what`.
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
                if music.of.insert(merchant, track(what)?).is_some() {
                    return Err(format!("`{value}`: the merchant is named twice"));
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
    std::iter::once(shown(&music.usual)).chain(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<HoldMusic, String> {
        hold_music(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn music_is_for_everybody_or_for_one_and_prints_as_it_was_written() {
        let values = ["waltz", "acme=https://a.example/m.mp3?x=1", "quiet=off"];
        let music = read(&values).unwrap();
        assert_eq!(music.of("other"), Some(&Track::Name("waltz".into())));
        let own = Track::Url("https://a.example/m.mp3?x=1".into());
        assert_eq!(music.of("acme"), Some(&own));
        assert_eq!(music.of("quiet"), None);
        assert_eq!(show_hold_music(&music), values);
        assert_eq!(read(&["off"]).unwrap(), HoldMusic::default());
        let all = read(&["https://a.example/?x=1"]).unwrap();
        assert_eq!(all.of("acme"), Some(&Track::Url("https://a.example/?x=1".into())));
        for wrong in [&["a", "b"][..], &["=x"], &["m=a", "m=b"], &["../x"], &["ftp://a/b"], &[""]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
