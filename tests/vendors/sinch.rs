//! Sinch beyond the vectors: its three forms and how they stand to each other, and what its products say.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use sluice::{
    config::{Scheme, Secret},
    event::{Channel, Event, EventType},
    vendors::{Refusal, Vendor, build},
};

use crate::support::{NOW, Sent, config, missing, tolerance, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";
/// The example of
/// <https://developers.sinch.com/docs/voice/api-reference/authentication/callback-signed-request>.
const APPLICATION: &str = "669E367E-6BBA-48AB-AF15-266871C28135";
const APPLICATION_SECRET: &str = "BeIukql3pTKJ8RGL5zo0DA==";
const ACE: &str = r#"{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z","version":1}"#;
/// 2014-09-24T10:59:41Z
const ACE_SIGNED: i64 = 1_411_556_381;

fn documented() -> Sent {
    let authorization = format!("application {APPLICATION}:Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=");
    let headers = [
        ("content-type", "application/json"),
        ("x-timestamp", "2014-09-24T10:59:41Z"),
        ("authorization", &authorization),
    ];
    Sent::new("https://callbacks.yourdomain.com/sinch/callback/ace?unsigned", &headers, ACE)
}

fn calls() -> sluice::config::VendorConfig {
    let mut config = config(Scheme::Sinch, &[]);
    config.accounts.insert(APPLICATION.into(), vec![Ok(Secret::new(APPLICATION_SECRET))]);
    config
}

fn hmac<M: Mac + KeyInit>(secret: &str, text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn webhook(secret: &str, body: &str) -> Sent {
    let signature = STANDARD.encode(hmac::<Hmac<Sha256>>(secret, &format!("{body}.n.{NOW}")));
    let headers = [
        ("x-sinch-webhook-signature", signature.as_str()),
        ("x-sinch-webhook-signature-nonce", "n"),
        ("x-sinch-webhook-signature-timestamp", &NOW.to_string()),
    ];
    Sent::new(URL, &headers, body)
}

fn numbers(secret: &str, body: &str) -> String {
    hmac::<Hmac<Sha1>>(secret, body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn acme() -> Arc<dyn Vendor> {
    vendor("acme", Scheme::Sinch, &["secret"])
}

fn read(body: &Value) -> Vec<Event> {
    let sent = Sent::new(URL, &[], body.to_string());
    let events = acme().normalise(&sent.callback(&*acme(), Channel::Sms)).unwrap();
    let identity = sent.identify(&*acme());
    assert!(identity.dedupe_key.is_none() || identity.dedupe_key.as_ref() == Some(&events[0].dedupe_key), "{body}");
    assert!(identity.subject.is_none() || identity.subject.as_ref() == Some(&events[0].provider_message_id), "{body}");
    events
}

#[test]
fn the_documented_example_of_an_application_verifies() {
    let acme = build("acme", &calls());
    assert_eq!(documented().verify(&*acme), Ok(()));
    let mut other = documented();
    other.body[10] = b'd';
    assert_eq!(other.verify(&*acme), Err(Refusal::Mismatch));
    for name in ["x-timestamp", "content-type"] {
        let mut sent = documented();
        sent.headers.remove(name);
        assert_eq!(sent.verify(&*acme).unwrap_err().code(), "missing_header", "{name}");
    }
}

#[test]
fn an_application_that_nobody_configured_is_unknown() {
    let mut config = config(Scheme::Sinch, &["secret"]);
    assert_eq!(documented().verify(&*build("acme", &config)).unwrap_err().code(), "unknown");
    // Another application's secret counts for that one only.
    config.accounts.insert("other".into(), vec![Ok(Secret::new(APPLICATION_SECRET))]);
    assert_eq!(documented().verify(&*build("acme", &config)).unwrap_err().code(), "unknown");
    for authorization in ["Application", "Application ", "Application x", "application :"] {
        let refusal = documented().set("authorization", authorization).verify(&*build("acme", &config)).unwrap_err();
        assert!(matches!(refusal.code(), "malformed" | "unknown"), "{authorization}: {refusal}");
    }
    let mut twice = documented();
    twice.headers.append("authorization", "Basic dTpw".parse().unwrap());
    assert_eq!(twice.verify(&*build("acme", &calls())).unwrap_err().code(), "malformed");
}

#[test]
fn either_of_two_live_secrets_may_have_signed_in_each_form() {
    let mut config = config(Scheme::Sinch, &["old", "new"]);
    let old = Ok(Secret::new("b2xk"));
    config.accounts.insert(APPLICATION.into(), vec![old, Ok(Secret::new(APPLICATION_SECRET))]);
    let acme = build("acme", &config);
    for secret in ["old", "new"] {
        assert_eq!(webhook(secret, "{}").verify(&*acme), Ok(()));
        assert_eq!(Sent::new(URL, &[("x-sinch-signature", &numbers(secret, "{}"))], "{}").verify(&*acme), Ok(()));
    }
    assert_eq!(webhook("stolen", "{}").verify(&*acme), Err(Refusal::Mismatch));
    assert_eq!(documented().verify(&*acme), Ok(()));
}

#[test]
fn a_missing_or_broken_secret_is_our_fault_and_no_secret_at_all_is_not() {
    let mut config = config(Scheme::Sinch, &["secret"]);
    config.secrets.push(missing());
    let acme = build("acme", &config);
    assert_eq!(webhook("secret", "{}").verify(&*acme), Ok(()));
    assert_eq!(webhook("other", "{}").verify(&*acme).unwrap_err().code(), "no_key");

    for broken in [missing(), Ok(Secret::new("hunter2!")), Ok(Secret::new("="))] {
        let mut config = calls();
        config.accounts.insert("other".into(), vec![broken]);
        let acme = build("acme", &config);
        assert_eq!(documented().verify(&*acme), Ok(()));
        let refusal = webhook("secret", "{}").verify(&*acme).unwrap_err();
        assert_eq!(refusal.code(), "no_key");
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
    }

    // Calls only: a message's signature is by nobody we know.
    assert_eq!(webhook("secret", "{}").verify(&*build("acme", &calls())).unwrap_err().code(), "unknown");
}

#[test]
fn with_the_headers_of_several_forms_each_must_be_right() {
    let both = webhook("secret", "{}").set("x-sinch-signature", &numbers("secret", "{}"));
    assert_eq!(both.verify(&*acme()), Ok(()));
    assert_eq!(both.clone().set("x-sinch-signature", &numbers("other", "{}")).verify(&*acme()), Err(Refusal::Mismatch));
    assert_eq!(both.clone().set("x-sinch-webhook-signature", "AAAA").verify(&*acme()), Err(Refusal::Mismatch));
    assert_eq!(both.set("authorization", "Application x:y").verify(&*acme()).unwrap_err().code(), "unknown");
    // Any other authorization is a matter of whoever stands in front.
    assert_eq!(webhook("secret", "{}").set("authorization", "Basic dTpw").verify(&*acme()), Ok(()));
    let basic = Sent::new(URL, &[("authorization", "Basic c2VjcmV0OnNlY3JldA==")], "{}");
    assert_eq!(basic.verify(&*acme()).unwrap_err().code(), "missing_header");
}

#[test]
fn a_repeated_header_is_refused() {
    for name in ["x-sinch-webhook-signature", "x-sinch-webhook-signature-nonce", "x-sinch-webhook-signature-timestamp"]
    {
        let mut sent = webhook("secret", "{}");
        let value = sent.headers.get(name).unwrap().clone();
        sent.headers.append(name, value);
        assert_eq!(sent.verify(&*acme()).unwrap_err().code(), "malformed", "{name}");
    }
}

#[test]
fn the_tail_of_a_body_cannot_pass_for_a_nonce() {
    let genuine = webhook("secret", r#"{"a":1}.{"b":2}"#);
    assert_eq!(genuine.verify(&*acme()), Ok(()));
    let mut cut = genuine.set("x-sinch-webhook-signature-nonce", r#"{"b":2}.n"#);
    cut.body = br#"{"a":1}"#.to_vec();
    assert_eq!(cut.verify(&*acme()).unwrap_err().code(), "malformed");
}

#[test]
fn a_signed_time_counts_only_with_a_tolerance() {
    let mut messages = config(Scheme::Sinch, &["secret"]);
    assert_eq!(webhook("secret", "{}").verify_at(&*build("acme", &messages), NOW + 1_000_000), Ok(()));
    messages.tolerance = tolerance(300);
    let acme = build("acme", &messages);
    assert_eq!(webhook("secret", "{}").verify_at(&*acme, NOW + 300), Ok(()));
    assert_eq!(webhook("secret", "{}").verify_at(&*acme, NOW - 301), Err(Refusal::Stale(-301)));

    let mut calls = calls();
    calls.tolerance = tolerance(300);
    let acme = build("acme", &calls);
    assert_eq!(documented().verify_at(&*acme, ACE_SIGNED - 300), Ok(()));
    assert_eq!(documented().verify_at(&*acme, ACE_SIGNED + 301), Err(Refusal::Stale(301)));
    assert_eq!(documented().set("x-timestamp", "soon").verify(&*acme).unwrap_err().code(), "malformed");
}

#[test]
fn a_batch_report_and_a_recipient_report_tell_the_same_fact_under_one_key() {
    let one = read(&json!({"type": "recipient_delivery_report_sms", "batch_id": "b", "recipient": "34", "code": 401,
        "status": "Dispatched", "at": "2026-11-20T18:40:05.017Z"}));
    let all = read(&json!({"type": "delivery_report_sms", "batch_id": "b", "statuses": [
        {"status": "Dispatched", "code": 401, "recipients": ["34", 35, null]},
        {"status": "DELIVERED", "code": 0, "recipients": ["36"]},
        {"status": "Failed", "code": 402, "count": 2},
        {"status": "Failed", "code": 403, "count": 2},
    ]}));
    assert_eq!(one[0].dedupe_key, all[0].dedupe_key);
    let told: Vec<_> = all.iter().map(|event| (event.event_type, event.recipient.as_deref())).collect();
    use EventType::*;
    assert_eq!(
        told,
        [
            (MessageSent, Some("34")),
            (MessageSent, Some("35")),
            (MessageDelivered, Some("36")),
            // Nobody in particular failed.
            (Unknown, None),
            (Unknown, None),
        ]
    );
    let keys: std::collections::BTreeSet<_> = all.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), all.len());
}

#[test]
fn media_from_a_person_have_a_text_and_an_address() {
    let event = read(&json!({"type": "mo_media", "id": "m", "from": "34", "to": "44",
        "body": {"message": "look", "media": [{"url": "https://m.example/1"}]}}))
    .remove(0);
    assert_eq!((event.text.as_deref(), event.url.as_deref()), (Some("look"), Some("https://m.example/1")));
    let binary = read(&json!({"type": "mo_binary", "id": "m", "body": "AAAA", "udh": "00"})).remove(0);
    assert_eq!((binary.event_type, binary.text), (EventType::MessageReceived, None));
}

#[test]
fn a_conversation_tells_of_reports_messages_and_wishes() {
    let time = "2026-11-20T18:40:05Z";
    let failed = read(
        &json!({"accepted_time": time, "message_delivery_report": {"message_id": "m", "status": "FAILED",
        "channel_identity": {"channel": "RCS", "identity": "34"}, "reason": {"code": "UNREACHABLE", "description": "x"}}}),
    );
    assert_eq!((failed[0].event_type, failed[0].dedupe_key.as_str()), (EventType::MessageFailed, "acme:m:RCS:FAILED"));
    assert_eq!((failed[0].reason_code.as_deref(), failed[0].reason.as_deref()), (Some("UNREACHABLE"), Some("x")));
    assert_eq!(failed[0].occurred_at, time.parse().ok());

    let received = read(&json!({"message": {"id": "m", "direction": "TO_APP", "sender_id": "44",
        "channel_identity": {"identity": "34"}, "contact_message": {"text_message": {"text": "Hi"}}}}));
    assert_eq!((received[0].event_type, received[0].text.as_deref()), (EventType::MessageReceived, Some("Hi")));
    assert_eq!((received[0].sender.as_deref(), received[0].recipient.as_deref()), (Some("34"), Some("44")));

    for (field, status, event_type) in [
        ("opt_out_notification", "OPT_OUT_SUCCEEDED", EventType::RecipientOptedOut),
        ("opt_in_notification", "OPT_IN_SUCCEEDED", EventType::RecipientOptedIn),
        ("opt_out_notification", "OPT_OUT_FAILED", EventType::Unknown),
        // Consent is not to be read out of a muddle.
        ("opt_in_notification", "OPT_OUT_SUCCEEDED", EventType::Unknown),
    ] {
        let wish = read(&json!({field: {"request_id": "r", "identity": "34", "channel": "SMS", "status": status}}));
        assert_eq!((wish[0].event_type, wish[0].recipient.as_deref()), (event_type, Some("34")), "{field} {status}");
        assert_eq!(wish[0].dedupe_key, format!("acme:r:{status}"));
    }
}

#[test]
fn a_call_ends_as_its_result_says() {
    use EventType::*;
    for (result, reason, event_type) in [
        ("ANSWERED", "CALLERHANGUP", CallCompleted),
        ("BUSY", "N/A", CallBusy),
        ("NOANSWER", "TIMEOUT", CallNoAnswer),
        ("NOANSWER", "CANCEL", CallCanceled),
        ("FAILED", "NOCREDITPARTNER", CallFailed),
        ("N/A", "N/A", Unknown),
    ] {
        let event = read(&json!({"event": "dice", "callid": "c", "result": result, "reason": reason})).remove(0);
        assert_eq!((event.event_type, event.dedupe_key.as_str()), (event_type, "acme:c:dice"), "{result} {reason}");
        assert_eq!(event.reason_code.is_some(), event_type != CallCompleted);
    }
}

#[test]
fn prompts_and_notices_of_one_call_have_keys_of_their_own() {
    let one = read(&json!({"event": "pie", "callid": "c", "menuResult": {"value": "1"}})).remove(0);
    let two = read(&json!({"event": "pie", "callid": "c", "menuResult": {"value": "2"}})).remove(0);
    assert_eq!(one.event_type, EventType::Unknown);
    assert_ne!(one.dedupe_key, two.dedupe_key);

    let notice = json!({"event": "notify", "callid": "c", "type": "recording_available", "destination": "s3://b/k"});
    let recording = read(&notice).remove(0);
    assert_eq!(recording.event_type, EventType::CallRecordingAvailable);
    assert_eq!(recording.url.as_deref(), Some("s3://b/k"));

    let amd = json!({"status": "machine", "reason": "greeting", "duration": 15});
    let answered = read(&json!({"event": "ace", "callid": "c", "amd": amd}));
    let noticed = read(&json!({"event": "notify", "callid": "c", "type": "amd", "amd": amd}));
    let types: Vec<_> = answered.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [EventType::CallAnswered, EventType::CallMachineDetected]);
    assert_eq!(noticed[0].dedupe_key, answered[1].dedupe_key);
    assert_eq!(read(&json!({"event": "notify", "callid": "c", "type": "amd"})).len(), 1);
}

#[test]
fn fields_of_the_wrong_type_become_an_unknown_event_and_other_bodies_are_unreadable() {
    for body in [
        json!({}),
        json!({"type": 7, "event": {}, "callid": []}),
        json!({"type": "recipient_delivery_report_sms", "batch_id": {}, "recipient": 5, "status": null}),
        json!({"type": "delivery_report_sms", "statuses": {}}),
        json!({"type": "delivery_report_sms", "batch_id": "b", "statuses": [7]}),
        json!({"message_delivery_report": {"message_id": [], "status": {}}}),
        json!({"message": {"direction": "TO_CONTACT"}}),
        json!({"eventId": "e", "eventType": "PROVISIONING_TO_VOICE_PLATFORM", "status": "SUCCEEDED"}),
    ] {
        let events = read(&body);
        assert_eq!((events.len(), events[0].event_type), (1, EventType::Unknown), "{body}");
        assert!(!events[0].provider_message_id.is_empty(), "{body}");
    }
    for body in ["", "[]", "null", "7", "{"] {
        let sent = Sent::new(URL, &[], body);
        assert!(acme().normalise(&sent.callback(&*acme(), Channel::Sms)).is_err(), "{body}");
        assert_eq!(sent.identify(&*acme()), Default::default());
    }
}
