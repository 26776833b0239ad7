//! Delivery to partners, from an applied event to a partner's endpoint on the loopback.

#[path = "../support/mod.rs"]
pub mod support;

mod breaker;
mod isolation;
mod operators;
mod outcomes;
mod partner_double;
mod python;
mod signatures;
mod ssrf;
mod wire;
mod world;
