//! Vonage: whose secret counts, what a token or a `sig` leaves open, and payloads beyond the samples.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice::{
    config::{Legacy, Scheme, Secret, VendorConfig},
    event::{Channel, Event, EventType},
    vendors::{Refusal, Vendor, build},
};

use crate::support::{FORM, NOW, Sent, config, missing, tolerance, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";
const STATUS: &str = r#"{"message_uuid":"m-1","to":"34","from":"44","status":"delivered"}"#;

pub fn token(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

pub const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn claims(api_key: &str, body: &str) -> Value {
    json!({"iat": NOW, "iss": "Vonage", "api_key": api_key, "payload_hash": hex::encode(Sha256::digest(body))})
}

fn bearer(token: &str, body: &str) -> Sent {
    Sent::new(URL, &[("content-type", "application/json"), ("authorization", &format!("Bearer {token}"))], body)
}

/// A callback of this account, signed with this secret.
fn signed(api_key: &str, secret: &str) -> Sent {
    bearer(&token(HS256, &claims(api_key, STATUS).to_string(), secret), STATUS)
}

fn get(query: &str) -> Sent {
    Sent { method: Method::GET, ..Sent::new(&format!("{URL}?{query}"), &[], "") }
}

/// Parameters, already sorted and without anything to escape, with their HMAC-SHA256.
fn with_sig(parameters: &str, secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("&{parameters}"));
    format!("{parameters}&sig={}", hex::encode(mac.finalize().into_bytes()))
}

fn legacy(secrets: &[&str]) -> VendorConfig {
    VendorConfig { legacy: Some(Legacy::VonageSha256), ..config(Scheme::Vonage, secrets) }
}

fn is_no_key(verdict: Result<(), Refusal>) -> bool {
    matches!(verdict, Err(Refusal::NoKey(_)))
}

/// The one event of a request, which identification agrees with.
fn event(vendor: &dyn Vendor, sent: &Sent) -> Event {
    let events = vendor.normalise(&sent.callback(vendor, Channel::Voice)).unwrap();
    let [event] = <[Event; 1]>::try_from(events).unwrap();
    let identity = sent.identify(vendor);
    assert!(identity.dedupe_key.is_none_or(|key| key == event.dedupe_key), "{event:?}");
    assert!(identity.subject.is_none_or(|subject| subject == event.provider_message_id), "{event:?}");
    event
}

fn json_event(body: &Value) -> Event {
    let vendor = vendor("acme", Scheme::Vonage, &["secret"]);
    event(&*vendor, &Sent::new(URL, &[("content-type", "application/json")], body.to_string()))
}

#[test]
fn either_of_two_live_secrets_may_have_signed_and_a_missing_one_asks_to_try_again() {
    let mut config = config(Scheme::Vonage, &["old", "new"]);
    let acme = build("acme", &config);
    assert_eq!(signed("a", "old").verify(&*acme), Ok(()));
    assert_eq!(signed("a", "new").verify(&*acme), Ok(()));
    assert_eq!(signed("a", "stolen").verify(&*acme), Err(Refusal::Mismatch));

    config.secrets.push(missing());
    let acme = build("acme", &config);
    assert_eq!(signed("a", "new").verify(&*acme), Ok(()));
    assert!(is_no_key(signed("a", "stolen").verify(&*acme)));
    assert!(is_no_key(Sent::new(URL, &[], STATUS).verify(&*acme)));
    let none = token(r#"{"alg":"none"}"#, &claims("a", STATUS).to_string(), "new");
    assert_eq!(bearer(&none, STATUS).verify(&*acme).unwrap_err().code(), "unknown", "no key could make it right");
}

#[test]
fn an_account_with_secrets_of_its_own_is_verified_by_those_alone() {
    let mut config = config(Scheme::Vonage, &["main"]);
    config.accounts.insert("sub".into(), vec![Ok(Secret::new("old")), Ok(Secret::new("new"))]);
    let acme = build("acme", &config);
    assert_eq!(signed("sub", "old").verify(&*acme), Ok(()));
    assert_eq!(signed("sub", "new").verify(&*acme), Ok(()));
    assert_eq!(signed("other", "main").verify(&*acme), Ok(()));
    assert_eq!(signed("sub", "main").verify(&*acme), Err(Refusal::Mismatch));
    assert_eq!(signed("other", "new").verify(&*acme), Err(Refusal::Mismatch));

    config.secrets.clear();
    let acme = build("acme", &config);
    assert_eq!(signed("sub", "new").verify(&*acme), Ok(()));
    assert_eq!(signed("other", "new").verify(&*acme).unwrap_err().code(), "unknown");
    let nameless = token(HS256, &json!({"iat": NOW}).to_string(), "new");
    assert_eq!(bearer(&nameless, STATUS).verify(&*acme).unwrap_err().code(), "unknown");

    config.accounts.insert("late".into(), vec![missing()]);
    let acme = build("acme", &config);
    assert_eq!(signed("sub", "new").verify(&*acme), Ok(()));
    assert!(is_no_key(signed("late", "new").verify(&*acme)));
    assert!(is_no_key(Sent::new(URL, &[], STATUS).verify(&*acme)), "so that a check at start finds it");
}

#[test]
fn a_repeated_header_and_claims_of_two_readings_are_refused() {
    let acme = vendor("acme", Scheme::Vonage, &["secret"]);
    let mut twice = signed("a", "secret");
    twice.headers.append("authorization", HeaderValue::from_static("Bearer x"));
    assert_eq!(twice.verify(&*acme).unwrap_err().code(), "malformed");

    let hash = hex::encode(Sha256::digest(STATUS));
    for claims in [
        format!(r#"{{"payload_hash":"{hash}","payload_hash":"{hash}"}}"#),
        format!(r#"{{"payload_hash":["{hash}"]}}"#),
        format!(r#"{{"payload_hash":"{hash}","exp":"never"}}"#),
        r#"{"payload_hash":null}"#.into(),
        "[]".into(),
        "null".into(),
    ] {
        let sent = bearer(&token(HS256, &claims, "secret"), STATUS);
        assert_eq!(sent.verify(&*acme).unwrap_err().code(), "malformed", "{claims}");
    }
    let good = claims("a", STATUS).to_string();
    for header in [r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"alg":"hs256"}"#, r#"{"alg":"HS384"}"#] {
        let sent = bearer(&token(header, &good, "secret"), STATUS);
        assert_eq!(sent.verify(&*acme).unwrap_err().code(), "unknown", "{header}");
    }
    assert_eq!(bearer(&format!("{}=", token(HS256, &good, "secret")), STATUS).verify(&*acme), Err(Refusal::Mismatch));
    assert_eq!(bearer("..", STATUS).verify(&*acme).unwrap_err().code(), "malformed");
}

#[test]
fn only_a_get_may_come_with_neither_body_nor_hash() {
    let acme = vendor("acme", Scheme::Vonage, &["secret"]);
    let unbound = format!("Bearer {}", token(HS256, &json!({"iat": NOW, "iss": "Vonage"}).to_string(), "secret"));
    let sent = get("uuid=c-1&status=ringing").set("authorization", &unbound);
    assert_eq!(sent.verify(&*acme), Ok(()));
    assert_eq!(event(&*acme, &sent).dedupe_key, "acme:c-1:ringing");
    let post = Sent { method: Method::POST, ..sent.clone() };
    assert_eq!(post.verify(&*acme).unwrap_err().code(), "malformed");
    let with_body = Sent { body: b"{}".into(), ..sent };
    assert_eq!(with_body.verify(&*acme).unwrap_err().code(), "malformed");
    let of_nothing = format!("Bearer {}", token(HS256, &claims("a", "").to_string(), "secret"));
    assert_eq!(get("uuid=c-1").set("authorization", &of_nothing).verify(&*acme), Ok(()));
    // What a POST was signed with opens no GET.
    let of_body = format!("Bearer {}", token(HS256, &claims("a", STATUS).to_string(), "secret"));
    assert_eq!(get("uuid=c-1").set("authorization", &of_body).verify(&*acme), Err(Refusal::Mismatch));
}

#[test]
fn sig_counts_only_where_it_is_asked_for_and_no_token_came() {
    let query = with_sig("messageId=m-1&status=delivered", "secret");
    let plain = vendor("acme", Scheme::Vonage, &["secret"]);
    assert_eq!(get(&query).verify(&*plain).unwrap_err().code(), "missing_header");

    let acme = build("acme", &legacy(&["old", "secret"]));
    assert_eq!(get(&query).verify(&*acme), Ok(()));
    assert_eq!(get("messageId=m-1").verify(&*acme).unwrap_err().code(), "missing_header");
    assert_eq!(get(&query.replace("delivered", "failed")).verify(&*acme), Err(Refusal::Mismatch));
    assert_eq!(signed("a", "secret").verify(&*acme), Ok(()), "tokens stay");
    let both = get(&query).set("authorization", "Bearer x.y.z");
    assert_eq!(both.verify(&*acme).unwrap_err().code(), "malformed", "a token is not overlooked");
}

#[test]
fn parameters_that_could_be_read_in_two_ways_are_refused() {
    let acme = build("acme", &legacy(&["secret"]));
    let signed = with_sig("messageId=m-1&status=delivered&type=text", "secret");
    assert_eq!(get(&signed).verify(&*acme), Ok(()));
    // The same text with one parameter hidden in the name of another.
    let hidden = signed.replace("status=delivered&type=text", "status%3Ddelivered%26type=text");
    assert_eq!(get(&hidden).verify(&*acme).unwrap_err().code(), "malformed");
    for repeated in [format!("{signed}&status=failed"), format!("{signed}&sig=00"), format!("status=failed&{signed}")] {
        assert_eq!(get(&repeated).verify(&*acme).unwrap_err().code(), "malformed", "{repeated}");
    }
    // Where there is a body, nothing in the query counts.
    let body = Sent { body: b"a=b".into(), ..get(&signed).set("content-type", FORM) };
    assert_eq!(body.verify(&*acme).unwrap_err().code(), "missing_header");
    let nested = Sent::new(URL, &[("content-type", "application/json")], r#"{"sig":"00","a":{"b":1}}"#);
    assert_eq!(nested.verify(&*acme).unwrap_err().code(), "malformed");
    let countless = get(&"a&".repeat(2_000));
    assert_eq!(countless.verify(&*acme).unwrap_err().code(), "malformed");
}

#[test]
fn the_age_of_a_sig_and_the_account_that_it_names_are_looked_at_where_configured() {
    let mut config = VendorConfig { tolerance: tolerance(300), ..legacy(&[]) };
    config.accounts.insert("sub".into(), vec![Ok(Secret::new("secret"))]);
    let acme = build("acme", &config);
    let aged = |timestamp: &str| get(&with_sig(&format!("api-key=sub&timestamp={timestamp}"), "secret"));
    assert_eq!(aged(&NOW.to_string()).verify(&*acme), Ok(()));
    assert_eq!(aged(&(NOW - 301).to_string()).verify(&*acme), Err(Refusal::Stale(301)));
    assert_eq!(aged("now").verify(&*acme).unwrap_err().code(), "malformed");
    let other = get(&with_sig(&format!("api-key=other&timestamp={NOW}"), "secret"));
    assert_eq!(other.verify(&*acme).unwrap_err().code(), "unknown");
}

#[test]
fn a_receipt_reads_alike_by_query_form_and_json() {
    let acme = vendor("acme", Scheme::Vonage, &["secret"]);
    let fields = "msisdn=4475&to=Acme&messageId=m-1&status=failed&err-code=9&message-timestamp=2026-11-20+18%3A40%3A29";
    let json = json!({"msisdn": "4475", "to": "Acme", "messageId": "m-1", "status": "failed", "err-code": "9",
        "message-timestamp": "2026-11-20 18:40:29"});
    let of_json = json_event(&json);
    assert_eq!(of_json.event_type, EventType::MessageFailed);
    assert_eq!(of_json.dedupe_key, "acme:m-1:failed");
    assert_eq!((of_json.recipient.as_deref(), of_json.sender.as_deref()), (Some("4475"), Some("Acme")));
    assert_eq!(of_json.reason_code.as_deref(), Some("9"));
    assert_eq!(of_json.occurred_at.unwrap().to_rfc3339(), "2026-11-20T18:40:29+00:00");
    assert_eq!(event(&*acme, &get(fields)), of_json);
    assert_eq!(event(&*acme, &Sent::new(URL, &[("content-type", FORM)], fields)), of_json);
}

#[test]
fn parts_of_a_long_message_and_steps_of_machine_detection_are_facts_of_their_own() {
    let part = |part: &str| json_event(&json!({"messageId": "m-1", "type": "text", "concat-part": part})).dedupe_key;
    assert_eq!(part("1"), "acme:m-1:received:1");
    assert_ne!(part("1"), part("2"));
    let machine = |step: Value| json_event(&json!({"call_uuid": "c-1", "status": "machine", "sub_state": step}));
    assert_eq!(machine(Value::Null).dedupe_key, "acme:c-1:machine");
    assert_eq!(machine(json!("beep_start")).dedupe_key, "acme:c-1:machine:beep_start");
    assert_eq!(machine(json!("beep_start")).event_type, EventType::CallMachineDetected);
}

#[test]
fn a_recording_tells_where_it_is_and_how_long() {
    let event = json_event(&json!({"start_time": "2026-11-20T18:40:00Z", "end_time": "2026-11-20T18:40:09.400Z",
        "recording_url": "https://api.nexmo.com/v1/files/r-1", "recording_uuid": "r-1", "size": 12222,
        "conversation_uuid": "CON-1", "timestamp": "2026-11-20T18:40:10Z"}));
    assert_eq!(event.event_type, EventType::CallRecordingAvailable);
    assert_eq!((event.provider_message_id.as_str(), event.dedupe_key.as_str()), ("CON-1", "acme:CON-1:recording:r-1"));
    assert_eq!(event.url.as_deref(), Some("https://api.nexmo.com/v1/files/r-1"));
    assert_eq!(event.duration_s, Some(9));
}

#[test]
fn what_has_no_status_is_kept_as_unknown_and_apart() {
    let input = |digits: &str| json_event(&json!({"uuid": "c-1", "dtmf": {"digits": digits}}));
    assert_eq!(input("1").event_type, EventType::Unknown);
    assert_eq!(input("1").provider_message_id, "c-1");
    assert_eq!(input("1"), input("1"));
    assert_ne!(input("1").dedupe_key, input("2").dedupe_key);
    let error = json_event(&json!({"reason": "Syntax error in NCCO", "conversation_uuid": "CON-1"}));
    assert_eq!((error.event_type, error.provider_message_id.as_str()), (EventType::Unknown, "CON-1"));
    assert_eq!(error.reason.as_deref(), Some("Syntax error in NCCO"));
    let strange = json_event(&json!({"message_uuid": 7, "status": ["x"], "timestamp": {}, "error": "x"}));
    assert_eq!((strange.event_type, strange.provider_message_id.as_str()), (EventType::Unknown, "7"));
    assert!(!json_event(&json!({})).provider_message_id.is_empty());

    let acme = vendor("acme", Scheme::Vonage, &["secret"]);
    for body in ["[]", "null", "hello", "\u{feff}{}"] {
        assert!(acme.normalise(&Sent::new(URL, &[], body).callback(&*acme, Channel::Sms)).is_err(), "{body}");
    }
}

#[test]
fn json_does_not_become_a_form_by_its_content_type() {
    let acme = vendor("acme", Scheme::Vonage, &["secret"]);
    let text = "&message_uuid=m-2&status=rejected&to=34&";
    let body = json!({"message_uuid": "m-1", "from": "44", "message_type": "text", "text": text}).to_string();
    let sent = bearer(&token(HS256, &claims("a", &body).to_string(), "secret"), &body).set("content-type", FORM);
    assert_eq!(sent.verify(&*acme), Ok(()));
    let event = event(&*acme, &sent);
    assert_eq!((event.event_type, event.provider_message_id.as_str()), (EventType::MessageReceived, "m-1"));
}
