//! What vendors ask of a URL before they use it: answered, and nothing is published.

use std::{collections::BTreeMap, path::Path};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use sluice::config::Config;

use crate::support::TestApp;

/// Vendors beside those of the shipped configuration.
const VENDORS: &str = r#"
[vendors.generic]
scheme = "github"
services = { push = "sms" }
secrets = ["env:KEY"]
allowed_origins = ["eventgrid.azure.net"]
[vendors.generic.mapping]
message_id = "/id"
status = "/status"
statuses = {}
[vendors.slack]
scheme = "slack"
services = { push = "sms" }
secrets = ["env:KEY"]
[vendors.slack.mapping]
message_id = "/id"
status = "/status"
statuses = {}
[vendors.ses]
scheme = "ses"
services = { email = "email" }
topics = ["arn:aws:sns:us-east-1:123456789012:*"]
[vendors.mandrill]
scheme = "mandrill"
services = { email = "email" }
secrets = ["env:KEY"]
[vendors.sparkpost]
scheme = "sparkpost"
services = { email = "email" }
secrets = ["env:BASIC"]
"#;

const KEY: &str = "handshake-key";

fn start() -> TestApp {
    let environment = |name: &str| match name {
        "KEY" => Some(KEY.to_owned()),
        "BASIC" => Some("user:password".to_owned()),
        _ => None,
    };
    let shipped = include_str!("../../sluice.toml");
    let text = format!("{shipped}\n{VENDORS}").replace("http://127.0.0.1:7071", "https://hooks.example.net");
    TestApp::with(Config::parse(Path::new("sluice.toml"), &text, &environment).unwrap())
}

#[derive(Debug, Deserialize)]
struct Handshake {
    name: String,
    request: Asked,
    response: Answered,
}

#[derive(Debug, Deserialize)]
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Answered {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    headers_absent: Vec<String>,
    body: Option<String>,
}

fn handshakes() -> BTreeMap<String, Handshake> {
    let text = include_str!("../vectors-informative/handshakes.json");
    let list: Vec<Handshake> = serde_json::from_str(text).unwrap();
    list.into_iter().map(|handshake| (handshake.name.clone(), handshake)).collect()
}

fn request(asked: &Asked) -> Request<Body> {
    let mut builder = Request::builder().method(asked.method.as_str()).uri(&asked.path);
    for (name, value) in &asked.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(asked.body.clone().unwrap_or_default())).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

/// Asks, compares the answer, and sees that nothing was published.
async fn check(app: &TestApp, handshake: &Handshake) {
    let name = &handshake.name;
    let response = app.send(request(&handshake.request)).await;
    assert_eq!(response.status().as_u16(), handshake.response.status, "{name}");
    for (header, value) in &handshake.response.headers {
        let given = response.headers().get(header).unwrap_or_else(|| panic!("{name}: {header} is missing"));
        assert!(given.to_str().unwrap().starts_with(value), "{name}: {header} is {given:?}");
    }
    for header in &handshake.response.headers_absent {
        assert!(!response.headers().contains_key(header), "{name}: {header}");
    }
    if let Some(body) = &handshake.response.body {
        assert_eq!(text(response).await, *body, "{name}");
    }
    assert_eq!(app.bus.published.load(std::sync::atomic::Ordering::SeqCst), 0, "{name}: something was published");
}

fn hub(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_known_origin_gets_its_consent_and_an_unknown_one_does_not() {
    let (app, handshakes) = (start(), handshakes());
    check(&app, &handshakes["cloudevents-options"]).await;
    check(&app, &handshakes["cloudevents-options-unknown-origin"]).await;
}

#[tokio::test]
async fn event_grid_gets_its_validation_code_back_once_the_request_is_verified() {
    let (app, mut handshakes) = (start(), handshakes());
    let mut handshake = handshakes.remove("eventgrid-validation-post").unwrap();
    let unsigned = app.send(request(&handshake.request)).await;
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    let body = handshake.request.body.clone().unwrap();
    handshake.request.headers.insert("X-Hub-Signature-256".into(), hub(&body));
    check(&app, &handshake).await;
}

#[tokio::test]
async fn slack_gets_its_challenge_back_once_the_request_is_verified() {
    let (app, mut handshakes) = (start(), handshakes());
    let mut handshake = handshakes.remove("slack-url-verification").unwrap();
    handshake.request.path = "/incoming/slack/push/status".into();
    assert_eq!(app.send(request(&handshake.request)).await.status(), StatusCode::UNAUTHORIZED);
    let body = handshake.request.body.clone().unwrap();
    let now = app.app.clock.now().timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("v0:{now}:{body}").as_bytes());
    let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
    handshake.request.headers.insert("X-Slack-Signature".into(), signature);
    handshake.request.headers.insert("X-Slack-Request-Timestamp".into(), now.to_string());
    check(&app, &handshake).await;
}

#[tokio::test]
async fn mandrill_finds_its_url_by_head_and_by_its_test_post() {
    let (app, handshakes) = (start(), handshakes());
    check(&app, &handshakes["mandrill-head"]).await;
    check(&app, &handshakes["mandrill-post-probe"]).await;
}

#[tokio::test]
async fn sparkpost_gets_200_for_its_ping() {
    let (app, mut handshakes) = (start(), handshakes());
    let mut handshake = handshakes.remove("sparkpost-test-batch").unwrap();
    assert_eq!(app.send(request(&handshake.request)).await.status(), StatusCode::UNAUTHORIZED);
    let basic = format!("Basic {}", BASE64_STANDARD.encode("user:password"));
    handshake.request.headers.insert("Authorization".into(), basic);
    check(&app, &handshake).await;
}

/// A vector of SNS by its name: body and certificates.
fn sns(name: &str) -> (String, BTreeMap<String, String>) {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/ses.json")).unwrap();
    let vector = vectors.into_iter().find(|vector| vector["name"] == name).unwrap();
    (vector["body"].as_str().unwrap().to_owned(), serde_json::from_value(vector["certificates"].clone()).unwrap())
}

fn sns_request(body: &str) -> Request<Body> {
    let builder = Request::post("/incoming/ses/email/events").header("content-type", "text/plain; charset=UTF-8");
    builder.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_subscription_is_confirmed_after_its_signature_and_its_topic_are_checked() {
    let app = start();
    let (body, certificates) = sns("subscription-confirmation");
    let subscribe = serde_json::from_str::<Value>(&body).unwrap()["SubscribeURL"].as_str().unwrap().to_owned();

    // The certificate cannot be fetched: Amazon must try again.
    assert_eq!(app.send(sns_request(&body)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.outbound.fetched.lock().unwrap().len(), 1);
    // What failed a moment ago is not fetched again at once.
    assert_eq!(app.send(sns_request(&body)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.outbound.fetched.lock().unwrap().len(), 1);

    // Nor is what lies there a certificate for the moment: that is no fault of the request's.
    let app = start();
    let garbage = certificates.keys().map(|url: &String| (url.clone(), b"<html>Be right back</html>".to_vec()));
    app.outbound.pages.lock().unwrap().extend(garbage);
    assert_eq!(app.send(sns_request(&body)).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    let app = start();
    app.outbound.pages.lock().unwrap().extend(certificates.into_iter().map(|(url, pem)| (url, pem.into_bytes())));
    // It can, but the confirmation fails.
    assert_eq!(app.send(sns_request(&body)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    app.outbound.pages.lock().unwrap().insert(subscribe.clone(), b"<ConfirmSubscriptionResponse/>".to_vec());
    assert_eq!(app.send(sns_request(&body)).await.status(), StatusCode::OK);
    let fetched = app.outbound.fetched.lock().unwrap().clone();
    assert_eq!(fetched.iter().filter(|url| **url == subscribe).count(), 2);
    assert_eq!(fetched.len(), 3, "the certificate is fetched once: {fetched:?}");
    assert_eq!(app.bus.published.load(std::sync::atomic::Ordering::SeqCst), 0);

    let changed = body.replace("Token", "token");
    assert_eq!(app.send(sns_request(&changed)).await.status(), StatusCode::UNAUTHORIZED);
}
