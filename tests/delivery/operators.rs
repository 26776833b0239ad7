//! Partners as operators see them: through `/manage`, and how soon a change counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use sluice::documents::{
    CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query, SharedDocuments,
};
use tower::ServiceExt;

use crate::{
    support::partner_double::{Act, PartnerDouble},
    support::{entity, invocation_of, receipt},
    world::{PATH, World, ask, invoke},
};

#[tokio::test]
async fn a_partner_is_added_shown_changed_disabled_enabled_and_removed_and_all_of_it_is_written_down() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    let endpoint = format!("{}?token=geheim", partner.url);
    world.partner("acme", &endpoint, json!({ "headers": { "x-key": "geheim" } })).await;
    let (status, again) = world.ask(Method::PUT, "partners/acme", json!({ "endpoint": "https://a.example" })).await;
    assert_eq!(status, StatusCode::CONFLICT, "{again}");
    let (_, shown) = world.ask(Method::GET, "partners/acme", Value::Null).await;
    assert_eq!(shown["settings"]["endpoint"], endpoint);
    assert_eq!(shown["settings"]["headers"]["x-key"], "(hidden)");
    assert!(shown["secret"].is_null());

    let (_, changed) = world.ask(Method::PATCH, "partners/acme", json!({ "rate": 5 })).await;
    assert_eq!((&changed["settings"]["rate"], &changed["settings"]["endpoint"]), (&json!(5), &json!(endpoint)));
    let (_, disabled) = world.ask(Method::POST, "partners/acme/disable", json!({ "reason": "contract ended" })).await;
    assert_eq!((&disabled["state"], &disabled["reason"]), (&json!("disabled"), &json!("contract ended")));
    world.apply("SM1").await;
    world.deliver().await;
    assert!(world.parked().await[0]["reason"].as_str().unwrap().contains("contract ended"));
    let (_, enabled) = world.ask(Method::POST, "partners/acme/enable", json!({})).await;
    assert_eq!(enabled["state"], "enabled");
    let (_, test) = world.ask(Method::POST, "partners/acme/test", json!({})).await;
    assert_eq!((&test["ok"], &test["status"]), (&json!(true), &json!(200)), "{test}");
    assert!(partner.seen()[0].header("webhook-id").starts_with("evt_test"));
    world.ask(Method::DELETE, "partners/acme", Value::Null).await;
    assert_eq!(world.ask(Method::GET, "partners/acme", Value::Null).await.0, StatusCode::NOT_FOUND);

    let audit = world.audit().await;
    let verbs = ["add", "add", "update", "disable", "enable", "test", "remove"];
    let told: Vec<_> = audit.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let mut expected: Vec<_> = verbs.iter().map(|verb| format!("partner.{verb}")).collect();
    let mut told: Vec<_> = told.into_iter().map(str::to_owned).collect();
    // The clock stands still, so the order is not told.
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert!(audit.iter().all(|line| line.starts_with("ana ")));
    let (_, entries) = world.ask(Method::GET, "audit", Value::Null).await;
    assert!(!entries.to_string().contains("geheim"), "{entries}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_whoever_changes_something_must_say_who_they_are() {
    let world = World::start();
    let put = async |name: &str, body: Value| world.ask(Method::PUT, &format!("partners/{name}"), body).await;
    for (name, body, told) in [
        ("Acme", json!({ "endpoint": "https://a.example" }), "1 to 40 of a-z, 0-9 and -"),
        ("acme", json!({}), "endpoint is missing"),
        ("acme", json!({ "endpoint": "https://a.example", "rat": 1 }), "unknown field `rat`"),
        ("acme", json!({ "endpoint": "http://a.example", "events": ["x"] }), "is plain http"),
        ("acme", json!({ "endpoint": "http://a.example", "events": ["x"] }), "\"x\" is no event type"),
    ] {
        let (status, problem) = put(name, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    let request =
        Request::put("/manage/partners/acme").body(Body::from(json!({ "endpoint": "https://a.example" }).to_string()));
    assert_eq!(world.app.send(request.unwrap()).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.ask(Method::PATCH, "partners/nobody", json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.ask(Method::POST, "partners/nobody/dance", json!({})).await.0, StatusCode::NOT_FOUND);
    assert!(world.bodies(Container::Registry).await.iter().all(|body| body["key"] != "partners"));
}

#[tokio::test]
async fn filters_decide_who_gets_an_event() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    for (name, filter) in [
        ("all", json!({})),
        ("family", json!({ "events": ["message.*"], "channels": ["sms"], "vendors": ["twilio"] })),
        ("calls", json!({ "events": ["call.*"] })),
        ("mails", json!({ "channels": ["email"] })),
        ("others", json!({ "vendors": ["sendgrid"] })),
        ("sent", json!({ "events": ["message.sent"] })),
    ] {
        world.partner(name, &partner.url, filter).await;
    }
    world.apply("SM1").await;
    world.deliver().await;
    let mut partners: Vec<_> = world.records().await.into_iter().map(|record| record.partner).collect();
    partners.sort();
    assert_eq!(partners, ["all", "family"]);
    let ids = partner.ids();
    assert_eq!(ids[0], ids[1], "one event has one id, whoever gets it");
}

#[tokio::test]
async fn a_change_reaches_other_processes_within_seconds() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    let (other, handler) = world.second();
    assert!(other.partners.current().await.unwrap().all().next().is_none(), "the other one has looked");
    world.partner("acme", &partner.url, json!({})).await;
    world.apply("SM1").await;
    let received = world.receive().await;
    assert_eq!(invoke(&handler, &received).await, StatusCode::OK);
    assert_eq!(partner.seen().len(), 1, "one that is not in its copy is looked for");

    world.ask(Method::POST, "partners/acme/disable", json!({})).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    world.app.twilio(PATH, &receipt("SM2", "delivered")).await;
    world.app.process("sms").await;
    let received = world.receive().await;
    invoke(&handler, &received).await;
    assert_eq!(partner.seen().len(), 1);
    assert_eq!(world.parked().await.len(), 1);
}

#[tokio::test]
async fn while_the_registry_is_away_the_last_copy_serves_and_a_new_process_waits() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    let registry = Arc::new(Away { inner: world.app.app.documents.clone(), away: AtomicBool::new(false) });
    let (known, known_handler) = world.second_on(registry.clone());
    let (_, new_handler) = world.second_on(registry.clone());
    assert_eq!(known.partners.current().await.unwrap().all().count(), 1);
    known.erasures.current().await.unwrap();
    registry.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2100)).await;

    world.app.twilio(PATH, &receipt("SM1", "delivered")).await;
    process_sms(&world, &known_handler).await;
    assert_eq!(world.deliver().await, 1, "the last copy says who is owed it");

    world.app.twilio(PATH, &receipt("SM2", "delivered")).await;
    process_sms(&world, &new_handler).await;
    assert_eq!(world.deliver().await, 0);
    assert!(world.retries().await[0]["last_error"].as_str().unwrap().contains("away"));
    assert!(world.app.ids("twilio:SM2").await.is_empty(), "not applied as long as nobody can tell who is owed it");
    world.after(7).await;
    world.app.process("sms").await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), 2);
}

async fn process_sms(world: &World, handler: &Router) {
    let received = world.app.broker.receive(&entity("sms"), 8, Duration::ZERO).await.unwrap();
    let body = Body::from(invocation_of("process-sms", &received));
    let request = Request::post("/process-sms").body(body).unwrap();
    assert_eq!(handler.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    let locks: Vec<_> = received.iter().map(|message| message.lock.clone()).collect();
    world.app.broker.complete(&locks).await.unwrap();
}

/// Documents whose registry cannot be read.
#[derive(Debug)]
struct Away {
    inner: SharedDocuments,
    away: AtomicBool,
}

impl Away {
    fn check(&self, container: Container) -> Result<(), DocumentsError> {
        let away = container == Container::Registry && self.away.load(Ordering::SeqCst);
        if away { Err(DocumentsError::Unavailable("away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Documents for Away {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        self.check(container)?;
        self.inner.read(container, partition, id).await
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        self.check(container)?;
        self.inner.query(container, query).await
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        self.check(container)?;
        self.inner.count(container, query).await
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        self.inner.commit(container, partition, operations).await
    }
}

#[tokio::test]
async fn deliveries_are_reported_per_partner() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    world.partner("quiet", &partner.url, json!({ "events": ["call.*"] })).await;
    for (sid, act) in [("SM1", Act::Answer(200)), ("SM2", Act::Answer(500)), ("SM3", Act::Answer(404))] {
        partner.usually(act);
        world.apply(sid).await;
        world.deliver().await;
    }
    let (_, report) = world.ask(Method::GET, "deliveries", Value::Null).await;
    let acme = &report["partners"][0];
    assert_eq!(acme["partner"], "acme");
    let counts = &acme["counts"];
    assert_eq!(["attempts", "delivered", "failed", "parked"].map(|name| counts[name].as_u64().unwrap()), [3, 1, 1, 1]);
    assert_eq!(counts["last_error"]["error"], "answered 404");
    assert_eq!((&acme["waiting"], &acme["next"][0]["message_key"]), (&json!(1), &json!("twilio:SM2")));
    assert!(acme["p95_ms"].as_u64().unwrap() >= 1);
    assert_eq!(acme["breaker"]["state"], "closed");
    let (_, one) = world.ask(Method::GET, "deliveries?partner=quiet", Value::Null).await;
    assert_eq!((&one["partners"][0]["success_rate"], &one["partners"][0]["waiting"]), (&Value::Null, &json!(0)));
    assert_eq!(
        ask(&world.app.handler, Method::GET, "deliveries?partner=x", Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
}
