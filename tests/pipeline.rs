//! The pipeline from a vendor's request to the ledger, on the embedded engine, with faults.

mod support;

#[path = "pipeline/consent.rs"]
mod consent;
#[path = "pipeline/door.rs"]
mod door;
#[path = "pipeline/exactly_once.rs"]
mod exactly_once;
#[path = "pipeline/failures.rs"]
mod failures;
#[path = "pipeline/outbox.rs"]
mod outbox;
