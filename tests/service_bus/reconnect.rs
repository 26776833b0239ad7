//! A Service Bus whose links break as soon as they are there: an entity that was disabled, a gateway that is restarted.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sluice::{
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions},
    bus::{Bus, Message, Properties, Topic, Topology},
    clock::SystemClock,
    local::{
        amqp::{Endpoint, connection_string},
        broker::Broker,
    },
};

use tempfile::TempDir;

use crate::support::{
    chaos_proxy::{ChaosProxy, Mode},
    folder::quick_folder,
};

const TOPIC: &str = "deliveries";
/// How long a connection lives: enough to connect and to attach.
const ALIVE: Duration = Duration::from_millis(40);
/// Enough to be used as well, even on a busy machine; what has lived for 5 s would be trusted.
const USED: Duration = Duration::from_millis(400);

fn message(id: &str) -> Message {
    Message {
        message_id: id.to_owned(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: Properties::new(),
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::from_static(b"body"),
    }
}

/// A broker, and how to reach it.
async fn broker(folder: &TempDir) -> SocketAddr {
    let topology = Topology {
        topics: vec![Topic {
            name: TOPIC.into(),
            duplicate_detection_window: Duration::from_secs(600),
            default_time_to_live: Duration::from_secs(86_400),
            subscriptions: Vec::new(),
        }],
    };
    let clock = Arc::new(SystemClock);
    let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology, clock.clone()).unwrap();
    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, clock).await.unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(endpoint.run(std::future::pending()));
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_break_at_once_are_asked_for_ever_more_seldom_and_nobody_waits_for_them() {
    let folder = quick_folder();
    let proxy = ChaosProxy::start(broker(&folder).await);
    proxy.set(Mode::Cut(ALIVE));
    let connection = ConnectionString::parse(&connection_string(proxy.address)).unwrap();
    let options =
        ServiceBusClientOptions { connect_timeout: Duration::from_secs(3), send_timeout: Duration::from_secs(3) };
    let client = ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options);

    client.create_sender(TOPIC);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let made = proxy.counts.accepted();
    assert!((2..=12).contains(&made), "{made} connections in 3 s");

    proxy.set(Mode::Cut(USED));
    let mut taken = 0;
    let started = Instant::now();
    for n in 0_u32.. {
        let asked = Instant::now();
        taken += usize::from(client.publish(TOPIC, message(&n.to_string())).await.is_ok());
        assert!(asked.elapsed() < options.send_timeout / 2, "{:?}", asked.elapsed());
        if taken > 0 || started.elapsed() > Duration::from_secs(30) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(taken > 0, "a link that lives for a moment is used in it");
}
