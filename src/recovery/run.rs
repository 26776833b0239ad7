//! Working on jobs, a slice at a time.
//!
//! A timer calls [`run_slices`]. A slice takes the lease of a job, works for a few seconds, and gives the lease back;
//! whoever dies in between holds up the job until the lease runs out. Two workers at once do no harm: they send the same
//! message ids, and what one has removed the other finds gone.
//!
//! While one half of a slice works ([`records`], [`dead_letters`]), the other looks at the job's document, writes down
//! how far the work is, renews the lease, and stops the work when an operator says so.

mod control;
mod dead_letters;
mod records;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    RecoveryError, Source,
    job::{self, Job, JobError, Lease, State},
};
use crate::{
    app::App,
    documents::{DocumentsError, Etag},
};
use control::Control;

/// Records read at once, and so in memory, of each job.
const PAGE: usize = 200;
/// Records on their way at once, of each job.
const CONCURRENCY: usize = 64;
/// How long a slice works. A host that stops waits for it.
const SLICE: Duration = Duration::from_secs(5);
/// How long nobody else touches a job whose worker has died.
const LEASE: TimeDelta = TimeDelta::seconds(10);
/// How often a worker looks at the job's document.
const LOOK: Duration = Duration::from_millis(300);
/// Jobs that one call works on at once. Those that waited longest come first.
const JOBS: usize = 4;

/// What became of the work of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Worked {
    /// There is more, or it was told to stop.
    Stopped,
    /// This phase of the job is complete.
    Finished,
    /// The job can never be completed.
    Stuck(String),
}

/// Works on the jobs that nobody works on. Returns how many there were.
///
/// # Errors
/// The store failed, or a dependency of a job's work did: it goes on with the next call.
pub async fn run_slices(app: &App) -> Result<usize, RecoveryError> {
    let now = app.clock.now();
    let mut free: Vec<(Job, Etag)> = job::list(app, true).await?;
    free.retain(|(job, _)| job.state == State::Running && job.lease.as_ref().is_none_or(|lease| lease.until <= now));
    let last_touched = |job: &Job| job.lease.as_ref().map(|lease| lease.until);
    free.sort_by_key(|(job, _)| last_touched(job));
    free.truncate(JOBS);
    let slices = free.into_iter().map(|(job, etag)| run_slice(app, job, etag));
    let mut worked = 0;
    let mut failure = None;
    for result in join_all(slices).await {
        match result {
            Ok(had_lease) => worked += usize::from(had_lease),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(worked), Err)
}

/// `false`: somebody else was faster.
async fn run_slice(app: &App, mut job: Job, etag: Etag) -> Result<bool, RecoveryError> {
    let owner = Uuid::new_v4();
    job.lease = Some(Lease { owner, until: app.clock.now() + LEASE });
    if job::write(app, &job, etag).await?.is_none() {
        return Ok(false);
    }
    let length = match job.source {
        // What does not match stays locked while the rest is worked through, and must be found again in the next slice.
        Source::DeadLetters if job.progress.counted => (app.config.bus.lock_duration / 2).max(SLICE),
        _ => SLICE,
    };
    let control = Control::new(app, &job, owner, Instant::now() + length);
    let work = async {
        let worked = work(app, &job, &control).await;
        control.work_ended();
        worked
    };
    let (worked, watched) = tokio::join!(work, control.watch());
    let ended = finish(app, &control, &job.id, owner, &worked).await;
    watched?;
    worked?;
    ended?;
    Ok(true)
}

async fn work(app: &App, job: &Job, control: &Control<'_>) -> Result<Worked, RecoveryError> {
    if !job.progress.counted {
        return records::count(app, job, control).await;
    }
    match job.source {
        Source::DeadLetters => dead_letters::work(app, job, control).await,
        Source::Parked | Source::Retries => records::work(app, job, control).await,
    }
}

/// Gives the lease back and writes down what the slice came to.
async fn finish(
    app: &App,
    control: &Control<'_>,
    id: &str,
    owner: Uuid,
    worked: &Result<Worked, RecoveryError>,
) -> Result<(), RecoveryError> {
    loop {
        let (mut job, etag) = match job::read(app, id).await {
            Ok(found) => found,
            Err(JobError::Recovery(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        let is_ours = job.lease.as_ref().is_some_and(|lease| lease.owner == owner);
        // An aborted job has no lease any more, but is still owed the last numbers.
        if !is_ours && job.state != State::Aborted {
            return Ok(());
        }
        job.progress = control.progress();
        // Expired, not taken away: the time tells who has waited longest.
        job.lease = job.lease.filter(|_| !job.state.is_final()).map(|lease| Lease { until: app.clock.now(), ..lease });
        match worked {
            Ok(Worked::Stopped) => job.problem = None,
            Ok(Worked::Finished) if !job.progress.counted => {
                (job.progress.counted, job.progress.position, job.problem) = (true, None, None);
            }
            Ok(Worked::Finished) if job.state != State::Aborted => {
                job.problem = None;
                job.end(app, State::Done);
            }
            Ok(Worked::Stuck(problem)) if job.state != State::Aborted => {
                job.problem = Some(problem.clone());
                job.end(app, State::Failed);
            }
            Ok(_) => {}
            Err(error) => {
                job.problem = Some(error.to_string());
                // The same again would be refused again.
                let is_final =
                    matches!(error, RecoveryError::Malformed(_) | RecoveryError::Documents(DocumentsError::Refused(_)));
                if is_final && job.state != State::Aborted {
                    job.end(app, State::Failed);
                }
            }
        }
        if job::write(app, &job, etag).await?.is_some() {
            if job.state.is_final() {
                job.tell_end(app).await;
            }
            return Ok(());
        }
    }
}
