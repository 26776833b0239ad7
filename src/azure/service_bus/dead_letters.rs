//! The dead letters' port on Service Bus.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::{ReceivedMessage, Receiver as AmqpReceiver, ServiceBusClient, ServiceBusError, SubQueue};
use crate::dead_letters::{DeadLetter, DeadLetterQueue, DeadLetters, DeadLettersError, Receiver};

/// The service gives at most so many messages to one peek, whatever is asked for.
const MOST_PEEKED: usize = 250;

/// What one sub-queue's receiver holds. Bodies are not kept: settling needs none.
struct Holding {
    receiver: AmqpReceiver,
    held: BTreeMap<i64, ReceivedMessage>,
}

#[async_trait]
impl DeadLetters for ServiceBusClient {
    async fn open(&self, queue: &DeadLetterQueue) -> Result<Box<dyn Receiver>, DeadLettersError> {
        let receiver = self.create_receiver_for_subscription(&queue.topic, &queue.subscription, SubQueue::DeadLetter);
        Ok(Box::new(Holding { receiver, held: BTreeMap::new() }))
    }
}

#[async_trait]
impl Receiver for Holding {
    async fn peek(&mut self, from: i64, max: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let max = u32::try_from(max.min(MOST_PEEKED)).unwrap_or(u32::MAX);
        let peeked = self.receiver.peek_messages(from, max).await?;
        Ok(peeked.into_iter().map(DeadLetter::from).collect())
    }

    async fn receive(&mut self, max: usize, wait: Duration) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let received = self.receiver.receive_messages(max, wait).await?;
        for message in &received {
            let mut held = message.clone();
            held.message.body = Bytes::new();
            self.held.insert(held.sequence_number, held);
        }
        Ok(received.into_iter().map(DeadLetter::from).collect())
    }

    async fn complete(&mut self, sequence_number: i64) -> Result<(), DeadLettersError> {
        if let Some(held) = self.held.remove(&sequence_number) {
            self.receiver.complete_message(&held).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), DeadLettersError> {
        let mut result = Ok(());
        for held in self.held.into_values() {
            // A lock that was lost with its connection is what release would come to.
            match self.receiver.release_message(&held).await {
                Ok(()) | Err(ServiceBusError::LockLost { .. }) => {}
                Err(error) => result = Err(error.into()),
            }
        }
        // In order after the settlements: the broker has them before it answers the end.
        self.receiver.close().await;
        result
    }
}

impl From<ReceivedMessage> for DeadLetter {
    fn from(received: ReceivedMessage) -> Self {
        Self {
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            reason: received.dead_letter_reason,
            description: received.dead_letter_error_description,
            message: received.message,
        }
    }
}

impl From<ServiceBusError> for DeadLettersError {
    fn from(error: ServiceBusError) -> Self {
        match error {
            ServiceBusError::NotFound { entity, .. } => Self::UnknownQueue(entity),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
