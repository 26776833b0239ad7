//! Amazon SES beyond its vectors: hostile topics and certificates, handshakes, and what events mean.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};
use sluice::{
    config::{Scheme, VendorConfig},
    event::{BounceClass, Channel, Event, EventType},
    vendors::{Handshake, Refusal, Vendor, build},
};

use crate::support::{NOW, Sent, config, file, tolerance, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/email/events";
const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:ses-events";
const SIGNED_AT: &str = "2026-11-20T18:40:00.000Z";

/// A key of somebody who is Amazon here. RSA keys take long to make: one does for all.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

fn pem(key: &KeyPair, from: i32, to: i32) -> Vec<u8> {
    let mut params = CertificateParams::new(["sns.amazonaws.com".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params.self_signed(key).unwrap().pem().into_bytes()
}

/// A vendor that knows the certificate.
fn ses(topics: &[&str]) -> Arc<dyn Vendor> {
    let vendor = build("acme", &ses_config(topics));
    vendor.learn_certificate(CERTIFICATE, &pem(&KEY, 2020, 2040)).unwrap();
    vendor
}

fn ses_config(topics: &[&str]) -> VendorConfig {
    let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
    VendorConfig { topics, ..config(Scheme::Ses, &[]) }
}

/// The text that Amazon signs.
fn text(message: &Value) -> String {
    let names: &[&str] = match message["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let line = |name: &&str| Some(format!("{name}\n{}\n", message.get(name)?.as_str()?));
    names.iter().filter_map(line).collect()
}

fn sign(mut message: Value) -> Value {
    let key = RsaKeyPair::from_pkcs8(&KEY.serialize_der()).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text(&message).as_bytes(), &mut signature).unwrap();
    message["SignatureVersion"] = "2".into();
    message["SigningCertURL"] = CERTIFICATE.into();
    message["Signature"] = STANDARD.encode(signature).into();
    message
}

fn notification(topic: &str, message: &str) -> Value {
    json!({"Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": message, "Timestamp": SIGNED_AT})
}

fn confirmation(kind: &str, url: &str) -> Value {
    json!({
        "Type": kind, "MessageId": "m-1", "TopicArn": TOPIC, "Message": "You have chosen", "Timestamp": SIGNED_AT,
        "Token": "t", "SubscribeURL": url,
    })
}

fn sent(message: &Value) -> Sent {
    Sent::new(URL, &[("content-type", "text/plain; charset=UTF-8")], message.to_string())
}

fn read(event: Value) -> Vec<Event> {
    let vendor = vendor("acme", Scheme::Ses, &[]);
    let sent = sent(&sign(notification(TOPIC, &event.to_string())));
    vendor.normalise(&sent.callback(&*vendor, Channel::Email)).unwrap()
}

#[test]
fn topics_are_allowed_by_name_or_by_their_beginning() {
    let genuine = sent(&sign(notification(TOPIC, "{}")));
    for topics in [&[TOPIC][..], &["arn:aws:sns:eu-west-1:123456789012:*"], &["arn:other", "*"]] {
        assert_eq!(genuine.verify(&*ses(topics)), Ok(()), "{topics:?}");
    }
    for topics in [&[][..], &[&TOPIC[1..]], &["arn:aws:sns:eu-west-1:123456789012:ses"], &["arn:aws:sns:us-east-1:*"]] {
        assert_eq!(genuine.verify(&*ses(topics)), Err(Refusal::Unknown("the topic".into())), "{topics:?}");
    }
}

#[test]
fn a_message_of_a_foreign_topic_cannot_be_cut_into_one_of_an_allowed_topic() {
    let vendor = ses(&["arn:aws:sns:eu-west-1:123456789012:*"]);
    let ours = format!("forged\nMessageId\nm-2\nTimestamp\n{SIGNED_AT}\nTopicArn\n{TOPIC}");
    let theirs = sign(notification("arn:aws:sns:eu-west-1:999999999999:theirs", &ours));
    assert_eq!(sent(&theirs).verify(&*vendor).unwrap_err().code(), "unknown");

    // The same signed text; the rest of it is taken for the topic.
    let mut forged = theirs.clone();
    forged["Message"] = "forged".into();
    forged["MessageId"] = "m-2".into();
    forged["TopicArn"] =
        format!("{TOPIC}\nMessageId\nm-1\nTimestamp\n{SIGNED_AT}\nTopicArn\narn:aws:sns:eu-west-1:999999999999:theirs")
            .into();
    assert_eq!(text(&forged), text(&theirs));
    assert_eq!(sent(&forged).verify(&*vendor), Err(Refusal::Malformed("TopicArn".into())));
}

#[test]
fn a_field_that_comes_twice_is_refused() {
    let vendor = ses(&["*"]);
    let genuine = sign(notification(TOPIC, "{}")).to_string();
    assert_eq!(Sent::new(URL, &[], genuine.clone()).verify(&*vendor), Ok(()));
    let twice = genuine.replacen('{', r#"{"Message":"forged","#, 1);
    assert_eq!(Sent::new(URL, &[], twice).verify(&*vendor).unwrap_err().code(), "malformed");
}

#[test]
fn a_certificate_is_asked_for_only_where_it_may_matter() {
    let vendor = build("acme", &ses_config(&[TOPIC]));
    let mut message = sign(notification(TOPIC, "{}"));
    assert_eq!(sent(&message).verify(&*vendor), Err(Refusal::CertificateNeeded(CERTIFICATE.into())));
    message["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem".into();
    assert_eq!(sent(&message).verify(&*vendor), Err(Refusal::Malformed("SigningCertURL".into())));
    let foreign = sign(notification("arn:aws:sns:eu-west-1:999999999999:theirs", "{}"));
    assert_eq!(sent(&foreign).verify(&*vendor), Err(Refusal::Unknown("the topic".into())));
}

#[test]
fn only_certificates_of_rsa_keys_are_learnt_and_only_from_amazon() {
    let vendor = build("acme", &ses_config(&["*"]));
    let learnt = |url: &str, pem: &[u8]| vendor.learn_certificate(url, pem).map_err(|refusal| refusal.code());
    let good = pem(&KEY, 2020, 2040);
    assert_eq!(learnt("https://evil.example/x.pem", &good), Err("malformed"));
    assert_eq!(learnt("https://sns.s3-us-west-2.amazonaws.com/x.pem", &good), Err("malformed"));
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    for odd in [&b""[..], b"-----BEGIN CERTIFICATE-----", KEY.serialize_pem().as_bytes(), &pem(&curve, 2020, 2040)] {
        assert_eq!(learnt(CERTIFICATE, odd), Err("malformed"));
    }
    assert_eq!(learnt(CERTIFICATE, &good), Ok(()));
    assert_eq!(sent(&sign(notification(TOPIC, "{}"))).verify(&*vendor), Ok(()));
}

#[test]
fn a_certificate_counts_within_its_period_only() {
    for (from, to) in [(2020, 2026), (2027, 2040)] {
        let vendor = build("acme", &ses_config(&["*"]));
        vendor.learn_certificate(CERTIFICATE, &pem(&KEY, from, to)).unwrap();
        let refusal = sent(&sign(notification(TOPIC, "{}"))).verify(&*vendor).unwrap_err();
        assert_eq!(refusal.code(), "unknown", "{from} to {to}");
    }
}

#[test]
fn strangers_certificates_do_not_push_out_one_that_has_served() {
    let vendor = ses(&["*"]);
    let genuine = sent(&sign(notification(TOPIC, "{}")));
    assert_eq!(genuine.verify(&*vendor), Ok(()));
    let pem = file("payloads/ses/signing-certificate.pem");
    let url = |number| format!("https://sns.eu-west-1.amazonaws.com/other-{number}.pem");
    for number in 0..500 {
        vendor.learn_certificate(&url(number), &pem).unwrap();
    }
    assert_eq!(genuine.verify(&*vendor), Ok(()));
    assert_eq!(format!("{vendor:?}").matches(".pem").count(), 64, "there is an end to them");
    // The newest is there too, for the request that asked for it.
    let mut other = sign(notification(TOPIC, "{}"));
    other["SigningCertURL"] = url(499).into();
    assert_eq!(sent(&other).verify(&*vendor), Err(Refusal::Mismatch));
}

#[test]
fn an_age_limit_counts_from_the_signed_time() {
    let vendor = build("acme", &VendorConfig { tolerance: tolerance(3600), ..ses_config(&["*"]) });
    vendor.learn_certificate(CERTIFICATE, &pem(&KEY, 2020, 2040)).unwrap();
    let genuine = sent(&sign(notification(TOPIC, "{}")));
    assert_eq!(genuine.verify_at(&*vendor, NOW + 3600), Ok(()));
    assert_eq!(genuine.verify_at(&*vendor, NOW + 3601).unwrap_err().code(), "stale");
    let mut odd = notification(TOPIC, "{}");
    odd["Timestamp"] = "yesterday".into();
    assert_eq!(sent(&sign(odd)).verify(&*vendor).unwrap_err().code(), "malformed");
}

#[test]
fn a_subscription_is_confirmed_at_amazon_and_its_end_is_only_noted() {
    let vendor = ses(&[TOPIC]);
    let url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
    let shaken = |message: &Value| {
        let sent = sent(message);
        sent.verify(&*vendor).map(|()| vendor.handshake(&sent.request(), crate::support::at(NOW)))
    };
    let subscribed = shaken(&sign(confirmation("SubscriptionConfirmation", url)));
    assert_eq!(subscribed, Ok(Some(Handshake::Confirm(url.into()))));
    let elsewhere = shaken(&sign(confirmation("SubscriptionConfirmation", "https://evil.example/?Action=x")));
    assert_eq!(elsewhere, Err(Refusal::Malformed("SubscribeURL".into())));
    let ended = shaken(&sign(confirmation("UnsubscribeConfirmation", url)));
    assert_eq!(ended, Ok(Some(Handshake::Answer(None))));
    assert_eq!(shaken(&sign(notification(TOPIC, "{}"))), Ok(None));
    let other = shaken(&sign(confirmation("Welcome", url)));
    assert_eq!(other.unwrap_err().code(), "malformed");
}

#[test]
fn a_delivery_is_identified_by_the_message_id_of_sns_and_is_about_the_mail() {
    let vendor = ses(&["*"]);
    let identity = |message: &str| sent(&sign(notification(TOPIC, message))).identify(&*vendor);
    let mail = identity(r#"{"eventType":"Open","mail":{"messageId":"0100"}}"#);
    assert_eq!((mail.subject.as_deref(), mail.dedupe_key.as_deref()), (Some("0100"), Some("acme:m-1")));
    for odd in ["Successfully validated SNS topic", "{}", r#"{"mail":7}"#, r#"{"mail":{"messageId":""}}"#] {
        let identity = identity(odd);
        assert_eq!((identity.subject, identity.dedupe_key.as_deref()), (None, Some("acme:m-1")), "{odd}");
    }
}

#[test]
fn each_recipient_has_an_event_of_its_own() {
    let mail = json!({"messageId": "0100", "destination": ["a@x", "b@x", "a@x", 7, null, ""]});
    let keys = |events: Vec<Event>| events.into_iter().map(|event| event.dedupe_key).collect::<Vec<_>>();
    let clicked = read(json!({"eventType": "Click", "mail": mail, "click": {"link": "https://example.com/"}}));
    assert_eq!(clicked[0].url.as_deref(), Some("https://example.com/"));
    assert_eq!(clicked[0].occurred_at.unwrap().timestamp(), NOW, "without a time of its own the time of SNS counts");
    assert_eq!(keys(clicked), ["acme:m-1:a@x", "acme:m-1:b@x", "acme:m-1:7"]);
    // A bounce is about those who are listed, not about everybody.
    let bounced = read(json!({"eventType": "Bounce", "mail": mail, "bounce": {"bounceType": "Permanent"}}));
    assert_eq!((bounced[0].recipient.as_ref(), bounced[0].provider_status.as_str()), (None, "Bounce:Permanent"));
    assert_eq!(keys(bounced), ["acme:m-1"]);
}

#[test]
fn bounces_and_complaints_that_a_suppression_list_made_are_rejections() {
    let bounce = |kind: &str, subtype: &str| {
        let bounce =
            json!({"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [{"emailAddress": "a@x"}]});
        let event = read(json!({"eventType": "Bounce", "bounce": bounce})).remove(0);
        (event.event_type, event.bounce_class)
    };
    assert_eq!(bounce("Permanent", "General"), (EventType::MessageBounced, Some(BounceClass::Hard)));
    assert_eq!(bounce("Undetermined", "Undetermined"), (EventType::MessageBounced, Some(BounceClass::Soft)));
    assert_eq!(bounce("Novel", "General"), (EventType::MessageBounced, None));
    assert_eq!(bounce("Permanent", "Suppressed"), (EventType::MessageRejected, None));

    let complaint = |subtype: Value| {
        let complaint = json!({
            "complaintSubType": subtype, "complaintFeedbackType": "abuse", "complainedRecipients": [{"emailAddress": "a@x"}],
        });
        let event = read(json!({"notificationType": "Complaint", "complaint": complaint})).remove(0);
        (event.event_type, event.provider_status)
    };
    assert_eq!(complaint(Value::Null), (EventType::MessageComplained, "Complaint".into()));
    let suppressed = complaint("OnAccountSuppressionList".into());
    assert_eq!(suppressed, (EventType::MessageRejected, "Complaint:OnAccountSuppressionList".into()));
}

#[test]
fn preferences_count_where_they_concern_all_mail() {
    let changed = |old: bool, new: bool| {
        let detail =
            json!({"oldTopicPreferences": {"unsubscribeAll": old}, "newTopicPreferences": {"unsubscribeAll": new}});
        read(json!({"eventType": "Subscription", "mail": {"destination": ["a@x"]}, "subscription": detail}))[0]
            .event_type
    };
    assert_eq!(changed(false, true), EventType::RecipientUnsubscribed);
    assert_eq!(changed(true, false), EventType::RecipientResubscribed);
    assert_eq!(changed(false, false), EventType::Unknown);
}

#[test]
fn what_ses_may_say_one_day_is_kept_and_broken_json_is_told() {
    let [event] = read(json!({"eventType": "Teleported", "mail": 7})).try_into().unwrap();
    assert_eq!((event.event_type, event.provider_status.as_str()), (EventType::Unknown, "Teleported"));
    assert!(event.provider_message_id.starts_with("sha256-"), "{event:?}");
    assert_eq!(read(json!({}))[0].event_type, EventType::Unknown);
    for odd in
        [json!({"eventType": 7, "bounce": []}), json!({"eventType": "Bounce", "bounce": {"bouncedRecipients": {}}})]
    {
        assert_eq!(read(odd).len(), 1);
    }

    let vendor = vendor("acme", Scheme::Ses, &[]);
    let normalised =
        |message: &str| vendor.normalise(&sent(&sign(notification(TOPIC, message))).callback(&*vendor, Channel::Email));
    assert_eq!(normalised("Successfully validated SNS topic for Amazon SES event publishing."), Ok(Vec::new()));
    let reason = normalised(r#"{"mail": "ana@example.com""#).unwrap_err().to_string();
    assert!(!reason.contains("ana"), "{reason}");
}
