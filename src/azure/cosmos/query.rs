//! Queries as Cosmos DB SQL. Values are parameters; names of properties are checked before they stand in the text.
//!
//! Sorting by more than one property needs a composite index for exactly these properties. [`super::containers`] has
//! those that the program's queries need; the service refuses another `order_by`.

use azure_data_cosmos::feed::{FeedScope, Query as Sql};
use serde_json::Value;

use crate::documents::{
    Comparison, Container, Document, DocumentsError, Query,
    continuation::{self, Place, SortKey},
    limits::check_field,
};

const DEFAULT_PAGE: usize = 100;

/// A query, checked and written as SQL.
pub(super) struct Search {
    /// What the query's continuations begin with.
    pub fingerprint: String,
    pub page_size: usize,
    pub page_bytes: usize,
    partition: Option<String>,
    order_by: Option<&'static str>,
    conditions: Vec<String>,
    parameters: Vec<Value>,
}

impl Search {
    /// # Errors
    /// A field, a value or the continuation is malformed.
    pub fn new(container: Container, query: &Query) -> Result<Self, DocumentsError> {
        let place = continuation::read(container, query)?;
        let mut search = Self {
            fingerprint: continuation::fingerprint(container, query),
            page_size: if query.page_size == 0 { DEFAULT_PAGE } else { query.page_size },
            page_bytes: query.page_bytes,
            partition: query.partition.clone(),
            order_by: query.order_by,
            conditions: Vec::new(),
            parameters: Vec::new(),
        };
        if let Some(partition) = &query.after_partition {
            let partition = search.parameter(partition.as_str());
            search.conditions.push(format!("c.pk > {partition}"));
        }
        if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            let prefix = search.parameter(prefix);
            search.conditions.push(format!("STARTSWITH(c.id, {prefix})"));
        }
        if let Some(since) = query.written_since {
            // Indexed always, whatever the policy says: <https://learn.microsoft.com/azure/cosmos-db/index-policy>.
            let since = search.parameter(since.timestamp());
            search.conditions.push(format!("c._ts >= {since}"));
        }
        for filter in &query.filters {
            let operator = match filter.comparison {
                Comparison::Equal => "=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            check_field(filter.field)?;
            if !(filter.value.is_string() || filter.value.is_number() || filter.value.is_boolean()) {
                return Err(DocumentsError::Refused("only texts, numbers and booleans can be compared".into()));
            }
            let value = search.parameter(filter.value.clone());
            // A comparison of two types is undefined in Cosmos DB, and so never a match.
            search.conditions.push(format!("{} {operator} {value}", property(filter.field)));
        }
        if let Some(field) = query.order_by {
            check_field(field)?;
            if !query.filters.iter().any(|filter| filter.field == field) {
                let sort = property(field);
                search.conditions.push(format!("(IS_NUMBER({sort}) OR IS_STRING({sort}))"));
            }
        }
        if let Some(place) = place {
            search.start_behind(place);
        }
        Ok(search)
    }

    /// The page's documents, in order.
    pub fn page(&self) -> azure_data_cosmos::Result<Sql> {
        let sort = self.order_by.map(|field| format!("{}, ", property(field))).unwrap_or_default();
        self.sql("*", &format!(" ORDER BY {sort}c.pk, c.id"))
    }

    /// One number: how many there are in the partition.
    pub fn count(&self) -> azure_data_cosmos::Result<Sql> {
        self.sql("VALUE COUNT(1)", "")
    }

    /// The number 1 for each document.
    pub fn ones(&self) -> azure_data_cosmos::Result<Sql> {
        self.sql("VALUE 1", "")
    }

    pub fn scope(&self) -> FeedScope {
        self.partition.clone().map_or_else(FeedScope::full_container, FeedScope::partition)
    }

    /// Where the page ends that ends with this document.
    ///
    /// # Errors
    /// The body has not what it was sorted by.
    pub fn place_of(&self, last: &Document) -> Result<Place, DocumentsError> {
        let key = match self.order_by {
            None => None,
            Some(field) => match last.parse::<serde_json::Map<String, Value>>()?.get(field) {
                Some(Value::String(text)) => Some(SortKey::Text(text.clone())),
                Some(Value::Number(number)) => match number.as_i64() {
                    Some(integer) => Some(SortKey::Integer(integer)),
                    None => number.as_f64().map(|real| SortKey::Real(real.to_bits())),
                },
                _ => return Err(DocumentsError::Refused(format!("nothing is sorted by {field:?} here"))),
            },
        };
        Ok(Place(key, last.partition.clone(), last.id.clone()))
    }

    fn start_behind(&mut self, Place(key, partition, id): Place) {
        let (partition, id) = (self.parameter(partition), self.parameter(id));
        let mut behind = format!("(c.pk > {partition} OR (c.pk = {partition} AND c.id > {id}))");
        if let (Some(field), Some(key)) = (self.order_by, key) {
            let sort = property(field);
            let (key, later) = match key {
                SortKey::Integer(integer) => (Value::from(integer), format!(" OR IS_STRING({sort})")),
                SortKey::Real(bits) => (Value::from(f64::from_bits(bits)), format!(" OR IS_STRING({sort})")),
                SortKey::Text(text) => (Value::from(text), String::new()),
            };
            let key = self.parameter(key);
            behind = format!("({sort} > {key} OR ({sort} = {key} AND {behind}){later})");
        }
        self.conditions.push(behind);
    }

    /// Adds a parameter and returns its name.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.parameters.push(value.into());
        format!("@p{}", self.parameters.len())
    }

    fn sql(&self, what: &str, order: &str) -> azure_data_cosmos::Result<Sql> {
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let mut sql = Sql::from(format!("SELECT {what} FROM c{conditions}{order}"));
        for (index, value) in self.parameters.iter().enumerate() {
            sql = sql.with_parameter(format!("@p{}", index + 1), value)?;
        }
        Ok(sql)
    }
}

/// A top-level property of the body. Not in brackets: the SDK plans a sort across partitions by itself for paths only.
fn property(field: &str) -> String {
    format!("c.body.{field}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: &Query) -> String {
        let sql = Search::new(Container::Retries, query).unwrap().page().unwrap();
        serde_json::to_value(&sql).unwrap()["query"].as_str().unwrap().to_owned()
    }

    #[test]
    fn values_are_parameters_and_never_text() {
        let query = Query::all().id_prefix("x' OR 1").filter("due_at", Comparison::LessOrEqual, "y' OR 1");
        let text = text(&query.order_by("due_at"));
        assert_eq!(
            text,
            "SELECT * FROM c WHERE STARTSWITH(c.id, @p1) AND c.body.due_at <= @p2 \
             ORDER BY c.body.due_at, c.pk, c.id"
        );
    }
}
