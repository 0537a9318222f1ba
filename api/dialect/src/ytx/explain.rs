//! Why a signature of system 001 does not match.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use facts::UnixMillis;

use super::auth::{Auth, parse_authorization};
use crate::clock;
use crate::signature::{Explanation, Field, Given, Header, Mistake, Sent, Try, shape};
use crate::text::{Fields, Plus, decode, unescape};

/// How far around the header's timestamp a signature's own is looked for, s.
const AROUND_S: i64 = 600;
/// China is ahead of UTC by so much, s.
const CHINA_S: i64 = 8 * 3600;

/// A request of system 001.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Account in the path.
    pub(crate) sid: String,
    interface: String,
    sign: Option<String>,
    header: Option<Vec<u8>>,
    appid: String,
}

impl Asked {
    pub(crate) fn of(sent: &Sent) -> Option<Asked> {
        let path = String::from_utf8_lossy(&sent.path).into_owned();
        let mut parts = path.trim_start_matches('/').split('/');
        let (_version, word, sid) = (parts.next()?, parts.next()?, parts.next()?);
        if word != "sid" {
            return None;
        }
        let fields = Fields::parse(&sent.query);
        let sign = fields.first("Sign").or_else(|| fields.first("sign"));
        let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap_or_default();
        Some(Asked {
            sid: sid.to_owned(),
            interface: parts.next_back().unwrap_or_default().to_owned(),
            sign: sign.map(|raw| decode(&unescape(raw, Plus::Blank))),
            header: sent.first("Authorization").map(<[u8]>::to_vec),
            appid: body["appid"].as_str().unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn explain(
        &self,
        tokens: &[&str],
        now: UnixMillis,
        validity: Duration,
    ) -> Explanation {
        let given = Given::of(self.sign.as_deref().unwrap_or_default());
        let auth = self.header.as_deref().and_then(parse_authorization);
        let header = self.header(auth.as_ref(), now, validity);
        let tries = auth.as_ref().map(|auth| tries(auth, tokens, &given)).unwrap_or_default();
        let matched = tries.iter().any(|attempt| attempt.matches);
        let mut advice = about_header(self.header.as_deref(), auth.as_ref(), &header);
        if let Some(auth) = auth.as_ref().filter(|_| !matched) {
            advice.extend(self.advice(auth, tokens, &given));
        }
        let missing = [("Authorization", self.header.is_none()), ("Sign", self.sign.is_none())];
        let fields = [("accountSID", &header.sid), ("timestamp", &header.timestamp)];
        Explanation {
            system: "ytx",
            interface: self.interface.clone(),
            who: self.sid.clone(),
            known: false,
            matched,
            missing: missing.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).into()).collect(),
            given,
            fields: fields.map(|(name, value)| field(name, value)).to_vec(),
            tries,
            header: Some(header),
            advice,
        }
    }

    fn header(&self, auth: Option<&Auth>, now: UnixMillis, validity: Duration) -> Header {
        let sent = self.header.as_deref().unwrap_or_default();
        let ahead = auth.and_then(|auth| auth.at).map(|at| at.0.saturating_sub(now.0) / 1000);
        Header {
            sent: decode(sent),
            decoded: decoded(sent),
            sid: auth.map(|auth| auth.sid.clone()).unwrap_or_default(),
            sid_is_the_path: auth.is_some_and(|auth| auth.sid == self.sid),
            timestamp: auth.map(|auth| auth.timestamp.clone()).unwrap_or_default(),
            ahead_s: ahead,
            fresh: auth.is_some_and(|auth| auth.is_fresh(now, validity)),
        }
    }

    fn advice(&self, auth: &Auth, tokens: &[&str], given: &Given) -> Vec<String> {
        let mut advice = Vec::new();
        let right: Vec<Vec<u8>> =
            tokens.iter().map(|token| base(auth, token, &auth.timestamp).into_bytes()).collect();
        advice.extend(shape(given, &right));
        for token in tokens {
            let mut mistakes = Mistake::in_other_codings(&base(auth, token, &auth.timestamp));
            mistakes.extend(self.about_parts(auth, token));
            mistakes.extend(about_time(auth, token));
            advice.extend(Mistake::found(mistakes, given));
        }
        advice.dedup();
        if advice.is_empty() {
            advice.push(
                "Not over this account, this token and this timestamp: compare what your program hashes, \
                 byte by byte, and set the token anew on both sides."
                    .into(),
            );
        }
        advice
    }

    fn about_parts(&self, auth: &Auth, token: &str) -> Vec<Mistake> {
        let (sid, stamp) = (auth.sid.as_str(), auth.timestamp.as_str());
        let mut mistakes = Vec::new();
        let orders = [
            ("accountSID, timestamp, authToken", [sid, stamp, token]),
            ("authToken, accountSID, timestamp", [token, sid, stamp]),
            ("authToken, timestamp, accountSID", [token, stamp, sid]),
            ("timestamp, accountSID, authToken", [stamp, sid, token]),
            ("timestamp, authToken, accountSID", [stamp, token, sid]),
        ];
        for (words, parts) in orders {
            let words = format!(
                "It was made in the order {words}: it is accountSID, authToken, timestamp."
            );
            mistakes.push(Mistake::new(words, parts.concat()));
        }
        for joint in ["|", "&", "+", ",", " ", ":"] {
            mistakes.push(Mistake::new(
                format!("`{joint}` was hashed between the parts: nothing stands between them."),
                [sid, token, stamp].join(joint),
            ));
        }
        let around = "The token had blanks or a line end around it: trim it where it is read.";
        for token in
            [format!(" {token}"), format!("{token} "), format!("{token}\n"), format!("{token}\r\n")]
        {
            mistakes.push(Mistake::new(around, base(auth, &token, stamp)));
        }
        mistakes.extend([
            Mistake::new("It was made without the token.", format!("{sid}{stamp}")),
            Mistake::new("It was made without the timestamp.", format!("{sid}{token}")),
            Mistake::new("It was made without the accountSID.", format!("{token}{stamp}")),
            Mistake::new(
                "The token was in capitals: its case counts.",
                base(auth, &token.to_uppercase(), stamp),
            ),
            Mistake::new(
                "It was made over the accountSID in capitals: hash it as it is sent.",
                format!("{}{token}{stamp}", sid.to_uppercase()),
            ),
            Mistake::new(
                "It was made over the accountSID of the path, and the header has another one.",
                format!("{}{token}{stamp}", self.sid),
            ),
        ]);
        if !self.appid.is_empty() {
            mistakes.push(Mistake::new(
                "It was made over the appid: the accountSID is asked for.",
                format!("{}{token}{stamp}", self.appid),
            ));
        }
        mistakes
    }
}

fn base(auth: &Auth, token: &str, stamp: &str) -> String {
    format!("{}{token}{stamp}", auth.sid)
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), sent: value.into(), value: value.into() }
}

/// The readings that the door accepts: clients that read their clock twice are a second off.
fn tries(auth: &Auth, tokens: &[&str], given: &Given) -> Vec<Try> {
    let mut stamps = vec![("the header's timestamp", auth.timestamp.clone())];
    if let Some(at) = auth.at {
        stamps.push(("a second before", clock::compact(UnixMillis(at.0 - 1000))));
        stamps.push(("a second after", clock::compact(UnixMillis(at.0 + 1000))));
    }
    let attempt = |(words, stamp): (&str, String)| {
        let text = |token: &str| base(auth, token, &stamp);
        Try::new(words, tokens, given, text, |text| text.as_bytes().to_vec())
    };
    stamps.into_iter().map(attempt).collect()
}

/// Another instant than the header's.
fn about_time(auth: &Auth, token: &str) -> Vec<Mistake> {
    let Some(at) = auth.at else { return Vec::new() };
    let mut mistakes = Vec::new();
    let mut push = |words: String, off: i64| {
        let stamp = clock::compact(UnixMillis(at.0 + off * 1000));
        mistakes.push(Mistake::new(words, base(auth, token, &stamp)));
    };
    for off in (-AROUND_S..=AROUND_S).filter(|off| off.abs() > 1) {
        let side = if off < 0 { "before" } else { "after" };
        push(
            format!(
                "It was made over a timestamp {} s {side} the header's: read the clock once for both.",
                off.abs()
            ),
            off,
        );
    }
    for off in [-CHINA_S - 1, -CHINA_S, -CHINA_S + 1] {
        push("It was made over the time in UTC: both are in Beijing time.".into(), off);
    }
    for off in [CHINA_S - 1, CHINA_S, CHINA_S + 1] {
        let words =
            "It was made over Beijing time, and the header has UTC: both are in Beijing time.";
        push(words.into(), off);
    }
    let dashed = clock::seconds(at);
    mistakes.push(Mistake::new(
        "It was made over a timestamp with dashes and colons: yyyyMMddHHmmss.",
        base(auth, token, &dashed),
    ));
    mistakes
}

fn about_header(sent: Option<&[u8]>, auth: Option<&Auth>, header: &Header) -> Vec<String> {
    let Some(sent) = sent else {
        return vec!["There is no Authorization header.".into()];
    };
    let Some(auth) = auth else {
        let text = String::from_utf8_lossy(sent);
        let words = if text.contains('|') {
            "The Authorization header is not coded: base64 of accountSID|timestamp."
        } else if header.decoded.is_empty() {
            "The Authorization header is no base64 of accountSID|timestamp."
        } else {
            "What the Authorization header holds has no `|` between accountSID and timestamp."
        };
        return vec![words.into()];
    };
    let mut advice = Vec::new();
    if !header.sid_is_the_path {
        advice.push("The accountSID in the header is not the one in the path.".to_owned());
    }
    match header.ahead_s {
        None => advice.push(format!("The timestamp {} is no yyyyMMddHHmmss.", auth.timestamp)),
        Some(ahead) if !header.fresh || (ahead.abs() - CHINA_S).abs() < AROUND_S => {
            let side = if ahead < 0 { "behind" } else { "ahead of" };
            let zone = match ahead {
                ahead if (ahead + CHINA_S).abs() < AROUND_S => ": UTC? It has to be Beijing time",
                _ => "",
            };
            advice.push(format!("Its clock is {} s {side} ours{zone}.", ahead.abs()));
        }
        Some(_) => {}
    }
    advice
}

/// What a header holds, in any writing of base64; empty when it is none.
fn decoded(sent: &[u8]) -> String {
    let text = String::from_utf8_lossy(sent);
    let word = text.trim().rsplit(' ').next().unwrap_or_default();
    let bytes = STANDARD.decode(word).or_else(|_| STANDARD_NO_PAD.decode(word));
    bytes.or_else(|_| URL_SAFE.decode(word)).map(|bytes| decode(&bytes)).unwrap_or_default()
}
