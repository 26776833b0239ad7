//! The executable: exporting to a collector, asking for a token for Application Insights, and its page for Prometheus.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{Response, StatusCode},
};
use reqwest::Client;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    collector::Collector,
    support::{
        handler::Handler,
        receipt,
        server::{Server, free_port},
        twilio_request,
    },
};

const PATH: &str = "/incoming/twilio/sms/status";
const KEY: &str = "demo-admin-key-not-a-secret";

async fn post(url: &str, sid: &str) {
    let (parts, body) = twilio_request("http://127.0.0.1:7071", PATH, &receipt(sid, "delivered")).into_parts();
    let mut request = Client::new().post(format!("{url}{PATH}"));
    for (name, value) in &parts.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let sent = request.body(to_bytes(body, 1 << 20).await.unwrap()).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_machine_exports_spans_and_metrics_and_the_last_ones_when_it_stops() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone()), ("OTEL_BSP_SCHEDULE_DELAY", "60000".into())];
    let mut server = Server::start(folder.path(), free_port(), &settings);
    post(&server.url(), "SM1").await;
    let page = |request: reqwest::RequestBuilder| async { request.send().await.unwrap() };
    let metrics = format!("{}/metrics", server.url());
    assert_eq!(page(Client::new().get(&metrics)).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(page(Client::new().get(&metrics).bearer_auth("wrong")).await.status(), StatusCode::UNAUTHORIZED);
    let mut text = String::new();
    for request in [
        Client::new().get(&metrics).bearer_auth(KEY),
        Client::new().get(&metrics).header("x-functions-key", KEY),
        Client::new().get(format!("{metrics}?code={KEY}")),
    ] {
        let answer = page(request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        text = answer.text().await.unwrap();
    }
    assert!(text.contains(r#"sluice_acks_total{vendor="twilio",outcome="published"} 1"#), "{text}");

    // It processes what it has, and tells of it before it ends.
    let started = Instant::now();
    while !text.contains(r#"sluice_callbacks_processed_total{vendor="twilio",outcome="unique"} 1"#) {
        assert!(started.elapsed() < Duration::from_secs(20), "{text}");
        text = page(Client::new().get(&metrics).bearer_auth(KEY)).await.text().await.unwrap();
    }
    assert!(collector.spans().is_empty(), "a minute is not over");
    server.process.send(Signal::TERM);
    assert!(server.process.end(Duration::from_secs(30)).success());
    let spans = collector.spans();
    for name in ["send callbacks", "receive callbacks", "process callbacks", "commit ledger"] {
        assert!(spans.iter().any(|span| span.name == name), "{name}: {spans:#?}");
    }
    assert!(collector.metrics().iter().any(|metric| metric.name == "sluice.acks"));
    assert!(collector.text().contains("service.name"));
}

/// Where a managed identity gets its tokens: what it was asked, and the header that came with it.
async fn token_endpoint() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let answering = asked.clone();
    let router = Router::new().fallback(move |request: Request| {
        let header = request.headers()["x-identity-header"].to_str().unwrap().to_owned();
        answering.lock().unwrap().push((request.uri().to_string(), header));
        let token = json!({ "access_token": "token-of-the-double", "expires_on": "4102444800",
                            "resource": "https://monitor.azure.com/", "token_type": "Bearer" });
        let answer = Response::builder().header("content-type", "application/json").body(Body::from(token.to_string()));
        async move { answer.unwrap() }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, asked)
}

/// As far as the token: the exporter insists on TLS, and no double has a certificate that it trusts.
#[tokio::test(flavor = "multi_thread")]
async fn application_insights_is_sent_to_with_the_apps_identity() {
    let (folder, (identity, asked)) = (tempfile::tempdir().unwrap(), token_endpoint().await);
    let settings = [
        (
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=https://127.0.0.1:9/",
        ),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "ClientId=client-of-the-app;Authorization=AAD"),
        ("IDENTITY_ENDPOINT", &identity),
        ("IDENTITY_HEADER", "header-of-the-app"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
    ];
    let handler = Handler::start(folder.path(), &["serve"], &settings).await;
    post(&handler.url, "SM1").await;
    let started = Instant::now();
    while asked.lock().unwrap().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "nobody asks for a token");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (uri, header) = asked.lock().unwrap()[0].clone();
    assert_eq!(header, "header-of-the-app");
    assert!(uri.contains("resource=https%3A%2F%2Fmonitor.azure.com%2F&client_id=client-of-the-app"), "{uri}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_cannot_be_had_keeps_nobody_from_working() {
    let folder = tempfile::tempdir().unwrap();
    for settings in [
        [("APPLICATIONINSIGHTS_CONNECTION_STRING", "nonsense")],
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url")],
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")],
    ] {
        let handler = Handler::start(folder.path(), &["serve"], &settings).await;
        post(&handler.url, "SM1").await;
    }
}
