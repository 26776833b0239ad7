//! The Azure twin: adapters that implement the ports on Azure services. Named only where the program is assembled.

pub mod engine;
pub mod identity;
pub mod service_bus;
