//! What the tests of system 002's notices share: a company with seats and a group, and what it was told.

use std::path::Path;

use serde_json::Value;

use crate::country::{PASSWORD, USER};
use crate::merchant::{Merchant, Received};
use crate::pjsua::Line;
use crate::sipcall::company;
use crate::tandem::Tandem;
use crate::{sipcall, sound, wait};

/// Lines of the operator file: these seats, the group of all of them that the seed names, which asks them by this
/// strategy, and a company that is told at the merchant's.
#[must_use]
pub fn office(merchant: &Merchant, strategy: &str, members: &[&str]) -> String {
    let seat = |number: &&str| {
        format!(
            "\n[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let group = format!(
        "\n[[groups]]\nnumber = \"80100\"\nmerchant = \"{USER}\"\nname = \"extGroup-1\"\n\
         strategy = \"{strategy}\"\nmembers = {members:?}\n"
    );
    members.iter().map(seat).collect::<String>() + &group + &company(USER, &merchant.url("/"))
}

/// So many seconds of 900 Hz at an address, written without a scheme as in the system's own sample.
///
/// # Panics
/// When sox is missing or refuses.
#[must_use]
pub fn tone_at(folder: &Path, seconds: u32) -> String {
    let file = folder.join(format!("notice-{seconds}.wav"));
    sound::write_wav_tone(&file, 900, seconds);
    let served = sipcall::serve(std::fs::read(file).expect("a sound"));
    format!("{served}/notice.wav")
}

/// A telephone at the switch that answers after so long.
#[must_use]
pub fn line<'a>(tandem: &Tandem, user: &'a str, tone: u32, ring_ms: u32) -> Line<'a> {
    let more = serde_json::json!({ "ring_ms": ring_ms });
    Line { user, tone, port: tandem.sip.port(), more, ..Line::default() }
}

/// What was told.
///
/// # Panics
/// When it is no JSON that was posted.
#[must_use]
pub fn json_of(received: &Received) -> Value {
    assert_eq!(received.method, "POST");
    serde_json::from_str(&received.body).unwrap_or_else(|e| panic!("{e}: {}", received.body))
}

/// The states of an extension in the call of a record, in the order in which they came, when there are so many.
///
/// # Panics
/// When they do not come.
#[must_use]
pub fn states(merchant: &Merchant, cdr: &Value, extension: &str, count: usize) -> Vec<String> {
    let of = |state: &Value| state["extnumber"] == extension && state["uuid"] == cdr["uuid"];
    wait::until(&format!("{count} states of {extension}"), || {
        let told = merchant.received("/state");
        let told: Vec<Value> = told.iter().map(json_of).filter(of).collect();
        let word = |state: &Value| state["status"].as_str().expect("a string").to_owned();
        (told.len() >= count).then(|| told.iter().map(word).collect())
    })
}

/// The record of the call that its company calls so: the only one. One that was told again counts once.
///
/// # Panics
/// When there is none or several, or a member has a kind that is not the system's.
#[must_use]
pub fn cdr(merchant: &Merchant, customuuid: &str) -> Value {
    let of = || {
        let told = merchant.received("/cdr");
        let told = told.iter().map(json_of).filter(|told| told["customuuid"] == customuuid);
        Some(told.collect::<Vec<_>>()).filter(|told| !told.is_empty())
    };
    let mut told = wait::until(&format!("the record of {customuuid}"), of);
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    for name in
        ["hangupcause", "duration", "id", "callmethod", "companycode", "hangupdirection", "billsec"]
    {
        assert!(told[0][name].is_i64(), "{name} is an integer: {told:?}");
    }
    let strings = told[0].as_object().expect("an object").values();
    assert_eq!(strings.filter(|value| value.is_string()).count(), 15, "{told:?}");
    told[0].clone()
}
