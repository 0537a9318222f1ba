//! Payments of menus by the gateway for tests, from the menu's step to the booking; and questions after one payment among
//! many.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::country::USER;
use e2e::tandem::Tandem;
use e2e::ussd::{self, OWNER, PUBLIC};
use load::ask::{Asker, percentile, sorted};
use load::usage::{self, Machine};

use crate::SETTINGS;
use crate::pages::Pages;

/// Connections that pay, and that ask.
const CONNECTIONS: usize = 16;
const SERVICE: &str = "/_services/ExternalUssdPay.asmx";

/// Makes more invoices of the last one, and of what was posted for it: as many tokens, sessions and ids.
const MANY: &str = r#"
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=60) as db:
    names = lambda table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    one = db.execute("SELECT MAX(id) FROM ussd_invoices WHERE state = 'paid'").fetchone()[0]
    new = {"id": "n.n", "token": "printf('%032x', n.n)", "factor": "'many' || n.n", "session": "n.n", "rrn": "CAST(100000000000 + n.n AS TEXT)"}
    numbers = f"(WITH RECURSIVE t(n) AS (SELECT {one} + 1 UNION ALL SELECT n + 1 FROM t WHERE n < {one} + {int(sys.argv[2])}) SELECT n FROM t) n"
    def copy(table, new, where):
        columns = names(table)
        taken = ", ".join(new.get(name, "r." + name) for name in columns)
        db.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {taken} FROM {table} r, {numbers} WHERE {where}")
    new["reference"] = "'many' || n.n"
    copy("ussd_invoices", new, f"r.id = {one}")
    copy("ussd_attempts", {"id": "NULL", "invoice_id": "n.n", "reference": new["reference"]}, f"r.invoice_id = {one} AND r.state = 'paid'")
    copy("ussd_entries", {"id": "NULL", "invoice_id": "n.n"}, f"r.invoice_id = {one}")
"#;

/// Pays so many, then asks for so long among so many.
pub(crate) fn run((payments, invoices): (usize, u32), asked: Duration) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let pages = Pages::start(1, Duration::ZERO)?;
    let tandem = ussd::switch_with(folder.path(), &pages.url("pay"), "", &SETTINGS);
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>15} {:>10} {:>5} {:>6}  notes",
        "what", "asked", "done", "each/s", "p50/p99 ms", "cpu s/1000", "idle%", "steal%"
    );
    // One at least: what is asked for is made of it.
    let key = tandem.api_key(USER, &["ussd:write", "ussd:read"]);
    let paid = measured("pay", &tandem, payments.max(1), None, &|asker, no| {
        pay(asker, &key, no).unwrap_or(false)
    })?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while (pages.paid() as usize) < paid && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{:>10} {} of {paid} payments were told to the page, each once where both are equal",
        "",
        pages.paid()
    );
    if invoices > 0 {
        many(&folder.path().join("data/tandem.sqlite"), invoices)?;
        // Who asks for the first time has his password stretched; those after him are known.
        inquire(&mut Asker::connect(tandem.http)?, 0, paid as u64);
        measured("inquire", &tandem, usize::MAX, Some(asked), &|asker, no| {
            inquire(asker, no as u64 % u64::from(invoices), paid as u64)
        })?;
    }
    let (books, said) = tandem.run(&["check", "--books"]);
    if books { Ok(()) } else { Err(io::Error::other(said)) }
}

/// Has something done over all connections, so often or so long; how often it was done well.
fn measured(
    what: &str,
    tandem: &Tandem,
    times: usize,
    long: Option<Duration>,
    act: &(dyn Fn(&mut Asker, usize) -> bool + Sync),
) -> io::Result<usize> {
    let (cpu, machine, begun) =
        (usage::cpu_seconds(tandem.pid())?, Machine::read()?, Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let door: SocketAddr = tandem.http;
    let done: Vec<(bool, Duration)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let next = Arc::clone(&next);
                scope.spawn(move || {
                    let mut asker = Asker::connect(door).expect("the switch listens");
                    let mut done = Vec::new();
                    loop {
                        let no = next.fetch_add(1, Ordering::Relaxed);
                        if no >= times || long.is_some_and(|long| begun.elapsed() > long) {
                            return done;
                        }
                        let since = Instant::now();
                        let good = act(&mut asker, no);
                        done.push((good, since.elapsed()));
                    }
                })
            })
            .collect();
        all.into_iter().flat_map(|one| one.join().unwrap_or_default()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let good = done.iter().filter(|(good, _)| *good).count();
    let waits = sorted(done.iter().map(|(_, wait)| *wait));
    let (idle, stolen) = Machine::read()?.since(&machine);
    println!(
        "{what:>10} {:>8} {good:>8} {:>8.1} {:>15} {:>10.3} {idle:>5.1} {stolen:>6.1}  {}",
        done.len(),
        good as f64 / seconds,
        format!("{:.1}/{:.1}", percentile(&waits, 50), percentile(&waits, 99)),
        (usage::cpu_seconds(tandem.pid())? - cpu) / good.max(1) as f64 * 1000.0,
        usage::spoiled(idle, stolen).unwrap_or_default(),
    );
    Ok(good)
}

/// A menu's step that has something paid, the way to the gateway, its button, the way back, and the page that says so.
fn pay(asker: &mut Asker, key: &str, no: usize) -> io::Result<bool> {
    let dialled = format!("{{\"dialled\":\"*6655*123#\",\"mobile\":\"+98912{no:07}\"}}");
    let shown = asker.post_json("/v1/ussd/sessions", key, &dialled)?;
    let Some((_, rest)) = shown.split_once(PUBLIC) else { return Ok(false) };
    let path = rest.split('"').next().unwrap_or_default().to_owned();
    asker.post(&format!("{path}/start"), "")?;
    asker.post(&format!("{path}/test"), "act=pay")?;
    asker.get(&format!("{path}/back"))?;
    Ok(asker.get(&format!("{path}?lang=en"))?.contains("Tracking id"))
}

/// Asks as merchants do before they book: by everything that the visit told.
fn inquire(asker: &mut Asker, no: u64, paid: u64) -> bool {
    // Those that were paid come first, and the others go on from the last of them.
    let n = paid + 1 + no;
    let (name, password) = OWNER;
    let envelope = format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
         <GetPayments xmlns=\"http://tempuri.org/\"><Username>{name}</Username><Password>{password}</Password>\
         <CodeName>123</CodeName><IsAll>false</IsAll><SessionID>{n}</SessionID><PriceFrom>50000</PriceFrom>\
         <PriceTo>50000</PriceTo><iNotiFactorID>{n}</iNotiFactorID><YourFactorID>many{n}</YourFactorID>\
         <RRN>{}</RRN></GetPayments></soap:Body></soap:Envelope>",
        100_000_000_000 + n
    );
    let answer = asker.post_soap(SERVICE, &envelope).unwrap_or_default();
    answer.contains(&format!("&quot;YourFactorID&quot;:&quot;many{n}&quot;"))
}

fn many(database: &Path, invoices: u32) -> io::Result<()> {
    let out = Command::new("python3")
        .args(["-c", MANY])
        .arg(database)
        .arg(invoices.to_string())
        .output()?;
    if out.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned()))
}
