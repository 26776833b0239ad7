//! The SQL projection: from a callback to the rows of `dbo.Events`, and from those to where a message stands.

#[path = "../support/mod.rs"]
mod support;

mod handler;
mod one_machine;
mod tables;
mod view;
mod world;
