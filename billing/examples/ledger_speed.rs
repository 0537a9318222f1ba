//! How many calls a second the ledger authorizes and settles.
//!
//! `cargo run --release -p billing --example ledger_speed -- sqlite:///tmp/speed.db [calls] [at once] [merchants]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use billing::desired::Desired;
use billing::{SettleContext, Store, StoreConfig};
use facts::ledger::{Authorize, Authorized, LegQuote};
use facts::media::MediaStats;
use facts::record::{CallFacts, LegFacts, Outcome, Side};
use facts::{
    CallCommand, CallIds, Dialect, LegNo, MerchantId, Number, Party, Push, PushKind, UnixMillis,
};

/// Merchants with a price and money.
fn file(merchants: usize) -> String {
    let mut text = String::from(
        "[[tariffs]]\nname = \"t\"\nrates = [{ prefix = \"86\", per_minute = \"0.10\" }]\n",
    );
    for m in 0..merchants {
        text += &format!("[[merchants]]\nname = \"m{m}\"\ntariff = \"t\"\n");
        text += &format!("[[top_ups]]\nid = \"1\"\nmerchant = \"m{m}\"\namount = \"1000000\"\n");
    }
    text
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("which store?")?;
    let calls: u64 = args.next().as_deref().unwrap_or("5000").parse()?;
    let at_once: u64 = args.next().as_deref().unwrap_or("128").parse()?;
    let merchants: usize = args.next().as_deref().unwrap_or("16").parse()?;
    let store = Store::open(&url, StoreConfig::default()).await?;
    store.migrate().await?;
    let desired: Desired = toml::from_str(&file(merchants))?;
    store.apply(&desired, UnixMillis(0), false).await?;
    let merchants: Arc<Vec<MerchantId>> =
        Arc::new(store.merchants().await?.iter().map(|merchant| merchant.id).collect());
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = UnixMillis(i64::try_from(wall.as_millis())?);
    let mut ids = CallIds::new(0);
    let ids: Arc<Vec<_>> = Arc::new((0..calls).map(|_| ids.next(now)).collect());
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (store, ids, next) = (store.clone(), Arc::clone(&ids), Arc::clone(&next));
            let merchants = Arc::clone(&merchants);
            tokio::spawn(async move {
                loop {
                    let no = usize::try_from(next.fetch_add(1, Ordering::Relaxed))?;
                    let Some(call) = ids.get(no) else { return Ok::<_, Failure>(()) };
                    let command = command(merchants[no % merchants.len()]);
                    let legs = vec![
                        LegQuote { leg: LegNo::A, number: command.a.number.clone() },
                        LegQuote {
                            leg: LegNo::B,
                            number: command.b.as_ref().expect("it calls B").number.clone(),
                        },
                    ];
                    let ask = Authorize {
                        call: *call,
                        command: command.clone(),
                        legs,
                        caps: vec![],
                        at: now,
                    };
                    let Authorized::Granted { .. } = store.authorize(ask).await? else {
                        return Err("refused".into());
                    };
                    let leg = |no, party: &Party| leg(no, party, now);
                    let facts = CallFacts {
                        call: *call,
                        placed: now,
                        bridged: Some(now),
                        ended: now + Duration::from_secs(40),
                        outcome: Outcome::Completed,
                        released_by: Side::Caller,
                        legs: vec![
                            leg(LegNo::A, &command.a),
                            leg(LegNo::B, command.b.as_ref().expect("it calls B")),
                        ],
                        unrung: Vec::new(),
                        recording: None,
                        unrecorded: None,
                        message: None,
                        mailbox: None,
                        collected: Vec::new(),
                        command,
                    };
                    store.settle(facts, SettleContext::default()).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let took = begun.elapsed();
    let audit = store.check_books().await?;
    println!(
        "{calls} calls authorized and settled in {took:.2?}: {:.0} a second; {} findings in the books",
        f64::from(u32::try_from(calls)?) / took.as_secs_f64(),
        audit.findings.len()
    );
    store.close().await;
    Ok(())
}

fn command(merchant: MerchantId) -> CallCommand {
    let party = |digits: &str| Party {
        number: Number::E164(digits.into()),
        as_sent: digits.into(),
        shown: None,
        ring: Duration::from_secs(60),
    };
    CallCommand {
        dialect: Dialect::Callni,
        merchant,
        sub_account: None,
        app: String::new(),
        a: party("8613800138000"),
        b: Some(party("8613900139000")),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: vec![Push {
            kind: PushKind::Record,
            dialect: Dialect::Callni,
            endpoint: "http://merchant.example/result".into(),
            context: "{}".into(),
        }],
        custom: String::new(),
    }
}

fn leg(no: LegNo, party: &Party, now: UnixMillis) -> LegFacts {
    LegFacts {
        no,
        number: party.number.clone(),
        as_sent: party.as_sent.clone(),
        shown: String::new(),
        trunk: "carrier".into(),
        sip_call_id: "x".into(),
        invited: now,
        progress: None,
        alerting: Some(now),
        answered: Some(now),
        ended: Some(now + Duration::from_secs(40)),
        sip_final: Some(200),
        q850: Some(16),
        released_by: Some(Side::Caller),
        failure: None,
        replaced_by: None,
        paid_until: Some(Duration::from_secs(60)),
        media: MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}
