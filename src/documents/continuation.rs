//! Where a page ended. Pages follow each other by key, not by offset and not by a cursor that a store keeps, so that
//! documents written or deleted in between neither repeat nor hide others.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Container, DocumentsError, Query};

/// The last document of a page, as the next page's start: its sort key, partition and id.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place(pub Option<SortKey>, pub String, pub String);

/// The value that a document was sorted by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum SortKey {
    Integer(i64),
    /// Its bits: a number that came back rounded would repeat a document or hide one.
    Real(u64),
    Text(String),
}

/// What a query's continuations begin with: tells them from another query's. Pages may change their size on the way.
pub(crate) fn fingerprint(container: Container, query: &Query) -> String {
    let Query {
        partition,
        after_partition,
        id_prefix,
        written_since,
        filters,
        order_by,
        page_size: _,
        page_bytes: _,
        continuation: _,
    } = query;
    let place = format!("{container:?} {partition:?} {after_partition:?} {id_prefix:?} {written_since:?}");
    let hash = Sha256::digest(format!("{place} {filters:?} {order_by:?}"));
    hex::encode(&hash[..8])
}

/// Where the page of a query with this fingerprint ended.
pub(crate) fn write(fingerprint: &str, place: Place) -> String {
    serde_json::to_string(&(fingerprint, place)).expect("a continuation serialises to JSON")
}

/// Where the next page of this query starts.
///
/// # Errors
/// The continuation is malformed or another query's.
pub(crate) fn read(container: Container, query: &Query) -> Result<Option<Place>, DocumentsError> {
    let Some(text) = &query.continuation else { return Ok(None) };
    let malformed = || DocumentsError::Refused("the continuation is malformed".into());
    let (origin, place): (String, Place) = serde_json::from_str(text).map_err(|_| malformed())?;
    if origin != fingerprint(container, query) {
        return Err(DocumentsError::Refused("the continuation belongs to another query".into()));
    }
    if place.0.is_some() != query.order_by.is_some() {
        return Err(malformed());
    }
    Ok(Some(place))
}
