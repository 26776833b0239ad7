//! Threads that answer reads, each with a connection and prepared statements of its own.
//!
//! A read costs a few microseconds, so the hand-over to the thread is most of its price: jobs that have gathered share
//! one read transaction, and there is one channel a thread rather than one lock for all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{OpenError, Profile, StorageError, open_reader};

/// Reads waiting for a thread. More than that make their callers wait.
const QUEUED: usize = 1024;
/// Reads in one transaction.
const GROUP: usize = 64;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A set of reader threads. Clones share it; dropping the last one returns when the threads have closed the file.
#[derive(Debug, Clone)]
pub struct Readers {
    lanes: Arc<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    senders: Vec<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.senders.clear();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a reader thread ended in a panic");
            }
        }
    }
}

impl Readers {
    /// Starts `threads` threads on the file, which must exist.
    pub fn open(path: &Path, profile: &Profile, name: &str, threads: usize) -> Result<Self, OpenError> {
        let mut lanes = Lanes { senders: Vec::new(), threads: Vec::new(), next: AtomicUsize::new(0) };
        for _ in 0..threads.max(1) {
            let connection = open_reader(path, profile)?;
            let (sender, reads) = mpsc::channel(QUEUED);
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(&connection, reads))
                .map_err(OpenError::io(path))?;
            lanes.senders.push(sender);
            lanes.threads.push(thread);
        }
        Ok(Self { lanes: Arc::new(lanes) })
    }

    /// Runs a read on one of the threads. It sees every commit that was answered before this call.
    pub async fn run<T, F>(&self, read: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            // Nobody waits any more where the send fails.
            let _ = reply.send(read(connection));
        });
        let lane = self.lanes.next.fetch_add(1, Ordering::Relaxed) % self.lanes.senders.len();
        self.lanes.senders[lane].send(job).await.map_err(|_| StorageError::Closed)?;
        match answer.await {
            Ok(result) => result.map_err(StorageError::from),
            Err(_) => Err(StorageError::Failed("the read panicked".into())),
        }
    }
}

fn serve(connection: &Connection, mut reads: mpsc::Receiver<Read>) {
    let mut group = Vec::with_capacity(GROUP);
    // The group is complete before its snapshot is taken: a read never sees less than what was committed when it was
    // asked for.
    while reads.blocking_recv_many(&mut group, GROUP) > 0 {
        let shared = group.len() > 1 && connection.execute_batch("BEGIN").is_ok();
        for read in group.drain(..) {
            if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
                tracing::error!("a read panicked");
            }
        }
        if shared && let Err(error) = connection.execute_batch("COMMIT") {
            tracing::error!(%error, "a read transaction did not end");
        }
    }
}
