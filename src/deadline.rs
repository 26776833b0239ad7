//! Deadlines: a dependency that never answers counts as unavailable. Wrapped around the ports where the program is
//! assembled, so that no caller can forget it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;

use crate::{
    bus::{Bus, Message, PublishError, Shelf},
    documents::{CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query},
};

/// A port whose calls end within a limit.
#[derive(Debug)]
pub struct Deadline<T: ?Sized> {
    limit: Duration,
    inner: Arc<T>,
}

impl<T: ?Sized> Deadline<T> {
    pub fn new(limit: Duration, inner: Arc<T>) -> Self {
        Self { limit, inner }
    }

    fn passed(&self) -> String {
        format!("no answer within {:?}", self.limit)
    }
}

/// Waits for a call to the blob store, whose port is not ours to wrap.
///
/// # Errors
/// The call failed, or has no answer within the limit.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        let source = format!("no answer within {limit:?}").into();
        Err(object_store::Error::Generic { store: "blobs", source })
    })
}

#[async_trait]
impl Bus for Deadline<dyn Bus> {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        let answer = timeout(self.limit, self.inner.publish(topic, message)).await;
        answer.unwrap_or_else(|_| Err(PublishError::Unavailable(self.passed())))
    }

    fn shelf(&self) -> Option<&dyn Shelf> {
        self.inner.shelf()
    }
}

#[async_trait]
impl Documents for Deadline<dyn Documents> {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        let answer = timeout(self.limit, self.inner.read(container, partition, id)).await;
        answer.unwrap_or_else(|_| Err(DocumentsError::Unavailable(self.passed())))
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        let answer = timeout(self.limit, self.inner.query(container, query)).await;
        answer.unwrap_or_else(|_| Err(DocumentsError::Unavailable(self.passed())))
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        let answer = timeout(self.limit, self.inner.count(container, query)).await;
        answer.unwrap_or_else(|_| Err(DocumentsError::Unavailable(self.passed())))
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        let answer = timeout(self.limit, self.inner.commit(container, partition, operations)).await;
        answer.unwrap_or_else(|_| Err(CommitError::Unavailable(self.passed())))
    }

    /// As long as it takes: whoever asks for it waits for it.
    async fn compact(&self) -> Result<Option<(u64, u64)>, DocumentsError> {
        self.inner.compact().await
    }
}
