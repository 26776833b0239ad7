//! Connections: accepted up to a limit, served by HTTP/1.1, drained at the end.
//!
//! Clients keep their connections for the next request, so the limit may be reached while nothing is going on. Whoever
//! comes then must not wait for an idle neighbour: as many connections again are served, each for one request. What
//! is too much is for the handler to say, which knows how much a request matters.

use std::{
    convert::Infallible,
    io::ErrorKind,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::{debug, error, warn};

use super::forward::Forwarder;

/// A wait after a failed accept, which mostly means that the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the headers of a connection beyond the limit may take.
const HURRY: Duration = Duration::from_secs(2);
/// What a request's head may take of memory; vendors' have a few KB. Bodies pass through in pieces of this size.
const BUFFER: usize = 64 * 1024;

/// The HTTP side of the host.
pub(super) struct Listener {
    pub(super) listener: TcpListener,
    pub(super) forwarder: Forwarder,
    pub(super) header_timeout: Duration,
    pub(super) max_connections: usize,
}

impl Listener {
    /// Serves until `stop`; then lets the requests at hand finish.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut http = http1::Builder::new();
        // Also ends connections that stay idle for as long.
        http.timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(BUFFER);
        let mut once = http.clone();
        once.header_read_timeout(self.header_timeout.min(HURRY)).keep_alive(false);
        let forwarder = Arc::new(self.forwarder);
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
                    let forwarder = forwarder.clone();
                    let late = Arc::new(AtomicBool::new(false));
                    let service = service_fn(move |request| {
                        let (forwarder, late) = (forwarder.clone(), late.clone());
                        async move { Ok::<_, Infallible>(forwarder.answer(request, &late).await) }
                    });
                    let is_crowded = places.available_permits() < self.max_connections;
                    let http = if is_crowded { &once } else { &http };
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
