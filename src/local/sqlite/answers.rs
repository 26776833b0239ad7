//! How callers learn that their jobs are on disk.

use tokio::{runtime::Handle, sync::mpsc};

use super::{StorageError, job::Job};

type Group<S> = (Vec<Box<dyn Job<S>>>, Result<(), StorageError>);

/// A task of the callers' runtime answers a group at a time. To wake a caller from another thread takes a system call, and to
/// wake it from its own runtime does not: so there is one for each group instead of one for each job. Callers on another
/// runtime have their answers when this one runs.
pub(super) struct Answers<S> {
    task: Option<mpsc::UnboundedSender<Group<S>>>,
}

impl<S: 'static> Answers<S> {
    /// On the runtime that opens the file; without one, and when it has ended, each caller is woken by itself.
    pub fn new() -> Self {
        let task = Handle::try_current().ok().map(|runtime| {
            let (task, mut groups) = mpsc::unbounded_channel();
            runtime.spawn(async move {
                while let Some((jobs, outcome)) = groups.recv().await {
                    answer(jobs, &outcome);
                }
            });
            task
        });
        Self { task }
    }

    /// All jobs of a group have this outcome.
    pub fn give(&self, jobs: Vec<Box<dyn Job<S>>>, outcome: Result<(), StorageError>) {
        let (jobs, outcome) = match &self.task {
            None => (jobs, outcome),
            Some(task) => match task.send((jobs, outcome)) {
                Ok(()) => return,
                // That runtime has ended; callers may be on another one.
                Err(mpsc::error::SendError(group)) => group,
            },
        };
        answer(jobs, &outcome);
    }
}

fn answer<S>(jobs: Vec<Box<dyn Job<S>>>, outcome: &Result<(), StorageError>) {
    for job in jobs {
        job.answer(outcome.clone());
    }
}
