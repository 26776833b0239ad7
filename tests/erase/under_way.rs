//! Work that is under way while somebody is erased, and an erasure that is cut off.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::Method;
use serde_json::{Value, json};
use sluice::documents::Container;

use crate::{
    find::{in_files, in_stores},
    seed::{MAIL, PHONE, ana, app, erase, everywhere, inbound, invoke, message_in_hand},
    support::{Fault, receipt},
    world::{PATH, ask, post},
};

#[tokio::test]
async fn a_message_in_a_processors_hand_is_waited_for_and_applied_without_the_person() {
    let app = app();
    let held = message_in_hand(&app, "SM1").await;
    let waiting = post(&app, "/erasures", json!({ "recipient": PHONE })).await;
    assert_eq!((&waiting["state"], &waiting["place"]), (&json!("running"), &json!("bus")), "{waiting:#}");
    invoke(&app, "process-sms", &held).await;
    let event = &app.documents_of("twilio:SM1").await[0]["event"];
    assert_eq!(event["recipient"], app.app.tokens.address(PHONE), "it came before the erasure");
    assert_eq!(erase(&app, PHONE).await["run"], waiting["run"], "the same erasure goes on");
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    assert_eq!(in_files(app.folder.path(), &ana()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn an_opt_out_that_waits_while_its_person_is_erased_counts_all_the_same() {
    let app = app();
    inbound(&app, "SM1", "STOP").await;
    erase(&app, PHONE).await;
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    assert_eq!(app.all(Container::Consent).await.len(), 0, "it waits");
    app.process("sms").await;
    let consent = app.all(Container::Consent).await;
    assert_eq!(consent[0].partition, app.app.tokens.address(PHONE));
    assert!(consent[0].body.contains("\"opted_out\""), "{consent:?}");
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
}

#[tokio::test]
async fn an_erasure_goes_on_after_every_failure_at_every_point() {
    let app = app();
    everywhere(&app).await;
    let (mut run, mut failures) = (Value::Null, 0);
    for round in 0_u32.. {
        assert!(round < 400, "it does not end");
        // Each request gets a little further, as if the server had been killed then.
        let left = AtomicU32::new(round);
        app.documents.fail(move |_, _, _| {
            let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
            spent.then_some(if round % 2 == 0 { Fault::Before } else { Fault::Lost })
        });
        let (status, answer) = ask(&app, Method::POST, "/erasures", json!({ "recipient": PHONE, "run": run })).await;
        assert!(!ana().iter().any(|needles| needles.are_in(answer.to_string().as_bytes())), "{answer}");
        if !status.is_success() {
            failures += 1;
            continue;
        }
        run = answer["run"].clone();
        if answer["state"] != "running" {
            break;
        }
    }
    app.documents.heal();
    assert!(failures > 3, "{failures}");
    erase(&app, PHONE).await;
    erase(&app, MAIL).await;
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
    assert_eq!(in_files(app.folder.path(), &ana()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn two_at_once_are_one_erasure() {
    let app = app();
    for index in 0..30 {
        app.twilio(PATH, &receipt(&format!("SM{index}"), "delivered")).await;
    }
    app.process("sms").await;
    let ask = || post(&app, "/erasures", json!({ "recipient": PHONE }));
    let (one, other) = tokio::join!(ask(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        ask().await
    });
    assert_eq!(one["run"], other["run"]);
    erase(&app, PHONE).await;
    assert_eq!(in_stores(&app, &ana()).await, [""; 0]);
}
