//! JsSIP as a phone in a browser, over WebSockets: `peers/browser/browser.js` under node.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::scripted::Scripted;

/// A running JsSIP.
#[derive(Debug)]
pub struct Browser(Scripted);

impl Browser {
    /// Starts a phone that connects to `url` and registers as `user`; `authority` vouches for a switch behind
    /// `wss`.
    ///
    /// # Panics
    /// When node or JsSIP is missing: `tests/run` installs them.
    #[must_use]
    pub fn start(
        folder: &Path,
        url: &str,
        (user, password): (&str, &str),
        authority: Option<&Path>,
    ) -> Browser {
        let wish =
            json!({"url": url, "user": user, "password": password, "realm": "tandem.example"});
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command.arg(here.join("peers/browser/browser.js")).arg(wish.to_string());
        command.env("BROWSER_PEERS", peers());
        if let Some(authority) = authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
        }
        Browser(Scripted::start(user, command, folder.join(format!("{user}.browser"))))
    }
}

impl Deref for Browser {
    type Target = Scripted;

    fn deref(&self) -> &Scripted {
        &self.0
    }
}

impl DerefMut for Browser {
    fn deref_mut(&mut self) -> &mut Scripted {
        &mut self.0
    }
}

/// Where `tests/run` installed JsSIP, beside this test's own target folder.
fn peers() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let found = here.ancestors().map(|folder| folder.join("peers/browser"));
    let found = found.into_iter().find(|folder| folder.join("node_modules/jssip").exists());
    found.expect("target/peers/browser: tests/run makes it")
}
