//! `health`: HTTP trigger, `GET health`. 200 while the store can be written and read, 503 with the reason while it cannot.

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::App,
    openapi::{Answer, Operation, shape},
    problem::try_again_later,
};

/// The instance can do its work.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
    /// Of the program.
    version: &'static str,
}

pub(super) fn operations(segment: &str) -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: format!("/{segment}").into(),
        summary: "Whether this instance can do its work",
        description: "The document store is written and read, at most once a second.".into(),
        tag: "health",
        parameters: Vec::new(),
        body: None,
        answers: vec![
            Answer::json(StatusCode::OK, "It can.", shape::<Health>),
            Answer::later("It cannot; the detail says why."),
        ],
    }]
}

pub(super) async fn handle(app: &App, _request: Request<Body>) -> Response<Body> {
    if let Err(illness) = app.health.examine(app.documents.as_ref()).await {
        return try_again_later(&illness.to_string());
    }
    let health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };
    let body = serde_json::to_string(&health).expect("it is two strings");
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
