//! The Azure ports that the configuration asks for.

use std::{sync::Arc, time::Duration};

use anyhow::Context;

use super::{
    blobs,
    cosmos::{Account, CosmosDocuments},
    identity,
    service_bus::{
        ConnectionString, ConnectionStringError, Credential, Endpoint, ServiceBusClient, ServiceBusClientOptions,
    },
};
use crate::{
    blobs::SharedBlobs,
    bus::SharedBus,
    clock::{SharedClock, SystemClock},
    config::{BlobContainer, BusKind, Config, Connection, Cosmos},
    dead_letters::SharedDeadLetters,
};

/// The Service Bus namespace, over what the configuration says, and its dead letters, which only AMQP gives out. Connects
/// at once where it keeps connections.
///
/// # Errors
/// A setting is missing or malformed. Whether the namespace can be reached shows later.
pub fn bus(
    config: &Config,
    connection: &Connection,
    clock: SharedClock,
) -> anyhow::Result<(SharedBus, SharedDeadLetters)> {
    let client = Arc::new(service_bus(connection, clock)?);
    match config.bus.kind {
        // Dead letters are received, which needs AMQP.
        #[cfg(feature = "servicebus-https")]
        BusKind::ServiceBusHttps => Ok((Arc::new(service_bus_https(connection)?), client)),
        _ => {
            // Connected by the time the first callback comes, or known to be out of reach.
            client.create_sender(&config.bus.callbacks_topic);
            Ok((client.clone(), client))
        }
    }
}

/// Finds what is wrong with a namespace's settings, and connects to nothing.
///
/// # Errors
/// As for [`bus`].
pub fn check_bus(kind: BusKind, connection: &Connection) -> anyhow::Result<()> {
    match kind {
        #[cfg(feature = "servicebus-https")]
        BusKind::ServiceBusHttps => service_bus_https(connection).map(drop),
        _ => Ok(service_bus(connection, Arc::new(SystemClock)).map(drop)?),
    }
}

/// A Service Bus namespace over HTTPS.
///
/// # Errors
/// A setting is malformed, or asks for what HTTPS does not offer here.
#[cfg(feature = "servicebus-https")]
pub fn service_bus_https(connection: &Connection) -> anyhow::Result<super::service_bus_https::ServiceBusHttps> {
    let Connection::Key(text) = connection else {
        anyhow::bail!(
            "service-bus-https knows no identities: set a connection string with a shared access key instead"
        );
    };
    let connection = ConnectionString::parse(text.expose()).map_err(ServiceBusSettingError::ConnectionString)?;
    Ok(super::service_bus_https::ServiceBusHttps::new(connection)?)
}

/// Why the namespace that the environment names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceBusSettingError {
    #[error("the Service Bus connection string cannot be used: {0}")]
    ConnectionString(ConnectionStringError),
    #[error("the Service Bus namespace `{0}` is no host name like contoso.servicebus.windows.net")]
    Namespace(String),
    #[error("there is no identity for Service Bus: {0}")]
    Identity(azure_core::Error),
}

/// A client of the Service Bus namespace. Connects to nothing yet.
///
/// # Errors
/// A setting is malformed. Whether the namespace can be reached shows later.
pub fn service_bus(connection: &Connection, clock: SharedClock) -> Result<ServiceBusClient, ServiceBusSettingError> {
    let options = ServiceBusClientOptions::default();
    match connection {
        Connection::Key(text) => {
            let connection =
                ConnectionString::parse(text.expose()).map_err(ServiceBusSettingError::ConnectionString)?;
            Ok(ServiceBusClient::from_connection_string(connection, clock, options))
        }
        Connection::Identity { address, client_id } => {
            let endpoint =
                Endpoint::fully_qualified(address).map_err(|_| ServiceBusSettingError::Namespace(address.clone()))?;
            let credential = identity::credential(client_id.as_deref()).map_err(ServiceBusSettingError::Identity)?;
            Ok(ServiceBusClient::new(endpoint, Credential::Entra(credential), clock, options))
        }
    }
}

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
