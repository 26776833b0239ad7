//! The operators' API: what people do to a running system, as JSON below `/manage`.
//!
//! The Functions host (or [`crate::local::host`]) has checked the key. A request becomes a [`Call`]: method, segments of
//! the path, body, and who is asking. The first segment names a [`Resource`], one file each in this folder, with a table of
//! its [`Operation`]s: requests are routed by it, and described by it ([`crate::openapi`]). A new resource is a file and a
//! line in [`RESOURCES`]. What it cannot do is a [`Refusal`], answered as a problem (RFC 9457).
//!
//! The command line is a client of this API (`cli/operator.rs`), because the embedded store has one writing process.

mod audit;
mod call;
mod deliveries;
mod describe;
mod erasures;
mod index;
mod operation;
mod partners;
mod records;
mod refusal;
mod replays;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, header},
};

use crate::app::App;

pub use call::{Call, OPERATOR_HEADER};
pub use describe::operations;
pub use operation::{Operation, Operator, Reply};
pub use refusal::Refusal;

/// Something that operators look at or change: `/manage/{name}/...`.
#[derive(Clone, Copy)]
pub struct Resource {
    /// The first segment of its operations' paths; empty for `/manage` itself.
    pub name: &'static str,
    /// One line for `GET /manage`.
    pub summary: &'static str,
    pub operations: &'static [Operation],
}

/// Every resource there is.
pub const RESOURCES: &[Resource] = &[
    index::RESOURCE,
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
            let mut response = Response::new(Body::from(reply.body));
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
    let all = RESOURCES.iter().flat_map(|resource| resource.operations);
    // As in OpenAPI: `parked/search` goes before `parked/{id}`.
    let matching = all.clone().filter(|operation| operation.matches(&call.path));
    let Some(path) = matching.min_by_key(|operation| operation.names().count()).map(|operation| operation.path) else {
        // Without the path: it may hold an address.
        return Err(Refusal::NotFound("there is no such path below /manage: GET /manage lists what there is".into()));
    };
    let there: Vec<&Operation> = all.filter(|operation| operation.path == path).collect();
    let Some(operation) = there.iter().find(|operation| operation.method == call.method) else {
        let methods: Vec<_> = there.iter().map(|operation| operation.method.as_str()).collect();
        return Err(Refusal::MethodNotAllowed(methods.join(", ")));
    };
    call.name_segments(operation);
    let method = call.method.clone();
    let nobody = call.who().err().filter(|_| operation.operator == Operator::Required);
    let reply = match nobody {
        Some(refusal) => Err(refusal),
        None => (operation.does.handle)(app, call).await,
    };
    if cfg!(debug_assertions) {
        let status = reply.as_ref().map_or_else(Refusal::status, |reply| reply.status);
        crate::openapi::expect_described(&[operation.described("")], &method, status);
    }
    reply
}

/// The methods that any operation has: `function.json` must let them through.
pub fn methods() -> impl Iterator<Item = Method> {
    RESOURCES.iter().flat_map(|resource| resource.operations).map(|operation| operation.method.clone())
}
