//! Menus of system 003 that are tried out, and what they have paid: the door of `/v1`, the page of an invoice, the
//! service that tells what was paid.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::country::{USER, Wish, operator};
use crate::merchant::http;
use crate::tandem::{Setup, Tandem};
use crate::{ports, wait};

/// The code that the tests dial.
pub const CODE: &str = "*6655*123#";
/// Who dials it.
pub const MOBILE: &str = "09123456789";
/// Where links of invoices lead, before they lead to the switch.
pub const PUBLIC: &str = "http://pay.example";
/// Who may ask what was paid, and his password.
pub const OWNER: (&str, &str) = ("u", "p");

/// A switch whose merchant has [`CODE`], led by `page`, and a gateway for tests; `more` lines of the operator's file.
#[must_use]
pub fn switch(folder: &Path, page: &str, more: &str) -> Tandem {
    switch_with(folder, page, more, &[])
}

/// The same with further settings.
#[must_use]
pub fn switch_with(folder: &Path, page: &str, more: &str, settings: &[&str]) -> Tandem {
    let mut all = vec![format!("http.public_url={PUBLIC}")];
    all.extend(settings.iter().map(|one| (*one).to_owned()));
    Tandem::start(folder, &Setup { settings: all, operator: operators_file(page, more) })
}

/// Its operator's file.
#[must_use]
pub fn operators_file(page: &str, more: &str) -> String {
    let (name, password) = OWNER;
    let more = format!(
        "\n[[ussd_codes]]\ncode = \"{CODE}\"\nmerchant = \"{USER}\"\npage = \"{page}\"\n\
         [[ussd_owners]]\nusername = \"{name}\"\npassword = \"{password}\"\nmerchant = \"{USER}\"\n\
         [[payment_gateways]]\nname = \"try\"\nkind = \"test\"\n{more}\n"
    );
    operator(&Wish { more, ..Wish::default() }, ports::one(), ports::one())
}

/// What a subscriber sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Of which session.
    pub session: String,
    /// The text.
    pub text: String,
    /// Whether he may type.
    pub more: bool,
}

impl Screen {
    fn read(shown: &Value) -> Screen {
        let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
        let more = shown["more"].as_bool().unwrap_or_else(|| panic!("no screen: {shown}"));
        Screen { session: text("session"), text: text("text"), more }
    }

    /// The session as pages are told it.
    #[must_use]
    pub fn told(&self) -> &str {
        self.session.trim_start_matches('0')
    }

    /// The path of the invoice whose link is shown.
    ///
    /// # Panics
    /// When none is.
    #[must_use]
    pub fn invoice(&self) -> String {
        let link = self.text.split_once(PUBLIC).unwrap_or_else(|| panic!("no link: {self:?}"));
        link.1.trim().to_owned()
    }
}

/// A merchant who tries his menus out.
#[derive(Debug)]
pub struct Tries {
    door: SocketAddr,
    key: String,
}

impl Tries {
    /// At this switch.
    #[must_use]
    pub fn of(tandem: &Tandem) -> Tries {
        Tries::by(tandem, USER)
    }

    /// The same by another merchant.
    #[must_use]
    pub fn by(tandem: &Tandem, merchant: &str) -> Tries {
        let key = tandem.api_key(merchant, &["ussd:write", "ussd:read"]);
        Tries { door: tandem.http, key }
    }

    /// One request; the answer, whose status has to be one of success.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http(self.door, method, path, &headers, &text);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Dials a code from a number.
    #[must_use]
    pub fn dial(&self, mobile: &str, dialled: &str) -> Screen {
        let body = json!({ "dialled": dialled, "mobile": mobile });
        Screen::read(&self.ask("POST", "/v1/ussd/sessions", &body))
    }

    /// Types into a session.
    #[must_use]
    pub fn enter(&self, session: &str, text: &str) -> Screen {
        let path = format!("/v1/ussd/sessions/{session}/input");
        Screen::read(&self.ask("POST", &path, &json!({ "text": text })))
    }

    /// The newest invoice.
    #[must_use]
    pub fn invoice(&self) -> Value {
        let listed = self.ask("GET", "/v1/ussd/invoices?limit=500", &Value::Null);
        listed["items"].as_array().and_then(|all| all.last()).cloned().unwrap_or(Value::Null)
    }

    /// The newest invoice, when it has come into this state.
    #[must_use]
    pub fn wait_invoice(&self, state: &str) -> Value {
        let named = |invoice: &Value| invoice["state"] == *state;
        wait::until("the state of an invoice", || Some(self.invoice()).filter(named))
    }
}

/// Pays an invoice at the gateway for tests, and comes back from there.
///
/// # Panics
/// When a page does not lead on.
pub fn pay(tandem: &Tandem, invoice: &str) {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let steps = [("POST", "start", ""), ("POST", "test", "act=pay"), ("GET", "back", "")];
    for (method, way, body) in steps {
        let (status, said) = http(tandem.http, method, &format!("{invoice}/{way}"), &form, body);
        assert_eq!(status, 303, "{way}: {said}");
    }
}
