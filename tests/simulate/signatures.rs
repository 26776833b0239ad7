//! Signatures by the schemes' own text, without the product's code: HMAC from its definition (RFC 2104).

use base64::{Engine, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::{Signature, VerifyingKey, signature::Verifier},
    pkcs8::DecodePublicKey,
};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use sluice::simulate::{Plan, SignedRequest};

use crate::{cast, config, plan_of, shape, started};

fn hmac<D: Digest>(key: &[u8], message: &[u8]) -> String {
    STANDARD.encode(code::<D>(64, key, message))
}

/// The block is 64 bytes wide for SHA-1 and SHA-256, and 128 for SHA-384 and SHA-512.
fn code<D: Digest>(block: usize, key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= block);
    let pad = |byte: u8| -> Vec<u8> { (0..block).map(|i| key.get(i).unwrap_or(&0) ^ byte).collect() };
    let inner = D::digest([pad(0x36), message.to_vec()].concat());
    D::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn twilio_text(url: &str, body: &[u8]) -> String {
    let mut params: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    params.sort();
    params.iter().fold(url.to_owned(), |text, (name, value)| text + name + value)
}

fn header<'a>(request: &'a SignedRequest, name: &str) -> &'a str {
    request.headers.get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap()
}

fn requests(plan: &Plan) -> impl Iterator<Item = SignedRequest> + '_ {
    (0..plan.callbacks()).map(|callback| plan.build(callback, started()))
}

#[test]
fn the_code_in_this_file_agrees_with_published_examples() {
    let body = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212";
    let text = twilio_text("https://mycompany.com/myapp.php?foo=1&bar=2", body);
    assert_eq!(hmac::<Sha1>(b"12345", text.as_bytes()), "GvWf1cFY/Q7PnoempGyD5oXAezc=");

    let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    assert_eq!(hmac::<Sha256>(&secret, signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn twilio_signs_the_public_url_and_every_parameter() {
    let plan = plan_of(&["twilio"], shape(500, 1));
    for request in requests(&plan) {
        let url = format!("https://callbacks.example.com/v1{}", request.path);
        let text = twilio_text(&url, &request.body);
        let expected = hmac::<Sha1>(b"demo-twilio-token-not-a-secret", text.as_bytes());
        assert_eq!(header(&request, "x-twilio-signature"), expected);
    }
}

#[test]
fn a_twilio_vendor_with_shared_keys_only_signs_with_one_and_names_it() {
    let config = config(
        "[vendors.shared]\nscheme = \"twilio\"\nservices = { sms = \"sms\" }\n\
         shared_keys = { webhooks_sharedkey_1 = \"env:OTHER_SECRET\" }\n",
    );
    let plan = Plan::new(cast(&config, &["shared"]).generators, shape(20, 1));
    for request in requests(&plan) {
        let text = twilio_text(&format!("https://callbacks.example.com/v1{}", request.path), &request.body);
        assert_eq!(header(&request, "x-twilio-signature"), hmac::<Sha256>(b"b3RoZXI", text.as_bytes()));
        let settings = header(&request, "x-twilio-webhooks-signature-settings");
        assert_eq!(settings, "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256");
    }
}

#[test]
fn sendgrid_signs_the_timestamp_and_the_exact_bytes() {
    let config = config("");
    let public = config.vendors["sendgrid"].secrets[0].as_ref().unwrap().expose().to_owned();
    let key = VerifyingKey::from_public_key_der(&STANDARD.decode(public).unwrap()).unwrap();
    let plan = plan_of(&["sendgrid"], shape(60, 1));
    for request in requests(&plan) {
        let timestamp = header(&request, "x-twilio-email-event-webhook-timestamp");
        let signature = STANDARD.decode(header(&request, "x-twilio-email-event-webhook-signature")).unwrap();
        let signed = [timestamp.as_bytes(), &request.body].concat();
        key.verify(&signed, &Signature::from_der(&signature).unwrap()).unwrap();
        assert!(request.body.ends_with(b"}]\r\n"));
        assert!(!String::from_utf8_lossy(&request.body).contains("},{\"email"), "events are apart by a comma and CRLF");
    }
}

#[test]
fn standard_webhooks_sign_id_timestamp_and_body() {
    let plan = plan_of(&["resend"], shape(60, 1));
    for request in requests(&plan) {
        let (id, timestamp) = (header(&request, "webhook-id"), header(&request, "webhook-timestamp"));
        assert_eq!(timestamp, started().timestamp().to_string());
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &request.body].concat();
        let expected = format!("v1,{}", hmac::<Sha256>(b"demo-resend-secret-not-a-secret", &signed));
        assert_eq!(header(&request, "webhook-signature"), expected);
    }
}

#[test]
fn a_described_signature_covers_what_its_template_says() {
    let acme = plan_of(&["acme-sms"], shape(60, 1));
    for request in requests(&acme) {
        let timestamp = header(&request, "x-acme-timestamp");
        assert_eq!(timestamp, started().timestamp().to_string());
        let signed = [b"v1:", timestamp.as_bytes(), b":", &request.body].concat();
        let expected = hex::encode(code::<Sha256>(64, b"demo-acme-sms-secret-not-a-secret", &signed));
        assert_eq!(header(&request, "x-acme-signature"), format!("v1={expected}"));
    }
    let textly = plan_of(&["textly"], shape(60, 1));
    for request in requests(&textly) {
        let (url, id) =
            (format!("https://callbacks.example.com/v1{}", request.path), header(&request, "x-textly-delivery"));
        let signed = [format!("POST\n{url}\n{id}\n").as_bytes(), &request.body].concat();
        let expected = STANDARD.encode(code::<Sha512>(128, b"demo-textly-secret-not-a-secret", &signed));
        assert_eq!(header(&request, "x-textly-signature"), expected);
    }
}
