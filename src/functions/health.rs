//! `health`: HTTP trigger, `GET health`. 200 while the store can be written and read, 503 with the reason while it cannot.

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use serde_json::json;

use crate::{app::App, problem::try_again_later};

pub(super) async fn handle(app: &App, _request: Request<Body>) -> Response<Body> {
    if let Err(illness) = app.health.examine(app.documents.as_ref()).await {
        return try_again_later(&illness.to_string());
    }
    let body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
