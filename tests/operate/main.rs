//! What operators can do: the API below `/manage`, the commands that use it, and what becomes of records.

mod audit;
mod keys;
mod server;
#[path = "../support/mod.rs"]
mod support;
