//! Channels: how the events of one message add up to a status, and which events are a person's wish.

pub mod opt_out;
pub mod process;
pub(crate) mod read;
pub mod status;
