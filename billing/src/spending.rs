//! Limits against toll fraud that are about money: sums of an hour and a day, the price of a minute, and
//! destinations that nobody called before. They are looked at in the transaction that makes a hold, so that
//! parallel calls see each other; whoever has no limits costs no statement.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use facts::fraud::{Act, Alert, DESTINATION_DIGITS, FraudLimits, Rule, Scope, limited};
use facts::{CallId, Micros, Number, UnixMillis};
use money::Quote;

use crate::db::{Batch, Conn, Row, args, from_json};
use crate::error::Result;

/// Spending is counted by so many milliseconds.
const BUCKET_MS: i64 = 5 * 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Alerts that wait for somebody to take them at most. More say nothing new.
const ALERTS_MAX: usize = 256;

/// Alerts that wait for somebody to take them. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts(Arc<Mutex<VecDeque<Alert>>>);

impl Alerts {
    pub(crate) fn take(&self) -> Vec<Alert> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn add(&self, alert: Alert) {
        let mut alerts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alerts.len() < ALERTS_MAX && !alerts.iter().any(|told| told.key() == alert.key()) {
            alerts.push_back(alert);
        }
    }
}

impl crate::Store {
    /// Limits against toll fraud that were reached since they were taken last. Each is told once.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.alerts.take()
    }
}

/// The limits that a call is under.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    limits: Vec<(Scope, FraudLimits)>,
    /// Destinations that its legs lead to and that were never called: whose, and their first digits.
    fresh: Vec<(String, String)>,
    /// Of which call.
    call: Option<CallId>,
    /// The number outside that is asked for; none where a call only goes on.
    number: Option<Number>,
}

/// What limits leave for a call.
pub(crate) enum Room {
    /// Holds of so much; `None`: as much as there is.
    For(Option<Micros>),
    /// Nothing of it.
    None,
}

impl Watched {
    /// Reads limits from columns of a row, each of one scope. `{}` is none.
    pub(crate) fn read(row: &Row, first: usize, scopes: [Option<Scope>; 3]) -> Result<Watched> {
        let mut limits = Vec::new();
        for (at, scope) in scopes.into_iter().enumerate() {
            let text = row.opt_text(first + at)?;
            if let (Some(scope), Some(text)) = (scope, text.filter(|text| text != "{}")) {
                limits.push((scope, from_json(&text)?));
            }
        }
        Ok(Watched { limits, fresh: Vec::new(), call: None, number: None })
    }

    /// The limits of those whom a hold counts against.
    pub(crate) async fn of_hold(conn: &mut Conn, counted: Option<&str>) -> Result<Watched> {
        let keys = counted.into_iter().flat_map(str::split_whitespace);
        Watched::of_scopes(conn, keys.filter_map(Scope::from_key).collect()).await
    }

    /// The limits of these.
    pub(crate) async fn of_scopes(conn: &mut Conn, scopes: Vec<Scope>) -> Result<Watched> {
        let mut limits = Vec::new();
        for scope in scopes {
            let (sql, id) = match &scope {
                Scope::Merchant(id) => ("SELECT fraud FROM merchants WHERE id = $1", args![id.0]),
                Scope::SubAccount(id) => {
                    ("SELECT fraud FROM sub_accounts WHERE id = $1", args![id.0])
                }
                Scope::Extension(user) => {
                    ("SELECT fraud FROM extensions WHERE number = $1", args![user])
                }
            };
            if let Some(row) = conn.row(sql, id).await? {
                limits.push((scope, row.json(0)?));
            }
        }
        Ok(Watched { limits, fresh: Vec::new(), call: None, number: None })
    }

    /// Of which call it is.
    pub(crate) fn of_call(self, call: CallId) -> Watched {
        Watched { call: Some(call), ..self }
    }

    fn alert(&self, limits: &FraudLimits, scope: &Scope, rule: Rule) -> Alert {
        limits.alert(scope, rule).about(self.call, self.number.as_ref())
    }

    /// Whether the prices and destinations of legs are within the limits, and what the sums leave.
    pub(crate) async fn room(
        &mut self,
        conn: &mut Conn,
        alerts: &Alerts,
        legs: &[(&Number, Option<&Quote>)],
        at: UnixMillis,
    ) -> Result<Room> {
        self.number =
            legs.iter().map(|(number, _)| *number).find(|n| limited(n).is_some()).cloned();
        let mut refused = false;
        for (scope, limits) in &self.limits {
            let mut broken = Vec::new();
            if legs.iter().any(|(number, quote)| is_dear(limits, number, *quote)) {
                broken.push(Rule::PricePerMinute);
            }
            if let Some(most) = limits.new_destinations {
                let (fresh, new) = unknown(conn, scope, legs, at).await?;
                if !fresh.is_empty() && new + fresh.len() > most as usize {
                    broken.push(Rule::NewDestinations);
                }
                self.fresh.extend(fresh.into_iter().map(|prefix| (scope.key(), prefix)));
            }
            for rule in broken {
                let alert = self.alert(limits, scope, rule);
                refused |= alert.blocked;
                alerts.add(alert);
            }
        }
        if refused {
            return Ok(Room::None);
        }
        let mut least: Option<Micros> = None;
        for (scope, limits) in &self.limits {
            for (rule, limit, since) in sums(limits, at) {
                let left = limit - spent(conn, scope, since).await?;
                if limits.act == Act::Block {
                    least = Some(least.map_or(left, |least| least.min(left)));
                } else if left <= Micros::ZERO {
                    alerts.add(self.alert(limits, scope, rule));
                }
            }
        }
        Ok(Room::For(least))
    }

    /// Tells that a sum was in the way.
    pub(crate) async fn reached(
        &self,
        conn: &mut Conn,
        alerts: &Alerts,
        wanted: Micros,
        at: UnixMillis,
    ) -> Result<()> {
        for (scope, limits) in self.limits.iter().filter(|(_, limits)| limits.act == Act::Block) {
            for (rule, limit, since) in sums(limits, at) {
                if spent(conn, scope, since).await? + wanted > limit {
                    alerts.add(self.alert(limits, scope, rule));
                }
            }
        }
        Ok(())
    }

    /// Counts a hold, notes where it leads, and tells when a sum is near its limit. Returns what the hold's row keeps of it.
    pub(crate) async fn count(
        &self,
        conn: &mut Conn,
        alerts: &Alerts,
        amount: Micros,
        at: UnixMillis,
    ) -> Result<Option<String>> {
        for (key, prefix) in &self.fresh {
            conn.exec(
                "INSERT INTO destinations (scope, prefix, since) VALUES ($1, $2, $3) \
                 ON CONFLICT (scope, prefix) DO NOTHING",
                args![key, prefix, at],
            )
            .await?;
        }
        let mut keys = Vec::new();
        for (scope, limits) in self.limits.iter().filter(|(_, limits)| limits.counts_spending()) {
            let key = scope.key();
            conn.exec(
                "INSERT INTO spending (scope, at, amount) VALUES ($1, $2, $3) \
                 ON CONFLICT (scope, at) DO UPDATE SET amount = spending.amount + excluded.amount",
                args![&key, bucket(at), amount],
            )
            .await?;
            let past = at.0 - DAY_MS - BUCKET_MS;
            conn.exec("DELETE FROM spending WHERE scope = $1 AND at < $2", args![&key, past])
                .await?;
            for (rule, limit, since) in sums(limits, at) {
                let spent = i128::from(spent(conn, scope, since).await?.0);
                let (limit, percent) = (i128::from(limit.0), i128::from(limits.warn_at));
                if spent * 100 >= limit * percent
                    && (spent - i128::from(amount.0)) * 100 < limit * percent
                {
                    alerts.add(Alert { blocked: false, ..self.alert(limits, scope, rule) });
                }
            }
            keys.push(key);
        }
        Ok((!keys.is_empty()).then(|| keys.join(" ")))
    }
}

/// Of these legs the destinations that somebody never called, and how many are new since an hour.
async fn unknown(
    conn: &mut Conn,
    scope: &Scope,
    legs: &[(&Number, Option<&Quote>)],
    at: UnixMillis,
) -> Result<(BTreeSet<String>, usize)> {
    let (key, mut fresh, mut new) = (scope.key(), BTreeSet::new(), 0);
    for digits in legs.iter().filter_map(|(number, _)| limited(number)) {
        let prefix = digits.get(..DESTINATION_DIGITS).unwrap_or(digits);
        let sql = "SELECT CAST(COALESCE(MAX(CASE WHEN prefix = $2 THEN 1 ELSE 0 END), 0) AS BIGINT), \
                   CAST(COALESCE(SUM(CASE WHEN since > $3 THEN 1 ELSE 0 END), 0) AS BIGINT) \
                   FROM destinations WHERE scope = $1";
        let Some(row) = conn.row(sql, args![&key, prefix, at.0 - HOUR_MS]).await? else { continue };
        new = row.small(1)?;
        if row.int(0)? == 0 {
            fresh.insert(prefix.to_owned());
        }
    }
    Ok((fresh, new))
}

/// Gives back what of a hold was not taken.
pub(crate) fn give_back(batch: &mut Batch, counted: &str, made: UnixMillis, amount: Micros) {
    if amount == Micros::ZERO {
        return;
    }
    for key in counted.split_whitespace() {
        batch.add(
            "UPDATE spending SET amount = amount - $3 WHERE scope = $1 AND at = $2",
            args![key, bucket(made), amount],
        );
    }
}

fn is_dear(limits: &FraudLimits, number: &Number, quote: Option<&Quote>) -> bool {
    let (Some(most), Some(quote), Some(_)) = (limits.price_per_minute, quote, limited(number))
    else {
        return false;
    };
    quote.rate.per_minute.max(quote.rate.first_per_minute) > most
}

/// The sums that are limited, and since when each is counted.
fn sums(limits: &FraudLimits, at: UnixMillis) -> impl Iterator<Item = (Rule, Micros, i64)> + use<> {
    [
        (Rule::SpendPerHour, limits.spend_per_hour, HOUR_MS),
        (Rule::SpendPerDay, limits.spend_per_day, DAY_MS),
    ]
    .into_iter()
    .filter_map(move |(rule, limit, span)| Some((rule, limit?, at.0 - span)))
}

/// What was spent since then. The five minutes in which that is count whole: never too little.
async fn spent(conn: &mut Conn, scope: &Scope, since: i64) -> Result<Micros> {
    let sql = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spending \
               WHERE scope = $1 AND at > $2";
    let row = conn.row(sql, args![scope.key(), since - BUCKET_MS]).await?;
    Ok(row.map_or(Ok(Micros::ZERO), |row| row.micros(0))?.max(Micros::ZERO))
}

fn bucket(at: UnixMillis) -> i64 {
    at.0 - at.0.rem_euclid(BUCKET_MS)
}
