//! Live secrets: two during a rotation, and what happens when one cannot be had.

use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha2::Sha256;
use sluice::{
    config::{MissingSecret, Scheme, Secret, VendorConfig},
    vendors::{Refusal, Request, build},
};

use crate::{config, headers};

const OLD: &str = "whsec_b2xkLXNlY3JldA==";
const NEW: &str = "whsec_bmV3LXNlY3JldA==";

fn verify(config: &VendorConfig, signed_with: &str) -> Result<(), Refusal> {
    let key = BASE64_STANDARD.decode(signed_with.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"m1.1795200000.{}");
    let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    let headers =
        headers(&[("webhook-id", "m1"), ("webhook-timestamp", "1795200000"), ("webhook-signature", &signature)]);
    let request = Request { method: &Method::POST, url: "https://h.example/", headers: &headers, body: b"{}" };
    build("v", config).verify(&request, DateTime::from_timestamp(1_795_200_000, 0).unwrap())
}

fn missing() -> MissingSecret {
    MissingSecret {
        path: PathBuf::from("sluice.toml"),
        line: 7,
        key: "vendors.v.secrets[1]".into(),
        variable: "NEW_SECRET".into(),
        problem: "not set",
    }
}

#[test]
fn either_of_two_live_secrets_may_have_signed() {
    let config = config(Scheme::StandardWebhooks, &[OLD, NEW]);
    assert_eq!(verify(&config, OLD), Ok(()));
    assert_eq!(verify(&config, NEW), Ok(()));
    assert_eq!(verify(&config, "whsec_b3RoZXI="), Err(Refusal::Mismatch));
}

#[test]
fn what_the_present_secret_signed_passes_although_another_is_missing() {
    let mut config = config(Scheme::StandardWebhooks, &[OLD]);
    config.secrets.push(Err(missing()));
    assert_eq!(verify(&config, OLD), Ok(()));
    // It may be genuine, signed with the secret we lack: 503, so that the vendor tries again.
    assert!(matches!(verify(&config, NEW), Err(Refusal::NoKey(_))));
}

#[test]
fn keys_that_cannot_be_loaded_are_our_fault_and_are_not_repeated() {
    for (scheme, broken) in [
        (Scheme::StandardWebhooks, "whsec_!!not-base64!!"),
        (Scheme::StandardWebhooks, "whpk_c2hvcnQ="),
        (Scheme::StandardWebhooks, "whsec_"),
        (Scheme::Sendgrid, "!!not-base64!!"),
        (Scheme::Sendgrid, "bm90LWEta2V5"),
    ] {
        let mut config = config(scheme, &[broken]);
        let refusal = if scheme == Scheme::Sendgrid {
            let signature =
                "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
            let headers = headers(&[
                ("x-twilio-email-event-webhook-signature", signature),
                ("x-twilio-email-event-webhook-timestamp", "1600112502"),
            ]);
            let request = Request { method: &Method::POST, url: "https://h.example/", headers: &headers, body: b"[]" };
            build("v", &config).verify(&request, DateTime::from_timestamp(0, 0).unwrap()).unwrap_err()
        } else {
            verify(&config, OLD).unwrap_err()
        };
        assert!(matches!(refusal, Refusal::NoKey(_)), "{broken}: {refusal:?}");
        assert!(!refusal.to_string().contains(broken), "{refusal}");
        config.secrets.insert(0, Ok(Secret::new(OLD)));
        if scheme == Scheme::StandardWebhooks {
            assert_eq!(verify(&config, OLD), Ok(()), "the good secret works beside {broken}");
        }
    }
}
