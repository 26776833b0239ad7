//! What a handler answers to an invocation.
//!
//! Success is `200`, `application/json` and a JSON object, always: on an empty body or `null` the host waits for its
//! function timeout and then kills the handler with everything in it. Failure is any other status; the host reads no
//! body then, but people and tests do.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::invocation::InvocationError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A successful invocation: the trigger's messages are completed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InvocationResult {
    /// By output binding, in its exact case; the host ignores names that no binding has. A string that happens to be
    /// base64 is sent as the bytes it decodes to: send objects, or JSON text that begins with `{` or `[`.
    pub outputs: Map<String, Value>,
    /// Written to the host's log within the invocation's scope.
    pub logs: Vec<String>,
    pub return_value: Option<Value>,
}

impl InvocationResult {
    /// A result that writes `message` to the host's log.
    pub fn logged(message: impl Into<String>) -> Self {
        Self { logs: vec![message.into()], ..Self::default() }
    }

    /// The answer's body: a JSON object, never empty and never `null`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a result has string keys and finite numbers")
    }
}

impl IntoResponse for InvocationResult {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.to_json())
    }
}

/// A failed invocation: the trigger's messages are abandoned and come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, thiserror::Error)]
#[error("{error}")]
pub struct InvocationFailure {
    /// For the reader of a log; free of payload data.
    pub error: String,
}

impl InvocationFailure {
    /// A failure for this reason.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into() }
    }
}

impl From<InvocationError> for InvocationFailure {
    fn from(error: InvocationError) -> Self {
        Self::new(error.to_string())
    }
}

impl IntoResponse for InvocationFailure {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a failure is one string");
        answer(StatusCode::INTERNAL_SERVER_ERROR, body)
    }
}

fn answer(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
