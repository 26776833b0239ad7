//! Brokers to talk to: in this process, in one of their own that can be stopped and killed, and far away.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use sluice::{
    azure::service_bus::{
        ConnectionString, ReceivedMessage, Receiver, ServiceBusClient, ServiceBusClientOptions, SubQueue,
    },
    bus::{Message, Properties, Subscription, Topic, Topology},
    clock::SystemClock,
    ledger::outbox::{DESTINATION, TO_PARTNER},
    local::{
        amqp::{Endpoint, connection_string},
        broker::Broker,
    },
};
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinHandle, time::Instant};

use crate::support::{
    chaos_proxy::{ChaosProxy, Mode},
    folder::quick_folder,
};

pub const TOPIC: &str = "deliveries";
pub const SUBSCRIPTION: &str = "deliver";

/// Short, so that tests of silence are.
pub const OPTIONS: ServiceBusClientOptions = within(Duration::from_secs(1));
/// For brokers that answer, on however busy a machine.
pub const PATIENT: ServiceBusClientOptions = within(Duration::from_secs(10));

const fn within(limit: Duration) -> ServiceBusClientOptions {
    ServiceBusClientOptions { connect_timeout: limit, send_timeout: limit }
}

pub fn client_with(address: SocketAddr, options: ServiceBusClientOptions) -> Arc<ServiceBusClient> {
    let connection = ConnectionString::parse(&connection_string(address)).unwrap();
    Arc::new(ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options))
}

/// A message that `deliver` gets, also where its filter asks for what partners are owed.
pub fn message(id: &str) -> Message {
    Message { properties: [(DESTINATION.into(), TO_PARTNER.into())].into(), ..bare(id) }
}

fn bare(id: &str) -> Message {
    Message {
        message_id: id.to_owned(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: Properties::new(),
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::copy_from_slice(id.as_bytes()),
    }
}

pub fn receiver(client: &ServiceBusClient) -> Receiver {
    client.create_receiver_for_subscription(TOPIC, SUBSCRIPTION, SubQueue::None)
}

pub fn dead_letters(client: &ServiceBusClient) -> Receiver {
    client.create_receiver_for_subscription(TOPIC, SUBSCRIPTION, SubQueue::DeadLetter)
}

/// What comes, where something must; for the first of it a busy machine gets time.
pub async fn receive_some(receiver: &mut Receiver, max: u32) -> Vec<ReceivedMessage> {
    let received = receiver.receive_messages(max, Duration::from_secs(10)).await.unwrap();
    assert!(!received.is_empty(), "nothing comes");
    received
}

/// What comes soon, if anything.
pub async fn receive(receiver: &mut Receiver, max: u32) -> Vec<ReceivedMessage> {
    receiver.receive_messages(max, Duration::from_millis(300)).await.unwrap()
}

pub fn ids(received: &[ReceivedMessage]) -> Vec<&str> {
    received.iter().map(|received| received.message.message_id.as_str()).collect()
}

/// Takes everything out of the subscription, until a look at it shows nothing more.
pub async fn drain_ids(client: &ServiceBusClient) -> Vec<String> {
    let mut receiver = receiver(client);
    let mut drained = Vec::new();
    let began = Instant::now();
    loop {
        let received = receive(&mut receiver, 500).await;
        // On a busy machine messages take longer than a receiver waits.
        if received.is_empty() && receiver.peek_messages(0, 1).await.unwrap().is_empty() {
            receiver.close().await;
            return drained;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "what is in the subscription cannot be received");
        for received in received {
            receiver.complete_message(&received).await.unwrap();
            drained.push(received.message.message_id);
        }
    }
}

/// A broker with an endpoint in this process.
pub struct World {
    pub client: Arc<ServiceBusClient>,
    pub address: SocketAddr,
    endpoint: JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.endpoint.abort();
    }
}

impl World {
    pub async fn start() -> Self {
        let folder = quick_folder();
        let topology = Topology {
            topics: vec![Topic {
                name: TOPIC.into(),
                duplicate_detection_window: Duration::from_secs(600),
                default_time_to_live: Duration::from_secs(86_400),
                subscriptions: vec![Subscription {
                    name: SUBSCRIPTION.into(),
                    filter: [].into(),
                    lock_duration: Duration::from_secs(5),
                    max_delivery_count: 10,
                    dead_letter_on_expiration: true,
                }],
            }],
        };
        let clock = Arc::new(SystemClock);
        let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology, clock.clone()).unwrap();
        let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, clock).await.unwrap();
        let address = endpoint.local_addr().unwrap();
        let endpoint = tokio::spawn(endpoint.run(std::future::pending()));
        Self { client: client_with(address, PATIENT), address, endpoint, _folder: folder }
    }

    pub async fn publish(&self, ids: &[&str]) {
        for id in ids {
            self.client.create_sender(TOPIC).send_message(message(id)).await.unwrap();
        }
    }
}

/// A broker in a process of its own.
pub struct BrokerProcess {
    process: Child,
    pub address: SocketAddr,
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl BrokerProcess {
    pub async fn start(data: &Path) -> Self {
        let port = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        Self::start_at(data, port).await
    }

    pub async fn start_at(data: &Path, address: SocketAddr) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["--port", "0", "--root", env!("CARGO_MANIFEST_DIR")])
            .args(["--amqp", &address.to_string()])
            .arg("--data")
            .arg(data)
            // What the tests publish is for their own receivers.
            .env("AzureWebJobs.deliver.Disabled", "true")
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "the broker does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, address }
    }

    /// Stops it where it is, or lets it run on.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
        // A thread stops when it is scheduled next, which takes a while on a busy machine.
        let began = Instant::now();
        while signal == "-STOP" && !self.is_stopped() {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap()).all(|stat| {
            // The state is the word behind the name, which is in parentheses.
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Puts a distance between a client and a broker.
pub fn at_a_distance(broker: SocketAddr, one_way: Duration) -> ChaosProxy {
    let proxy = ChaosProxy::start(broker);
    proxy.set(Mode::Slow { latency: one_way, bytes_per_second: None });
    proxy
}
