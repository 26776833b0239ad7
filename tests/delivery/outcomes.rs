//! What becomes of a delivery, by what its partner answers.

use axum::http::{Method, StatusCode};
use serde_json::json;
use sluice::delivery::record::State;

use crate::{
    support::partner_double::{Act, PartnerDouble, dripping, nobody, resetting},
    world::{World, until},
};

async fn one(act: Act) -> (World, PartnerDouble) {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "1s" })).await;
    partner.usually(act);
    world.apply("SM1").await;
    assert_eq!(world.deliver().await, 1);
    (world, partner)
}

#[tokio::test]
async fn an_applied_event_reaches_its_partner_once_and_is_on_record() {
    let (world, partner) = one(Act::Says(202, "taken".into())).await;
    let seen = partner.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].json()["data"]["provider_message_id"], "SM1");
    assert_eq!(seen[0].header("user-agent"), concat!("sluice/", env!("CARGO_PKG_VERSION")));
    let record = world.record().await;
    assert_eq!((record.state, record.partner.as_str(), record.key.as_str()), (State::Delivered, "acme", "twilio:SM1"));
    let attempt = &record.attempts[0];
    assert_eq!((attempt.number, attempt.status, attempt.response.as_deref()), (1, Some(202), Some("taken")));
    assert_eq!(record.event_id, seen[0].header("webhook-id"));
    assert!(world.retries().await.is_empty() && world.parked().await.is_empty());

    // The broker forgets after ten minutes, and somebody publishes it again.
    world.app.clock.advance(std::time::Duration::from_secs(3600));
    world.apply("SM1").await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), 1, "a repeated callback is no new event");
}

#[tokio::test]
async fn what_may_heal_is_tried_again_by_the_schedule_under_the_same_id() {
    for status in [408, 425, 429, 500, 503] {
        let (world, partner) = one(Act::Answer(status)).await;
        assert_eq!(world.due_in().await, 5.0, "{status}");
        assert_eq!(world.retries().await[0]["message_key"], "twilio:SM1");
        assert_eq!(world.retries().await[0]["bucket"], "partner:acme");
        assert_eq!(world.record().await.state, State::Pending);
        assert_eq!(world.after(5).await, 1);
        // A batch waits for hardly a moment where a partner fails: on a busy machine the answer comes behind it.
        until("the second failure is kept", async || world.retries().await[0]["attempt"] == 3).await;
        assert_eq!(world.due_in().await, 30.0, "{status}");
        partner.usually(Act::Answer(204));
        assert_eq!(world.after(30).await, 1);
        until("it is delivered", async || world.retries().await.is_empty()).await;
        let record = world.record().await;
        assert_eq!((record.state, record.attempted), (State::Delivered, 3));
        assert_eq!(record.attempts[0].error.as_deref(), Some(format!("answered {status}").as_str()));
        assert!(world.retries().await.is_empty());
        let mut ids = partner.ids();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_in_both_forms_and_never_shortens_the_schedule() {
    for (value, due_in) in [
        ("7", 7.0),
        ("2", 5.0),
        ("Fri, 20 Nov 2026 10:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 5.0),
        ("999999999", 86_400.0),
        ("soon", 5.0),
    ] {
        let (world, _partner) = one(Act::With(503, "retry-after", value.into())).await;
        assert_eq!(world.due_in().await, due_in, "{value}");
    }
}

#[tokio::test]
async fn what_cannot_heal_is_parked_at_once_with_the_reason() {
    for (act, reason) in [
        (Act::Says(400, "no such field".into()), "answered 400"),
        (Act::Answer(401), "answered 401"),
        (Act::Answer(404), "answered 404"),
        (Act::With(301, "location", "http://127.0.0.1:1/".into()), "answered 301: redirects are not followed"),
        (Act::With(307, "location", "http://127.0.0.1:1/".into()), "answered 307: redirects are not followed"),
    ] {
        let (world, partner) = one(act).await;
        let parked = world.parked().await;
        assert!(parked[0]["reason"].as_str().unwrap().starts_with(reason), "{parked:?}");
        assert_eq!((&parked[0]["partner"], &parked[0]["message_key"]), (&json!("acme"), &json!("twilio:SM1")));
        assert!(world.retries().await.is_empty());
        assert_eq!(world.record().await.state, State::Parked);
        assert_eq!(partner.seen().len(), 1);
        let (_, shown) = world.ask(Method::GET, "partners/acme", json!(null)).await;
        assert_eq!(shown["state"], "enabled");
    }
}

#[tokio::test]
async fn attempts_used_up_are_parked_with_their_history() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "schedule": ["1s", "2s"] })).await;
    partner.usually(Act::Answer(500));
    world.apply("SM1").await;
    world.deliver().await;
    world.after(1).await;
    until("the second failure is kept", async || world.retries().await[0]["attempt"] == 3).await;
    world.after(2).await;
    until("it is parked", async || !world.parked().await.is_empty()).await;
    let parked = world.parked().await;
    assert_eq!(parked[0]["reason"], "gave up after 3 attempts: answered 500");
    assert_eq!(parked[0]["history"].as_array().unwrap().len(), 3);
    let record = world.record().await;
    assert_eq!((record.state, record.attempted), (State::Parked, 3));
    assert!(world.retries().await.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_what_is_owed_to_it_is_parked() {
    let (world, partner) = one(Act::Answer(410)).await;
    let (_, shown) = world.ask(Method::GET, "partners/acme", json!(null)).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("disabled"), &json!("answered 410: the endpoint is gone")));
    assert!(world.audit().await.contains(&"sluice partner.disabled acme done".to_owned()));

    world.apply("SM2").await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), 1, "nothing is sent to it any more");
    let parked = world.parked().await;
    assert_eq!(parked.len(), 2);
    let reasons: Vec<_> = parked.iter().map(|parked| parked["reason"].as_str().unwrap().to_owned()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("is disabled since 2026-11-20T10:00:00.000Z: answered 410")));
    assert!(world.records().await.iter().all(|record| record.state == State::Parked));
}

#[tokio::test]
async fn no_answer_no_connection_and_a_broken_one_are_tried_again() {
    let (stalling, dead, broken) = (PartnerDouble::start().await, nobody().await, resetting().await);
    stalling.usually(Act::Stall(std::time::Duration::from_secs(60)));
    for (endpoint, told) in
        [(stalling.url.clone(), "no answer within 1s"), (dead, "no connection"), (broken, "the connection broke")]
    {
        let world = World::start();
        world.partner("acme", &endpoint, json!({ "timeout": "1s" })).await;
        world.apply("SM1").await;
        world.deliver().await;
        until("it is on record", async || !world.records().await.is_empty()).await;
        assert_eq!(world.due_in().await, 5.0);
        let record = world.record().await;
        let error = record.attempts[0].error.as_deref().unwrap();
        assert!(error.starts_with(told), "{error}");
        assert!(!error.contains("/events"), "a URL may hold a token: {error}");
    }
}

#[tokio::test]
async fn of_a_large_answer_four_kilobytes_are_kept_and_an_endless_one_is_not_waited_for() {
    let (world, _partner) = one(Act::Says(200, "x".repeat(10_000_000))).await;
    let record = world.record().await;
    assert_eq!(record.state, State::Delivered);
    assert_eq!(record.attempts[0].response.as_ref().unwrap().len(), 4096);

    let world = World::start();
    world.partner("acme", &dripping().await, json!({ "timeout": "1s" })).await;
    world.apply("SM1").await;
    world.deliver().await;
    until("it is on record", async || !world.records().await.is_empty()).await;
    let record = world.record().await;
    assert_eq!((record.state, record.attempts[0].response.as_deref()), (State::Delivered, Some("ok")));
}

#[tokio::test]
async fn what_is_owed_to_a_partner_that_was_removed_is_parked() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    world.apply("SM1").await;
    assert_eq!(world.ask(Method::DELETE, "partners/acme", json!(null)).await.0, StatusCode::OK);
    world.deliver().await;
    assert!(partner.seen().is_empty());
    let parked = world.parked().await;
    assert!(parked[0]["reason"].as_str().unwrap().starts_with("there is no partner acme any more"), "{parked:?}");
}

#[tokio::test]
async fn a_header_whose_variable_is_missing_costs_no_attempt() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "headers": { "x-key": "env:PARTNER_NOT_SET" } })).await;
    world.apply("SM1").await;
    world.deliver().await;
    assert!(partner.seen().is_empty());
    assert_eq!(world.due_in().await, 60.0);
    assert_eq!(world.retries().await[0]["attempt"], 1);
    assert!(world.retries().await[0]["last_error"].as_str().unwrap().contains("PARTNER_NOT_SET"));

    let (_, shown) = world.ask(Method::PATCH, "partners/acme", json!({ "headers": { "x-key": "text" } })).await;
    assert_eq!(shown["settings"]["headers"]["x-key"], "(hidden)");
    world.after(60).await;
    assert_eq!(partner.seen()[0].header("x-key"), "text");
}
