//! The whole of it, on embedded stores.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sluice::{
    documents::{Container, Query, query_all},
    verify::{CheckOptions, check},
};

use crate::{
    find::{in_files, in_stores},
    seed::{BO, MAIL, PHONE, acme, amiss, ana, app, deliver, erase, everywhere, inbound},
    support::{TestApp, receipt},
    world::{PATH, ask, complete, get, post},
};

/// The opt-outs that are known of an address.
async fn opted_out(app: &TestApp, address: &str) -> usize {
    let token = app.app.tokens.address(address);
    let found = query_all(app.documents.as_ref(), Container::Consent, Query::partition(token)).await.unwrap();
    found.iter().filter(|document| document.body.contains("\"opted_out\"")).count()
}

/// Everything that waits goes its way.
async fn settle(app: &TestApp) {
    for _ in 0..6 {
        app.clock.advance(Duration::from_secs(3700));
        assert_eq!(app.sweep().await, StatusCode::OK);
        app.process("sms").await;
        deliver(app).await;
    }
}

#[tokio::test]
async fn after_an_erasure_no_byte_tells_who_it_was() {
    let app = app();
    everywhere(&app).await;
    let containers = [Container::Ledger, Container::Retries, Container::Parked, Container::Spool, Container::Registry];
    let before = in_stores(&app, &ana()).await;
    for container in containers {
        assert!(before.iter().any(|found| found.starts_with(container.name())), "she is in {}", container.name());
    }
    assert_eq!(before.iter().filter(|found| found.starts_with("blob spool/")).count(), 1);
    assert!(before.iter().any(|found| found.starts_with("blob payloads/")), "{before:#?}");
    assert!(in_files(app.folder.path(), &ana()).iter().any(|file| file.ends_with("broker.sqlite-wal")));

    let counted = post(&app, "/erasures/count", json!({ "recipient": PHONE })).await;
    assert!(counted["places"]["ledger"]["tokenised"].as_u64().unwrap() > 4, "{counted}");
    assert_eq!(in_stores(&app, &ana()).await.len(), before.len(), "a look changes nothing");

    let by_number = erase(&app, "whatsapp:+1 202 555 0143").await;
    let by_mail = erase(&app, MAIL).await;
    for (erasure, address) in [(&by_number, PHONE), (&by_mail, MAIL)] {
        assert_eq!(erasure["state"], "done", "{erasure:#}");
        assert_eq!(erasure["token"], app.app.tokens.address(address));
    }
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    assert_eq!(in_files(app.folder.path(), &ana()), Vec::<std::path::PathBuf>::new());
    let answers = format!("{by_number} {by_mail} {} {}", get(&app, "/erasures").await, get(&app, "/audit").await);
    assert!(!ana().iter().any(|needles| needles.are_in(answers.as_bytes())), "{answers}");
    assert_eq!(by_number["counts"]["consent"]["kept"], 1);
    assert_eq!(opted_out(&app, PHONE).await, 1, "her opt-out stands");

    // All that waited goes its way, what was parked too, and brings nobody back.
    settle(&app).await;
    let replayed = complete(&app, json!({ "source": "parked" })).await;
    assert_eq!(replayed["state"], "done", "{replayed}");
    settle(&app).await;
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    assert_eq!(opted_out(&app, PHONE).await, 1);
    for key in (1..=16).filter(|key| ![12, 13].contains(key)) {
        assert!(app.status(&format!("twilio:SM{key}")).await.is_some(), "SM{key} was applied");
    }
    for key in ["A1-ana", "A1-bo", "A2-ana", "A2-bo", "A3-ana", "A3-bo"] {
        assert!(app.status(&format!("acme-sms:{key}")).await.is_some(), "{key} was applied");
    }
    let bo = app.documents_of("acme-sms:A2-bo").await;
    assert!(bo.iter().any(|document| document["event"]["recipient"] == BO), "others lose nothing: {bo:#?}");
    let options = CheckOptions::new(app.app.clock.now() + chrono::TimeDelta::hours(1));
    let report = check(app.documents.as_ref(), &options, &|_| {}).await.unwrap();
    assert_eq!(amiss(&report), [""; 0], "{report}");
}

#[tokio::test]
async fn what_a_vendor_repeats_is_a_duplicate_and_what_is_new_is_as_it_comes() {
    let app = app();
    acme(&app, "A1", "sent").await;
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    inbound(&app, "SM2", "STOP").await;
    app.process("sms").await;
    erase(&app, PHONE).await;
    // Beyond the broker's own memory.
    app.clock.advance(Duration::from_secs(3600));
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    inbound(&app, "SM2", "STOP").await;
    acme(&app, "A1", "sent").await;
    assert_eq!(app.process("sms").await, 3);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
    assert_eq!(app.status("acme-sms:A1-ana").await.unwrap()["events"], 1);
    assert_eq!(in_stores(&app, &ana()).await, [""; 0], "repeats bring nothing back");
    app.twilio(PATH, &receipt("SM3", "delivered")).await;
    app.process("sms").await;
    assert_eq!(
        in_stores(&app, &ana()).await.len(),
        1,
        "a later message is new data, and there until it is erased, too"
    );
    let again = erase(&app, PHONE).await;
    assert_eq!(again["counts"]["ledger"]["tokenised"], 1, "{again:#}");
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
}

#[tokio::test]
async fn an_event_that_is_known_by_its_address_is_still_known_afterwards() {
    let app = app();
    // As a vendor does that tells the recipients of one mail apart by nothing else, applied by an earlier version.
    let event = |id: &str, key: &str| {
        json!({ "type": "message.sent", "channel": "email", "provider": "ses", "provider_message_id": id,
                "dedupe_key": key, "provider_status": "Send", "recipient": MAIL })
    };
    let key = format!("ses:m1:{MAIL}");
    let record = json!({ "id": format!("evt:{key}"), "key": "ses:m1", "writer": "w", "envelope_id": "e",
        "received_at": "2026-11-20T09:00:00Z", "applied_at": "2026-11-20T09:00:00Z", "event": event("m1", &key) });
    crate::world::write(&app, Container::Ledger, "ses:m1", &format!("evt:{key}"), &record).await;
    let status = json!({ "id": "status", "key": "ses:m1", "writer": "w", "channel": "email", "provider": "ses",
        "status": "message.sent", "status_at": "2026-11-20T09:00:00Z", "decided_by": key, "events": 1,
        "first_event_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z" });
    crate::world::write(&app, Container::Ledger, "ses:m1", "status", &status).await;
    assert_eq!(erase(&app, MAIL).await["state"], "done");
    let ids = app.ids("ses:m1").await;
    assert_eq!(ids, [format!("evt:ses:m1:{}", app.app.tokens.address(MAIL)), "status".to_owned()]);
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    let report = check(app.documents.as_ref(), &CheckOptions::new(app.app.clock.now()), &|_| {}).await.unwrap();
    assert_eq!(report.findings.len(), 0, "{report}");
}

#[tokio::test]
async fn the_audit_log_tells_who_and_how_much_and_a_wish_to_be_written_to_goes() {
    let app = app();
    inbound(&app, "SM1", "START").await;
    app.process("sms").await;
    assert_eq!(app.all(Container::Consent).await.len(), 1);
    let erasure = erase(&app, PHONE).await;
    assert_eq!(app.all(Container::Consent).await.len(), 0, "an opt-in is a wish of somebody who is gone");
    assert_eq!(erasure["counts"]["consent"]["removed"], 1);
    let audit = get(&app, "/audit").await;
    let entries: Vec<&Value> = audit["entries"].as_array().unwrap().iter().collect();
    let entry = entries.iter().find(|entry| entry["action"] == "people.erase").unwrap();
    assert_eq!((&entry["who"], &entry["what"], &entry["outcome"]), (&json!("ana"), &erasure["token"], &json!("done")));
    assert_eq!(entry["counts"]["places"]["consent"]["removed"], 1, "{entry}");
    let token = erasure["token"].as_str().unwrap();
    assert_eq!(get(&app, &format!("/erasures/{token}")).await["run"], erasure["run"]);
}

#[tokio::test]
async fn what_is_no_address_is_refused_and_not_repeated() {
    let app = TestApp::start();
    for wrong in ["ACME-SECRET", "12345", "a b@example.com"] {
        let (status, answer) = ask(&app, Method::POST, "/erasures", json!({ "recipient": wrong })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            !answer.to_string().contains(wrong) && answer["detail"].as_str().unwrap().contains("e-mail"),
            "{answer}"
        );
    }
    let (status, _) = ask(&app, Method::GET, "/erasures/tok_1", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
