//! Mandrill: which signatures count, the probe of a new webhook, and what the vectors leave open of its events.

use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::byte_serialize;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sluice::{
    config::Scheme,
    event::{Channel, Event, EventType},
    vendors::{Handshake, Refusal, build},
};

use crate::support::{FORM, Sent, config, missing, vendor};

const URL: &str = "https://hooks.example.net/incoming/mandrill/email/events";

/// A form, signed over the text that its decoded pairs make.
fn signed(key: &str, text: &str, body: &str) -> Sent {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{URL}{text}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Sent::new(URL, &[("content-type", FORM), ("x-mandrill-signature", &signature)], body)
}

fn empty(key: &str) -> Sent {
    signed(key, "mandrill_events[]", "mandrill_events=%5B%5D")
}

fn events(batch: &Value) -> Vec<Event> {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["key"]);
    let body = format!("mandrill_events={}", byte_serialize(batch.to_string().as_bytes()).collect::<String>());
    mandrill.normalise(&Sent::new(URL, &[("content-type", FORM)], body).callback(&*mandrill, Channel::Email)).unwrap()
}

#[test]
fn either_of_two_live_keys_may_have_signed() {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["old", "new"]);
    assert_eq!(empty("old").verify(&*mandrill), Ok(()));
    assert_eq!(empty("new").verify(&*mandrill), Ok(()));
    assert_eq!(empty("stolen").verify(&*mandrill), Err(Refusal::Mismatch));
}

#[test]
fn beside_a_missing_key_only_a_good_signature_passes() {
    let mut config = config(Scheme::Mandrill, &["key"]);
    config.secrets.push(missing());
    let mandrill = build("mandrill", &config);
    assert_eq!(empty("key").verify(&*mandrill), Ok(()));
    assert!(matches!(empty("other").verify(&*mandrill), Err(Refusal::NoKey(_))));
}

#[test]
fn a_new_webhook_is_probed_before_its_key_is_known() {
    let mut config = config(Scheme::Mandrill, &[]);
    config.secrets.push(missing());
    let mandrill = build("mandrill", &config);
    assert_eq!(mandrill.probe(&empty("test-webhook").request()), Some(Handshake::Answer(None)));
}

#[test]
fn the_well_known_key_vouches_for_nothing_and_only_an_empty_batch_is_a_probe() {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["key"]);
    assert_eq!(empty("test-webhook").verify(&*mandrill), Err(Refusal::Mismatch));
    for (text, body) in [
        ("mandrill_events[{}]", "mandrill_events=%5B%7B%7D%5D"),
        ("a1mandrill_events[]", "mandrill_events=%5B%5D&a=1"),
        ("mandrill_events[]mandrill_events[]", "mandrill_events=%5B%5D&mandrill_events=%5B%5D"),
        ("mandrill_events[ ]", "mandrill_events=%5B+%5D"),
        // The same signed text, cut elsewhere.
        ("mandrill_events[]", "mandrill_event=s%5B%5D"),
        ("mandrill_events[]", "mandrill_events%5B%5D"),
        ("mandrill_events", "mandrill_events="),
    ] {
        let sent = signed("test-webhook", text, body);
        assert_eq!(sent.verify(&*mandrill), Err(Refusal::Mismatch), "{body}");
        assert_eq!(mandrill.probe(&sent.request()), None, "{body}");
        assert_eq!(signed("key", text, body).verify(&*mandrill), Ok(()), "{body}");
    }
}

#[test]
fn a_request_without_a_form_or_with_a_second_signature_is_refused() {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["key"]);
    assert_eq!(signed("key", "", "").verify(&*mandrill).unwrap_err().code(), "malformed");
    let mut twice = empty("key");
    let signature = twice.headers["x-mandrill-signature"].clone();
    twice.headers.append("x-mandrill-signature", signature);
    assert_eq!(twice.verify(&*mandrill).unwrap_err().code(), "malformed");
}

#[test]
fn repeated_fields_are_all_signed_and_leave_open_which_batch_counts() {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["key"]);
    let sent = signed("key", "mandrill_events[1]mandrill_events[1]", "mandrill_events=[1]&mandrill_events=[1]");
    assert_eq!(sent.verify(&*mandrill), Ok(()));
    assert!(mandrill.normalise(&sent.callback(&*mandrill, Channel::Email)).is_err());
    let once = signed("key", "mandrill_events[1]", "mandrill_events=[1]&mandrill_events=[1]");
    assert_eq!(once.verify(&*mandrill), Err(Refusal::Mismatch));
}

#[test]
fn two_links_followed_within_a_second_are_two_clicks() {
    let click = |url: &str| json!({"event": "click", "_id": "m1", "ts": 1_795_200_000, "url": url, "msg": {}});
    let events = events(&json!([click("https://example.com/a"), click("https://example.com/b")]));
    assert_eq!(events[0].dedupe_key, "mandrill:m1:click:1795200000:https://example.com/a");
    assert_eq!(events[0].url.as_deref(), Some("https://example.com/a"));
    assert_ne!(events[0].dedupe_key, events[1].dedupe_key);
    assert_eq!(events[0].provider_message_id, events[1].provider_message_id);
}

#[test]
fn only_an_entry_in_the_denylist_suppresses() {
    let change = |list: &str, action: &str| json!({"type": list, "action": action, "ts": 1, "reject": {"email": "a@b.example", "reason": "spam"}});
    for (list, action, expected) in [
        ("blacklist", "add", EventType::RecipientSuppressed),
        ("denylist", "change", EventType::RecipientSuppressed),
        ("blacklist", "remove", EventType::Unknown),
        ("whitelist", "add", EventType::Unknown),
        ("safelist", "remove", EventType::Unknown),
    ] {
        let event = &events(&json!([change(list, action)]))[0];
        assert_eq!((event.event_type, event.provider_status.as_str()), (expected, list), "{list} {action}");
        assert_eq!(event.recipient.as_deref(), Some("a@b.example"));
        assert_eq!(event.reason_code.as_deref(), Some("spam"));
    }
}

#[test]
fn a_deferral_tells_what_the_other_server_said_and_a_rejection_why() {
    let batch = json!([
        {"event": "deferral", "_id": "m1", "ts": 1, "msg": {"smtp_events": [{"diag": "421"}, {"diag": "451 later"}]}},
        {"event": "reject", "_id": "m2", "ts": 1, "msg": {"reject": {"reason": "hard-bounce"}}},
    ]);
    let events = events(&batch);
    assert_eq!(events[0].reason.as_deref(), Some("451 later"));
    assert_eq!(events[1].reason_code.as_deref(), Some("hard-bounce"));
}

#[test]
fn a_received_mail_is_known_by_its_header_but_never_takes_the_place_of_another() {
    let mail = |text: &str| json!({"event": "inbound", "ts": 1, "msg": {"headers": {"Message-Id": "<x@y>"}, "text": text, "email": "in@x.example", "from_email": "b@y.example"}});
    let events = events(&json!([mail("one"), mail("two")]));
    assert_eq!(events[0].provider_message_id, "<x@y>");
    assert_eq!(events[0].text.as_deref(), Some("one"));
    assert_eq!(
        (events[0].recipient.as_deref(), events[0].sender.as_deref()),
        (Some("in@x.example"), Some("b@y.example"))
    );
    assert_ne!(events[0].dedupe_key, events[1].dedupe_key);
}

#[test]
fn what_has_another_shape_is_an_unknown_event_and_spoils_no_neighbour() {
    let odd = [
        json!(null),
        json!(7),
        json!([]),
        json!({"event": 7, "_id": [], "ts": {}, "msg": "x"}),
        json!({"event": "later"}),
    ];
    let mut batch = odd.to_vec();
    batch.push(json!({"event": "send", "_id": "m1", "ts": 1, "msg": []}));
    let events = events(&Value::from(batch));
    assert_eq!(events.len(), 6);
    for event in &events[..5] {
        assert_eq!(event.event_type, EventType::Unknown);
        assert!(event.dedupe_key.starts_with("mandrill:sha256-"), "{}", event.dedupe_key);
    }
    let keys: std::collections::BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), 6);
    assert_eq!((events[4].provider_status.as_str(), events[5].event_type), ("later", EventType::MessageAccepted));
}

#[test]
fn a_body_without_a_batch_is_unreadable() {
    let mandrill = vendor("mandrill", Scheme::Mandrill, &["key"]);
    for body in ["", "a=1", "mandrill_events=", "mandrill_events={}", "mandrill_events=%ff", "[]"] {
        let sent = Sent::new(URL, &[("content-type", FORM)], body);
        assert!(mandrill.normalise(&sent.callback(&*mandrill, Channel::Email)).is_err(), "{body}");
    }
}
