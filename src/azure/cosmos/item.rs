//! An item: a document of the port, and what Cosmos DB needs to know of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::documents::{Document, Etag};

/// Seconds; Cosmos DB takes 1 to this many.
const LONGEST_TTL: u64 = 2_147_483_647;

/// An item as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Item<'a> {
    pub id: &'a str,
    /// The partition key.
    pub pk: &'a str,
    /// Whose commit wrote this: tells our own write, whose answer was lost, from somebody else's.
    pub writer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    pub body: &'a RawValue,
}

/// An item as it is read. One that somebody wrote by hand may lack a part, and must not hide the others of its page.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    pub id: String,
    pub pk: String,
    #[serde(default)]
    pub writer: String,
    #[serde(rename = "_etag")]
    pub etag: String,
    /// Not as raw text: the SDK may have it in Cosmos DB's binary encoding.
    #[serde(default)]
    pub body: serde_json::Value,
}

impl From<Stored> for Document {
    fn from(stored: Stored) -> Self {
        let Stored { id, pk, writer: _, etag, body } = stored;
        Document { partition: pk, id, etag: Etag(etag), body: body.to_string() }
    }
}

/// Cosmos DB counts whole seconds from the write: nothing lives shorter than it was given.
pub(super) fn ttl(lifetime: Duration) -> u64 {
    let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    seconds.clamp(1, LONGEST_TTL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_whole_seconds_within_what_the_service_takes() {
        for (lifetime, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (90_000, 90)] {
            assert_eq!(ttl(Duration::from_millis(lifetime)), seconds);
        }
        assert_eq!(ttl(Duration::MAX), LONGEST_TTL);
    }
}
