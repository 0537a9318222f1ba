//! Where an extension can be reached: what a REGISTER left behind (RFC 3261 §10), kept over restarts.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::settings::Transport;
use crate::time::UnixMillis;

/// One registered contact. The pair (`user`, `key`) is unique.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// The extension.
    pub user: String,
    /// What makes a contact the same contact at the next REGISTER: its `+sip.instance` and `reg-id`
    /// when it has them (RFC 5626 §6), else its URI.
    pub key: String,
    /// Contact URI, as registered.
    pub contact: String,
    /// Preference in thousandths (RFC 3261 §20.10).
    pub q: u16,
    /// When it lapses.
    pub expires: UnixMillis,
    /// Call-ID of the REGISTER that made it (RFC 3261 §10.3 step 7).
    pub call_id: String,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// Transport it came by.
    pub transport: Transport,
    /// Our address it came to.
    pub local: SocketAddr,
    /// Address it came from: where requests to it go, whatever the contact says (NAT).
    pub remote: SocketAddr,
    /// The proxies that requests to it go by, nearest to us first: the Path of its REGISTER (RFC 3327).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// When it was made or last refreshed.
    pub updated: UnixMillis,
}
