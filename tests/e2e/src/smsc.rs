//! A network's message centre and USSD gateway of somebody else's making: `peers/smsc/smsc.js` under node.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::scripted::Scripted;

/// A running message centre.
#[derive(Debug)]
pub struct Smsc {
    peer: Scripted,
    /// Where it listens on loopback.
    pub port: u16,
}

/// Who may bind, and with what.
pub const SYSTEM_ID: &str = "tandem";
/// Its password.
pub const PASSWORD: &str = "s3cret";

impl Smsc {
    /// Starts one; with `tls` it speaks TLS only and shows this certificate.
    ///
    /// # Panics
    /// When node or the library is missing: `tests/run` installs them.
    #[must_use]
    pub fn start(folder: &Path, port: u16, tls: Option<(&Path, &Path)>) -> Smsc {
        let mut wish = json!({ "port": port, "system_id": SYSTEM_ID, "password": PASSWORD });
        if let Some((cert, key)) = tls {
            wish["cert"] = json!(cert);
            wish["key"] = json!(key);
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command.arg(here.join("peers/smsc/smsc.js")).arg(wish.to_string());
        command.env("SMSC_PEERS", peers());
        let peer = Scripted::start("smsc", command, folder.join(format!("smsc-{port}")));
        let mut smsc = Smsc { peer, port };
        smsc.wait("listening", &json!({}));
        smsc
    }

    /// Delivers a message, and waits for the status of its answer. Fields as the library names them.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn deliver(&mut self, order: &Value) -> u64 {
        let mut order = order.clone();
        order["do"] = json!("deliver");
        let tag = order["tag"].clone();
        self.order(&order);
        let tag = if tag.is_null() { json!("") } else { tag };
        let answer = self.wait("delivered", &json!({ "tag": tag }));
        answer["status"].as_u64().expect("a status")
    }
}

impl Deref for Smsc {
    type Target = Scripted;

    fn deref(&self) -> &Scripted {
        &self.peer
    }
}

impl DerefMut for Smsc {
    fn deref_mut(&mut self) -> &mut Scripted {
        &mut self.peer
    }
}

/// Where `tests/run` installed the library, beside this test's own target folder.
fn peers() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let found = here.ancestors().map(|folder| folder.join("peers/smsc"));
    let found = found.into_iter().find(|folder| folder.join("node_modules/smpp").exists());
    found.expect("target/peers/smsc: tests/run makes it")
}
