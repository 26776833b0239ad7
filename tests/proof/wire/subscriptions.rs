//! The host's side of Service Bus: it receives over AMQP, as the Functions host does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sluice::{
    azure::service_bus::{ReceivedMessage, Receiver, ServiceBusClient, ServiceBusError, SubQueue},
    local::host::{Delivery, SubscriptionError, Subscriptions},
};

type Shared = Arc<tokio::sync::Mutex<Receiver>>;

/// One receiver for each subscription.
pub struct AmqpSubscriptions {
    client: ServiceBusClient,
    receivers: Mutex<HashMap<String, Shared>>,
}

/// A message, and the receiver that it is settled with.
#[derive(Clone)]
pub struct Held {
    receiver: Shared,
    message: ReceivedMessage,
}

impl AmqpSubscriptions {
    pub fn new(client: ServiceBusClient) -> Self {
        Self { client, receivers: Mutex::default() }
    }

    fn receiver(&self, topic: &str, subscription: &str) -> Shared {
        let mut receivers = self.receivers.lock().unwrap();
        let new = || self.client.create_receiver_for_subscription(topic, subscription, SubQueue::None);
        let receiver = receivers.entry(format!("{topic}/{subscription}"));
        receiver.or_insert_with(|| Arc::new(tokio::sync::Mutex::new(new()))).clone()
    }
}

impl Subscriptions for AmqpSubscriptions {
    type Lock = Held;

    async fn receive(
        &self,
        topic: &str,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery<Held>>, SubscriptionError> {
        let receiver = self.receiver(topic, subscription);
        let mut receiving = receiver.lock().await;
        let received = receiving.receive_messages(max as u32, wait).await.map_err(error)?;
        if received.is_empty() {
            // A connection that vanished without a word is as silent as a subscription without messages. The Functions
            // host tells them apart by heartbeats; here a question does that is answered or ends the connection.
            receiving.peek_messages(0, 1).await.map_err(error)?;
        }
        let delivery = |message: ReceivedMessage| Delivery {
            delivery_count: message.delivery_count,
            sequence_number: message.sequence_number,
            enqueued_at: message.enqueued_at,
            expires_at: message.expires_at,
            message: message.message.clone(),
            lock: Held { receiver: receiver.clone(), message },
        };
        Ok(received.into_iter().map(delivery).collect())
    }

    async fn complete(&self, locks: &[Held]) -> Result<usize, SubscriptionError> {
        let mut lost = 0;
        for Held { receiver, message } in locks {
            lost += usize::from(receiver.lock().await.complete_message(message).await.is_err());
        }
        Ok(lost)
    }

    async fn abandon(&self, locks: &[Held]) -> Result<usize, SubscriptionError> {
        let mut lost = 0;
        for Held { receiver, message } in locks {
            lost += usize::from(receiver.lock().await.abandon_message(message).await.is_err());
        }
        Ok(lost)
    }
}

fn error(error: ServiceBusError) -> SubscriptionError {
    SubscriptionError(error.to_string())
}
