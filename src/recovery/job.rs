//! Jobs: what operators asked for, as documents that outlive whoever asked and whoever works on them.
//!
//! A job counts what matches, then works through it in the order of time. Its document tells how far it is. Whoever
//! works on it holds a lease and looks at the document several times a second; an operator changes its state, and the
//! worker follows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Action, Filter, RecoveryError, Source, search::Search};
use crate::{
    app::App,
    audit,
    clock::{Timestamp, millis},
    documents::{CommitError, Comparison, Container, Document, Documents, DocumentsError, Etag, Operation, Query},
};

/// The partition of the jobs.
pub const PARTITION: &str = "replays";
const PREFIX: &str = "replay:";
/// How long a job's document is kept after its end.
pub(crate) const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// The most records a second that a job may be told to touch.
pub const HIGHEST_RATE: u32 = 100_000;
/// Records a second where nothing else is said: a system that has just recovered is not to be knocked over again.
pub const DEFAULT_RATE: u32 = 500;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "JobState")]
pub enum State {
    /// Waits for a worker, or has one.
    Running,
    /// Until somebody resumes it.
    Paused,
    /// Ended by somebody. What was done stays done.
    Aborted,
    Done,
    /// It cannot go on; [`Job::problem`] says why.
    Failed,
}

impl State {
    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, State::Aborted | State::Done | State::Failed)
    }

    fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Aborted => "aborted",
            State::Done => "done",
            State::Failed => "failed",
        }
    }
}

/// Who works on a job, and until when nobody else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "JobLease")]
pub struct Lease {
    pub owner: Uuid,
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub until: Timestamp,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "JobProgress")]
pub struct Progress {
    /// Records that match; grows until `counted`.
    pub matched: u64,
    pub counted: bool,
    pub done: u64,
    /// Cannot be done and stay where they are.
    pub failed: u64,
    /// Changed or taken by somebody else meanwhile.
    pub gone: u64,
    /// Unreadable to this version of the program. They stay where they are.
    pub unreadable: u64,
    /// Records a second, lately.
    pub rate: f64,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl Progress {
    /// Records that are still to be looked at, as far as is known. A worker that was killed had done a few more than it
    /// could write down.
    pub fn left(&self) -> u64 {
        self.matched.saturating_sub(self.done + self.failed + self.gone)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    pub id: String,
    pub source: Source,
    pub action: Action,
    pub filter: Filter,
    /// Records a second, at the most.
    pub max_rate: u32,
    pub who: String,
    /// Records that were made later are not touched: the job's own doing would never end.
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub created_at: Timestamp,
    pub state: State,
    /// Whether a worker may have to do with it; what the workers' query asks for.
    pub open: bool,
    pub progress: Progress,
    /// The last failure of a dependency, or why the job cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The entry in the operators' log.
    pub audit: String,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JobOrder")]
pub struct Order {
    pub source: Source,
    #[serde(default = "replay")]
    pub action: Action,
    #[serde(default)]
    pub filter: Filter,
    /// Records a second; [`DEFAULT_RATE`] unless set.
    #[serde(default)]
    pub rate: Option<u32>,
}

fn replay() -> Action {
    Action::Replay
}

/// Why a job is not as an operator wants it.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error("there is no job {0}")]
    Unknown(String),
    #[error("job {id} is {state}: it cannot be {verb}")]
    State { id: String, state: &'static str, verb: &'static str },
}

impl From<DocumentsError> for JobError {
    fn from(error: DocumentsError) -> Self {
        Self::Recovery(error.into())
    }
}

impl From<CommitError> for JobError {
    fn from(error: CommitError) -> Self {
        Self::Recovery(error.into())
    }
}

impl Job {
    /// The search for what it is to touch.
    pub fn search(&self) -> Search {
        Search { source: self.source, filter: self.filter.clone(), made_until: Some(self.created_at) }
    }

    fn counts(&self) -> Value {
        let Progress { matched, done, failed, gone, unreadable, .. } = &self.progress;
        json!({ "matched": matched, "done": done, "failed": failed, "gone": gone, "unreadable": unreadable })
    }

    /// Ends it. A text that may be somebody's number is not kept longer than needed.
    pub fn end(&mut self, app: &App, state: State) {
        self.state = state;
        self.open = false;
        self.lease = None;
        self.ended_at = Some(app.clock.now());
        self.filter = self.filter.without_text(&app.tokens);
    }

    /// Writes into the operators' log how it ended.
    pub async fn tell_end(&self, app: &App) {
        let outcome = match &self.problem {
            Some(problem) if self.state == State::Failed => format!("failed: {problem}"),
            _ => self.state.name().to_owned(),
        };
        audit::end(app.documents.as_ref(), &self.audit, app.clock.now(), &outcome, self.counts()).await;
    }
}

/// Creates a job. It starts by itself.
///
/// # Errors
/// The order cannot be meant, or the store failed.
pub async fn create(app: &App, order: Order, who: &str) -> Result<Job, JobError> {
    let Order { source, action, filter, rate } = order;
    let max_rate = rate.unwrap_or(DEFAULT_RATE);
    if !(1..=HIGHEST_RATE).contains(&max_rate) {
        return Err(RecoveryError::Malformed(format!("the rate must be 1 to {HIGHEST_RATE} a second")).into());
    }
    let created_at = app.clock.now();
    let random = Uuid::new_v4().simple().to_string();
    let id = format!("{}-{}", created_at.format("%Y%m%dT%H%M%S"), &random[..6]);
    let search = Search { source, filter: filter.clone(), made_until: None };
    if source == Source::DeadLetters {
        search.queues(app)?;
    }
    let details = json!({ "filter": filter.without_text(&app.tokens), "rate": max_rate });
    let name = format!("{}.{}", source.name(), action.name());
    let documents = app.documents.as_ref();
    let entry = audit::start(documents, created_at, who, &name, &format!("{PREFIX}{id}"), details).await?;
    let job = Job {
        id,
        source,
        action,
        filter,
        max_rate,
        who: who.to_owned(),
        created_at,
        state: State::Running,
        open: true,
        progress: Progress::default(),
        problem: None,
        lease: None,
        ended_at: None,
        audit: entry.id().to_owned(),
    };
    let create = Operation::create(format!("{PREFIX}{}", job.id), &job);
    if let Err(error) = documents.commit(Container::Registry, PARTITION, vec![create]).await {
        entry.end(documents, app.clock.now(), &format!("not started: {error}"), Value::Null).await;
        return Err(error.into());
    }
    Ok(job)
}

/// The job of an id, and its version.
///
/// # Errors
/// There is none, or the store failed.
pub async fn read(app: &App, id: &str) -> Result<(Job, Etag), JobError> {
    match app.documents.read(Container::Registry, PARTITION, &format!("{PREFIX}{id}")).await? {
        Some(document) => Ok((document.parse()?, document.etag)),
        None => Err(JobError::Unknown(id.to_owned())),
    }
}

/// Jobs, oldest first.
///
/// # Errors
/// The store failed.
pub async fn list(app: &App, open_only: bool) -> Result<Vec<(Job, Etag)>, DocumentsError> {
    let mut query = Query::partition(PARTITION).id_prefix(PREFIX);
    if open_only {
        query = query.filter("open", Comparison::Equal, true);
    }
    let documents: &dyn Documents = app.documents.as_ref();
    let found = crate::documents::query_all(documents, Container::Registry, query).await?;
    // One that cannot be read must not hold up the others.
    let parse = |document: Document| match document.parse::<Job>() {
        Ok(job) => Some((job, document.etag)),
        Err(error) => {
            tracing::error!(%error, "a job cannot be read and is passed over");
            None
        }
    };
    Ok(found.into_iter().filter_map(parse).collect())
}

/// Writes a job, unless somebody else has written it since: then `None`.
///
/// # Errors
/// The store failed.
pub async fn write(app: &App, job: &Job, etag: Etag) -> Result<Option<Etag>, CommitError> {
    let replace = Operation::replace(format!("{PREFIX}{}", job.id), job, etag);
    let replace = if job.state.is_final() { replace.with_ttl(KEPT) } else { replace };
    match app.documents.commit(Container::Registry, PARTITION, vec![replace]).await {
        Ok(etags) => Ok(etags.into_iter().next().flatten()),
        Err(CommitError::PreconditionFailed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an operator tells a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Pause,
    Resume,
    Abort,
}

impl Command {
    fn target(self) -> State {
        match self {
            Command::Pause => State::Paused,
            Command::Resume => State::Running,
            Command::Abort => State::Aborted,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Command::Pause => "paused",
            Command::Resume => "resumed",
            Command::Abort => "aborted",
        }
    }
}

/// Changes the state of a job. Its worker stops within a second.
///
/// # Errors
/// There is no such job, it has ended, or the store failed.
pub async fn command(app: &App, id: &str, command: Command, who: &str) -> Result<Job, JobError> {
    let documents = app.documents.as_ref();
    loop {
        let (mut job, etag) = read(app, id).await?;
        if job.state == command.target() {
            return Ok(job);
        }
        if job.state.is_final() {
            return Err(JobError::State { id: id.to_owned(), state: job.state.name(), verb: command.verb() });
        }
        let now = app.clock.now();
        match command {
            Command::Abort => job.end(app, State::Aborted),
            _ => job.state = command.target(),
        }
        if write(app, &job, etag).await?.is_some() {
            let action = format!("replays.{}", command.verb());
            let entry = audit::start(documents, now, who, &action, &format!("{PREFIX}{id}"), Value::Null).await?;
            entry.end(documents, app.clock.now(), "done", job.counts()).await;
            if command == Command::Abort {
                job.tell_end(app).await;
            }
            return Ok(job);
        }
    }
}
