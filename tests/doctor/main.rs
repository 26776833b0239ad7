//! `sluice doctor`, as somebody reads it whose system does not work.

mod blobs;
#[path = "../support/cosmos.rs"]
mod cosmos_emulator;
mod data;
mod documents;
#[path = "../support/server.rs"]
mod server;
mod service_bus;
mod settings;
mod world;
