//! What the host needs of a broker: Service Bus's peek-lock on subscriptions.

use std::time::Duration;

use crate::{
    bus::Message,
    clock::Timestamp,
    local::broker::{Broker, BrokerError, Entity, Lock, Received, Settlement},
};

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

impl Subscriptions for Broker {
    type Lock = Lock;

    async fn receive(
        &self,
        topic: &str,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery<Lock>>, SubscriptionError> {
        let received = Broker::receive(self, &Entity::subscription(topic, subscription), max, wait).await?;
        Ok(received.into_iter().map(Delivery::from).collect())
    }

    async fn complete(&self, locks: &[Lock]) -> Result<usize, SubscriptionError> {
        Ok(lost(&Broker::complete(self, locks).await?))
    }

    async fn abandon(&self, locks: &[Lock]) -> Result<usize, SubscriptionError> {
        Ok(lost(&Broker::abandon(self, locks).await?))
    }
}

impl From<Received> for Delivery<Lock> {
    fn from(received: Received) -> Self {
        Self {
            lock: received.lock,
            delivery_count: received.delivery_count,
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            expires_at: received.expires_at,
            message: received.message,
        }
    }
}

impl From<BrokerError> for SubscriptionError {
    fn from(error: BrokerError) -> Self {
        Self(error.to_string())
    }
}

fn lost(settlements: &[Settlement]) -> usize {
    settlements.iter().filter(|settlement| **settlement == Settlement::LockLost).count()
}
