//! Hostile input: refused or kept as `unknown`, never a panic.

use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use sluice::{
    config::{Mapping, Scheme},
    event::{Channel, EventType},
    vendors::{Request, build},
};

use crate::{callback, config, headers, mapping, types, vendor};

const SCHEMES: [(Scheme, &str); 4] = [
    (Scheme::Twilio, "token"),
    (
        Scheme::Sendgrid,
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
    ),
    (Scheme::StandardWebhooks, "whsec_b2xkLXNlY3JldA=="),
    (Scheme::StandardWebhooks, "whpk_/UAXF6wxk0f7fShPZlJOcSraXkjDzMi/6ugVukNSbHo="),
];

const NAMES: [&str; 8] = [
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
    "x-twilio-email-event-webhook-signature",
    "x-twilio-email-event-webhook-timestamp",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "content-type",
];

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let value = prop_oneof![
        prop::collection::vec(32u8..=255, 0..40),
        Just(b"application/x-www-form-urlencoded".to_vec()),
        Just(b"1795200000".to_vec()),
        Just(b"v1,AAAA v1a,AAAA v2".to_vec()),
    ];
    prop::collection::vec((prop::sample::select(NAMES.to_vec()), value), 0..8).prop_map(|pairs| {
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.parse().unwrap(), HeaderValue::from_bytes(&value).ok()?)));
        pairs.collect()
    })
}

proptest! {
    #[test]
    fn nothing_that_was_not_signed_verifies_and_nothing_panics(
        headers in any_headers(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        url in "\\PC{0,60}",
        seconds in any::<i32>(),
    ) {
        for (scheme, secret) in SCHEMES {
            let vendor = vendor("v", scheme, &[secret]);
            let request = Request { method: &Method::POST, url: &url, headers: &headers, body: &body };
            let now = chrono::DateTime::from_timestamp(seconds.into(), 0).unwrap();
            prop_assert!(vendor.verify(&request, now).is_err());
            vendor.identify(&request);
        }
    }

    #[test]
    fn no_payload_breaks_a_normaliser(body in prop::collection::vec(any::<u8>(), 0..300), form in any::<bool>()) {
        let content_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        for (scheme, secret) in SCHEMES {
            let callback = callback(Channel::Email, content_type, &body, HeaderMap::new());
            if let Ok(events) = vendor("v", scheme, &[secret]).normalise(&callback) {
                for event in events {
                    prop_assert!(!event.provider_message_id.is_empty() && event.dedupe_key.starts_with("v:"));
                }
            }
        }
    }

    #[test]
    fn any_changed_byte_of_a_signed_body_is_refused(index in 0usize..16, flip in 1u8..=255) {
        let mut body = b"{\"test\": 2432232314}".to_vec();
        body[index] ^= flip;
        let headers = headers(&[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]);
        let vendor = vendor("v", Scheme::StandardWebhooks, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let request = Request { method: &Method::POST, url: "https://h/", headers: &headers, body: &body };
        prop_assert!(vendor.verify(&request, chrono::DateTime::from_timestamp(1_614_265_330, 0).unwrap()).is_err());
    }
}

fn sendgrid(body: &str) -> Vec<sluice::event::Event> {
    let callback = callback(Channel::Email, "application/json", body.as_bytes(), HeaderMap::new());
    vendor("sendgrid", Scheme::Sendgrid, &[SCHEMES[1].1]).normalise(&callback).unwrap()
}

#[test]
fn elements_that_cannot_be_read_are_kept_as_unknown_with_keys_of_their_own() {
    let events =
        sendgrid(r#"[1, "x", null, [], {}, {"event":"delivered"}, {"event":7,"sg_message_id":"m.1","sg_event_id":9}]"#);
    assert_eq!(types(&events), ["unknown"; 7]);
    let keys: std::collections::BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), 7);
    assert_eq!((events[6].dedupe_key.as_str(), events[6].provider_status.as_str()), ("sendgrid:9", "7"));
}

#[test]
fn ten_thousand_elements_and_repeated_keys_are_read() {
    let element = r#"{"event":"open","event":"delivered","sg_message_id":"m1.x","sg_event_id":"e"}"#;
    let body = format!("[{}]", vec![element; 10_000].join(","));
    let events = sendgrid(&body);
    assert_eq!(events.len(), 10_000);
    assert_eq!(events[9_999].event_type, EventType::MessageDelivered, "the last of repeated keys counts");
}

#[test]
fn unknown_statuses_keep_the_vendors_word() {
    let body = b"MessageSid=SM1&MessageStatus=teleported&To=%2B1";
    let callback = callback(Channel::Sms, "application/x-www-form-urlencoded", body, HeaderMap::new());
    let events = vendor("twilio", Scheme::Twilio, &["t"]).normalise(&callback).unwrap();
    assert_eq!((events[0].event_type, events[0].provider_status.as_str()), (EventType::Unknown, "teleported"));
}

#[test]
fn elements_of_one_callback_get_keys_of_their_own_under_a_generic_mapping() {
    let mapping = Mapping { each: Some("/events".into()), message_id: "/id".into(), status: "/s".into(), ..mapping() };
    let mut config = config(Scheme::StandardWebhooks, &[SCHEMES[2].1]);
    config.mapping = Some(mapping);
    let vendor = build("v", &config);
    let body = br#"{"events":[{"id":"a","s":"email.delivered"},{"id":"a","s":"odd"},{}]}"#;
    let callback = callback(Channel::Email, "application/json", body, headers(&[("webhook-id", "w1")]));
    let events = vendor.normalise(&callback).unwrap();
    assert_eq!(types(&events), ["message.delivered", "unknown", "unknown"]);
    assert_eq!(events.iter().map(|e| e.dedupe_key.as_str()).collect::<Vec<_>>(), ["v:w1:0", "v:w1:1", "v:w1:2"]);
    assert_eq!(events[1].provider_status, "odd");
    assert_eq!(events[2].provider_message_id, "w1:2", "an event without a message id is not lost");

    let no_array = crate::callback(Channel::Email, "application/json", b"{}", HeaderMap::new());
    assert!(vendor.normalise(&no_array).is_err());
}
