//! The embedded broker on a temporary file and a manual clock.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use sluice::{
    bus::{Bus, Message, Property, Subscription, Topic, Topology},
    local::broker::{Broker, Depth, Entity, Received, Settlement},
};
use tempfile::TempDir;

use crate::{clock::ManualClock, folder::quick_folder};

pub const LOCK: Duration = Duration::from_secs(30);
pub const WINDOW: Duration = Duration::from_secs(600);
pub const LIFETIME: Duration = Duration::from_secs(14 * 86_400);
pub const MAX_DELIVERIES: u32 = 3;

/// What the tests publish to: `callbacks`, whose subscriptions filter, and `deliveries`, whose one subscription does not
/// and lets expired messages vanish.
pub fn topology() -> Topology {
    let subscription = |name: &str, filter: &[(&str, &str)]| Subscription {
        name: name.to_owned(),
        filter: filter.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        lock_duration: LOCK,
        max_delivery_count: MAX_DELIVERIES,
        dead_letter_on_expiration: true,
    };
    let topic = |name: &str, subscriptions| Topic {
        name: name.to_owned(),
        duplicate_detection_window: WINDOW,
        default_time_to_live: LIFETIME,
        subscriptions,
    };
    let callbacks = vec![
        subscription("sms", &[("channel", "sms")]),
        subscription("email", &[("channel", "email")]),
        subscription("urgent-sms", &[("channel", "sms"), ("priority", "high")]),
    ];
    let deliver = Subscription { dead_letter_on_expiration: false, ..subscription("deliver", &[]) };
    Topology { topics: vec![topic("callbacks", callbacks), topic("deliveries", vec![deliver])] }
}

/// A message for the `sms` subscription.
pub fn message(id: &str) -> Message {
    Message {
        message_id: id.to_owned(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: properties(&[("channel", "sms".into())]),
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::copy_from_slice(id.as_bytes()),
    }
}

pub fn properties(properties: &[(&'static str, Property)]) -> BTreeMap<std::borrow::Cow<'static, str>, Property> {
    properties.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

pub fn sms() -> Entity {
    Entity::subscription("callbacks", "sms")
}

pub fn deliver() -> Entity {
    Entity::subscription("deliveries", "deliver")
}

pub fn ids(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.message.message_id.as_str()).collect()
}

#[derive(Debug)]
pub struct TestBroker {
    pub broker: Broker,
    pub clock: Arc<ManualClock>,
    pub folder: Arc<TempDir>,
}

impl TestBroker {
    pub fn open() -> Self {
        Self::open_in(quick_folder())
    }

    /// On what the folder has already.
    pub fn open_in(folder: TempDir) -> Self {
        Self::on(Arc::new(folder), Arc::new(ManualClock::new()))
    }

    fn on(folder: Arc<TempDir>, clock: Arc<ManualClock>) -> Self {
        let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology(), clock.clone()).unwrap();
        Self { broker, clock, folder }
    }

    /// Closes the file and opens it again, as a restart does.
    pub fn reopen(self) -> Self {
        let Self { broker, clock, folder } = self;
        drop(broker);
        Self::on(folder, clock)
    }

    /// The file, which stays open.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("broker.sqlite")
    }

    /// Closes the file.
    pub fn close(self) -> Arc<TempDir> {
        self.folder
    }

    /// Publishes messages for the `sms` subscription.
    pub async fn publish(&self, ids: &[&str]) {
        for id in ids {
            self.broker.publish("callbacks", message(id)).await.unwrap();
        }
    }

    /// What can be received from `sms` at once.
    pub async fn receive(&self, max: usize) -> Vec<Received> {
        self.receive_from(&sms(), max).await
    }

    pub async fn receive_from(&self, entity: &Entity, max: usize) -> Vec<Received> {
        self.broker.receive(entity, max, Duration::ZERO).await.unwrap()
    }

    /// The next message of `sms`.
    pub async fn receive_one(&self) -> Received {
        self.receive(1).await.pop().expect("a message waits")
    }

    /// The dead letters of `sms`, which stay locked.
    pub async fn dead_letters(&self) -> Vec<Received> {
        self.receive_from(&sms().dead_letters(), 100).await
    }

    pub async fn complete(&self, received: &Received) -> Settlement {
        self.broker.complete(std::slice::from_ref(&received.lock)).await.unwrap()[0]
    }

    pub async fn abandon(&self, received: &Received) -> Settlement {
        self.broker.abandon(std::slice::from_ref(&received.lock)).await.unwrap()[0]
    }

    pub async fn depth(&self, entity: &Entity) -> Depth {
        let depths = self.broker.depths().await.unwrap();
        depths.into_iter().find(|depth| depth.entity == *entity).expect("the entity has a depth")
    }
}
