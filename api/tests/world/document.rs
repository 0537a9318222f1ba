//! The operator's file of the small world.

use serde_json::{Value, json};

use super::{ACCESSKEY, APP, AUTH_TOKEN, KEY, SID};

/// Merchants, numbers and prices that the tests speak of.
pub(crate) fn document() -> Value {
    let merchant = |name: &str, more: Value| {
        let mut value = json!({ "name": name, "key": KEY, "tariff": "standard" });
        for (field, given) in more.as_object().unwrap() {
            value[field] = given.clone();
        }
        value
    };
    let company = |code: &str, more: Value| {
        let mut value = json!({ "companycode": code, "appid": format!("app{code}"),
                                "accesskey": ACCESSKEY, "merchant": "test" });
        for (field, given) in more.as_object().unwrap() {
            value[field] = given.clone();
        }
        value
    };
    json!({
        "settings": { "realm": "tandem.test" },
        "tariffs": [{ "name": "standard", "decimals": 4, "rates": [
            { "prefix": "86", "per_minute": "0.15" },
            { "prefix": "internal", "per_minute": "0.05" },
        ]}],
        "merchants": [
            merchant("test", json!({})),
            merchant("测试", json!({})),
            merchant("poor", json!({})),
            merchant("pending", json!({ "status": "pending" })),
            merchant("frozen", json!({ "status": "frozen" })),
            merchant("fenced", json!({ "allowed_ips": ["192.0.2.0/24"] })),
            merchant("open", json!({ "pstn_caller": true, "hex_case": "upper" })),
        ],
        "sub_accounts": [
            { "merchant": "test", "name": "shop" },
            { "merchant": "test", "name": "closed", "enabled": false },
        ],
        "extensions": [
            { "number": "80000", "merchant": "test", "sub_account": "shop", "password": "p1" },
            { "number": "80009", "merchant": "test", "sub_account": "closed", "password": "p2" },
            { "number": "81000", "merchant": "poor", "password": "p3" },
            { "number": "82000", "merchant": "fenced", "password": "p4" },
        ],
        "groups": [
            { "number": "80100", "merchant": "test", "name": "extGroup-1", "members": ["80000"] },
            { "number": "81100", "merchant": "poor", "name": "theirs", "members": ["81000"] },
        ],
        "trunks": [{ "name": "carrier", "target": "192.0.2.10:5060" }],
        "routes": [{ "prefix": "86", "trunk": "carrier" }],
        "top_ups": [
            { "id": "t1", "merchant": "test", "amount": "100" },
            { "id": "t2", "merchant": "open", "amount": "100" },
            { "id": "t3", "merchant": "测试", "amount": "100" },
        ],
        "ytx_accounts": [
            { "sid": SID, "auth_token": AUTH_TOKEN, "merchant": "test" },
            { "sid": "sid-off", "auth_token": AUTH_TOKEN, "merchant": "test", "active": false },
            { "sid": "sid-poor", "auth_token": AUTH_TOKEN, "merchant": "poor" },
        ],
        "templates": [
            { "id": "1001", "merchant": "test",
              "parts": [{ "prompt": "welcome" },
                        { "money": { "amount": "{1}", "currency": "CNY" } }] },
            { "id": "2002", "merchant": "open", "parts": [{ "prompt": "welcome" }] },
        ],
        "ytx_apps": [
            { "appid": APP, "account": SID, "callers": ["01053180002", "01053180003"], "record": true,
              "callback_url": "http://127.0.0.1:9009/cb?",
              "functions": ["call", "account", "code", "notice", "meeting"] },
            { "appid": "app-offline", "account": SID, "online": false },
            { "appid": "app-account-only", "account": SID, "functions": ["account"] },
            { "appid": "app-fenced", "account": SID, "allowed_ips": ["192.0.2.1"] },
            { "appid": "app-poor", "account": "sid-poor" },
            { "appid": "app-two", "account": SID, "callback_mode": "two",
              "callback_url": "http://127.0.0.1:9009/a", "state_url": "http://127.0.0.1:9009/b",
              "cdr_types": "number", "unknown_as": "normal" },
        ],
        "companies": [
            company("1", json!({ "name": "test", "callers": ["01053180002", "01053180003"],
                                 "cdr_url": "http://127.0.0.1:9009/cdr",
                                 "state_url": "http://127.0.0.1:9009/state" })),
            company("2", json!({ "language": "en", "modules": ["call"],
                                 "expires": "2099-01-02 03:04:05",
                                 "dedupe_customuuid": true, "cdr_version": "2025",
                                 "cdr_url": "http://127.0.0.1:9009/cdr2" })),
            company("poor", json!({ "merchant": "poor" })),
            company("cdrs", json!({ "modules": ["cdr"] })),
            company("off", json!({ "active": false })),
            company("over", json!({ "expires": "2026-01-01" })),
            company("fenced", json!({ "allowed_ips": ["192.0.2.1"] })),
            company("frozen", json!({ "merchant": "frozen" })),
        ],
    })
}
