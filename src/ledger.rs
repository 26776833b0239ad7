//! The ledger.
pub mod records;
