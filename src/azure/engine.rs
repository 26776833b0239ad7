//! The Azure ports that the configuration asks for.

use std::{sync::Arc, time::Duration};

use anyhow::Context;

use super::{
    blobs,
    cosmos::{Account, CosmosDocuments},
};
use crate::{
    blobs::SharedBlobs,
    config::{BlobContainer, Config, Cosmos},
};

/// A little less than what callers wait for, so that they hear what is wrong, and not only that nothing was heard.
fn limit(config: &Config) -> Duration {
    config.dependencies.timeout.mul_f64(0.9)
}

/// The documents in Cosmos DB.
///
/// # Errors
/// A setting is missing or malformed. Whether the account can be reached shows later.
pub fn documents(config: &Config, cosmos: &Cosmos) -> anyhow::Result<Arc<CosmosDocuments>> {
    let connection = cosmos.connection.as_ref().map_err(Clone::clone)?;
    // Azure Functions names the region that it runs in.
    let account = Account::from_connection(connection)?.near(std::env::var("REGION_NAME").ok());
    Ok(Arc::new(CosmosDocuments::new(account, cosmos.database.clone(), limit(config))))
}

/// The blobs in Blob Storage.
///
/// # Errors
/// A setting is missing or malformed. Whether the account can be reached shows later.
pub fn blobs(config: &Config, container: &BlobContainer) -> anyhow::Result<SharedBlobs> {
    let connection = container.connection.as_ref().map_err(Clone::clone)?;
    blobs::open(connection, &container.container, limit(config))
        .with_context(|| format!("blob container {}", container.container))
}
