//! Companies of system 002, and their tokens.

use std::time::Duration;

use facts::UnixMillis;

use super::Store;
use crate::db::work;
use crate::error::Result;
use crate::rows::Company;
use crate::{company, objects, secrets};

impl Store {
    /// A 002 company by `companycode`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn company(&self, companycode: &str) -> Result<Option<Company>> {
        let companycode = companycode.to_owned();
        self.read(work!(conn, [companycode] => objects::company(conn, &companycode).await?)).await
    }

    /// The 002 companies with an `appid`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn companies_of(&self, appid: &str) -> Result<Vec<Company>> {
        let appid = appid.to_owned();
        self.read(work!(conn, [appid] => objects::companies_of(conn, &appid).await?)).await
    }

    /// The token of a company whose key was shown: the one that is valid, or a new one, valid for `life`.
    ///
    /// # Errors
    /// Those of the database, and when the operating system has no random bytes.
    pub async fn log_in(
        &self,
        company: &Company,
        now: UnixMillis,
        life: Duration,
    ) -> Result<String> {
        let (nonce, company) = (secrets::random()?, company.clone());
        self.write(work!(conn, [nonce, company] => {
            company::log_in(conn, &company, &nonce, (now, life)).await?
        }))
        .await
    }

    /// Whose token it is, by `companycode`; nobody's once it has expired or the company's key was changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn company_of_token(&self, token: &str, now: UnixMillis) -> Result<Option<String>> {
        let token = token.to_owned();
        self.read(work!(conn, [token] => company::of_token(conn, &token, now).await?)).await
    }

    /// Ends the token of a company.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn log_out(&self, companycode: &str) -> Result<()> {
        let companycode = companycode.to_owned();
        self.write(work!(conn, [companycode] => company::log_out(conn, &companycode).await?)).await
    }
}
