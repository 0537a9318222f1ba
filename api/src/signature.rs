//! Why a signature does not match: the secret is looked up, the rest is `dialect`'s.

use std::time::Duration;

use billing::Store;
pub use dialect::signature::{Explanation, Header, Sent};
use dialect::signature::{Question, Who};
use facts::UnixMillis;

/// Why nothing can be said.
#[derive(Debug)]
pub enum Unexplained {
    /// It is no request of a system that signs.
    NotSigned,
    /// A result of system 000 does not say whose it is: the merchant has to be named.
    WhoseIsIt,
    /// The store failed.
    Store(billing::Error),
}

impl std::fmt::Display for Unexplained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unexplained::NotSigned => f.write_str(
                "this is no request that is signed: /api/biz_… or a result of system 000, /…/sid/… of system 001",
            ),
            Unexplained::WhoseIsIt => f.write_str("a result does not say whose it is: name the merchant"),
            Unexplained::Store(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for Unexplained {}

/// Checks a request as it was sent with the secret of whoever it says it is from; with that of `merchant` where one is
/// named. `at` is when it was sent, `validity` how far a timestamp of system 001 may be from that.
///
/// # Errors
/// [`Unexplained`].
pub async fn explain(
    store: &Store,
    sent: &Sent,
    merchant: Option<&str>,
    at: UnixMillis,
    validity: Duration,
) -> Result<Explanation, Unexplained> {
    let question = Question::of(sent).ok_or(Unexplained::NotSigned)?;
    let secret = match (question.who(), merchant) {
        (Who::Unsaid, None) => return Err(Unexplained::WhoseIsIt),
        (Who::Account(sid), _) => {
            store.ytx_account(&sid).await.map(|found| found.map(|account| account.auth_token))
        }
        (Who::Unsaid | Who::Merchant(_), Some(name)) => {
            store.merchant_by_name(name).await.map(|found| found.map(|merchant| merchant.key))
        }
        (Who::Merchant(name), None) => {
            store.merchant_by_name(&name).await.map(|found| found.map(|merchant| merchant.key))
        }
    };
    let secret = secret.map_err(Unexplained::Store)?;
    let secrets = secret.as_ref().map(|secret| [secret.as_str()]);
    Ok(question.explain(secrets.as_ref().map(<[_; 1]>::as_slice), at, validity))
}
