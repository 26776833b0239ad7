//! The custom handler on Service Bus and Cosmos DB, while its broker or itself is killed: the broker is a process of its
//! own behind its AMQP endpoint, Cosmos DB is its driver's emulator behind HTTP, and a stand-in for the Functions host
//! takes the messages to the handler.

mod broker_gone;
mod killed;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/deployment.rs"]
mod world;
