//! Tables of a SQL database, as the `sql` output binding writes to them: in Azure the binding itself, on one machine
//! [`crate::local::tables`]. A definition here gives both their table, and says which values a column takes.

use std::fmt::{self, Display, Write};

use chrono::NaiveDateTime;
use serde_json::Value;

use crate::clock::Timestamp;

/// A table and the view on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// With its schema: `dbo.Events`.
    pub name: &'static str,
    /// The column that is the primary key.
    pub key: &'static str,
    pub columns: &'static [Column],
    /// The columns of the index that the view reads by.
    pub index: &'static str,
    pub view: View,
}

/// A column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub column_type: ColumnType,
    pub nullable: bool,
    /// Further words of its definition in T-SQL.
    pub collation: &'static str,
    /// What is in it, for who reads the table.
    pub about: &'static str,
}

/// The types in use, by their T-SQL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// ASCII text, up to so many characters.
    Varchar(usize),
    /// Text, up to so many UTF-16 code units.
    Nvarchar(usize),
    Tinyint,
    Bigint,
    /// UTC, to 100 ns.
    Datetime2,
}

/// A view whose text SQL Server and SQLite read alike, but for the schema's name.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    pub name: &'static str,
    pub select: &'static str,
}

impl Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Varchar(length) => write!(formatter, "varchar({length})"),
            ColumnType::Nvarchar(length) => write!(formatter, "nvarchar({length})"),
            ColumnType::Tinyint => formatter.write_str("tinyint"),
            ColumnType::Bigint => formatter.write_str("bigint"),
            ColumnType::Datetime2 => formatter.write_str("datetime2(7)"),
        }
    }
}

impl Column {
    /// Whether SQL Server would take this value.
    ///
    /// # Errors
    /// What is wrong with it, without the value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let taken = match (self.column_type, value) {
            (_, Value::Null) if self.nullable => true,
            (_, Value::Null) => return Err(format!("`{}` must not be null", self.name)),
            (ColumnType::Varchar(length), Value::String(text)) => text.is_ascii() && text.len() <= length,
            (ColumnType::Nvarchar(length), Value::String(text)) => text.encode_utf16().count() <= length,
            (ColumnType::Tinyint, number) => number.as_u64().is_some_and(|number| number <= u64::from(u8::MAX)),
            (ColumnType::Bigint, number) => number.is_i64(),
            (ColumnType::Datetime2, Value::String(text)) => NaiveDateTime::parse_from_str(text, DATETIME).is_ok(),
            _ => false,
        };
        taken.then_some(()).ok_or_else(|| format!("`{}` is not {}", self.name, self.column_type))
    }
}

const DATETIME: &str = "%Y-%m-%d %H:%M:%S%.f";

/// A moment as text for [`ColumnType::Datetime2`]; texts sort as the moments do. With a space and not with a `T`: what
/// looks like ISO 8601 is parsed on its way through the Functions host, and written again with milliseconds only.
pub fn datetime(at: Timestamp) -> String {
    // `%.7f` is none of chrono's formats.
    let nanoseconds = at.format("%Y-%m-%d %H:%M:%S%.9f").to_string();
    nanoseconds[..nanoseconds.len() - 2].to_owned()
}

/// The columns and the key of a table, between the parentheses of `CREATE TABLE`.
pub fn definition(table: &Table, constraint: &str, dialect: Dialect) -> String {
    let mut text = String::new();
    for Column { name, column_type, nullable, collation, about } in table.columns {
        let collation = if dialect == Dialect::SqlServer { *collation } else { "" };
        let null = if *nullable { "NULL" } else { "NOT NULL" };
        writeln!(text, "    {name} {column_type}{collation} {null}, -- {about}").expect("memory takes any write");
    }
    text + &format!("    {constraint} ({})", table.key)
}

/// Whose words a definition is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    SqlServer,
    Sqlite,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column(column_type: ColumnType, nullable: bool) -> Column {
        Column { name: "c", column_type, nullable, collation: "", about: "" }
    }

    #[test]
    fn a_column_takes_what_sql_server_would_take() {
        let cases = [
            (ColumnType::Varchar(3), json!("abc"), true),
            (ColumnType::Varchar(3), json!("abcd"), false),
            (ColumnType::Varchar(3), json!("ä"), false),
            (ColumnType::Nvarchar(2), json!("\u{1f600}"), true),
            (ColumnType::Nvarchar(2), json!("a\u{1f600}"), false),
            (ColumnType::Nvarchar(2), json!({"nested": 1}), false),
            (ColumnType::Tinyint, json!(255), true),
            (ColumnType::Tinyint, json!(256), false),
            (ColumnType::Bigint, json!(i64::MAX), true),
            (ColumnType::Bigint, json!(u64::MAX), false),
            (ColumnType::Bigint, json!(1.5), false),
            (ColumnType::Datetime2, json!("2026-11-20 10:00:00.1234567"), true),
            (ColumnType::Datetime2, json!("2026-11-31 10:00:00"), false),
        ];
        for (column_type, value, expected) in cases {
            assert_eq!(column(column_type, true).check(&value).is_ok(), expected, "{column_type} {value}");
        }
        assert!(column(ColumnType::Bigint, true).check(&Value::Null).is_ok());
        let error = column(ColumnType::Bigint, false).check(&Value::Null).unwrap_err();
        assert_eq!(error, "`c` must not be null");
        let error = column(ColumnType::Bigint, false).check(&json!("+12025550143")).unwrap_err();
        assert!(!error.contains("555"), "{error}");
    }

    #[test]
    fn a_moment_is_text_that_the_functions_host_leaves_alone() {
        let text = |at: &str| datetime(at.parse().unwrap());
        assert_eq!(text("2026-11-20T10:00:00.123456789Z"), "2026-11-20 10:00:00.1234567");
        assert_eq!(text("2026-11-20T10:00:00Z"), "2026-11-20 10:00:00.0000000");
    }
}
