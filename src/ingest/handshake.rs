//! Requests that are no callbacks: what vendors ask of a URL before they use it, or once in a while.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};

use crate::{
    app::App,
    config::Answer,
    problem::{problem, try_again_later},
    vendors::Handshake,
};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// What a subscription's confirmation answers; nobody reads more of it than the status.
const LARGEST: usize = 64 * 1024;

/// Answers `OPTIONS`. A sender that asks for consent (CloudEvents HTTP webhooks, section 4) gets it only where the
/// configuration names its origin: the absence of `WebHook-Allowed-Origin` is a refusal.
pub fn options(headers: &HeaderMap, allowed_origins: &[String]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let Some(origin) = headers.get(REQUEST_ORIGIN) else {
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, GET, HEAD, OPTIONS"));
        return response;
    };
    let allowed = |name: &String| name == "*" || origin.as_bytes().eq_ignore_ascii_case(name.as_bytes());
    if !allowed_origins.iter().any(allowed) {
        return problem(StatusCode::METHOD_NOT_ALLOWED, Some("this origin is not among the vendor's allowed_origins"));
    }
    response.headers_mut().insert(ALLOWED_ORIGIN, origin.clone());
    // Nothing here limits a rate: the sender may take its own.
    response.headers_mut().insert(ALLOWED_RATE, HeaderValue::from_static("*"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Answers a verified handshake.
pub async fn shake(app: &App, vendor: &str, handshake: Handshake) -> Response<Body> {
    match handshake {
        Handshake::Answer(answer) => respond(answer),
        Handshake::Confirm(url) => match app.outbound.get(&url, LARGEST).await {
            Ok(_) => {
                tracing::info!(vendor, "a subscription was confirmed");
                respond(None)
            }
            Err(error) => {
                tracing::error!(vendor, %error, "a subscription could not be confirmed: 503");
                try_again_later("the subscription could not be confirmed")
            }
        },
    }
}

/// 200 with this body.
pub fn respond(answer: Option<Answer>) -> Response<Body> {
    let Some(answer) = answer else { return Response::new(Body::empty()) };
    let mut response = Response::new(Body::from(answer.body));
    if let Ok(content_type) = HeaderValue::try_from(answer.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
