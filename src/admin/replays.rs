//! `/manage/replays`: jobs that replay or discard what failed.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Call, Refusal, Reply, Resource};
use crate::{
    app::App,
    recovery::job::{self, Command, Job, JobError, State},
};

pub(super) const RESOURCE: Resource = Resource {
    name: "replays",
    summary: "POST {source, action, filter, rate}; GET; GET {id}; POST {id}/pause, {id}/resume, {id}/abort",
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: &App, mut call: Call) -> Result<Reply, Refusal> {
    let (id, command) = (call.next_segment(), call.next_segment());
    call.expect_end()?;
    match (id, command) {
        (None, _) if call.method == Method::POST => {
            let job = job::create(app, call.json()?, call.who()?).await?;
            Ok(Reply::created(seen(&job)))
        }
        (None, _) => {
            call.expect_method(&[Method::GET, Method::POST])?;
            let jobs = job::list(app, false).await?;
            let jobs: Vec<_> = jobs.iter().map(|(job, _)| seen(job)).collect();
            Ok(Reply::ok(json!({ "replays": jobs })))
        }
        (Some(id), None) => {
            call.expect_method(&[Method::GET])?;
            let (job, _) = job::read(app, &id).await?;
            Ok(Reply::ok(seen(&job)))
        }
        (Some(id), Some(command)) => {
            call.expect_method(&[Method::POST])?;
            let command = match command.as_str() {
                "pause" => Command::Pause,
                "resume" => Command::Resume,
                "abort" => Command::Abort,
                _ => return Err(Refusal::NotFound("a job can be told to pause, resume or abort".to_owned())),
            };
            let job = job::command(app, &id, command, call.who()?).await?;
            Ok(Reply::ok(seen(&job)))
        }
    }
}

/// The job, and when it will be done at its present speed.
fn seen(job: &Job) -> Value {
    let mut seen = serde_json::to_value(job).expect("jobs serialise to JSON");
    let progress = &job.progress;
    let is_moving = job.state == State::Running && progress.counted && progress.rate >= 0.1;
    let eta = is_moving.then(|| (progress.left() as f64 / progress.rate).ceil());
    seen["eta_seconds"] = json!(eta);
    seen
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
