//! A Service Bus endpoint on the embedded broker: AMQP 1.0 with CBS, for development and tests.
//!
//! Any client of Service Bus can talk to it over plain TCP, with a connection string that says
//! `UseDevelopmentEmulator=true`. It listens on this machine only, and takes whoever connects for authorised: names, keys
//! and tokens are accepted unread.
//!
//! Bytes become frames in [`frame`], once [`extent`] has measured them. [`connection`] and [`session`] are the protocol's
//! state, without a socket: frames go in, and out come bytes to write and [`work`] for the broker. [`driver`] performs
//! both. [`message`] translates messages, [`management`] answers requests, and [`locks`] knows lock tokens.

mod address;
mod condition;
mod connection;
mod driver;
mod extent;
mod frame;
mod jobs;
mod locks;
mod management;
mod message;
mod output;
mod sections;
mod session;
#[cfg(test)]
mod tests;
mod work;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::{debug, warn};

use self::{locks::Locks, work::Workshop};
use crate::{clock::SharedClock, local::broker::Broker};

/// More clients than this wait until a connection ends.
const MOST_CONNECTIONS: usize = 256;
/// A wait after a failed accept, which mostly means that the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client is configured with. The name and the key may be any.
pub fn connection_string(address: SocketAddr) -> String {
    const PORT: u16 = 5672;
    let host = match address {
        SocketAddr::V4(address) if address.port() == PORT => address.ip().to_string(),
        other => other.to_string(),
    };
    format!("Endpoint=sb://{host};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true")
}

/// The endpoint, ready to run.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    workshop: Workshop,
}

impl Endpoint {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is in use or not of this machine.
    pub async fn bind(address: SocketAddr, broker: Broker, clock: SharedClock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, workshop: Workshop { broker, locks: Arc::new(Locks::default()), clock } })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves clients until `shutdown`, and closes their connections then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stopping, stop) = watch::channel(false);
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accept = async {
                let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
                (place, self.listener.accept().await)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // A connection has ended: forget it.
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task failed");
                    }
                }
                // A client, once there is a place for it; until then it waits in the kernel's queue.
                (place, accepted) = accept => match accepted {
                    Ok((stream, peer)) => {
                        prepare(&stream);
                        let (workshop, stop) = (self.workshop.clone(), stop.clone());
                        connections.spawn(async move {
                            match driver::drive(stream, workshop, stop).await {
                                Ok(()) => debug!(%peer, "a connection ended"),
                                Err(error) => debug!(%peer, %error, "a connection was lost"),
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept connections");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        drop(self.listener);
        // Every connection may be gone already, which is as good as having been told.
        let _ = stopping.send(true);
        while connections.join_next().await.is_some() {}
    }
}

fn prepare(stream: &TcpStream) {
    // Without this, small frames wait for the client's delayed acknowledgement: 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
}
