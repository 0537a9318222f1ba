//! What of an operator's document is no mistake, and perhaps not what was meant.

use billing::desired::{Desired, Mistake};
use facts::Features;
use facts::ussd::Dialled;

use crate::guard::{GuardedClient, unvisited};

/// All of it, by these settings of a switch; `mute`: why nothing speaks what menus say. Without `guard` nothing is said of
/// addresses.
#[must_use]
pub fn warnings(
    desired: &Desired,
    guard: Option<&GuardedClient>,
    features: &Features,
    mute: Option<&str>,
) -> Vec<Mistake> {
    let mut told = guard.map(|guard| unvisited(desired, guard)).unwrap_or_default();
    told.extend(hidden(desired, features));
    told.extend(unsaid(desired, mute));
    told
}

/// Codes of menus that no phone of ours can call, for what it dials is a feature's: `*97#` is called as `*97` by phones
/// that keep the `#` to themselves. Networks outside lead to them all the same.
fn hidden(desired: &Desired, features: &Features) -> Vec<Mistake> {
    let codes = desired.ussd_codes.iter().enumerate();
    let found = codes.filter_map(|(at, code)| {
        let whole = Dialled::code(&code.code)?.to_string();
        let bare = whole.trim_end_matches('#');
        let (feature, how) = match (features.read(&whole), features.read(bare)) {
            (Some((feature, _)), _) => (feature, "is"),
            (None, Some((feature, _))) => (feature, "without its # is"),
            (None, None) => return None,
        };
        let word = feature.word();
        Some(Mistake {
            path: format!("ussd_codes[{at}].code"),
            message: format!("{whole} {how} what extensions dial for features.{word}: they do not come to this menu by it"),
        })
    });
    found.collect()
}

/// Whoever calls a menu by a phone that cannot be shown it hears nothing of it, where nothing speaks: `why`.
fn unsaid(desired: &Desired, why: Option<&str>) -> Option<Mistake> {
    let why = why.filter(|_| !desired.ussd_codes.is_empty())?;
    let message = format!(
        "{why}: whoever calls the code of a menu by a phone that takes no messages hears that it cannot be shown"
    );
    Some(Mistake { path: "ussd_codes".to_owned(), message })
}
