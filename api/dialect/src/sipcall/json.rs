//! JSON whose members stand in the order in which they are given, as in the system's own samples.

use std::fmt;

/// A value, written out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Json(String);

impl Json {
    /// An object.
    #[must_use]
    pub fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
        let members: Vec<String> =
            members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        Json(format!("{{{}}}", members.join(",")))
    }

    /// An array.
    #[must_use]
    pub fn list(values: impl IntoIterator<Item = Json>) -> Json {
        let values: Vec<String> = values.into_iter().map(|value| value.0).collect();
        Json(format!("[{}]", values.join(",")))
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json(serde_json::Value::from(text).to_string())
    }
}

impl From<&String> for Json {
    fn from(text: &String) -> Json {
        Json::from(text.as_str())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::from(text.as_str())
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json(number.to_string())
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Json {
        Json(number.to_string())
    }
}

impl From<u16> for Json {
    fn from(number: u16) -> Json {
        Json(number.to_string())
    }
}
