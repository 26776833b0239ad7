//! One machine: the embedded twin of the Azure services.
pub mod amqp;
pub mod broker;
pub mod disk;
pub mod documents;
pub mod engine;
pub mod host;
pub mod metrics;
pub mod sqlite;
pub mod tables;
