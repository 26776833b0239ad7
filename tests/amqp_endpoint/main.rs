//! The Service Bus endpoint of the embedded broker, spoken to by clients that know nothing of it.

mod client;
mod send;
