//! The adapters under test. A case is a function of a [`Store`] or an [`Exchange`]; the macros make one test of it for
//! each adapter. A new adapter implements the trait and gets a module in the macro. What an emulator cannot do is told
//! to the macro, and stands in the tests' output as the reason of an ignored test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice::{
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions},
    bus::{Message, SharedBus},
    clock::SystemClock,
    dead_letters::SharedDeadLetters,
    documents::SharedDocuments,
    local::{
        amqp::{Endpoint, connection_string},
        broker::Entity,
        documents::LocalDocuments,
    },
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{clock::ManualClock, cosmos_emulator::Emulator, test_broker::TestBroker};

/// An adapter of the documents port, on an empty store.
#[async_trait]
pub trait Store: Sync {
    fn documents(&self) -> SharedDocuments;

    /// Lets whole seconds pass: on a clock of the adapter's own, or by waiting.
    async fn pass(&self, time: Duration);
}

/// An adapter of the bus port, with the topology of [`crate::test_broker::topology`] and nothing in it.
#[async_trait]
pub trait Exchange: Sync {
    fn bus(&self) -> SharedBus;

    fn dead_letters(&self) -> SharedDeadLetters;

    /// Publishes messages for `callbacks/sms`, which a receiver dead-letters (`Unreadable`, `no JSON`).
    async fn bury(&self, ids: &[&str]);

    /// Takes everything out of a subscription, in order.
    async fn drain(&self, topic: &str, subscription: &str) -> Vec<Message>;

    /// Lets whole seconds pass: on a clock of the adapter's own, or by waiting.
    async fn pass(&self, time: Duration);
}

/// Documents in a SQLite file.
pub struct EmbeddedStore {
    documents: SharedDocuments,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl EmbeddedStore {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new());
        let documents = LocalDocuments::open(&folder.path().join("documents.sqlite"), clock.clone()).unwrap();
        Self { documents: Arc::new(documents), clock, _folder: folder }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn documents(&self) -> SharedDocuments {
        Arc::clone(&self.documents)
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// Documents in Cosmos DB's emulator.
pub struct CosmosStore(SharedDocuments);

impl CosmosStore {
    /// The emulator is the transport of the adapter's driver.
    pub async fn in_process() -> Self {
        Self(Arc::new(Emulator::in_process().with_containers().documents_in_process(Vec::new()).await))
    }

    /// The adapter speaks HTTP to the emulator.
    pub fn http() -> Self {
        Self(Arc::new(Emulator::http().with_containers().documents()))
    }
}

#[async_trait]
impl Store for CosmosStore {
    fn documents(&self) -> SharedDocuments {
        Arc::clone(&self.0)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl Exchange for TestBroker {
    fn bus(&self) -> SharedBus {
        Arc::new(self.broker.clone())
    }

    fn dead_letters(&self) -> SharedDeadLetters {
        Arc::new(self.broker.clone())
    }

    async fn bury(&self, ids: &[&str]) {
        self.publish(ids).await;
        loop {
            let received = self.receive(100).await;
            if received.is_empty() {
                return;
            }
            let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
            self.broker.dead_letter(&locks, "Unreadable", "no JSON").await.unwrap();
        }
    }

    async fn drain(&self, topic: &str, subscription: &str) -> Vec<Message> {
        let entity = Entity::subscription(topic, subscription);
        let mut drained = Vec::new();
        loop {
            let received = self.broker.receive(&entity, 100, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return drained;
            }
            let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
            self.broker.complete(&locks).await.unwrap();
            drained.extend(received.into_iter().map(|received| received.message));
        }
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// Service Bus's adapter, on the AMQP endpoint of an embedded broker.
pub struct AmqpExchange {
    client: Arc<ServiceBusClient>,
    test: TestBroker,
    endpoint: JoinHandle<()>,
}

impl AmqpExchange {
    pub async fn open() -> Self {
        let test = TestBroker::open();
        let address = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = Endpoint::bind(address, test.broker.clone(), test.clock.clone()).await.unwrap();
        let connection = ConnectionString::parse(&connection_string(endpoint.local_addr().unwrap())).unwrap();
        let options = ServiceBusClientOptions::default();
        let client = ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options);
        Self { client: Arc::new(client), test, endpoint: tokio::spawn(endpoint.run(std::future::pending())) }
    }
}

impl Drop for AmqpExchange {
    fn drop(&mut self) {
        self.endpoint.abort();
    }
}

#[async_trait]
impl Exchange for AmqpExchange {
    fn bus(&self) -> SharedBus {
        self.client.clone()
    }

    fn dead_letters(&self) -> SharedDeadLetters {
        self.client.clone()
    }

    async fn bury(&self, ids: &[&str]) {
        self.test.bury(ids).await;
    }

    async fn drain(&self, topic: &str, subscription: &str) -> Vec<Message> {
        self.test.drain(topic, subscription).await
    }

    async fn pass(&self, time: Duration) {
        self.test.pass(time).await;
    }
}

macro_rules! on_every_store {
    ($(#[cosmos_emulator: $ignored:meta])? $($case:ident),* $(,)?) => {
        $crate::adapters::on_store!(embedded, $crate::adapters::EmbeddedStore::open(), [] $($case),*);
        $crate::adapters::on_store!(
            cosmos,
            $crate::adapters::CosmosStore::in_process().await,
            [$($ignored)?] $($case),*
        );
        $crate::adapters::on_store!(cosmos_over_http, $crate::adapters::CosmosStore::http(), [$($ignored)?] $($case),*);
    };
}

macro_rules! on_store {
    ($adapter:ident, $open:expr, $ignored:tt $($case:ident),*) => {
        mod $adapter {
            $( $crate::adapters::case!($case, $open, $ignored); )*
        }
    };
}

macro_rules! case {
    ($case:ident, $open:expr, [$($ignored:meta)?]) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$ignored])?
        async fn $case() {
            super::$case(&$open).await;
        }
    };
}
pub(crate) use on_every_store;
pub(crate) use {case, on_store};

macro_rules! on_every_exchange {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&$crate::test_broker::TestBroker::open()).await;
                }
            )*
        }

        mod service_bus {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&$crate::adapters::AmqpExchange::open().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_every_exchange;
