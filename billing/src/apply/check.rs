//! Is what the file says possible? Every mistake is noted with its path; none stops the search for others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::str::FromStr;

use facts::carrier::{Probe, Registration};
use facts::manners::{HeaderAct, HeaderRule};
use facts::settings::TrunkOptions;
use facts::sms::line;
use facts::ussd::Dialled;
use facts::{Currency, Micros, NextHop, Number, NumberPlan, next_hop};

use crate::desired::{Desired, Merchant, Mistake, Settings, Trunk};
use crate::words;

/// Languages that are spoken.
pub(super) const LANGUAGES: [&str; 3] = ["zh", "en", "fa"];
/// Longest name of anything.
const NAME_MAX: usize = 100;

/// A keyword at its number, as both are kept.
pub(super) fn word_of(plan: &NumberPlan, number: &str, keyword: &str) -> String {
    let number = line(plan, number).unwrap_or_else(|| number.to_owned());
    format!("{number} {}", keyword.trim().to_lowercase())
}

/// Gathers mistakes, and knows what the file itself names.
pub(super) struct Check {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) plan: NumberPlan,
    /// Names per kind that the file gives, so that one mistake does not make ten.
    named: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Check {
    pub(super) fn new(desired: &Desired, plan: NumberPlan) -> Check {
        let mut check = Check { mistakes: Vec::new(), plan, named: BTreeMap::new() };
        let d = desired;
        let own = |name: &String| (name.clone(), name.clone());
        let of = |owner: &str, name: &String| (name.clone(), format!("{owner}/{name}"));
        check.names("tariffs", "name", d.tariffs.iter().map(|x| own(&x.name)));
        check.names("merchants", "name", d.merchants.iter().map(|x| own(&x.name)));
        let subs = d.sub_accounts.iter().map(|x| of(&x.merchant, &x.name));
        check.names("sub_accounts", "name", subs);
        check.names("extensions", "number", d.extensions.iter().map(|x| own(&x.number)));
        check.names("groups", "number", d.groups.iter().map(|x| own(&x.number)));
        check.names("trunks", "name", d.trunks.iter().map(|x| own(&x.name)));
        let routes = d.routes.iter().map(|x| own(&format!("{} → {}", x.prefix, x.trunk)));
        check.names("routes", "prefix", routes);
        // Numbers are read as the file's own settings say, where it has some.
        let plan = d.settings.as_ref().map_or_else(|| check.plan.clone(), Settings::plan);
        let digits =
            |text: &str| plan.parse(text).map_or(text.to_owned(), |n| n.digits().to_owned());
        check.names("inbound", "number", d.inbound.iter().map(|x| own(&digits(&x.number))));
        check.names("top_ups", "id", d.top_ups.iter().map(|x| of(&x.merchant, &x.id)));
        check.names("ytx_accounts", "sid", d.ytx_accounts.iter().map(|x| own(&x.sid)));
        check.names("ytx_apps", "appid", d.ytx_apps.iter().map(|x| own(&x.appid)));
        check.names("companies", "companycode", d.companies.iter().map(|x| own(&x.companycode)));
        let templates = d.templates.iter().map(|x| of(&x.merchant, &x.id));
        check.names("templates", "id", templates);
        check.names("number_lists", "name", d.number_lists.iter().map(|x| own(&x.name)));
        check.names("policies", "name", d.policies.iter().map(|x| own(&x.name)));
        let codes = d.ussd_codes.iter().map(|x| (x.code.clone(), code(&x.code)));
        check.names("ussd_codes", "code", codes);
        check.names("ussd_owners", "username", d.ussd_owners.iter().map(|x| own(&x.username)));
        let accounts = d.sms_accounts.iter().map(|x| own(&x.username));
        check.names("sms_accounts", "username", accounts);
        let words = d.sms_keywords.iter();
        let words = words.map(|x| (x.number.clone(), word_of(&plan, &x.number, &x.keyword)));
        check.names("sms_keywords", "number", words);
        check.names("sms_hooks", "name", d.sms_hooks.iter().map(|x| own(&x.name)));
        check.names("payment_gateways", "name", d.payment_gateways.iter().map(|x| own(&x.name)));
        check.names("smpp_links", "name", d.smpp_links.iter().map(|x| own(&x.name)));
        check
    }

    /// Notes names that are empty, too long, or given twice. Each comes as it is written, and with its owner.
    fn names(
        &mut self,
        kind: &'static str,
        key: &str,
        names: impl Iterator<Item = (String, String)>,
    ) {
        let mut seen = BTreeSet::new();
        for (i, (written, name)) in names.enumerate() {
            if written.is_empty() || written.chars().count() > NAME_MAX {
                self.wrong(
                    format!("{kind}[{i}].{key}"),
                    format!("a name has 1 to {NAME_MAX} characters"),
                );
            }
            if !seen.insert(name.clone()) {
                self.wrong(format!("{kind}[{i}].{key}"), format!("{name} is in the file twice"));
            }
        }
        self.named.insert(kind, seen);
    }

    pub(super) fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.mistakes.push(Mistake { path: path.into(), message: message.into() });
    }

    /// A secret that is given must not be empty.
    pub(super) fn not_empty(&mut self, path: &str, secret: Option<&str>) {
        if secret == Some("") {
            self.wrong(path, "may not be empty");
        }
    }

    /// A limit of 0 would stop everything, which is seldom what was meant; `instead` says how that is said.
    pub(super) fn limit(&mut self, path: &str, limit: Option<u32>, instead: &str) {
        if limit == Some(0) {
            self.wrong(path, format!("0 would let nothing through; {instead}"));
        }
    }

    /// A merchant's own words and limits.
    pub(super) fn merchant(&mut self, path: &str, merchant: &Merchant) {
        self.currency(&format!("{path}.currency"), &merchant.currency);
        let play = merchant.currency == Currency::XTS.code();
        match (merchant.sandbox, play) {
            (true, false) => self.wrong(
                format!("{path}.currency"),
                "a sandbox has money that buys nothing: currency = \"XTS\", and a tariff in it",
            ),
            (false, true) => self.wrong(
                format!("{path}.sandbox"),
                "XTS is the money of sandboxes, which buys nothing: say sandbox = true",
            ),
            _ => {}
        }
        self.one_of(&format!("{path}.language"), &merchant.language, &LANGUAGES);
        self.login(&format!("{path}.name"), &merchant.name);
        self.not_empty(&format!("{path}.key"), merchant.key.as_deref());
        self.not_empty(&format!("{path}.password"), merchant.password.as_deref());
        let stop = "leave the line out for no limit, or stop the merchant with status = \"frozen\"";
        self.limit(&format!("{path}.max_calls"), merchant.max_calls, stop);
        self.limit(&format!("{path}.calls_per_second"), merchant.calls_per_second, stop);
        let stop = "the default is 3600 seconds";
        self.limit(&format!("{path}.max_talk"), Some(merchant.max_talk), stop);
    }

    /// How a carrier is reached and known over TLS.
    pub(super) fn carrier_tls(&mut self, path: &str, trunk: &Trunk) {
        use facts::settings::Transport;
        if matches!(trunk.transport, Transport::Ws | Transport::Wss) {
            let why = "a carrier is reached by udp, tcp or tls";
            self.wrong(format!("{path}.transport"), why);
        }
        let name = trunk.options.tls_peer_name.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !name.chars().all(fits) {
            let why = "a certificate's name is a domain without wildcard";
            self.wrong(format!("{path}.options.tls_peer_name"), why);
        }
        if trunk.options.mtls && name.is_empty() && trunk.domain.is_empty() {
            let why = "mtls needs tls_peer_name or domain: the name in its certificate";
            self.wrong(format!("{path}.options.mtls"), why);
        }
    }

    /// How a carrier is found by its name, and how long it is waited for.
    pub(super) fn carrier_place(&mut self, path: &str, trunk: &Trunk) {
        let why = match &trunk.target {
            NextHop::Address(_) => Some("an address has no NAPTR records; target must be a name"),
            NextHop::Name { port: Some(_), .. } => {
                Some("with a port nothing but addresses is asked for; leave it out of target")
            }
            NextHop::Name { port: None, .. } => None,
        };
        if let Some(why) = why.filter(|_| trunk.options.naptr) {
            self.wrong(format!("{path}.options.naptr"), why);
        }
        let span = TrunkOptions::RESPONSE_MS;
        if trunk.options.response_ms.is_some_and(|ms| !span.contains(&ms)) {
            let why = format!("{} to {} milliseconds", span.start(), span.end());
            self.wrong(format!("{path}.options.response_ms"), why);
        }
    }

    /// How many calls a carrier may have in each direction.
    pub(super) fn carrier_limits(&mut self, path: &str, trunk: &Trunk, stop: &str) {
        let options = &trunk.options;
        for (key, limit) in [
            ("max_calls_in", options.max_calls_in),
            ("max_calls_out", options.max_calls_out),
            ("calls_per_second_in", options.calls_per_second_in),
        ] {
            self.limit(&format!("{path}.options.{key}"), limit, stop);
        }
    }

    /// How numbers, headers and answers of a carrier are changed.
    pub(super) fn carrier_manners(&mut self, path: &str, trunk: &Trunk) {
        let options = &trunk.options;
        let digits =
            |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+*#".contains(c));
        for (i, rule) in options.rewrite.iter().enumerate() {
            if !digits(&rule.prefix) || !digits(&rule.add) {
                let why = "what a number is made of: digits, letters, +, * and #";
                self.wrong(format!("{path}.options.rewrite[{i}]"), why);
            }
        }
        for (i, rule) in options.headers.iter().enumerate() {
            let path = format!("{path}.options.headers[{i}]");
            let token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
            if rule.name.is_empty() || !rule.name.chars().all(token) {
                self.wrong(format!("{path}.name"), "the name of a header field");
            } else if !HeaderRule::may_change(&rule.name) {
                let why = "belongs to the dialog, the body or the password, and stays as it is";
                self.wrong(format!("{path}.name"), format!("{} {why}", rule.name));
            }
            if (rule.act == HeaderAct::Remove) != rule.value.is_empty() {
                let why = "add and set need a value, and remove takes none";
                self.wrong(format!("{path}.value"), why);
            }
            if rule.value.chars().any(char::is_control) {
                self.wrong(format!("{path}.value"), "one line of text");
            }
        }
        for (i, rule) in options.answers.iter().enumerate() {
            let path = format!("{path}.options.answers[{i}]");
            if rule.codes.is_empty() || rule.codes.iter().any(|code| !(300..=699).contains(code)) {
                self.wrong(format!("{path}.codes"), "statuses that are refusals, 300 to 699");
            }
            if rule.read_as.is_some_and(|code| !(400..=699).contains(&code)) {
                self.wrong(format!("{path}.read_as"), "a status, 400 to 699");
            }
        }
    }

    /// How a carrier is registered at and watched.
    pub(super) fn carrier_watch(&mut self, path: &str, trunk: &Trunk) {
        if let Some(register) = &trunk.options.register {
            let part =
                |text: &str| text.chars().all(|c| c.is_ascii_graphic() && !"@<>;:\",".contains(c));
            if register.user.is_empty() || !part(&register.user) {
                let why = "the user part of an address of record, like 4711";
                self.wrong(format!("{path}.options.register.user"), why);
            }
            if !part(&register.contact_user) {
                let why = "the user part of a contact, like 4711";
                self.wrong(format!("{path}.options.register.contact_user"), why);
            }
            let span = Registration::EXPIRES;
            if !span.contains(&register.expires) {
                let why = format!("{} to {} seconds", span.start(), span.end());
                self.wrong(format!("{path}.options.register.expires"), why);
            }
        }
        let Some(probe) = &trunk.options.probe else { return };
        if !Probe::EVERY.contains(&probe.every) {
            let why = format!("{} to {} seconds", Probe::EVERY.start(), Probe::EVERY.end());
            self.wrong(format!("{path}.options.probe.every"), why);
        }
        for (key, value) in [
            ("timeout", probe.timeout),
            ("down_after", probe.down_after.into()),
            ("up_after", probe.up_after.into()),
        ] {
            if value == 0 {
                self.wrong(format!("{path}.options.probe.{key}"), "at least 1");
            }
        }
        if probe.accept.iter().any(|status| !(200..=699).contains(status)) {
            let why = "final SIP statuses, 200 to 699";
            self.wrong(format!("{path}.options.probe.accept"), why);
        }
    }

    /// A login name stands in signed texts between `=` and `&`: letters of any script, digits, `_`, `.`, `-`.
    pub(super) fn login(&mut self, path: &str, name: &str) {
        let fits =
            |c: char| c.is_ascii_digit() || c.is_alphabetic() || matches!(c, '_' | '.' | '-');
        if !name.chars().all(fits) {
            self.wrong(path, "a name is made of letters, digits and `_`, `.`, `-`");
        }
    }

    /// Whether the file itself names it.
    pub(super) fn names_it(&self, kind: &str, name: &str) -> bool {
        self.named.get(kind).is_some_and(|names| names.contains(name))
    }

    /// Looks a name up; a name that neither the store nor the file knows is a mistake.
    pub(super) fn find(
        &mut self,
        path: &str,
        kind: &'static str,
        name: &str,
        ids: &BTreeMap<String, i64>,
    ) -> Option<i64> {
        let found = ids.get(name).copied();
        if found.is_none() && !self.names_it(kind, name) {
            self.wrong(path, format!("there is no {name} among the {}", kind.replace('_', "-")));
        }
        found
    }

    /// An amount from zero up.
    pub(super) fn amount(&mut self, path: &str, text: &str) -> Option<Micros> {
        match text.parse::<Micros>() {
            Ok(amount) if amount >= Micros::ZERO => return Some(amount),
            Ok(_) => self.wrong(path, "may not be negative"),
            Err(error) => self.wrong(path, format!("{text:?} is {error}")),
        }
        None
    }

    /// A public number, as digits.
    pub(super) fn phone(&mut self, path: &str, text: &str) -> Option<String> {
        match self.plan.parse(text) {
            Ok(Number::E164(digits) | Number::Short(digits) | Number::Internal(digits)) => {
                Some(digits)
            }
            Err(error) => {
                self.wrong(path, format!("{text:?}: {error}"));
                None
            }
        }
    }

    pub(super) fn opt_phone(&mut self, path: &str, text: Option<&str>) -> Option<String> {
        text.and_then(|text| self.phone(path, text))
    }

    /// Networks or single addresses, as networks.
    pub(super) fn nets(&mut self, path: &str, texts: &[String]) -> Vec<String> {
        let mut nets = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            match net(text) {
                Some(net) => nets.push(net),
                None => self.wrong(
                    format!("{path}[{i}]"),
                    format!("{text:?} is neither an address nor a network"),
                ),
            }
        }
        nets
    }

    /// Where a carrier's requests come from: networks as networks, and names. Without any, from where they
    /// go to.
    pub(super) fn peers(&mut self, path: &str, trunk: &Trunk) -> Vec<String> {
        let mut peers = Vec::with_capacity(trunk.peers.len());
        for (i, text) in trunk.peers.iter().enumerate() {
            match net(text).or_else(|| next_hop::name(text)) {
                Some(peer) => peers.push(peer),
                None => self.wrong(
                    format!("{path}[{i}]"),
                    format!("{text:?} is neither an address, a network nor a name"),
                ),
            }
        }
        if trunk.peers.is_empty() {
            peers.extend(match &trunk.target {
                NextHop::Address(address) => net(&address.ip().to_string()),
                NextHop::Name { host, .. } => Some(host.clone()),
            });
        }
        peers
    }

    pub(super) fn url(&mut self, path: &str, url: Option<&str>) {
        let Some(url) = url else { return };
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if !rest.is_some_and(has_host) || url.len() > 1024 {
            // It may bear a password, and is not repeated.
            let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
            let named = host.is_some_and(|host| host.contains('@'));
            let why = match named {
                true => "a name and a password before the host are sent nowhere: leave them out",
                false => "not an http or https address with a host, 1024 bytes at most",
            };
            self.wrong(path, why);
        }
    }

    pub(super) fn one_of(&mut self, path: &str, text: &str, allowed: &[&str]) {
        if !allowed.contains(&text) {
            let meant = words::meant(text, allowed.iter().copied());
            self.wrong(path, format!("{text:?} is none of {}{meant}", allowed.join(", ")));
        }
    }

    pub(super) fn currency(&mut self, path: &str, text: &str) {
        if Currency::try_from(text.to_owned()).is_err() {
            self.wrong(path, "a currency is three capital letters");
        }
    }
}

/// Whether what follows `http://` begins with a host, perhaps before a port (RFC 3986 §3.2). Names and passwords before it
/// are not sent anywhere.
fn has_host(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(literal) = host.strip_prefix('[') {
        let (address, port) = literal.split_once(']').unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let never = |c: char| c.is_whitespace() || c.is_control() || "@[]<>\"\\^`|".contains(c);
    !host.is_empty() && !host.starts_with(':') && !host.contains(never)
}

/// A code of a menu as it is kept: `*6655*123#`. What is none stays as it is.
pub(super) fn code(text: &str) -> String {
    Dialled::code(text).map_or_else(|| text.to_owned(), |code| code.to_string())
}

/// `10.0.0.0/8` or `10.0.0.1`, written as a network.
fn net(text: &str) -> Option<String> {
    if let Ok(address) = std::net::IpAddr::from_str(text) {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return Some(format!("{address}/{bits}"));
    }
    let (address, bits) = text.split_once('/')?;
    let address: std::net::IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then(|| format!("{address}/{bits}"))
}

#[cfg(test)]
mod tests {
    use super::has_host;

    #[test]
    fn rfc3986_3_2_an_address_has_a_host_that_could_be_one() {
        for good in ["a.example/x?y=[1]", "192.0.2.1:8080", "[2001:db8::1]:80/", "shop#x@y"] {
            assert!(has_host(good), "{good}");
        }
        for bad in
            ["", "/x", ":80", "[bad", "[bad]", "[::1]x", "u@/", "u:p@shop/", "a b", "sh<op/", "?q"]
        {
            assert!(!has_host(bad), "{bad}");
        }
    }
}
