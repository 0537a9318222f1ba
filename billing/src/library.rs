//! Sounds that companies of system 002 have sent in. They lie in the store, octets and all, so that every process that
//! shares the database has them, and a backup has them too.
//!
//! What a call is to hear is named by the sum of its octets: what takes its name later takes nothing from a call that
//! was promised it. Octets that no name leads to any more are kept for [`LEFT_FOR`].
//!
//! A sound may be long, and SQLite has one writer: octets are written in pieces, a transaction each, so that the calls that
//! are settled meanwhile wait for a piece at most.

use std::sync::Arc;
use std::time::Duration;

use facts::UnixMillis;
use sha2::{Digest, Sha256};

use crate::db::{Conn, Row, args, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// Sounds of one company at most.
pub const SOUNDS_MAX: u64 = 200;
/// Octets of all sounds of one company at most.
pub const OCTETS_MAX: u64 = 100 * 1024 * 1024;

/// For how long octets are kept that no name leads to any more, at least: calls that were promised them have begun by then.
pub const LEFT_FOR: Duration = Duration::from_secs(600);
/// Octets of one company that no name leads to, at most; beyond it those that were given up first go at once.
const LEFT_MAX: u64 = 32 * 1024 * 1024;
/// Octets of a piece.
const PIECE: usize = 256 * 1024;

/// A sound, without its octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Without its ending.
    pub name: String,
    /// Its ending: `wav` or `mp3`.
    pub kind: String,
    /// SHA-256 of its octets, hex.
    pub sum: String,
    /// Octets.
    pub length: u64,
    /// How long it is, milliseconds.
    pub millis: u64,
    /// When it came.
    pub uploaded: UnixMillis,
}

/// Where the media plane asks for a sound of a library. No URL of a merchant has this form: he would have to name the
/// sum of the octets, and a scheme that no door takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Whose it is.
    pub company: String,
    /// SHA-256 of its octets, hex.
    pub sum: String,
}

impl Address {
    const SCHEME: &str = "library:";

    /// Reads one; `None` for every other address.
    #[must_use]
    pub fn read(text: &str) -> Option<Address> {
        let (company, sum) = text.strip_prefix(Address::SCHEME)?.rsplit_once('/')?;
        Some(Address { company: company.to_owned(), sum: sum.to_owned() })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}/{}", Address::SCHEME, self.company, self.sum)
    }
}

/// What became of a sound that was sent in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It is there, in the place of what had its name.
    Kept,
    /// The company has as much as it may have.
    Full,
}

const SOUND: &str = "SELECT name, kind, sum, length, millis, uploaded FROM company_sounds";

fn sound_of(row: &Row) -> Result<Sound> {
    Ok(Sound {
        name: row.text(0)?,
        kind: row.text(1)?,
        sum: row.text(2)?,
        length: row.small(3)?,
        millis: row.small(4)?,
        uploaded: row.instant(5)?,
    })
}

/// May the company have this one besides its others?
async fn fits(conn: &mut Conn, company: &str, sound: &Sound) -> Result<bool> {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM company_sounds \
               WHERE company = $1 AND name <> $2";
    let others = conn.row(sql, args![company, &sound.name]).await?;
    let (count, length) = match &others {
        Some(row) => (row.small::<u64>(0)?, row.small::<u64>(1)?),
        None => (0, 0),
    };
    Ok(count < SOUNDS_MAX && length + sound.length <= OCTETS_MAX)
}

/// Are all the octets there?
async fn is_whole(conn: &mut Conn, company: &str, sound: &Sound) -> Result<bool> {
    let sql = "SELECT CAST(COALESCE(SUM(LENGTH(octets)), 0) AS BIGINT) FROM sound_pieces \
               WHERE company = $1 AND sum = $2";
    let there = conn.row(sql, args![company, &sound.sum]).await?;
    Ok(there.map_or(Ok(0), |row| row.small::<u64>(0))? == sound.length)
}

/// Begins to write octets. False when they are there already.
async fn begin(conn: &mut Conn, company: &str, sound: &Sound) -> Result<bool> {
    let sql = "INSERT INTO sound_octets (company, sum, length, wanted) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (company, sum) DO UPDATE SET wanted = excluded.wanted";
    conn.exec(sql, args![company, &sound.sum, sound.length, sound.uploaded]).await?;
    // Pieces that somebody writes just now, or that a process that died has left, are those of the same octets.
    Ok(!is_whole(conn, company, sound).await?)
}

/// Writes one piece.
async fn put(
    conn: &mut Conn,
    company: &str,
    sound: &Sound,
    (piece, all): (usize, &[u8]),
) -> Result<()> {
    let from = piece * PIECE;
    let octets = all.get(from..all.len().min(from + PIECE)).unwrap_or_default();
    let sql = "INSERT INTO sound_pieces (company, sum, piece, octets) \
               VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let place = i64::try_from(piece).unwrap_or(i64::MAX);
    conn.exec(sql, args![company, &sound.sum, place, octets.to_vec()]).await.map(drop)
}

/// Gives octets that are there a name.
async fn give_name(conn: &mut Conn, company: &str, sound: &Sound) -> Result<Kept> {
    // Two that come at once must not pass the limit together.
    conn.one_at_a_time(&format!("library:{company}")).await?;
    if !fits(conn, company, sound).await? {
        return Ok(Kept::Full);
    }
    if !is_whole(conn, company, sound).await? {
        // Removed while it was written, with what had been given up.
        return Err(Error::Missing("sound"));
    }
    give_up(conn, (company, &sound.name), sound.uploaded).await?;
    let sql = "INSERT INTO company_sounds (company, name, kind, sum, length, millis, uploaded) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (company, name) DO UPDATE SET \
               kind = excluded.kind, sum = excluded.sum, length = excluded.length, \
               millis = excluded.millis, uploaded = excluded.uploaded";
    let values = args![
        company,
        &sound.name,
        &sound.kind,
        &sound.sum,
        sound.length,
        sound.millis,
        sound.uploaded,
    ];
    conn.exec(sql, values).await?;
    leave(conn, company).await?;
    Ok(Kept::Kept)
}

async fn remove(conn: &mut Conn, (company, name): (&str, &str), at: UnixMillis) -> Result<bool> {
    conn.one_at_a_time(&format!("library:{company}")).await?;
    give_up(conn, (company, name), at).await?;
    let sql = "DELETE FROM company_sounds WHERE company = $1 AND name = $2";
    let gone = conn.exec(sql, args![company, name]).await? > 0;
    leave(conn, company).await?;
    Ok(gone)
}

/// A name is about to lead elsewhere: from now on its octets are kept for a while.
async fn give_up(conn: &mut Conn, (company, name): (&str, &str), at: UnixMillis) -> Result<()> {
    let sql = "UPDATE sound_octets SET wanted = $3 WHERE company = $1 AND sum IN \
               (SELECT sum FROM company_sounds WHERE company = $1 AND name = $2)";
    conn.exec(sql, args![company, name, at]).await.map(drop)
}

/// Octets that no name leads to.
const LEFT: &str = "NOT EXISTS (SELECT 1 FROM company_sounds s \
                    WHERE s.company = sound_octets.company AND s.sum = sound_octets.sum)";

/// Removes what a company has too much of without names.
async fn leave(conn: &mut Conn, company: &str) -> Result<()> {
    let sql = format!(
        "SELECT sum, length FROM sound_octets WHERE company = $1 AND {LEFT} \
         ORDER BY wanted DESC, sum"
    );
    let mut octets = 0;
    for row in conn.rows(&sql, args![company]).await? {
        octets += row.small::<u64>(1)?;
        if octets > LEFT_MAX {
            let sql = "DELETE FROM sound_octets WHERE company = $1 AND sum = $2";
            conn.exec(sql, args![company, row.text(0)?]).await?;
        }
    }
    Ok(())
}

/// Removes octets that were given up long ago, those of one sound. False when there are none.
async fn purge_one(conn: &mut Conn, now: UnixMillis) -> Result<bool> {
    let sql = format!(
        "SELECT company, sum FROM sound_octets WHERE wanted < $1 AND {LEFT} \
         ORDER BY wanted LIMIT 1"
    );
    let before = now - LEFT_FOR;
    let Some(row) = conn.row(&sql, args![before]).await? else { return Ok(false) };
    let sql = "DELETE FROM sound_octets WHERE company = $1 AND sum = $2 AND wanted < $3";
    conn.exec(sql, args![row.text(0)?, row.text(1)?, before]).await?;
    Ok(true)
}

impl Store {
    /// Keeps a sound of a company, in the place of one that has its name: who asks meanwhile has the old one or the new
    /// one, whole.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep_sound(
        &self,
        company: &str,
        (name, kind): (&str, &str),
        (octets, millis): (Vec<u8>, u64),
        at: UnixMillis,
    ) -> Result<Kept> {
        let sound = Sound {
            name: name.to_owned(),
            kind: kind.to_owned(),
            sum: hex::encode(Sha256::digest(&octets)),
            length: octets.len() as u64,
            millis,
            uploaded: at,
        };
        let (company, octets) = (Arc::new(company.to_owned()), Arc::new(octets));
        let sound = Arc::new(sound);
        let (of, it) = (Arc::clone(&company), Arc::clone(&sound));
        if !self.read(work!(conn, [of, it] => fits(conn, &of, &it).await?)).await? {
            return Ok(Kept::Full);
        }
        if octets.len() <= PIECE {
            return self
                .soon(work!(conn, [company, sound, octets] => {
                    if begin(conn, &company, &sound).await? {
                        put(conn, &company, &sound, (0, &octets)).await?;
                    }
                    give_name(conn, &company, &sound).await?
                }))
                .await;
        }
        let (of, it) = (Arc::clone(&company), Arc::clone(&sound));
        if self.soon(work!(conn, [of, it] => begin(conn, &of, &it).await?)).await? {
            for piece in 0..octets.len().div_ceil(PIECE) {
                let (of, it, all) = (Arc::clone(&company), Arc::clone(&sound), Arc::clone(&octets));
                self.soon::<()>(
                    work!(conn, [of, it, all] => put(conn, &of, &it, (piece, &all)).await?),
                )
                .await?;
            }
        }
        self.soon(work!(conn, [company, sound] => give_name(conn, &company, &sound).await?)).await
    }

    /// A sound of a company by its name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sound(&self, company: &str, name: &str) -> Result<Option<Sound>> {
        let (company, name) = (company.to_owned(), name.to_owned());
        self.read(work!(conn, [company, name] => {
            let sql = format!("{SOUND} WHERE company = $1 AND name = $2");
            let row = conn.row(&sql, args![company.as_str(), name.as_str()]).await?;
            row.as_ref().map(sound_of).transpose()?
        }))
        .await
    }

    /// The sounds of a company, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sounds(&self, company: &str) -> Result<Vec<Sound>> {
        let company = company.to_owned();
        self.read(work!(conn, [company] => {
            let sql = format!("{SOUND} WHERE company = $1 ORDER BY name");
            let rows = conn.rows(&sql, args![company.as_str()]).await?;
            rows.iter().map(sound_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// The octets of a sound of a company, by their sum.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sound_octets(&self, company: &str, sum: &str) -> Result<Option<Vec<u8>>> {
        let (company, sum) = (company.to_owned(), sum.to_owned());
        self.read(work!(conn, [company, sum] => {
            let sql = "SELECT p.octets, o.length FROM sound_pieces p JOIN sound_octets o \
                       ON o.company = p.company AND o.sum = p.sum \
                       WHERE p.company = $1 AND p.sum = $2 ORDER BY p.piece";
            let rows = conn.rows(sql, args![company.as_str(), sum.as_str()]).await?;
            let length = rows.first().map_or(Ok(0), |row| row.small::<usize>(1))?;
            let mut octets = Vec::with_capacity(length);
            for row in &rows {
                octets.extend(row.opt_blob(0)?.unwrap_or_default());
            }
            // What is only half written is not there yet.
            (!rows.is_empty() && octets.len() == length).then_some(octets)
        }))
        .await
    }

    /// Removes a sound of a company; its octets stay for [`LEFT_FOR`]. False when it has none of that name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_sound(&self, company: &str, name: &str, at: UnixMillis) -> Result<bool> {
        let (company, name) = (company.to_owned(), name.to_owned());
        self.soon(work!(conn, [company, name] => {
            remove(conn, (company.as_str(), name.as_str()), at).await?
        }))
        .await
    }

    /// Removes octets that no name leads to for long, one sound after the other. Returns how many.
    pub(crate) async fn purge_sounds(&self, now: UnixMillis) -> Result<u64> {
        let mut gone = 0;
        while self.soon(work!(conn, [] => purge_one(conn, now).await?)).await? {
            gone += 1;
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let address = Address { company: "90/01".into(), sum: "ab12".into() };
        assert_eq!(address.to_string(), "library:90/01/ab12");
        assert_eq!(Address::read(&address.to_string()), Some(address));
        for other in ["http://a.example/x", "library:", "library:1", "Library:1/2"] {
            assert_eq!(Address::read(other), None, "{other}");
        }
    }
}
