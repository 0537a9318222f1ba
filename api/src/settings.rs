//! The settings as handlers read them: one snapshot and what was looked up under it, given up when the store
//! says that it is older.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use billing::Store;
use billing::menus::CodeRow;
use billing::rows::{ApiKey, Company, Extension, Merchant, YtxAccount, YtxApp};
use facts::settings::Snapshot;
use facts::template::Template;
use facts::ussd;
use facts::{MerchantId, Number, SubAccountId};

/// How long a view is believed without asking the store for its version: what is changed by another process
/// is seen this much later at most.
const FRESH: Duration = Duration::from_millis(500);
/// Objects of a kind kept at most; beyond it they are looked up each time.
const KEPT_MAX: usize = 65_536;

/// The last view.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    kept: Mutex<Option<Kept>>,
    /// One asks the store, the others wait for what it says.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    view: Arc<View>,
    known_at: Instant,
}

impl Settings {
    /// The current view, at most half a second old.
    pub(crate) async fn current(&self, store: &Store) -> billing::Result<Arc<View>> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let _turn = self.asking.lock().await;
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let known_at = Instant::now();
        let old = lock(&self.kept).clone();
        let view = match old {
            Some(old) if store.settings_version().await? == old.view.version => old.view,
            _ => Arc::new(View::new(store.snapshot().await?)),
        };
        *lock(&self.kept) = Some(Kept { view: Arc::clone(&view), known_at });
        Ok(view)
    }

    fn fresh(&self) -> Option<Arc<View>> {
        let kept = lock(&self.kept);
        kept.as_ref().filter(|k| k.known_at.elapsed() < FRESH).map(|k| Arc::clone(&k.view))
    }

    /// Forgets what is kept: the next reader sees a change at once.
    pub(crate) async fn forget(&self) {
        // Whoever is asking may have asked before the change: after them.
        let _turn = self.asking.lock().await;
        *lock(&self.kept) = None;
    }
}

/// The settings of one version. What is looked up is kept; what is not there is asked for again each time, so
/// that a new user is known at once and nobody fills the table with names that do not exist.
#[derive(Debug)]
pub(crate) struct View {
    snapshot: Snapshot,
    merchants: Shelf<Merchant>,
    merchants_by_id: Shelf<Merchant, MerchantId>,
    extensions: Shelf<Extension>,
    accounts: Shelf<YtxAccount>,
    apps: Shelf<YtxApp>,
    companies: Shelf<Company>,
    keys: Shelf<ApiKey>,
    templates: Shelf<Template, (MerchantId, String)>,
    codes: Shelf<CodeRow, ussd::Dialled>,
}

impl Deref for View {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

type Found<T> = billing::Result<Option<Arc<T>>>;

impl View {
    fn new(snapshot: Snapshot) -> View {
        View {
            snapshot,
            merchants: Shelf::default(),
            merchants_by_id: Shelf::default(),
            extensions: Shelf::default(),
            accounts: Shelf::default(),
            apps: Shelf::default(),
            companies: Shelf::default(),
            keys: Shelf::default(),
            templates: Shelf::default(),
            codes: Shelf::default(),
        }
    }

    pub(crate) async fn merchant_by_name(&self, store: &Store, name: &str) -> Found<Merchant> {
        match self.merchants.get(name) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.merchants.keep(name.to_owned(), store.merchant_by_name(name).await?)),
        }
    }

    pub(crate) async fn merchant(&self, store: &Store, id: MerchantId) -> Found<Merchant> {
        match self.merchants_by_id.get(&id) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.merchants_by_id.keep(id, store.merchant(id).await?)),
        }
    }

    pub(crate) async fn extension(&self, store: &Store, number: &str) -> Found<Extension> {
        match self.extensions.get(number) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.extensions.keep(number.to_owned(), store.extension(number).await?)),
        }
    }

    pub(crate) async fn ytx_account(&self, store: &Store, sid: &str) -> Found<YtxAccount> {
        match self.accounts.get(sid) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.accounts.keep(sid.to_owned(), store.ytx_account(sid).await?)),
        }
    }

    pub(crate) async fn api_key(&self, store: &Store, id: &str) -> Found<ApiKey> {
        match self.keys.get(id) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.keys.keep(id.to_owned(), store.api_key(id).await?)),
        }
    }

    pub(crate) async fn template(
        &self,
        store: &Store,
        merchant: MerchantId,
        id: &str,
    ) -> Found<Template> {
        let key = (merchant, id.to_owned());
        match self.templates.get(&key) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.templates.keep(key, store.template(merchant, id).await?)),
        }
    }

    pub(crate) async fn ussd_code(&self, store: &Store, code: &ussd::Dialled) -> Found<CodeRow> {
        match self.codes.get(code) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.codes.keep(code.clone(), store.ussd_code(code).await?)),
        }
    }

    pub(crate) async fn ytx_app(&self, store: &Store, appid: &str) -> Found<YtxApp> {
        match self.apps.get(appid) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.apps.keep(appid.to_owned(), store.ytx_app(appid).await?)),
        }
    }

    pub(crate) async fn company(&self, store: &Store, companycode: &str) -> Found<Company> {
        match self.companies.get(companycode) {
            Some(known) => Ok(Some(known)),
            None => {
                let found = store.company(companycode).await?;
                Ok(self.companies.keep(companycode.to_owned(), found))
            }
        }
    }
}

/// Objects of a kind that were looked up.
#[derive(Debug)]
struct Shelf<T, K = String>(Mutex<BTreeMap<K, Arc<T>>>);

impl<T, K> Default for Shelf<T, K> {
    fn default() -> Self {
        Shelf(Mutex::default())
    }
}

impl<T, K: Ord> Shelf<T, K> {
    fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Arc<T>>
    where
        K: std::borrow::Borrow<Q>,
    {
        lock(&self.0).get(key).map(Arc::clone)
    }

    fn keep(&self, key: K, found: Option<T>) -> Option<Arc<T>> {
        let found = Arc::new(found?);
        let mut kept = lock(&self.0);
        if kept.len() < KEPT_MAX {
            kept.insert(key, Arc::clone(&found));
        }
        Some(found)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom a written number means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Dialled {
    /// An internal number, whose, and whether it may be rung.
    Extension(Arc<Extension>),
    /// A number of the public network.
    Public(Number),
    /// Nobody.
    Invalid,
}

/// Finds out whom a number means: internal numbers first, then the number plan.
pub(crate) async fn dialled(store: &Store, view: &View, written: &str) -> billing::Result<Dialled> {
    let bare: String =
        written.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    let internal = (5..=10).contains(&bare.len())
        && !bare.starts_with('0')
        && bare.bytes().all(|b| b.is_ascii_digit());
    if internal && let Some(extension) = view.extension(store, &bare).await? {
        return Ok(Dialled::Extension(extension));
    }
    Ok(view.plan.parse(written).map_or(Dialled::Invalid, Dialled::Public))
}

/// The number that is meant, however it is written: an internal one, `+` and digits of a public one, or what was
/// written where it is none.
pub(crate) fn meant(view: &Snapshot, written: &str) -> String {
    let bare: String =
        written.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    if view.extensions.contains_key(&bare) {
        return bare;
    }
    view.plan.parse(written).map_or(bare, |number| number.to_string())
}

impl Dialled {
    /// The number to dial, if it may be dialled as a second leg: any enabled extension, any public number.
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Dialled::Extension(extension) if extension.enabled => {
                Some(Number::Internal(extension.number.clone()))
            }
            Dialled::Public(number) => Some(number),
            Dialled::Extension(_) | Dialled::Invalid => None,
        }
    }

    /// The number, whether it may be dialled or not.
    pub(crate) fn named(self) -> Option<Number> {
        match self {
            Dialled::Extension(extension) => Some(Number::Internal(extension.number.clone())),
            Dialled::Public(number) => Some(number),
            Dialled::Invalid => None,
        }
    }

    /// Is it a short code? Emergency numbers are among them, and no machine rings those.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self, Dialled::Public(Number::Short(_)))
    }

    /// The sub-account that an extension belongs to.
    pub(crate) fn sub_account(&self) -> Option<SubAccountId> {
        match self {
            Dialled::Extension(extension) => extension.sub_account,
            Dialled::Public(_) | Dialled::Invalid => None,
        }
    }

    /// Is it an extension of somebody else?
    pub(crate) fn is_foreign_to(&self, merchant: MerchantId) -> bool {
        matches!(self, Dialled::Extension(extension) if extension.merchant != merchant)
    }
}
