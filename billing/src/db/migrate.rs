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
