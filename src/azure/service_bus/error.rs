//! What can go wrong between us and Service Bus, what it means, and what to do about it.

use std::time::Duration;

use fe2o3_amqp_types::definitions::{self, AmqpError, ErrorCondition, LinkError};

use crate::bus::PublishError;

/// Why Service Bus did not do what it was asked. Every text names the host or the entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceBusError {
    /// No connection: wait and try again.
    #[error("{host} cannot be reached: {problem}")]
    Unreachable { host: String, problem: String },
    /// No token could be had: wait and try again, or correct the identity.
    #[error("no token for {host}: {problem}. Check the managed identity or, on a developer's machine, `az login`")]
    NoToken { host: String, problem: String },
    /// The token is not good for this entity: correct the role or the key. Roles take minutes to become effective.
    #[error(
        "{entity}: access denied: {problem}. Give the identity the role Azure Service Bus Data Sender (to publish) or Data \
         Receiver (to receive), or correct the shared access key"
    )]
    Denied { entity: String, problem: String },
    /// A fault of ours or of the infrastructure's: the entity has to be created.
    #[error("there is no entity {entity}: {problem}. Create it (terraform apply) or correct the name under [bus]")]
    NotFound { entity: String, problem: String },
    /// No answer in time. The message may have been accepted: send it again under the same message id.
    #[error("{entity}: no answer within {limit:?}; the message may have been accepted")]
    TimedOut { entity: String, limit: Duration },
    /// The connection or the link broke. A message that was on its way may have been accepted: send it again under
    /// the same message id.
    #[error("{entity}: the connection was lost: {problem}")]
    Lost { entity: String, problem: String },
    /// More than the namespace carries (error 50009): wait two seconds, or raise its tier.
    #[error("{entity}: Service Bus is busy: {problem}. If this lasts, raise the namespace's tier or messaging units")]
    Busy { entity: String, problem: String },
    /// The entity takes no more until somebody receives.
    #[error("{entity}: a quota is used up: {problem}. Check that its subscriptions are received, or raise its size")]
    Full { entity: String, problem: String },
    /// Never taken, however often it is sent.
    #[error(
        "{entity}: a message of {size} bytes exceeds the limit of {limit}. Lower [ingest] claim_check_above, or use the \
         Premium tier"
    )]
    TooLarge { entity: String, size: usize, limit: usize },
    /// Never taken: the message itself is wrong.
    #[error("{entity}: {problem}")]
    Invalid { entity: String, problem: String },
    /// The broker failed: try again.
    #[error("{entity}: Service Bus failed: {problem}")]
    Failed { entity: String, problem: String },
    /// The lock ran out or was lost with its connection; the message comes again.
    #[error("{entity}: the lock of message {message_id} was lost")]
    LockLost { entity: String, message_id: String },
}

impl ServiceBusError {
    /// Whether another attempt may succeed without anybody changing anything but the infrastructure.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::NotFound { .. } | Self::TooLarge { .. } | Self::Invalid { .. } | Self::LockLost { .. })
    }

    /// The link was refused, and why was not heard: asking again tells.
    pub(super) fn refused_without_reason(entity: &str) -> Self {
        Self::Failed { entity: entity.to_owned(), problem: "it refused the link and gave no reason".to_owned() }
    }

    /// Reads a broker's error.
    ///
    /// Conditions: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot>.
    pub(super) fn from_amqp(entity: &str, error: &definitions::Error) -> Self {
        let entity = entity.to_owned();
        let problem = text(error);
        match &error.condition {
            ErrorCondition::AmqpError(AmqpError::NotFound) => Self::NotFound { entity, problem },
            ErrorCondition::AmqpError(AmqpError::UnauthorizedAccess) => Self::Denied { entity, problem },
            ErrorCondition::AmqpError(AmqpError::ResourceLimitExceeded) => Self::Full { entity, problem },
            ErrorCondition::AmqpError(AmqpError::NotAllowed | AmqpError::DecodeError | AmqpError::InvalidField)
            | ErrorCondition::LinkError(LinkError::MessageSizeExceeded) => Self::Invalid { entity, problem },
            ErrorCondition::Custom(condition) => match condition.as_str() {
                "com.microsoft:server-busy" => Self::Busy { entity, problem },
                "com.microsoft:auth-failed" => Self::Denied { entity, problem },
                "com.microsoft:argument-error" | "com.microsoft:argument-out-of-range" => {
                    Self::Invalid { entity, problem }
                }
                _ => Self::Failed { entity, problem },
            },
            _ => Self::Failed { entity, problem },
        }
    }
}

/// What the broker said, on one line.
fn text(error: &definitions::Error) -> String {
    let condition = match &error.condition {
        ErrorCondition::Custom(condition) => condition.as_str().to_owned(),
        other => format!("{other:?}"),
    };
    match &error.description {
        Some(description) => format!("{} ({condition})", description.lines().collect::<Vec<_>>().join(" ")),
        None => condition,
    }
}

impl From<ServiceBusError> for PublishError {
    fn from(error: ServiceBusError) -> Self {
        match error.is_transient() {
            true => PublishError::Unavailable(error.to_string()),
            false => PublishError::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::primitives::Symbol;

    use super::*;

    fn read(condition: impl Into<ErrorCondition>) -> ServiceBusError {
        let error = definitions::Error::new(condition, "first line\nsecond line".to_owned(), None);
        ServiceBusError::from_amqp("callbacks", &error)
    }

    #[test]
    fn a_missing_entity_or_a_wrong_message_is_refused_and_everything_else_can_heal() {
        let refused = [
            read(AmqpError::NotFound),
            read(AmqpError::NotAllowed),
            read(LinkError::MessageSizeExceeded),
            read(ErrorCondition::Custom(Symbol::from("com.microsoft:argument-error"))),
        ];
        for error in refused {
            assert!(matches!(PublishError::from(error.clone()), PublishError::Refused(_)), "{error}");
        }
        let unavailable = [
            read(AmqpError::UnauthorizedAccess),
            read(AmqpError::ResourceLimitExceeded),
            read(AmqpError::InternalError),
            read(ErrorCondition::Custom(Symbol::from("com.microsoft:server-busy"))),
            read(ErrorCondition::Custom(Symbol::from("com.microsoft:something-new"))),
        ];
        for error in unavailable {
            assert!(matches!(PublishError::from(error.clone()), PublishError::Unavailable(_)), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_entity_says_what_the_broker_said_and_what_to_do() {
        let error = read(AmqpError::UnauthorizedAccess).to_string();
        assert!(error.contains("callbacks") && error.contains("first line second line"), "{error}");
        assert!(error.contains("Azure Service Bus Data Sender"), "{error}");
        assert!(read(AmqpError::NotFound).to_string().contains("terraform apply"));
    }
}
