//! Queries as SQL.

use rusqlite::{Connection, ToSql, params_from_iter, types::Value as SqlValue};
use serde_json::Value;

use super::schema;
use crate::documents::{
    Comparison, Container, Document, DocumentsError, Page, Query,
    continuation::{self, Place, SortKey},
    limits::check_field,
};

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
    page_bytes: usize,
}

impl Search {
    /// # Errors
    /// A field, a value or the continuation is malformed.
    pub fn new(container: Container, query: &Query, now: i64) -> Result<Self, DocumentsError> {
        // Without statistics SQLite prefers the unique key, and would read every body. Literals, not parameters, where
        // a partial index must be recognised.
        let index = index_for(container, query).map(|name| format!(" INDEXED BY {name}")).unwrap_or_default();
        let mut from = format!("FROM document{index} WHERE container = {}", schema::number(container));
        let mut parameters = Vec::new();
        if let Some(partition) = &query.partition {
            from.push_str(" AND partition = ?");
            parameters.push(SqlValue::Text(partition.clone()));
        }
        if let Some(partition) = &query.after_partition {
            from.push_str(" AND partition > ?");
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
        if let Some(Place(key, partition, id)) = continuation::read(container, query)? {
            match (&sort, key) {
                (Some(sort), Some(key)) => {
                    // The first condition follows from the second. SQLite seeks by it: for a comparison of rows it looks
                    // at columns only, not at an expression, and would read every page before this one again.
                    from.push_str(&format!(" AND {sort} >= ? AND ({sort}, partition, id) > (?, ?, ?)"));
                    parameters.extend([SqlValue::from(key.clone()), key.into()]);
                }
                _ => from.push_str(" AND (partition, id) > (?, ?)"),
            }
            parameters.push(SqlValue::Text(partition));
            parameters.push(SqlValue::Text(id));
        }
        let page_size = if query.page_size == 0 { DEFAULT_PAGE } else { query.page_size };
        let fingerprint = continuation::fingerprint(container, query);
        Ok(Self { fingerprint, from, parameters, sort, page_size, page_bytes: query.page_bytes })
    }

    pub fn page(&self, connection: &Connection) -> rusqlite::Result<Page> {
        let mut statement = connection.prepare_cached(&self.sql())?;
        let mut rows = statement.query(params_from_iter(self.parameters.iter().map(|value| value as &dyn ToSql)))?;
        let mut page = Page::default();
        let mut bytes = 0;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if last.is_some() {
                page.continuation = last;
                break;
            }
            let (partition, id, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
            bytes += body.len();
            if page.documents.len() + 1 == self.page_size || (self.page_bytes > 0 && bytes >= self.page_bytes) {
                let key = if self.sort.is_some() { sort_key(row.get(4)?) } else { None };
                last = Some(continuation::write(&self.fingerprint, Place(key, partition.clone(), id.clone())));
            }
            page.documents.push(Document { partition, id, etag: schema::etag(row.get(2)?), body });
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
        Container::Retries if by("due_at") && query.partition.is_some() => Some("due_retries_of_partition"),
        Container::Retries if by("due_at") => Some("due_retries"),
        Container::Parked if by("parked_at") => Some("parked"),
        Container::Spool if by("due_at") => Some("due_spooled"),
        Container::Ledger if by("created_at") && query.id_prefix.as_deref() == Some("out:") => Some("outbox"),
        _ => None,
    }
}

/// A top-level property of the body.
fn property(field: &'static str) -> Result<String, DocumentsError> {
    check_field(field)?;
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

fn sort_key(value: SqlValue) -> Option<SortKey> {
    match value {
        SqlValue::Integer(integer) => Some(SortKey::Integer(integer)),
        SqlValue::Real(real) => Some(SortKey::Real(real.to_bits())),
        SqlValue::Text(text) => Some(SortKey::Text(text)),
        // Neither can be sorted by: the query asks for what is not null, and JSON has no blobs.
        SqlValue::Null | SqlValue::Blob(_) => None,
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
        let of_partner = Query { partition: Some("partner:a".into()), ..due };
        let partition_plan = plan(Container::Retries, &of_partner);
        let seek = "USING INDEX due_retries_of_partition (partition=? AND <expr><?)";
        assert!(partition_plan.contains(seek) && !partition_plan.contains("TEMP B-TREE"), "{partition_plan}");
        let left_behind =
            Query::all().id_prefix("out:").filter("created_at", LessOrEqual, "2026").order_by("created_at");
        let plan = plan(Container::Ledger, &left_behind);
        assert!(plan.contains("USING INDEX outbox ") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn the_next_page_starts_where_the_last_one_ended() {
        let place = || Place(Some(SortKey::Text("2025".into())), "partner:a".into(), "7".into());
        let continued = |container, query: Query| {
            let continuation = Some(continuation::write(&continuation::fingerprint(container, &query), place()));
            plan(container, &Query { continuation, ..query })
        };
        let due = Query::all().filter("due_at", LessOrEqual, "2026").order_by("due_at").page_size(500);
        let of_partner = Query { partition: Some("partner:a".into()), ..due.clone() };
        for (query, seek) in [
            (due, "USING INDEX due_retries (<expr>>? AND <expr><?)"),
            (of_partner, "USING INDEX due_retries_of_partition (partition=? AND <expr>>? AND <expr><?)"),
        ] {
            let plan = continued(Container::Retries, query);
            assert!(plan.contains(seek) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = continued(Container::Parked, Query::all().order_by("parked_at"));
        assert!(plan.contains("(<expr>>?)") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn what_is_parked_is_found_in_the_order_of_its_time() {
        let all = Query::all().order_by("parked_at");
        let some = all.clone().filter("parked_at", LessOrEqual, "2026");
        for query in [all, some] {
            let plan = plan(Container::Parked, &query);
            assert!(plan.contains("USING INDEX parked") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn the_next_partition_is_sought() {
        let plan = plan(Container::Retries, &Query::all().after_partition("partner:a").page_size(1));
        assert!(
            plan.contains("USING INDEX document_key (container=? AND partition>?)") && !plan.contains("TEMP"),
            "{plan}"
        );
    }

    #[test]
    fn a_partition_is_found_by_its_key() {
        let plan = plan(Container::Ledger, &Query::partition("p").id_prefix("evt:"));
        assert!(plan.contains("USING INDEX document_key (container=? AND partition=? AND id>? AND id<?)"), "{plan}");
    }

    #[test]
    fn prefixes_end_where_the_next_text_begins() {
        assert_eq!(successor("out:").as_deref(), Some("out;"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
