//! Sounds that companies of system 002 have sent in. They lie in the store, octets and all, so that every process that
//! shares the database has them, and a backup has them too.
//!
//! What a call is to hear is named by the sum of its octets: what takes its name later takes nothing from a call that
//! was promised it, as long as the call's process has fetched it.

use facts::UnixMillis;
use sha2::{Digest, Sha256};

use crate::db::{Conn, Row, args, work};
use crate::error::Result;
use crate::store::Store;

/// Sounds of one company at most.
pub const SOUNDS_MAX: u64 = 200;
/// Octets of all sounds of one company at most.
pub const OCTETS_MAX: u64 = 100 * 1024 * 1024;

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

async fn keep(conn: &mut Conn, company: &str, sound: &Sound, octets: &[u8]) -> Result<Kept> {
    // Two that come at once must not pass the limit together.
    conn.one_at_a_time(&format!("library:{company}")).await?;
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM company_sounds \
               WHERE company = $1 AND name <> $2";
    let others = conn.row(sql, args![company, &sound.name]).await?;
    let (count, length) = match &others {
        Some(row) => (row.small::<u64>(0)?, row.small::<u64>(1)?),
        None => (0, 0),
    };
    if count >= SOUNDS_MAX || length + sound.length > OCTETS_MAX {
        return Ok(Kept::Full);
    }
    let sql = "INSERT INTO company_sounds \
               (company, name, kind, sum, length, millis, uploaded, octets) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (company, name) DO UPDATE SET \
               kind = excluded.kind, sum = excluded.sum, length = excluded.length, \
               millis = excluded.millis, uploaded = excluded.uploaded, octets = excluded.octets";
    let values = args![
        company,
        &sound.name,
        &sound.kind,
        &sound.sum,
        sound.length,
        sound.millis,
        sound.uploaded,
        octets.to_vec(),
    ];
    conn.exec(sql, values).await?;
    Ok(Kept::Kept)
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
        let company = company.to_owned();
        self.write(work!(conn, [company, sound, octets] => {
            keep(conn, &company, &sound, &octets).await?
        }))
        .await
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
            let sql = "SELECT octets FROM company_sounds WHERE company = $1 AND sum = $2 LIMIT 1";
            let row = conn.row(sql, args![company.as_str(), sum.as_str()]).await?;
            row.map(|row| row.opt_blob(0)).transpose()?.flatten()
        }))
        .await
    }

    /// Removes a sound of a company. False when it has none of that name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_sound(&self, company: &str, name: &str) -> Result<bool> {
        let (company, name) = (company.to_owned(), name.to_owned());
        self.write(work!(conn, [company, name] => {
            let sql = "DELETE FROM company_sounds WHERE company = $1 AND name = $2";
            conn.exec(sql, args![company.as_str(), name.as_str()]).await? > 0
        }))
        .await
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
