//! What connections ask of the broker, and its answers. The state machine only describes the work; whoever drives a
//! connection performs it, any number of pieces at a time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fe2o3_amqp_types::{definitions::Error, messaging::DeliveryState};
use uuid::Uuid;

use super::{address::Node, condition, locks::Locks, management};
use crate::{
    bus::{Message, PublishError},
    clock::SharedClock,
    local::broker::{Broker, BrokerError, Entity, Lock, Received, Settlement},
};

/// A link of a connection. The number tells a link from a later one with the same handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkId {
    pub channel: u16,
    pub handle: u32,
    pub number: u64,
}

/// A message in a client's hands.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub token: Uuid,
    pub lock: Lock,
}

/// What a receiver decided about its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Complete,
    Abandon,
    Release,
    DeadLetter { reason: String, description: String },
}

#[derive(Debug)]
pub(super) enum Work {
    /// Publish what one transfer carried.
    Publish { from: LinkId, delivery: Option<u32>, topic: String, messages: Vec<Message> },
    /// Lock up to `max` messages.
    Receive { to: LinkId, entity: Entity, max: usize, wait: Duration },
    /// Stop waiting for messages.
    StopReceiving { number: u64 },
    /// Settle the deliveries of a disposition. `outcome` is what the client is told, if it waits to be told.
    Settle { channel: u16, deliveries: Vec<(u32, Held)>, verdict: Verdict, outcome: Option<DeliveryState> },
    /// Put messages back that nobody has seen.
    Release { held: Vec<Held> },
    /// Answer a request.
    Manage { to: LinkId, about: Node, request: Bytes },
}

#[derive(Debug)]
pub(super) enum Done {
    Published { from: LinkId, delivery: Option<u32>, result: Result<(), Error> },
    Received { to: LinkId, result: Result<Vec<(Uuid, Received)>, Error> },
    Settled { channel: u16, deliveries: Vec<(u32, bool)>, outcome: Option<DeliveryState> },
    Released,
    Managed { to: LinkId, reply: Bytes },
}

/// What work is done with.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    pub broker: Broker,
    pub locks: Arc<Locks>,
    pub clock: SharedClock,
}

impl Workshop {
    pub async fn perform(self, work: Work) -> Done {
        match work {
            Work::Publish { from, delivery, topic, messages } => {
                let result = self.broker.publish_all(&topic, messages).await;
                Done::Published { from, delivery, result: result.map(|_| ()).map_err(|error| refusal(&error)) }
            }
            Work::Receive { to, entity, max, wait } => {
                let received = self.broker.receive(&entity, max, wait).await;
                let now = self.clock.now();
                let with_token = |received: Received| (self.locks.insert(received.lock.clone(), now), received);
                let result = received.map(|received| received.into_iter().map(with_token).collect());
                Done::Received { to, result: result.map_err(|error| failure(&error)) }
            }
            // The driver of the connection does this.
            Work::StopReceiving { .. } => Done::Released,
            Work::Settle { channel, deliveries, verdict, outcome } => {
                let (ids, held): (Vec<_>, Vec<_>) = deliveries.into_iter().unzip();
                // A failed broker loses no message: to the client it is as if the locks had been lost.
                let done = self.settle(&held, &verdict).await.unwrap_or_else(|_| vec![false; held.len()]);
                Done::Settled { channel, deliveries: ids.into_iter().zip(done).collect(), outcome }
            }
            Work::Release { held } => {
                // Whatever fails here comes back when its lock runs out.
                let _ = self.settle(&held, &Verdict::Release).await;
                Done::Released
            }
            Work::Manage { to, about, request } => {
                Done::Managed { to, reply: management::answer(&self, &about, &request).await }
            }
        }
    }

    /// Whether each message was still locked, and so is settled now.
    pub async fn settle(&self, held: &[Held], verdict: &Verdict) -> Result<Vec<bool>, BrokerError> {
        let locks: Vec<_> = held.iter().map(|held| held.lock.clone()).collect();
        let settled = match verdict {
            Verdict::Complete => self.broker.complete(&locks).await?,
            Verdict::Abandon => self.broker.abandon(&locks).await?,
            Verdict::Release => self.broker.release(&locks).await?,
            Verdict::DeadLetter { reason, description } => self.broker.dead_letter(&locks, reason, description).await?,
        };
        self.locks.remove(held.iter().map(|held| held.token));
        Ok(settled.into_iter().map(|settlement| settlement == Settlement::Done).collect())
    }
}

/// What a sender is told.
pub(super) fn refusal(error: &PublishError) -> Error {
    match error {
        PublishError::Unavailable(_) => condition::vendor(condition::BUSY, error.to_string()),
        PublishError::Refused(_) => condition::not_allowed(error.to_string()),
    }
}

/// What a receiver is told.
pub(super) fn failure(error: &BrokerError) -> Error {
    match error {
        BrokerError::Unavailable(_) => condition::vendor(condition::BUSY, error.to_string()),
        BrokerError::UnknownEntity(entity) => condition::not_found(&entity.to_string()),
    }
}
