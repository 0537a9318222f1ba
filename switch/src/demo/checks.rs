//! What is looked at when the call is over: the notification, the record, the ledger, the recording, the sound.

use std::path::Path;
use std::time::Duration;

use facts::{CallRecord, LegFacts, LegNo, Micros, Outcome, Side as Released};
use phone::Phone;

use super::merchant::{self, Received};
use super::page::Page;
use super::{A_HUMS, B_HUMS, Told};
use crate::config::Config;
use crate::serve::{self, Running};

/// The notification says what happened, and bears the signature of the vendor's formula.
pub(super) fn checked(page: &Page, notification: &Received, id: &str) -> Told<()> {
    page.heading("The notification");
    let target = &notification.target;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    page.say(&format!("GET {path}?"));
    for pair in query.split('&') {
        page.say(&format!("    {pair}"));
    }
    let (expected, sign) =
        (merchant::md5_hex(&notification.signed_text()), notification.parameter("sign"));
    if expected != sign {
        return Err(format!("the notification is signed {sign}, the formula gives {expected}"));
    }
    if notification.parameter("callbackid") != id
        || notification.parameter("callback_result") != "success"
        || notification.parameter("data") != "demo"
    {
        return Err(format!("the notification says {target}"));
    }
    page.check("signature equals md5 of the eight values and the key; answered `success`");
    Ok(())
}

/// The record, the rating of each leg, the ledger, the recording.
pub(super) fn recorded(
    page: &Page,
    running: &Running,
    folder: &Path,
    record: &CallRecord,
) -> Told<()> {
    let facts = &record.facts;
    page.heading("The record");
    let outcome = match facts.outcome {
        Outcome::Completed => "completed".to_owned(),
        Outcome::Failed(failure) => format!("failed: {}", failure.kind.row().label),
    };
    let by = match facts.released_by {
        Released::Caller => "A hung up",
        Released::Callee => "B hung up",
        Released::Platform => "the switch ended it",
    };
    page.fact("call", &format!("{}   {outcome}, {by}", facts.call));
    if facts.outcome != Outcome::Completed || facts.released_by != Released::Callee {
        return Err("the record does not say that B ended a completed call".into());
    }
    page.say(&format!(
        "{:<4} {:<12} {:>7} {:>8} {:>7}  {:<10} {:>6}  {:>9}/{:<6} {:>4} {:>7}",
        "leg",
        "number",
        "rang",
        "talked",
        "billed",
        "prefix",
        "price",
        "rtp in",
        "out",
        "lost",
        "jitter",
    ));
    for leg in &facts.legs {
        page.say(&leg_line(record, leg)?);
    }
    if record.price(LegNo::A) != Micros(50_000) || record.price(LegNo::B) != Micros(150_000) {
        return Err("a started minute of each leg must cost 0.05 and 0.15".into());
    }
    ledger(page, running, record)?;
    tape(page, running, folder, record)
}

/// One leg: its times, its rating, its packets.
fn leg_line(record: &CallRecord, leg: &LegFacts) -> Told<String> {
    let charge = record
        .charges
        .iter()
        .find(|charge| charge.no == leg.no)
        .ok_or_else(|| format!("leg {} has no charge", leg.no))?;
    let rang = leg.answered.map_or(Duration::ZERO, |at| at.since(leg.invited));
    Ok(format!(
        "{:<4} {:<12} {:>5.2} s {:>6.2} s {:>5} s  {:<10} {:>6}  {:>9}/{:<6} {:>4} {:>4} ms",
        leg.no.to_string(),
        leg.as_sent,
        rang.as_secs_f64(),
        leg.talk().as_secs_f64(),
        charge.charged_seconds,
        charge.prefix,
        charge.price.to_string(),
        leg.media.packets_received,
        leg.media.packets_sent,
        leg.media.packets_lost,
        leg.media.jitter_max_us / 1000,
    ))
}

fn ledger(page: &Page, running: &Running, record: &CallRecord) -> Told<()> {
    page.heading("The ledger");
    let lines = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(running.store.ledger(None, 0, 1000))
    })
    .map_err(|error| error.to_string())?;
    let mut sum = Micros::ZERO;
    for line in lines.iter().filter(|line| line.call.is_none_or(|call| call == record.facts.call)) {
        let leg = line.leg.map_or(String::new(), |leg| format!("leg {leg}"));
        page.say(&format!(
            "{:>10} {}  {:<22} {:<10} {leg}",
            line.amount.to_string(),
            line.currency,
            line.account,
            line.kind,
        ));
        sum += line.amount;
    }
    if sum != Micros::ZERO || lines.is_empty() {
        return Err(format!("the ledger does not sum to zero but to {sum}"));
    }
    page.check(&format!("{} lines, sum {sum}", lines.len()));
    Ok(())
}

fn tape(page: &Page, running: &Running, folder: &Path, record: &CallRecord) -> Told<()> {
    page.heading("The recording");
    let (Some(file), Some(url)) = (&record.facts.recording, &record.recording_url) else {
        return Err("there is no recording".into());
    };
    let path = folder.join("recordings").join(&file.file);
    let size =
        std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
    let seconds = Duration::from_millis(file.duration_ms).as_secs_f64();
    page.say(&path.display().to_string());
    page.say(url);
    page.say("The file stays; the address answers as long as this switch runs, which is until the page ends.");
    let (_, target) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("the recording's URL is no URL")?;
    let fetched = tokio::task::block_in_place(|| {
        merchant::ask(running.addresses.http, "GET", &format!("/{target}"), "", "")
    });
    let (status, bytes) = fetched.map_err(|error| error.to_string())?;
    if status != 200 || bytes.len() as u64 != size || size != file.bytes {
        return Err(format!("the recording came as HTTP {status} with {} bytes", bytes.len()));
    }
    let bridged = record.facts.bridged.ok_or("the call was never joined")?;
    let talk = record.facts.ended.since(bridged).as_secs_f64();
    if (seconds - talk).abs() > 0.5 {
        return Err(format!("the recording is {seconds:.2} s long, the talk was {talk:.2} s"));
    }
    page.check(&format!(
        "{seconds:.2} s of mp3, A left, B right, {size} bytes; the talk was {talk:.2} s; downloaded whole"
    ));
    Ok(())
}

/// What each phone heard during its first call.
pub(super) fn heard(page: &Page, a: &Phone, b: &Phone) -> Told<()> {
    page.heading("The sound");
    for (name, phone, wanted) in [("A", a, B_HUMS), ("B", b, A_HUMS)] {
        let report = phone.report();
        let call = report.calls.first().ok_or_else(|| format!("{name} had no call"))?;
        let rtp = &call.rtp;
        let (hz, share) = rtp.tone.ok_or_else(|| format!("{name} heard no tone"))?;
        if hz != wanted {
            return Err(format!("{name} heard {hz} Hz, not {wanted} Hz"));
        }
        page.check(&format!(
            "{name} heard {hz} Hz ({:.0} % of the power); {} packets, {} lost, longest gap {} ms",
            share * 100.0,
            rtp.received,
            rtp.lost,
            rtp.longest_gap.as_millis(),
        ));
    }
    Ok(())
}

pub(super) async fn closed_books(page: &Page, config: &Config) -> Told<()> {
    let store = serve::open_store(config).await.map_err(|error| error.to_string())?;
    let audit = store.check_books().await;
    store.close().await;
    let audit = audit.map_err(|error| error.to_string())?;
    if !audit.in_order() || audit.open_calls > 0 || audit.open_holds > 0 {
        return Err(format!("the books are not in order: {audit:?}"));
    }
    page.check("books in order: entries sum to zero, no call open, no hold left");
    Ok(())
}
