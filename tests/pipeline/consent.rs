//! Opt-outs: a person's wish is recorded under a token, and the latest wish counts.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::DecodePrivateKey,
};
use sluice::{channels::opt_out::Consent, channels::opt_out::ConsentRecord, documents::Container};

use crate::support::TestApp;

async fn inbound(app: &TestApp, sid: &str, text: &str, opt_out_type: Option<&str>) {
    let mut parameters = vec![
        ("MessageSid", sid),
        ("SmsStatus", "received"),
        ("From", "+12025550143"),
        ("To", "+15017122661"),
        ("Body", text),
    ];
    parameters.extend(opt_out_type.map(|kind| ("OptOutType", kind)));
    assert_eq!(app.twilio("/incoming/twilio/sms/inbound", &parameters).await.status(), StatusCode::OK);
    app.process("sms").await;
}

async fn wishes(app: &TestApp) -> Vec<ConsentRecord> {
    app.all(Container::Consent).await.iter().map(|document| document.parse().unwrap()).collect()
}

#[tokio::test]
async fn stop_opts_out_and_start_opts_in_again() {
    let app = TestApp::start();
    inbound(&app, "SM1", "Stop", Some("STOP")).await;
    let stopped = wishes(&app).await;
    assert_eq!(stopped.len(), 1);
    assert_eq!((stopped[0].consent, stopped[0].id.as_str()), (Consent::OptedOut, "sms"));
    assert!(!app.all(Container::Consent).await[0].body.contains("2025550143"), "the number appears as a token only");

    app.clock.advance(std::time::Duration::from_secs(1));
    inbound(&app, "SM2", " start ", None).await;
    assert_eq!(wishes(&app).await[0].consent, Consent::OptedIn, "inferred from the keyword");
    app.clock.advance(std::time::Duration::from_secs(1));
    inbound(&app, "SM3", "help", None).await;
    assert_eq!(wishes(&app).await[0].consent, Consent::OptedIn, "help changes nothing");
}

#[tokio::test]
async fn a_hard_bounce_a_complaint_and_an_unsubscribe_opt_out_of_email() {
    let app = TestApp::start();
    let event = |event: &str, to: &str, id: &str, more: &str| {
        format!(
            r#"{{"email":"{to}","event":"{event}","sg_event_id":"{id}","sg_message_id":"m1.x","timestamp":1795200000{more}}}"#
        )
    };
    let body = format!(
        "[{}]\r\n",
        [
            event("bounce", "a@example.com", "1", r#","type":"bounce","status":"5.1.1","reason":"550 no such user""#),
            event("bounce", "b@example.com", "2", r#","type":"blocked","reason":"policy""#),
            event("spamreport", "c@example.com", "3", ""),
            event("unsubscribe", "d@example.com", "4", ""),
            event("group_unsubscribe", "e@example.com", "5", r#","asm_group_id":15"#),
            event("delivered", "f@example.com", "6", ""),
        ]
        .join(",\r\n")
    );
    let key = app.app.config.demo_secrets["SIMULATE_SENDGRID_PRIVATE_KEY"].expose().to_owned();
    let key = SigningKey::from_pkcs8_der(&BASE64_STANDARD.decode(key).unwrap()).unwrap();
    let signature: Signature = key.sign(format!("1795200001{body}").as_bytes());
    let request = Request::post("/incoming/sendgrid/email/events")
        .header("content-type", "application/json")
        .header("x-twilio-email-event-webhook-timestamp", "1795200001")
        .header("x-twilio-email-event-webhook-signature", BASE64_STANDARD.encode(signature.to_der()))
        .body(Body::from(body))
        .unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    assert_eq!(app.process("email").await, 1);

    let recorded = wishes(&app).await;
    let mut recorded: Vec<_> = recorded.iter().map(|wish| (wish.key.as_str(), wish.id.as_str())).collect();
    recorded.sort_unstable();
    let token = |address: &str| app.app.tokens.address(address);
    let (a, c, d, e) = (token("a@example.com"), token("c@example.com"), token("d@example.com"), token("e@example.com"));
    let mut expected =
        vec![(a.as_str(), "email"), (c.as_str(), "email"), (d.as_str(), "email"), (e.as_str(), "email:group:15")];
    expected.sort_unstable();
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn a_crash_between_the_wish_and_the_ledger_loses_neither() {
    let app = TestApp::start();
    app.documents.fail(|container, _, _| (container == Container::Ledger).then_some(crate::support::Fault::Before));
    inbound(&app, "SM1", "STOP", None).await;
    app.documents.heal();
    app.clock.advance(std::time::Duration::from_secs(7));
    app.sweep().await;
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(wishes(&app).await.len(), 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 2);
}

#[tokio::test]
async fn a_repeated_start_does_not_undo_the_stop_that_came_after_it() {
    let app = TestApp::start();
    inbound(&app, "SM1", "START", None).await;
    app.clock.advance(std::time::Duration::from_secs(1));
    inbound(&app, "SM2", "STOP", None).await;

    // Twilio signs neither time nor nonce: whoever has the first request can send it again, whenever he likes.
    app.clock.advance(std::time::Duration::from_secs(3600));
    inbound(&app, "SM1", "START", None).await;
    assert_eq!(wishes(&app).await[0].consent, Consent::OptedOut);
}

#[tokio::test]
async fn a_repeat_in_the_same_batch_does_not_undo_a_wish_either() {
    let app = TestApp::start();
    let hour = std::time::Duration::from_secs(3600);
    for (sid, text) in [("SM1", "START"), ("SM2", "STOP"), ("SM1", "START")] {
        let parameters =
            [("MessageSid", sid), ("SmsStatus", "received"), ("From", "+12025550143"), ("To", "+1501"), ("Body", text)];
        assert_eq!(app.twilio("/incoming/twilio/sms/inbound", &parameters).await.status(), StatusCode::OK);
        app.clock.advance(hour);
    }
    assert_eq!(app.process("sms").await, 3);
    assert_eq!(wishes(&app).await[0].consent, Consent::OptedOut);
}
