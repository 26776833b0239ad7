//! One HTTP request: find its function, and hand the request itself to the handler.
//!
//! This is the hottest path in the program, so everything that can be known beforehand is: the routes, the handler, the
//! header values. Differences to the real host are meant. It drops chunked bodies, joins repeated query keys and loses
//! `Content-Encoding`, because it rebuilds each request; here the request passes through as it came, since vendors sign
//! what they sent, and some of them send chunks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE},
};
use hyper::body::Incoming;

use super::{
    body::TimedBody,
    handler::Handler,
    invoke::{HOST_VERSION, INVOCATION_ID, InvocationIds, VERSION, header_value},
    route::Routes,
};
use crate::{
    host::FunctionKey,
    listener::{Answer, status},
    problem::try_again_later,
};

/// Where Prometheus looks.
const METRICS: &str = "/metrics";

/// What all connections share.
pub(super) struct Forwarder {
    pub(super) routes: Routes,
    /// Of each route, whether it needs the key.
    pub(super) keyed: Vec<bool>,
    pub(super) key: FunctionKey,
    pub(super) handler: Handler,
    pub(super) ids: Arc<InvocationIds>,
    pub(super) body_timeout: Duration,
    pub(super) has_home_page: bool,
    /// Answers `GET /metrics`, where there is no function of that route.
    pub(super) metrics: Option<Handler>,
}

impl Answer for Forwarder {
    /// Whether the body at hand took too long.
    type Connection = Arc<AtomicBool>;

    async fn answer(&self, late: &Arc<AtomicBool>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let Some(route) = self.routes.find(request.method(), path) else {
            if let Some(metrics) = &self.metrics
                && path == METRICS
                && request.method() == Method::GET
            {
                return self.scrape(metrics, request).await;
            }
            // Function names are no paths: what is behind a queue or a timer cannot be reached from outside.
            return if path == "/" { self.home_page() } else { status(StatusCode::NOT_FOUND) };
        };
        // A route that nobody has spoken for is closed.
        if self.keyed.get(route).copied().unwrap_or(true) && !self.key.admits(&request) {
            return status(StatusCode::UNAUTHORIZED);
        }
        let (mut head, body) = request.into_parts();
        head.headers.insert(HOST_VERSION, VERSION);
        // Overwrites what a client may have sent: the id is trusted in logs.
        head.headers.insert(INVOCATION_ID, header_value(self.ids.next()));
        let body = Body::new(TimedBody::new(body, self.body_timeout, late.clone()));
        let response = self.handler.call(Request::from_parts(head, body)).await;
        if late.load(Ordering::Relaxed) {
            // Not 408: a 4xx is final for some vendors.
            let mut response = try_again_later("the body took too long");
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        response
    }
}

impl Forwarder {
    async fn scrape(&self, metrics: &Handler, request: Request<Incoming>) -> Response<Body> {
        if !self.key.admits(&request) && !self.key.admits_bearer(&request) {
            return status(StatusCode::UNAUTHORIZED);
        }
        metrics.call(request.map(Body::new)).await
    }

    fn home_page(&self) -> Response<Body> {
        if !self.has_home_page {
            return status(StatusCode::NO_CONTENT);
        }
        let mut response = Response::new(Body::from("The function app is up and running.\n"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}
