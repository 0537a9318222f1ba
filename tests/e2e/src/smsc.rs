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
/// The subscriber of [`step`] and [`sees`].
pub const MOBILE: &str = "989123456789";

/// The lines of a link of the operator's file; `more` are further ones.
#[must_use]
pub fn link(port: u16, more: &str) -> String {
    format!(
        "\n[[smpp_links]]\nname = \"carrier\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         system_id = \"{SYSTEM_ID}\"\npassword = \"{PASSWORD}\"\nsender = \"3000\"\n{more}\n"
    )
}

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

/// A step of a subscriber, as his network delivers it; the status of its answer.
pub fn step(smsc: &mut Smsc, op: u8, session: [u8; 2], text: &str) -> u64 {
    let fields = json!({
        "source_addr": MOBILE, "destination_addr": "6655", "service_type": "USSD",
        "ussd_service_op": op, "data_coding": 0,
    });
    smsc.deliver(&json!({ "fields": fields, "text": text, "session": session, "tag": text }))
}

/// What he sees: the text; whether he may type; the network's session, and that the last screen ends it.
///
/// # Panics
/// When he sees nothing, or it ends as it should not.
pub fn sees(smsc: &mut Smsc, number: u8) -> (String, bool) {
    let seen = smsc.wait("ussd", &json!({ "to": MOBILE, "from": "6655", "service": "USSD" }));
    let (op, session) = (&seen["op"], seen["session"].as_array().expect("a session"));
    assert_eq!(session[0], number, "{seen}");
    let more = *op == json!(2);
    assert!(more || *op == json!(17), "{seen}");
    assert_eq!(session[1].as_u64().expect("a turn") & 1 == 0, more, "{seen}");
    (seen["text"].as_str().expect("a text").to_owned(), more)
}

/// Where `tests/run` installed the library, beside this test's own target folder.
fn peers() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let found = here.ancestors().map(|folder| folder.join("peers/smsc"));
    let found = found.into_iter().find(|folder| folder.join("node_modules/smpp").exists());
    found.expect("target/peers/smsc: tests/run makes it")
}
