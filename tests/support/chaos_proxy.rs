//! A TCP proxy that does to connections what networks do: it cuts, resets, stalls, loses, slows and refuses them.
//!
//! It stands between a client and a server, on a port of its own, and lets everything pass until a test sets another
//! [`Mode`], or lets a seeded [`sequence`] do so. It knows no protocol: [`connection`] carries bytes.

mod connection;
pub mod sequence;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What the proxy does to every connection, for as long as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every byte arrives, at once.
    Pass,
    /// Connections end in order (FIN) when they are so old; with zero, new ones end as soon as they are accepted.
    Cut(Duration),
    /// Connections break (RST), new ones as soon as they are accepted.
    Reset,
    /// Connections are accepted, and nothing is forwarded. What was held back flows afterwards.
    Stall,
    /// Half-open: bytes in one direction vanish. A connection that has lost some carries nothing in that direction any
    /// more, not even its end, whatever the mode is afterwards: nobody tells its peers.
    Vanish(Direction),
    Slow {
        /// Every byte arrives so much later; how many are under way makes no difference.
        latency: Duration,
        /// In each direction of each connection; `None`: no limit.
        bytes_per_second: Option<u32>,
    },
    /// Nobody listens: connections are refused, and those that were there are reset.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Answers,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    broken: AtomicU64,
    vanished: AtomicU64,
}

impl Counts {
    /// Connections, ever.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that the proxy ended by itself.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// Bytes that were read and never written.
    pub fn vanished(&self) -> u64 {
        self.vanished.load(Ordering::Relaxed)
    }
}

/// The proxy. Dropping it ends every connection.
#[derive(Debug)]
pub struct ChaosProxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
    /// Holds the port while nobody listens on it, so that nobody else gets it.
    _port: TcpSocket,
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl ChaosProxy {
    /// In front of a server, which may start later.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(server: SocketAddr) -> Self {
        let port = socket((Ipv4Addr::LOCALHOST, 0).into());
        let address = port.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let counts = Arc::<Counts>::default();
        // Listens before anybody is told the address.
        let listener = listen(address);
        let accepting = tokio::spawn(accept(listener, server, modes, Arc::clone(&counts)));
        Self { address, counts, mode, accepting, _port: port }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// A socket on an address that several may be bound to, of which one at most listens.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    socket(address).listen(1024).unwrap()
}

async fn accept(first: TcpListener, server: SocketAddr, mut modes: watch::Receiver<Mode>, counts: Arc<Counts>) {
    let address = first.local_addr().unwrap();
    let mut listening = Some(first);
    let mut connections = JoinSet::new();
    loop {
        // What has ended is forgotten.
        while connections.try_join_next().is_some() {}
        let Some(listener) = &listening else {
            reached(&mut modes, |mode| mode != Mode::Refuse).await;
            listening = Some(listen(address));
            continue;
        };
        tokio::select! {
            accepted = listener.accept() => {
                // A client that was gone before it was accepted is no client.
                let Ok((client, _)) = accepted else { continue };
                counts.accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection::carry(client, server, modes.clone(), Arc::clone(&counts)));
            }
            _ = reached(&mut modes, |mode| mode == Mode::Refuse) => listening = None,
        }
    }
}

/// Waits for a mode; for ever where the proxy has ended, which is about to abort who waits.
async fn reached(modes: &mut watch::Receiver<Mode>, wanted: fn(Mode) -> bool) -> Mode {
    if let Ok(mode) = modes.wait_for(|mode| wanted(*mode)).await {
        return *mode;
    }
    std::future::pending().await
}
