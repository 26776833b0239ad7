//! Telnyx beyond the vectors: its keys, its tolerance, several recipients, and odd JSON.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sluice::{
    config::Scheme,
    event::{Channel, Event, EventType},
    vendors::{Refusal, Vendor, build},
};

use crate::support::{NOW, Sent, config, missing, tolerance, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying_key().as_bytes())
}

fn signed(key: &SigningKey, body: &str) -> Sent {
    let signature = STANDARD.encode(key.sign(format!("{NOW}|{body}").as_bytes()).to_bytes());
    let headers = [("telnyx-signature-ed25519", signature.as_str()), ("telnyx-timestamp", &NOW.to_string())];
    Sent::new(URL, &headers, body)
}

fn acme() -> Arc<dyn Vendor> {
    vendor("acme", Scheme::Telnyx, &[&public(&key(1))])
}

fn read(body: &Value) -> Vec<Event> {
    let sent = Sent::new(URL, &[], body.to_string());
    acme().normalise(&sent.callback(&*acme(), Channel::Sms)).unwrap()
}

#[test]
fn either_of_two_live_keys_may_have_signed_and_a_missing_one_is_our_fault() {
    let two = vendor("acme", Scheme::Telnyx, &[&public(&key(1)), &public(&key(2))]);
    assert_eq!(signed(&key(1), "{}").verify(&*two), Ok(()));
    assert_eq!(signed(&key(2), "{}").verify(&*two), Ok(()));
    assert_eq!(signed(&key(3), "{}").verify(&*two), Err(Refusal::Mismatch));

    let mut config = config(Scheme::Telnyx, &[&public(&key(1))]);
    config.secrets.push(missing());
    let acme = build("acme", &config);
    assert_eq!(signed(&key(1), "{}").verify(&*acme), Ok(()));
    assert_eq!(signed(&key(2), "{}").verify(&*acme).unwrap_err().code(), "no_key");
}

#[test]
fn a_key_that_is_none_or_weak_is_our_fault() {
    let neutral = STANDARD.encode([1_u8].iter().chain(&[0; 31]).copied().collect::<Vec<u8>>());
    for secret in ["hunter2!", "aHVudGVyMg==", &neutral] {
        let refusal = signed(&key(1), "{}").verify(&*vendor("acme", Scheme::Telnyx, &[secret])).unwrap_err();
        assert_eq!(refusal.code(), "no_key");
        assert!(!refusal.to_string().contains(secret), "{refusal}");
    }
}

#[test]
fn a_configured_tolerance_replaces_the_usual_one() {
    let with = |seconds| {
        let mut config = config(Scheme::Telnyx, &[&public(&key(1))]);
        config.tolerance = tolerance(seconds);
        build("acme", &config)
    };
    let sent = signed(&key(1), "{}");
    assert_eq!(sent.verify_at(&*acme(), NOW - 300), Ok(()));
    assert_eq!(sent.verify_at(&*with(10), NOW + 11), Err(Refusal::Stale(11)));
    assert_eq!(sent.verify_at(&*with(10), NOW - 11), Err(Refusal::Stale(-11)));
    assert_eq!(sent.verify_at(&*with(3600), NOW + 3600), Ok(()));
}

#[test]
fn a_repeated_header_is_refused() {
    for name in ["telnyx-signature-ed25519", "telnyx-timestamp"] {
        let mut sent = signed(&key(1), "{}");
        let value = sent.headers.get(name).unwrap().clone();
        sent.headers.append(name, value);
        assert_eq!(sent.verify(&*acme()).unwrap_err().code(), "malformed", "{name}");
    }
}

#[test]
fn a_signature_rewritten_without_the_key_is_refused() {
    // The order of the group, little end first: s + order fits the same equation as s.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let sent = signed(&key(1), "{}");
    let mut signature = STANDARD.decode(sent.headers["telnyx-signature-ed25519"].as_bytes()).unwrap();
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    let rewritten = sent.set("telnyx-signature-ed25519", &STANDARD.encode(signature));
    assert_eq!(rewritten.verify(&*acme()), Err(Refusal::Mismatch));
}

fn finalized(to: Value) -> Value {
    json!({"data": {"event_type": "message.finalized", "id": "e1", "occurred_at": "2026-11-20T18:40:03Z",
        "payload": {"id": "m1", "to": to, "from": {"phone_number": "+15"}, "errors": [{"code": "40008"}]}},
        "meta": {"attempt": 1}})
}

#[test]
fn each_of_several_recipients_has_an_event_and_a_key_of_its_own() {
    let body = finalized(json!([
        {"phone_number": "+1", "status": "delivered"},
        {"phone_number": "+2", "status": "delivery_failed"},
        {"status": "queued"},
        7,
    ]));
    let told: Vec<_> = read(&body)
        .into_iter()
        .map(|event| (event.event_type, event.dedupe_key, event.recipient, event.reason_code))
        .collect();
    let code = || Some("40008".to_owned());
    assert_eq!(
        told,
        [
            (EventType::MessageDelivered, "acme:e1:+1".into(), Some("+1".into()), None),
            (EventType::MessageUndelivered, "acme:e1:+2".into(), Some("+2".into()), code()),
            (EventType::MessageQueued, "acme:e1:2".into(), None, code()),
            (EventType::Unknown, "acme:e1:7".into(), Some("7".into()), code()),
        ]
    );
    let identity = Sent::new(URL, &[], body.to_string()).identify(&*acme());
    assert_eq!((identity.subject.as_deref(), identity.dedupe_key), (Some("m1"), None));
}

#[test]
fn another_attempt_is_the_same_event_even_without_an_id() {
    let mut body = finalized(json!([{"phone_number": "+1", "status": "delivered"}]));
    let identity = Sent::new(URL, &[], body.to_string()).identify(&*acme());
    assert_eq!(identity.dedupe_key.as_deref(), Some("acme:e1"));
    for without in [None, Some("id")] {
        body["meta"]["attempt"] = json!(1);
        without.map(|name| body["data"].as_object_mut().unwrap().remove(name));
        let first = read(&body);
        body["meta"]["attempt"] = json!(2);
        assert_eq!(read(&body), first);
    }
    assert_eq!(Sent::new(URL, &[], body.to_string()).identify(&*acme()), Default::default());
}

#[test]
fn a_keyword_that_telnyx_answered_is_an_event_about_who_wrote() {
    for (word, event_type, key) in [
        ("STOP", EventType::RecipientOptedOut, "acme:m1:optout"),
        ("opt_out", EventType::RecipientOptedOut, "acme:m1:optout"),
        ("START", EventType::RecipientOptedIn, "acme:m1:optin"),
        ("HELP", EventType::RecipientHelp, "acme:m1:help"),
        ("PIZZA", EventType::Unknown, "acme:m1:optout:PIZZA"),
    ] {
        let events = read(&json!({"data": {"event_type": "message.received", "id": "e1", "payload": {"id": "m1",
            "from": {"phone_number": "+1"}, "to": [{"phone_number": "+2"}], "text": "x", "autoresponse_type": word}}}));
        let [received, wish] = &events[..] else { panic!("{events:?}") };
        assert_eq!((received.sender.as_deref(), received.recipient.as_deref()), (Some("+1"), Some("+2")));
        assert_eq!((wish.sender.as_deref(), wish.recipient.as_deref()), (Some("+2"), Some("+1")));
        assert_eq!((wish.event_type, wish.dedupe_key.as_str(), wish.provider_status.as_str()), (event_type, key, word));
    }
}

#[test]
fn a_call_tells_its_recording_what_answered_and_why_it_failed() {
    let call = |name: &str, payload: Value| {
        read(&json!({"data": {"event_type": name, "id": "e1", "payload": payload}})).remove(0)
    };
    let saved =
        call("call.recording.saved", json!({"call_leg_id": "c", "recording_urls": {"wav": "https://r.example/w"}}));
    assert_eq!(saved.event_type, EventType::CallRecordingAvailable);
    assert_eq!((saved.url.as_deref(), saved.provider_message_id.as_str()), (Some("https://r.example/w"), "c"));
    let human =
        call("call.machine.premium.detection.ended", json!({"call_session_id": "s", "result": "human_business"}));
    assert_eq!((human.event_type, human.provider_message_id.as_str()), (EventType::CallAnswered, "s"));
    let rejected = call("call.hangup", json!({"hangup_cause": "call_rejected", "sip_hangup_cause": "603"}));
    assert_eq!((rejected.event_type, rejected.reason_code.as_deref()), (EventType::CallFailed, Some("603")));
    let new = call("call.hangup", json!({"hangup_cause": "meteorite"}));
    assert_eq!((new.event_type, new.provider_status.as_str()), (EventType::Unknown, "call.hangup:meteorite"));
    assert_eq!(call("call.bridged", json!({})).event_type, EventType::Unknown);
}

#[test]
fn fields_of_the_wrong_type_become_an_unknown_event_and_other_bodies_are_unreadable() {
    for data in [
        json!({}),
        json!({"payload": []}),
        json!({"id": [], "event_type": 7, "payload": {"id": {}}}),
        json!({"event_type": "message.finalized", "payload": {"to": "x", "errors": {}}}),
        json!({"event_type": "call.hangup", "payload": {"hangup_cause": null, "to": {"phone_number": []}}}),
    ] {
        let events = read(&json!({"data": data}));
        assert_eq!((events.len(), events[0].event_type), (1, EventType::Unknown), "{data}");
        assert!(events[0].dedupe_key.starts_with("acme:sha256-"), "{data}");
        assert!(!events[0].provider_message_id.is_empty());
    }
    for body in ["", "{}", "[]", "null", "{\"data\":[]}", "{\"data\":7}", "MessageSid=SM1"] {
        let sent = Sent::new(URL, &[], body);
        assert!(acme().normalise(&sent.callback(&*acme(), Channel::Sms)).is_err(), "{body}");
        assert_eq!(sent.identify(&*acme()), Default::default());
    }
}
