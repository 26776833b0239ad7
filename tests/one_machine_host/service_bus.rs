use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use sluice::{
    clock::SystemClock,
    host::{Invocation, InvocationFailure, InvocationResult, ServiceBusMessage},
    local::host::HostOptions,
};
use tokio::sync::Notify;

use crate::world::{FakeBroker, Folders, MAX_DELIVERY_COUNT, Running, options, service_bus_function};

/// Starts a host whose one function answers as `handle` says.
async fn start<F, R>(broker: &FakeBroker, handle: F) -> Running
where
    F: Fn(Vec<ServiceBusMessage>) -> R + Clone + Send + Sync + 'static,
    R: IntoResponse,
{
    let answer = async move |headers: HeaderMap, body: Bytes| {
        assert_eq!(headers["content-type"], "application/json; charset=utf-8");
        assert!(headers.contains_key("x-azure-functions-invocationid"));
        let invocation = Invocation::parse(&body).unwrap();
        assert_eq!(invocation.function(), "process-sms");
        handle(invocation.service_bus_batch("messages").unwrap()).into_response()
    };
    let handler = Router::new().route("/process-sms", post(answer)).layer(DefaultBodyLimit::disable());
    let folders = Folders::new();
    Running::start(folders.function("process-sms", &service_bus_function("sms")).load(), handler, broker).await
}

#[tokio::test]
async fn a_batch_that_succeeds_is_completed_as_a_whole() {
    let broker = FakeBroker::default();
    let names: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    broker.send(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    let _host = start(&broker, move |batch: Vec<ServiceBusMessage>| {
        for message in &batch {
            assert_eq!(message.body, format!("body of {}", message.message_id.as_ref().unwrap()));
            assert_eq!(message.delivery_count, 1);
        }
        seen.lock().unwrap().push(batch.len());
        InvocationResult::logged("20 callbacks")
    })
    .await;
    broker.until(|state| state.completed.len() == 20).await;
    assert_eq!(*sizes.lock().unwrap(), [8, 8, 4], "function.json's maxMessageBatchSize");
    assert!(broker.state().dead.is_empty());
}

#[tokio::test]
async fn a_failed_batch_comes_again_until_it_is_dead_lettered() {
    let broker = FakeBroker::default();
    broker.send(&["m1", "m2"]);
    let counts = Arc::new(Mutex::new(Vec::new()));
    let seen = counts.clone();
    let _host = start(&broker, move |batch: Vec<ServiceBusMessage>| {
        seen.lock().unwrap().push(batch[0].delivery_count);
        InvocationFailure::new("the ledger is away")
    })
    .await;
    broker.until(|state| state.dead.len() == 2).await;
    assert_eq!(*counts.lock().unwrap(), (1..=MAX_DELIVERY_COUNT).collect::<Vec<_>>());
    assert!(broker.state().completed.is_empty());
}

#[tokio::test]
async fn every_answer_that_azure_would_not_take_fails_the_batch() {
    type Answer = fn() -> axum::response::Response;
    let wrong: [Answer; 7] = [
        || StatusCode::OK.into_response(),
        || StatusCode::NO_CONTENT.into_response(),
        || ([("content-type", "application/json")], "null").into_response(),
        || "{}".into_response(),
        || ([("content-type", "application/json")], "[1,").into_response(),
        || StatusCode::NOT_FOUND.into_response(),
        || panic!("on purpose"),
    ];
    for answer in wrong {
        let broker = FakeBroker::default();
        broker.send(&["m"]);
        let _host = start(&broker, move |_| answer()).await;
        broker.until(|state| state.dead == ["m"]).await;
    }
}

#[tokio::test]
async fn a_panic_fails_one_invocation_and_the_loop_goes_on() {
    let broker = FakeBroker::default();
    broker.send(&["m"]);
    let calls = Arc::new(AtomicU32::new(0));
    let _host = start(&broker, move |_| {
        assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        ([("content-type", "application/json")], "{}")
    })
    .await;
    broker.until(|state| state.completed == ["m"]).await;
}

#[tokio::test]
async fn a_broker_that_fails_is_asked_again() {
    let broker = FakeBroker::default();
    broker.state().receive_failures = 2;
    broker.send(&["m"]);
    let _host = start(&broker, |_| InvocationResult::default()).await;
    broker.until(|state| state.completed == ["m"]).await;
}

#[tokio::test]
async fn an_invocation_that_outlasts_the_function_timeout_fails() {
    let folders = Folders::new();
    folders.host_json(&json!({
        "version": "2.0", "functionTimeout": "00:00:00.05",
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "customHandler": {"description": {"defaultExecutablePath": "sluice"}}
    }));
    let handler = Router::new().route("/process-sms", post(std::future::pending::<()>));
    let broker = FakeBroker::default();
    broker.send(&["m"]);
    let app = folders.function("process-sms", &service_bus_function("sms")).load();
    let _host = Running::start(app, handler, &broker).await;
    broker.until(|state| state.dead == ["m"]).await;
}

#[tokio::test]
async fn one_message_at_a_time_is_handed_over_by_the_other_encoding() {
    let mut bindings = service_bus_function("sms");
    bindings[0]["cardinality"] = json!("one");
    let answer = async |body: Bytes| {
        let batch = Invocation::parse(&body).unwrap().service_bus_batch("messages").unwrap();
        assert_eq!((batch.len(), batch[0].message_id.as_deref()), (1, Some("m")));
        InvocationResult::default()
    };
    let broker = FakeBroker::default();
    broker.send(&["m"]);
    let handler = Router::new().route("/f", post(answer));
    let _host = Running::start(Folders::new().function("f", &bindings).load(), handler, &broker).await;
    broker.until(|state| state.completed == ["m"]).await;
}

#[tokio::test]
async fn a_stopping_host_finishes_and_completes_the_batch_at_hand() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_work, may_end) = (entered.clone(), leave.clone());
    let answer = async move || {
        at_work.notify_one();
        may_end.notified().await;
        InvocationResult::default()
    };
    let broker = FakeBroker::default();
    broker.send(&["m1"]);
    let folders = Folders::new();
    let app = folders.function("process-sms", &service_bus_function("sms")).load();
    let mut host = Running::start(app, Router::new().route("/process-sms", post(answer)), &broker).await;
    entered.notified().await;
    host.stop();
    broker.send(&["m2"]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    leave.notify_one();
    host.stopped().await;
    let state = broker.state();
    assert_eq!(state.completed, ["m1"]);
    assert_eq!((state.ready.len(), state.locked.len()), (1, 0), "nothing new was taken");
}

#[tokio::test]
async fn a_batch_that_never_ends_does_not_keep_the_host_from_stopping() {
    let broker = FakeBroker::default();
    broker.send(&["m"]);
    let handler = Router::new().route("/process-sms", post(std::future::pending::<()>));
    let folders = Folders::new();
    let app = folders.function("process-sms", &service_bus_function("sms")).load();
    let options = HostOptions { drain_deadline: Duration::from_millis(100), ..options() };
    let mut host = Running::start_with(app, handler, &broker, &options, Arc::new(SystemClock)).await.unwrap();
    broker.until(|state| state.locked.len() == 1).await;
    host.stop();
    host.stopped().await;
    assert!(broker.state().completed.is_empty(), "left to its lock");
}
