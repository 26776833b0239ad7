//! `/manage/replays`: jobs that replay or discard what failed.

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Call, Operation, Operator, Refusal, Resource, describe::in_path, operation::does};
use crate::{
    app::App,
    openapi::Parameter,
    recovery::job::{self, Command, Job, JobError, Order, State},
};

const ID: Parameter = in_path("id", "The job's id.");
const UNKNOWN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "There is no such job.");

const fn command(path: &'static str, summary: &'static str, does: super::operation::Does) -> Operation {
    Operation {
        method: Method::POST,
        path,
        summary,
        parameters: &[ID],
        operator: Operator::Required,
        refused: &[UNKNOWN, (StatusCode::CONFLICT, "The job has ended.")],
        does,
    }
}

pub(super) const RESOURCE: Resource = Resource {
    name: "replays",
    summary: "jobs that replay or discard what failed",
    operations: &[
        Operation {
            method: Method::GET,
            path: "replays",
            summary: "Every job that is kept, oldest first; jobs are kept for 90 days after their end",
            parameters: &[],
            operator: Operator::Optional,
            refused: &[],
            does: does!(list() -> OK Jobs),
        },
        Operation {
            method: Method::POST,
            path: "replays",
            summary: "Order a job; it starts by itself, and touches nothing that came after it",
            parameters: &[],
            operator: Operator::Required,
            refused: &[(StatusCode::CONFLICT, "Somebody else was faster: look again.")],
            does: does!(create(Order) -> CREATED Seen),
        },
        Operation {
            method: Method::GET,
            path: "replays/{id}",
            summary: "How far a job is",
            parameters: &[ID],
            operator: Operator::Optional,
            refused: &[UNKNOWN],
            does: does!(show() -> OK Seen),
        },
        command(
            "replays/{id}/pause",
            "Pause a job; it stops within a second",
            does!(tell[Command::Pause]() -> OK Seen),
        ),
        command("replays/{id}/resume", "Let a paused job go on", does!(tell[Command::Resume]() -> OK Seen)),
        command("replays/{id}/abort", "End a job; what was done stays done", does!(tell[Command::Abort]() -> OK Seen)),
    ],
};

/// Jobs, oldest first.
#[derive(Serialize, JsonSchema)]
struct Jobs {
    replays: Vec<Seen>,
}

/// A job as operators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobSeen")]
struct Seen {
    #[serde(flatten)]
    job: Job,
    /// When it will be done at its present speed; null where that cannot be told.
    eta_seconds: Option<f64>,
}

impl From<Job> for Seen {
    fn from(job: Job) -> Self {
        let progress = &job.progress;
        let is_moving = job.state == State::Running && progress.counted && progress.rate >= 0.1;
        let eta_seconds = is_moving.then(|| (progress.left() as f64 / progress.rate).ceil());
        Self { job, eta_seconds }
    }
}

async fn list(app: &App, _: &Call) -> Result<Jobs, Refusal> {
    let jobs = job::list(app, false).await?;
    Ok(Jobs { replays: jobs.into_iter().map(|(job, _)| job.into()).collect() })
}

async fn create(app: &App, call: &Call, order: Order) -> Result<Seen, Refusal> {
    Ok(job::create(app, order, call.who()?).await?.into())
}

async fn show(app: &App, call: &Call) -> Result<Seen, Refusal> {
    Ok(job::read(app, call.segment("id")).await?.0.into())
}

async fn tell(app: &App, call: &Call, command: Command) -> Result<Seen, Refusal> {
    Ok(job::command(app, call.segment("id"), command, call.who()?).await?.into())
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Recovery(error) => error.into(),
            JobError::Unknown(_) => Self::NotFound(format!("{error}: GET /manage/replays lists them")),
            JobError::State { .. } => Self::Conflict(error.to_string()),
        }
    }
}
