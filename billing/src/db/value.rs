//! Values that go into statements, and rows that come out.

use facts::time::UnixMillis;
use facts::{CallId, Micros};
use rusqlite::types::Value as Owned;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::error::{Error, Result};

/// A parameter. A missing value still knows its type, which PostgreSQL insists on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

macro_rules! value_of {
    ($( $from:ty => |$x:ident| $value:expr ),* $(,)?) => {
        $( impl From<$from> for Value {
            fn from($x: $from) -> Value { $value }
        } )*
    };
}

value_of! {
    i64 => |x| Value::Int(Some(x)),
    Option<i64> => |x| Value::Int(x),
    u32 => |x| Value::Int(Some(x.into())),
    Option<u32> => |x| Value::Int(x.map(i64::from)),
    u16 => |x| Value::Int(Some(x.into())),
    Option<u16> => |x| Value::Int(x.map(i64::from)),
    u8 => |x| Value::Int(Some(x.into())),
    Option<u8> => |x| Value::Int(x.map(i64::from)),
    u64 => |x| Value::Int(Some(i64::try_from(x).unwrap_or(i64::MAX))),
    bool => |x| Value::Int(Some(x.into())),
    Micros => |x| Value::Int(Some(x.0)),
    UnixMillis => |x| Value::Int(Some(x.0)),
    Option<UnixMillis> => |x| Value::Int(x.map(|at| at.0)),
    CallId => |x| Value::Int(Some(x.as_i64())),
    &str => |x| Value::Text(Some(x.to_owned())),
    String => |x| Value::Text(Some(x)),
    &String => |x| Value::Text(Some(x.clone())),
    Option<String> => |x| Value::Text(x),
    Option<&str> => |x| Value::Text(x.map(str::to_owned)),
    Vec<u8> => |x| Value::Blob(Some(x)),
    Option<Vec<u8>> => |x| Value::Blob(x),
}

/// Parameters of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}
pub(crate) use args;

/// A row, read by position.
pub(crate) enum Row {
    Own(Vec<Owned>),
    Lite(SqliteRow),
    Pg(PgRow),
}

impl Row {
    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Row::Own(values) => {
                return match values.get(column) {
                    Some(Owned::Integer(value)) => Ok(Some(*value)),
                    Some(Owned::Null) => Ok(None),
                    Some(_) | None => Err(missing(column)),
                };
            }
            Row::Lite(row) => row.try_get(column),
            Row::Pg(row) => row.try_get(column),
        }
        .map_err(Error::from_sqlx)
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<String>> {
        match self {
            Row::Own(values) => {
                return match values.get(column) {
                    Some(Owned::Text(value)) => Ok(Some(value.clone())),
                    Some(Owned::Null) => Ok(None),
                    Some(_) | None => Err(missing(column)),
                };
            }
            Row::Lite(row) => row.try_get(column),
            Row::Pg(row) => row.try_get(column),
        }
        .map_err(Error::from_sqlx)
    }

    pub(crate) fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>> {
        match self {
            Row::Own(values) => {
                return match values.get(column) {
                    Some(Owned::Blob(value)) => Ok(Some(value.clone())),
                    Some(Owned::Null) => Ok(None),
                    Some(_) | None => Err(missing(column)),
                };
            }
            Row::Lite(row) => row.try_get(column),
            Row::Pg(row) => row.try_get(column),
        }
        .map_err(Error::from_sqlx)
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| missing(column))
    }

    pub(crate) fn text(&self, column: usize) -> Result<String> {
        self.opt_text(column)?.ok_or_else(|| missing(column))
    }

    pub(crate) fn truth(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn micros(&self, column: usize) -> Result<Micros> {
        self.int(column).map(Micros)
    }

    pub(crate) fn instant(&self, column: usize) -> Result<UnixMillis> {
        self.int(column).map(UnixMillis)
    }

    pub(crate) fn call(&self, column: usize) -> Result<CallId> {
        let id = self.int(column)?;
        Ok(CallId(u64::try_from(id).unwrap_or(0)))
    }

    /// A whole number of a smaller type.
    pub(crate) fn small<T: TryFrom<i64>>(&self, column: usize) -> Result<T> {
        T::try_from(self.int(column)?).map_err(|_| missing(column))
    }

    pub(crate) fn opt_small<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>> {
        match self.opt_int(column)? {
            None => Ok(None),
            Some(int) => T::try_from(int).map(Some).map_err(|_| missing(column)),
        }
    }

    /// A JSON document.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T> {
        from_json(&self.text(column)?)
    }

    /// A word of an enumeration, as serde writes it.
    pub(crate) fn word<T: DeserializeOwned>(&self, column: usize) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_value(serde_json::Value::String(text)).map_err(|error| damaged(&error))
    }

    /// The same, where there may be none.
    pub(crate) fn opt_word<T: DeserializeOwned>(&self, column: usize) -> Result<Option<T>> {
        self.opt_text(column)?.map(|_| self.word(column)).transpose()
    }

    /// Any column as a parameter of the same type as `like`.
    pub(crate) fn value(&self, column: usize, like: &Value) -> Result<Value> {
        Ok(match like {
            Value::Int(_) => Value::Int(self.opt_int(column)?),
            Value::Text(_) => Value::Text(self.opt_text(column)?),
            Value::Blob(_) => Value::Blob(self.opt_blob(column)?),
        })
    }
}

/// Writes a document. Our own types always can be written.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| damaged(&error))
}

/// Writes a word of an enumeration.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(_) => Err(Error::Damaged { table: "?", detail: "not a word".into() }),
        Err(error) => Err(damaged(&error)),
    }
}

/// Reads a document.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

fn missing(column: usize) -> Error {
    Error::Damaged {
        table: "?",
        detail: format!("column {column} is empty, of another type or out of range"),
    }
}

fn damaged(error: &serde_json::Error) -> Error {
    Error::Damaged { table: "?", detail: error.to_string() }
}
