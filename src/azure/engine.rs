//! The program on Service Bus.

use std::{path::Path, sync::Arc};

use super::{
    identity,
    service_bus::{
        ConnectionString, ConnectionStringError, Credential, Endpoint, ServiceBusClient, ServiceBusClientOptions,
    },
};
use crate::{
    app::{App, Ports},
    clock::{SharedClock, SystemClock},
    config::{Config, ServiceBus},
    local::engine::open_storage,
};

/// Why the namespace that the environment names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceBusSettingError {
    #[error("environment variable ServiceBusConnection: {0}")]
    ConnectionString(ConnectionStringError),
    #[error("environment variable ServiceBusConnection__fullyQualifiedNamespace: `{0}` is no host name")]
    Namespace(String),
    #[error("no identity for Azure: {0}")]
    Identity(azure_core::Error),
}

/// Opens the program: the bus is a Service Bus namespace, documents and blobs are in the data folder.
///
/// # Errors
/// The environment names no usable namespace, the folder cannot be opened, or the privacy key is missing.
pub fn open(folder: &Path, config: Config) -> anyhow::Result<Arc<App>> {
    let clock: SharedClock = Arc::new(SystemClock);
    let Some(setting) = &config.service_bus else { anyhow::bail!("bus.kind is not service-bus") };
    let bus = Arc::new(service_bus(setting, &config, clock.clone())?);
    // Connected by the time the first callback comes, or known to be out of reach.
    bus.create_sender(&config.bus.callbacks_topic);
    let (documents, blobs) = open_storage(folder, clock.clone())?;
    Ok(App::new(config, Ports { clock, bus, documents, blobs })?)
}

/// A client of the namespace that the environment names. Connects to nothing yet.
///
/// # Errors
/// The setting cannot be used.
pub fn service_bus(
    setting: &ServiceBus,
    config: &Config,
    clock: SharedClock,
) -> Result<ServiceBusClient, ServiceBusSettingError> {
    let options = ServiceBusClientOptions::default();
    match setting {
        ServiceBus::ConnectionString(text) => {
            let connection =
                ConnectionString::parse(text.expose()).map_err(ServiceBusSettingError::ConnectionString)?;
            Ok(ServiceBusClient::from_connection_string(connection, clock, options))
        }
        ServiceBus::FullyQualifiedNamespace(name) => {
            let endpoint =
                Endpoint::fully_qualified(name).map_err(|_| ServiceBusSettingError::Namespace(name.clone()))?;
            let credential = identity::credential(&config.identity).map_err(ServiceBusSettingError::Identity)?;
            Ok(ServiceBusClient::new(endpoint, Credential::Entra(credential), clock, options))
        }
    }
}
