//! The dead letters' port on the embedded broker.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;

use super::{Broker, BrokerError, Entity, Lock, Received};
use crate::dead_letters::{DeadLetter, DeadLetterQueue, DeadLetters, DeadLettersError, Receiver};

/// What one sub-queue's receiver holds.
struct Holding {
    broker: Broker,
    entity: Entity,
    locks: HashMap<i64, Lock>,
}

#[async_trait]
impl DeadLetters for Broker {
    async fn open(&self, queue: &DeadLetterQueue) -> Result<Box<dyn Receiver>, DeadLettersError> {
        let entity = Entity::subscription(&queue.topic, &queue.subscription).dead_letters();
        if !self.has_entity(&entity) {
            return Err(DeadLettersError::UnknownQueue(queue.to_string()));
        }
        Ok(Box::new(Holding { broker: self.clone(), entity, locks: HashMap::new() }))
    }
}

#[async_trait]
impl Receiver for Holding {
    async fn peek(&mut self, from: i64, max: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let peeked = self.broker.peek(&self.entity, from, max).await?;
        Ok(peeked.into_iter().map(DeadLetter::from).collect())
    }

    async fn receive(&mut self, max: usize, wait: Duration) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let received = self.broker.receive(&self.entity, max, wait).await?;
        self.locks.extend(received.iter().map(|message| (message.sequence_number, message.lock.clone())));
        Ok(received.into_iter().map(DeadLetter::from).collect())
    }

    async fn complete(&mut self, sequence_number: i64) -> Result<(), DeadLettersError> {
        if let Some(lock) = self.locks.remove(&sequence_number) {
            self.broker.complete(&[lock]).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), DeadLettersError> {
        let locks: Vec<Lock> = self.locks.drain().map(|(_, lock)| lock).collect();
        self.broker.release(&locks).await?;
        Ok(())
    }
}

impl From<Received> for DeadLetter {
    fn from(received: Received) -> Self {
        Self {
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            reason: received.dead_letter_reason,
            description: received.dead_letter_description,
            message: received.message,
        }
    }
}

impl From<BrokerError> for DeadLettersError {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Unavailable(problem) => Self::Unavailable(problem),
            BrokerError::UnknownEntity(entity) => Self::UnknownQueue(entity.to_string()),
        }
    }
}
