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

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, Request, Response, StatusCode},
    response::IntoResponse,
};
use futures_util::future::BoxFuture;
use opentelemetry::trace::SpanKind;

use crate::{
    admin,
    app::App,
    channels::process,
    event::Channel,
    host::{FunctionKey, Invocation, InvocationFailure, InvocationResult, ServiceBusMessage},
    openapi::{Operation, expect_described},
    problem::problem,
    telemetry::Span,
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
/// What it answers, told for OpenAPI, below the first segment that it is given.
type Describe = fn(&str) -> Vec<Operation>;

/// How a function is reached.
#[derive(Clone, Copy)]
pub enum Entry {
    /// By its own route; the host forwards the request. The text is the route's first segment.
    Http(&'static str, Forward, Describe),
    /// The same, for requests that bring a function key. The host checks it, not the function.
    Keyed(&'static str, Forward, Describe),
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
    Function {
        name: "health",
        entry: Entry::Http("health", |app, request| Box::pin(health::handle(app, request)), health::operations),
    },
    Function {
        name: "ingest",
        entry: Entry::Http("incoming", |app, request| Box::pin(ingest::handle(app, request)), ingest::operations),
    },
    Function {
        name: "operate",
        entry: Entry::Keyed("manage", |app, request| Box::pin(operate::handle(app, request)), admin::operations),
    },
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
    let is_keyed = |function: &Function| matches!(function.entry, Entry::Keyed(segment, ..) if first.eq_ignore_ascii_case(segment));
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
            Entry::Http(segment, handle, describe) if first.eq_ignore_ascii_case(segment) => {
                let method = cfg!(debug_assertions).then(|| request.method().clone());
                let response = handle(&app, request).await;
                if let Some(method) = method {
                    expect_described(&describe(segment), &method, response.status());
                }
                return response;
            }
            // Each of its operations looks after its own answers.
            Entry::Keyed(segment, handle, _) if first.eq_ignore_ascii_case(segment) => {
                return handle(&app, request).await;
            }
            // The host spells function names as their folders.
            Entry::Invocation(invoke) if path == function.name && request.method() == Method::POST => {
                return invocation(&app, function.name, invoke, request).await;
            }
            _ => {}
        }
    }
    problem(StatusCode::NOT_FOUND, Some("no function answers here"))
}

async fn invocation(app: &App, name: &str, invoke: Invoke, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let traceparent = head.headers.get("traceparent").and_then(|value| value.to_str().ok());
    let result = match to_bytes(body, LONGEST_INVOCATION).await {
        Ok(bytes) => match Invocation::parse(&bytes) {
            Ok(mut call) => {
                call.traceparent = traceparent;
                invoke(app, &call).await
            }
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
    let span = receiving(app, call, &app.config.bus.callbacks_topic, channel.name(), &messages);
    let (oldest, started) = (oldest(app, &messages), Instant::now());
    match process::process(app, channel, &messages, &span).await {
        Ok(processed) => {
            app.meter.batch(channel.name(), started.elapsed(), oldest);
            tracing::debug!(channel = channel.name(), ?processed, "a batch is processed");
            Ok(InvocationResult::default())
        }
        Err(error) => {
            span.fail("not_kept");
            drop(span);
            tokio::time::sleep(PAUSE_BEFORE_REDELIVERY).await;
            Err(InvocationFailure::new(error.to_string()))
        }
    }
}

/// How long the oldest message of a batch has waited, where the host tells.
fn oldest(app: &App, messages: &[ServiceBusMessage]) -> Option<Duration> {
    let enqueued_at = messages.iter().filter_map(|message| message.enqueued_at).min()?;
    Some((app.clock.now() - enqueued_at).to_std().unwrap_or_default())
}

/// The span of a batch. It belongs to no message's trace, so it points at all of them.
fn receiving(
    app: &App,
    call: &Invocation<'_>,
    topic: &str,
    subscription: &str,
    messages: &[ServiceBusMessage],
) -> Span {
    let parent = call.traceparent.and_then(|traceparent| app.tracing.parse(traceparent, None));
    let span = app.tracing.start(SpanKind::Consumer, "receive", topic, parent);
    span.describe_messaging(app.config.messaging_system(), "receive", topic);
    span.describe(|| {
        [
            ("messaging.destination.subscription.name", subscription.to_owned().into()),
            ("messaging.batch.message_count", i64::try_from(messages.len()).unwrap_or(i64::MAX).into()),
        ]
    });
    for message in messages {
        span.link(app.tracing.context_of(&message.properties));
    }
    span
}
