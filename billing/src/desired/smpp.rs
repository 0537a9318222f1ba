//! Lines to networks by SMPP, as the operator's file has them.

use serde::{Deserialize, Serialize};

use super::yes;
use crate::smpp::{Alphabet, Bind, Ids, LongTexts, Version};

/// A line to a network's message centre or USSD gateway.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmppLink {
    /// Unique name: letters, digits, `-` and `_`.
    pub name: String,
    /// Where it is: a name or an address.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// TLS from the first byte on; its certificate must be for `host`.
    #[serde(default)]
    pub tls: bool,
    /// Which version of the protocol we say we speak.
    #[serde(default)]
    pub version: Version,
    /// Who we are there: 15 characters at most.
    pub system_id: String,
    /// What proves it: 8 characters at most.
    #[serde(default)]
    pub password: String,
    /// What kind of system we are, where they ask for that: 12 characters at most.
    #[serde(default)]
    pub system_type: String,
    /// One connection for both ways, or one for each.
    #[serde(default)]
    pub bind: Bind,
    /// What messages come from that say nothing themselves.
    #[serde(default)]
    pub sender: String,
    /// Type of number of senders; by their form when absent.
    #[serde(default)]
    pub sender_ton: Option<u8>,
    /// Numbering plan of senders; by their form when absent.
    #[serde(default)]
    pub sender_npi: Option<u8>,
    /// What `data_coding` 0 means there.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// How texts leave that are longer than one message.
    #[serde(default)]
    pub long_texts: LongTexts,
    /// How messages are called when they are taken, and in receipts.
    #[serde(default)]
    pub ids: Ids,
    /// Requests of ours that wait for their answers at one time, at most.
    #[serde(default = "window")]
    pub window: u32,
    /// Messages a second, at most; 0: no limit.
    #[serde(default)]
    pub per_second: u32,
    /// After how many seconds of silence we ask whether they are there.
    #[serde(default = "enquire_seconds")]
    pub enquire_seconds: u32,
    /// It carries short messages.
    #[serde(default = "yes")]
    pub sms: bool,
    /// It carries menus (USSD).
    #[serde(default)]
    pub ussd: bool,
    /// In use.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which process binds it, by its number; every one when absent.
    #[serde(default)]
    pub node: Option<u8>,
}

/// Without its password.
impl std::fmt::Debug for SmppLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SmppLink");
        shown.field("name", &self.name).field("host", &self.host).field("port", &self.port);
        shown.finish_non_exhaustive()
    }
}

fn port() -> u16 {
    2775
}

fn window() -> u32 {
    10
}

fn enquire_seconds() -> u32 {
    30
}
