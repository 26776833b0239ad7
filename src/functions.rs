//! The functions: one file for each folder in `functions/`, and the handler that the Functions host talks to.
//!
//! The host reaches the handler in two ways: requests to HTTP functions are forwarded as they are (their own path), and
//! every other trigger is a `POST /{FunctionName}` with JSON, answered with JSON. `GET /` is the host asking whether the
//! handler is up.

mod deliver;
mod health;
mod ingest;
mod operate;
mod process_email;
mod process_sms;
mod process_voice;
mod project_sql;
mod run_replays;
mod sweep_retries;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, Request, Response, StatusCode},
    response::IntoResponse,
};
use futures_util::future::BoxFuture;

use crate::{
    app::App,
    channels::process,
    event::Channel,
    host::{FunctionKey, Invocation, InvocationFailure, InvocationResult},
    problem::problem,
};

/// Name of the binding of every Service Bus trigger.
pub const MESSAGES: &str = "messages";
/// Name of the binding of every timer trigger.
pub const TIMER: &str = "timer";
/// Name of the output binding that writes rows.
pub const ROWS: &str = "rows";

/// A batch of Service Bus Premium messages, in base64 and JSON, stays below this.
const LONGEST_INVOCATION: usize = 256 << 20;

/// Before a batch that could be kept nowhere is given back: redelivery is immediate, and there are only so many.
const PAUSE_BEFORE_REDELIVERY: Duration = Duration::from_secs(5);

type Invoked<'a> = BoxFuture<'a, Result<InvocationResult, InvocationFailure>>;
type Invoke = for<'a> fn(&'a App, &'a Invocation<'a>) -> Invoked<'a>;
type Forward = for<'a> fn(&'a App, Request<Body>) -> BoxFuture<'a, Response<Body>>;

/// How a function is reached.
#[derive(Clone, Copy)]
pub enum Entry {
    /// By its own route; the host forwards the request. The text is the route's first segment.
    Http(&'static str, Forward),
    /// The same, for requests that bring a function key. The host checks it, not the function.
    Keyed(&'static str, Forward),
    /// By `POST /{name}` with an invocation.
    Invocation(Invoke),
}

/// A function and its handler.
pub struct Function {
    /// The name of its folder.
    pub name: &'static str,
    pub entry: Entry,
}

/// Every function there is.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "deliver", entry: Entry::Invocation(|app, call| Box::pin(deliver::handle(app, call))) },
    Function { name: "health", entry: Entry::Http("health", |app, request| Box::pin(health::handle(app, request))) },
    Function { name: "ingest", entry: Entry::Http("incoming", |app, request| Box::pin(ingest::handle(app, request))) },
    Function { name: "operate", entry: Entry::Keyed("manage", |app, request| Box::pin(operate::handle(app, request))) },
    Function {
        name: "process-email",
        entry: Entry::Invocation(|app, call| Box::pin(process_email::handle(app, call))),
    },
    Function { name: "process-sms", entry: Entry::Invocation(|app, call| Box::pin(process_sms::handle(app, call))) },
    Function {
        name: "process-voice",
        entry: Entry::Invocation(|app, call| Box::pin(process_voice::handle(app, call))),
    },
    Function { name: "project-sql", entry: Entry::Invocation(|app, call| Box::pin(project_sql::handle(app, call))) },
    Function { name: "run-replays", entry: Entry::Invocation(|app, call| Box::pin(run_replays::handle(app, call))) },
    Function {
        name: "sweep-retries",
        entry: Entry::Invocation(|app, call| Box::pin(sweep_retries::handle(app, call))),
    },
];

/// Those on Service Bus triggers that nobody waits for: they give way first when the door is pressed.
pub const BACKGROUND: &[&str] = &["project-sql"];

/// The custom handler as a service of its own, for whoever calls it without a listener: tests and benchmarks.
pub fn handler(app: Arc<App>) -> Router {
    Router::new().fallback(|State(app), request| answer(app, request)).with_state(app)
}

/// What the custom handler answers behind a host that checks no keys, as `func start` does: it checks them itself. The
/// Functions host in Azure has keys of its own, and nobody else reaches the handler there.
pub async fn answer_with_key(app: Arc<App>, key: &FunctionKey, request: Request<Body>) -> Response<Body> {
    let first = first_segment(request.uri().path());
    let is_keyed =
        |function: &Function| matches!(function.entry, Entry::Keyed(segment, _) if first.eq_ignore_ascii_case(segment));
    if FUNCTIONS.iter().any(is_keyed) && !key.admits(&request) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    answer(app, request).await
}

/// `incoming` of `/incoming/twilio`.
fn first_segment(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or_default().split('/').next().unwrap_or_default()
}

/// What the custom handler answers: the same without a router, which would cost every request a few microseconds and has
/// nothing to route.
pub async fn answer(app: Arc<App>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    if path.is_empty() {
        return StatusCode::OK.into_response();
    }
    let first = first_segment(request.uri().path());
    for function in FUNCTIONS {
        match function.entry {
            Entry::Http(segment, handle) | Entry::Keyed(segment, handle) if first.eq_ignore_ascii_case(segment) => {
                return handle(&app, request).await;
            }
            // The host spells function names as their folders.
            Entry::Invocation(invoke) if path == function.name && request.method() == Method::POST => {
                return invocation(&app, function.name, invoke, request.into_body()).await;
            }
            _ => {}
        }
    }
    problem(StatusCode::NOT_FOUND, Some("no function answers here"))
}

async fn invocation(app: &App, name: &str, invoke: Invoke, body: Body) -> Response<Body> {
    let result = match to_bytes(body, LONGEST_INVOCATION).await {
        Ok(bytes) => match Invocation::parse(&bytes) {
            Ok(call) => invoke(app, &call).await,
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(InvocationFailure::new(format!("the invocation broke off: {error}"))),
    };
    match result {
        Ok(result) => result.into_response(),
        Err(failure) => {
            tracing::error!(function = name, %failure, "an invocation failed; the host delivers its messages again");
            failure.into_response()
        }
    }
}

/// What all processors share: a batch of one channel's messages.
async fn process_channel(
    app: &App,
    channel: Channel,
    call: &Invocation<'_>,
) -> Result<InvocationResult, InvocationFailure> {
    let messages = call.service_bus_batch(MESSAGES)?;
    match process::process(app, channel, &messages).await {
        Ok(processed) => {
            tracing::debug!(channel = channel.name(), ?processed, "a batch is processed");
            Ok(InvocationResult::default())
        }
        Err(error) => {
            tokio::time::sleep(PAUSE_BEFORE_REDELIVERY).await;
            Err(InvocationFailure::new(error.to_string()))
        }
    }
}
