//! The handler in this process: the way to it takes one allocation, and no clone of a router for every request.

use std::{fmt, sync::Arc};

use axum::{Router, body::Body};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use tower::Service;

type Answer = dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

/// What answers requests by the custom-handler contract. Clones share it.
#[derive(Clone)]
pub struct Handler(Arc<Answer>);

impl Handler {
    /// A handler that answers with this function.
    pub fn new<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Body>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(move |request| answer(request).boxed()))
    }

    pub(super) fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        self.0(request)
    }
}

impl From<Router> for Handler {
    fn from(router: Router) -> Self {
        Self::new(move |request| {
            let mut router = router.clone();
            async move { router.call(request).await.unwrap_or_else(|never| match never {}) }
        })
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Handler(..)")
    }
}
