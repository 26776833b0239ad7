//! The program with partners.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use sluice::{
    app::{App, Ports},
    delivery::record::DeliveryRecord,
    documents::{Container, SharedDocuments},
    functions,
    local::broker::{Entity, Received},
};
use tower::ServiceExt;

use crate::support::{TestApp, config, invocation_of, receipt, text};

pub const PATH: &str = "/incoming/twilio/sms/status";

pub struct World {
    pub app: TestApp,
}

impl World {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(replacements: &[(&str, &str)]) -> Self {
        // Without jitter a test can tell when something is due.
        let replacements: Vec<_> = [("jitter = 0.2", "jitter = 0.0")].iter().chain(replacements).copied().collect();
        Self { app: TestApp::with(config(&replacements)) }
    }

    /// Asks `/manage/partners/...`.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        ask(&self.app.handler, method, path, body).await
    }

    /// Adds a partner on the loopback and returns its secret.
    pub async fn partner(&self, name: &str, endpoint: &str, more: Value) -> String {
        let mut settings = json!({ "endpoint": endpoint, "allow_internal": true });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        let (status, body) = self.ask(Method::PUT, &format!("partners/{name}"), settings).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["secret"].as_str().unwrap().to_owned()
    }

    /// A receipt comes in and is applied.
    pub async fn apply(&self, sid: &str) {
        self.app.twilio(PATH, &receipt(sid, "delivered")).await;
        self.app.process("sms").await;
    }

    pub async fn receive(&self) -> Vec<Received> {
        self.app.broker.receive(&deliver(), 128, Duration::ZERO).await.unwrap()
    }

    /// Takes everything that waits to the function `deliver`, as the host does; returns how much it was.
    pub async fn deliver(&self) -> usize {
        let mut done = 0;
        loop {
            let received = self.receive().await;
            if received.is_empty() {
                return done;
            }
            assert_eq!(invoke(&self.app.handler, &received).await, StatusCode::OK);
            let locks: Vec<_> = received.iter().map(|message| message.lock.clone()).collect();
            self.app.broker.complete(&locks).await.unwrap();
            done += received.len();
        }
    }

    /// Time passes, what is due comes back and is delivered.
    pub async fn after(&self, seconds: u64) -> usize {
        self.app.clock.advance(Duration::from_secs(seconds));
        assert_eq!(self.app.sweep().await, StatusCode::OK);
        self.deliver().await
    }

    pub async fn bodies(&self, container: Container) -> Vec<Value> {
        self.app.all(container).await.iter().map(|document| document.parse().unwrap()).collect()
    }

    pub async fn retries(&self) -> Vec<Value> {
        self.bodies(Container::Retries).await
    }

    pub async fn parked(&self) -> Vec<Value> {
        self.bodies(Container::Parked).await
    }

    /// Seconds until the only retry is due.
    pub async fn due_in(&self) -> f64 {
        let retries = self.retries().await;
        let [retry] = retries.as_slice() else { panic!("one retry, not {retries:?}") };
        let due_at: sluice::clock::Timestamp = serde_json::from_value(retry["due_at"].clone()).unwrap();
        (due_at - self.app.app.clock.now()).num_milliseconds() as f64 / 1000.0
    }

    pub async fn records(&self) -> Vec<DeliveryRecord> {
        self.app.all(Container::Deliveries).await.iter().map(|document| document.parse().unwrap()).collect()
    }

    pub async fn record(&self) -> DeliveryRecord {
        let mut records = self.records().await;
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// The last lines of the audit trail: who, action, what, outcome.
    pub async fn audit(&self) -> Vec<String> {
        let (_, body) = self.ask(Method::GET, "audit", Value::Null).await;
        let word = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let line = |entry: &Value| ["who", "action", "what", "outcome"].map(|name| word(entry, name)).join(" ");
        body["entries"].as_array().unwrap().iter().map(line).collect()
    }

    /// Another instance of the program on the same store and broker.
    pub fn second(&self) -> (Arc<App>, Router) {
        self.second_on(self.app.app.documents.clone())
    }

    pub fn second_on(&self, documents: SharedDocuments) -> (Arc<App>, Router) {
        let App { clock, bus, dead_letters, blobs, outbound, config, .. } = self.app.app.as_ref();
        let ports = Ports {
            clock: clock.clone(),
            bus: bus.clone(),
            dead_letters: dead_letters.clone(),
            documents,
            blobs: blobs.clone(),
            outbound: outbound.clone(),
        };
        let app = App::new(config.clone(), ports).unwrap();
        (app.clone(), functions::handler(app))
    }
}

pub fn deliver() -> Entity {
    Entity { topic: "deliveries".into(), subscription: "deliver".into(), dead_letter: false }
}

/// Hands a batch to the function, as the host does.
pub async fn invoke(handler: &Router, received: &[Received]) -> StatusCode {
    let body = invocation_of("deliver", received);
    let request = Request::post("/deliver").body(Body::from(body)).unwrap();
    handler.clone().oneshot(request).await.unwrap().status()
}

pub async fn ask(handler: &Router, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(format!("/manage/{path}")).header("x-sluice-operator", "ana");
    let response = handler.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
