//! A request of an operator's, read.

use std::collections::VecDeque;

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::Refusal;
use crate::clock::Timestamp;

/// Says who asks. Believed: whoever has the key may say so.
pub const OPERATOR_HEADER: &str = "x-sluice-operator";

const LARGEST_BODY: usize = 256 * 1024;
const LONGEST_NAME: usize = 100;

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// The segments of the path that nobody has looked at yet, decoded: `["twilio", "x y"]` of
    /// `/manage/partners/twilio/x%20y` for the resource `partners`.
    pub path: VecDeque<String>,
    query: Vec<(String, String)>,
    body: Bytes,
    who: Option<String>,
}

impl Call {
    /// # Errors
    /// The body broke off or is too large, or the operator's name is none.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let mut path: VecDeque<String> = head
            .uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        // The route's own segment.
        path.pop_front();
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
        Ok(Self { method: head.method, path, query, body, who })
    }

    /// Takes the next segment of the path.
    pub fn next_segment(&mut self) -> Option<String> {
        self.path.pop_front()
    }

    /// # Errors
    /// The method is none of these.
    pub fn expect_method(&self, methods: &[Method]) -> Result<(), Refusal> {
        if methods.contains(&self.method) {
            return Ok(());
        }
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        Err(Refusal::MethodNotAllowed(names.join(", ")))
    }

    /// # Errors
    /// There is more in the path than the resource knows.
    pub fn expect_end(&self) -> Result<(), Refusal> {
        match self.path.front() {
            None => Ok(()),
            Some(segment) => Err(Refusal::NotFound(format!("there is nothing at {segment:?}"))),
        }
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
