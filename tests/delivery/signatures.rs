//! What we sign, others verify: the official library of Standard Webhooks, and our own door.

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};
use sluice::{clock::SystemClock, config::Config, vendors};
use standardwebhooks::Webhook;

use crate::{
    support::partner_double::{PartnerDouble, Seen},
    support::{TestApp, config},
    world::World,
};

/// The official library, which knows HMAC.
fn official(secret: &str, request: &Seen) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, request.headers[name].clone());
    }
    Webhook::new(secret).unwrap().verify(&request.body, &headers).map_err(|error| error.to_string())
}

/// Our own door, which knows Ed25519 as well and passes the vectors of the official libraries.
fn ours(key: &str, request: &Seen) -> bool {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml")).unwrap();
    let environment = |name: &str| (name == "RESEND_WEBHOOK_SECRET").then(|| key.to_owned());
    let config = Config::parse("sluice.toml".as_ref(), &text, &environment).unwrap();
    let vendors = vendors::Vendors::from_config(&config.vendors);
    let vendor = vendors.get("resend").unwrap();
    let request = vendors::Request {
        method: &Method::POST,
        url: "https://partner.example.com/events",
        headers: &request.headers,
        body: &request.body,
    };
    vendor.verify(&request, chrono::Utc::now(), &mut vendors::Trace::off()).is_ok()
}

/// Libraries check the timestamp, so the clock must be the real one.
fn world() -> World {
    World { app: TestApp::with_clock(config(&[]), std::sync::Arc::new(SystemClock)) }
}

#[tokio::test]
async fn official_libraries_verify_both_algorithms_and_both_secrets_during_a_rotation() {
    let (world, partner) = (world(), PartnerDouble::start().await);
    let first = world.partner("acme", &partner.url, json!({})).await;
    let shown = async || world.ask(Method::GET, "partners/acme", Value::Null).await.1;
    let first_public = shown().await["public_key"].as_str().unwrap().to_owned();
    assert!(first.starts_with("whsec_") && first_public.starts_with("whpk_"), "{first} {first_public}");
    world.apply("SM1").await;
    world.deliver().await;
    let request = partner.seen().remove(0);
    official(&first, &request).unwrap();
    assert!(ours(&first, &request) && ours(&first_public, &request));
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2, "v1 and v1a");

    let (_, rotated) = world.ask(Method::POST, "partners/acme/rotate-secret", json!({ "window": "3s" })).await;
    let second = rotated["secret"].as_str().unwrap().to_owned();
    let second_public = rotated["public_key"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    world.apply("SM2").await;
    world.deliver().await;
    let request = partner.seen().remove(1);
    assert_eq!(request.header("webhook-signature").split(' ').count(), 4);
    for secret in [&first, &second] {
        official(secret, &request).unwrap();
    }
    assert!([&first_public, &second_public].iter().all(|key| ours(key, &request)));

    tokio::time::sleep(Duration::from_secs(3)).await;
    world.apply("SM3").await;
    world.deliver().await;
    let request = partner.seen().remove(2);
    official(&second, &request).unwrap();
    assert!(ours(&second_public, &request));
    assert!(official(&first, &request).is_err() && !ours(&first_public, &request), "its time is up");

    let mut forged = request.clone();
    forged.body = String::from_utf8(request.body.to_vec()).unwrap().replace("delivered", "undelivered").into();
    assert!(official(&second, &forged).is_err() && !ours(&second_public, &forged));
}

#[tokio::test]
async fn a_partner_that_comes_after_one_of_the_same_name_has_other_secrets() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    let first = world.partner("acme", &partner.url, json!({})).await;
    let other = world.partner("acme-2", &partner.url, json!({})).await;
    world.ask(Method::DELETE, "partners/acme", Value::Null).await;
    let second = world.partner("acme", &partner.url, json!({})).await;
    assert!(first != second && first != other);
    let (_, told) = world.ask(Method::POST, "partners/acme/secret", json!({})).await;
    assert_eq!(told["secret"], second.as_str(), "derived anew each time, never stored");
    let stored = world.bodies(sluice::documents::Container::Registry).await;
    assert!(stored.iter().all(|document| !document.to_string().contains("whsec_")));
}

#[tokio::test]
async fn a_secret_that_leaked_is_replaced_at_once() {
    let (world, partner) = (world(), PartnerDouble::start().await);
    let first = world.partner("acme", &partner.url, json!({})).await;
    world.ask(Method::POST, "partners/acme/rotate-secret", json!({ "window": "0s" })).await;
    world.apply("SM1").await;
    world.deliver().await;
    assert!(official(&first, &partner.seen()[0]).is_err());
    assert_eq!(world.ask(Method::GET, "partners/acme", Value::Null).await.1["former"], json!([]));
}
