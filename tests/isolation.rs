//! Channels are isolated: with SMS failing, e-mail is as fast as before, and every SMS is applied in the end.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sluice::{
    clock::SystemClock,
    documents::{Container, Query, query_all},
    ledger::records::EventRecord,
    local::host::{FunctionApp, HostOptions, OneMachineHost},
};
use support::{Fault, TestApp, config, receipt, twilio_request};
use tokio::{net::TcpListener, sync::oneshot};

const CALLBACKS: usize = 150;

struct Running {
    app: TestApp,
    url: String,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    host: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let config = config(&[
        ("[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]", "[\"1s\", \"2s\", \"60s\"]"),
        ("timeout = \"10s\"", "timeout = \"3s\""),
    ]);
    let app = TestApp::with_clock(config, Arc::new(SystemClock));
    let settings = |name: &str| (name == "CALLBACKS_TOPIC").then(|| "callbacks".to_owned());
    let functions = FunctionApp::load(env!("CARGO_MANIFEST_DIR").as_ref(), &settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (broker, options) = (Arc::new(app.broker.clone()), HostOptions::from(&app.app.config));
    let host = OneMachineHost::new(functions, app.handler.clone(), broker, listener, &options, &app.app.clock).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let host = tokio::spawn(async move {
        let stopped = async move { drop(stopped.await) };
        host.run(stopped).await;
    });
    Running { app, url, client: reqwest::Client::new(), stop, host }
}

impl Running {
    async fn post(&self, path: &str, request: axum::http::Request<axum::body::Body>) {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let mut post = self.client.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in &parts.headers {
            post = post.header(name.as_str(), value.as_bytes());
        }
        let response = post.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }

    async fn sms(&self, sid: &str) {
        let path = "/incoming/twilio/sms/status";
        self.post(path, twilio_request(&self.app.app.config.public_url, path, &receipt(sid, "delivered"))).await;
    }

    async fn email(&self, id: &str) {
        let body = format!(r#"{{"type":"email.delivered","data":{{"email_id":"{id}","to":["a@example.com"]}}}}"#);
        let now = chrono::Utc::now().timestamp();
        let key =
            self.app.app.config.demo_secrets["RESEND_WEBHOOK_SECRET"].expose().trim_start_matches("whsec_").to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(key).unwrap()).unwrap();
        mac.update(format!("evt_{id}.{now}.{body}").as_bytes());
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        let request = axum::http::Request::post("/")
            .header("content-type", "application/json")
            .header("webhook-id", format!("evt_{id}"))
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
            .body(body.into())
            .unwrap();
        self.post("/incoming/resend/email/events", request).await;
    }

    /// Waits until this many events of a vendor are in the ledger; returns how long each took, sorted.
    async fn applied(&self, prefix: &str, count: usize, within: Duration) -> Vec<Duration> {
        let started = Instant::now();
        loop {
            let documents = query_all(self.app.documents.as_ref(), Container::Ledger, Query::all().id_prefix("evt:"))
                .await
                .unwrap();
            let mut took: Vec<_> = documents
                .iter()
                .filter(|document| document.partition.starts_with(prefix))
                .map(|document| document.parse::<EventRecord>().unwrap())
                .map(|record| (record.applied_at - record.received_at).to_std().unwrap_or_default())
                .collect();
            if took.len() >= count {
                assert_eq!(took.len(), count, "{prefix}: more than were sent");
                took.sort();
                return took;
            }
            assert!(started.elapsed() < within, "{prefix}: {} of {count} applied", took.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_whose_store_fails_or_hangs_slows_no_other_and_catches_up_when_healed() {
    let running = start().await;

    for index in 0..CALLBACKS {
        running.sms(&format!("SMa{index}")).await;
        running.email(&format!("a{index}")).await;
    }
    let healthy = running.applied("resend:a", CALLBACKS, Duration::from_secs(20)).await;
    running.applied("twilio:SMa", CALLBACKS, Duration::from_secs(20)).await;

    // Half of the SMS commits fail at once, the others never answer.
    running.app.documents.fail(|container, partition, _| {
        let sms = container == Container::Ledger && partition.starts_with("twilio:");
        sms.then_some(if partition.ends_with(['0', '2', '4', '6', '8']) { Fault::Before } else { Fault::Hang })
    });
    for index in 0..CALLBACKS {
        running.sms(&format!("SMb{index}")).await;
        running.email(&format!("b{index}")).await;
    }
    let beside_a_failing_channel = running.applied("resend:b", CALLBACKS, Duration::from_secs(20)).await;
    assert!(running.app.ids("twilio:SMb1").await.is_empty(), "the fault holds");

    let p95 = |sorted: &[Duration]| sorted[sorted.len() * 95 / 100];
    let (before, beside) = (p95(&healthy), p95(&beside_a_failing_channel));
    println!("e-mail p95, received to applied: {before:?} healthy, {beside:?} beside a failing channel");
    // Whoever waited for one of those that hang would be 3 s late.
    assert!(beside < before * 3 + Duration::from_secs(1), "{before:?} became {beside:?}");

    running.app.documents.heal();
    running.applied("twilio:SMb", CALLBACKS, Duration::from_secs(120)).await;
    assert!(running.app.all(Container::Parked).await.is_empty());

    running.stop.send(()).unwrap();
    running.host.await.unwrap();
}
