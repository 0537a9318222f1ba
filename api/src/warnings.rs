//! What of an operator's document is no mistake, and perhaps not what was meant. Which pages and pushes would not be
//! visited is told by [`guard::unvisited`](crate::guard::unvisited).

use billing::desired::{Desired, Mistake};
use facts::Features;
use facts::ussd::Dialled;

/// Codes of menus that no phone of ours can call, for what it dials is a feature's: `*97#` is called as `*97` by phones
/// that keep the `#` to themselves. Networks outside lead to them all the same.
#[must_use]
pub fn hidden(desired: &Desired, features: &Features) -> Vec<Mistake> {
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
#[must_use]
pub fn unsaid(desired: &Desired, why: Option<&str>) -> Option<Mistake> {
    let why = why.filter(|_| !desired.ussd_codes.is_empty())?;
    let message = format!(
        "{why}: whoever calls the code of a menu by a phone that takes no messages hears that it cannot be shown"
    );
    Some(Mistake { path: "ussd_codes".to_owned(), message })
}
