//! Postmark: what the vectors leave open of its events.

use serde_json::{Value, json};
use sluice::{
    config::Scheme,
    event::{BounceClass, Channel, Event, EventType},
    vendors::Identity,
};

use crate::support::{Sent, vendor};

const URL: &str = "https://hooks.example.net/incoming/postmark/email/events";

fn sent(body: &Value) -> Sent {
    Sent::new(URL, &[("content-type", "application/json")], body.to_string())
}

/// The event, and what was seen of it at the door.
fn event(body: &Value) -> (Event, Identity) {
    let postmark = vendor("postmark", Scheme::Postmark, &["a:b"]);
    let sent = sent(body);
    let events = postmark.normalise(&sent.callback(&*postmark, Channel::Email)).unwrap();
    let identity = sent.identify(&*postmark);
    let [event] = events.try_into().unwrap();
    if let Some(key) = &identity.dedupe_key {
        assert_eq!(*key, event.dedupe_key);
    }
    if let Some(subject) = &identity.subject {
        assert_eq!(*subject, event.provider_message_id);
    }
    (event, identity)
}

#[test]
fn a_bounce_is_known_by_its_id_even_where_that_is_larger_than_a_double_holds() {
    let bounce = |id: u64| json!({"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "ID": id, "MessageID": "m1", "Email": "a@b.example", "Details": "smtp;550", "BouncedAt": "2026-11-20T18:40:05.1234567Z"});
    let (event_1, identity) = event(&bounce(9_007_199_254_740_993));
    assert_eq!(event_1.dedupe_key, "postmark:9007199254740993");
    assert_eq!(identity.dedupe_key.as_deref(), Some("postmark:9007199254740993"));
    assert_eq!(event_1.provider_status, "HardBounce");
    assert_eq!((event_1.reason_code.as_deref(), event_1.reason.as_deref()), (Some("1"), Some("smtp;550")));
    assert!(event_1.occurred_at.is_some());
    assert_ne!(event(&bounce(9_007_199_254_740_992)).0.dedupe_key, event_1.dedupe_key);
}

#[test]
fn each_type_of_bounce_means_what_it_is() {
    for (name, event_type, class) in [
        ("BadEmailAddress", EventType::MessageBounced, Some(BounceClass::Hard)),
        ("DnsError", EventType::MessageDeferred, None),
        ("Blocked", EventType::MessageRejected, None),
        ("Unsubscribe", EventType::RecipientUnsubscribed, None),
        ("SpamNotification", EventType::MessageComplained, None),
        ("AutoResponder", EventType::Unknown, None),
        ("NewInTheFuture", EventType::Unknown, None),
    ] {
        let (event, _) = event(&json!({"RecordType": "Bounce", "Type": name, "ID": 1, "MessageID": "m1"}));
        assert_eq!((event.event_type, event.bounce_class), (event_type, class), "{name}");
        assert_eq!(event.provider_status, name);
    }
}

#[test]
fn opens_are_told_apart_by_their_recipient_and_time() {
    let open = |recipient: &str, time: &str| json!({"RecordType": "Open", "MessageID": "m1", "Recipient": recipient, "ReceivedAt": time});
    let (first, identity) = event(&open("a@b.example", "2026-11-20T18:40:05.1Z"));
    assert_eq!(identity.dedupe_key.as_ref(), Some(&first.dedupe_key));
    assert_eq!(identity.subject.as_deref(), Some("m1"));
    for other in [open("a@b.example", "2026-11-20T18:40:05.2Z"), open("c@b.example", "2026-11-20T18:40:05.1Z")] {
        assert_ne!(event(&other).0.dedupe_key, first.dedupe_key);
    }
}

#[test]
fn a_suppression_without_a_message_is_known_by_a_digest() {
    let change = |suppress: Value, reason: Value| json!({"RecordType": "SubscriptionChange", "MessageID": null, "Recipient": "a@b.example", "ChangedAt": "2026-11-20T18:40:05Z", "SuppressSending": suppress, "SuppressionReason": reason, "Origin": "Customer"});
    for (suppress, reason, expected) in [
        (json!(true), json!("ManualSuppression"), EventType::RecipientUnsubscribed),
        (json!(true), json!("HardBounce"), EventType::RecipientSuppressed),
        (json!(true), json!("SpamComplaint"), EventType::MessageComplained),
        (json!(true), json!("NewInTheFuture"), EventType::RecipientSuppressed),
        (json!(false), json!(null), EventType::RecipientResubscribed),
        (json!("false"), json!(null), EventType::Unknown),
        (json!(null), json!("HardBounce"), EventType::Unknown),
    ] {
        let (event, identity) = event(&change(suppress, reason));
        assert_eq!(event.event_type, expected);
        assert!(event.dedupe_key.starts_with("postmark:sha256-"));
        assert_eq!(event.recipient.as_deref(), Some("a@b.example"));
        assert_eq!(identity, Identity::default());
    }
}

#[test]
fn a_received_mail_has_its_own_id_and_no_time_but_that_of_receipt() {
    let (event, _) = event(
        &json!({"FromFull": {"Email": "b@y.example"}, "From": "Bob <b@y.example>", "To": "in@x.example", "OriginalRecipient": "in+tag@x.example", "MessageID": "m1", "Date": "Fri, 20 Nov 2026 18:40:00 +0000", "TextBody": "", "HtmlBody": "<p>Hola</p>"}),
    );
    assert_eq!(event.event_type, EventType::MessageReceived);
    assert_eq!((event.dedupe_key.as_str(), event.provider_message_id.as_str()), ("postmark:m1", "m1"));
    assert_eq!((event.sender.as_deref(), event.recipient.as_deref()), (Some("b@y.example"), Some("in+tag@x.example")));
    assert_eq!((event.text.as_deref(), event.occurred_at), (Some("<p>Hola</p>"), None));
}

#[test]
fn what_has_another_shape_is_an_unknown_event() {
    for body in [
        json!({}),
        json!({"RecordType": "NewInTheFuture", "MessageID": "m1"}),
        json!({"RecordType": ["Bounce"], "ID": {}}),
        json!({"RecordType": "Bounce", "Type": 7, "ID": "x", "MessageID": 3}),
    ] {
        let (event, _) = event(&body);
        assert_eq!(event.event_type, EventType::Unknown, "{body}");
        assert!(!event.provider_message_id.is_empty());
    }
    let postmark = vendor("postmark", Scheme::Postmark, &["a:b"]);
    for body in [json!([]), json!("x"), json!(null)] {
        assert!(postmark.normalise(&sent(&body).callback(&*postmark, Channel::Email)).is_err(), "{body}");
        assert_eq!(sent(&body).identify(&*postmark).dedupe_key, None);
    }
}
