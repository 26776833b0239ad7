//! Holds everybody back while the target refuses connections.
//!
//! A target that is restarted refuses for a moment. Were that counted as failures, a run could not outlive it; were the
//! schedule to go on, the restart would be followed by a burst that no vendor sends. So time stands still meanwhile.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, sync::watch, time::timeout};
use url::Url;

use super::stopped;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Somebody is knocking.
    Closed,
    /// The target was away for too long.
    GivenUp,
}

pub(super) struct Gate {
    state: watch::Sender<State>,
    paused: Mutex<Duration>,
    patience: Duration,
    host: String,
    port: u16,
}

/// Between two knocks.
const PAUSE: Duration = Duration::from_millis(50);

impl Gate {
    pub fn new(target: &Url, patience: Duration) -> Self {
        let host = target.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = target.port_or_known_default().unwrap_or(80);
        Self { state: watch::Sender::new(State::Open), paused: Mutex::default(), patience, host, port }
    }

    /// How long everybody has been held back so far.
    pub fn paused(&self) -> Duration {
        *self.paused.lock().expect("nothing panics while it holds the lock")
    }

    pub fn given_up(&self) -> bool {
        *self.state.borrow() == State::GivenUp
    }

    /// Waits while the gate is closed. False where the run is over.
    pub async fn pass(&self, stop: &mut watch::Receiver<bool>) -> bool {
        if *self.state.borrow() == State::Open {
            return true;
        }
        let mut state = self.state.subscribe();
        tokio::select! {
            settled = state.wait_for(|state| *state != State::Closed) => settled.is_ok_and(|state| *state == State::Open),
            () = stopped(stop) => false,
        }
    }

    /// After a refused connection: closes the gate and knocks until the target accepts, or waits for whoever knocks
    /// already. False where the run is over.
    pub async fn wait_for_target(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let first = self.state.send_if_modified(|state| {
            let open = *state == State::Open;
            if open {
                *state = State::Closed;
            }
            open
        });
        if !first {
            return self.pass(stop).await;
        }
        let since = Instant::now();
        let mut next = State::GivenUp;
        while since.elapsed() < self.patience {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                // The others, who wait at the gate, hear of it too. Nobody has given up.
                () = stopped(stop) => {
                    next = State::Closed;
                    break;
                }
            }
            let knock = TcpStream::connect((self.host.as_str(), self.port));
            if let Ok(Ok(_)) = timeout(Duration::from_secs(1), knock).await {
                next = State::Open;
                break;
            }
        }
        *self.paused.lock().expect("nothing panics while it holds the lock") += since.elapsed();
        self.state.send_replace(next);
        next == State::Open
    }
}
