//! Connections: accepted up to a limit, served by HTTP/1.1, drained at the end. The one-machine host has its clients here,
//! and the custom handler has the Functions host.
//!
//! Clients keep their connections for the next request, so the limit may be reached while nothing is going on. Whoever
//! comes then must not wait for an idle neighbour: as many connections again are served, each for one request. What
//! is too much is for the handler to say, which knows how much a request matters.

mod timer;

use std::{convert::Infallible, io::ErrorKind, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::{debug, error, warn};

use timer::ConnectionTimer;

/// A wait after a failed accept, which mostly means that the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the headers of a connection beyond the limit may take.
const HURRY: Duration = Duration::from_secs(2);
/// What a request's head may take of memory; vendors' have a few KB. Bodies pass through in pieces of this size.
const BUFFER: usize = 64 * 1024;

/// What answers the requests of all connections.
pub(crate) trait Answer: Send + Sync + 'static {
    /// What it keeps of a connection, which has one request at a time.
    type Connection: Clone + Default + Send + Sync + 'static;

    fn answer(
        &self,
        connection: &Self::Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A listener, and what answers behind it.
pub(crate) struct Listener<A> {
    pub listener: TcpListener,
    pub answer: A,
    /// How long a request's head may take; a connection idle for as long is closed. `None`: for ever, for a peer that is
    /// trusted, and that may send its next request on a connection at the very moment when it would be closed.
    pub header_timeout: Option<Duration>,
    pub max_connections: usize,
}

impl<A: Answer> Listener<A> {
    /// Serves until `stop`; then lets the requests at hand finish.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut http = http1::Builder::new();
        http.header_read_timeout(self.header_timeout).max_buf_size(BUFFER);
        // Answers are short: in one piece they cost the kernel less than in two.
        http.writev(false);
        let mut once = http.clone();
        once.header_read_timeout(self.header_timeout.map(|limit| limit.min(HURRY))).keep_alive(false);
        let answer = Arc::new(self.answer);
        let places = Arc::new(Semaphore::new(2 * self.max_connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                // The host is to stop, or is gone.
                _ = stop.wait_for(|stop| *stop) => break,
                // A connection has ended: forget it.
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        error!(%error, "a connection's task failed");
                    }
                }
                // A client, once there is a place for it; until then it waits in the kernel's queue.
                (place, stream) = accept(&self.listener, &places) => {
                    let answer = answer.clone();
                    let connection = A::Connection::default();
                    let service = service_fn(move |request| {
                        let (answer, connection) = (answer.clone(), connection.clone());
                        async move {
                            // A panic costs one request. Without this it would cost the connection, and the client its
                            // answer.
                            let answered = AssertUnwindSafe(answer.answer(&connection, request)).catch_unwind().await;
                            Ok::<_, Infallible>(answered.unwrap_or_else(|_| {
                                error!("the handler panicked at a request");
                                status(StatusCode::INTERNAL_SERVER_ERROR)
                            }))
                        }
                    });
                    let is_crowded = places.available_permits() < self.max_connections;
                    let mut http = if is_crowded { once.clone() } else { http.clone() };
                    http.timer(ConnectionTimer::default());
                    let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            // The client's doing: it went away, was too slow or spoke another protocol.
                            debug!(%error, "a connection ended early");
                        }
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (tokio::sync::OwnedSemaphorePermit, TcpStream) {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this, small answers wait for the client's delayed acknowledgement: 40 ms.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "cannot set TCP_NODELAY");
                }
                return (place, stream);
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// An answer without a body.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
