//! Live keys: several during a rotation, some missing, some broken.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePublicKey,
};
use sha1::Sha1;
use sha2::Sha256;
use sluice::{
    config::{Scheme, Secret},
    vendors::{Refusal, Vendors, build},
};

use crate::support::{NOW, Sent, config, missing, vendor};

pub const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";
pub const WHSEC: &str = "whsec_ZGVtby1zZWNyZXQtbnVtYmVyLW9uZQ==";
const OTHER_WHSEC: &str = "whsec_ZGVtby1zZWNyZXQtbnVtYmVyLXR3bw==";
const SHARED_KEY: &str = "webhooks_sharedkey_01jbw2m8r5t4v7x9y0z1a2b3c4";

/// A status callback of Twilio, signed with a token.
pub fn twilio(token: &str) -> Sent {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("{URL}MessageSidSM1MessageStatussentTo+34").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Sent::form(URL, &signature, "To=%2B34&MessageSid=SM1&MessageStatus=sent")
}

pub fn sendgrid_key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub fn sendgrid_public(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying_key().to_public_key_der().unwrap().as_bytes())
}

pub fn sendgrid(key: &SigningKey, body: &str) -> Sent {
    let signature: Signature = key.sign(format!("{NOW}{body}").as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-twilio-email-event-webhook-timestamp", &NOW.to_string()),
        ("x-twilio-email-event-webhook-signature", &STANDARD.encode(signature.to_der())),
    ];
    Sent::new("https://hooks.example.net/incoming/acme/email/events", &headers, body)
}

pub fn standard(secret: &str, body: &str) -> Sent {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("msg_1.{NOW}.{body}").as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", &NOW.to_string()),
        ("webhook-signature", &format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))),
    ];
    Sent::new("https://hooks.example.net/incoming/acme/email/events", &headers, body)
}

fn is_no_key(verdict: Result<(), Refusal>) -> bool {
    matches!(verdict, Err(Refusal::NoKey(_)))
}

#[test]
fn either_of_two_live_secrets_may_have_signed() {
    let acme = vendor("acme", Scheme::Twilio, &["old", "new"]);
    assert_eq!(twilio("old").verify(&*acme), Ok(()));
    assert_eq!(twilio("new").verify(&*acme), Ok(()));
    assert_eq!(twilio("stolen").verify(&*acme), Err(Refusal::Mismatch));

    let (old, new) = (sendgrid_key(1), sendgrid_key(2));
    let acme = vendor("acme", Scheme::Sendgrid, &[&sendgrid_public(&old), &sendgrid_public(&new)]);
    assert_eq!(sendgrid(&old, "[]").verify(&*acme), Ok(()));
    assert_eq!(sendgrid(&new, "[]").verify(&*acme), Ok(()));
    assert_eq!(sendgrid(&sendgrid_key(3), "[]").verify(&*acme), Err(Refusal::Mismatch));

    let acme = vendor("acme", Scheme::StandardWebhooks, &[WHSEC, OTHER_WHSEC]);
    assert_eq!(standard(WHSEC, "{}").verify(&*acme), Ok(()));
    assert_eq!(standard(OTHER_WHSEC, "{}").verify(&*acme), Ok(()));
    assert_eq!(standard("whsec_c3RvbGVu", "{}").verify(&*acme), Err(Refusal::Mismatch));
}

#[test]
fn beside_a_missing_secret_a_good_signature_passes_and_any_other_asks_the_vendor_to_try_again() {
    for (scheme, secret, good, bad) in [
        (Scheme::Twilio, "token".to_owned(), twilio("token"), twilio("other")),
        (
            Scheme::Sendgrid,
            sendgrid_public(&sendgrid_key(1)),
            sendgrid(&sendgrid_key(1), "[]"),
            sendgrid(&sendgrid_key(2), "[]"),
        ),
        (Scheme::StandardWebhooks, WHSEC.to_owned(), standard(WHSEC, "{}"), standard(OTHER_WHSEC, "{}")),
    ] {
        let mut config = config(scheme, &[&secret]);
        config.secrets.insert(0, missing());
        let acme = build("acme", &config);
        assert_eq!(good.verify(&*acme), Ok(()), "{scheme:?}");
        assert!(is_no_key(bad.verify(&*acme)), "{scheme:?}");

        config.secrets.truncate(1);
        let acme = build("acme", &config);
        assert!(is_no_key(good.verify(&*acme)), "{scheme:?}");
        assert!(is_no_key(Sent::new(URL, &[], "").verify(&*acme)), "{scheme:?}");
    }
}

#[test]
fn a_key_that_cannot_be_loaded_is_our_fault_and_is_told_without_the_key() {
    for (scheme, secret) in [
        (Scheme::Twilio, "  "),
        (Scheme::Sendgrid, "hunter2!"),
        (Scheme::Sendgrid, "aHVudGVyMg=="),
        (Scheme::StandardWebhooks, "whsec_hunter2!"),
        (Scheme::StandardWebhooks, "whsec_"),
        (Scheme::StandardWebhooks, "whpk_aHVudGVyMg=="),
        (Scheme::StandardWebhooks, "whsk_aHVudGVyMg=="),
        // The neutral element: any message has a signature that fits it.
        (Scheme::StandardWebhooks, "whpk_AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ] {
        let acme = vendor("acme", scheme, &[secret]);
        let request = match scheme {
            Scheme::Twilio => twilio(""),
            Scheme::Sendgrid => sendgrid(&sendgrid_key(1), "[]"),
            _ => standard(WHSEC, "{}"),
        };
        let Err(Refusal::NoKey(told)) = request.verify(&*acme) else { panic!("{secret}") };
        assert!(told.starts_with("vendors.acme.secrets[0] "), "{told}");
        assert!(!told.contains("hunter") && !told.contains("aHVud"), "{told}");
        assert!(!format!("{acme:?}").contains("hunter"), "{acme:?}");
    }
}

#[test]
fn no_secret_at_all_lets_nothing_in() {
    for scheme in [Scheme::Twilio, Scheme::Sendgrid, Scheme::StandardWebhooks] {
        let acme = vendor("acme", scheme, &[]);
        assert!(is_no_key(twilio("").verify(&*acme)), "{scheme:?}");
    }
}

#[test]
fn space_around_a_secret_and_pem_armour_around_a_key_do_no_harm() {
    assert_eq!(twilio("token").verify(&*vendor("acme", Scheme::Twilio, &[" token\r\n"])), Ok(()));
    let key = sendgrid_public(&sendgrid_key(1));
    let (head, tail) = key.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{head}\r\n{tail}\n-----END PUBLIC KEY-----\n");
    assert_eq!(sendgrid(&sendgrid_key(1), "[]").verify(&*vendor("acme", Scheme::Sendgrid, &[&pem])), Ok(()));
}

#[test]
fn a_shared_key_is_chosen_by_its_id_alone() {
    let settings = |key: &str, algorithm: &str| {
        twilio("shared").set("x-twilio-webhooks-signature-settings", &format!("key={key}, algorithm={algorithm}"))
    };
    let mut config = config(Scheme::Twilio, &["token"]);
    config.shared_keys.insert(SHARED_KEY.into(), Ok(Secret::new("shared")));
    let acme = build("acme", &config);
    assert_eq!(settings(SHARED_KEY, "HMAC_SHA1").verify(&*acme), Ok(()));
    assert_eq!(settings("another", "HMAC_SHA1").verify(&*acme), Err(Refusal::Unknown("the SharedKey".into())));
    assert_eq!(settings(SHARED_KEY, "none").verify(&*acme), Err(Refusal::Unknown("the signature algorithm".into())));
    assert_eq!(twilio("shared").verify(&*acme), Err(Refusal::Mismatch), "without settings only tokens count");

    config.secrets.clear();
    let acme = build("acme", &config);
    assert_eq!(settings(SHARED_KEY, "HMAC_SHA1").verify(&*acme), Ok(()), "an account may do without a token");
    assert_eq!(twilio("token").verify(&*acme).unwrap_err().code(), "missing_header");

    config.shared_keys.insert("another".into(), missing());
    let acme = build("acme", &config);
    assert_eq!(settings(SHARED_KEY, "HMAC_SHA1").verify(&*acme), Ok(()));
    assert!(is_no_key(settings("another", "HMAC_SHA1").verify(&*acme)));
}

#[test]
fn a_vendor_that_signs_nothing_is_believed() {
    assert_eq!(Sent::new(URL, &[], "anything").verify(&*vendor("acme", Scheme::None, &[])), Ok(()));
}

#[test]
fn twilio_is_answered_with_an_empty_document_and_others_with_nothing() {
    let answer = vendor("acme", Scheme::Twilio, &["token"]).answer().unwrap();
    assert_eq!((answer.content_type.as_str(), answer.body.contains("<Response/>")), ("text/xml", true));
    for scheme in [Scheme::Sendgrid, Scheme::StandardWebhooks, Scheme::None] {
        assert_eq!(vendor("acme", scheme, &["secret"]).answer(), None);
    }
}

#[test]
fn vendors_are_found_by_their_configured_names() {
    let vendors = [("acme".to_owned(), config(Scheme::Twilio, &["token"]))].into();
    let vendors = Vendors::from_config(&vendors);
    assert_eq!(twilio("token").verify(&**vendors.get("acme").unwrap()), Ok(()));
    assert!(vendors.get("other").is_none());
}

#[test]
fn the_shipped_configuration_builds_and_verifies_with_its_demo_secrets() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sluice.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let config = sluice::config::Config::parse(&path, &text, &|_| None).unwrap();
    let vendors = Vendors::from_config(&config.vendors);
    for name in ["twilio", "sendgrid", "resend"] {
        let refusal = Sent::new(URL, &[], "").verify(&**vendors.get(name).unwrap()).unwrap_err();
        assert_eq!(refusal.code(), "missing_header", "{name}");
    }
}
