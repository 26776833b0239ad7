//! Hostile input: nothing panics, nothing unsigned passes, nothing is lost without a word.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use sluice::{
    config::Scheme,
    event::{Channel, EventType},
    vendors::Vendor,
};

use crate::{
    keys::{self, URL, WHSEC},
    support::{FORM, Sent, config, mapping, vendor},
};

const BATCH: &str = "[{\"event\":\"open\",\"sg_event_id\":\"a\"},\r\n{\"event\":\"click\",\"sg_event_id\":\"b\"}]\r\n";

fn every_scheme() -> Vec<std::sync::Arc<dyn Vendor>> {
    let mut each = config(Scheme::None, &[]);
    each.mapping = Some(sluice::config::Mapping { each: Some("/items".into()), ..mapping() });
    vec![
        vendor("acme", Scheme::Twilio, &["token"]),
        vendor("acme", Scheme::Sendgrid, &[&keys::sendgrid_public(&keys::sendgrid_key(1))]),
        vendor("acme", Scheme::StandardWebhooks, &[WHSEC]),
        vendor("acme", Scheme::None, &[]),
        sluice::vendors::build("acme", &each),
    ]
}

/// What a form means to its signature: the distinct decoded pairs.
fn meaning(form: &[u8]) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let decode = |raw: &[u8]| {
        let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).collect()
    };
    let pair = |pair: &[u8]| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (decode(&pair[..at]), decode(pair.get(at + 1..).unwrap_or_default()))
    };
    form.split(|byte| *byte == b'&').filter(|raw| !raw.is_empty()).map(pair).collect()
}

fn header_names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "x-twilio-signature",
        "x-twilio-webhooks-signature-settings",
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "svix-id",
        "svix-timestamp",
        "svix-signature",
    ])
}

fn content_types() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        FORM,
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=\"",
        ";",
    ])
}

/// Bodies that come close to what is expected, so that more than the first check is reached.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let json = prop::sample::select(vec![
        "[{\"event\":1e999}]",
        "[{\"event\":\"bounce\",\"timestamp\":-9223372036854775808,\"sg_message_id\":\".\"}]",
        "[null,1,\"x\",[],{}]",
        "{\"items\":[null,{\"type\":7}]}",
        "{\"items\":{}}",
        "{\"timestamp\":1e308}",
        "MessageSid=%ff&MessageStatus=%&SmsStatus=+",
        "CallSid=x&SequenceNumber=-1&CallStatus=%F0%9F&Timestamp=Fri",
        "--x\r\nContent-Disposition: form-data; name=\"\\",
        "--x\r\ncontent-disposition: form-data; name=envelope\r\n\r\n{\"to\":7}\r\n--x--",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        json.prop_map(|text| text.as_bytes().to_vec()),
        "[\\[\\]{}\":,a-z0-9&=%+\r\n-]{0,80}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_request_panics_and_none_passes_unsigned(
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]),
        url in prop_oneof![any::<String>(), "https?://[a-z.:@\\[\\]0-9]{0,12}[/?#a-zA-Z0-9=&%]{0,20}"],
        headers in prop::collection::vec((header_names(), "[ -~]{0,40}|[\\x80-\\xff]{1,4}|v1a?,[A-Za-z0-9+/=]{0,90}|[0-9]{0,25}"), 0..6),
        content_type in content_types(),
        body in bodies(),
    ) {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static(content_type));
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        let sent = Sent { method, url, headers: map, body };
        for vendor in every_scheme() {
            let verdict = sent.verify(&*vendor);
            prop_assert!(verdict.is_err() || format!("{vendor:?}").starts_with("Unsigned"), "{vendor:?}");
            sent.identify(&*vendor);
            for event in vendor.normalise(&sent.callback(&*vendor, Channel::Sms)).unwrap_or_default() {
                prop_assert!(event.dedupe_key.starts_with("acme:"));
                prop_assert!(event.dedupe_key.len() > "acme:".len());
                prop_assert!(!event.provider_message_id.is_empty());
                prop_assert!(serde_json::to_string(&event).is_ok());
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_signed_batch_is_refused(at in 0..BATCH.len(), bit in 0..8_u32) {
        let vendor = &every_scheme()[1];
        let mut sent = keys::sendgrid(&keys::sendgrid_key(1), BATCH);
        prop_assert_eq!(sent.verify(&**vendor), Ok(()));
        sent.body[at] ^= 1 << bit;
        prop_assert_eq!(sent.verify(&**vendor).unwrap_err().code(), "mismatch");
    }
}

#[test]
fn any_changed_byte_of_a_signed_form_that_changes_its_meaning_is_refused() {
    let vendor = &every_scheme()[0];
    let genuine = keys::twilio("token");
    assert_eq!(genuine.verify(&**vendor), Ok(()));
    let mut same = 0;
    for at in 0..genuine.body.len() {
        for byte in 0..=u8::MAX {
            let mut sent = genuine.clone();
            sent.body[at] = byte;
            if meaning(&sent.body) == meaning(&genuine.body) {
                assert_eq!(sent.verify(&**vendor), Ok(()));
                same += 1;
            } else {
                assert!(sent.verify(&**vendor).is_err(), "byte {at} as {byte}");
            }
        }
    }
    assert_eq!(same, genuine.body.len() + 1, "each byte as it was, and %2B as %2b");
}

#[test]
fn any_changed_byte_of_a_signed_webhook_is_refused() {
    let vendor = &every_scheme()[2];
    let genuine = keys::standard(WHSEC, "{\"type\":\"email.sent\"}");
    assert_eq!(genuine.verify(&**vendor), Ok(()));
    for at in 0..genuine.body.len() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != genuine.body[at]) {
            let mut sent = genuine.clone();
            sent.body[at] = byte;
            assert_eq!(sent.verify(&**vendor).unwrap_err().code(), "mismatch");
        }
    }
}

#[test]
fn a_request_signed_for_one_kind_of_body_cannot_carry_another() {
    let vendor = &every_scheme()[0];
    let form = keys::twilio("token");
    assert!(form.clone().set("content-type", "application/json").verify(&**vendor).is_err());
    // Signed over the URL alone, as a GET is.
    let bare = Sent::form(URL, &sign_url(URL), "");
    assert_eq!(bare.verify(&**vendor), Ok(()));
    for body in ["&", "=", "&&=&", "MessageSid=SM1", "{}"] {
        let mut sent = bare.clone();
        sent.body = body.into();
        assert!(sent.verify(&**vendor).is_err(), "{body}");
        assert!(sent.set("content-type", "application/json").verify(&**vendor).is_err(), "{body}");
    }
    // A JSON body bound by its digest, taken away.
    let url = format!("{URL}?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    let json = Sent::form(&url, &sign_url(&url), "{}").set("content-type", "application/json");
    assert_eq!(json.verify(&**vendor), Ok(()));
    for body in ["", "=", "&"] {
        let sent = Sent { body: body.into(), ..json.clone() };
        assert!(sent.verify(&**vendor).is_err(), "{body}");
        assert!(sent.set("content-type", FORM).verify(&**vendor).is_err(), "{body}");
    }
}

fn sign_url(url: &str) -> String {
    use base64::Engine;
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(b"token").unwrap();
    mac.update(url.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[test]
fn a_second_id_beside_the_signed_one_is_never_used() {
    let vendor = &every_scheme()[2];
    let genuine = keys::standard(WHSEC, "{}");
    let mut svix = genuine.clone();
    for (from, to) in
        [("webhook-id", "svix-id"), ("webhook-timestamp", "svix-timestamp"), ("webhook-signature", "svix-signature")]
    {
        let value = svix.headers.remove(from).unwrap();
        svix.headers.insert(to, value);
    }
    assert_eq!(svix.verify(&**vendor), Ok(()));
    assert_eq!(svix.identify(&**vendor).dedupe_key.as_deref(), Some("acme:msg_1"));

    let both = svix.clone().set("webhook-id", "msg_2");
    assert_eq!(both.verify(&**vendor).unwrap_err().code(), "missing_header");

    let shadowed = genuine.clone().set("svix-id", "msg_2");
    assert_eq!(shadowed.verify(&**vendor), Ok(()));
    assert_eq!(shadowed.identify(&**vendor).dedupe_key.as_deref(), Some("acme:msg_1"));
    let events = vendor.normalise(&shadowed.callback(&**vendor, Channel::Email)).unwrap();
    assert_eq!(events[0].dedupe_key, "acme:msg_1");

    let mut twice = genuine;
    twice.headers.append("webhook-id", "msg_2".parse().unwrap());
    assert_eq!(twice.verify(&**vendor).unwrap_err().code(), "malformed");
}

#[test]
fn in_a_batch_of_ten_thousand_odd_elements_each_becomes_an_event_of_its_own() {
    let vendor = &every_scheme()[1];
    let odd = [
        "null",
        "7",
        "\"text\"",
        "[[]]",
        "{}",
        "{\"event\":[]}",
        "{\"event\":\"delivered\",\"timestamp\":\"1795200000\",\"sg_event_id\":5,\"sg_message_id\":true}",
        "{\"event\":\"delivered\",\"event\":\"bounce\",\"status\":5,\"sg_event_id\":\"twice\"}",
        "{\"event\":\"\\ud800\"}",
        "{\"event\":\"open\",\"timestamp\":1e999}",
    ];
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let mut elements: Vec<String> = (0..10_000).map(|n| odd[n % odd.len()].to_owned()).collect();
    elements[0] = deep;
    let sent = Sent::new(URL, &[("content-type", "application/json")], format!("[{}]", elements.join(",")));
    let events = vendor.normalise(&sent.callback(&**vendor, Channel::Email)).unwrap();
    assert_eq!(events.len(), 10_000);
    let keys: BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), odd.len() + 1, "equal elements are repeats, different ones are not");

    let kinds: Vec<_> = events[10..20].iter().map(|event| event.event_type).collect();
    let mut expected = [EventType::Unknown; 10];
    expected[6] = EventType::MessageDelivered;
    expected[7] = EventType::MessageBounced;
    assert_eq!(kinds, expected);
    assert_eq!(events[16].dedupe_key, "acme:5");
    assert_eq!(events[16].provider_message_id, "true");
    assert_eq!(events[16].occurred_at.unwrap().timestamp(), 1_795_200_000);
    assert_eq!(events[17].reason_code.as_deref(), Some("5"));
}

#[test]
fn a_body_of_another_kind_is_unreadable_and_the_reason_holds_nothing_of_it() {
    for (vendor, content_type) in every_scheme().iter().zip(["application/json"; 3]) {
        for body in ["", "not JSON: ana@example.com", "[{]", "\"ana@example.com"] {
            let sent = Sent::new("https://a.example/x?y", &[("content-type", content_type)], body);
            // Twilio's parameters are in the query of a request without a body.
            if body.is_empty() && format!("{vendor:?}").starts_with("Twilio") {
                continue;
            }
            let reason = vendor.normalise(&sent.callback(&**vendor, Channel::Email)).unwrap_err().to_string();
            assert!(!reason.contains("ana"), "{reason}");
        }
    }
    let sendgrid = &every_scheme()[1];
    for body in ["{}", "7", "\"ana@example.com\""] {
        let sent = Sent::new(URL, &[("content-type", "application/json")], body);
        let reason = sendgrid.normalise(&sent.callback(&**sendgrid, Channel::Email)).unwrap_err().to_string();
        assert!(!reason.contains("ana"), "{reason}");
    }
}
