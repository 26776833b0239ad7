//! Jobs of the writer's thread, and their answers.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StorageError;

/// A job as the writer's thread sees it.
pub(super) trait Job<S>: Send {
    fn run(&mut self, connection: &Connection, state: &mut S) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StorageError>);
}

/// What a caller wants done, and where it waits.
pub(super) struct Task<F, T> {
    work: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<F, T> Task<F, T> {
    pub fn new(work: F, reply: oneshot::Sender<Result<T, StorageError>>) -> Self {
        Self { work: Some(work), result: None, reply }
    }
}

impl<S, T, F> Job<S> for Task<F, T>
where
    T: Send,
    F: FnOnce(&Connection, &mut S) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection, state: &mut S) -> rusqlite::Result<()> {
        let work = self.work.take().expect("a job runs once");
        self.result = Some(work(connection, state)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StorageError>) {
        let Self { result, reply, .. } = *self;
        let answer = outcome.map(|()| result.expect("a committed job has run"));
        // Nobody waits any more where the send fails.
        let _ = reply.send(answer);
    }
}
