//! The door as an onlooker sees it: what came, when, and how it was answered.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Request, Response},
};
use sluice::clock::{Clock, Timestamp};
use tower::ServiceExt;

/// A request of a vendor.
#[derive(Debug, Clone)]
pub struct Visit {
    pub came: Instant,
    pub answered: Instant,
    /// When it came, by the run's clock.
    pub clock: Timestamp,
    pub path: String,
    pub body: Bytes,
    pub status: u16,
}

/// Every request. Clones share the book.
#[derive(Debug, Clone, Default)]
pub struct Door {
    visits: Arc<Mutex<Vec<Visit>>>,
    turn: Arc<AtomicUsize>,
}

impl Door {
    /// Passes a request on to the next instance in turn.
    pub async fn pass(&self, request: Request<Body>, handlers: &[Router], clock: &dyn Clock) -> Response<Body> {
        let (came, now) = (Instant::now(), clock.now());
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let body = to_bytes(body, 1 << 21).await.unwrap_or_default();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % handlers.len();
        let response =
            handlers[turn].clone().oneshot(Request::from_parts(head, Body::from(body.clone()))).await.unwrap();
        let status = response.status().as_u16();
        self.visits.lock().unwrap().push(Visit { came, answered: Instant::now(), clock: now, path, body, status });
        response
    }

    /// Everything that came and was answered.
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }
}
