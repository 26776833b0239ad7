//! The three forms of an event on the wire.

use serde_json::{Value, json};

use crate::{
    support::partner_double::{PartnerDouble, Seen},
    world::World,
};

async fn sent(format: &str) -> Seen {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    let settings = json!({ "format": format });
    world.partner("acme", &partner.url, settings).await;
    world.apply("SM1").await;
    world.deliver().await;
    partner.seen().remove(0)
}

fn is_the_event(data: &Value) {
    assert_eq!(data["type"], "message.delivered");
    assert_eq!(data["provider_message_id"], "SM1");
    assert_eq!(data["recipient"], "+12025550143", "partners get the number itself");
}

#[tokio::test]
async fn standard_webhooks_is_type_timestamp_and_data() {
    let request = sent("standard-webhooks").await;
    assert_eq!(request.header("content-type"), "application/json");
    let body = request.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "timestamp", "type"]);
    assert_eq!(body["type"], "message.delivered");
    assert!(body["timestamp"].as_str().unwrap().parse::<sluice::clock::Timestamp>().is_ok());
    is_the_event(&body["data"]);
}

#[tokio::test]
async fn structured_cloudevents_are_one_json_document() {
    let request = sent("cloudevents-structured").await;
    assert_eq!(request.header("content-type"), "application/cloudevents+json; charset=utf-8");
    let body = request.json();
    assert_eq!((&body["specversion"], &body["type"]), (&json!("1.0"), &json!("message.delivered")));
    assert_eq!((&body["source"], &body["subject"]), (&json!("twilio"), &json!("twilio:SM1")));
    assert_eq!(body["id"], request.header("webhook-id"));
    assert_eq!(body["datacontenttype"], "application/json");
    is_the_event(&body["data"]);
}

#[tokio::test]
async fn binary_cloudevents_carry_their_attributes_in_headers() {
    let request = sent("cloudevents-binary").await;
    assert_eq!(request.header("content-type"), "application/json");
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "message.delivered"),
        ("ce-source", "twilio"),
        ("ce-subject", "twilio:SM1"),
        ("ce-id", request.header("webhook-id")),
    ] {
        assert_eq!(request.header(name), value);
    }
    assert!(request.header("ce-time").parse::<sluice::clock::Timestamp>().is_ok());
    assert!(!request.headers.contains_key("ce-datacontenttype"), "content-type says it");
    is_the_event(&request.json());
}
