//! Pages in Chromium: `peers/browser/pages.js` under node, which speaks to it by the DevTools protocol.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::ussd::PUBLIC;
use crate::wait;

/// How somebody looks at a page.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Width in CSS pixels; below 600 it is a telephone.
    pub width: u32,
    /// He has asked for dark colours.
    pub dark: bool,
}

/// A telephone that is small.
pub const SMALL: View = View { width: 360, dark: false };
/// A desk.
pub const DESK: View = View { width: 1280, dark: false };

/// A running Chromium with tabs by name.
#[derive(Debug)]
pub struct Pages {
    scripted: Scripted,
    orders: u64,
}

impl Pages {
    /// Starts one for which `pay.example` is the switch at `door`.
    ///
    /// # Panics
    /// When node or Chromium is missing: `tests/run` installs them.
    #[must_use]
    pub fn start(folder: &Path, door: SocketAddr) -> Pages {
        let name = PUBLIC.trim_start_matches("http://");
        let wish = json!({
            "program": program(),
            "folder": folder.join("chromium"),
            "rules": format!("MAP {name}:80 {door}"),
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/browser/pages.js");
        let mut command = Command::new("node");
        command.arg(script).arg(wish.to_string());
        let scripted = Scripted::start("chromium", command, folder.join("chromium.log"));
        Pages { scripted, orders: 0 }
    }

    /// Gives an order to a tab; what it says when it is carried out, or why it is not.
    fn order(&mut self, tab: &str, mut order: Value) -> Result<Value, String> {
        self.orders += 1;
        let number = json!({ "of": self.orders });
        order["n"] = json!(self.orders);
        order["tab"] = json!(tab);
        self.scripted.order(&order);
        wait::until("the browser", || {
            let mine = |told: &Value| told["of"] == number["of"];
            let done = self.scripted.told("done").into_iter().find(mine);
            let failed = self.scripted.told("failed").into_iter().find(mine);
            done.map(Ok).or_else(|| failed.map(|told| Err(told["why"].to_string())))
        })
    }

    fn done(&mut self, tab: &str, order: Value) -> Value {
        let said = order.to_string();
        self.order(tab, order).unwrap_or_else(|why| panic!("{tab}: {said}: {why}"))
    }

    /// Opens an address in a tab.
    ///
    /// # Panics
    /// When it cannot, here as below.
    pub fn open(&mut self, tab: &str, url: &str, view: View) {
        let View { width, dark } = view;
        self.done(
            tab,
            json!({ "do": "open", "url": url, "width": width, "height": 740, "dark": dark }),
        );
    }

    /// Presses what has this name, so many times as fast as a hand can.
    pub fn press(&mut self, tab: &str, name: &str, times: u32) {
        self.done(tab, json!({ "do": "press", "name": name, "times": times }));
    }

    /// Writes into what has the focus.
    pub fn write(&mut self, tab: &str, text: &str) {
        self.done(tab, json!({ "do": "type", "text": text }));
    }

    /// Presses a key: `Tab`, `Enter`.
    pub fn key(&mut self, tab: &str, key: &str) {
        self.done(tab, json!({ "do": "key", "key": key }));
    }

    /// Back to the page before.
    pub fn back(&mut self, tab: &str) {
        self.done(tab, json!({ "do": "back" }));
    }

    /// The same page again.
    pub fn reload(&mut self, tab: &str) {
        self.done(tab, json!({ "do": "reload" }));
    }

    /// What is to be seen.
    pub fn look(&mut self, tab: &str) -> Value {
        self.done(tab, json!({ "do": "look" }))
    }

    /// Waits for a page that is so; what is to be seen of it.
    pub fn until(&mut self, tab: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait::within(wait::PATIENCE / 4, || {
            // A page that is on its way to another one cannot be looked at.
            last = self.order(tab, json!({ "do": "look" })).ok()?;
            Some(last.clone()).filter(|seen| is(seen))
        });
        let seen = found.unwrap_or_else(|| panic!("{tab}: no page with {what}: {last:#}"));
        self.keep(tab, what);
        seen
    }

    /// Waits for a page with this heading.
    pub fn heading(&mut self, tab: &str, heading: &str) -> Value {
        self.until(tab, heading, |seen| seen["heading"] == heading)
    }

    /// Where somebody wants to look at it himself: a picture in the folder that `PAGES_SHOWN` names.
    fn keep(&mut self, tab: &str, name: &str) {
        if let Some(folder) = std::env::var_os("PAGES_SHOWN") {
            let name = name.replace([' ', '/'], "-");
            let file = Path::new(&folder).join(format!("{:03}-{tab}-{name}.png", self.orders));
            self.done(tab, json!({ "do": "shot", "file": file }));
        }
    }
}

/// Nobody has to move a page sideways, look hard, or aim (WCAG 2.2 §1.4.3, §1.4.10, §2.5.8).
///
/// # Panics
/// When somebody has to.
pub fn is_kind_to_people(seen: &Value) {
    assert_eq!(seen["sideways"], 0, "{seen:#}");
    assert!(seen["contrast"].as_f64().is_some_and(|least| least >= 4.5), "{seen:#}");
    assert!(seen["smallest"].as_u64().is_some_and(|least| least >= 24), "{seen:#}");
    assert_eq!(seen["landmarks"], 1, "{seen:#}");
}

/// Chromium by the names that distributions give it.
fn program() -> &'static str {
    let there = |name: &&&str| Path::new("/usr/bin").join(name).exists();
    ["chromium-headless-shell", "chromium"].iter().find(there).expect("tests/run installs Chromium")
}
