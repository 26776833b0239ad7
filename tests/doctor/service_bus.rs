//! Service Bus, played by the embedded broker's own endpoint; and the triggers.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sluice::{
    app::topology,
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions, SubQueue},
    bus::{Bus, Message, Properties, Topology},
    clock::SystemClock,
    local::{
        amqp::{Endpoint, connection_string},
        broker::Broker,
    },
};
use tempfile::TempDir;

use crate::world::{ROOT, command, config, doctor_of_an_app, function_settings, nobody, owned, run};

/// The embedded broker, as an emulator of Service Bus.
struct Served {
    connection: String,
    _folder: TempDir,
}

async fn service_bus(topology: &Topology) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::open(&folder.path().join("broker.sqlite"), topology, Arc::new(SystemClock)).unwrap();
    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, Arc::new(SystemClock)).await.unwrap();
    let connection = connection_string(endpoint.local_addr().unwrap());
    tokio::spawn(endpoint.run(std::future::pending()));
    Served { connection, _folder: folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_bus_is_looked_at_and_nothing_is_taken() {
    let bus = service_bus(&topology(&config())).await;
    let connection = ConnectionString::parse(&bus.connection).unwrap();
    let options = ServiceBusClientOptions::default();
    let client = ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options);
    let properties: Properties = [("channel".into(), "sms".into())].into();
    let message = Message {
        message_id: "m".into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::from_static(b"{}"),
    };
    client.publish("callbacks", message).await.unwrap();

    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &bus.connection)]).await;
    told.is_healthy();
    told.has(&["ok", "bus", "Service", "Bus"], "plain TCP, an emulator), with the key of a connection string");
    told.has(&["ok", "bus", "topic", "callbacks"], "nothing was sent");
    told.has(&["ok", "bus", "topic", "deliveries"], "");
    for subscription in ["callbacks/sms", "callbacks/email", "callbacks/voice", "deliveries/deliver"] {
        told.has(&["ok", "bus", "subscription", subscription], "nothing was taken");
    }
    told.has(&["ok", "triggers", "ServiceBusConnection"], "process-sms");
    told.has(&["ok", "triggers", "AzureWebJobsStorage"], "");

    let mut receiver = client.create_receiver_for_subscription("callbacks", "sms", SubQueue::None);
    let received = receiver.receive_messages(10, Duration::from_millis(500)).await.unwrap();
    assert_eq!(received.len(), 1, "one message, and nothing of the doctor's");
    assert_eq!(received[0].delivery_count, 1, "it was never given to anybody before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_or_a_subscription_that_does_not_exist_is_named() {
    let mut topology = topology(&config());
    topology.topics.retain(|topic| topic.name == "callbacks");
    topology.topics[0].subscriptions.retain(|subscription| subscription.name != "voice");
    let bus = service_bus(&topology).await;
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &bus.connection)]).await;
    told.is_ill();
    told.has(&["ok", "bus", "subscription", "callbacks/sms"], "");
    told.has(&["FAIL", "bus", "subscription", "callbacks/voice"], "does not exist");
    told.has(&["FAIL", "bus", "topic", "deliveries"], "does not exist");
    told.has_advice("terraform apply");
}

#[tokio::test]
async fn a_bus_that_nobody_serves_is_told() {
    let connection = connection_string(nobody());
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &connection)]).await;
    told.is_ill();
    told.has(&["FAIL", "bus", "reach"], "refuses a connection");
    told.has_advice("Nothing listens there");

    let nowhere = "Endpoint=sb://no-such-host.invalid;SharedAccessKeyName=n;SharedAccessKey=topsecret";
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", nowhere)]).await;
    told.is_ill();
    told.has(&["FAIL", "bus", "reach"], "no-such-host.invalid");
    assert!(!told.page.contains("topsecret"), "{}", told.page);
}

#[tokio::test]
async fn services_that_take_connections_and_never_answer_are_told_in_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap();
    let cosmos = format!("AccountEndpoint=http://{address}/;AccountKey=a2V5");
    let blobs = format!("AccountName=a;AccountKey=a2V5;BlobEndpoint=http://{address}/a");
    let started = Instant::now();
    let told = doctor_of_an_app(&[
        ("SLUICE_BUS", "service-bus"),
        ("ServiceBusConnection", &connection_string(address)),
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("CosmosConnection", &cosmos),
        ("SLUICE_BLOBS", "azure"),
        ("BlobConnection", &blobs),
    ])
    .await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    told.is_ill();
    told.has(&["ok", "bus", "reach"], "connects");
    told.has(&["FAIL", "bus", "AMQP"], "takes the connection and then gives no answer within 4 s");
    told.has(&["FAIL", "documents", "HTTP"], "no answer within 4 s");
    told.has(&["FAIL", "blobs", "HTTP"], "no answer within 4 s");
}

#[tokio::test]
async fn a_connection_that_only_the_triggers_lack_is_named_with_its_functions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(Path::new(ROOT).join("sluice.toml")).unwrap();
    std::fs::write(&path, text.replace("connection = \"ServiceBusConnection\"", "connection = \"OtherConnection\""))
        .unwrap();
    let mut settings = function_settings();
    settings.remove("ServiceBusConnection");
    settings.remove("AzureWebJobsStorage");
    settings.insert("CALLBACKS_TOPIC".into(), "elsewhere".into());
    settings.extend(owned(&[("SLUICE_BUS", "service-bus"), ("OtherConnection", &connection_string(nobody()))]));
    let mut other = command(settings, folder.path());
    other.arg("--config").arg(&path);
    let told = run(other).await;
    told.is_ill();
    told.has(&["FAIL", "triggers", "ServiceBusConnection"], "process-email, process-sms, process-voice");
    told.has_advice("ServiceBusConnection__fullyQualifiedNamespace");
    told.has(&["FAIL", "triggers", "AzureWebJobsStorage"], "the host itself");
    told.has(&["FAIL", "triggers", "subscription"], "listens to elsewhere/sms");
}
