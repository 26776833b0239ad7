//! The custom handler on Service Bus: callbacks are acknowledged in time whatever becomes of the broker.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use axum::body::to_bytes;
use reqwest::StatusCode;
use sluice::{
    documents::{Container, Documents, Query, query_all},
    local::{amqp::connection_string, engine::open_read_only},
};

use crate::{
    support::{config, folder::quick_folder, handler::Handler, receipt, twilio_request},
    world::BrokerProcess,
};

/// What ingest may take in all: 800 ms for the broker, 700 ms for the spool.
const BUDGET: Duration = Duration::from_millis(1_500);

/// With Service Bus for its bus.
async fn start(data: &Path, broker: SocketAddr) -> Handler {
    let connection = connection_string(broker);
    Handler::start(data, &["serve"], &[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &connection)]).await
}

/// Sends delivery receipts, eight at a time; returns how long the slowest took.
async fn forward(handler: &Handler, numbers: std::ops::Range<usize>) -> Duration {
    let senders = (0..8).map(|sender| {
        let (client, url) = (handler.client.clone(), handler.url.clone());
        let numbers: Vec<_> = numbers.clone().filter(|n| n % 8 == sender).collect();
        tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            for n in numbers {
                let path = "/incoming/twilio/sms/status";
                let receipt = receipt(&sid(n), "delivered").map(|(name, value)| (name.to_owned(), value.to_owned()));
                let parameters: Vec<_> = receipt.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let (parts, body) = twilio_request("http://127.0.0.1:7071", path, &parameters).into_parts();
                let mut request = client.post(format!("{url}{path}"));
                for (name, value) in &parts.headers {
                    request = request.header(name.as_str(), value.as_bytes());
                }
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let sent = Instant::now();
                let answer = request.body(body).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                slowest = slowest.max(sent.elapsed());
            }
            slowest
        })
    });
    let mut slowest = Duration::ZERO;
    for sender in senders.collect::<Vec<_>>() {
        slowest = slowest.max(sender.await.unwrap());
    }
    slowest
}

async fn sweep(handler: &Handler) {
    let timer = include_str!("../golden/g05_timer_trigger.json");
    let request =
        handler.client.post(format!("{}/sweep-retries", handler.url)).header("content-type", "application/json");
    // A sweep that meets a broker which is not back yet says so; the timer comes again.
    request.body(timer).send().await.unwrap();
}

fn sid(n: usize) -> String {
    format!("SM{n:032x}")
}

async fn count(data: &Path, container: Container) -> u64 {
    open_read_only(data, &config(&[])).unwrap().count(container, &Query::all()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_gone_or_hangs_callbacks_are_spooled_in_time_and_each_is_applied_once_later() {
    let folder = quick_folder();
    let (there, here) = (folder.path().join("broker"), folder.path().join("handler"));
    let broker = BrokerProcess::start(&there).await;
    let address = broker.address;
    let handler = start(&here, address).await;

    forward(&handler, 0..200).await;
    assert_eq!(count(&here, Container::Spool).await, 0, "the broker took them");
    broker.signal("-STOP");
    let hanging = forward(&handler, 200..240).await;
    broker.signal("-CONT");
    broker.kill();
    let gone = forward(&handler, 240..640).await;
    println!("slowest answer: {hanging:?} while the broker hung, {gone:?} while it was gone");
    assert!(hanging < BUDGET && gone < BUDGET, "{hanging:?} {gone:?}");
    assert!(count(&here, Container::Spool).await >= 400);

    let _broker = BrokerProcess::start_at(&there, address).await;
    let started = Instant::now();
    while count(&here, Container::Spool).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "the spool is not relayed");
        sweep(&handler).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The broker's own process is also the one that processes what it carries.
    let ledger = open_read_only(&there, &config(&[])).unwrap();
    let documents: &dyn Documents = ledger.as_ref();
    for n in 0..640 {
        let key = format!("twilio:{}", sid(n));
        while documents.read(Container::Ledger, &key, "status").await.unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60), "{key} is not applied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let found = query_all(documents, Container::Ledger, Query::partition(&key)).await.unwrap();
        let events = found.iter().filter(|document| document.id.starts_with("evt:")).count();
        assert_eq!(events, 1, "{key}");
    }
}
