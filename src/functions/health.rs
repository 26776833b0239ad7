//! `health`: HTTP trigger, `GET health`. 200 while the store answers, 503 with the reason while it does not.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use serde_json::json;

use crate::{app::App, documents::Container, problem::try_again_later};

const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn handle(app: &App, _request: Request<Body>) -> Response<Body> {
    let probe = app.documents.read(Container::Registry, "health", "probe");
    match tokio::time::timeout(PATIENCE, probe).await {
        Ok(Ok(_)) => {
            let body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
            let mut response = Response::new(Body::from(body.to_string()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "health: the document store fails");
            try_again_later("the document store fails")
        }
        Err(_) => try_again_later("the document store does not answer"),
    }
}
