//! Azure: the adapters of the ports to its services.

pub mod blobs;
mod connection_string;
pub mod cosmos;
pub mod emulator;
pub mod engine;
pub(crate) mod identity;
pub mod service_bus;
#[cfg(feature = "servicebus-https")]
pub mod service_bus_https;
pub mod topology;
