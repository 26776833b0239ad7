//! The Service Bus adapter against the embedded broker's AMQP endpoint: what it publishes and receives, and what happens
//! when the broker is slow, silent, killed or far away. What the bus port promises is tested in `tests/contract`.
//!
//! The endpoint takes any credentials and is never busy: what it would not say, [`meddler`] puts into its mouth.

mod load;
mod meddler;
mod outage;
mod pressure;
mod publish;
mod receive;
mod reconnect;
mod refused;
mod serve;
#[path = "../support/mod.rs"]
mod support;
mod world;
