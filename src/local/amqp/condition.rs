//! Error conditions, in the words that Service Bus's clients know.
//!
//! <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot>

use fe2o3_amqp_types::definitions::{AmqpError, ConnectionError, Error, ErrorCondition, LinkError, SessionError};

/// The lock of a message ran out, or the message was settled before.
pub(super) const LOCK_LOST: &str = "com.microsoft:message-lock-lost";
/// A scheduled message that is not there, or not scheduled any more.
pub(super) const MESSAGE_NOT_FOUND: &str = "com.microsoft:message-not-found";
/// Try again a little later; clients do so by themselves.
pub(super) const BUSY: &str = "com.microsoft:server-busy";
/// A request that lacks what it needs.
pub(super) const ARGUMENT: &str = "com.microsoft:argument-error";

pub(super) fn error(condition: impl Into<ErrorCondition>, description: impl Into<String>) -> Error {
    Error { condition: condition.into(), description: Some(description.into()), info: None }
}

/// An error with one of Service Bus's own conditions.
pub(super) fn vendor(condition: &str, description: impl Into<String>) -> Error {
    error(ErrorCondition::Custom(condition.into()), description)
}

pub(super) fn not_found(address: &str) -> Error {
    let known = "topics, <topic>/Subscriptions/<name> and their $DeadLetterQueue";
    error(AmqpError::NotFound, format!("The messaging entity '{address}' could not be found. There are {known}."))
}

pub(super) fn not_allowed(description: impl Into<String>) -> Error {
    error(AmqpError::NotAllowed, description)
}

pub(super) fn not_implemented(description: impl Into<String>) -> Error {
    error(AmqpError::NotImplemented, description)
}

pub(super) fn decode(description: impl Into<String>) -> Error {
    error(AmqpError::DecodeError, description)
}

pub(super) fn too_large(limit: usize) -> Error {
    error(LinkError::MessageSizeExceeded, format!("The message is larger than {limit} bytes."))
}

pub(super) fn unattached(handle: u32) -> Error {
    error(SessionError::UnattachedHandle, format!("No link is attached with handle {handle}."))
}

pub(super) fn framing(description: impl Into<String>) -> Error {
    error(ConnectionError::FramingError, description)
}

pub(super) fn illegal(description: impl Into<String>) -> Error {
    error(AmqpError::IllegalState, description)
}
