//! Queries as SQL. Pages follow each other by key, not by offset, so that documents written or deleted in between
//! neither repeat nor hide others.

use rusqlite::{Connection, ToSql, params_from_iter, types::Value as SqlValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::schema;
use crate::documents::{Comparison, Container, Document, DocumentsError, Page, Query};

const DEFAULT_PAGE: usize = 100;

/// A query, checked and written as SQL.
pub(super) struct Search {
    /// What the query's continuations begin with.
    fingerprint: String,
    /// From `FROM` on, without order and limit.
    from: String,
    parameters: Vec<SqlValue>,
    /// The sort expression, where one is asked for.
    sort: Option<String>,
    page_size: usize,
}

/// The last document of a page, as the next page's start: the query's fingerprint, the sort key, partition and id.
#[derive(Serialize, Deserialize)]
struct Continuation(String, Option<SortKey>, String, String);

/// The value that a document was sorted by.
#[derive(Serialize, Deserialize)]
enum SortKey {
    Integer(i64),
    /// Its bits: a number that came back rounded would repeat a document or hide one.
    Real(u64),
    Text(String),
}

impl Search {
    /// # Errors
    /// A field, a value or the continuation is malformed.
    pub fn new(container: Container, query: &Query, now: i64) -> Result<Self, DocumentsError> {
        // Without statistics SQLite prefers the primary key, and would read every body. Literals, not parameters, where
        // a partial index must be recognised.
        let index = index_for(container, query).map(|name| format!(" INDEXED BY {name}")).unwrap_or_default();
        let mut from = format!("FROM document{index} WHERE container = {}", schema::number(container));
        let mut parameters = Vec::new();
        if let Some(partition) = &query.partition {
            from.push_str(" AND partition = ?");
            parameters.push(SqlValue::Text(partition.clone()));
        }
        if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            from.push_str(&format!(" AND id >= {}", literal(prefix)?));
            if let Some(end) = successor(prefix) {
                from.push_str(&format!(" AND id < {}", literal(&end)?));
            }
        }
        from.push_str(" AND (expires IS NULL OR expires > ?)");
        parameters.push(SqlValue::Integer(now));
        for filter in &query.filters {
            let operator = match filter.comparison {
                Comparison::Equal => "=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            let property = property(filter.field)?;
            let (value, types) = operand(&filter.value)?;
            // SQLite orders any text after any number, reads a boolean as a number and a list as a text.
            from.push_str(&format!(
                " AND {property} {operator} ? AND json_type(body, '$.{}') IN ({types})",
                filter.field
            ));
            parameters.push(value);
        }
        let sort = query.order_by.map(property).transpose()?;
        if let Some(sort) = &sort {
            // As in Cosmos DB, what lacks the property is not in the result.
            from.push_str(&format!(" AND {sort} IS NOT NULL"));
        }
        let fingerprint = fingerprint(container, query);
        if let Some(continuation) = &query.continuation {
            let malformed = |_| DocumentsError::Refused("the continuation is malformed".into());
            let Continuation(origin, key, partition, id) = serde_json::from_str(continuation).map_err(malformed)?;
            match (&sort, key) {
                _ if origin != fingerprint => {
                    return Err(DocumentsError::Refused("the continuation belongs to another query".into()));
                }
                (Some(sort), Some(key)) => {
                    from.push_str(&format!(" AND ({sort}, partition, id) > (?, ?, ?)"));
                    parameters.push(key.into());
                }
                (None, None) => from.push_str(" AND (partition, id) > (?, ?)"),
                _ => return Err(DocumentsError::Refused("the continuation is malformed".into())),
            }
            parameters.push(SqlValue::Text(partition));
            parameters.push(SqlValue::Text(id));
        }
        let page_size = if query.page_size == 0 { DEFAULT_PAGE } else { query.page_size };
        Ok(Self { fingerprint, from, parameters, sort, page_size })
    }

    pub fn page(&self, connection: &Connection) -> rusqlite::Result<Page> {
        let mut statement = connection.prepare_cached(&self.sql())?;
        let mut rows = statement.query(params_from_iter(self.parameters.iter().map(|value| value as &dyn ToSql)))?;
        let mut page = Page::default();
        let mut last = None;
        while let Some(row) = rows.next()? {
            if page.documents.len() == self.page_size {
                page.continuation = last;
                break;
            }
            let (partition, id): (String, String) = (row.get(0)?, row.get(1)?);
            if page.documents.len() + 1 == self.page_size {
                let key = if self.sort.is_some() { SortKey::of(row.get(4)?) } else { None };
                let continuation = Continuation(self.fingerprint.clone(), key, partition.clone(), id.clone());
                last = Some(serde_json::to_string(&continuation).expect("a continuation serialises to JSON"));
            }
            page.documents.push(Document { partition, id, etag: schema::etag(row.get(2)?), body: row.get(3)? });
        }
        Ok(page)
    }

    fn sql(&self) -> String {
        let limit = self.page_size.saturating_add(1);
        match &self.sort {
            Some(sort) => format!(
                "SELECT partition, id, version, body, {sort} {} ORDER BY {sort}, partition, id LIMIT {limit}",
                self.from
            ),
            None => format!("SELECT partition, id, version, body {} ORDER BY partition, id LIMIT {limit}", self.from),
        }
    }

    pub fn count(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut statement = connection.prepare_cached(&format!("SELECT COUNT(*) {}", self.from))?;
        let parameters = params_from_iter(self.parameters.iter().map(|value| value as &dyn ToSql));
        statement.query_row(parameters, |row| row.get::<_, i64>(0)).map(|count| count as u64)
    }
}

/// The partial index made for a query like this.
fn index_for(container: Container, query: &Query) -> Option<&'static str> {
    let by = |field| query.order_by == Some(field) || query.filters.iter().any(|filter| filter.field == field);
    match container {
        Container::Retries if by("due_at") => Some("due_retries"),
        Container::Spool if by("due_at") => Some("due_spooled"),
        Container::Ledger if by("created_at") && query.id_prefix.as_deref() == Some("out:") => Some("outbox"),
        _ => None,
    }
}

/// A top-level property of the body.
fn property(field: &'static str) -> Result<String, DocumentsError> {
    if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(DocumentsError::Refused(format!("{field:?} is no property name")));
    }
    Ok(format!("json_extract(body, '$.{field}')"))
}

fn literal(text: &str) -> Result<String, DocumentsError> {
    if text.contains('\0') {
        return Err(DocumentsError::Refused("an id prefix must not hold NUL".into()));
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// The first text after all that start with `prefix`, in the order of their bytes.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // Skips the surrogates, which are no characters.
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// What a property is compared with, and the JSON types that can be compared with it.
fn operand(value: &Value) -> Result<(SqlValue, &'static str), DocumentsError> {
    match value {
        Value::String(text) => Ok((SqlValue::Text(text.clone()), "'text'")),
        Value::Bool(flag) => Ok((SqlValue::Integer((*flag).into()), "'true', 'false'")),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok((SqlValue::Integer(integer), "'integer', 'real'")),
            (None, Some(real)) => Ok((SqlValue::Real(real), "'integer', 'real'")),
            (None, None) => Err(DocumentsError::Refused(format!("{number} is out of range"))),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(DocumentsError::Refused("only texts, numbers and booleans can be compared".into()))
        }
    }
}

/// What tells one query's continuations from another's. Pages may change their size on the way.
fn fingerprint(container: Container, query: &Query) -> String {
    let Query { partition, id_prefix, filters, order_by, page_size: _, continuation: _ } = query;
    let hash = Sha256::digest(format!("{container:?} {partition:?} {id_prefix:?} {filters:?} {order_by:?}"));
    hex::encode(&hash[..8])
}

impl SortKey {
    fn of(value: SqlValue) -> Option<Self> {
        match value {
            SqlValue::Integer(integer) => Some(Self::Integer(integer)),
            SqlValue::Real(real) => Some(Self::Real(real.to_bits())),
            SqlValue::Text(text) => Some(Self::Text(text)),
            // Neither can be sorted by: the query asks for what is not null, and JSON has no blobs.
            SqlValue::Null | SqlValue::Blob(_) => None,
        }
    }
}

impl From<SortKey> for SqlValue {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Integer(integer) => Self::Integer(integer),
            SortKey::Real(bits) => Self::Real(f64::from_bits(bits)),
            SortKey::Text(text) => Self::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{Comparison::LessOrEqual, Query};

    /// How SQLite will find the documents of a query.
    fn plan(container: Container, query: &Query) -> String {
        let connection = Connection::open_in_memory().unwrap();
        for migration in schema::PROFILE.migrations {
            connection.execute_batch(migration).unwrap();
        }
        let search = Search::new(container, query, 0).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", search.sql())).unwrap();
        let parameters = params_from_iter(search.parameters.iter().map(|value| value as &dyn ToSql));
        let lines = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_sweeps_queries_use_their_indexes() {
        let due = Query::all().filter("due_at", LessOrEqual, "2026").order_by("due_at").page_size(500);
        for (container, index) in [(Container::Retries, "due_retries"), (Container::Spool, "due_spooled")] {
            let plan = plan(container, &due);
            assert!(plan.contains(&format!("USING INDEX {index} ")) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let left_behind =
            Query::all().id_prefix("out:").filter("created_at", LessOrEqual, "2026").order_by("created_at");
        let plan = plan(Container::Ledger, &left_behind);
        assert!(plan.contains("USING INDEX outbox ") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn a_partition_is_found_by_its_key() {
        let plan = plan(Container::Ledger, &Query::partition("p").id_prefix("evt:"));
        assert!(plan.contains("USING PRIMARY KEY (container=? AND partition=? AND id>? AND id<?)"), "{plan}");
    }

    #[test]
    fn prefixes_end_where_the_next_text_begins() {
        assert_eq!(successor("out:").as_deref(), Some("out;"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
