//! The Service Bus endpoint of the embedded broker, spoken to by clients that know nothing of it.

mod client;
// Other tests set the clock back; these do not.
#[allow(dead_code)]
#[path = "../contract/clock.rs"]
mod clock;
mod management;
mod program;
mod python;
mod receive;
mod refusals;
mod send;
