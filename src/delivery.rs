//! Delivery: passing applied events on to partners' endpoints.
//!
//! A partner ([`partner`]) is a document in container `registry`. Whoever applies an event asks [`partners`] which of them
//! want it, and the outbox owes each one message. Function `deliver` takes batches of those messages to the [`courier`],
//! which hands each to its partner at once, as far as [`limits`] allow, and holds no batch up for one; [`attempt`] signs
//! one request and judges its answer. A breaker ([`breaker`], shared by [`breakers`]) keeps everybody away from an endpoint
//! that fails; what has to wait is in the retry table, in a partition of the partner's own. What became of each delivery
//! is in container `deliveries` ([`record`]).
//!
//! The rest is one idea a file: which addresses nobody may be sent to ([`address`]), the client that refuses them
//! ([`client`]), signatures ([`keys`], [`sign`]), the three forms on the wire ([`wire`]), `Retry-After` ([`retry_after`]),
//! and the operators' side ([`registry`], [`changes`], [`sample`], [`report`]).

mod address;
pub mod attempt;
pub mod breaker;
pub mod breakers;
pub(crate) mod cached;
pub mod changes;
pub mod client;
pub mod courier;
pub mod keys;
mod limits;
pub mod partner;
pub mod partners;
pub mod record;
pub mod registry;
pub mod report;
pub mod retry_after;
pub mod sample;
pub mod sign;
pub mod wire;

pub use breakers::Breakers;
pub use courier::Courier;
pub use partner::Partner;
pub use partners::{Partners, Snapshot};
