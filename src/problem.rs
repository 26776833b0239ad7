//! Problem details (RFC 9457): what a caller reads when a request is refused.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request is refused (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub struct Problem<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    problem_type: &'a str,
    /// The status, in words.
    title: &'a str,
    status: u16,
    /// What is wrong here, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// An `application/problem+json` answer.
pub fn problem(status: StatusCode, detail: Option<&str>) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = Problem { problem_type: "about:blank", title, status: status.as_u16(), detail };
    let body = serde_json::to_string(&problem).expect("a problem serialises to JSON");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// After how many seconds a caller may come again: not all of them at once.
const RETRY_AFTER: std::ops::RangeInclusive<u16> = 5..=10;

/// 503 with `Retry-After`: the caller loses nothing by trying again.
pub fn try_again_later(detail: &str) -> Response<Body> {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Some(detail));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(rand::random_range(RETRY_AFTER)));
    response
}
