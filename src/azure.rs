//! Azure: the adapters of the ports to its services.

pub mod engine;
mod identity;
pub mod service_bus;
