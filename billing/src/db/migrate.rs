//! The schema and its history: commented SQL, one set per kind of database, applied in order, each once.

use super::{Conn, args};
use crate::error::{Error, Result};

struct Migration {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($( $number:literal $name:literal ),* $(,)?) => {
        const MIGRATIONS: &[Migration] = &[$( Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        } ),*];
    };
}

migrations! {
    1 "0001_objects",
    2 "0002_ledger",
    3 "0003_calls",
    4 "0004_outbox",
    5 "0005_audit",
    6 "0006_routes",
    7 "0007_lean",
    8 "0008_once",
    9 "0009_options",
    10 "0010_fewer_trees",
    12 "0012_groups",
    13 "0013_fraud",
    14 "0014_voicemail",
    16 "0016_capacity",
    17 "0017_recognised",
    18 "0018_spoken",
    19 "0019_record",
    20 "0020_purpose",
    21 "0021_policies",
    22 "0022_companies",
    23 "0023_api_keys",
    24 "0024_templates",
    25 "0025_webhooks",
    26 "0026_company_calls",
    27 "0027_fetched",
    28 "0028_campaigns",
    29 "0029_conferences",
    32 "0032_library",
    33 "0033_signs",
    34 "0034_lists",
    35 "0035_repeats",
    36 "0036_bookings",
    37 "0037_campaign_counts",
    38 "0038_campaign_requests",
    41 "0041_axb",
    43 "0043_sounds_in_pieces",
    44 "0044_number_scenarios",
    45 "0045_campaigns_of_v1",
    46 "0046_ussd",
    47 "0047_payments",
    48 "0048_campaigns_mended",
    49 "0049_smpp",
    50 "0050_sms",
    51 "0051_payments_mended",
}

/// First internal number that `biz_regist` hands out (merchant API §2.1).
const FIRST_NUMBER: u32 = 80_000;

/// The migrations that have not run yet, by name. Looks and changes nothing.
pub(crate) async fn pending(conn: &mut Conn) -> Result<Vec<String>> {
    let there = if conn.is_pg() {
        "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_tables \
         WHERE tablename = 'schema_migrations' AND schemaname = ANY (current_schemas(false))"
    } else {
        "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_migrations'"
    };
    let there = conn.row(there, args![]).await?.map_or(Ok(0), |row| row.int(0))?;
    let mut done = Vec::new();
    if there > 0 {
        let rows = conn.rows("SELECT number FROM schema_migrations", args![]).await?;
        done = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>>>()?;
    }
    let missing = MIGRATIONS.iter().filter(|migration| !done.contains(&migration.number));
    Ok(missing.map(|migration| migration.name.to_owned()).collect())
}

/// Applies what is missing, inside the caller's transaction. `secret` is kept if there is none yet.
pub(crate) async fn migrate(conn: &mut Conn, secret: &str) -> Result<Vec<String>> {
    if conn.is_pg() {
        // Two processes that start together must not both create the tables.
        conn.rows("SELECT 1 FROM (SELECT pg_advisory_xact_lock(7463)) AS l", args![]).await?;
    }
    conn.script(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL)",
    )
    .await?;
    let rows = conn.rows("SELECT number FROM schema_migrations", args![]).await?;
    let done = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>>>()?;
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    if let Some(unknown) = done.iter().find(|number| **number > newest) {
        return Err(Error::Schema(format!(
            "it is at version {unknown}, this program knows {newest}: use a newer program"
        )));
    }
    let mut ran = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| !done.contains(&migration.number)) {
        let sql = if conn.is_pg() { migration.postgres } else { migration.sqlite };
        conn.script(sql).await?;
        conn.exec(
            "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)",
            args![migration.number, migration.name],
        )
        .await?;
        ran.push(migration.name.to_owned());
    }
    conn.exec(
        "INSERT INTO settings (only_row, version, realm, country, trunk_prefix, international_prefix, \
         short_max, secret, next_number) VALUES (1, 1, 'tandem', '86', '0', '00', 6, $1, $2) \
         ON CONFLICT (only_row) DO NOTHING",
        args![secret, FIRST_NUMBER],
    )
    .await?;
    Ok(ran)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::super::Own;
    use super::*;

    #[test]
    fn migrations_stand_in_order_each_once_under_its_number() {
        let numbers: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.number).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        for Migration { number, name, .. } in MIGRATIONS {
            assert!(name.starts_with(&format!("{number:04}_")), "{number} {name}");
        }
    }

    /// One row of each table that 0010 makes anew, as a program before it wrote them, and what is read of them.
    const BEFORE: &str = "\
        INSERT INTO calls VALUES (7, 1, 'open', '{}', 100, 200), (9, 1, 'settled', '{}', 300, 300); \
        INSERT INTO call_legs VALUES (7, 1, '{\"no\":1}', x'00ff', 150), (7, 0, '{\"no\":0}', NULL, 140); \
        INSERT INTO holds VALUES (7, 0, 0, 3, 500, 60, '{}', 100, NULL, NULL), \
          (9, 0, 0, 3, 400, NULL, NULL, 300, 310, 250); \
        INSERT INTO transfers VALUES ('9.0.charge.0', 'charge', 9, 0, 310, ''), \
          ('top', 'topup', NULL, NULL, 1, 'n'); \
        INSERT INTO request_keys VALUES (1, 'callni', 'k', 'f', 7, 100)";
    const READ: [&str; 5] = [
        "SELECT id || state || command || placed || alive FROM calls ORDER BY id",
        "SELECT call_id || '.' || leg_no || facts || COALESCE(hex(dialog), '-') || written \
         FROM call_legs ORDER BY 1",
        "SELECT call_id || '.' || leg_no || step || account_id || amount || COALESCE(until_s, '-') \
         || COALESCE(quote, '-') || at || COALESCE(resolved, '-') || COALESCE(posted, '-') \
         FROM holds ORDER BY 1",
        "SELECT id || kind || COALESCE(call_id, '-') || COALESCE(leg_no, '-') || at || note \
         FROM transfers ORDER BY 1",
        "SELECT merchant_id || dialect || request || fingerprint || call_id || created \
         FROM request_keys",
    ];

    fn texts(own: &mut Own) -> Vec<Vec<String>> {
        let read = |sql: &&str| own.rows(sql, &[], 10).unwrap();
        let tables: Vec<_> = READ.iter().map(read).collect();
        let text = |row: &super::super::Row| row.text(0).unwrap();
        tables.iter().map(|rows| rows.iter().map(text).collect()).collect()
    }

    #[test]
    fn campaigns_of_an_earlier_program_are_counted_when_they_are_first_read() {
        let mut own = Own::open(None, Duration::ZERO, 16).unwrap();
        let run = |own: &mut Own, numbers: std::ops::RangeInclusive<i64>| {
            for migration in MIGRATIONS.iter().filter(|one| numbers.contains(&one.number)) {
                own.script(migration.sqlite).unwrap();
            }
        };
        run(&mut own, 1..=36);
        let before = "INSERT INTO campaigns (id, merchant_id, company, name, plan, state, created) \
                      VALUES ('c', 1, '1', '', '{}', 'running', 5), ('d', 1, '1', '', '{}', 'ended', 6); \
                      INSERT INTO campaign_numbers (campaign, seq, phone, said, state, answered, joined) \
                      VALUES ('c', 1, '1', '{}', 'done', 1, 1), ('c', 2, '2', '{}', 'done', 1, 0), \
                      ('c', 3, '3', '{}', 'waiting', 0, 0), ('c', 4, '4', '{}', 'calling', 0, 0), \
                      ('c', 5, '5', '{}', 'refused', 0, 0)";
        own.script(before).unwrap();
        run(&mut own, 37..=37);
        let sql = "SELECT id || total || waiting || calling || done || answered || joined || refused \
                   || COALESCE(ended, '-') FROM campaigns ORDER BY id";
        let rows = own.rows(sql, &[], 10).unwrap();
        let told: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(told, ["c5112211-", "d00000006"]);
        let put_off = "UPDATE campaigns SET waiting = 1 WHERE id = 'd'; \
                       UPDATE campaign_numbers SET due = 9, why = 'congestion' WHERE seq = 3";
        own.script(put_off).unwrap();
        run(&mut own, 38..=38);
        let sql = "SELECT id || cancelled FROM campaigns UNION ALL SELECT seq || COALESCE(due, '-') \
                   || not_before FROM campaign_numbers WHERE not_before IS NOT NULL";
        let rows = own.rows(sql, &[], 10).unwrap();
        let told: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(told, ["c0", "d1", "3-9"], "who was cancelled, and what was put off");
    }

    #[test]
    fn payments_of_an_earlier_program_keep_their_money_and_what_was_played_is_put_apart() {
        let mut own = Own::open(None, Duration::ZERO, 16).unwrap();
        for migration in MIGRATIONS.iter().filter(|migration| migration.number < 51) {
            own.script(migration.sqlite).unwrap();
        }
        let invoice = |id: u32, state: &str, refunds: u32| {
            format!(
                "INSERT INTO ussd_invoices (id, merchant_id, code, page, language, session, subscriber, mobile, call, \
                 factor, rials, trial, token, state, notices, made, expires, closed, refunds) VALUES ({id}, 1, '*1#', \
                 'p', 'fa', {id}, '98', '09', '*1', 'F{id}', 50, 0, 't{id}', '{state}', 1, 5, 6, 7, {refunds}); "
            )
        };
        let way = |invoice: u32, gateway: &str, rrn: &str| {
            format!(
                "INSERT INTO ussd_attempts (invoice_id, gateway, reference, url, amount, currency, state, rrn, made, \
                 due) VALUES ({invoice}, '{gateway}', 'r{invoice}', 'u', 50, 'IRR', 'paid', {rrn}, 5, 5); "
            )
        };
        let entry = |invoice: u32, posting: &str, account: &str, rials: i32| {
            format!(
                "INSERT INTO ussd_entries (invoice_id, posting, account, rials, at) \
                 VALUES ({invoice}, '{posting}', '{account}', {rials}, 7); "
            )
        };
        let mut before = "INSERT INTO payment_gateways VALUES ('abroad', 'stripe', 'x', 1, '', 's', 'h', 'EUR', 9, '', 1); "
            .to_owned();
        for (id, state, refunds, gateway, rrn) in [
            (1, "paid", 0, "abroad", "NULL"),
            (2, "paid", 1, "gone", "'123'"),
            (3, "refunding", 2, "abroad", "NULL"),
            (4, "refunded", 1, "away", "NULL"),
        ] {
            before += &(invoice(id, state, refunds) + &way(id, gateway, rrn));
            before += &entry(id, "payment", "merchant:1", -50);
            before += &entry(id, "payment", &format!("gateway:{gateway}"), 50);
        }
        own.script(&before).unwrap();
        let mended = MIGRATIONS.iter().find(|migration| migration.number == 51).unwrap();
        own.script(mended.sqlite).unwrap();
        let mut told = |sql: &str| -> Vec<String> {
            let rows = own.rows(sql, &[], 99).unwrap();
            rows.iter().map(|row| row.text(0).unwrap()).collect()
        };
        let kinds = told("SELECT invoice_id || kind FROM ussd_attempts ORDER BY 1");
        assert_eq!(kinds, ["1stripe", "2test", "3stripe", "4zarinpal"]);
        let due =
            "SELECT invoice_id || account || rials FROM ussd_entries WHERE rials < 0 ORDER BY 1";
        let wanted = ["1merchant:1-50", "2trial:1-50", "3merchant:1-50", "4merchant:1-50"];
        assert_eq!(told(due), wanted);
        let rounds = told("SELECT invoice_id || '.' || no || state FROM ussd_refunds ORDER BY 1");
        assert_eq!(rounds, ["2.1refused", "3.2pending", "4.1done"]);
    }

    #[test]
    fn sounds_of_an_earlier_program_keep_their_octets_when_they_are_put_apart() {
        let mut own = Own::open(None, Duration::ZERO, 16).unwrap();
        let run = |own: &mut Own, numbers: std::ops::RangeInclusive<i64>| {
            for migration in MIGRATIONS.iter().filter(|one| numbers.contains(&one.number)) {
                own.script(migration.sqlite).unwrap();
            }
        };
        run(&mut own, 1..=42);
        // Two names of one sound, and another one of somebody else that is the same.
        let before = "INSERT INTO company_sounds VALUES ('1', 'a', 'wav', 's', 2, 9, 5, x'0102'), \
                      ('1', 'b', 'wav', 's', 2, 9, 7, x'0102'), ('2', 'a', 'wav', 's', 2, 9, 6, x'0102')";
        own.script(before).unwrap();
        run(&mut own, 43..=43);
        let mut told = |sql: &str| -> Vec<String> {
            let rows = own.rows(sql, &[], 10).unwrap();
            rows.iter().map(|row| row.text(0).unwrap()).collect()
        };
        let sql = "SELECT company || sum || o.length || o.wanted || piece || hex(octets) \
                   FROM sound_octets o JOIN sound_pieces p USING (company, sum) ORDER BY 1";
        assert_eq!(told(sql), ["1s2700102", "2s2600102"]);
        let sql = "SELECT company || name || sum || length || millis || uploaded \
                   FROM company_sounds ORDER BY 1";
        assert_eq!(told(sql), ["1as295", "1bs297", "2as296"]);
    }

    #[test]
    fn books_of_an_earlier_program_keep_every_row_when_their_tables_are_made_anew() {
        let mut own = Own::open(None, Duration::ZERO, 16).unwrap();
        for migration in MIGRATIONS.iter().filter(|migration| migration.number < 10) {
            own.script(migration.sqlite).unwrap();
        }
        own.script(BEFORE).unwrap();
        let before = texts(&mut own);
        assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
        own.script(MIGRATIONS.iter().find(|migration| migration.number == 10).unwrap().sqlite)
            .unwrap();
        assert_eq!(texts(&mut own), before);
        // What the keys refused they still refuse.
        for again in BEFORE.split(';') {
            assert!(own.script(again).is_err(), "{again}");
        }
    }
}
