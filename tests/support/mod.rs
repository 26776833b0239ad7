//! A test app: the program on an embedded engine in a temporary folder, with faults that a test can switch on.
#![allow(dead_code, reason = "every test binary uses a part of it")]

pub mod blobs;
pub mod bus;
pub mod chaos_proxy;
pub mod cosmos;
pub mod dead_letters;
pub mod faults;
pub mod folder;
pub mod handler;
pub mod load;
pub mod partner_double;
pub mod server;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use blobs::FaultyBlobs;
use bus::{FaultyBus, Transport};
use bytes::Bytes;
use dead_letters::FaultyDeadLetters;
use faults::{Call, Switch, carry_out};
use folder::quick_folder;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sluice::{
    app::{App, Ports, topology},
    blobs::open_folder,
    clock::{Clock, Timestamp},
    config::Config,
    documents::{Container, Document, Documents, Query, query_all},
    functions,
    local::{
        broker::{Broker, Entity},
        documents::LocalDocuments,
        engine,
    },
    outbound::{Outbound, OutboundError},
    telemetry::Tracing,
};
use tower::ServiceExt;

#[allow(unused_imports, reason = "every test binary uses a part of it")]
pub use bus::invocation_of;
#[allow(unused_imports, reason = "every test binary uses a part of it")]
pub use faults::{Fault, FaultyDocuments};

pub const TWILIO_TOKEN: &str = "demo-twilio-token-not-a-secret";

/// The shipped configuration with some lines replaced.
pub fn config(replacements: &[(&str, &str)]) -> Config {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "sluice.toml has no {from:?}");
        text = text.replace(from, to);
    }
    Config::parse(path, &text, &|_| None).unwrap()
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Whether the test binary says by its name that bus and documents are Azure's.
const ON_AZURE: bool =
    matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"pipeline_on_azure" | b"operate_on_azure" | b"erase_on_azure");

/// Embedded documents, or Cosmos DB's emulator.
pub fn documents(paths: &engine::Paths, clock: &Arc<dyn Clock>) -> Arc<dyn Documents> {
    match ON_AZURE {
        true => Arc::new(cosmos::Emulator::http().with_containers().documents()),
        false => Arc::new(LocalDocuments::open(&paths.documents, clock.clone()).unwrap()),
    }
}

/// The embedded broker itself, or Service Bus's adapter on its endpoint.
fn transport(broker: &Broker, clock: &Arc<dyn Clock>) -> Transport {
    match ON_AZURE {
        true => Transport::service_bus(broker, clock),
        false => Transport::Embedded,
    }
}

/// The world outside: what a fetch brings, and what was fetched.
#[derive(Debug, Default)]
pub struct FakeOutbound {
    pub pages: Mutex<BTreeMap<String, Vec<u8>>>,
    pub fetched: Mutex<Vec<String>>,
    pub switch: Switch,
}

#[async_trait]
impl Outbound for FakeOutbound {
    async fn get(&self, url: &str, _limit: usize) -> Result<Bytes, OutboundError> {
        self.fetched.lock().unwrap().push(url.to_owned());
        let page = self.pages.lock().unwrap().get(url).cloned();
        let fault = self.switch.fault(&Call { method: "outbound.get", of: "outbound", about: url, operations: &[] });
        let answer = async move { page.map(Bytes::from).ok_or(OutboundError::Status(404)) };
        carry_out(fault, answer, || OutboundError::Failed("injected".into())).await
    }
}

/// What a test app stands on.
pub struct Ground {
    pub transport: Transport,
    pub documents: Arc<dyn Documents>,
}

/// The program in a temporary folder.
pub struct TestApp {
    pub app: Arc<App>,
    /// What carries the messages, or stands behind the endpoint that does.
    pub broker: Broker,
    pub transport: Transport,
    pub documents: Arc<FaultyDocuments>,
    pub bus: Arc<FaultyBus>,
    pub dead_letters: Arc<FaultyDeadLetters>,
    pub blobs: Arc<FaultyBlobs>,
    pub outbound: Arc<FakeOutbound>,
    pub clock: Arc<ManualClock>,
    pub handler: Router,
    pub folder: tempfile::TempDir,
}

impl TestApp {
    /// The shipped configuration, but for the patience of ingest: what comes behind it is tested on busy machines, too.
    pub fn start() -> Self {
        Self::with(config(&[
            ("publish_timeout = \"800ms\"", "publish_timeout = \"10s\""),
            ("spool_timeout = \"700ms\"", "spool_timeout = \"20s\""),
        ]))
    }

    /// On a clock that stands at 2026-11-20T10:00:00Z.
    pub fn with(config: Config) -> Self {
        let clock = Arc::new(ManualClock(Mutex::new("2026-11-20T10:00:00Z".parse().unwrap())));
        Self { clock: clock.clone(), ..Self::with_clock(config, clock) }
    }

    /// On a clock of the test's own; [`TestApp::clock`] moves nothing then.
    pub fn with_clock(config: Config, clock: Arc<dyn Clock>) -> Self {
        Self::on(config, clock, |broker, paths, clock| Ground {
            transport: transport(broker, clock),
            documents: documents(paths, clock),
        })
    }

    /// The same on what the test says, beside a broker that is always the embedded one.
    pub fn on(
        config: Config,
        clock: Arc<dyn Clock>,
        ground: impl FnOnce(&Broker, &engine::Paths, &Arc<dyn Clock>) -> Ground,
    ) -> Self {
        Self::build(config, clock, ground, Tracing::off())
    }

    /// As [`TestApp::with`], with spans.
    pub fn traced(config: Config, tracing: Tracing) -> Self {
        let clock = Arc::new(ManualClock(Mutex::new("2026-11-20T10:00:00Z".parse().unwrap())));
        let ground = |broker: &Broker, paths: &engine::Paths, clock: &Arc<dyn Clock>| Ground {
            transport: transport(broker, clock),
            documents: documents(paths, clock),
        };
        Self { clock: clock.clone(), ..Self::build(config, clock, ground, tracing) }
    }

    fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        ground: impl FnOnce(&Broker, &engine::Paths, &Arc<dyn Clock>) -> Ground,
        tracing: Tracing,
    ) -> Self {
        let folder = quick_folder();
        let paths = engine::paths(folder.path());
        let broker = Broker::open(&paths.broker, &topology(&config), clock.clone()).unwrap();
        let Ground { transport, documents } = ground(&broker, &paths, &clock);
        let documents = Arc::new(FaultyDocuments::new(documents));
        let bus = Arc::new(FaultyBus::new(transport.bus(&broker)));
        let blobs = Arc::new(FaultyBlobs::new(open_folder(&paths.blobs).unwrap()));
        let dead_letters = Arc::new(FaultyDeadLetters::new(transport.dead_letters(&broker)));
        let outbound = Arc::new(FakeOutbound::default());
        let ports = Ports {
            clock: clock.clone(),
            bus: bus.clone(),
            dead_letters: dead_letters.clone(),
            documents: documents.clone(),
            blobs: blobs.clone(),
            outbound: outbound.clone(),
        };
        let app = App::traced(config, ports, tracing).unwrap();
        let handler = functions::handler(app.clone());
        let unused = Arc::new(ManualClock(Mutex::new(Timestamp::default())));
        Self { app, broker, transport, documents, bus, dead_letters, blobs, outbound, clock: unused, handler, folder }
    }

    /// Sends a request to the handler, as the host forwards it.
    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.handler.clone().oneshot(request).await.unwrap()
    }

    /// A genuine Twilio callback.
    pub async fn twilio(&self, path: &str, parameters: &[(&str, &str)]) -> Response<Body> {
        self.send(twilio_request(&self.app.config.public_url, path, parameters)).await
    }

    /// Takes every waiting message of a channel to its processor, as the host does; returns how many there were.
    pub async fn process(&self, channel: &str) -> usize {
        let function = format!("process-{channel}");
        let mut trigger = self.transport.trigger(&self.broker, entity(channel));
        let mut done = 0;
        while let Some(body) = trigger.next(&function).await {
            let request = Request::post(format!("/{function}")).body(Body::from(body)).unwrap();
            let response = self.send(request).await;
            if response.status() != StatusCode::OK {
                trigger.settle(false).await;
                return done;
            }
            assert_json_object(response).await;
            done += trigger.settle(true).await;
        }
        done
    }

    /// Runs `sweep-retries` once, as the timer does.
    pub async fn sweep(&self) -> StatusCode {
        let body = r#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"sweep-retries","UtcNow":"2026-11-20T10:00:00Z","RandGuid":"fa3b2fbc-26ed-4fcb-be75-82db8773b519"}}}"#;
        let request = Request::post("/sweep-retries").body(Body::from(body)).unwrap();
        self.send(request).await.status()
    }

    pub async fn all(&self, container: Container) -> Vec<Document> {
        query_all(self.documents.as_ref(), container, Query::all()).await.unwrap()
    }

    /// The documents of a message, ids only.
    pub async fn ids(&self, key: &str) -> Vec<String> {
        let found = query_all(self.documents.as_ref(), Container::Ledger, Query::partition(key)).await.unwrap();
        found.into_iter().map(|document| document.id).collect()
    }

    /// The bodies of a message's documents.
    pub async fn documents_of(&self, key: &str) -> Vec<serde_json::Value> {
        let found = query_all(self.documents.as_ref(), Container::Ledger, Query::partition(key)).await.unwrap();
        found.into_iter().map(|document| document.parse().unwrap()).collect()
    }

    pub async fn status(&self, key: &str) -> Option<serde_json::Value> {
        let found = self.documents.read(Container::Ledger, key, "status").await.unwrap();
        found.map(|document| document.parse().unwrap())
    }

    /// How many messages wait in all subscriptions.
    pub async fn waiting(&self) -> u64 {
        self.broker.depths().await.unwrap().iter().map(|depth| depth.active + depth.locked + depth.scheduled).sum()
    }
}

pub fn entity(channel: &str) -> Entity {
    Entity { topic: "callbacks".into(), subscription: channel.into(), dead_letter: false }
}

pub fn twilio_request(public_url: &str, path: &str, parameters: &[(&str, &str)]) -> Request<Body> {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(TWILIO_TOKEN.as_bytes()).unwrap();
    mac.update(format!("{public_url}{path}").as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        .body(Body::from(body))
        .unwrap()
}

/// The parameters of a delivery receipt.
pub fn receipt<'a>(sid: &'a str, status: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("MessageSid", sid),
        ("MessageStatus", status),
        ("SmsStatus", status),
        ("To", "+12025550143"),
        ("From", "+15017122661"),
        ("AccountSid", "AC55555555555555555555555555555555"),
    ]
}

pub async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

async fn assert_json_object(response: Response<Body>) {
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert!(body.is_object());
}
