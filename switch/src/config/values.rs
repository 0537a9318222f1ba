//! Values as people write them.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use billing::words;
use facts::media::Codec;

/// The one value of a setting that is no list.
pub(super) fn one(values: &[String]) -> Result<&str, String> {
    match values {
        [value] => Ok(value),
        [] => Err("is empty".into()),
        _ => Err("takes one value, not a list".into()),
    }
}

/// Anything that parses; `what` names it in the complaint.
pub(super) fn parsed<T: FromStr>(values: &[String], what: &str) -> Result<T, String> {
    let value = one(values)?;
    value.parse().map_err(|_| format!("`{value}` is not {what}"))
}

/// A list of socket addresses; `off` or an empty list turns the listener off.
pub(super) fn addresses(values: &[String]) -> Result<Vec<SocketAddr>, String> {
    if values == ["off"] {
        return Ok(Vec::new());
    }
    values.iter().map(|value| address(value)).collect()
}

/// `address:port`.
pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        format!("`{value}` is not an address and port like 127.0.0.1:5060 or [::1]:5060")
    })
}

/// An address that peers are told, with or without a port; without is port 0.
pub(super) fn advertised(value: &str) -> Result<SocketAddr, String> {
    let address = value
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, 0))
        .or_else(|_| value.parse())
        .map_err(|_| format!("`{value}` is not an address, with or without a port"))?;
    told(address.ip()).map(|_| address)
}

/// A list of name servers: addresses, with or without a port.
pub(super) fn name_servers(values: &[String]) -> Result<Vec<SocketAddr>, String> {
    let server = |value: &String| {
        let whole = value
            .parse()
            .or_else(|_| value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, crate::dns::PORT)));
        whole.map_err(|_| format!("`{value}` is not an address like 192.0.2.53 or [::1]:5353"))
    };
    values.iter().map(server).collect()
}

/// What peers are told must be an address that they can send to.
pub(super) fn told(ip: IpAddr) -> Result<IpAddr, String> {
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) {
        return Err(format!(
            "nobody can send to `{ip}`: name the address at which peers reach this machine, or `off`"
        ));
    }
    Ok(ip)
}

/// `500ms`, `4s`, `5m`, `1h`, `90d`, or several together, the longest unit first: `8m20s`. A number without a unit
/// is refused: whoever thinks of milliseconds and whoever thinks of seconds would both be sure. 0 needs none.
pub(super) fn duration(values: &[String]) -> Result<Duration, String> {
    let value = one(values)?;
    let complaint = || format!("`{value}` is not a time like 500ms, 4s or 8m20s");
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        if value.bytes().all(|byte| byte == b'0') {
            return Ok(Duration::ZERO);
        }
        let either = format!("`{value}ms` for milliseconds, `{value}s` for seconds");
        return Err(format!("`{value}` has no unit: write {either}"));
    }
    let (mut rest, mut sum, mut last) = (value, Duration::ZERO, UNITS.len());
    while last == UNITS.len() || !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| complaint())?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let known = UNITS.iter().position(|(name, _)| *name == unit);
        let unit = known.filter(|unit| *unit < last).ok_or_else(complaint)?;
        let part = number.checked_mul(UNITS[unit].1).map(Duration::from_millis);
        sum = part.and_then(|part| sum.checked_add(part)).ok_or_else(complaint)?;
        (rest, last) = (tail, unit);
    }
    if sum <= DURATION_MAX { Ok(sum) } else { Err(format!("`{value}` is longer than a year")) }
}

/// Units of time by their milliseconds, the shortest first.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration that must not be zero.
pub(super) fn positive(values: &[String]) -> Result<Duration, String> {
    let time = duration(values)?;
    if time.is_zero() { Err("must be longer than nothing".into()) } else { Ok(time) }
}

/// A duration of whole seconds, at least one.
pub(super) fn seconds(values: &[String]) -> Result<Duration, String> {
    let time = positive(values)?;
    if time.subsec_nanos() == 0 { Ok(time) } else { Err("must be whole seconds".into()) }
}

/// As [`duration`] reads it.
pub(super) fn show_duration(time: Duration) -> Vec<String> {
    let ms = time.as_millis();
    vec![if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }]
}

/// `off`, or anything else that `some` reads.
pub(super) fn or_off<T>(
    values: &[String],
    some: impl FnOnce(&[String]) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if values.len() == 1 && values[0] == "off" { Ok(None) } else { some(values).map(Some) }
}

/// `20000-29999`: even start, odd end, at least one pair.
pub(super) fn ports(values: &[String]) -> Result<RangeInclusive<u16>, String> {
    let value = one(values)?;
    let complaint = || format!("`{value}` is not a port range like 20000-29999");
    let (low, high) = value.split_once('-').ok_or_else(complaint)?;
    let low: u16 = low.trim().parse().map_err(|_| complaint())?;
    let high: u16 = high.trim().parse().map_err(|_| complaint())?;
    if low < 1024 || high <= low {
        return Err(format!("`{value}` must rise, above 1023, and hold at least two ports"));
    }
    Ok(low..=high)
}

/// One of some words.
/// A number of threads, 1 to 256; `None` for `cores`.
pub(super) fn threads(values: &[String]) -> Result<Option<usize>, String> {
    if one(values)? == "cores" {
        return Ok(None);
    }
    let count: usize = parsed(values, "a number of threads, or `cores`")?;
    if (1..=256).contains(&count) { Ok(Some(count)) } else { Err("1 to 256 threads".to_owned()) }
}

/// Names of codecs, each once, at least one.
pub(super) fn codecs(values: &[String]) -> Result<Vec<Codec>, String> {
    let mut codecs = Vec::new();
    for value in values {
        let named = Codec::named(value).ok_or_else(|| {
            format!("\"{value}\" is none of {}", Codec::ALL.map(Codec::name).join(", "))
        })?;
        if codecs.contains(&named) {
            return Err(format!("{value} is named twice"));
        }
        codecs.push(named);
    }
    if codecs.is_empty() { Err("at least one codec is needed".to_owned()) } else { Ok(codecs) }
}

pub(super) fn one_of<'a>(values: &'a [String], allowed: &[&str]) -> Result<&'a str, String> {
    let value = one(values)?;
    if allowed.contains(&value) {
        Ok(value)
    } else {
        let meant = words::meant(value, allowed.iter().copied());
        Err(format!("`{value}` is none of {}{meant}", allowed.join(", ")))
    }
}

/// A year: nobody means more.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| duration(&[text.to_owned()]);
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read("0"), Ok(Duration::ZERO));
        assert_eq!(read("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(read("8m20s"), Ok(Duration::from_secs(500)));
        assert_eq!(read("1h30m1s5ms"), Ok(Duration::from_millis(5_401_005)));
        assert!(read("500").unwrap_err().contains("`500ms` for milliseconds, `500s` for seconds"));
        let long = ["99999999999999999999h", "999999999999999h", "9000h"];
        for wrong in ["", "s", "4 parsecs", "-1s", "1.5s", "20s8m", "8m8m", "8m20", "é"]
            .into_iter()
            .chain(long)
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show_duration(Duration::from_millis(1500)), ["1500ms"]);
    }

    #[test]
    fn peers_are_told_an_address_that_they_can_send_to() {
        for right in ["192.0.2.7", "192.0.2.7:5070", "2001:db8::1", "[2001:db8::1]:5060"] {
            assert!(advertised(right).is_ok(), "{right}");
        }
        for wrong in ["0.0.0.0", "0.0.0.0:5060", "::", "[::]:5060", "224.0.1.75", "255.255.255.255"]
        {
            let why = advertised(wrong).unwrap_err();
            assert!(why.contains("nobody can send to"), "{why}");
        }
        let read = |text: &str| told(text.parse().expect("an address"));
        assert_eq!(read("192.0.2.7"), Ok([192, 0, 2, 7].into()));
        assert!(read("0.0.0.0").unwrap_err().contains("or `off`"));
    }

    #[test]
    fn name_servers_have_the_port_of_names_unless_another_is_named() {
        let read = |text: &str| name_servers(&[text.to_owned()]).map(|all| all[0].to_string());
        for (text, meant) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant));
        }
        assert!(read("ns.example").is_err(), "who would look that up?");
    }

    #[test]
    fn codecs_are_named_once_each_in_the_order_of_preference() {
        let read = |text: &str| {
            let values: Vec<String> = text.split(' ').map(str::to_owned).collect();
            codecs(&values)
        };
        assert_eq!(read("opus PCMA"), Ok(vec![Codec::Opus, Codec::Pcma]));
        assert!(read("pcma gsm").unwrap_err().contains("gsm"));
        assert!(read("pcma pcma").unwrap_err().contains("twice"));
        assert!(codecs(&[]).is_err());
    }

    #[test]
    fn one_of_some_words_is_told_when_another_was_meant() {
        let read = |text: &str| one_of(&[text.to_owned()], &["absorb", "relay"]).map(drop);
        assert_eq!(read("relay"), Ok(()));
        let why = read("rely").unwrap_err();
        assert_eq!(why, "`rely` is none of absorb, relay; did you mean relay?");
        assert_eq!(read("yes").unwrap_err(), "`yes` is none of absorb, relay");
    }

    #[test]
    fn port_ranges_must_hold_a_pair() {
        let read = |text: &str| ports(&[text.to_owned()]);
        assert_eq!(read("4000-4001"), Ok(4000..=4001));
        for wrong in ["4000", "4001-4000", "80-90", "4000-4000", "a-b", "4000-70000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
