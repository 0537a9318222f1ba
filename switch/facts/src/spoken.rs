//! What a leg and its far end spoke, and what protected it: for records, not for the way of a packet.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::media::Codec;
use crate::srtp::SrtpSuite;

/// Some codings, each once. Stored as a list of their names, in the order of [`Codec::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Codecs(u8);

impl Codecs {
    /// None of them.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// This one too.
    pub fn add(&mut self, codec: Codec) {
        self.0 |= bit(codec);
    }

    /// Those of both.
    #[must_use]
    pub const fn or(self, more: Codecs) -> Codecs {
        Codecs(self.0 | more.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Codec> {
        Codec::ALL.into_iter().filter(move |codec| self.0 & bit(*codec) != 0)
    }

    /// Their names, with commas between.
    #[must_use]
    pub fn names(self) -> String {
        self.iter().map(Codec::name).collect::<Vec<_>>().join(",")
    }
}

impl FromIterator<Codec> for Codecs {
    fn from_iter<T: IntoIterator<Item = Codec>>(codecs: T) -> Codecs {
        let mut all = Codecs::default();
        codecs.into_iter().for_each(|codec| all.add(codec));
        all
    }
}

impl Serialize for Codecs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Codec::name))
    }
}

impl<'de> Deserialize<'de> for Codecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codecs, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let known = |name: &String| {
            Codec::named(name).ok_or_else(|| D::Error::custom(format!("{name}: no coding")))
        };
        names.iter().map(known).collect()
    }
}

/// Its place among all.
const fn bit(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 1,
        Codec::Pcmu => 1 << 1,
        Codec::G722 => 1 << 2,
        Codec::Opus => 1 << 3,
        Codec::G729 => 1 << 4,
    }
}

/// What was agreed on a leg over its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spoken {
    /// Of each agreement the first coding, which is the one that we send.
    pub agreed: Codecs,
    /// What protected its sound from the first agreement on, the last of several; `None`: nothing did, or not all
    /// the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp: Option<SrtpSuite>,
}

impl Spoken {
    /// Nothing was agreed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.agreed.is_empty()
    }

    /// An agreement: what is sent, and what protects it.
    pub fn agree(&mut self, codec: Codec, srtp: Option<SrtpSuite>) {
        if self.is_none() || self.srtp.is_some() {
            self.srtp = srtp;
        }
        self.agreed.add(codec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_stored_by_name_and_read_back() {
        let mut some = Codecs::default();
        assert!(some.is_empty());
        for codec in Codec::ALL {
            some.add(codec);
            some.add(codec);
            let stored = serde_json::to_string(&some).unwrap();
            assert_eq!(serde_json::from_str::<Codecs>(&stored).unwrap(), some);
        }
        assert_eq!(some.iter().collect::<Vec<_>>(), Codec::ALL);
        let two: Codecs = [Codec::Opus, Codec::Pcma].into_iter().collect();
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"["pcma","opus"]"#);
        assert_eq!(two.names(), "pcma,opus");
        assert!(serde_json::from_str::<Codecs>(r#"["gsm"]"#).is_err());
    }

    #[test]
    fn a_leg_was_protected_if_it_always_was() {
        let suite = |agreements: &[Option<SrtpSuite>]| {
            let mut spoken = Spoken::default();
            agreements.iter().for_each(|srtp| spoken.agree(Codec::Pcma, *srtp));
            spoken.srtp
        };
        let (strong, weak) = (Some(SrtpSuite::Aes256Gcm), Some(SrtpSuite::Aes128Sha1_32));
        assert_eq!(suite(&[]), None);
        assert_eq!(suite(&[strong]), strong);
        assert_eq!(suite(&[strong, weak]), weak, "the last");
        for plain in [&[None, strong][..], &[strong, None], &[strong, None, strong]] {
            assert_eq!(suite(plain), None, "{plain:?}");
        }
    }

    #[test]
    fn rfc4568_6_2_suites_are_stored_by_their_registered_names() {
        let spoken = Spoken {
            agreed: [Codec::G722].into_iter().collect(),
            srtp: Some(SrtpSuite::Aes128Sha1_80),
        };
        let stored = serde_json::to_string(&spoken).unwrap();
        assert_eq!(stored, r#"{"agreed":["g722"],"srtp":"AES_CM_128_HMAC_SHA1_80"}"#);
        assert_eq!(serde_json::from_str::<Spoken>(&stored).unwrap(), spoken);
        for suite in SrtpSuite::ALL {
            let stored = serde_json::to_string(&suite).unwrap();
            assert_eq!(stored, format!("\"{}\"", suite.name()));
        }
    }
}
