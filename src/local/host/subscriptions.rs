//! What the host needs of a broker: Service Bus's peek-lock on subscriptions.

use std::time::Duration;

use crate::{bus::Message, clock::Timestamp};

/// A source of messages for Service Bus triggers.
pub trait Subscriptions: Send + Sync + 'static {
    /// The right to settle one delivery.
    type Lock: Clone + Send + Sync + 'static;

    /// Locks up to `max` messages. With none at hand it waits up to `wait` for the first, and may return nothing.
    fn receive(
        &self,
        topic: &str,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery<Self::Lock>>, SubscriptionError>> + Send;

    /// Removes messages for good. Returns how many locks had run out: their messages come again.
    fn complete(&self, locks: &[Self::Lock]) -> impl Future<Output = Result<usize, SubscriptionError>> + Send;

    /// Gives messages back at once, one delivery older. The broker dead-letters those that have had too many.
    fn abandon(&self, locks: &[Self::Lock]) -> impl Future<Output = Result<usize, SubscriptionError>> + Send;
}

/// A message in the host's hands.
#[derive(Debug, Clone)]
pub struct Delivery<L> {
    pub lock: L,
    /// 1 on the first delivery.
    pub delivery_count: u32,
    pub sequence_number: i64,
    pub enqueued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub message: Message,
}

/// The broker cannot answer now: the host tries again a little later.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SubscriptionError(pub String);
