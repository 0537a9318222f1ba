//! The merchants' languages.
