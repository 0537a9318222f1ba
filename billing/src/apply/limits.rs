//! Limits against toll fraud and pools of numbers: is what the file says possible?

use facts::capacity::Capacity;
use facts::fraud::FraudLimits;
use facts::manners::{self, KnownBy, SessionTimer};
use facts::pool::{CoolDown, Pool};
use facts::recognition::COUNTRIES;
use facts::settings::{Transport, TrunkOptions};
use facts::srtp::Protection;

use super::check::Check;
use crate::db::json;
use crate::desired::Trunk;

impl Check {
    /// Limits as the store keeps them; `{}` where there are none.
    pub(super) fn fraud(&mut self, path: &str, limits: &FraudLimits) -> String {
        for (key, prefixes) in [("allow", &limits.allow), ("block", &limits.block)] {
            for (i, prefix) in prefixes.iter().enumerate() {
                self.digits(&format!("{path}.{key}[{i}]"), prefix);
            }
        }
        let stop = "to forbid calls there use block";
        for (i, to) in limits.calls_to.iter().enumerate() {
            let path = format!("{path}.calls_to[{i}]");
            self.digits(&format!("{path}.prefix"), &to.prefix);
            self.limit(&format!("{path}.max_calls"), Some(to.max_calls), stop);
        }
        if !(1..=100).contains(&limits.warn_at) {
            self.wrong(format!("{path}.warn_at"), "percent, 1 to 100");
        }
        if limits.is_none() {
            return "{}".to_owned();
        }
        json(limits).unwrap_or_else(|_| "{}".to_owned())
    }

    /// How many calls somebody may have, as the store keeps it; `{}` where that is not limited.
    pub(super) fn capacity(&mut self, path: &str, capacity: &Capacity) -> String {
        let stop = "leave the line out for no limit";
        let mut each = vec![(path.to_owned(), capacity.max_calls, capacity.calls)];
        let at = capacity.at.iter().enumerate();
        each.extend(at.map(|(i, at)| (format!("{path}.at[{i}]"), at.max_calls, at.calls)));
        if each.len() > Capacity::AT_MAX + 1 {
            self.wrong(format!("{path}.at"), format!("{} at most", Capacity::AT_MAX));
        }
        for (path, max_calls, calls) in each {
            self.limit(&format!("{path}.max_calls"), max_calls, stop);
            self.limit(&format!("{path}.calls"), calls, stop);
            if calls > Some(Capacity::CALLS_MAX) {
                self.wrong(format!("{path}.calls"), format!("{} at most", Capacity::CALLS_MAX));
            }
        }
        let longest = Capacity::WITHIN_MAX_S;
        if capacity.within_s.is_some_and(|seconds| !(1..=longest).contains(&seconds)) {
            self.wrong(format!("{path}.within_s"), format!("1 to {longest} seconds"));
        }
        if capacity.is_none() {
            return "{}".to_owned();
        }
        json(capacity).unwrap_or_else(|_| "{}".to_owned())
    }

    /// A pool with its numbers as digits.
    pub(super) fn pool(&mut self, path: &str, pool: Option<&Pool>) -> Option<Pool> {
        let pool = pool?;
        if pool.numbers.is_empty() || pool.numbers.len() > Pool::NUMBERS_MAX {
            self.wrong(format!("{path}.numbers"), format!("1 to {} numbers", Pool::NUMBERS_MAX));
        }
        let stop = "leave the line out for no limit";
        for (key, limit) in [
            ("max_calls", pool.max_calls),
            ("calls_per_second", pool.calls_per_second),
            ("calls_per_day", pool.calls_per_day),
        ] {
            self.limit(&format!("{path}.{key}"), limit, stop);
        }
        if let Some(cool_down) = &pool.cool_down {
            let (of, rest_s) = (CoolDown::OF, CoolDown::REST_S);
            for (key, value, bounds) in [
                ("answered_below", u32::from(cool_down.answered_below), 1..=100),
                ("of", cool_down.of, of),
                ("rest_s", cool_down.rest_s, rest_s),
            ] {
                if !bounds.contains(&value) {
                    let why = format!("{} to {}", bounds.start(), bounds.end());
                    self.wrong(format!("{path}.cool_down.{key}"), why);
                }
            }
        }
        let numbers = pool.numbers.iter().enumerate();
        let numbers =
            numbers.filter_map(|(i, text)| self.phone(&format!("{path}.numbers[{i}]"), text));
        Some(Pool { numbers: numbers.collect(), ..pool.clone() })
    }

    /// By what a carrier is told from others, and what goes on to it and from it.
    pub(super) fn carrier_marks(&mut self, path: &str, trunk: &Trunk) {
        let options = &trunk.options;
        if let Some(known) = &options.known_by {
            self.known_by(&format!("{path}.options.known_by"), known);
        }
        if options.challenge && trunk.user.is_none() {
            let why = "needs user, password and realm: what it has to answer with";
            self.wrong(format!("{path}.options.challenge"), why);
        }
        if !options.from_domain.chars().all(is_of_domain) {
            self.wrong(format!("{path}.options.from_domain"), "a domain or an address");
        }
        let span = TrunkOptions::FAKE_180_MS;
        if options.fake_180_ms.is_some_and(|ms| !span.contains(&ms)) {
            let why = format!("{} to {} milliseconds", span.start(), span.end());
            self.wrong(format!("{path}.options.fake_180_ms"), why);
        }
        self.capacity(&format!("{path}.options.capacity_in"), &options.capacity_in);
        self.capacity(&format!("{path}.options.capacity_out"), &options.capacity_out);
        let span = TrunkOptions::RTP_TIMEOUT_S;
        if options.rtp_timeout_s.is_some_and(|seconds| !span.contains(&seconds)) {
            let why = format!("{} to {} seconds", span.start(), span.end());
            self.wrong(format!("{path}.options.rtp_timeout_s"), why);
        }
        let tones = options.tones.as_str();
        if !tones.is_empty() && !COUNTRIES.contains(&tones) {
            let why = format!("whose tones are known: {}", COUNTRIES.join(", "));
            self.wrong(format!("{path}.options.tones"), why);
        }
        if options.ptime_ms.is_some_and(|ms| !TrunkOptions::PTIME_MS.contains(&ms)) {
            self.wrong(format!("{path}.options.ptime_ms"), "10, 20, 30, 40, 50 or 60 milliseconds");
        }
        let secure = trunk.transport == Transport::Tls;
        if options.srtp != Protection::Off && !secure && !options.srtp_in_clear {
            let why = "needs transport = \"tls\": its keys are in the signalling; or srtp_in_clear";
            self.wrong(format!("{path}.options.srtp"), why);
        }
        if let Some(timer) = options.session_timer {
            let path = format!("{path}.options.session_timer");
            let span = SessionTimer::SECONDS;
            for (key, seconds) in [("expires", timer.expires), ("min_se", timer.min_se)] {
                if seconds.is_some_and(|seconds| !span.contains(&seconds)) {
                    let why = format!("{} to {} seconds", span.start(), span.end());
                    self.wrong(format!("{path}.{key}"), why);
                }
            }
            if timer.off && (timer.expires.is_some() || timer.min_se.is_some()) {
                self.wrong(path, "off, or with intervals: not both");
            }
        }
        for (i, name) in options.transit.iter().enumerate() {
            let path = format!("{path}.options.transit[{i}]");
            if name.is_empty() || !name.chars().all(is_of_token) {
                self.wrong(path, "the name of a header field");
            } else if !manners::may_pass(name) {
                self.wrong(path, format!("{name} is the switch's own, or says who somebody is"));
            }
        }
    }

    /// By what its requests are told from others' of the same address.
    fn known_by(&mut self, path: &str, known: &KnownBy) {
        if known.marks() == 0 {
            self.wrong(path, "at least one mark, or leave it out");
        }
        for (key, host) in [
            ("from_domain", &known.from_domain),
            ("to_domain", &known.to_domain),
            ("uri_domain", &known.uri_domain),
        ] {
            if !host.chars().all(is_of_domain) {
                self.wrong(format!("{path}.{key}"), "a domain or an address, without a port");
            }
        }
        if !known.header.chars().all(is_of_token) {
            self.wrong(format!("{path}.header"), "the name of a header field");
        }
        if known.port == Some(0) {
            self.wrong(format!("{path}.port"), "from 1 to 65535");
        }
        if !known.value.is_empty() && known.header.is_empty() {
            self.wrong(format!("{path}.value"), "of which header field?");
        }
    }

    pub(super) fn digits(&mut self, path: &str, prefix: &str) {
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            self.wrong(path, "the first digits of a number of E.164, the country code first");
        }
    }
}

/// What a domain or an address is written with.
fn is_of_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.:[]".contains(c)
}

/// What the name of a header field is written with (RFC 3261 §25.1, token).
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c)
}
