//! Plivo beyond the vectors: its two versions, its two signature headers, parameters in the query, and odd forms.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha2::Sha256;
use sluice::{
    config::{Legacy, Scheme, VendorConfig},
    event::{Channel, Event, EventType},
    vendors::{Refusal, Vendor, build},
};

use crate::support::{FORM, NOW, Sent, config, missing, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";
const BODY: &str = "Status=sent&MessageUUID=u1";
/// What V3 covers of `URL` and `BODY`, without the nonce.
const TEXT: &str = "https://hooks.example.net/incoming/acme/sms/status?MessageUUIDu1Statussent";

fn sign(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn form(body: &str) -> Sent {
    Sent::new(URL, &[("content-type", FORM), ("x-plivo-signature-v3-nonce", "7")], body)
}

fn signed(token: &str) -> Sent {
    form(BODY).set("x-plivo-signature-v3", &sign(token, &format!("{TEXT}.7")))
}

fn acme() -> Arc<dyn Vendor> {
    vendor("acme", Scheme::Plivo, &["token"])
}

fn with_v2() -> Arc<dyn Vendor> {
    build("acme", &VendorConfig { legacy: Some(Legacy::PlivoV2), ..config(Scheme::Plivo, &["token"]) })
}

fn read(body: &str) -> Event {
    let sent = form(body);
    let events = acme().normalise(&sent.callback(&*acme(), Channel::Sms)).unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    let key = sent.identify(&*acme()).dedupe_key;
    assert!(key.is_none() || key.as_ref() == Some(&event.dedupe_key), "{key:?} {event:?}");
    event.clone()
}

#[test]
fn either_of_two_live_tokens_may_have_signed_and_a_missing_one_is_our_fault() {
    let two = vendor("acme", Scheme::Plivo, &["old", "new"]);
    assert_eq!(signed("old").verify(&*two), Ok(()));
    assert_eq!(signed("new").verify(&*two), Ok(()));
    assert_eq!(signed("stolen").verify(&*two), Err(Refusal::Mismatch));

    let mut config = config(Scheme::Plivo, &["token"]);
    config.secrets.insert(0, missing());
    let acme = build("acme", &config);
    assert_eq!(signed("token").verify(&*acme), Ok(()));
    assert_eq!(signed("other").verify(&*acme).unwrap_err().code(), "no_key");
    assert_eq!(form("").verify_at(&*acme, NOW).unwrap_err().code(), "no_key");
}

#[test]
fn the_main_account_may_sign_instead_of_or_beside_the_subaccount() {
    let good = sign("token", &format!("{TEXT}.7"));
    let main = form(BODY).set("x-plivo-signature-ma-v3", &format!("AAAA, {good}"));
    assert_eq!(main.verify(&*acme()), Ok(()));
    assert_eq!(main.clone().set("x-plivo-signature-v3", &sign("other", TEXT)).verify(&*acme()), Ok(()));
    assert_eq!(form(BODY).set("x-plivo-signature-ma-v3", "AAAA").verify(&*acme()), Err(Refusal::Mismatch));
}

#[test]
fn a_repeated_header_is_refused() {
    for name in ["x-plivo-signature-v3", "x-plivo-signature-v3-nonce"] {
        let mut sent = signed("token");
        let value = sent.headers.get(name).unwrap().clone();
        sent.headers.append(name, value);
        assert_eq!(sent.verify(&*acme()).unwrap_err().code(), "malformed", "{name}");
    }
}

#[test]
fn v2_counts_only_where_it_is_enabled_and_never_against_v3() {
    let v2 = |sent: Sent| {
        sent.set("x-plivo-signature-v2", &sign("token", &format!("{URL}8"))).set("x-plivo-signature-v2-nonce", "8")
    };
    assert_eq!(v2(form(BODY)).verify(&*acme()).unwrap_err().code(), "missing_header");
    assert_eq!(v2(form(BODY)).verify(&*with_v2()), Ok(()));
    assert_eq!(v2(signed("token")).verify(&*with_v2()), Ok(()));
    assert_eq!(v2(signed("stolen")).verify(&*with_v2()), Err(Refusal::Mismatch));
    let main = form(BODY).set("x-plivo-signature-ma-v3", "AAAA");
    assert_eq!(v2(main).verify(&*with_v2()), Err(Refusal::Mismatch));
}

#[test]
fn parameters_in_the_query_of_a_get_are_verified_and_read() {
    let url = format!("{URL}?Status=sent&To=%2B34&MessageUUID=u1");
    let text = format!("{URL}?MessageUUID=u1&Status=sent&To=+34.7");
    let headers = [("x-plivo-signature-v3", sign("token", &text)), ("x-plivo-signature-v3-nonce", "7".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let sent = Sent { method: Method::GET, ..Sent::new(&url, &headers, "") };
    assert_eq!(sent.verify(&*acme()), Ok(()));
    let event = &acme().normalise(&sent.callback(&*acme(), Channel::Sms)).unwrap()[0];
    assert_eq!((event.event_type, event.recipient.as_deref()), (EventType::MessageSent, Some("+34")));
    assert_eq!(sent.identify(&*acme()).dedupe_key.as_deref(), Some("acme:u1:sent"));

    let changed = Sent { url: url.replace("sent", "delivered"), ..sent.clone() };
    assert_eq!(changed.verify(&*acme()), Err(Refusal::Mismatch));
    // A body that nothing covers would be read instead of the query.
    for content_type in [FORM, "application/json"] {
        let sent = Sent { body: BODY.into(), ..sent.clone() }.set("content-type", content_type);
        assert_eq!(sent.verify(&*acme()).unwrap_err().code(), "malformed", "{content_type}");
    }
}

#[test]
fn a_body_that_is_no_form_is_covered_by_nothing_and_refused() {
    let bare = form("").set("x-plivo-signature-v3", &sign("token", &format!("{URL}.7")));
    assert_eq!(bare.verify(&*acme()), Ok(()));
    for body in ["{}", "=", "&", "MessageUUID=u1"] {
        for content_type in [FORM, "application/json"] {
            let sent = Sent { body: body.into(), ..bare.clone() }.set("content-type", content_type);
            assert!(sent.verify(&*acme()).is_err(), "{body} as {content_type}");
        }
    }
    let json = form("{}").set("content-type", "application/json");
    assert!(acme().normalise(&json.callback(&*acme(), Channel::Sms)).is_err());
}

#[test]
fn a_nonce_cannot_swallow_the_last_parameters() {
    // Genuine: Status=sent and Text=a.b
    let genuine = format!("{URL}?MessageUUIDu1Statussent.Texta.7");
    let shifted =
        form(BODY).set("x-plivo-signature-v3", &sign("token", &genuine)).set("x-plivo-signature-v3-nonce", "Texta.7");
    assert_eq!(shifted.verify(&*acme()).unwrap_err().code(), "malformed");
}

#[test]
fn every_status_has_its_type_and_a_new_one_is_kept_as_unknown() {
    use EventType::*;
    for (status, event_type) in [
        ("queued", MessageQueued),
        ("sent", MessageSent),
        ("delivered", MessageDelivered),
        ("undelivered", MessageUndelivered),
        ("failed", MessageFailed),
        ("rejected", MessageRejected),
        ("read", MessageRead),
        ("teleported", Unknown),
    ] {
        let event = read(&format!("MessageUUID=u1&Status={status}"));
        assert_eq!((event.event_type, event.provider_status.as_str()), (event_type, status));
        assert_eq!(event.dedupe_key, format!("acme:u1:{status}"));
    }
    for (status, event_type) in [
        ("ringing", CallRinging),
        ("in-progress", CallAnswered),
        ("timeout", CallNoAnswer),
        ("cancel", CallCanceled),
        ("machine", CallMachineDetected),
        ("abducted", Unknown),
    ] {
        let event = read(&format!("CallUUID=c1&CallStatus={status}"));
        assert_eq!((event.event_type, event.dedupe_key), (event_type, format!("acme:c1:{status}")));
    }
}

#[test]
fn the_parts_of_a_long_message_are_facts_of_their_own() {
    let first = read("MessageUUID=u1&Status=sent&PartInfo=1+of+2");
    let second = read("MessageUUID=u1&Status=sent&PartInfo=2+of+2");
    assert_ne!(first.dedupe_key, second.dedupe_key);
    assert_eq!(read("MessageUUID=u1&Status=sent&PartInfo=1+of+1").dedupe_key, "acme:u1:sent");
}

#[test]
fn an_inbound_message_has_a_text_and_no_status() {
    let event = read("MessageUUID=u1&From=1&To=2&Text=Hi+there&Type=mms&Media0=https%3A%2F%2Fm.example%2F1");
    assert_eq!((event.event_type, event.text.as_deref()), (EventType::MessageReceived, Some("Hi there")));
    assert_eq!((event.url.as_deref(), event.dedupe_key.as_str()), (Some("https://m.example/1"), "acme:u1:received"));
    assert_eq!(read("MessageUUID=u1&Text=").event_type, EventType::MessageReceived);
    assert_eq!(read("MessageUUID=u1").event_type, EventType::Unknown);
}

#[test]
fn what_happens_during_a_call_is_told_apart_from_its_life() {
    let machine = read("CallUUID=c1&CallStatus=in-progress&Event=MachineDetection&Machine=true");
    assert_eq!((machine.event_type, machine.dedupe_key.as_str()), (EventType::CallMachineDetected, "acme:c1:amd:true"));
    let recording =
        read("CallUUID=c1&CallStatus=in-progress&Event=Record&RecordUrl=r&RecordingID=i&RecordingDuration=9");
    assert_eq!(recording.event_type, EventType::CallRecordingAvailable);
    assert_eq!((recording.url.as_deref(), recording.duration_s), (Some("r"), Some(9)));
    assert_eq!(recording.dedupe_key, "acme:c1:recording:i");
    let one = read("CallUUID=c1&CallStatus=in-progress&Event=Redirect&Digits=1");
    let two = read("CallUUID=c1&CallStatus=in-progress&Event=Redirect&Digits=2");
    assert_eq!((one.event_type, one.provider_status.as_str()), (EventType::Unknown, "Redirect"));
    assert_ne!(one.dedupe_key, two.dedupe_key);
}

#[test]
fn times_may_have_a_fraction_and_an_offset_or_be_none() {
    let time = |text: &str| {
        let text = text.replace('+', "%2B").replace(' ', "+");
        read(&format!("MessageUUID=u1&Status=delivered&DeliveryReportTime={text}")).occurred_at
    };
    let moment = Some("2026-11-20T18:40:05Z".parse().unwrap());
    assert_eq!(time("2026-11-20 18:40:05"), moment);
    assert_eq!(time("2026-11-20 18:40:05.000000"), moment);
    assert_eq!(time("2026-11-20 19:40:05+01:00"), moment);
    assert_eq!(time("soon"), None);
    assert_eq!(time("2026-13-20 18:40:05"), None);
}

#[test]
fn odd_forms_become_unknown_events_with_keys_of_their_own() {
    let mut keys = std::collections::BTreeSet::new();
    for body in ["MessageUUID=", "x", "CallUUID=c1", "MessageUUID=%ff", "Event=Hangup&CallStatus=busy"] {
        let event = read(body);
        assert_eq!(event.event_type, EventType::Unknown, "{body}");
        assert!(!event.provider_message_id.is_empty());
        assert!(keys.insert(event.dedupe_key), "{body}");
    }
    assert_eq!(form("MessageUUID=u1&Status=sent&Status=failed").identify(&*acme()), Default::default());
    assert_eq!(form("MessageUUID=u1&Status=%ff&Text=x").identify(&*acme()), Default::default());
}
