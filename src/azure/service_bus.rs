//! Azure Service Bus over AMQP 1.0.
//!
//! [`ServiceBusClient`] knows the namespace and who we are; it implements the bus port with one [`Sender`] for each
//! topic, and makes a [`Receiver`] for tools and tests (in production the Functions host receives). The names are those
//! of the official SDK, so that it can take this module's place once it is fit for it.
//!
//! The way of a published message: `message` turns it into its AMQP form, `batch` decides what travels together,
//! `sender` hands it to the link and passes the broker's outcome back, `connection` is what the link stands on. While
//! the broker is known to be gone, `circuit` answers for it, so that ingest spools at once.

mod batch;
mod circuit;
mod connection;
mod connection_string;
mod credential;
mod dead_letters;
mod error;
mod management;
mod message;
mod probe;
mod receiver;
mod sender;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use self::connection::Namespace;
use crate::{
    bus::{Bus, Message, PublishError},
    clock::SharedClock,
};

pub use connection_string::{ConnectionString, ConnectionStringError, Endpoint, SharedKey};
pub use credential::Credential;
pub use error::ServiceBusError;
pub use probe::Probe;
pub use receiver::{ReceivedMessage, Receiver, SubQueue};
pub use sender::Sender;

/// How long to wait for a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceBusClientOptions {
    /// For a connection with its token and its link.
    pub connect_timeout: Duration,
    /// For the answer to a message, and for every other exchange.
    pub send_timeout: Duration,
}

impl Default for ServiceBusClientOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), send_timeout: Duration::from_secs(5) }
    }
}

/// A namespace. Connects when something is sent or received; every sender and receiver on a connection of its own.
#[derive(Debug)]
pub struct ServiceBusClient {
    namespace: Arc<Namespace>,
    senders: Mutex<HashMap<String, Sender>>,
}

impl ServiceBusClient {
    pub fn new(
        endpoint: Endpoint,
        credential: Credential,
        clock: SharedClock,
        options: ServiceBusClientOptions,
    ) -> Self {
        let ServiceBusClientOptions { connect_timeout, send_timeout } = options;
        let namespace = Namespace { endpoint, credential, clock, connect_timeout, send_timeout };
        Self { namespace: Arc::new(namespace), senders: Mutex::default() }
    }

    /// A client for the namespace of a connection string.
    pub fn from_connection_string(
        connection: ConnectionString,
        clock: SharedClock,
        options: ServiceBusClientOptions,
    ) -> Self {
        Self::new(connection.endpoint, Credential::Shared(connection.key), clock, options)
    }

    /// The sender of a topic or a queue, which connects at once. All callers share one.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn create_sender(&self, entity: &str) -> Sender {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        match senders.get(entity) {
            Some(sender) => sender.clone(),
            None => {
                let sender = Sender::start(&self.namespace, entity);
                senders.insert(entity.to_owned(), sender.clone());
                sender
            }
        }
    }

    /// A receiver of a subscription, which connects when it is first used.
    pub fn create_receiver_for_subscription(&self, topic: &str, subscription: &str, sub_queue: SubQueue) -> Receiver {
        Receiver::new(Arc::clone(&self.namespace), format!("{topic}/Subscriptions/{subscription}{}", sub_queue.path()))
    }
}

#[async_trait]
impl Bus for ServiceBusClient {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        if topic.is_empty() {
            return Err(PublishError::Refused("a topic must have a name".to_owned()));
        }
        Ok(self.create_sender(topic).send_message(message).await?)
    }
}
