//! Limits of the HTTP doors and of the deliveries.

use std::time::Duration;

use super::values::{one, one_of, parsed};

/// What the HTTP listeners, the merchants' systems and the delivery of notifications are limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebKnobs {
    /// Connections at one time at most, each listener.
    pub(crate) connections: usize,
    /// The same from one address.
    pub(crate) connections_per_address: usize,
    /// For a request's head to arrive.
    pub(crate) header_timeout: Duration,
    /// Bytes of a request's head.
    pub(crate) header_max: usize,
    /// For a request's body to arrive.
    pub(crate) body_timeout: Duration,
    /// Bytes of a merchant's body.
    pub(crate) body_max: usize,
    /// From a request's head to the head of its answer.
    pub(crate) request_timeout: Duration,
    /// For a client to take more of an answer.
    pub(crate) write_timeout: Duration,
    /// For the switch to take a call.
    pub(crate) place_timeout: Duration,
    /// Requests a second from one address, and at once; `None`: no limit.
    pub(crate) address_rate: Option<Pace>,
    /// Signed requests a second of one merchant, and at once; `None`: no limit.
    pub(crate) merchant_rate: Option<Pace>,
    /// System 001: how far a timestamp may be from ours.
    pub(crate) ytx_validity: Duration,
    /// System 001: a credit of 60 or less is refused and not raised.
    pub(crate) ytx_strict: bool,
    /// For a whole delivery.
    pub(crate) push_timeout: Duration,
    /// For the TCP and TLS handshakes of a delivery.
    pub(crate) push_connect: Duration,
    /// Deliveries at one time.
    pub(crate) push_at_once: usize,
    /// The same to one receiver.
    pub(crate) push_per_endpoint: usize,
    /// Silences in a row after which a receiver is left alone.
    pub(crate) push_circuit_after: u32,
    /// For how long.
    pub(crate) push_circuit_pause: Duration,
}

/// How many a second in the long run, and how many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Default for WebKnobs {
    fn default() -> Self {
        WebKnobs {
            connections: 4096,
            connections_per_address: 2048,
            header_timeout: Duration::from_secs(10),
            header_max: 16 * 1024,
            body_timeout: Duration::from_secs(30),
            body_max: 64 * 1024,
            request_timeout: Duration::from_secs(45),
            write_timeout: Duration::from_secs(30),
            place_timeout: Duration::from_secs(2),
            address_rate: Some(Pace { per_second: 1000, burst: 2000 }),
            merchant_rate: Some(Pace { per_second: 500, burst: 1000 }),
            ytx_validity: Duration::from_secs(24 * 3600),
            ytx_strict: false,
            push_timeout: Duration::from_secs(10),
            push_connect: Duration::from_secs(5),
            push_at_once: 1024,
            push_per_endpoint: 8,
            push_circuit_after: 10,
            push_circuit_pause: Duration::from_secs(30),
        }
    }
}

/// `500/1000`: so many a second, so many at once. `500` alone: the same at once.
pub(super) fn pace(values: &[String]) -> Result<Pace, String> {
    let text = one(values)?;
    let (rate, burst) = text.split_once('/').unwrap_or((text, text));
    let number = |part: &str| part.trim().parse::<u32>().ok().filter(|n| *n > 0);
    match (number(rate), number(burst)) {
        (Some(per_second), Some(burst)) => Ok(Pace { per_second, burst }),
        _ => Err(format!("`{text}` is not a rate like 500 or 500/1000 (a second, at once)")),
    }
}

/// As [`pace`] reads it.
pub(super) fn show_pace(pace: Pace) -> Vec<String> {
    vec![format!("{}/{}", pace.per_second, pace.burst)]
}

/// `yes` or `no`.
pub(super) fn yes(values: &[String]) -> Result<bool, String> {
    Ok(one_of(values, &["yes", "no", "true", "false"])?.starts_with(['y', 't']))
}

/// As [`yes`] reads it.
pub(super) fn show_yes(value: bool) -> Vec<String> {
    vec![if value { "yes" } else { "no" }.to_owned()]
}

/// Bytes: a number, or one with `k` or `M` (1024 and its square) behind it.
pub(super) fn bytes(values: &[String]) -> Result<usize, String> {
    let text = one(values)?;
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1024),
        Some(b'M') => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    let count = number.trim().parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
    match count {
        Some(count) if (1024..=BYTES_MAX).contains(&count) => Ok(count),
        Some(_) => Err("must be from 1k to 64M".into()),
        None => Err(format!("`{text}` is not a size like 65536, 64k or 1M")),
    }
}

/// As [`bytes()`] reads it.
pub(super) fn show_bytes(count: usize) -> Vec<String> {
    vec![if count.is_multiple_of(1024) { format!("{}k", count / 1024) } else { count.to_string() }]
}

/// A number from 1.
pub(super) fn some(values: &[String]) -> Result<u32, String> {
    match parsed::<u32>(values, "a number")? {
        0 => Err("must be at least 1".into()),
        number => Ok(number),
    }
}

/// A body or a head of a request that is larger is a mistake.
const BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_sizes_are_read_as_people_write_them() {
        let read = |text: &str| pace(&[text.to_owned()]);
        assert_eq!(read("500/1000"), Ok(Pace { per_second: 500, burst: 1000 }));
        assert_eq!(read("7"), Ok(Pace { per_second: 7, burst: 7 }));
        for wrong in ["", "0", "1/0", "a/b", "1/2/3", "-1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let read = |text: &str| bytes(&[text.to_owned()]);
        assert_eq!((read("64k"), read("65537"), read("1M")), (Ok(65536), Ok(65537), Ok(1 << 20)));
        for wrong in ["", "k", "1", "65M", "64 apples", "99999999999999999999M"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (show_bytes(65536), show_bytes(65537)),
            (vec!["64k".into()], vec!["65537".into()])
        );
    }
}
