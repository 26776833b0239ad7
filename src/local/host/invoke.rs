//! Calls the handler by the JSON protocol, and names every way in which that can go wrong.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::body::Body;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use tracing::info;
use uuid::Uuid;

use super::{
    handler::Handler,
    outputs::{OutputError, Outputs},
};
use crate::host::{
    InvocationResult,
    answer::{BadAnswer, judge},
};

pub(super) const INVOCATION_ID: HeaderName = HeaderName::from_static("x-azure-functions-invocationid");
pub(super) const HOST_VERSION: HeaderName = HeaderName::from_static("x-azure-functions-hostversion");
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("4.0.0");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// No result of ours comes near this; a handler that streams without end must not take the memory.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Why an invocation failed. For the trigger all are alike.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvokeError {
    #[error("the handler panicked")]
    Panicked,
    #[error("the handler did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the handler's answer broke off: {0}")]
    Broken(String),
    #[error(transparent)]
    BadAnswer(#[from] BadAnswer),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The way to one function of the handler.
#[derive(Clone)]
pub(super) struct Invoker {
    handler: Handler,
    function: String,
    outputs: Outputs,
    uri: Uri,
    timeout: Option<Duration>,
}

impl Invoker {
    pub(super) fn new(handler: Handler, function: &str, outputs: Outputs, timeout: Option<Duration>) -> Self {
        let uri = format!("/{function}").parse().expect("function names consist of letters, digits, - and _");
        Self { handler, function: function.to_owned(), outputs, uri, timeout }
    }

    pub(super) fn function(&self) -> &str {
        &self.function
    }

    /// Sends one invocation, writes its log lines to the log, and its outputs.
    pub(super) async fn invoke(&self, id: Uuid, body: Vec<u8>) -> Result<InvocationResult, InvokeError> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(HOST_VERSION, VERSION);
        headers.insert(INVOCATION_ID, header_value(id));

        // A panic is one failed invocation. State that it may have left half-changed is the handler's own, and that
        // has to survive the process being killed anyway.
        let call = AssertUnwindSafe(self.call(request)).catch_unwind();
        let outcome = match self.timeout {
            Some(limit) => tokio::time::timeout(limit, call).await.map_err(|_| InvokeError::TimedOut(limit))?,
            None => call.await,
        };
        let result = outcome.unwrap_or(Err(InvokeError::Panicked))?;
        for line in &result.logs {
            info!(function = self.function, invocation = %id, "{line}");
        }
        self.outputs.write(&result).await?;
        Ok(result)
    }

    async fn call(&self, request: Request<Body>) -> Result<InvocationResult, InvokeError> {
        let response = self.handler.call(request).await;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| InvokeError::Broken(error.to_string()))?.to_bytes();
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(judge(head.status, content_type, &body)?)
    }
}

/// Invocation ids: unique, and cheap enough for one on every request. Not secret.
#[derive(Debug)]
pub(super) struct InvocationIds {
    seed: u64,
    count: AtomicU64,
}

impl InvocationIds {
    pub(super) fn new() -> Self {
        let seed = Uuid::new_v4().as_u128() as u64;
        Self { seed, count: AtomicU64::new(0) }
    }

    /// The seed tells hosts apart; the other half is the counter times an odd number, which never repeats and looks
    /// random enough not to be taken for a sequence.
    pub(super) fn next(&self) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bits = u128::from(self.seed) << 64 | u128::from(count);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

pub(super) fn header_value(id: Uuid) -> HeaderValue {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).expect("a UUID is hexadecimal digits and hyphens")
}
