//! What must hold for any bytes at all.
//!
//! Each target takes bytes as the network gives them and panics if a rule is broken: reading never
//! panics, what was read prints to something that reads the same, limits hold, and an answer can be
//! written where one is due. The corpora under `corpus/<target>/` replay as ordinary tests on stable,
//! each file as it is and under some hundred mutations; `libfuzzer/` holds the thin cargo-fuzz
//! targets for long runs. A crash found there becomes a corpus file. Targets whose name ends in `_ops`
//! read their bytes as a script of operations ([`script`]) and play a whole life of an endpoint or of
//! the engine. What each target holds true is in `docs/reliability.md`.

pub use sip::wire::differential;

pub mod agree;
pub mod conference;
pub mod dialog_ops;
pub mod endpoint;
pub mod engine_ops;
pub mod hearing;
pub mod http;
pub mod media;
pub mod menu_ops;
pub mod mutate;
pub mod peer;
pub mod script;
pub mod sip_text;
pub mod srtp;

/// A target: its name, which is also its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("datagram", sip_text::datagram),
    ("stream", sip_text::stream),
    ("uri", sip_text::uri),
    ("header", sip_text::header),
    ("sdp", sip_text::sdp),
    ("digest_header", sip_text::digest_header),
    ("differential", differential),
    ("endpoint", endpoint::endpoint),
    ("reoffer", agree::reoffer),
    ("framing", agree::framing),
    ("guard", agree::guard),
    ("transaction_ops", dialog_ops::transaction_ops),
    ("dialog_ops", dialog_ops::dialog_ops),
    ("engine_ops", engine_ops::engine_ops),
    ("menu_ops", menu_ops::menu_ops),
    ("ussd", sip_text::ussd),
    ("rtp", media::rtp),
    ("rtcp", media::rtcp),
    ("relay", media::relay),
    ("sound", media::sound),
    ("codec", media::codec),
    ("conference", conference::conference),
    ("ear", hearing::ear),
    ("keypad", hearing::keypad),
    ("callni", http::callni),
    ("http_body", http::http_body),
    ("http_stream", http::http_stream),
    ("ytx", http::ytx),
    ("number", http::number),
    ("stun", endpoint::stun),
    ("srtp_unprotect", srtp::srtp_unprotect),
];
