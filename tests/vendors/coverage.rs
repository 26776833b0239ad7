//! What each scheme covers: a single changed bit there turns a valid request into an invalid one. What it does not cover
//! is named here too, since somebody must know.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    support::{Sent, report},
    vectors::{Vector, every},
};

/// What a request's body says as far as its scheme covers it: two bodies that are alike here may share a signature.
fn covered(scheme: &str, sent: &Sent) -> Vec<Vec<u8>> {
    let raw = || vec![sent.body.clone()];
    let form = sent.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/x-www"));
    match scheme {
        // The decoded parameters, in an order of their own; equal ones count once.
        "twilio" | "twilio-sharedkey" if form => {
            let mut pairs = pairs(&sent.body);
            pairs.dedup();
            pairs
        }
        // The decoded parameters, in an order of their own.
        "plivo-v3" | "mandrill" if form => pairs(&sent.body),
        // The same, or JSON. The signature is among them: hex in either case.
        "vonage-sig" => {
            let every = if form { pairs(&sent.body) } else { json_fields(&sent.body, |_| true) };
            let is_signature = |field: &[u8]| field.starts_with(b"sig\xff") || field.starts_with(b"/sig ");
            let lower = |field: Vec<u8>| if is_signature(&field) { field.to_ascii_lowercase() } else { field };
            every.into_iter().map(lower).collect()
        }
        // Timestamp and token: not the event.
        "mailgun" if form => {
            pairs(&sent.body).into_iter().filter(|pair| MAILGUN.iter().any(|f| pair.starts_with(f))).collect()
        }
        "mailgun" => json_fields(&sent.body, |pointer| pointer.starts_with("/signature/")),
        // The fields that Amazon lists; not UnsubscribeURL, and not how the JSON is written.
        "sns" => json_fields(&sent.body, |pointer| pointer != "/UnsubscribeURL"),
        // The address without its parameters.
        "plivo-v2" => Vec::new(),
        // A password says who calls, not what was said.
        "postmark-basic" | "sparkpost-basic" | "infobip-basic" => Vec::new(),
        _ => raw(),
    }
}

const MAILGUN: [&[u8]; 3] = [b"timestamp", b"token", b"signature"];

/// Decoded pairs, sorted; key and value apart by a byte that none has.
fn pairs(form: &[u8]) -> Vec<Vec<u8>> {
    let decode = |raw: &[u8]| -> Vec<u8> {
        let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).collect()
    };
    let mut pairs: Vec<Vec<u8>> = form
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            [decode(key), decode(value)].join(&0xff)
        })
        .collect();
    pairs.sort();
    pairs
}

/// Each leaf of a JSON object whose pointer passes; nothing for what is no JSON.
fn json_fields(body: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    fn walk(pointer: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(k, v)| walk(&format!("{pointer}/{k}"), v, leaves)),
            Value::Array(array) => {
                array.iter().enumerate().for_each(|(k, v)| walk(&format!("{pointer}/{k}"), v, leaves))
            }
            leaf => leaves.push((pointer.to_owned(), leaf.to_string())),
        }
    }
    let mut leaves = Vec::new();
    walk("", &serde_json::from_slice(body).unwrap_or(Value::Null), &mut leaves);
    leaves.into_iter().filter(|(pointer, _)| wanted(pointer)).map(|(p, v)| format!("{p} {v}").into_bytes()).collect()
}

/// The headers that a scheme reads, so that no bit of them may change.
fn signed_headers(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "twilio" => &["x-twilio-signature"],
        // The settings choose key and algorithm; a setting that nobody knows may change.
        "twilio-sharedkey" => &["x-twilio-signature"],
        "sendgrid" => &["x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"],
        "telnyx" => &["telnyx-signature-ed25519", "telnyx-timestamp"],
        "plivo-v3" => &["x-plivo-signature-v3", "x-plivo-signature-v3-nonce"],
        "plivo-v2" => &["x-plivo-signature-v2", "x-plivo-signature-v2-nonce"],
        "mandrill" => &["x-mandrill-signature"],
        "messagebird-jwt" => &["messagebird-signature-jwt"],
        "bird-hmac" => &["messagebird-signature", "messagebird-request-timestamp"],
        "sinch-webhook" => {
            &["x-sinch-webhook-signature", "x-sinch-webhook-signature-nonce", "x-sinch-webhook-signature-timestamp"]
        }
        "sinch-numbers" => &["x-sinch-signature"],
        "sinch-application" => &["authorization", "x-timestamp"],
        "vonage-jwt" | "postmark-basic" | "sparkpost-basic" | "infobip-basic" => &["authorization"],
        "standard-webhooks" | "standard-webhooks-ed25519" => {
            &["webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature"]
        }
        "github" => &["x-hub-signature-256"],
        "stripe" => &["stripe-signature"],
        "slack" => &["x-slack-signature", "x-slack-request-timestamp"],
        // The signature is in the body or in the query.
        "mailgun" | "sns" | "vonage-sig" => &[],
        other => panic!("{other}"),
    }
}

/// Whether a scheme signs the URL that the vendor was given.
fn signs_url(scheme: &str) -> bool {
    matches!(
        scheme,
        "twilio"
            | "twilio-sharedkey"
            | "plivo-v3"
            | "plivo-v2"
            | "mandrill"
            | "messagebird-jwt"
            | "bird-hmac"
            // The path only.
            | "sinch-application"
    )
}

/// The valid vectors: each with its request.
fn valid() -> Vec<(Vector, Sent)> {
    let valid = every().into_iter().filter(|vector| vector.expect == "valid");
    valid.map(|vector| (vector.sent(), vector)).map(|(sent, vector)| (vector, sent)).collect()
}

fn is_slow(scheme: &str) -> bool {
    matches!(scheme, "sendgrid" | "telnyx" | "standard-webhooks-ed25519" | "sns")
}

#[test]
fn one_changed_bit_of_what_is_covered_makes_a_body_invalid() {
    let mut changes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (vector, sent) in valid() {
        let vendor = vector.build();
        assert_eq!(vector.verify(&*vendor, &sent), Ok(()), "{}", vector.name);
        let before = covered(&vector.scheme, &sent);
        // Public keys cost a hundred times as much: fewer of their bytes.
        let step = if is_slow(&vector.scheme) { 1 + sent.body.len() / 24 } else { 1 };
        for at in (0..sent.body.len()).step_by(step) {
            let mut changed = sent.clone();
            changed.body[at] ^= 1 << (at % 8);
            let verdict = vector.verify(&*vendor, &changed);
            let (covered_bits, others) = changes.entry(vector.scheme.clone()).or_default();
            if covered(&vector.scheme, &changed) == before {
                *others += 1;
            } else {
                *covered_bits += 1;
                assert!(verdict.is_err(), "{}/{}: bit {} of byte {at}", vector.vendor, vector.name, at % 8);
            }
        }
    }
    for (scheme, (covered, others)) in &changes {
        report(&format!("{scheme}: {covered} changed bits of what is covered, {others} of what is not"));
    }
}

#[test]
fn one_changed_bit_of_a_signature_or_a_signed_header_makes_a_request_invalid() {
    for (vector, sent) in valid() {
        let vendor = vector.build();
        for name in signed_headers(&vector.scheme) {
            let Some(value) = sent.headers.get(*name) else { continue };
            // `webhook-*` decides alone where it is there.
            if name.starts_with("svix-") && sent.headers.contains_key("webhook-id") {
                continue;
            }
            let text = value.to_str().unwrap_or_default().to_owned();
            // A list may hold signatures that count for nothing.
            let list = text.contains(',') && !text.starts_with("v1") && vector.scheme != "stripe"
                || text.matches("v1").count() > 1
                || text.trim().split(' ').count() > 2;
            if list {
                continue;
            }
            let step = if is_slow(&vector.scheme) { 5 } else { 1 };
            // Stripe's `v0` is another scheme's signature, which its own libraries pass over too.
            let counts = if vector.scheme == "stripe" { text.find(",v0=").unwrap_or(text.len()) } else { text.len() };
            for at in (0..counts).step_by(step) {
                for bit in [at % 7, (at + 3) % 7] {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let Ok(value) = http::HeaderValue::from_bytes(&bytes) else { continue };
                    // Hex digits and the names of schemes may be written in either case.
                    let by_case =
                        bytes.eq_ignore_ascii_case(text.as_bytes()) && is_case_blind(&vector.scheme, &text, at);
                    let mut changed = sent.clone();
                    changed.headers.insert(*name, value);
                    let verdict = vector.verify(&*vendor, &changed);
                    let place = format!("{}/{}: {name} byte {at} bit {bit}", vector.vendor, vector.name);
                    assert!(verdict.is_err() || by_case, "{place}");
                }
            }
        }
    }
}

/// Whether the letter at this place may be written in either case.
fn is_case_blind(scheme: &str, text: &str, at: usize) -> bool {
    match scheme {
        "sinch-numbers" | "github" | "stripe" | "slack" => true,
        // `Basic`, `Bearer`, `Application`
        "vonage-jwt" | "postmark-basic" | "sparkpost-basic" | "infobip-basic" | "sinch-application" => {
            text.find(' ').is_some_and(|end| at < end)
        }
        _ => false,
    }
}

#[test]
fn a_changed_url_matters_exactly_where_the_scheme_signs_it() {
    let mut schemes: BTreeMap<String, bool> = BTreeMap::new();
    for (vector, sent) in valid() {
        // Parameters in the query are content, not address.
        if sent.body.is_empty() {
            continue;
        }
        let vendor = vector.build();
        let mut changed = sent.clone();
        changed.url = match sent.url.split_once('?') {
            Some((path, query)) => format!("{path}x?{query}"),
            None => format!("{}x", sent.url),
        };
        let refused = vector.verify(&*vendor, &changed).is_err();
        assert_eq!(refused, signs_url(&vector.scheme), "{}/{}", vector.vendor, vector.name);
        schemes.insert(vector.scheme.clone(), refused);
    }
    for (scheme, signed) in schemes {
        report(&format!("{scheme}: the URL is {}", if signed { "signed" } else { "not signed" }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic_a_verifier_or_a_normaliser(
        body in prop::collection::vec(any::<u8>(), 0..512),
        noise in prop::collection::vec(any::<u8>(), 0..96),
        query in "[ -~]{0,64}",
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        for (vector, sent) in one_of_each_scheme() {
            let vendor = vector.build();
            let mut hostile = vec![
                // Nothing is right.
                Sent { body: body.clone(), ..sent.clone() },
                // Cut short, and with noise within.
                Sent { body: sent.body[..cut.index(sent.body.len() + 1)].to_vec(), ..sent.clone() },
                Sent { url: format!("https://hooks.example.net/?{query}"), ..sent.clone() },
            ];
            let mut spoilt = sent.clone();
            let at = at.index(spoilt.body.len() + 1);
            spoilt.body.splice(at..at, body.iter().take(16).copied());
            hostile.push(spoilt);
            for name in signed_headers(&vector.scheme) {
                let Ok(value) = http::HeaderValue::from_bytes(&noise) else { continue };
                let mut changed = sent.clone();
                changed.headers.insert(*name, value);
                hostile.push(changed);
            }
            for request in hostile {
                let _ = vector.verify(&*vendor, &request);
                let _ = vendor.identify(&request.request());
                let _ = vendor.handshake(&request.request(), crate::support::at(vector.now));
                let _ = vendor.normalise(&request.callback(&*vendor, sluice::event::Channel::Sms));
            }
        }
    }

    #[test]
    fn json_of_any_shape_never_panics_a_normaliser(value in json_like(), at in any::<prop::sample::Index>()) {
        for (vector, sent) in one_of_each_scheme() {
            let vendor = vector.build();
            // The vendor's own payload with one value replaced by something else.
            let Ok(mut payload) = serde_json::from_slice::<Value>(&sent.body) else { continue };
            let mut pointers = Vec::new();
            walk("", &payload, &mut pointers);
            let pointer = &pointers[at.index(pointers.len())];
            *payload.pointer_mut(pointer).unwrap() = value.clone();
            let changed = Sent { body: payload.to_string().into_bytes(), ..sent };
            let _ = vendor.normalise(&changed.callback(&*vendor, sluice::event::Channel::Email));
        }
    }
}

/// Pointers to every value.
fn walk(pointer: &str, value: &Value, pointers: &mut Vec<String>) {
    pointers.push(pointer.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(k, v)| walk(&format!("{pointer}/{}", escaped(k)), v, pointers))
        }
        Value::Array(array) => array.iter().enumerate().for_each(|(k, v)| walk(&format!("{pointer}/{k}"), v, pointers)),
        _ => {}
    }
}

fn json_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3).prop_map(Value::from_iter),
        ]
    })
}

/// The first valid vector of each scheme.
fn one_of_each_scheme() -> Vec<(Vector, Sent)> {
    let mut seen = std::collections::BTreeSet::new();
    valid().into_iter().filter(|(vector, _)| seen.insert(vector.scheme.clone())).collect()
}
