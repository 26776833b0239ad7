//! The port to dead letters: messages that the broker itself gave up on. They are the second net, for what a handler could
//! not even park; nobody receives them but operators' tools.
//!
//! Each subscription has a dead-letter sub-queue. A [`Receiver`] looks at it without locking, or takes messages under a
//! lock, one by one from its head: there is no way to lock the one that is wanted. What is released, or held by a
//! receiver that goes away, is available again; dead letters have no delivery limit and never expire.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{bus::Message, clock::Timestamp};

/// A subscription, whose dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterQueue {
    pub topic: String,
    pub subscription: String,
}

impl fmt::Display for DeadLetterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.subscription)
    }
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Unique in its sub-queue, ascending in order of arrival at the topic.
    pub sequence_number: i64,
    /// When the message came to the topic, not when it was given up on.
    pub enqueued_at: Timestamp,
    /// As the broker or a receiver worded it: `MaxDeliveryCountExceeded`, `TTLExpiredException`.
    pub reason: Option<String>,
    pub description: Option<String>,
    /// As it was published; nothing of its death is in it.
    pub message: Message,
}

/// Why there are no dead letters to be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeadLettersError {
    /// The broker cannot be reached or failed: try again later. What was locked comes back.
    #[error("the dead letters are unavailable: {0}")]
    Unavailable(String),
    /// There is no such subscription.
    #[error("there is no subscription {0}")]
    UnknownQueue(String),
}

/// Opens sub-queues.
#[async_trait]
pub trait DeadLetters: Send + Sync + fmt::Debug {
    async fn open(&self, queue: &DeadLetterQueue) -> Result<Box<dyn Receiver>, DeadLettersError>;
}

/// A sub-queue, open. Dropped without [`Receiver::close`] it leaves what it holds to the locks' own end.
#[async_trait]
pub trait Receiver: Send {
    /// Up to `max` messages from a sequence number on, in its order, in whatever state: nothing is locked or counted.
    /// Empty only where there are no more.
    async fn peek(&mut self, from: i64, max: usize) -> Result<Vec<DeadLetter>, DeadLettersError>;

    /// Locks up to `max` messages, waiting at most `wait` for the first. Each must be completed or released.
    async fn receive(&mut self, max: usize, wait: Duration) -> Result<Vec<DeadLetter>, DeadLettersError>;

    /// Takes a message out of the sub-queue. Where its lock is lost, it stays and comes again.
    async fn complete(&mut self, sequence_number: i64) -> Result<(), DeadLettersError>;

    /// Makes what is still held available again, and closes.
    async fn close(self: Box<Self>) -> Result<(), DeadLettersError>;
}

/// The dead letters that every part of the program shares.
pub type SharedDeadLetters = Arc<dyn DeadLetters>;
