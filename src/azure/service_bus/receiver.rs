//! Receiving, for tools and tests: peek-lock, settlement, lock renewal, and looking without touching.
//!
//! A receiver connects when it is first used, and again after its connection broke. Locks of a lost connection are
//! lost: their messages come again.

mod link;

use std::{sync::Arc, time::Duration};

use fe2o3_amqp::link::{ReceiverAttachError, SenderAttachError, delivery::DeliveryInfo};
use fe2o3_amqp_management::error::{AttachError, Error as ManagementError};
use fe2o3_amqp_types::{
    definitions::{self, ErrorCondition, Fields},
    messaging::Modified,
    primitives::{Symbol, Value},
};
use tokio::time::timeout;
use uuid::Uuid;

use self::link::{Link, connect};
use super::{
    ServiceBusError,
    connection::Namespace,
    management::{self, PeekMessages, RenewLock},
    message::{Decoded, decode},
};
use crate::{bus::Message, clock::Timestamp};

pub(super) use link::attach;

/// A part of a queue or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubQueue {
    /// The messages themselves.
    None,
    DeadLetter,
}

impl SubQueue {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::None => "",
            Self::DeadLetter => "/$DeadLetterQueue",
        }
    }
}

/// A message as a receiver gets it.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    pub message: Message,
    /// Unique in the entity, ascending in order of arrival.
    pub sequence_number: i64,
    pub enqueued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// `None` for a peek, which locks nothing.
    pub locked_until: Option<Timestamp>,
    /// 1 on the first delivery. A peek, which is no delivery, shows how many there were.
    pub delivery_count: u32,
    pub dead_letter_reason: Option<String>,
    pub dead_letter_error_description: Option<String>,
    lock: Option<Lock>,
}

/// The right to settle a message, good for the connection that it came on.
#[derive(Debug, Clone)]
struct Lock {
    link: Uuid,
    delivery: DeliveryInfo,
    token: Uuid,
}

impl ReceivedMessage {
    fn new(decoded: Decoded, lock: Option<Lock>) -> Self {
        Self {
            sequence_number: decoded.sequence_number,
            enqueued_at: decoded.enqueued_at,
            expires_at: decoded.expires_at,
            locked_until: decoded.locked_until.filter(|_| lock.is_some()),
            delivery_count: decoded.deliveries_before + u32::from(lock.is_some()),
            dead_letter_reason: decoded.dead_letter_reason,
            dead_letter_error_description: decoded.dead_letter_description,
            message: decoded.message,
            lock,
        }
    }
}

/// Receives from a subscription, or from its dead letters.
#[derive(Debug)]
pub struct Receiver {
    namespace: Arc<Namespace>,
    entity: String,
    link: Option<Link>,
}

impl Receiver {
    pub(super) fn new(namespace: Arc<Namespace>, entity: String) -> Self {
        Self { namespace, entity, link: None }
    }

    /// Up to `max` messages, waiting at most `wait` for the first. They are locked until they are settled or their
    /// locks run out.
    ///
    /// # Errors
    /// The entity cannot be reached or used.
    pub async fn receive_messages(
        &mut self,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, ServiceBusError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut link = self.take_link().await?;
        let received = link.receive(&self.entity, max, wait).await?;
        // A link that failed is dropped with its connection.
        self.link = Some(link);
        Ok(received)
    }

    /// Takes a message out of the entity: it was dealt with.
    ///
    /// # Errors
    /// The lock was lost with its connection. The broker's own view of the lock is not asked for: a message whose lock
    /// has just run out may come again.
    pub async fn complete_message(&self, message: &ReceivedMessage) -> Result<(), ServiceBusError> {
        let (link, lock) = self.link_of(message)?;
        let done = link.receiver.accept(lock.delivery.clone()).await;
        done.map_err(|error| self.lost(error))
    }

    /// Makes a message available again at once; it counts as delivered.
    ///
    /// # Errors
    /// As for [`Self::complete_message`].
    pub async fn abandon_message(&self, message: &ReceivedMessage) -> Result<(), ServiceBusError> {
        let (link, lock) = self.link_of(message)?;
        let failed = Modified { delivery_failed: Some(true), undeliverable_here: None, message_annotations: None };
        let done = link.receiver.modify(lock.delivery.clone(), failed).await;
        done.map_err(|error| self.lost(error))
    }

    /// Makes a message available again at once, as if nobody had looked at it. Service Bus counts the delivery all the
    /// same; the embedded broker does not.
    ///
    /// # Errors
    /// As for [`Self::complete_message`].
    pub async fn release_message(&self, message: &ReceivedMessage) -> Result<(), ServiceBusError> {
        let (link, lock) = self.link_of(message)?;
        let done = link.receiver.release(lock.delivery.clone()).await;
        done.map_err(|error| self.lost(error))
    }

    /// Moves a message to the dead-letter sub-queue.
    ///
    /// # Errors
    /// As for [`Self::complete_message`].
    pub async fn dead_letter_message(
        &self,
        message: &ReceivedMessage,
        reason: &str,
        description: &str,
    ) -> Result<(), ServiceBusError> {
        let (link, lock) = self.link_of(message)?;
        let mut info = Fields::new();
        info.insert(Symbol::from("DeadLetterReason"), Value::from(reason));
        info.insert(Symbol::from("DeadLetterErrorDescription"), Value::from(description));
        let condition = ErrorCondition::Custom(Symbol::from("com.microsoft:dead-letter"));
        let error = definitions::Error::new(condition, description.to_owned(), info);
        let done = link.receiver.reject(lock.delivery.clone(), error).await;
        done.map_err(|error| self.lost(error))
    }

    /// Locks a message for another lock duration; returns until when.
    ///
    /// # Errors
    /// [`ServiceBusError::LockLost`] when the lock has run out already.
    pub async fn renew_message_lock(
        &mut self,
        message: &mut ReceivedMessage,
    ) -> Result<Option<Timestamp>, ServiceBusError> {
        let lock_token = self.link_of(message)?.1.token;
        let message_id = message.message.message_id.clone();
        let renewed = self.ask(|| RenewLock { lock_token }).await.map_err(|error| match error {
            Asked::Refused(410, _) => ServiceBusError::LockLost { entity: self.entity.clone(), message_id },
            other => other.into_error(&self.entity),
        })?;
        message.locked_until = renewed.0.or(message.locked_until);
        Ok(renewed.0)
    }

    /// Up to `max` messages from a sequence number on, in whatever state: nothing is locked or counted.
    ///
    /// # Errors
    /// The entity cannot be reached or used.
    pub async fn peek_messages(
        &mut self,
        from_sequence_number: i64,
        max: u32,
    ) -> Result<Vec<ReceivedMessage>, ServiceBusError> {
        if self.link.is_none() {
            self.link = Some(self.take_link().await?);
        }
        let count = i32::try_from(max).unwrap_or(i32::MAX);
        let peeked = self.ask(|| PeekMessages { from_sequence_number, count }).await;
        let peeked = peeked.map_err(|error| error.into_error(&self.entity))?;
        Ok(peeked.0.into_iter().map(|message| ReceivedMessage::new(decode(message), None)).collect())
    }

    /// Closes the connection in order. Locked messages stay locked until their locks run out.
    pub async fn close(mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }

    async fn take_link(&mut self) -> Result<Link, ServiceBusError> {
        match self.link.take() {
            Some(link) => Ok(link),
            None => connect(&self.namespace, &self.entity).await,
        }
    }

    fn link_of<'a>(&'a self, message: &'a ReceivedMessage) -> Result<(&'a Link, &'a Lock), ServiceBusError> {
        match (&self.link, &message.lock) {
            (Some(link), Some(lock)) if link.id == lock.link => Ok((link, lock)),
            _ => Err(ServiceBusError::LockLost {
                entity: self.entity.clone(),
                message_id: message.message.message_id.clone(),
            }),
        }
    }

    /// Asks the management node. After anything but an answer the connection is given up.
    async fn ask<Q>(&mut self, request: impl FnOnce() -> Q) -> Result<Q::Response, Asked>
    where
        Q: fe2o3_amqp_management::Request,
        Q::Response: fe2o3_amqp_management::Response<Body = Value, Error = ManagementError>,
    {
        let limit = self.namespace.send_timeout;
        let mut link = self.link.take().ok_or_else(|| Asked::Broken("there is no connection".to_owned()))?;
        let asked = timeout(limit, async {
            if link.management.is_none() {
                let attached = management::attach(&mut link.session, &self.entity).await;
                link.management = Some(attached.map_err(Asked::attach)?);
            }
            let client = link.management.as_mut().expect("it was attached just now");
            client.call(request()).await.map_err(Asked::call)
        });
        let answer = asked.await.unwrap_or_else(|_| Err(Asked::Broken(format!("no answer within {limit:?}"))));
        if !matches!(answer, Err(Asked::Broken(_))) {
            self.link = Some(link);
        }
        answer
    }

    fn lost(&self, error: impl std::fmt::Display) -> ServiceBusError {
        ServiceBusError::Lost { entity: self.entity.clone(), problem: error.to_string() }
    }
}

/// Why the management node gave nothing.
enum Asked {
    /// It answered with this status.
    Refused(u16, String),
    Broken(String),
    Attach(definitions::Error),
}

impl Asked {
    fn attach(error: AttachError) -> Self {
        match error {
            AttachError::Sender(SenderAttachError::RemoteClosedWithError(error))
            | AttachError::Receiver(ReceiverAttachError::RemoteClosedWithError(error)) => Self::Attach(error),
            AttachError::Sender(error) => Self::Broken(error.to_string()),
            AttachError::Receiver(error) => Self::Broken(error.to_string()),
        }
    }

    fn call(error: ManagementError) -> Self {
        match error {
            ManagementError::Status(status) => {
                Self::Refused(status.code.0.get(), status.description.unwrap_or_default())
            }
            other => Self::Broken(other.to_string()),
        }
    }

    fn into_error(self, entity: &str) -> ServiceBusError {
        let entity_name = entity.to_owned();
        match self {
            Self::Attach(error) => ServiceBusError::from_amqp(entity, &error),
            Self::Broken(problem) => ServiceBusError::Lost { entity: entity_name, problem },
            Self::Refused(401 | 403, problem) => ServiceBusError::Denied { entity: entity_name, problem },
            Self::Refused(404, problem) => ServiceBusError::NotFound { entity: entity_name, problem },
            Self::Refused(status, problem) => {
                ServiceBusError::Failed { entity: entity_name, problem: format!("status {status} {problem}") }
            }
        }
    }
}
