//! HTTP triggers that the host does not forward: the request as data.
//!
//! Every HTTP function of this project has one `httpTrigger` and one `http` output, so that the host forwards the
//! request itself. This is for a function that adds another output binding, which makes the host switch protocol.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::invocation::{Invocation, InvocationError, bad_data};

/// A request, described in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HttpRequest {
    /// Scheme, host, path and query.
    pub url: String,
    pub method: String,
    /// Repeated keys are joined by a comma.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Names in the client's case.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The route's parameters; an optional one that is missing is null.
    #[serde(default)]
    pub params: BTreeMap<String, Option<String>>,
    /// The text as it came, JSON too; base64 for `application/octet-stream` and `multipart/*`.
    #[serde(default)]
    pub body: Option<String>,
}

impl Invocation<'_> {
    /// The request of an HTTP trigger.
    ///
    /// # Errors
    /// There is no such binding, or its value does not describe a request.
    pub fn http_request(&self, binding: &str) -> Result<HttpRequest, InvocationError> {
        serde_json::from_str(self.data(binding)?).map_err(|error| bad_data(binding, "an HTTP request", error))
    }
}
