//! The test app's bus, and the triggers that take its messages to processors: the embedded broker, or Service Bus's
//! adapter on the broker's AMQP endpoint, which carries every message both ways.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sluice::{
    azure::service_bus::{
        ConnectionString, ReceivedMessage, Receiver, ServiceBusClient, ServiceBusClientOptions, SubQueue,
    },
    bus::{Bus, Message, PublishError, Shelf},
    clock::SharedClock,
    dead_letters::SharedDeadLetters,
    functions,
    host::{
        encode::{self, Call},
        value::DataType,
    },
    local::{
        amqp::{Endpoint, connection_string},
        broker::{Broker, Depth, Entity, Lock, Received},
    },
};
use tokio::sync::oneshot;

use super::faults::{self, Switch, carry_out};

/// A bus with faults.
#[derive(Debug)]
pub struct FaultyBus {
    pub inner: Arc<dyn Bus>,
    pub down: AtomicBool,
    pub hangs: AtomicBool,
    pub switch: Switch,
    pub published: AtomicUsize,
}

impl FaultyBus {
    pub fn new(inner: Arc<dyn Bus>) -> Self {
        let (down, hangs, published) = Default::default();
        Self { inner, down, hangs, switch: Switch::default(), published }
    }
}

#[async_trait]
impl Bus for FaultyBus {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        if self.hangs.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("injected".into()));
        }
        self.published.fetch_add(1, Ordering::SeqCst);
        let about = message.subject.as_deref().unwrap_or(&message.message_id);
        let fault = self.switch.fault(&faults::Call { method: "bus.publish", of: topic, about, operations: &[] });
        let (inner, topic) = (self.inner.clone(), topic.to_owned());
        let lost = || PublishError::Unavailable("injected".into());
        carry_out(fault, async move { inner.publish(&topic, message).await }, lost).await
    }

    fn shelf(&self) -> Option<&dyn Shelf> {
        self.inner.shelf()
    }
}

/// The AMQP endpoint of a broker, on a thread and a runtime of its own: it serves clients of whatever runtime a test has, and
/// ends with the test. The broker answers by the runtime on which it was opened.
pub struct EndpointThread {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EndpointThread {
    pub fn start(broker: Broker, clock: SharedClock) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, clock).await.unwrap();
                bound.send(endpoint.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = endpoint.run(std::future::pending()) => {}
                    // Without farewells: the clients' runtime waits for this thread, and could not answer them.
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for EndpointThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The broker's file closes with it: the folder goes next.
        self.thread.take().map(JoinHandle::join);
    }
}

/// What carries the test app's messages.
pub enum Transport {
    Embedded,
    /// With the endpoint that the client talks to.
    ServiceBus(Arc<ServiceBusClient>, EndpointThread),
}

impl Transport {
    pub fn service_bus(broker: &Broker, clock: &SharedClock) -> Self {
        let endpoint = EndpointThread::start(broker.clone(), clock.clone());
        let connection = ConnectionString::parse(&connection_string(endpoint.address)).unwrap();
        let options = ServiceBusClientOptions::default();
        let client = ServiceBusClient::from_connection_string(connection, clock.clone(), options);
        // As the program does at its start.
        client.create_sender("callbacks");
        client.create_sender("deliveries");
        Self::ServiceBus(Arc::new(client), endpoint)
    }

    pub fn bus(&self, broker: &Broker) -> Arc<dyn Bus> {
        match self {
            Self::Embedded => Arc::new(broker.clone()),
            Self::ServiceBus(client, _) => client.clone(),
        }
    }

    pub fn dead_letters(&self, broker: &Broker) -> SharedDeadLetters {
        match self {
            Self::Embedded => Arc::new(broker.clone()),
            Self::ServiceBus(client, _) => client.clone(),
        }
    }

    /// A trigger on a subscription.
    pub fn trigger(&self, broker: &Broker, entity: Entity) -> Trigger {
        let source = match self {
            Self::Embedded => Source::Embedded(Vec::new()),
            Self::ServiceBus(client, _) => {
                let Entity { topic, subscription, .. } = &entity;
                let receiver = client.create_receiver_for_subscription(topic, subscription, SubQueue::None);
                Source::ServiceBus(Box::new(receiver), Vec::new())
            }
        };
        Trigger { broker: broker.clone(), entity, source, locked_by_others: 0 }
    }
}

/// Takes the messages of a subscription to its function, as the host does.
pub struct Trigger {
    broker: Broker,
    entity: Entity,
    source: Source,
    /// Messages of the subscription in others' hands.
    locked_by_others: u64,
}

/// With what is locked and not settled yet.
enum Source {
    Embedded(Vec<Lock>),
    ServiceBus(Box<Receiver>, Vec<ReceivedMessage>),
}

/// Messages in one batch.
const MOST: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

impl Trigger {
    /// The invocation for the next batch; `None` where nothing can be received.
    pub async fn next(&mut self, function: &str) -> Option<Vec<u8>> {
        match &mut self.source {
            Source::Embedded(locks) => {
                let received = self.broker.receive(&self.entity, MOST, Duration::ZERO).await.unwrap();
                *locks = received.iter().map(|message| message.lock.clone()).collect();
                (!received.is_empty()).then(|| invocation_of(function, &received))
            }
            Source::ServiceBus(receiver, held) => {
                // Asked for no more than there is, the receiver need not guess when it has everything.
                let there = depth(&self.broker, &self.entity).await;
                self.locked_by_others = there.locked;
                let max = MOST.min(usize::try_from(there.active).unwrap());
                *held = receiver.receive_messages(max as u32, PATIENCE).await.unwrap();
                (!held.is_empty()).then(|| invocation_of_amqp(function, held))
            }
        }
    }

    /// Completes the batch, or gives it back; returns how many messages it had.
    pub async fn settle(&mut self, done: bool) -> usize {
        match &mut self.source {
            Source::Embedded(locks) => {
                match done {
                    true => self.broker.complete(locks).await.unwrap(),
                    false => self.broker.abandon(locks).await.unwrap(),
                };
                locks.drain(..).count()
            }
            Source::ServiceBus(receiver, held) => {
                for message in held.iter() {
                    match done {
                        true => receiver.complete_message(message).await.unwrap(),
                        false => receiver.abandon_message(message).await.unwrap(),
                    }
                }
                // The outcome is on its way to the broker, which a test may look at next.
                let began = Instant::now();
                while depth(&self.broker, &self.entity).await.locked > self.locked_by_others {
                    assert!(began.elapsed() < PATIENCE, "a settled message is still locked");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                held.drain(..).count()
            }
        }
    }
}

async fn depth(broker: &Broker, entity: &Entity) -> Depth {
    let depths = broker.depths().await.unwrap();
    depths.into_iter().find(|depth| depth.entity == *entity).expect("the subscription exists")
}

/// The invocation that the host makes of a batch.
pub fn invocation_of(function: &str, received: &[Received]) -> Vec<u8> {
    invocation(
        function,
        received.iter().map(|received| encode::Received {
            message: &received.message,
            delivery_count: received.delivery_count,
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            expires_at: received.expires_at,
            lock_token: None,
        }),
    )
}

/// The same of what came over AMQP.
pub fn invocation_of_amqp(function: &str, received: &[ReceivedMessage]) -> Vec<u8> {
    invocation(
        function,
        received.iter().map(|received| encode::Received {
            message: &received.message,
            delivery_count: received.delivery_count,
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            expires_at: received.expires_at,
            lock_token: None,
        }),
    )
}

fn invocation<'a>(function: &str, received: impl ExactSizeIterator<Item = encode::Received<'a>> + Clone) -> Vec<u8> {
    let call = Call { function, binding: functions::MESSAGES, now: chrono::Utc::now(), id: uuid::Uuid::new_v4() };
    encode::service_bus_batch(&call, DataType::Binary, received)
}
