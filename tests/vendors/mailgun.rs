//! Mailgun beyond its vectors: keys, tokens that come again, forms, and what events mean.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice::{
    config::Scheme,
    event::{BounceClass, Channel, Event, EventType},
    vendors::{Handshake, Refusal, build},
};

use crate::support::{FORM, NOW, Sent, at, config, missing, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/email/events";
const TOKEN: &str = "c8b9d18eddf8fde0f7e98dae3cf25b33f48a7b178966c4d343";
const OTHER_TOKEN: &str = "e514ad7023b292185f510cf3aa66042b7d670a3c6514084f39";

fn signature(key: &str, timestamp: &str, token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{timestamp}{token}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn json_with(key: &str, token: &str, event: Value) -> Sent {
    let signature = signature(key, &NOW.to_string(), token);
    let signed = json!({"timestamp": NOW.to_string(), "token": token, "signature": signature});
    let body = json!({"signature": signed, "event-data": event});
    Sent::new(URL, &[("content-type", "application/json")], body.to_string())
}

fn event(key: &str) -> Sent {
    json_with(key, TOKEN, json!({"event": "delivered", "id": "e"}))
}

fn form(fields: &str) -> Sent {
    let signature = signature("key", &NOW.to_string(), TOKEN);
    Sent::new(URL, &[("content-type", FORM)], format!("{fields}&timestamp={NOW}&token={TOKEN}&signature={signature}"))
}

fn read(sent: &Sent) -> Event {
    let vendor = vendor("acme", Scheme::Mailgun, &["key"]);
    let [event] = vendor.normalise(&sent.callback(&*vendor, Channel::Email)).unwrap().try_into().unwrap();
    event
}

fn normalise(fields: Value) -> Event {
    read(&json_with("key", TOKEN, fields))
}

#[test]
fn either_of_two_live_keys_may_have_signed() {
    let acme = vendor("acme", Scheme::Mailgun, &["old", "new"]);
    assert_eq!(event("old").verify(&*acme), Ok(()));
    assert_eq!(event("new").verify(&*acme), Ok(()));
    assert_eq!(event("stolen").verify(&*acme), Err(Refusal::Mismatch));
}

#[test]
fn beside_a_missing_key_any_other_signature_asks_mailgun_to_try_again() {
    let mut config = config(Scheme::Mailgun, &["key"]);
    config.secrets.push(missing());
    let acme = build("acme", &config);
    assert_eq!(event("key").verify(&*acme), Ok(()));
    for sent in [event("other"), Sent::new(URL, &[], ""), Sent::new(URL, &[], "{}")] {
        assert_eq!(sent.verify(&*acme).unwrap_err().code(), "no_key");
    }
    assert_eq!(event("").verify(&*vendor("acme", Scheme::Mailgun, &[" "])).unwrap_err().code(), "no_key");
}

#[test]
fn unless_told_otherwise_a_token_is_good_for_nine_hours() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    let sent = event("key");
    for (seconds, good) in [(9 * 3600, true), (9 * 3600 + 1, false), (-9 * 3600, true), (-9 * 3600 - 1, false)] {
        assert_eq!(sent.verify_at(&*acme, NOW + seconds).is_ok(), good, "{seconds}");
    }
}

#[test]
fn a_digit_cannot_move_between_time_and_token() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    let text = format!("{NOW}{TOKEN}");
    for cut in 0..text.len() {
        let (timestamp, token) = text.split_at(cut);
        let signed = json!({"timestamp": timestamp, "token": token, "signature": signature("key", timestamp, token)});
        let sent = Sent::new(URL, &[], json!({"signature": signed, "event-data": {}}).to_string());
        assert_eq!(sent.verify(&*acme).is_ok(), timestamp == NOW.to_string(), "{timestamp} {token}");
    }
}

#[test]
fn a_token_counts_once_whatever_comes_with_it() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    let first = event("key");
    assert_eq!(acme.handshake(&first.request(), at(NOW)), None);
    assert_eq!(acme.handshake(&first.request(), at(NOW)), None, "it is not durable yet");
    acme.accepted(&first.request(), at(NOW));
    assert_eq!(acme.handshake(&first.request(), at(NOW)), Some(Handshake::Answer(None)));
    let forged = json_with("key", TOKEN, json!({"event": "complained", "id": "f"}));
    assert_eq!(acme.handshake(&forged.request(), at(NOW)), Some(Handshake::Answer(None)));
    assert_eq!(forged.identify(&*acme), first.identify(&*acme), "other instances know it by its token");
    let next = json_with("key", OTHER_TOKEN, json!({"event": "delivered", "id": "e"}));
    assert_eq!(acme.handshake(&next.request(), at(NOW)), None);
    assert_ne!(next.identify(&*acme), first.identify(&*acme));

    let mail = form("sender=a%40x&recipient=b%40x");
    assert_eq!(acme.handshake(&mail.request(), at(NOW)), Some(Handshake::Answer(None)));
    assert!(!format!("{acme:?}").contains(TOKEN));
}

#[test]
fn a_body_has_one_signature_only() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    let body = String::from_utf8(event("key").body).unwrap();
    let twice = body.replacen('{', r#"{"signature":{"timestamp":1,"token":"x","signature":"y"},"#, 1);
    assert_eq!(Sent::new(URL, &[], twice).verify(&*acme).unwrap_err().code(), "malformed");
    for odd in [
        r#"{"signature":7}"#,
        r#"{"signature":{"timestamp":[],"token":"x","signature":"y"}}"#,
        r#"{"signature":{"timestamp":"1e3","token":"x","signature":"y"}}"#,
        r#"{"signature":{"timestamp":1,"token":null,"signature":"y"}}"#,
        "timestamp=1&token=%ff&signature=y",
    ] {
        assert_eq!(Sent::new(URL, &[], odd).verify(&*acme).unwrap_err().code(), "malformed", "{odd}");
    }
    // In a form the last of a name counts, for the verdict as for the identity.
    let sent = form("token=first&signature=first&sender=a%40x");
    assert_eq!(sent.verify(&*acme), Ok(()));
    assert_eq!(sent.identify(&*acme).dedupe_key, Some(format!("acme:{TOKEN}")));
}

#[test]
fn mail_with_attachments_is_a_multipart_form() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    let signature = signature("key", &NOW.to_string(), TOKEN);
    let timestamp = NOW.to_string();
    let fields = [
        ("recipient", "us@mg.example.com"),
        ("sender", "ana@example.com"),
        ("Message-Id", "<q@example.com>"),
        ("timestamp", &timestamp),
        ("token", TOKEN),
        ("signature", &signature),
    ];
    let part = |(name, value): (&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = fields.map(part).concat() + "--x--\r\n";
    let sent = Sent::new(URL, &[("content-type", "multipart/form-data; boundary=x")], body);
    assert_eq!(sent.verify(&*acme), Ok(()));
    let mail = read(&sent);
    assert_eq!((mail.event_type, mail.provider_message_id.as_str()), (EventType::MessageReceived, "<q@example.com>"));
    assert_eq!(mail.dedupe_key, format!("acme:inbound:{TOKEN}"));
    assert_eq!(
        (mail.sender.as_deref(), mail.recipient.as_deref()),
        (Some("ana@example.com"), Some("us@mg.example.com"))
    );
    assert_eq!(sent.identify(&*acme).dedupe_key, Some(format!("acme:{TOKEN}")));
}

#[test]
fn a_stranger_cannot_name_his_mail_as_one_of_our_messages() {
    let mail = read(&form("sender=a%40x&Message-Id=20261120184000.1.ABC%40mg.example.com"));
    assert_eq!(mail.provider_message_id, "<20261120184000.1.ABC@mg.example.com>");
    let nameless = read(&form("sender=a%40x&event=complained"));
    assert_eq!(nameless.event_type, EventType::MessageReceived, "a mail is no event, whatever its headers are called");
    assert!(nameless.provider_message_id.starts_with("sha256-"));
}

#[test]
fn every_event_has_its_type_and_a_new_one_is_kept_as_unknown() {
    use EventType::*;
    for (name, event_type) in [
        ("accepted", MessageAccepted),
        ("rejected", MessageRejected),
        ("delivered", MessageDelivered),
        ("opened", MessageOpened),
        ("clicked", MessageClicked),
        ("unsubscribed", RecipientUnsubscribed),
        ("complained", MessageComplained),
        ("stored", MessageReceived),
        ("failed", MessageFailed),
        ("levitated", Unknown),
    ] {
        let event = normalise(json!({"event": name, "id": "e", "url": "u"}));
        assert_eq!((event.event_type, event.provider_status.as_str()), (event_type, name));
        assert_eq!(event.url.is_some(), name == "clicked");
    }
}

#[test]
fn a_failure_tells_whether_the_address_is_to_blame() {
    let failed = |severity: &str, reason: &str| {
        let event = normalise(json!({"event": "failed", "id": "e", "severity": severity, "reason": reason}));
        (event.event_type, event.bounce_class)
    };
    assert_eq!(failed("permanent", "bounce"), (EventType::MessageBounced, Some(BounceClass::Hard)));
    assert_eq!(failed("permanent", "old"), (EventType::MessageBounced, Some(BounceClass::Soft)));
    assert_eq!(failed("permanent", "espblock"), (EventType::MessageBounced, Some(BounceClass::Block)));
    assert_eq!(failed("permanent", "suppress-complaint"), (EventType::MessageRejected, None));
    assert_eq!(failed("temporary", "generic"), (EventType::MessageDeferred, None));
}

#[test]
fn without_ids_a_repeat_is_the_same_event_and_anything_else_is_another() {
    let one = normalise(json!({"event": "opened"}));
    assert_eq!(one, read(&json_with("key", OTHER_TOKEN, json!({"event": "opened"}))), "a retry may have a new token");
    assert_ne!(one.dedupe_key, normalise(json!({"event": "clicked"})).dedupe_key);
    let day = |message: &str| {
        normalise(json!({"event": "opened", "id": "e", "message": {"headers": {"message-id": message}}}))
    };
    assert_ne!(day("m1").dedupe_key, day("m2").dedupe_key, "ids are unique within a day only");
    for odd in [json!(7), json!([]), json!({"event": [], "id": {}, "message": 7, "timestamp": "soon"})] {
        let event = normalise(odd);
        assert_eq!(event.event_type, EventType::Unknown);
        assert!(!event.provider_message_id.is_empty());
    }
}

#[test]
fn a_body_of_another_kind_is_unreadable_and_the_reason_holds_nothing_of_it() {
    let acme = vendor("acme", Scheme::Mailgun, &["key"]);
    for body in ["", "ana@example.com", r#"{"ana": 1}"#, "{", "sender=ana"] {
        let sent = Sent::new(URL, &[("content-type", "application/json")], body);
        let reason = acme.normalise(&sent.callback(&*acme, Channel::Email)).unwrap_err().to_string();
        assert!(!reason.contains("ana"), "{reason}");
    }
}

#[test]
fn a_strangers_message_id_is_never_one_of_our_own() {
    let told = |name: &str| {
        let fields = json!({"event": name, "id": "e", "message": {"headers": {"message-id": "m@mg.example.com"}}});
        normalise(fields).provider_message_id
    };
    assert_eq!(told("delivered"), "m@mg.example.com");
    assert_eq!(told("stored"), "<m@mg.example.com>");
}
