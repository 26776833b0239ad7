//! Tables on SQLite: the embedded twin of the database that the `sql` output binding writes to.
//!
//! Rows are upserts by primary key, all rows of a call in one transaction. What SQL Server would refuse is refused here
//! too, before anything is written: an unknown column, a value that its column does not take, the same key twice. Where
//! the binding is lenient to our loss (a nested value becomes NULL, the columns are the first row's) this is not.

use std::{collections::HashSet, path::Path};

use rusqlite::{Connection, ToSql, params_from_iter, types::Value as Sql};
use serde_json::{Map, Value};

use super::sqlite::{OpenError, Profile, Rhythm, State, StorageError, Writer};
use crate::sql::{Column, Dialect, Table, definition};

/// A row: values by column.
pub type Row = Map<String, Value>;

/// The tables are created when the file is opened, not by a migration: their definitions are the program's.
const PROFILE: Profile = Profile {
    migrations: &[],
    page_bytes: 4096,
    writer_cache_kib: 4 * 1024,
    reader_cache_kib: 1024,
    busy: Rhythm::seldom(200),
    idle: Rhythm::seldom(200),
};

/// Why no row of a call was written.
#[derive(Debug, thiserror::Error)]
pub enum UpsertError {
    /// A mistake of whoever made the row; it is made again when the rows come again.
    #[error("row {row} of {table}: {problem}")]
    Row { table: &'static str, row: usize, problem: String },
    /// SQL Server's MERGE may not change a row twice.
    #[error("row {row} of {table} has the same key as an earlier one")]
    DuplicateKey { table: &'static str, row: usize },
    /// The file: try again.
    #[error("{table}: {source}")]
    Storage { table: &'static str, source: StorageError },
}

/// The tables of one file.
#[derive(Debug, Clone)]
pub struct Tables {
    writer: Writer<Stateless>,
    known: &'static [&'static Table],
}

impl Tables {
    /// Opens the file; creates it, and those tables and views that are missing.
    ///
    /// # Errors
    /// It is in use by another process, or cannot be opened.
    pub fn open(path: &Path, known: &'static [&'static Table]) -> Result<Self, OpenError> {
        let create = |connection: &mut Connection| {
            known.iter().try_for_each(|table| connection.execute_batch(&create(table)))?;
            Ok(Stateless)
        };
        Ok(Self { writer: Writer::open(path, &PROFILE, "tables", create)?, known })
    }

    /// The table of this name, written as T-SQL may write it: `dbo.Events`, `[dbo].[Events]`.
    pub fn named(&self, name: &str) -> Option<&'static Table> {
        let plain = name.replace(['[', ']'], "");
        self.known.iter().find(|table| table.name.eq_ignore_ascii_case(plain.trim())).copied()
    }

    /// Writes rows, all or none; those whose key is there replace what is there. Returns once they are on disk.
    ///
    /// # Errors
    /// None is written.
    pub async fn upsert(&self, table: &'static Table, rows: &[Row]) -> Result<(), UpsertError> {
        let mut keys = HashSet::new();
        let mut values = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            values.push(checked(table, row).map_err(|problem| UpsertError::Row {
                table: table.name,
                row: index,
                problem,
            })?);
            if !keys.insert(row[table.key].to_string()) {
                return Err(UpsertError::DuplicateKey { table: table.name, row: index });
            }
        }
        let write = move |connection: &Connection, _: &mut Stateless| {
            let mut statement = connection.prepare_cached(&upsert(table))?;
            for row in values {
                statement.execute(params_from_iter(row.iter().map(|value| value as &dyn ToSql)))?;
            }
            Ok(())
        };
        self.writer.run(write).await.map_err(|source| UpsertError::Storage { table: table.name, source })
    }
}

/// The values of a row in the order of the columns.
fn checked(table: &Table, row: &Row) -> Result<Vec<Sql>, String> {
    if let Some(unknown) = row.keys().find(|name| !table.columns.iter().any(|column| column.name == name.as_str())) {
        return Err(format!("there is no column `{unknown}`"));
    }
    let value = |column: &Column| {
        let value = row.get(column.name).ok_or_else(|| format!("`{}` is missing", column.name))?;
        column.check(value)?;
        Ok(match value {
            Value::String(text) => Sql::Text(text.clone()),
            // `check` admits whole numbers within 64 bits only.
            Value::Number(number) => Sql::Integer(number.as_i64().unwrap_or_default()),
            _ => Sql::Null,
        })
    };
    table.columns.iter().map(value).collect()
}

/// SQLite has no `dbo`: `Events`.
fn local(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The view is written anew each time, so that it is always this program's.
fn create(table: &Table) -> String {
    let (name, view) = (local(table.name), local(table.view.name));
    let columns = definition(table, "PRIMARY KEY", Dialect::Sqlite);
    let select = table.view.select.replace(table.name, name);
    format!(
        "BEGIN;
CREATE TABLE IF NOT EXISTS {name} (
{columns}
);
CREATE INDEX IF NOT EXISTS {name}_by_view ON {name} ({});
DROP VIEW IF EXISTS {view};
CREATE VIEW {view} AS
{select};
COMMIT;",
        table.index
    )
}

fn upsert(table: &Table) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let places = vec!["?"; names.len()].join(", ");
    let updates: Vec<_> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({places}) ON CONFLICT ({}) DO UPDATE SET {}",
        local(table.name),
        names.join(", "),
        table.key,
        updates.join(", ")
    )
}

/// The writer's jobs share nothing but the file.
#[derive(Debug)]
struct Stateless;

impl State for Stateless {
    fn before_commit(&mut self, _: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    fn committed(&mut self) {}

    fn rolled_back(&mut self) {}
}
