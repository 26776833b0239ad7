//! Delivery to partners, from an applied event to a partner's endpoint on the loopback.

#[path = "../support/mod.rs"]
pub mod support;

mod breaker;
mod command_line;
mod isolation;
mod operators;
mod outcomes;
mod python;
#[path = "../operate/server.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod server;
mod signatures;
mod ssrf;
mod wire;
mod world;
