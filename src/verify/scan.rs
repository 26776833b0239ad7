//! Which messages there are: every one, or those that were changed since a moment.
//!
//! Ledger and deliveries have the same partitions, in the same order, so that reading both from the beginning to the end
//! brings each message together, a page of either in memory.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use futures_util::{Stream, stream};
use serde::Deserialize;

use super::gather::{Gathered, PAGE, PAGE_BYTES};
use crate::{
    clock::Timestamp,
    documents::{Container, Document, Documents, DocumentsError, Query},
};

/// A store's clock may be behind ours by so much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The documents of a query, one after another.
pub(super) struct Cursor<'a> {
    documents: &'a dyn Documents,
    container: Container,
    query: Query,
    page: VecDeque<Document>,
    at_end: bool,
}

impl<'a> Cursor<'a> {
    pub fn new(documents: &'a dyn Documents, container: Container, query: Query) -> Self {
        let query = query.page_size(PAGE).page_bytes(PAGE_BYTES);
        Self { documents, container, query, page: VecDeque::new(), at_end: false }
    }

    async fn peek(&mut self) -> Result<Option<&Document>, DocumentsError> {
        // A page may be empty though there are more.
        while self.page.is_empty() && !self.at_end {
            let page = self.documents.query(self.container, &self.query).await?;
            self.page = page.documents.into();
            self.at_end = page.continuation.is_none();
            self.query.continuation = page.continuation;
        }
        Ok(self.page.front())
    }

    pub async fn next(&mut self) -> Result<Option<Document>, DocumentsError> {
        self.peek().await?;
        Ok(self.page.pop_front())
    }
}

/// Every message.
pub(super) fn all(documents: &dyn Documents) -> impl Stream<Item = Result<Gathered, DocumentsError>> {
    let cursor = |container| Cursor::new(documents, container, Query::all());
    let cursors = (cursor(Container::Ledger), cursor(Container::Deliveries));
    stream::try_unfold(cursors, |(mut ledger, mut deliveries)| async move {
        let first = |document: Option<&Document>| document.map(|document| document.partition.clone());
        let partitions = (first(ledger.peek().await?), first(deliveries.peek().await?));
        let key = match partitions {
            (None, None) => return Ok(None),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) => one.min(other),
        };
        let mut gathered = Gathered::new(key);
        for cursor in [&mut ledger, &mut deliveries] {
            while cursor.peek().await?.is_some_and(|next| next.partition == gathered.key) {
                let Some(document) = cursor.next().await? else { break };
                gathered.add(cursor.container, &document);
            }
        }
        Ok(Some((gathered, (ledger, deliveries))))
    })
}

/// The keys of the messages that were changed since then, each once.
pub(super) fn changed_since(
    documents: &dyn Documents,
    since: Timestamp,
) -> impl Stream<Item = Result<String, DocumentsError>> {
    let query = Query::all().written_since(since - CLOCKS_DIFFER);
    let cursor = Cursor::new(documents, Container::Ledger, query);
    stream::try_unfold((cursor, None::<String>), move |(mut cursor, mut last)| async move {
        while let Some(document) = cursor.next().await? {
            if last.as_ref().map(|last| last.cmp(&document.partition)) != Some(Ordering::Equal)
                && changed_at(&document).is_none_or(|changed_at| changed_at >= since)
            {
                last = Some(document.partition.clone());
                return Ok(Some((document.partition, (cursor, last))));
            }
        }
        Ok(None)
    })
}

/// When any record of the ledger was written by its own word; `None` where it does not tell.
fn changed_at(document: &Document) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Times {
        applied_at: Option<Timestamp>,
        updated_at: Option<Timestamp>,
        created_at: Option<Timestamp>,
    }
    let Times { applied_at, updated_at, created_at } = document.parse().ok()?;
    applied_at.or(updated_at).or(created_at)
}
