//! Where documents and blobs are kept.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{
    ConfigError, Environment,
    connection::{self, Connection, MissingConnection},
    error::Locator,
};

/// Where documents are kept.
#[derive(Debug, Clone)]
pub enum Documents {
    /// In the data folder.
    Embedded,
    Cosmos(Cosmos),
}

/// A Cosmos DB database.
#[derive(Debug, Clone)]
pub struct Cosmos {
    pub database: String,
    pub connection: Result<Connection, MissingConnection>,
}

/// Where blobs are kept.
#[derive(Debug, Clone)]
pub enum Blobs {
    /// In the data folder.
    Embedded,
    Azure(BlobContainer),
}

/// A container of an Azure storage account.
#[derive(Debug, Clone)]
pub struct BlobContainer {
    pub container: String,
    pub connection: Result<Connection, MissingConnection>,
}

/// Where documents are kept: events, statuses, retries, what is parked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DocumentsTable {
    /// `embedded` in the data folder, or `cosmos` in Azure Cosmos DB. `SLUICE_DOCUMENTS` overrides it.
    #[schemars(with = "String")]
    kind: Spanned<String>,
    /// The name of the environment variables that say where Cosmos DB is: see below.
    connection: String,
    /// `SLUICE_COSMOS_DATABASE` overrides it.
    database: String,
}

/// Where large bodies are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BlobsTable {
    /// `embedded` in the data folder, or `azure` in Blob Storage. `SLUICE_BLOBS` overrides it.
    #[schemars(with = "String")]
    kind: Spanned<String>,
    /// The name of the environment variables that say where the storage account is: see below.
    connection: String,
    /// `SLUICE_BLOB_CONTAINER` overrides it.
    container: String,
}

/// As the shipped file has them: one that was written before these tables were there keeps its meaning.
impl Default for DocumentsTable {
    fn default() -> Self {
        Self { kind: embedded(), connection: "CosmosConnection".to_owned(), database: "sluice".to_owned() }
    }
}

impl Default for BlobsTable {
    fn default() -> Self {
        Self { kind: embedded(), connection: "BlobConnection".to_owned(), container: "sluice".to_owned() }
    }
}

fn embedded() -> Spanned<String> {
    Spanned::new(0..0, "embedded".to_owned())
}

impl DocumentsTable {
    pub fn resolve(self, at: &Locator, environment: Environment) -> Result<Documents, ConfigError> {
        let Self { kind, connection, database } = self;
        match chosen(at, environment, "SLUICE_DOCUMENTS", "documents.kind", &kind, ["embedded", "cosmos"])? {
            0 => Ok(Documents::Embedded),
            _ => Ok(Documents::Cosmos(Cosmos {
                database: environment("SLUICE_COSMOS_DATABASE").unwrap_or(database),
                connection: connection::resolve("documents.connection", &connection, "__accountEndpoint", environment),
            })),
        }
    }
}

impl BlobsTable {
    pub fn resolve(self, at: &Locator, environment: Environment) -> Result<Blobs, ConfigError> {
        let Self { kind, connection, container } = self;
        match chosen(at, environment, "SLUICE_BLOBS", "blobs.kind", &kind, ["embedded", "azure"])? {
            0 => Ok(Blobs::Embedded),
            _ => Ok(Blobs::Azure(BlobContainer {
                container: environment("SLUICE_BLOB_CONTAINER").unwrap_or(container),
                connection: connection::resolve("blobs.connection", &connection, "__accountName", environment),
            })),
        }
    }
}

/// Which of the kinds the environment or else the file says.
fn chosen(
    at: &Locator,
    environment: Environment,
    variable: &'static str,
    key: &str,
    kind: &Spanned<String>,
    kinds: [&str; 2],
) -> Result<usize, ConfigError> {
    let found = |text: &str| kinds.iter().position(|kind| *kind == text);
    let problem = |text: &str| format!("`{text}` is not a kind: use {} or {}", kinds[0], kinds[1]);
    match environment(variable) {
        Some(text) => found(&text).ok_or_else(|| ConfigError::Variable { name: variable, problem: problem(&text) }),
        None => {
            let text = kind.get_ref();
            found(text).ok_or_else(|| at.value(kind.span(), key, problem(text)))
        }
    }
}
