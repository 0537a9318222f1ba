//! Why a signature of system 000 does not match.

use super::request::{CALLBACK, LOOKUP, REGIST, Request};
use crate::signature::{Explanation, Field, Given, MASK, Mistake, Sent, Try, Who, shape};
use crate::text::{Plus, decode, gb18030, unescape};

/// The parts of a result, in order.
const RESULT: &[&str] = &[
    "callbackid",
    "callback_num",
    "callback_duration",
    "callback_fee",
    "destination_num",
    "destination_duration",
    "destination_fee",
    "callback_result",
];
/// Longest list of names whose orders are all tried.
const ORDERED_MAX: usize = 4;

/// A request, or one of our own results.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    request: Request,
    interface: &'static str,
    order: &'static [&'static str],
}

impl Asked {
    pub(crate) fn of(sent: &Sent) -> Option<Asked> {
        let request = Request::parse(&sent.query, &sent.body);
        let path = String::from_utf8_lossy(&sent.path);
        let interface = match path.trim_end_matches('/') {
            "/api/biz_regist" => ("biz_regist", REGIST),
            "/api/biz_balance" => ("biz_balance", REGIST),
            "/api/biz_callback" => ("biz_callback", CALLBACK),
            "/api/biz_query" => ("biz_query", LOOKUP),
            "/api/biz_hangup" => ("biz_hangup", LOOKUP),
            _ => {
                request.raw("callback_result")?;
                ("result", RESULT)
            }
        };
        Some(Asked { request, interface: interface.0, order: interface.1 })
    }

    pub(crate) fn who(&self) -> Who {
        match self.request.username() {
            _ if self.interface == "result" => Who::Unsaid,
            Ok(name) => Who::Merchant(name),
            Err(_) => Who::Merchant(String::new()),
        }
    }

    pub(crate) fn explain(&self, keys: &[&str]) -> Explanation {
        let given = Given::of(&self.read("sign").unwrap_or_default());
        let tries = self.tries(keys, &given);
        let matched = tries.iter().any(|attempt| attempt.matches);
        let empty = |name: &&&str| self.read(name).is_none_or(|value| value.is_empty());
        let required = self.order.iter().chain(match self.interface {
            "biz_callback" => &["returnurl", "sign"][..],
            _ => &["sign"],
        });
        let missing: Vec<String> = required.filter(empty).map(|name| (*name).into()).collect();
        let advice = if matched { Vec::new() } else { self.advice(keys, &given, &missing) };
        Explanation {
            system: "callni",
            interface: self.interface.into(),
            who: self.request.username().unwrap_or_default(),
            known: false,
            matched,
            missing,
            given,
            fields: self.fields(),
            tries,
            header: None,
            advice,
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        self.request.read(name, Plus::Blank)
    }

    fn fields(&self) -> Vec<Field> {
        let field = |name: &&str| {
            let sent = self.request.raw(name).unwrap_or_default();
            Field {
                name: (*name).into(),
                sent: decode(sent),
                value: decode(&unescape(sent, Plus::Blank)),
            }
        };
        self.order.iter().map(field).collect()
    }

    /// Whether a `+` that is not escaped stands in what is signed.
    fn has_plus(&self) -> bool {
        self.order.iter().any(|name| self.request.raw(name).unwrap_or_default().contains(&b'+'))
    }

    /// The readings that the door accepts.
    fn readings(&self) -> Vec<(Plus, &'static str)> {
        if self.has_plus() {
            vec![(Plus::Blank, ", + as a blank"), (Plus::Literal, ", + as a plus")]
        } else {
            vec![(Plus::Blank, "")]
        }
    }

    fn tries(&self, keys: &[&str], given: &Given) -> Vec<Try> {
        let mut tries = Vec::new();
        for (plus, words) in self.readings() {
            let text = |key: &str| self.request.base_string(self.order, plus, key);
            let utf8 = |text: &str| text.as_bytes().to_vec();
            tries.push(Try::new(format!("UTF-8{words}"), keys, given, text, utf8));
            tries.push(Try::new(format!("GB18030{words}"), keys, given, text, gb18030));
        }
        tries
    }

    fn advice(&self, keys: &[&str], given: &Given, missing: &[String]) -> Vec<String> {
        let mut advice = Vec::new();
        let right: Vec<String> = self
            .readings()
            .into_iter()
            .flat_map(|(plus, _)| {
                keys.iter().map(move |key| self.request.base_string(self.order, plus, key))
            })
            .collect();
        let bytes: Vec<Vec<u8>> =
            right.iter().flat_map(|text| [text.clone().into_bytes(), gb18030(text)]).collect();
        advice.extend(shape(given, &bytes));
        for (key, right) in keys.iter().flat_map(|key| right.iter().map(move |text| (*key, text))) {
            let mut mistakes = Mistake::in_other_codings(right);
            mistakes.extend(self.about_values(key));
            mistakes.extend(self.about_the_key(key));
            mistakes.extend(self.about_order(key));
            advice.extend(Mistake::found(mistakes, given));
        }
        advice.dedup();
        if !missing.is_empty() {
            advice.push(format!("Missing or empty: {}.", missing.join(", ")));
        }
        if self.request.raw("key").is_some() {
            advice.push(
                "The request carries a `key`: it is signed with, and must never be sent.".into(),
            );
        }
        if advice.is_empty() {
            advice.push(format!(
                "Not over this text with this key: compare it, byte by byte, with what your program hashes \
                 (with its key replaced by {MASK}), and set the key anew on both sides."
            ));
        }
        advice
    }

    fn joined(&self, values: impl Fn(&str) -> String, key: &str) -> String {
        let mut base: String =
            self.order.iter().map(|name| format!("{name}={}&", values(name))).collect();
        base.push_str("key=");
        base.push_str(key);
        base
    }

    fn about_values(&self, key: &str) -> Vec<Mistake> {
        let plain = |name: &str| self.read(name).unwrap_or_default();
        let sent = |name: &str| decode(self.request.raw(name).unwrap_or_default());
        let values: String = self.order.iter().map(|name| plain(name)).collect();
        let mut mistakes = vec![
            Mistake::new(
                "It was made over the escaped values, as they stand in the URL: sign the plain ones, \
                 then escape.",
                self.joined(sent, key),
            ),
            Mistake::new(
                "It was made over values without the blanks around them, which were sent: send them so.",
                self.joined(|name| plain(name).trim().to_owned(), key),
            ),
            Mistake::new(
                "It was made over values and key without their names: name=value&…&key=….",
                format!("{values}{key}"),
            ),
        ];
        let misspelt = self.joined(plain, key).replace("callbackid=", "callbakcid=");
        mistakes.push(Mistake::new(
            "It was made over `callbakcid`, as the manual writes it once: the name is `callbackid`.",
            misspelt,
        ));
        for (name, order) in
            [("biz_regist", REGIST), ("biz_callback", CALLBACK), ("biz_query", LOOKUP)]
        {
            mistakes.push(Mistake::new(
                format!("It is what `{name}` is signed with: this interface is signed over more or less."),
                self.request.base_string(order, Plus::Blank, key),
            ));
        }
        mistakes
    }

    fn about_the_key(&self, key: &str) -> Vec<Mistake> {
        let base = |key: &str| self.request.base_string(self.order, Plus::Blank, key);
        let open = base("");
        let open = open.trim_end_matches("key=");
        let bare = open.trim_end_matches('&');
        let around = "The key had blanks or a line end around it: trim it where it is read.";
        let mut mistakes: Vec<Mistake> = [format!(" {key}"), format!("\t{key}")]
            .map(|key| Mistake::new(around, base(&key)))
            .into();
        mistakes.extend([
            Mistake::new(
                "The key had a byte order mark before it: write the file it is read from without one.",
                base(&format!("\u{feff}{key}")),
            ),
            Mistake::new(
                "The key had quotation marks around it: they are no part of it.",
                base(&format!("\"{key}\"")),
            ),
            Mistake::new("The key was in capitals: its case counts.", base(&key.to_uppercase())),
            Mistake::new(
                "The key was in small letters: its case counts.",
                base(&key.to_lowercase()),
            ),
            Mistake::new("`key=` is missing before the key.", format!("{open}{key}")),
            Mistake::new("`&key=` is missing before the key.", format!("{bare}{key}")),
            Mistake::new("It was made without the key.", bare.to_owned()),
            Mistake::new("It was made with an empty key.", format!("{open}key=")),
            Mistake::new("The key stood in front: it comes last.", format!("key={key}&{bare}")),
            Mistake::new("The key stood in front: it comes last.", format!("{key}{bare}")),
            Mistake::new(
                "`KEY=` was hashed: the name is in small letters.",
                format!("{open}KEY={key}"),
            ),
        ]);
        mistakes
    }

    /// Other orders, and other fields with them.
    fn about_order(&self, key: &str) -> Vec<Mistake> {
        let part = |name: &str| format!("{name}={}", self.read(name).unwrap_or_default());
        let mut mistakes = Vec::new();
        if self.order.len() <= ORDERED_MAX {
            for order in orders(self.order) {
                let parts: Vec<String> = order.iter().map(|name| part(name)).collect();
                mistakes.push(Mistake::new(
                    format!(
                        "It was made in the order {}: the order is {}.",
                        order.join(", "),
                        self.order.join(", ")
                    ),
                    format!("{}&key={key}", parts.join("&")),
                ));
            }
        }
        let sent: Vec<&str> =
            self.request.names().filter(|name| !matches!(*name, "sign" | "key")).collect();
        let mut sorted = sent.clone();
        sorted.sort_unstable();
        for names in [sent, sorted] {
            let parts: Vec<String> = names.iter().map(|name| part(name)).collect();
            mistakes.push(Mistake::new(
                format!(
                    "It was made over {}: only {} are signed, in this order.",
                    names.join(", "),
                    self.order.join(", ")
                ),
                format!("{}&key={key}", parts.join("&")),
            ));
        }
        mistakes
    }
}

/// Every order of a few names.
fn orders(names: &[&'static str]) -> Vec<Vec<&'static str>> {
    let Some((first, rest)) = names.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, first);
            all.push(order);
        }
    }
    all
}
