//! PostgreSQL: a pool, a transaction per unit, and patience.
//!
//! A unit that meets a deadlock, a serialization failure or a lost connection is run again: after a commit
//! whose answer was lost nobody knows whether it happened, and every unit of this store may be repeated
//! (ids are made by the caller, and a repeat finds what the first run wrote).

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{Conn, Verdict, Work};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// How long a unit is tried before its caller is told that the database is unreachable. Below the two seconds
/// in which a merchant must be answered.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_millis(1000);
/// First pause between tries; it doubles.
const PAUSE: Duration = Duration::from_millis(10);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

/// A PostgreSQL store.
#[derive(Clone, Debug)]
pub(crate) struct Pg {
    pool: PgPool,
}

impl Pg {
    pub(crate) async fn open(url: &str, config: &StoreConfig) -> Result<Pg> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::BadUrl(error.to_string()))?
            .application_name("tandem")
            .statement_cache_capacity(STATEMENTS);
        let pool = PgPoolOptions::new()
            .max_connections(config.connections.max(2))
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(Error::from_sqlx)?;
        Ok(Pg { pool })
    }

    pub(crate) async fn write<T>(&self, work: Work<T>) -> Result<T> {
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            match self.attempt(&work, "BEGIN").await {
                Err(error) if error.is_passing() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PATIENCE / 4);
                }
                result => return result,
            }
        }
    }

    pub(crate) async fn read<T>(&self, work: Work<T>, consistent: bool) -> Result<T> {
        let begun = Instant::now();
        loop {
            let result = if consistent {
                self.attempt(&work, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
            } else {
                self.look(&work).await
            };
            match result {
                Err(error) if error.is_passing() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn look<T>(&self, work: &Work<T>) -> Result<T> {
        let mut conn = self.acquire().await?;
        let result = work(&mut conn).await;
        if result.is_err() {
            discard(conn);
        }
        result.map(|(Verdict::Keep(value) | Verdict::Undo(value))| value)
    }

    async fn attempt<T>(&self, work: &Work<T>, begin: &str) -> Result<T> {
        let mut conn = self.acquire().await?;
        let result = self.transact(&mut conn, work, begin).await;
        if result.is_err() && conn.script("ROLLBACK").await.is_err() {
            discard(conn);
        }
        result
    }

    async fn transact<T>(&self, conn: &mut Conn, work: &Work<T>, begin: &str) -> Result<T> {
        conn.script(begin).await?;
        match work(conn).await? {
            Verdict::Keep(value) => {
                conn.script("COMMIT").await?;
                Ok(value)
            }
            Verdict::Undo(value) => {
                conn.script("ROLLBACK").await?;
                Ok(value)
            }
        }
    }

    async fn acquire(&self) -> Result<Conn> {
        self.pool.acquire().await.map(Conn::Pg).map_err(Error::from_sqlx)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection in an unknown state is not given back to the pool.
fn discard(conn: Conn) {
    if let Conn::Pg(conn) = conn {
        drop(conn.detach());
    }
}
