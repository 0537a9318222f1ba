//! Tariffs as look-up structures, kept in memory until their version in the database moves on.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use facts::Number;
use money::{Pattern, Priced, Quote, Rate, Tariff};

use crate::db::{Conn, args};
use crate::error::{Error, Result};

/// The cache. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tariffs {
    kept: Arc<RwLock<BTreeMap<i64, Kept>>>,
}

/// A tariff and the version it is of.
type Kept = (i64, Arc<Tariff>);

impl Tariffs {
    /// What a number costs under a tariff: `None` when nothing prices it, `Some(None)` when it is free.
    pub(crate) async fn quote(
        &self,
        conn: &mut Conn,
        tariff: Option<i64>,
        version: Option<i64>,
        number: &Number,
    ) -> Result<Option<Option<Quote>>> {
        let (Some(id), Some(version)) = (tariff, version) else {
            // Without a tariff only what is free by nature can be dialled.
            return Ok(matches!(number, Number::Internal(_)).then_some(None));
        };
        let tariff = self.tariff(conn, id, version).await?;
        Ok(match tariff.price(number) {
            Priced::Unpriced => None,
            Priced::Free => Some(None),
            priced @ Priced::Row(..) => Some(priced.quote()),
        })
    }

    async fn tariff(&self, conn: &mut Conn, id: i64, version: i64) -> Result<Arc<Tariff>> {
        let kept = {
            let cache = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            cache.get(&id).filter(|(at, _)| *at == version).map(|(_, tariff)| Arc::clone(tariff))
        };
        if let Some(tariff) = kept {
            return Ok(tariff);
        }
        let tariff = Arc::new(load(conn, id).await?);
        let mut cache = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        cache.insert(id, (version, Arc::clone(&tariff)));
        Ok(tariff)
    }
}

async fn load(conn: &mut Conn, id: i64) -> Result<Tariff> {
    let rows = conn
        .rows(
            "SELECT r.pattern, r.connect_fee, r.first_per_minute, r.per_minute, r.initial_s, \
             r.next_s, r.minimum, r.free_s, t.decimals \
             FROM rates r JOIN tariffs t ON t.id = r.tariff_id WHERE t.id = $1 ORDER BY r.pattern",
            args![id],
        )
        .await?;
    let mut rates = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = row.text(0)?;
        let pattern: Pattern = text
            .parse()
            .map_err(|_| Error::Damaged { table: "rates", detail: format!("pattern {text}") })?;
        rates.push((
            pattern,
            Rate {
                connect_fee: row.micros(1)?,
                first_per_minute: row.micros(2)?,
                per_minute: row.micros(3)?,
                initial_s: row.small(4)?,
                next_s: row.small(5)?,
                minimum: row.micros(6)?,
                free_s: row.small(7)?,
                decimals: row.small(8)?,
            },
        ));
    }
    Ok(Tariff::new(rates))
}

/// Every tariff as the operator would write it.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<crate::desired::Tariff>> {
    let rows = conn.rows("SELECT id, name, currency, decimals FROM tariffs ORDER BY name", args![]);
    let mut tariffs = Vec::new();
    for row in rows.await? {
        let rates = conn
            .rows(
                "SELECT pattern, per_minute, first_per_minute, initial_s, next_s, connect_fee, \
                 minimum, free_s FROM rates WHERE tariff_id = $1 ORDER BY pattern",
                args![row.int(0)?],
            )
            .await?;
        let rates = rates.iter().map(|rate| {
            let amount = |column| Ok::<_, Error>(rate.micros(column)?.decimal(2));
            Ok(crate::desired::Rate {
                prefix: rate.text(0)?,
                per_minute: amount(1)?,
                first_per_minute: (rate.int(1)? != rate.int(2)?).then(|| amount(2)).transpose()?,
                initial: rate.small(3)?,
                next: rate.small(4)?,
                connect_fee: amount(5)?,
                minimum: amount(6)?,
                free_seconds: rate.small(7)?,
            })
        });
        tariffs.push(crate::desired::Tariff {
            name: row.text(1)?,
            currency: row.text(2)?,
            decimals: row.small(3)?,
            rates: rates.collect::<Result<_>>()?,
        });
    }
    Ok(tariffs)
}
