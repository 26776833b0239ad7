//! Whether this instance can do its work: it can while its documents can be written and read.
//!
//! The bus is not asked for: while it is away callbacks go to the spool, which is in the documents.

use std::time::Duration;

use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    documents::{Container, Documents, Operation},
    telemetry::Seldom,
};

const PARTITION: &str = "health";
const ID: &str = "probe";
/// What the store may take for the write and for the read.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever may ask, anybody, asks the store no more often than this.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// The document is of no use to anybody.
const KEEP_FOR: Duration = Duration::from_secs(3600);

/// Why an instance cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illness {
    #[error("the document store cannot be written: the log says why")]
    Write,
    #[error("the document store cannot be read: the log says why")]
    Read,
    #[error("the document store does not answer")]
    Silent,
}

/// The last examination. While one is under way, others wait for it.
#[derive(Debug, Default)]
pub struct Health {
    last: Mutex<Option<(Instant, Result<(), Illness>)>>,
    told: Seldom,
}

impl Health {
    /// Writes and reads a document, unless somebody did a moment ago.
    ///
    /// # Errors
    /// What is wrong, in words that anybody may read.
    pub async fn examine(&self, documents: &dyn Documents) -> Result<(), Illness> {
        let mut last = self.last.lock().await;
        if let Some((when, found)) = *last
            && when.elapsed() < FRESH_FOR
        {
            return found;
        }
        let found = timeout(PATIENCE, self.probe(documents)).await.unwrap_or(Err(Illness::Silent));
        *last = Some((Instant::now(), found));
        found
    }

    async fn probe(&self, documents: &dyn Documents) -> Result<(), Illness> {
        let tell = |error: &dyn std::fmt::Display| {
            if self.told.now().is_some() {
                tracing::error!(%error, "health: the document store fails");
            }
        };
        let write = Operation::upsert(ID, &json!({ "id": ID, "key": PARTITION })).with_ttl(KEEP_FOR);
        documents.commit(Container::Registry, PARTITION, vec![write]).await.map_err(|error| {
            tell(&error);
            Illness::Write
        })?;
        documents.read(Container::Registry, PARTITION, ID).await.map_err(|error| {
            tell(&error);
            Illness::Read
        })?;
        Ok(())
    }
}
