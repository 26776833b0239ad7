//! A request of an operator's, read.

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::{Operation, Refusal};
use crate::clock::Timestamp;

/// Says who asks. Believed: whoever has the key may say so.
pub const OPERATOR_HEADER: &str = "x-sluice-operator";

const LARGEST_BODY: usize = 256 * 1024;
pub(super) const LONGEST_NAME: usize = 100;

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// The segments of the path, decoded: `["partners", "x y"]` of `/manage/partners/x%20y`.
    pub path: Vec<String>,
    /// Those that the operation's path has names for.
    named: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
    who: Option<String>,
}

impl Call {
    /// # Errors
    /// The body broke off or is too large, or the operator's name is none.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let path = head
            .uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            // The route's own segment.
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let who = head.headers.get(OPERATOR_HEADER).map(|value| value.to_str().unwrap_or_default().trim().to_owned());
        if let Some(who) = &who
            && (who.is_empty() || who.len() > LONGEST_NAME || who.chars().any(char::is_control))
        {
            return Err(Refusal::Malformed(format!(
                "{OPERATOR_HEADER} must be a name of 1 to {LONGEST_NAME} ASCII characters"
            )));
        }
        let body = to_bytes(body, LARGEST_BODY)
            .await
            .map_err(|_| Refusal::Malformed(format!("the body broke off, or exceeds {LARGEST_BODY} bytes")))?;
        Ok(Self { method: head.method, path, named: Vec::new(), query, body, who })
    }

    pub(super) fn name_segments(&mut self, operation: &Operation) {
        let segments = operation.names().filter_map(|(index, name)| Some((name, self.path.get(index)?.clone())));
        self.named = segments.collect();
    }

    /// A segment, by its name in the operation's path.
    ///
    /// # Panics
    /// The operation's path has no such name.
    pub fn segment(&self, name: &str) -> &str {
        let found = self.named.iter().find(|(known, _)| *known == name);
        found.map(|(_, segment)| segment.as_str()).expect("handlers ask for what is in their operation's path")
    }

    /// A parameter of the query. Nothing personal belongs there: hosts log URLs.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a time, RFC 3339.
    ///
    /// # Errors
    /// It is none.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let read = |text: &str| {
            text.parse().map_err(|_| Refusal::Malformed(format!("{name} must be a time like 2026-11-20T10:00:00Z")))
        };
        self.parameter(name).map(read).transpose()
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let read =
            |text: &str| text.parse().map_err(|_| Refusal::Malformed(format!("{name} must be a number, 0 or more")));
        self.parameter(name).map(read).transpose()
    }

    /// The body.
    ///
    /// # Errors
    /// It is not JSON of this shape. An empty body counts as `{}`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let text: &[u8] = if self.body.trim_ascii().is_empty() { b"{}" } else { &self.body };
        // Not serde's own words: they repeat values, which may be somebody's number.
        serde_json::from_slice(text).map_err(|error| Refusal::Malformed(format!("the body: {}", field_problem(&error))))
    }

    /// Who asks. Whoever changes something must say so.
    ///
    /// # Errors
    /// They did not.
    pub fn who(&self) -> Result<&str, Refusal> {
        self.who.as_deref().ok_or_else(|| {
            Refusal::Malformed(format!("say who you are in the header {OPERATOR_HEADER}: it is recorded"))
        })
    }
}

/// Why JSON has not the expected shape. The names of unknown fields are told; values are not.
fn field_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") {
        return text;
    }
    crate::documents::without_values(error)
}
