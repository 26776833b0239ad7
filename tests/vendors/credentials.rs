//! Shared secrets in a header: Basic, Bearer, or a header of its own.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use sluice::{
    config::{Credential, Scheme, VendorConfig},
    vendors::{Refusal, Step, Trace, build},
};

use crate::support::{NOW, Sent, at, config, missing, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/email/events";

/// The schemes that take a shared secret.
const SCHEMES: [Scheme; 4] = [Scheme::Postmark, Scheme::Sparkpost, Scheme::Infobip, Scheme::Credential];

pub fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

fn with(name: &str, value: &str) -> Sent {
    Sent::new(URL, &[(name, value)], "{}")
}

fn configured(credential: &str, secrets: &[&str]) -> VendorConfig {
    let credential = Credential::try_from(credential.to_owned()).unwrap();
    VendorConfig { credential, ..config(Scheme::Credential, secrets) }
}

#[test]
fn either_of_two_live_passwords_opens() {
    for scheme in SCHEMES {
        let acme = vendor("acme", scheme, &["acme:old", "acme:new"]);
        assert_eq!(with("authorization", &basic("acme:old")).verify(&*acme), Ok(()), "{scheme:?}");
        assert_eq!(with("authorization", &basic("acme:new")).verify(&*acme), Ok(()), "{scheme:?}");
        assert_eq!(with("authorization", &basic("acme:newer")).verify(&*acme), Err(Refusal::Mismatch), "{scheme:?}");
        assert_eq!(with("authorization", &basic("acme:ne")).verify(&*acme), Err(Refusal::Mismatch), "{scheme:?}");
        assert_eq!(with("authorization", &basic("acme")).verify(&*acme), Err(Refusal::Mismatch), "{scheme:?}");
    }
}

#[test]
fn beside_a_missing_password_a_good_one_opens_and_any_other_asks_the_vendor_to_try_again() {
    for scheme in SCHEMES {
        let mut config = config(scheme, &["acme:old"]);
        config.secrets.push(missing());
        let acme = build("acme", &config);
        assert_eq!(with("authorization", &basic("acme:old")).verify(&*acme), Ok(()), "{scheme:?}");
        for sent in [with("authorization", &basic("acme:new")), Sent::new(URL, &[], "{}")] {
            assert!(matches!(sent.verify(&*acme), Err(Refusal::NoKey(_))), "{scheme:?}");
        }
    }
}

#[test]
fn a_password_without_a_user_name_is_our_fault_and_is_told_without_the_password() {
    let acme = vendor("acme", Scheme::Postmark, &["hunter2"]);
    let told = with("authorization", &basic("hunter2")).verify(&*acme).unwrap_err();
    assert_eq!(told, Refusal::NoKey("vendors.acme.secrets[0] is not user:password".into()));
    assert!(!format!("{acme:?}").contains("hunter2"));
}

#[test]
fn a_bearer_token_is_taken_only_as_such() {
    let acme = build("acme", &configured("bearer", &["t0ken", "other"]));
    for value in ["Bearer t0ken", "bearer other", "BEARER  t0ken"] {
        assert_eq!(with("authorization", value).verify(&*acme), Ok(()), "{value}");
    }
    for (value, code) in [
        ("Bearer T0ken", "mismatch"),
        ("Bearer", "malformed"),
        ("Bearer ", "malformed"),
        ("t0ken", "unknown"),
        ("Basic t0ken", "unknown"),
        (&basic("t0ken"), "unknown"),
    ] {
        assert_eq!(with("authorization", value).verify(&*acme).unwrap_err().code(), code, "{value}");
    }
}

#[test]
fn a_header_of_its_own_holds_the_bare_secret() {
    let acme = build("acme", &configured("header:X-Acme-Token", &["t0ken"]));
    assert_eq!(with("x-acme-token", "t0ken").verify(&*acme), Ok(()));
    assert_eq!(with("x-acme-token", "token").verify(&*acme), Err(Refusal::Mismatch));
    assert_eq!(with("x-acme-token", "").verify(&*acme), Err(Refusal::MissingHeader("x-acme-token".into())));
    assert_eq!(with("authorization", "Bearer t0ken").verify(&*acme).unwrap_err().code(), "missing_header");
}

#[test]
fn a_header_that_is_there_twice_is_refused_even_with_a_good_secret_first() {
    for (credential, name, value) in
        [("basic", "authorization", basic("a:b")), ("header:x-token", "x-token", "a:b".to_owned())]
    {
        let acme = build("acme", &configured(credential, &["a:b"]));
        let mut sent = with(name, &value);
        assert_eq!(sent.verify(&*acme), Ok(()));
        sent.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(&value).unwrap());
        assert_eq!(sent.verify(&*acme).unwrap_err().code(), "malformed");
    }
}

#[test]
fn a_header_that_is_no_text_is_malformed() {
    let acme = build("acme", &configured("header:x-token", &["t0ken"]));
    let mut sent = Sent::new(URL, &[], "{}");
    sent.headers.insert("x-token", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(sent.verify(&*acme).unwrap_err().code(), "malformed");
}

#[test]
fn a_trace_shows_which_secret_matched_but_no_secret() {
    let cases = [
        ("basic", "authorization", basic("user:s3cr3t"), Ok(()), true),
        ("basic", "authorization", basic("user:oth3r"), Err(Refusal::Mismatch), false),
        (
            "basic",
            "authorization",
            "s3cr3t".to_owned(),
            Err(Refusal::Unknown("the authorization scheme".into())),
            false,
        ),
        ("bearer", "authorization", "Bearer user:s3cr3t".to_owned(), Ok(()), true),
        ("header:x-token", "x-token", "user:s3cr3t".to_owned(), Ok(()), true),
    ];
    for (credential, name, value, verdict, matched) in cases {
        let acme = build("acme", &configured(credential, &["user:decoy", "user:s3cr3t"]));
        let sent = with(name, &value);
        let mut trace = Trace::on();
        assert_eq!(acme.verify(&sent.request(), at(NOW), &mut trace), verdict);
        let told = format!("{:?}", trace.steps());
        for secret in ["s3cr3t", "oth3r", "decoy", &STANDARD.encode("user:s3cr3t"), &STANDARD.encode("user:oth3r")] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(told.contains(name), "{told}");
        let right: Vec<_> = trace
            .steps()
            .iter()
            .filter_map(|step| match step {
                Step::Tried { key, expected, received, matched } => {
                    assert_eq!(expected.as_ref() == Some(received), *matched, "{told}");
                    matched.then_some(key.as_str())
                }
                _ => None,
            })
            .collect();
        assert_eq!(right == ["vendors.acme.secrets[1]"], matched, "{told}");
    }
}

#[test]
fn a_vendor_with_a_shared_secret_is_read_by_its_mapping() {
    let acme = vendor("acme", Scheme::Credential, &["a:b"]);
    let body = r#"{"type":"email.delivered","data":{"email_id":"m1","to":["a@example.com"]}}"#;
    let sent = Sent::new(URL, &[("webhook-id", "e1"), ("content-type", "application/json")], body);
    assert_eq!(sent.identify(&*acme).dedupe_key.as_deref(), Some("acme:e1"));
    let events = acme.normalise(&sent.callback(&*acme, sluice::event::Channel::Email)).unwrap();
    assert_eq!((events[0].event_type.name(), events[0].dedupe_key.as_str()), ("message.delivered", "acme:e1"));
}
