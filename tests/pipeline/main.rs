//! The pipeline from a vendor's request to the ledger, on the embedded engine, with faults.

#[path = "../support/mod.rs"]
pub mod support;

mod consent;
mod door;
mod exactly_once;
mod failures;
mod handshakes;
mod leases;
mod outbox;
mod sweeps;
