//! Deliveries a second to a local sink, and what one costs: `cargo run --release --example deliveries [EVENTS] [CONCURRENCY]`.
//!
//! The sink is another process of the same program, which answers 200. What is measured is the function `deliver`, fed from
//! the embedded broker as the one-machine host feeds it, one batch after another: decode, partner, record, signatures by
//! HMAC and Ed25519, HTTP, record, completion. What was put off comes back by the sweep, which runs once a second. It ends once
//! the sink has seen every event, and fails when no further one comes for a minute.

use std::{
    collections::HashSet,
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::get,
};
use futures_util::{StreamExt, stream};
use sluice::{
    config::Config,
    delivery::changes::Changes,
    event::{Channel, Event, EventType},
    functions,
    host::{
        encode::{self, Call},
        value::DataType,
    },
    ledger::{
        outbox,
        records::{Destination, OutboxRecord},
    },
    local::{broker::Entity, engine::Engine},
};
use tokio::net::TcpListener;
use tower::ServiceExt;

const BATCH: usize = 128;
/// Without a further event at the sink, one is lost.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "sink") {
        return sink(&arguments[2]).await;
    }
    let number =
        |index: usize, usual: usize| arguments.get(index).map_or(usual, |text| text.parse().expect("a number"));
    let (events, concurrency) = (number(1, 20_000), number(2, 64));

    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    let program = std::env::current_exe().expect("this program");
    let _sink = Sink(Command::new(program).args(["sink", &port.to_string()]).spawn().expect("a second process"));
    let url = format!("http://127.0.0.1:{port}");
    while reqwest::get(&url).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let folder = tempfile::tempdir().expect("a folder");
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml"));
    let config = Config::load(path).expect("a valid sluice.toml");
    let engine = Engine::open(folder.path(), config).await.expect("an engine");
    let (app, broker) = (engine.app.clone(), engine.broker.clone().expect("the embedded broker"));
    let changes = serde_json::json!({ "endpoint": url, "allow_internal": true, "concurrency": concurrency });
    let settings = serde_json::from_value::<Changes>(changes).expect("changes").create(&app.config).expect("settings");
    app.courier.registry.add("sink", settings).await.expect("a partner");

    let topic = app.config.bus.deliveries_topic.clone();
    stream::iter(0..events)
        .for_each_concurrent(256, |index| {
            let (app, topic) = (app.clone(), topic.clone());
            async move {
                for message in outbox::announcements(&announcement(index)) {
                    app.bus.publish(&topic, message).await.expect("the broker takes it");
                }
            }
        })
        .await;

    let entity = Entity { topic, subscription: "deliver".into(), dead_letter: false };
    let handler = functions::handler(app.clone());
    tokio::spawn(sweep(handler.clone()));
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let (mut most, mut since) = (0, started);
    loop {
        let seen = seen(&url).await.0;
        if seen >= events {
            break;
        }
        if seen > most {
            (most, since) = (seen, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{seen} of {events} events were delivered, and no more for {PATIENCE:?}");
        let received = broker.receive(&entity, BATCH, Duration::from_millis(50)).await.expect("the broker gives");
        if received.is_empty() {
            continue;
        }
        let call =
            Call { function: "deliver", binding: functions::MESSAGES, now: app.clock.now(), id: uuid::Uuid::new_v4() };
        let deliveries = received.iter().map(|received| encode::Received {
            message: &received.message,
            delivery_count: received.delivery_count,
            sequence_number: received.sequence_number,
            enqueued_at: received.enqueued_at,
            expires_at: received.expires_at,
            lock_token: None,
        });
        let body = encode::service_bus_batch(&call, DataType::Binary, deliveries);
        let request = Request::post("/deliver").body(Body::from(body)).expect("a request");
        let response = handler.clone().oneshot(request).await.expect("the handler never fails");
        assert_eq!(response.status(), StatusCode::OK);
        let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
        broker.complete(&locks).await.expect("the broker completes");
    }
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let counts = app.meter.read_partners().remove("sink").unwrap_or_default();
    let (_, requests) = seen(&url).await;
    println!("{events} deliveries in {took:.1} s: {:.0}/s", events as f64 / took);
    println!("CPU {:.0} µs a delivery, broker, store and batches included", cpu * 1e6 / events as f64);
    println!(
        "latency p50 {} ms, p95 {} ms; {} attempts counted, {requests} requests seen",
        counts.latency_ms(0.5).unwrap_or_default(),
        counts.latency_ms(0.95).unwrap_or_default(),
        counts.attempts
    );
}

/// Stops with the program.
struct Sink(Child);

impl Drop for Sink {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn sink(port: &str) {
    // The ids of the events, and how many requests brought them.
    let seen = Arc::new(Mutex::new((HashSet::new(), 0_u64)));
    let asked = seen.clone();
    let count = move || async move {
        let (ids, requests) = &*asked.lock().expect("nobody panics");
        format!("{} {requests}", ids.len())
    };
    let router = Router::new().route("/count", get(count)).fallback(move |request: Request<Body>| async move {
        if let Some(id) = request.headers().get("webhook-id") {
            let (ids, requests) = &mut *seen.lock().expect("nobody panics");
            ids.insert(id.clone());
            *requests += 1;
        }
    });
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("the port");
    axum::serve(listener, router).await.expect("the sink serves");
}

/// How many events the sink has seen, and in how many requests.
async fn seen(url: &str) -> (usize, u64) {
    let answer =
        reqwest::get(format!("{url}/count")).await.expect("the sink answers").text().await.expect("two numbers");
    let (events, requests) = answer.split_once(' ').expect("two numbers");
    (events.parse().expect("a number"), requests.parse().expect("a number"))
}

async fn sweep(handler: Router) {
    let body = r#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"sweep-retries","UtcNow":"2026-11-20T10:00:00Z","RandGuid":"fa3b2fbc-26ed-4fcb-be75-82db8773b519"}}}"#;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let request = Request::post("/sweep-retries").body(Body::from(body)).expect("a request");
        handler.clone().oneshot(request).await.expect("the handler never fails");
    }
}

fn announcement(index: usize) -> OutboxRecord {
    let id = format!("SM{index:032}");
    let mut event =
        Event::new(EventType::MessageDelivered, Channel::Sms, "twilio", &id, format!("twilio:{id}:delivered"));
    event.provider_status = "delivered".into();
    event.recipient = Some("+12025550143".into());
    event.sender = Some("+15017122661".into());
    let now = chrono::Utc::now();
    OutboxRecord {
        id: format!("out:{id}"),
        key: event.message_key(),
        destinations: vec![Destination::Partner("sink".into())],
        created_at: now,
        received_at: Some(now),
        envelope_id: uuid::Uuid::now_v7().to_string(),
        traceparent: None,
        event,
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in clock ticks of 10 ms.
    [11, 12].iter().map(|index| fields[*index].parse::<f64>().expect("ticks") / 100.0).sum()
}
