//! The operators' API: what people do to a running system, as JSON below `/manage`.
//!
//! The Functions host (or [`crate::local::host`]) has checked the key. A request becomes a [`Call`]: method, segments of
//! the path, body, and who is asking. The first segment names a [`Resource`], one file each in this folder; a new one is
//! a file and a line in [`RESOURCES`]. What a resource cannot do is a [`Refusal`], answered as a problem (RFC 9457).
//!
//! The command line is a client of this API (`cli/operator.rs`), because the embedded store has one writing process.

mod audit;
mod call;
mod deliveries;
mod erasures;
mod partners;
mod records;
mod refusal;
mod replays;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;

pub use call::{Call, OPERATOR_HEADER};
pub use refusal::Refusal;

/// What a resource answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Value,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: impl Serialize) -> Self {
        Self::with(StatusCode::OK, body)
    }

    /// 201 with what was created.
    pub fn created(body: impl Serialize) -> Self {
        Self::with(StatusCode::CREATED, body)
    }

    fn with(status: StatusCode, body: impl Serialize) -> Self {
        Self { status, body: serde_json::to_value(body).expect("replies serialise to JSON") }
    }
}

type Handle = for<'a> fn(&'a App, Call) -> BoxFuture<'a, Result<Reply, Refusal>>;

/// Something that operators look at or change: `/manage/{name}/...`.
#[derive(Clone, Copy)]
pub struct Resource {
    pub name: &'static str,
    /// One line for `GET /manage`, with methods and paths.
    pub summary: &'static str,
    pub handle: Handle,
}

/// Every resource there is.
pub const RESOURCES: &[Resource] = &[
    audit::RESOURCE,
    deliveries::RESOURCE,
    erasures::RESOURCE,
    partners::RESOURCE,
    records::PARKED,
    records::RETRIES,
    records::DEAD_LETTERS,
    replays::RESOURCE,
];

/// Answers a request to `/manage/...`.
pub async fn answer(app: &App, request: Request<Body>) -> Response<Body> {
    let reply = match Call::read(request).await {
        Ok(call) => route(app, call).await,
        Err(refusal) => Err(refusal),
    };
    match reply {
        Ok(reply) => {
            let mut response = Response::new(Body::from(reply.body.to_string()));
            *response.status_mut() = reply.status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // What operators see holds personal data.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn route(app: &App, mut call: Call) -> Result<Reply, Refusal> {
    let Some(name) = call.next_segment() else {
        call.expect_method(&[Method::GET])?;
        let resources: Vec<_> = RESOURCES
            .iter()
            .map(|resource| json!({ "path": format!("/manage/{}", resource.name), "summary": resource.summary }))
            .collect();
        return Ok(Reply::ok(json!({ "version": env!("CARGO_PKG_VERSION"), "resources": resources })));
    };
    match RESOURCES.iter().find(|resource| resource.name == name) {
        Some(resource) => (resource.handle)(app, call).await,
        None => Err(Refusal::NotFound(format!("there is no /manage/{name}: GET /manage lists what there is"))),
    }
}
