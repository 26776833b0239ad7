//! The operators' log.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use sluice::audit;

use crate::support::{TestApp, text};

async fn list(app: &TestApp, query: &str) -> Value {
    let request = Request::get(format!("/manage/audit{query}")).body(Body::empty()).unwrap();
    let response = app.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_str(&text(response).await).unwrap()
}

#[tokio::test]
async fn entries_come_in_the_order_of_the_actions_page_by_page() {
    let app = TestApp::start();
    let documents = app.documents.as_ref();
    for number in 0..5 {
        let what = format!("w{number}");
        let started =
            audit::start(documents, app.app.clock.now(), "ana", "x.y", &what, json!({"n": number})).await.unwrap();
        app.clock.advance(Duration::from_secs(60));
        started.end(documents, app.app.clock.now(), "done", json!({"done": 1})).await;
    }
    let first = list(&app, "?limit=3").await;
    let whats = |page: &Value| -> Vec<String> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(whats(&first), ["w0", "w1", "w2"]);
    assert_eq!(first["entries"][0]["outcome"], "done");
    assert_eq!(first["entries"][0]["ended_at"], "2026-11-20T10:01:00Z");
    let continuation = first["continuation"].as_str().unwrap();
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("continuation", continuation).finish();
    assert_eq!(whats(&list(&app, &format!("?{query}")).await), ["w3", "w4"]);
    let some = list(&app, "?since=2026-11-20T10:01:00Z&until=2026-11-20T10:02:00Z").await;
    assert_eq!(whats(&some), ["w1", "w2"]);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_the_reason() {
    let app = TestApp::start();
    for (path, status, reason) in [
        ("/manage/audit?since=yesterday", StatusCode::BAD_REQUEST, "since must be a time"),
        ("/manage/audit?limit=-1", StatusCode::BAD_REQUEST, "limit must be a number"),
        ("/manage/audit?continuation=x", StatusCode::BAD_REQUEST, "continuation is malformed"),
        ("/manage/audit/x", StatusCode::NOT_FOUND, "there is no such path below /manage"),
        ("/manage/nothing", StatusCode::NOT_FOUND, "GET /manage lists what there is"),
    ] {
        let response = app.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = text(response).await;
        assert!(body.contains(reason), "{path}: {body}");
    }
    let response = app.send(Request::delete("/manage/audit").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET");
}
