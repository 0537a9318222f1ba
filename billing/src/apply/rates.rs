//! Tariffs and their rates. A tariff's rates are taken as complete.

use std::collections::BTreeMap;

use facts::Micros;
use money::{Pattern, Rate};

use super::Run;
use super::sync::{Item, Show, Table, amount, set};
use crate::db::{Value, args, tuples};
use crate::desired::{self, Act};
use crate::error::Result;

const TARIFFS: Table = Table {
    kind: "tariff",
    table: "tariffs",
    keys: &["name"],
    columns: &[("currency", Show::Plain), ("decimals", Show::Plain)],
};

/// Rows of one insert; nine values each.
const CHUNK: usize = 100;
/// Rates that a difference names at most.
const NAMED_MAX: usize = 10;

/// A rate's numbers as the table has them, without decimals (those are the tariff's).
type Numbers = [i64; 7];

impl Run<'_> {
    pub(super) async fn tariffs(&mut self) -> Result<()> {
        let desired = self.desired;
        let payers = self.payers().await?;
        let mut items = Vec::new();
        let mut rates = Vec::new();
        for (i, tariff) in desired.tariffs.iter().enumerate() {
            let path = format!("tariffs[{i}]");
            self.check.currency(&format!("{path}.currency"), &tariff.currency);
            let others = payers.get(&tariff.name).into_iter().flatten();
            for (merchant, currency) in others.filter(|(_, currency)| *currency != tariff.currency)
            {
                let message = format!("merchant {merchant} has this tariff and pays in {currency}");
                self.check.wrong(format!("{path}.currency"), message);
            }
            let before = self.check.mistakes.len();
            rates.push(self.rates(&path, tariff));
            if self.check.mistakes.len() == before && tariff.decimals <= 6 {
                items.push(Item {
                    name: tariff.name.clone(),
                    key: args![&tariff.name],
                    cells: vec![set(&tariff.currency), set(tariff.decimals)],
                });
            }
        }
        let good = items.len() == desired.tariffs.len();
        let first = self.changes.lines.len();
        self.sync(&TARIFFS, items).await?;
        self.tariffs = self.ids("tariffs").await?;
        if !good {
            return Ok(());
        }
        for (i, (tariff, rates)) in desired.tariffs.iter().zip(rates).enumerate() {
            let Some(&id) = self.tariffs.get(&tariff.name) else { continue };
            let fields = self.sync_rates(id, rates).await?;
            let line = &mut self.changes.lines[first + i];
            line.fields.extend(fields);
            if line.act == Act::Unchanged && !line.fields.is_empty() {
                line.act = Act::Updated;
            }
            if line.act != Act::Unchanged {
                let sql = "UPDATE tariffs SET version = $2 WHERE id = $1";
                self.conn.exec(sql, args![id, self.version]).await?;
            }
        }
        Ok(())
    }

    /// Who has each tariff and in which currency he pays, of those whom the file leaves as they are: of the
    /// others it says itself which tariff they have.
    async fn payers(&mut self) -> Result<BTreeMap<String, Vec<(String, String)>>> {
        let sql = "SELECT t.name, m.name, m.currency FROM merchants m \
                   JOIN tariffs t ON t.id = m.tariff_id ORDER BY m.name";
        let mut payers: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for row in self.conn.rows(sql, args![]).await? {
            let merchant = row.text(1)?;
            if !self.desired.merchants.iter().any(|named| named.name == merchant) {
                payers.entry(row.text(0)?).or_default().push((merchant, row.text(2)?));
            }
        }
        Ok(payers)
    }

    fn rates(&mut self, path: &str, tariff: &desired::Tariff) -> BTreeMap<String, Numbers> {
        let mut rates = BTreeMap::new();
        for (i, rate) in tariff.rates.iter().enumerate() {
            let path = format!("{path}.rates[{i}]");
            if let Some(numbers) = self.rate(&path, rate, tariff.decimals)
                && rates.insert(rate.prefix.clone(), numbers).is_some()
            {
                let message = format!("{} is in the tariff twice", rate.prefix);
                self.check.wrong(format!("{path}.prefix"), message);
            }
        }
        if tariff.decimals > 6 {
            self.check.wrong(format!("{path}.decimals"), "decimals are 0 to 6");
        }
        rates
    }

    fn rate(&mut self, path: &str, rate: &desired::Rate, decimals: u8) -> Option<Numbers> {
        if let Err(error) = rate.prefix.parse::<Pattern>() {
            self.check.wrong(format!("{path}.prefix"), error.to_string());
        }
        let mut amount =
            |field: &str, text: &str| self.check.amount(&format!("{path}.{field}"), text);
        let per_minute = amount("per_minute", &rate.per_minute);
        let first = match &rate.first_per_minute {
            None => per_minute,
            Some(text) => amount("first_per_minute", text),
        };
        let connect_fee = amount("connect_fee", &rate.connect_fee);
        let minimum = amount("minimum", &rate.minimum);
        let value = Rate {
            connect_fee: connect_fee?,
            first_per_minute: first?,
            per_minute: per_minute?,
            initial_s: rate.initial,
            next_s: rate.next,
            minimum: minimum?,
            free_s: rate.free_seconds,
            decimals: decimals.min(6),
        };
        if let Err(error) = value.check() {
            self.check.wrong(path, error.to_string());
            return None;
        }
        Some([
            value.connect_fee.0,
            value.first_per_minute.0,
            value.per_minute.0,
            value.initial_s.into(),
            value.next_s.into(),
            value.minimum.0,
            value.free_s.into(),
        ])
    }

    async fn sync_rates(
        &mut self,
        tariff: i64,
        desired: BTreeMap<String, Numbers>,
    ) -> Result<Vec<String>> {
        let sql = format!("SELECT pattern, {COLUMNS} FROM rates WHERE tariff_id = $1");
        let mut old = BTreeMap::new();
        for row in self.conn.rows(&sql, args![tariff]).await? {
            let mut numbers = [0; 7];
            for (i, number) in numbers.iter_mut().enumerate() {
                *number = row.int(i + 1)?;
            }
            old.insert(row.text(0)?, numbers);
        }
        let mut added = Vec::new();
        let mut fields = Vec::new();
        for (pattern, numbers) in &desired {
            match old.remove(pattern) {
                Some(same) if same == *numbers => {}
                Some(before) => {
                    self.update_rate(tariff, pattern, numbers).await?;
                    fields.push(format!(
                        "rate {pattern}: {} → {} a minute",
                        amount(Micros(before[2])),
                        amount(Micros(numbers[2]))
                    ));
                }
                None => {
                    fields.push(format!("rate {pattern}: new"));
                    added.push((pattern, numbers));
                }
            }
        }
        for pattern in old.keys() {
            let sql = "DELETE FROM rates WHERE tariff_id = $1 AND pattern = $2";
            self.conn.exec(sql, args![tariff, pattern]).await?;
            fields.push(format!("rate {pattern}: removed"));
        }
        for chunk in added.chunks(CHUNK) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 9);
            for (pattern, numbers) in chunk {
                values.extend(args![tariff, *pattern]);
                values.extend(numbers.iter().map(|number| Value::from(*number)));
            }
            let sql = format!(
                "INSERT INTO rates (tariff_id, pattern, {COLUMNS}) VALUES {}",
                tuples(chunk.len(), 9)
            );
            self.conn.exec(&sql, values).await?;
        }
        if fields.len() > NAMED_MAX {
            let more = fields.len() - NAMED_MAX;
            fields.truncate(NAMED_MAX);
            fields.push(format!("and {more} more rates"));
        }
        Ok(fields)
    }

    async fn update_rate(&mut self, tariff: i64, pattern: &str, numbers: &Numbers) -> Result<()> {
        let mut values = args![tariff, pattern];
        values.extend(numbers.iter().map(|number| Value::from(*number)));
        self.conn
            .exec(
                "UPDATE rates SET connect_fee = $3, first_per_minute = $4, per_minute = $5, \
                 initial_s = $6, next_s = $7, minimum = $8, free_s = $9 \
                 WHERE tariff_id = $1 AND pattern = $2",
                values,
            )
            .await?;
        Ok(())
    }
}

const COLUMNS: &str =
    "connect_fee, first_per_minute, per_minute, initial_s, next_s, minimum, free_s";
