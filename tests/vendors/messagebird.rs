//! MessageBird and Bird: keys, tokens that leave something open, and payloads beyond the samples.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice::{
    config::{Scheme, VendorConfig},
    event::{Channel, Event, EventType},
    vendors::{Refusal, Vendor, build},
};

use crate::{
    support::{FORM, NOW, Sent, config, missing, tolerance, vendor},
    vonage::{HS256, token},
};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status?tenant=acme";
const BODY: &str = r#"{"id":"m-1","status":"delivered"}"#;

fn claims() -> Value {
    let hash = |text: &str| hex::encode(Sha256::digest(text));
    json!({"iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "url_hash": hash(URL), "payload_hash": hash(BODY)})
}

fn with_claims(claims: &Value, secret: &str) -> Sent {
    let token = token(HS256, &claims.to_string(), secret);
    Sent::new(URL, &[("content-type", "application/json"), ("messagebird-signature-jwt", &token)], BODY)
}

fn messagebird(secret: &str) -> Sent {
    with_claims(&claims(), secret)
}

fn bird(secret: &str) -> Sent {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap()
        .chain_update(format!("{NOW}\n{URL}\n"))
        .chain_update(Sha256::digest(BODY));
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let headers = [("messagebird-signature", signature.as_str()), ("messagebird-request-timestamp", &NOW.to_string())];
    Sent::new(URL, &headers, BODY)
}

fn is_no_key(verdict: Result<(), Refusal>) -> bool {
    matches!(verdict, Err(Refusal::NoKey(_)))
}

/// The one event of a request, which identification agrees with.
fn event(vendor: &dyn Vendor, sent: &Sent) -> Event {
    let events = vendor.normalise(&sent.callback(vendor, Channel::Sms)).unwrap();
    let [event] = <[Event; 1]>::try_from(events).unwrap();
    let identity = sent.identify(vendor);
    assert!(identity.dedupe_key.is_none_or(|key| key == event.dedupe_key), "{event:?}");
    assert!(identity.subject.is_none_or(|subject| subject == event.provider_message_id), "{event:?}");
    event
}

#[test]
fn either_of_two_live_keys_may_have_signed_and_a_missing_one_asks_to_try_again() {
    for (scheme, signed) in [(Scheme::Messagebird, messagebird as fn(&str) -> Sent), (Scheme::Bird, bird)] {
        let mut config = config(scheme, &["old", "new"]);
        let acme = build("acme", &config);
        assert_eq!(signed("old").verify(&*acme), Ok(()), "{scheme:?}");
        assert_eq!(signed("new").verify(&*acme), Ok(()), "{scheme:?}");
        assert_eq!(signed("stolen").verify(&*acme), Err(Refusal::Mismatch), "{scheme:?}");
        config.secrets.push(missing());
        let acme = build("acme", &config);
        assert_eq!(signed("new").verify(&*acme), Ok(()), "{scheme:?}");
        assert!(is_no_key(signed("stolen").verify(&*acme)), "{scheme:?}");
        assert!(is_no_key(Sent::new(URL, &[], BODY).verify(&*acme)), "{scheme:?}");
        assert!(is_no_key(signed("").verify(&*vendor("acme", scheme, &[""]))), "{scheme:?}: a blank key is nobody's");
    }
}

#[test]
fn a_signature_that_is_there_twice_is_refused() {
    for (scheme, sent, header) in [
        (Scheme::Messagebird, messagebird("key"), "messagebird-signature-jwt"),
        (Scheme::Bird, bird("key"), "messagebird-signature"),
        (Scheme::Bird, bird("key"), "messagebird-request-timestamp"),
    ] {
        let mut twice = sent;
        let value = HeaderValue::from(&twice.headers[header]);
        twice.headers.append(header, value);
        assert_eq!(twice.verify(&*vendor("acme", scheme, &["key"])).unwrap_err().code(), "malformed", "{header}");
    }
}

#[test]
fn a_token_must_say_whose_it_is_for_which_url_and_how_long() {
    let acme = vendor("acme", Scheme::Messagebird, &["key"]);
    for (claim, code) in [
        ("iss", "unknown"),
        ("nbf", "malformed"),
        ("exp", "malformed"),
        ("url_hash", "malformed"),
        ("payload_hash", "malformed"),
    ] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(claim);
        assert_eq!(with_claims(&without, "key").verify(&*acme).unwrap_err().code(), code, "{claim}");
    }
}

#[test]
fn a_token_is_good_to_the_second_beyond_its_minute_and_longer_where_configured() {
    let acme = vendor("acme", Scheme::Messagebird, &["key"]);
    let sent = messagebird("key");
    assert_eq!(sent.verify_at(&*acme, NOW - 1), Ok(()));
    assert_eq!(sent.verify_at(&*acme, NOW - 2), Err(Refusal::Stale(-2)));
    assert_eq!(sent.verify_at(&*acme, NOW + 60), Ok(()));
    assert_eq!(sent.verify_at(&*acme, NOW + 61), Err(Refusal::Stale(1)));
    let config = VendorConfig { tolerance: tolerance(300), ..config(Scheme::Messagebird, &["key"]) };
    assert_eq!(sent.verify_at(&*build("acme", &config), NOW + 300), Ok(()));
}

#[test]
fn the_age_of_birds_timestamp_is_looked_at_only_where_configured() {
    let sent = bird("key");
    assert_eq!(sent.verify_at(&*vendor("acme", Scheme::Bird, &["key"]), NOW + 86_400), Ok(()));
    let config = VendorConfig { tolerance: tolerance(300), ..config(Scheme::Bird, &["key"]) };
    assert_eq!(sent.verify_at(&*build("acme", &config), NOW + 300), Ok(()));
    assert_eq!(sent.verify_at(&*build("acme", &config), NOW + 301), Err(Refusal::Stale(301)));
    let odd = sent.set("messagebird-request-timestamp", "soon");
    assert_eq!(odd.verify(&*vendor("acme", Scheme::Bird, &["key"])).unwrap_err().code(), "malformed");
}

#[test]
fn a_status_report_reads_alike_by_query_form_and_json() {
    let acme = vendor("acme", Scheme::Messagebird, &["key"]);
    // The example in MessageBird's documentation leaves the plus sign of the offset as it is.
    let fields = "id=m-1&recipient=316&status=delivery_failed&statusReason=unknown+subscriber&statusErrorCode=1&\
        statusDatetime=2026-11-20T19:39:59+01:00";
    let json = json!({"id": "m-1", "recipient": 316, "status": "delivery_failed", "statusErrorCode": 1,
        "statusReason": "unknown subscriber", "statusDatetime": "2026-11-20T19:39:59+01:00"});
    let of_json = event(&*acme, &Sent::new(URL, &[], json.to_string()));
    assert_eq!(of_json.event_type, EventType::MessageUndelivered);
    assert_eq!(of_json.dedupe_key, "acme:m-1:316:delivery_failed");
    assert_eq!(of_json.reason_code.as_deref(), Some("1"));
    assert_eq!(of_json.reason.as_deref(), Some("unknown subscriber"));
    assert_eq!(of_json.occurred_at.unwrap().to_rfc3339(), "2026-11-20T18:39:59+00:00");
    let of_form = event(&*acme, &Sent::new(URL, &[("content-type", FORM)], fields));
    assert_eq!(of_form, of_json);
    let url = format!("https://hooks.example.net/incoming/acme/sms/status?{fields}");
    let of_query = event(&*acme, &Sent { method: Method::GET, ..Sent::new(&url, &[], "") });
    assert_eq!(of_query, of_json);
}

#[test]
fn an_inbound_message_is_told_from_a_report_that_names_its_originator() {
    let acme = vendor("acme", Scheme::Messagebird, &["key"]);
    let inbound = "id=m-1&recipient=319&originator=316&body=Hola";
    let received = event(&*acme, &Sent::new(URL, &[("content-type", FORM)], inbound));
    assert_eq!((received.event_type, received.dedupe_key.as_str()), (EventType::MessageReceived, "acme:m-1:received"));
    assert_eq!(received.text.as_deref(), Some("Hola"));
    let report = event(&*acme, &Sent::new(URL, &[("content-type", FORM)], format!("{inbound}&status=sent")));
    assert_eq!((report.event_type, report.text), (EventType::MessageSent, None));
}

#[test]
fn what_cannot_be_told_is_kept_as_unknown_and_apart() {
    for (scheme, bodies) in [
        (Scheme::Messagebird, ["{}", r#"{"id":"m-1"}"#, r#"{"id":["x"],"status":7}"#, r#"{"status":"sent"}"#]),
        (
            Scheme::Bird,
            [
                "{}",
                r#"{"event":"sms.outbound","payload":[]}"#,
                r#"{"event":"sms.interaction","payload":{"id":"m-1","status":"delivered"}}"#,
                r#"{"event":7,"payload":{"id":"m-1","status":{}}}"#,
            ],
        ),
    ] {
        let acme = vendor("acme", scheme, &["key"]);
        let keys: std::collections::BTreeSet<_> =
            bodies.iter().map(|body| event(&*acme, &Sent::new(URL, &[], *body)).dedupe_key).collect();
        assert_eq!(keys.len(), bodies.len(), "{keys:?}");
        for body in ["[]", "null", "hello"] {
            assert!(acme.normalise(&Sent::new(URL, &[], body).callback(&*acme, Channel::Sms)).is_err(), "{body}");
        }
    }
}

#[test]
fn an_inbound_message_of_bird_is_received_though_its_status_is_delivered() {
    let acme = vendor("acme", Scheme::Bird, &["key"]);
    let body = json!({"service": "channels", "event": "sms.inbound", "payload": {"id": "m-1", "status": "delivered",
        "sender": {"contact": {"identifierValue": "+316"}}, "receiver": {"connector": {"identifierValue": "+3197"}},
        "body": {"type": "text", "text": {"text": "Hola"}}, "createdAt": "2026-11-20T18:40:00Z"}});
    let received = event(&*acme, &Sent::new(URL, &[], body.to_string()));
    assert_eq!((received.event_type, received.dedupe_key.as_str()), (EventType::MessageReceived, "acme:m-1:received"));
    assert_eq!((received.sender.as_deref(), received.recipient.as_deref()), (Some("+316"), Some("+3197")));
    assert_eq!(received.text.as_deref(), Some("Hola"));
    assert!(received.occurred_at.is_some());
}
