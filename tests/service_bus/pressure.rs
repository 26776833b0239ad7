//! Publishing while more comes than travels at once.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sluice::{
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions},
    bus::{Bus, Message, Properties, Property, PublishError, Topic, Topology},
    clock::SystemClock,
    local::{
        amqp::{Endpoint, connection_string},
        broker::Broker,
    },
};

use crate::support::folder::quick_folder;

const TOPIC: &str = "deliveries";
const PUBLISHERS: usize = 600;

fn message(id: String, properties: Properties) -> Message {
    Message {
        message_id: id,
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: vec![b'x'; 50_000].into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_spoiled_its_batch_gets_its_own_answer_however_many_others_wait() {
    let folder = quick_folder();
    let topic = Topic {
        name: TOPIC.into(),
        duplicate_detection_window: Duration::from_secs(600),
        default_time_to_live: Duration::from_secs(86_400),
        subscriptions: Vec::new(),
    };
    let clock = Arc::new(SystemClock);
    let topology = Topology { topics: vec![topic] };
    let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology, clock.clone()).unwrap();
    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, clock.clone()).await.unwrap();
    let connection = ConnectionString::parse(&connection_string(endpoint.local_addr().unwrap())).unwrap();
    tokio::spawn(endpoint.run(std::future::pending()));
    let options =
        ServiceBusClientOptions { connect_timeout: Duration::from_secs(10), send_timeout: Duration::from_secs(10) };
    let client = Arc::new(ServiceBusClient::from_connection_string(connection, clock, options));

    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (client, stop) = (Arc::clone(&client), Arc::clone(&stop));
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    client.publish(TOPIC, message(format!("{publisher}:{n}"), Properties::new())).await.unwrap();
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The embedded broker counts properties as JSON, where each of these takes six bytes: over the limit there.
    let long = [("long".into(), Property::from("\u{1}".repeat(50_000)))];
    for n in 0..3 {
        let answer = client.publish(TOPIC, message(format!("bad {n}"), long.clone().into())).await;
        assert!(matches!(&answer, Err(PublishError::Refused(_))), "{answer:?}");
    }
    stop.store(true, Ordering::SeqCst);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
