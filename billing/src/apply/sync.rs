//! One table brought to what a list of objects says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use facts::Micros;
use facts::media::Record;

use super::Run;
use crate::db::{Value, args, tuples};
use crate::desired::{Act, Change};
use crate::error::Result;

/// How a column is shown in a difference.
#[derive(Clone, Copy)]
pub(super) enum Show {
    Plain,
    Truth,
    /// [`Record`], by its number.
    Record,
    /// Millionths of a currency unit.
    Amount,
    /// How many lines a text has.
    Lines,
    /// The lines of a text, one behind the other.
    List,
    /// Only that it changed.
    Secret,
    /// A row id: shown by the names of another table.
    Name(&'static str),
}

/// A table as objects see it.
pub(super) struct Table {
    pub(super) kind: &'static str,
    pub(super) table: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) columns: &'static [(&'static str, Show)],
}

/// What a column shall be.
pub(super) enum Cell {
    Set(Value),
    /// As it is; in a new row, this.
    Keep(Value),
}

/// Sets a column to anything that is a value.
pub(super) fn set(value: impl Into<Value>) -> Cell {
    Cell::Set(value.into())
}

/// One object.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) key: Vec<Value>,
    pub(super) cells: Vec<Cell>,
}

type Existing = BTreeMap<Vec<Value>, Vec<Value>>;

impl Run<'_> {
    /// Creates or updates each item and notes a line for it. Returns, for each, what happened. An item that is in the
    /// file twice is written once: that it is there twice is a mistake, with which nothing of the file is kept.
    pub(super) async fn sync(&mut self, table: &Table, items: Vec<Item>) -> Result<Vec<Act>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let existing = self.existing(table, &items).await?;
        let names = self.names_for(table).await?;
        let mut acts = Vec::with_capacity(items.len());
        let mut seen = BTreeSet::new();
        for item in items {
            let again = !seen.insert(item.key.clone()) && !self.check.mistakes.is_empty();
            let change = match existing.get(&item.key) {
                _ if again => {
                    let (act, kind) = (Act::Unchanged, table.kind);
                    Change { act, kind, name: item.name, fields: Vec::new() }
                }
                None => self.create(table, item).await?,
                Some(old) => self.update(table, item, old, &names).await?,
            };
            acts.push(change.act);
            self.changes.lines.push(change);
        }
        Ok(acts)
    }

    async fn existing(&mut self, table: &Table, items: &[Item]) -> Result<Existing> {
        let Some(like) = items.first() else { return Ok(Existing::new()) };
        let columns = table.columns.iter().map(|(name, _)| *name);
        let columns: Vec<&str> = table.keys.iter().copied().chain(columns).collect();
        let sql = format!("SELECT {}, managed FROM {}", columns.join(", "), table.table);
        let rows = self.conn.rows(&sql, args![]).await?;
        let mut existing = Existing::new();
        for row in &rows {
            let key = like.key.iter().enumerate().map(|(i, key)| row.value(i, key));
            let cells = like.cells.iter().enumerate().map(|(i, cell)| {
                let (Cell::Set(like) | Cell::Keep(like)) = cell;
                row.value(table.keys.len() + i, like)
            });
            let managed = row.int(columns.len())?;
            let mut values = cells.collect::<Result<Vec<_>>>()?;
            values.push(managed.into());
            existing.insert(key.collect::<Result<_>>()?, values);
        }
        Ok(existing)
    }

    /// Names by id of every table that a column refers to.
    async fn names_for(
        &mut self,
        table: &Table,
    ) -> Result<BTreeMap<&'static str, BTreeMap<i64, String>>> {
        let mut names = BTreeMap::new();
        for (_, show) in table.columns {
            if let Show::Name(other) = show {
                let ids = self.ids(other).await?;
                names.insert(*other, ids.into_iter().map(|(name, id)| (id, name)).collect());
            }
        }
        Ok(names)
    }

    async fn create(&mut self, table: &Table, item: Item) -> Result<Change> {
        let columns: Vec<&str> = table
            .keys
            .iter()
            .copied()
            .chain(table.columns.iter().map(|(name, _)| *name))
            .chain(["managed"])
            .collect();
        let mut values = item.key;
        values.extend(item.cells.into_iter().map(|(Cell::Set(value) | Cell::Keep(value))| value));
        values.push(true.into());
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {}",
            table.table,
            columns.join(", "),
            tuples(1, columns.len())
        );
        self.conn.exec(&sql, values).await?;
        Ok(Change { act: Act::Created, kind: table.kind, name: item.name, fields: Vec::new() })
    }

    async fn update(
        &mut self,
        table: &Table,
        item: Item,
        old: &[Value],
        names: &BTreeMap<&'static str, BTreeMap<i64, String>>,
    ) -> Result<Change> {
        let mut fields = Vec::new();
        let mut sets = String::new();
        let mut values = item.key;
        for (((column, show), cell), old) in table.columns.iter().zip(item.cells).zip(old) {
            let Cell::Set(new) = cell else { continue };
            if new == *old {
                continue;
            }
            fields.push(field(column, *show, old, &new, names));
            values.push(new);
            let _ = write!(sets, "{column} = ${}, ", values.len());
        }
        let managed = old.last() == Some(&true.into());
        if !fields.is_empty() || !managed {
            let keys: Vec<String> = table
                .keys
                .iter()
                .enumerate()
                .map(|(i, key)| format!("{key} = ${}", i + 1))
                .collect();
            let sql = format!(
                "UPDATE {} SET {sets}managed = 1 WHERE {}",
                table.table,
                keys.join(" AND ")
            );
            self.conn.exec(&sql, values).await?;
        }
        if fields.is_empty() && !managed {
            fields.push("now kept by the file".into());
        }
        let act = if fields.is_empty() { Act::Unchanged } else { Act::Updated };
        Ok(Change { act, kind: table.kind, name: item.name, fields })
    }
}

fn field(
    column: &str,
    show: Show,
    old: &Value,
    new: &Value,
    names: &BTreeMap<&'static str, BTreeMap<i64, String>>,
) -> String {
    let shown = |value: &Value| match (show, value) {
        (_, Value::Int(None) | Value::Text(None) | Value::Blob(None)) => "none".to_owned(),
        (Show::Truth, Value::Int(Some(int))) => (*int != 0).to_string(),
        (Show::Record, Value::Int(Some(int))) => Record::of_code(*int).to_string(),
        (Show::Name(table), Value::Int(Some(id))) => names
            .get(table)
            .and_then(|names| names.get(id))
            .cloned()
            .unwrap_or_else(|| id.to_string()),
        (Show::Amount, Value::Int(Some(int))) => amount(Micros(*int)),
        (Show::Lines, Value::Text(Some(text))) => text.lines().count().to_string(),
        (Show::List, Value::Text(Some(text))) => text.lines().collect::<Vec<_>>().join(", "),
        (_, Value::Int(Some(int))) => int.to_string(),
        (_, Value::Text(Some(text))) => text.clone(),
        (_, Value::Blob(Some(blob))) => format!("{} bytes", blob.len()),
    };
    let column = column.strip_suffix("_id").unwrap_or(column);
    match show {
        Show::Secret => format!("{column}: changed"),
        _ => format!("{column}: {} → {}", shown(old), shown(new)),
    }
}

/// An amount as differences show it.
pub(super) fn amount(micros: Micros) -> String {
    micros.decimal(2)
}
