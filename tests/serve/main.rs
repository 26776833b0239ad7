//! The executable as the custom handler, spoken to as the Functions host speaks.

mod in_azure;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use axum::body::to_bytes;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::stream;
use reqwest::{Body, Response, StatusCode};
use serde_json::{Value, json};
use support::{handler::Handler, receipt, twilio_request};

async fn invoke(handler: &Handler, function: &str, body: Body) -> Response {
    let request = handler.client.post(format!("{}/{function}", handler.url));
    request.header("content-type", "application/json; charset=utf-8").body(body).send().await.unwrap()
}

async fn forward(handler: &Handler, sid: &str) -> StatusCode {
    let path = "/incoming/twilio/sms/status";
    let (parts, body) = twilio_request("http://127.0.0.1:7071", path, &receipt(sid, "delivered")).into_parts();
    let mut request = handler.client.post(format!("{}{path}", handler.url));
    for (name, value) in &parts.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    // The public host, as the Functions host passes it on.
    request = request.header("host", "hooks.example.com").body(to_bytes(body, 1 << 20).await.unwrap());
    request.send().await.unwrap().status()
}

fn batch(envelopes: &[Value]) -> String {
    let bodies: Vec<_> = envelopes.iter().map(|envelope| BASE64_STANDARD.encode(envelope.to_string())).collect();
    let data = serde_json::to_string(&bodies).unwrap();
    let ids = serde_json::to_string(&vec!["m"; envelopes.len()]).unwrap();
    // A sender of messages must not be able to choose the function or the count by what it writes into a body.
    json!({ "Data": { "messages": data }, "Metadata": { "MessageIdArray": ids,
            "sys": { "MethodName": "process-sms", "UtcNow": "2026-11-20T10:00:00Z", "RandGuid": "g" } } })
    .to_string()
}

fn envelope(sid: &str) -> Value {
    json!({ "specversion": "1.0", "id": "01936f00-0000-7000-8000-000000000000", "source": "/incoming/twilio/sms/status",
            "type": "sluice.callback.received.v1", "time": "2026-11-20T10:00:00Z", "vendor": "twilio",
            "datacontenttype": "application/x-www-form-urlencoded", "servicetype": "sms", "requesttype": "status",
            "dedupekey": "k", "dataclassification": "personal",
            "data": format!("MessageSid={sid}&MessageStatus=delivered&To=%2B12025550143") })
}

async fn json_object(response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert!(answer.is_object(), "an empty answer or null would hang the host: {answer}");
    answer
}

#[tokio::test]
async fn invocations_are_answered_with_json_whether_chunked_or_with_a_length() {
    let folder = tempfile::tempdir().unwrap();
    let handler = Handler::start(folder.path(), &["serve"], &[]).await;
    json_object(invoke(&handler, "process-sms", batch(&[envelope("SM1")]).into()).await).await;
    let chunked = batch(&[envelope("SM2"), json!("no envelope"), envelope("SM2")]).into_bytes();
    let chunks: Vec<_> = chunked.chunks(100).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    json_object(invoke(&handler, "process-sms", Body::wrap_stream(stream::iter(chunks))).await).await;
    let timer = include_str!("../golden/g05_timer_trigger.json");
    json_object(invoke(&handler, "sweep-retries", timer.into()).await).await;

    let show = |key: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["show", key, "--root", env!("CARGO_MANIFEST_DIR"), "--data"])
            .arg(folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for key in ["twilio:SM1", "twilio:SM2"] {
        assert!(show(key).contains("message.delivered"), "{key} is applied");
    }
}

#[tokio::test]
async fn without_a_subcommand_the_port_variable_makes_it_the_handler() {
    let folder = tempfile::tempdir().unwrap();
    let handler = Handler::start(folder.path(), &[], &[]).await;
    assert_eq!(forward(&handler, "SM1").await, StatusCode::OK);
    let health = handler.client.get(format!("{}/health", handler.url)).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_invocation_is_an_error_that_the_host_understands() {
    let folder = tempfile::tempdir().unwrap();
    let handler = Handler::start(folder.path(), &["serve"], &[]).await;
    for body in ["", "null", "[]", "{}", "{\"Data\":{},\"Metadata\":{}}", "{\"Data\":{\"messages\":7}}"] {
        let response = invoke(&handler, "process-sms", body.into()).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
    }
    for function in ["no-such-function", "Process-SMS", "ingest"] {
        let response = invoke(&handler, function, batch(&[envelope("SM1")]).into()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{function}");
    }
}
