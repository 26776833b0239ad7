//! Erasure: after it, no byte of any store, blob or file tells who the person was, in whatever encoding; and all else is as it
//! was: statuses, other people's events, what waits, and the opt-out.

mod executable;
mod find;
mod one_machine;
mod retention;
mod seed;
#[path = "../operate/server.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod server;
#[path = "../support/mod.rs"]
pub mod support;
mod under_way;
#[path = "../operate/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;
