//! `tandem explain NUMBER`: where a number would go by the books, and why not elsewhere.

use std::fmt::Write as _;
use std::process::ExitCode;

use billing::Store;
use facts::routing::{Candidate, Explanation};
use facts::settings::Snapshot;

use crate::cli::{complain, failed, print};
use crate::config::Config;
use crate::{clock, serve};

/// Reads the settings from the database; how full trunks are is only known to the switch that runs.
pub(crate) async fn explain(config: &Config, number: &str) -> ExitCode {
    let store = match serve::open_kept(config).await {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let read = read(&store, number).await;
    store.close().await;
    let (snapshot, has_scenario) = match read {
        Ok(read) => read,
        Err(error) => return failed(&format!("the settings cannot be read: {error}")),
    };
    match call::explain(&snapshot, number, clock::wall(), None) {
        Ok(mut explanation) => {
            call::explain_delivered(&snapshot, &mut explanation, number, |_, _| has_scenario);
            print(&page(&explanation));
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain(&why);
            ExitCode::from(2)
        }
    }
}

/// The settings, and whether a scenario answers the number.
async fn read(store: &Store, number: &str) -> billing::Result<(Snapshot, bool)> {
    let snapshot = store.snapshot().await?;
    let digits = snapshot.plan.parse(number).map(|number| number.digits().to_owned());
    let digits = digits.unwrap_or_default();
    let has_scenario = match snapshot.inbound_owner(&digits) {
        Some(owner) => store.number_scenario(owner, &digits).await?.is_some(),
        None => false,
    };
    Ok((snapshot, has_scenario))
}

fn page(told: &Explanation) -> String {
    let mut page = format!("{} leads to {}  ({})\n", told.number, told.leads_to, told.local_time);
    if !told.candidates.is_empty() {
        table(&mut page, told);
    } else if told.leads_to.contains("its bound phone") {
        page += "no route has a prefix that fits its bound phone\n";
    }
    if let Some(delivered) = &told.delivered {
        let _ = writeln!(page, "delivered by a carrier it leads to {delivered}");
    }
    for pool in &told.pools {
        let _ = writeln!(page, "a call of merchant {} {}", pool.merchant, pool.shows);
    }
    for told in &told.policies {
        let _ = writeln!(page, "policy {} ({}): {}", told.policy, told.about, told.says);
    }
    page += "Contacts, limits, rates, rests and whether carriers answer are known to the switch that runs: \
             GET /admin/v1/explain/NUMBER\n\
             Prices are not looked at: a number without a price in the merchant's tariff is refused.\n";
    page
}

fn table(page: &mut String, told: &Explanation) {
    let rows: Vec<[String; 6]> = told.candidates.iter().map(row).collect();
    let head = ["", "prefix", "trunk", "priority", "weight", "cost"].map(str::to_owned);
    let width = |at: usize| {
        [&head].into_iter().chain(&rows).map(|row| row[at].chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut line = |cells: &[String; 6], why: &str| {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(page, "{cell:width$}  ");
        }
        let _ = writeln!(page, "{why}");
    };
    line(&head, "why");
    for (row, candidate) in rows.iter().zip(&told.candidates) {
        let pool = candidate.pool.as_ref().map(|pool| format!("; {pool}")).unwrap_or_default();
        line(row, &format!("{}{pool}", candidate.verdict));
    }
}

fn row(candidate: &Candidate) -> [String; 6] {
    let prefix = if candidate.prefix.is_empty() { "*" } else { &candidate.prefix };
    [
        candidate.place.map(|place| place.to_string()).unwrap_or_default(),
        prefix.to_owned(),
        candidate.trunk.clone(),
        candidate.priority.to_string(),
        candidate.weight.to_string(),
        candidate.cost.map(|cost| cost.decimal(2)).unwrap_or_default(),
    ]
}
