//! Group commit: one thread, one writing connection, one transaction for all jobs that have gathered.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    FileLock, OpenError, Profile, StorageError,
    answers::Answers,
    checkpoints::Checkpoints,
    in_words,
    job::{Job, Task},
    open_writer,
};
use crate::telemetry::Seldom;

/// Jobs waiting for the thread. More than that make their callers wait.
const QUEUED: usize = 2048;
/// Jobs in one transaction: enough to pay for the flush, few enough to keep the wait short.
const GROUP: usize = 512;

/// Whether a writer has been opened.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// Lets writers go first, where there are any: for a runtime that shares its only core with them, and has nothing to do but to
/// look for more to give them.
pub fn give_way() {
    if IS_USED.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

/// What the writer's jobs share besides the database, kept in step with it.
pub trait State: Send + 'static {
    /// Last statements of a transaction that has run jobs.
    fn before_commit(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// The transaction is on disk.
    fn committed(&mut self);
    /// The transaction was undone: forget what its jobs noted here.
    fn rolled_back(&mut self);
}

type Jobs<S> = mpsc::Sender<Box<dyn Job<S>>>;

/// The handle to a writer thread. Clones share the thread; dropping the last one finishes what is queued, closes the
/// file and returns when that is done.
#[derive(Debug)]
pub struct Writer<S: State> {
    thread: Arc<Thread<S>>,
}

impl<S: State> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { thread: Arc::clone(&self.thread) }
    }
}

#[derive(Debug)]
struct Thread<S> {
    jobs: Option<Jobs<S>>,
    handle: Option<JoinHandle<()>>,
}

impl<S> Drop for Thread<S> {
    fn drop(&mut self) {
        // The thread ends once the last sender is gone and the queue is empty.
        drop(self.jobs.take());
        if let Some(handle) = self.handle.take()
            && handle.thread().id() != std::thread::current().id()
            && handle.join().is_err()
        {
            tracing::error!("a writer thread ended in a panic");
        }
    }
}

/// Queues jobs without keeping the thread alive.
#[derive(Debug)]
pub struct WeakWriter<S> {
    jobs: mpsc::WeakSender<Box<dyn Job<S>>>,
}

impl<S> Clone for WeakWriter<S> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone() }
    }
}

impl<S: State> Writer<S> {
    /// Locks and opens the file, migrates it, and starts the thread with the state that `load` reads from it. The runtime that
    /// this is called on gives callers their answers, for as long as it runs: one that is alive but blocked keeps them waiting.
    pub fn open(
        path: &Path,
        profile: &Profile,
        name: &str,
        load: impl FnOnce(&mut Connection) -> rusqlite::Result<S>,
    ) -> Result<Self, OpenError> {
        let lock = FileLock::acquire(path)?;
        let mut connection = open_writer(path, profile)?;
        let state = load(&mut connection).map_err(OpenError::sqlite(path))?;
        let (jobs, queue) = mpsc::channel(QUEUED);
        let checkpoints = Checkpoints::new(profile);
        let answers = Answers::new();
        IS_USED.store(true, Ordering::Relaxed);
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                serve(connection, state, queue, checkpoints, &answers);
                // Only now: the next owner must find the file closed.
                drop(lock);
            })
            .map_err(OpenError::io(path))?;
        Ok(Self { thread: Arc::new(Thread { jobs: Some(jobs), handle: Some(handle) }) })
    }

    /// Runs a job and returns its result once it is on disk. A caller that stops waiting does not stop the job.
    ///
    /// An error of one job undoes the transaction it shares with others, so a job must expect every failure that data
    /// can cause and return it as a value, before its first write.
    pub async fn run<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut S) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task::new(work, reply));
        self.jobs().send(job).await.map_err(|_| StorageError::Closed)?;
        answer.await.unwrap_or(Err(StorageError::Closed))
    }

    /// A handle for jobs that nobody waits for.
    pub fn downgrade(&self) -> WeakWriter<S> {
        WeakWriter { jobs: self.jobs().downgrade() }
    }

    fn jobs(&self) -> &Jobs<S> {
        self.thread.jobs.as_ref().expect("only drop takes the sender")
    }
}

impl<S: State> WeakWriter<S> {
    /// Queues a job where the thread is alive and has room; otherwise the job is dropped.
    pub fn try_run<F>(&self, work: F)
    where
        F: FnOnce(&Connection, &mut S) -> rusqlite::Result<()> + Send + 'static,
    {
        if let Some(jobs) = self.jobs.upgrade() {
            let (reply, _) = oneshot::channel();
            let _ = jobs.try_send(Box::new(Task::new(work, reply)));
        }
    }
}

fn serve<S: State>(
    connection: Connection,
    mut state: S,
    mut queue: mpsc::Receiver<Box<dyn Job<S>>>,
    mut checkpoints: Checkpoints,
    answers: &Answers<S>,
) {
    let (failed, stuck, recovered) = (Seldom::default(), Seldom::default(), Seldom::default());
    let mut failing = false;
    loop {
        let mut group = Vec::new();
        if queue.blocking_recv_many(&mut group, GROUP) == 0 {
            break;
        }
        gather(&mut group, &mut queue);
        let outcome = commit(&connection, &mut state, &mut group);
        match &outcome {
            Err(error) => {
                failing = true;
                if let Some(left_out) = failed.now() {
                    tracing::error!(%error, jobs = group.len(), left_out, "a transaction failed, and its jobs are told so");
                }
            }
            Ok(()) if failing && recovered.now().is_some() => {
                failing = false;
                tracing::info!("transactions succeed again");
            }
            Ok(()) => {}
        }
        answers.give(group, outcome);
        if let Err(error) = checkpoints.look(&connection, queue.is_empty())
            && let Some(left_out) = stuck.now()
        {
            let error = in_words(&error);
            tracing::error!(error, left_out, "a checkpoint failed; the next group tries again");
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::error!(%error, "a database did not close cleanly");
    }
}

/// Lets those go first who are about to send a job: they run while this thread yields. An idle machine returns at once,
/// and a busy one commits larger groups, each of which costs one flush. Once is enough: where flushes are slow, jobs
/// gather behind them anyway.
fn gather<S: State>(group: &mut Vec<Box<dyn Job<S>>>, queue: &mut mpsc::Receiver<Box<dyn Job<S>>>) {
    std::thread::yield_now();
    while group.len() < GROUP
        && let Ok(job) = queue.try_recv()
    {
        group.push(job);
    }
}

/// Runs all jobs of a group in one transaction: all of them happen or none.
fn commit<S: State>(connection: &Connection, state: &mut S, group: &mut [Box<dyn Job<S>>]) -> Result<(), StorageError> {
    // A panicking job is answered like a failing one, and the thread lives on: everybody else still needs it.
    let attempt = catch_unwind(AssertUnwindSafe(|| -> rusqlite::Result<()> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in group.iter_mut() {
            job.run(connection, state)?;
        }
        state.before_commit(connection)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }));
    let error = match attempt {
        Ok(Ok(())) => {
            state.committed();
            return Ok(());
        }
        Ok(Err(error)) => StorageError::from(error),
        Err(panic) => StorageError::Failed(format!("a job panicked: {}", panic_text(&*panic))),
    };
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a rollback failed");
    }
    state.rolled_back();
    Err(error)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
