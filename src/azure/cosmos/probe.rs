//! Looking at the database and its containers, one at a time, for the status that each answers with.

use azure_data_cosmos::CosmosError;

use super::{CosmosDocuments, failure::brief};
use crate::documents::Container;

/// A partition, and an id, that nothing is ever kept under.
const NOTHING: &str = "doctor-looks-for-nothing";

/// What the service answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct LookError {
    /// An HTTP status; the driver has some of its own for what never got an answer.
    pub status: u16,
    /// The service's own words, on one line.
    pub detail: String,
}

impl From<CosmosError> for LookError {
    fn from(error: CosmosError) -> Self {
        Self { status: error.status().status_code().into(), detail: brief(&error) }
    }
}

impl CosmosDocuments {
    /// Reads the account's description.
    ///
    /// # Errors
    /// What the service, or the driver instead of it, said.
    pub async fn look_at_account(&self) -> Result<(), LookError> {
        self.client().await?;
        Ok(())
    }

    /// Reads the database's description.
    ///
    /// # Errors
    /// As for [`Self::look_at_account`].
    pub async fn look_at_database(&self) -> Result<(), LookError> {
        let database = self.client().await?.database_client(self.database.clone());
        database.read(None).await?;
        Ok(())
    }

    /// Reads a document that does not exist.
    ///
    /// # Errors
    /// As for [`Self::look_at_account`].
    pub async fn look_at(&self, container: Container) -> Result<(), LookError> {
        let database = self.client().await?.database_client(self.database.clone());
        let client = database.container_client(container.name(), None).await?;
        match client.read_item(NOTHING, NOTHING, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.status().is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
