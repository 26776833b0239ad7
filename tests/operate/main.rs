//! What operators can do: the API below `/manage`, the commands that use it, and what becomes of records.

mod audit;
mod cli;
mod dead_letters;
mod jobs;
mod keys;
mod kill;
mod replay;
mod search;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod world;
