//! Erasure once more with Azure's adapters, which `support` gives the test app because of this binary's name: the bus is Service
//! Bus's, on the AMQP endpoint of an embedded broker, and the documents are in Cosmos DB's emulator, behind HTTP. What waits in
//! Service Bus cannot be changed: it must come out without the person.

#[path = "erase/find.rs"]
#[allow(dead_code, reason = "there are no files to search")]
mod find;
#[path = "erase/seed.rs"]
mod seed;
mod support;
#[path = "operate/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use sluice::{
    documents::Container,
    verify::{CheckOptions, check},
};

use crate::{
    find::in_stores,
    seed::{MAIL, PHONE, ana, app, deliver, erase, everywhere},
    world::{complete, found},
};

#[tokio::test]
async fn after_an_erasure_no_document_and_no_blob_tells_who_it_was_and_what_waits_comes_without_the_person() {
    let app = app();
    everywhere(&app).await;
    let before = in_stores(&app, &ana()).await;
    assert!(before.len() > 20, "{before:#?}");
    let waiting = app.waiting().await;
    for address in [PHONE, MAIL] {
        let erasure = erase(&app, address).await;
        assert_eq!(erasure["state"], "done", "{erasure:#}");
        assert!(erasure["out_of_reach"][0].as_str().unwrap().contains("14days"), "{erasure:#}");
    }
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    let dead = found(&app, "parked", json!({ "reason": "NoLuck" })).await;
    assert_eq!(dead.len(), 1, "the dead letter is parked without her");
    assert_eq!(app.waiting().await, waiting, "what waits is where it was");

    for _ in 0..6 {
        app.clock.advance(Duration::from_secs(3700));
        assert_eq!(app.sweep().await, StatusCode::OK);
        app.process("sms").await;
        deliver(&app).await;
    }
    assert_eq!(complete(&app, json!({ "source": "parked" })).await["state"], "done");
    app.process("sms").await;
    deliver(&app).await;
    assert_eq!(in_stores(&app, &ana()).await, [""; 0], "what waited was applied without her");
    for key in (1..=16).filter(|key| *key != 12) {
        assert!(app.status(&format!("twilio:SM{key}")).await.is_some(), "SM{key} was applied");
    }
    let consent = app.all(Container::Consent).await;
    assert_eq!(consent.len(), 1);
    assert_eq!(consent[0].partition, app.app.tokens.address(PHONE), "her opt-out stands");
    let options = CheckOptions { settle: Duration::ZERO, ..CheckOptions::new(app.app.clock.now()) };
    let report = check(app.documents.as_ref(), &options, &|_| {}).await.unwrap();
    assert_eq!(crate::seed::amiss(&report), [""; 0], "{report}");
}
