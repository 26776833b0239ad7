//! The Service Bus adapter against the embedded broker's AMQP endpoint: what it publishes and receives, and what happens
//! when the broker is slow, silent, killed or far away. What the bus port promises is tested in `tests/contract`.
//!
//! The endpoint takes any credentials, so that a wrong key cannot be refused here: how refusals are read is tested beside
//! the code (`src/azure/service_bus`).

mod load;
mod outage;
mod publish;
mod receive;
mod serve;
#[path = "../support/mod.rs"]
mod support;
mod world;
