//! PostgreSQL: a pool, a transaction per unit, and patience.
//!
//! A unit that meets a deadlock, a serialization failure or a lost connection is run again: after a commit
//! whose answer was lost nobody knows whether it happened, and every unit of this store may be repeated
//! (ids are made by the caller, and a repeat finds what the first run wrote).

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Conn, Verdict, Work};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// How long a unit is tried before its caller is told that the database is unreachable. Below the two seconds
/// in which a merchant must be answered.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_millis(1000);
/// Longest time for one try of a unit that somebody waits for: a server that fell silent in the middle
/// (its host lost, its network cut) must not keep a connection and a call for ever.
pub(crate) const BRIEF: Duration = Duration::from_secs(5);
/// The same for work that may be long: settings, the audit, the schema.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// Longest wait for a server that cannot be reached to say so.
const PROBE: Duration = Duration::from_millis(200);
/// First pause between tries; it doubles.
const PAUSE: Duration = Duration::from_millis(10);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

/// A PostgreSQL store.
#[derive(Clone, Debug)]
pub(crate) struct Pg {
    pool: PgPool,
    /// Where the server is.
    host: String,
    port: u16,
}

impl Pg {
    pub(crate) async fn open(url: &str, config: &StoreConfig) -> Result<Pg> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::BadUrl(error.to_string()))?
            .application_name("tandem")
            .statement_cache_capacity(STATEMENTS);
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let pool = PgPoolOptions::new()
            .max_connections(config.connections.max(2))
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let pg = Pg { pool, host, port };
        drop(pg.acquire().await?);
        Ok(pg)
    }

    pub(crate) async fn write<T>(&self, work: Work<T>, limit: Duration) -> Result<T> {
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            match self.attempt(&work, "BEGIN", limit).await {
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
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                self.attempt(&work, begin, LONG).await
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
        let result = within(BRIEF, work(&mut conn)).await;
        if result.is_err() {
            discard(conn);
        }
        result.map(|(Verdict::Keep(value) | Verdict::Undo(value))| value)
    }

    async fn attempt<T>(&self, work: &Work<T>, begin: &str, limit: Duration) -> Result<T> {
        let mut conn = self.acquire().await?;
        let done = timeout(limit, self.transact(&mut conn, work, begin)).await;
        let Ok(result) = done else {
            // In the middle of whatever it was: nothing more can be said on this connection.
            discard(conn);
            return silent(limit);
        };
        if result.is_err() && within(ACQUIRE, conn.script("ROLLBACK")).await.is_err() {
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
        let error = match self.pool.acquire().await {
            Ok(conn) => return Ok(Conn::Pg(conn)),
            Err(sqlx::Error::PoolTimedOut) => Error::Unreachable(self.why().await),
            Err(error) => Error::from_sqlx(error),
        };
        Err(match error {
            Error::Unreachable(why) => {
                Error::Unreachable(format!("{}:{}: {why}", self.host, self.port))
            }
            error => error,
        })
    }

    /// Why there was no connection: the pool keeps the reason to itself, and tries until its time is over.
    async fn why(&self) -> String {
        // A folder means a local socket.
        if !self.host.starts_with('/') {
            match timeout(PROBE, TcpStream::connect((self.host.as_str(), self.port))).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "it does not answer".into(),
            }
        }
        "no free connection".into()
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| silent(limit))
}

fn silent<T>(limit: Duration) -> Result<T> {
    Err(Error::Unreachable(format!("no answer within {} s", limit.as_secs())))
}

/// A connection in an unknown state is not given back to the pool.
fn discard(conn: Conn) {
    if let Conn::Pg(conn) = conn {
        drop(conn.detach());
    }
}
