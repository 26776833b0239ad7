//! Jobs of the writer's thread, and how their answers reach the callers.

use rusqlite::Connection;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{State, StorageError};

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

/// The jobs of a group, and what became of their transaction.
pub(super) struct Answers<S> {
    pub group: Vec<Box<dyn Job<S>>>,
    pub outcome: Result<(), StorageError>,
}

impl<S> Answers<S> {
    fn give(self) {
        for job in self.group {
            job.answer(self.outcome.clone());
        }
    }
}

/// Gives a group's answers from within the runtime that most callers wait in. A thread outside wakes a runtime with a
/// system call for each answer; this way it is one for the group.
pub(super) struct Postman<S>(Option<mpsc::UnboundedSender<Answers<S>>>);

impl<S: State> Postman<S> {
    /// Outside a runtime there is nobody to carry answers.
    pub fn start() -> Self {
        let Ok(runtime) = Handle::try_current() else { return Self(None) };
        let (post, mut answers) = mpsc::unbounded_channel::<Answers<S>>();
        runtime.spawn(async move {
            // Ends with the thread, which has the other half.
            while let Some(answers) = answers.recv().await {
                answers.give();
            }
        });
        Self(Some(post))
    }

    pub fn deliver(&self, answers: Answers<S>) {
        match &self.0 {
            Some(post) if answers.group.len() > 1 => {
                // The runtime has ended; whoever waits in another one still wants to know.
                if let Err(undelivered) = post.send(answers) {
                    undelivered.0.give();
                }
            }
            _ => answers.give(),
        }
    }
}
