//! Finding what failed.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sluice::documents::Container;

use crate::{
    support::TestApp,
    world::{ask, complete, found, get, park, post},
};

#[tokio::test]
async fn each_filter_finds_its_record_and_all_come_in_the_order_of_time() {
    let app = TestApp::start();
    let a = park(&app, "SM1", |record| record.reason = "No Such Ledger".into()).await;
    let b = park(&app, "SM2", |record| record.vendor = Some("telnyx".into())).await;
    let c = park(&app, "SM3", |record| record.channel = Some("email".into())).await;
    let d = park(&app, "SM4", |record| record.partner = Some("crm".into())).await;
    let e = park(&app, "SM5", |record| {
        record.message.properties.insert("type".into(), "message.delivered".into());
    })
    .await;
    for (filter, expected) in [
        (json!({}), vec![&a, &b, &c, &d, &e]),
        (json!({"reason": "no such"}), vec![&a]),
        (json!({"vendor": "telnyx"}), vec![&b]),
        (json!({"channel": "email"}), vec![&c]),
        (json!({"partner": "crm"}), vec![&d]),
        (json!({"type": "message.delivered"}), vec![&e]),
        (json!({"type": "sluice.callback.received.v1"}), vec![&a, &b, &c, &d]),
        (json!({"since": "2026-11-20T10:01:00Z", "until": "2026-11-20T10:03:00Z"}), vec![&b, &c, &d]),
        (json!({"text": "MessageSid=SM3"}), vec![&c]),
        (json!({"text": "%2B12025550143"}), vec![&a, &b, &c, &d, &e]),
        (json!({"id": d}), vec![&d]),
        (json!({"id": d, "vendor": "telnyx"}), vec![]),
        (json!({"vendor": "twilio", "channel": "sms", "reason": "ledger was away"}), vec![&d, &e]),
        (json!({"vendor": "nobody"}), vec![]),
    ] {
        assert_eq!(found(&app, "parked", filter.clone()).await.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_search_goes_on_where_its_last_page_ended() {
    let app = TestApp::start();
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(park(&app, &format!("SM{number}"), |_| {}).await);
    }
    let mut seen = Vec::new();
    let mut continuation = Value::Null;
    let mut pages = 0;
    loop {
        let question = json!({ "limit": 3, "continuation": continuation, "filter": {"vendor": "twilio"} });
        let page = post(&app, "/parked/search", question).await;
        let records = page["records"].as_array().unwrap();
        seen.extend(records.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        pages += 1;
        continuation = page["continuation"].clone();
        if continuation.is_null() {
            break;
        }
    }
    assert_eq!((seen, pages), (ids, 3));
}

#[tokio::test]
async fn a_body_in_base64_is_searched_as_what_it_says() {
    let app = TestApp::start();
    let id = park(&app, "SM1", |record| {
        let envelope = json!({
            "specversion": "1.0", "id": "01936f00-0000-7000-8000-00000000000a", "source": "/x", "vendor": "twilio",
            "type": "sluice.callback.received.v1", "time": "2026-11-20T10:00:00Z", "servicetype": "sms",
            "dedupekey": "k", "dataclassification": "personal", "data_base64": "eyJ0byI6ImFuYUBleGFtcGxlLmNvbSJ9",
        });
        record.message.body = sluice::retry::records::StoredBody::Text(envelope.to_string());
    })
    .await;
    assert_eq!(found(&app, "parked", json!({"text": "ana@example.com"})).await, [id]);
}

#[tokio::test]
async fn counting_shows_a_sample_and_changes_nothing() {
    let app = TestApp::start();
    for number in 0..8 {
        park(&app, &format!("SM{number}"), |_| {}).await;
    }
    let before = app.all(Container::Parked).await;
    for filter in [json!({}), json!({"vendor": "twilio"})] {
        let counted = post(&app, "/parked/count", json!({ "filter": filter })).await;
        assert_eq!(counted["matched"], 8);
        assert_eq!(counted["sample"].as_array().unwrap().len(), 5);
        assert_eq!(counted["continuation"], Value::Null);
    }
    assert_eq!(app.all(Container::Parked).await, before);
    assert_eq!(app.waiting().await, 0);
    assert!(app.all(Container::Registry).await.is_empty());
}

#[tokio::test]
async fn lists_and_records_hide_what_people_wrote_unless_asked_and_asking_is_recorded() {
    let app = TestApp::start();
    let id = park(&app, "SM1", |_| {}).await;
    let list = post(&app, "/parked/search", json!({})).await;
    let shown = get(&app, &format!("/parked/{id}")).await;
    for hidden in [&list, &shown] {
        assert!(!hidden.to_string().contains("12025550143"), "{hidden}");
    }
    assert_eq!(shown["record"]["message_key"], "twilio:SM1");
    assert_eq!(shown["record"]["history"][0]["error"], "the ledger was away");
    let revealed = get(&app, &format!("/parked/{id}?reveal=true")).await;
    assert!(revealed["message"]["body"].as_str().unwrap().contains("12025550143"), "{revealed}");
    let audit = get(&app, "/audit").await;
    assert_eq!(audit["entries"][0]["action"], "parked.reveal");
    assert_eq!(audit["entries"][0]["what"], *id);
    assert_eq!(audit["entries"][0]["who"], "ana");
}

#[tokio::test]
async fn the_log_of_a_job_keeps_no_number_that_was_searched_for() {
    let app = TestApp::start();
    park(&app, "SM1", |_| {}).await;
    let order = json!({"source": "parked", "filter": {"text": "12025550143"}});
    let job = complete(&app, order).await;
    assert_eq!(job["progress"]["done"], 1);
    let kept: Vec<_> = app.all(Container::Registry).await.into_iter().map(|document| document.body).collect();
    assert_eq!(kept.len(), 2, "the job and its entry");
    for document in kept {
        assert!(!document.contains("12025550143") && document.contains("tok_"), "{document}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_the_reason() {
    let app = TestApp::start();
    for (method, path, body, status, reason) in [
        (Method::POST, "/parked/search", json!({"filter": {"vendro": "x"}}), StatusCode::BAD_REQUEST, "vendro"),
        (Method::POST, "/parked/search", json!({"continuation": "x"}), StatusCode::BAD_REQUEST, "continuation"),
        (Method::POST, "/parked/search", json!([1]), StatusCode::BAD_REQUEST, "the body"),
        (Method::GET, "/parked/search", json!({}), StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        (Method::GET, "/parked/unknown", json!({}), StatusCode::NOT_FOUND, "nothing of parked has the id"),
        (Method::GET, "/dead-letters/unknown", json!({}), StatusCode::BAD_REQUEST, "callbacks:sms:123"),
        (
            Method::POST,
            "/dead-letters/search",
            json!({"filter": {"subscription": "callbacks/fax"}}),
            StatusCode::BAD_REQUEST,
            "callbacks/sms",
        ),
        (Method::POST, "/replays", json!({}), StatusCode::BAD_REQUEST, "missing field `source`"),
        (Method::POST, "/replays", json!({"source": "parked", "rate": 0}), StatusCode::BAD_REQUEST, "the rate must be"),
        (
            Method::POST,
            "/replays",
            json!({"source": "dead-letters", "filter": {"subscription": "x/y"}}),
            StatusCode::BAD_REQUEST,
            "no subscription x/y",
        ),
        (Method::GET, "/replays/unknown", json!({}), StatusCode::NOT_FOUND, "there is no job"),
        (Method::POST, "/replays/unknown/pause", json!({}), StatusCode::NOT_FOUND, "there is no job"),
        (
            Method::POST,
            "/replays/unknown/stop",
            json!({}),
            StatusCode::NOT_FOUND,
            "there is no such path below /manage",
        ),
    ] {
        let (found, answer) = ask(&app, method.clone(), path, body.clone()).await;
        assert_eq!(found, status, "{method} {path} {body}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(reason), "{method} {path} {body}: {answer}");
    }
    assert!(app.all(Container::Registry).await.is_empty());
}
