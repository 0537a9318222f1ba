//! The wire: messages as bytes, and the values read from them.
//!
//! A [`Message`] is the received bytes with an index over its header lines; nothing is decoded until
//! it is asked for. Typed values ([`Via`], [`NameAddr`], [`Uri`], …) are read tolerantly and print
//! back what was read. A [`Draft`] writes messages. [`stream::Framer`] cuts a TCP stream into
//! messages. This is the only module that names `rsip`, and it never shows it raw network bytes.
//!
//! What it does not do: it keeps no state between messages and takes no decision about them, except
//! the verdicts of [`Message::parse`] (is this a SIP message at all) and [`Message::verify`] (may a
//! server act on this request, RFC 3261 §8.2 and §16.3).

mod compact;
#[cfg(feature = "differential")]
mod differential;
mod draft;
mod error;
mod figures;
mod header;
mod lists;
mod message;
mod method;
mod multipart;
mod name_addr;
mod params;
mod replaces;
mod scan;
mod status;
pub mod stream;
mod uri;
mod values;
mod verify;
mod via;

pub use compact::compact;
#[cfg(feature = "differential")]
pub use differential::differential;
pub use draft::Draft;
pub use error::{HeaderError, ParseError, ParseFault};
pub(crate) use figures::{push_address, push_decimal, push_hex};
pub use header::HeaderName;
pub(crate) use lists::split_commas;
pub use message::Message;
pub use method::Method;
pub use multipart::Part;
pub use name_addr::{Contact, NameAddr};
pub use params::Params;
pub use replaces::Replaces;
pub use status::reason_phrase;
pub use uri::{Host, Scheme, Uri, UriError};
pub use values::{CSeq, RAck, Reason, Refresher, RetryAfter, SessionExpires};
pub use verify::Fault;
pub(crate) use via::RawVia;
pub use via::Via;

/// Most header lines in one message.
pub const HEADERS_MAX: usize = 128;
/// Longest value of one header line, folds included, in bytes.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Longest message, head and body, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest URI, in bytes.
pub const URI_BYTES_MAX: usize = 1024;
/// Most parameters of one URI or header value.
pub const PARAMS_MAX: usize = 64;
/// Most values of one comma list that the typed readers take.
pub const LIST_MAX: usize = 128;
