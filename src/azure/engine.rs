//! The Azure ports that the configuration asks for.

use super::{
    identity,
    service_bus::{
        ConnectionString, ConnectionStringError, Credential, Endpoint, ServiceBusClient, ServiceBusClientOptions,
    },
};
use crate::{clock::SharedClock, config::Connection};

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
