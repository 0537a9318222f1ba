//! The little country of the tests: one merchant, two carriers, extension 80000, prices.

use crate::sipp::{Behaviour, Sipp};
use crate::tandem::{Setup, Tandem};

/// The merchant of the seed.
pub const USER: &str = "test";
/// Its key.
pub const KEY: &str = "awrlk45ghfg7";
/// Leg A behind carrier A.
pub const A: &str = "13800138000";
/// Leg B behind carrier B.
pub const B: &str = "13900139000";
/// Price of a started minute of A, in micros.
pub const A_MINUTE: i64 = 100_000;
/// Price of a started minute of B, in micros.
pub const B_MINUTE: i64 = 150_000;
/// The extension's SIP password.
pub const PASSWORD: &str = "k7Qm2XwT9pRd";

/// Started minutes, and extensions for nothing.
const STANDARD: &str = r#"
  { prefix = "86138", per_minute = "0.10" },
  { prefix = "86139", per_minute = "0.15" },
  { prefix = "internal", per_minute = "0" },
"#;

/// What a test wants of its country.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Paid in, decimal yuan.
    pub balance: &'static str,
    /// Longest talk, seconds.
    pub max_talk: u32,
    /// Live calls at most.
    pub max_calls: u32,
    /// Record calls.
    pub record: bool,
    /// Rows of the price list.
    pub rates: &'static str,
    /// Settings of the process.
    pub settings: Vec<String>,
    /// More lines of the operator file.
    pub more: String,
}

impl Default for Wish {
    fn default() -> Self {
        Wish {
            balance: "100",
            max_talk: 3600,
            max_calls: 50,
            record: true,
            rates: STANDARD,
            settings: Vec::new(),
            more: String::new(),
        }
    }
}

/// The operator file for two carriers at these ports.
#[must_use]
pub fn operator(wish: &Wish, carrier_a: u16, carrier_b: u16) -> String {
    format!(
        r#"
[settings]
realm = "tandem.example"

[[tariffs]]
name = "standard"
rates = [
{rates}
]

[[merchants]]
name = "{USER}"
key = "{KEY}"
status = "approved"
tariff = "standard"
max_calls = {max_calls}
max_talk = {max_talk}
record = {record}
pstn_caller = true
caller_id = "01053180002"

[[sub_accounts]]
merchant = "{USER}"
name = "shop"

[[extensions]]
number = "80000"
merchant = "{USER}"
sub_account = "shop"
password = "{PASSWORD}"

[[trunks]]
name = "carrier-a"
target = "127.0.0.1:{carrier_a}"

[[trunks]]
name = "carrier-b"
target = "127.0.0.1:{carrier_b}"

[[routes]]
prefix = "86138"
trunk = "carrier-a"

[[routes]]
prefix = "86139"
trunk = "carrier-b"

[[top_ups]]
id = "first"
merchant = "{USER}"
amount = "{balance}"
{more}
"#,
        max_calls = wish.max_calls,
        max_talk = wish.max_talk,
        record = wish.record,
        rates = wish.rates,
        balance = wish.balance,
        more = wish.more,
    )
}

/// A switch between two sipp carriers.
#[derive(Debug)]
pub struct Country {
    /// The switch.
    pub tandem: Tandem,
    /// Behind leg A.
    pub carrier_a: Sipp,
    /// Behind leg B.
    pub carrier_b: Sipp,
    /// Goes last: the others write into it.
    pub folder: tempfile::TempDir,
}

impl Country {
    /// Everything up and ready for `calls` calls.
    ///
    /// # Panics
    /// When there is no room for a folder.
    #[must_use]
    pub fn new(wish: &Wish, a: &Behaviour, b: &Behaviour, calls: u32) -> Country {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path();
        let carrier_a = Sipp::start(folder, "carrier-a", a, calls);
        let carrier_b = Sipp::start(folder, "carrier-b", b, calls);
        let operator = operator(wish, carrier_a.port, carrier_b.port);
        let setup = Setup { settings: wish.settings.clone(), operator };
        let tandem = Tandem::start(folder, &setup);
        Country { tandem, carrier_a, carrier_b, folder: temporary }
    }
}
