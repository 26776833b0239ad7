//! Sluice.
pub mod blobs;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod documents;
pub mod event;
pub mod host;
pub mod ledger;
pub mod local;
pub mod simulate;
pub mod vendors;
