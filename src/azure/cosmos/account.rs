//! The account, and the limits of a call to it.

use std::time::Duration;

use azure_core::credentials::Secret;
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, CosmosClient, CosmosRuntime, RoutingStrategy,
    options::{
        ConnectionPoolOptions, OperationOptions, Region, ServerCertificateValidation, ThrottlingRetryOptionsBuilder,
    },
};
use url::Url;

use crate::{
    azure::{connection_string::ConnectionString, identity},
    config::Connection,
};

/// How often the driver sends again what was answered 429 (its own default makes a call last for 109 s).
const THROTTLED_RETRIES: u32 = 4;

/// Why the settings name no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the Cosmos DB connection string lacks {0}")]
    Incomplete(&'static str),
    #[error("`{0}` is no URL of a Cosmos DB account")]
    Endpoint(String),
    #[error("no credential for Cosmos DB: {0}")]
    Credential(#[from] azure_core::Error),
}

/// An account and who we are to it.
#[derive(Debug, Clone)]
pub struct Account {
    reference: AccountReference,
    region: Option<Region>,
    /// Keys are for emulators, whose certificates nobody signed.
    keyed: bool,
}

impl Account {
    /// # Errors
    /// The settings name no account.
    pub fn from_connection(connection: &Connection) -> Result<Self, AccountError> {
        match connection {
            Connection::Identity { address, client_id } => {
                let credential = identity::credential(client_id.as_deref())?;
                let reference = AccountReference::with_credential(endpoint(address)?, credential);
                Ok(Self { reference, region: None, keyed: false })
            }
            Connection::Key(secret) => {
                let text = ConnectionString::parse(secret);
                let address = text.get("AccountEndpoint").ok_or(AccountError::Incomplete("AccountEndpoint"))?;
                let key = text.get("AccountKey").ok_or(AccountError::Incomplete("AccountKey"))?;
                let key = Secret::new(key.to_owned());
                let reference = AccountReference::with_authentication_key(endpoint(address)?, key);
                Ok(Self { reference, region: None, keyed: true })
            }
        }
    }

    /// Where the account is.
    ///
    /// # Errors
    /// The settings name no account.
    pub fn url(connection: &Connection) -> Result<Url, AccountError> {
        let address = match connection {
            Connection::Identity { address, .. } => address.clone(),
            Connection::Key(secret) => {
                let text = ConnectionString::parse(secret);
                text.get("AccountEndpoint").ok_or(AccountError::Incomplete("AccountEndpoint"))?.to_owned()
            }
        };
        Url::parse(&address).map_err(|_| AccountError::Endpoint(address))
    }

    /// Prefers the regions near this one, for an account that has several.
    pub fn near(mut self, region: Option<String>) -> Self {
        self.region = region.map(Region::from);
        self
    }

    /// Connects: reads the account's description.
    pub(super) async fn client(
        &self,
        runtime: Option<CosmosRuntime>,
        limit: Duration,
    ) -> azure_data_cosmos::Result<CosmosClient> {
        let mut builder = CosmosClient::builder().with_default_operation_options(limits(limit));
        if let Some(runtime) = runtime {
            builder = builder.with_runtime(runtime);
        } else if self.keyed {
            let validation = ServerCertificateValidation::RequiredUnlessEmulator;
            let pool = ConnectionPoolOptions::builder().with_server_certificate_validation(validation).build()?;
            builder = builder.with_runtime(CosmosRuntime::builder().with_connection_pool(pool).build().await?);
        }
        let routing = match &self.region {
            Some(region) => RoutingStrategy::ProximityTo(region.clone()),
            None => RoutingStrategy::PreferredRegions(Vec::new()),
        };
        builder.build(self.reference.clone(), routing).await
    }
}

fn endpoint(address: &str) -> Result<AccountEndpoint, AccountError> {
    address.parse().map_err(|_| AccountError::Endpoint(address.to_owned()))
}

fn limits(limit: Duration) -> OperationOptions {
    let throttling = ThrottlingRetryOptionsBuilder::new()
        .with_max_retry_count(THROTTLED_RETRIES)
        .with_max_retry_wait_time(limit / 2)
        .build();
    let mut options = OperationOptions::default();
    options.throttling_retry_options = Some(throttling);
    options.end_to_end_latency_policy = Some(limit.into());
    options
}
