//! The work on records that are kept as documents, and the counting of any.

use futures_util::{StreamExt, stream};

use super::{CONCURRENCY, PAGE, Worked, control::Control};
use crate::{
    app::App,
    recovery::{
        RecoveryError,
        act::{Outcome, act},
        job::Job,
    },
};

/// Counts what matches, from where it was left.
pub(super) async fn count(app: &App, job: &Job, control: &Control<'_>) -> Result<Worked, RecoveryError> {
    let search = job.search();
    if let Some(matched) = search.count(app).await? {
        control.with_progress().matched = matched;
        return Ok(Worked::Finished);
    }
    loop {
        let position = control.progress().position;
        let page = search.page(app, position.as_deref(), PAGE).await?;
        {
            let mut progress = control.with_progress();
            progress.matched += page.found.len() as u64;
            progress.position.clone_from(&page.position);
        }
        if page.position.is_none() {
            return Ok(Worked::Finished);
        }
        if control.is_stopped() {
            return Ok(Worked::Stopped);
        }
    }
}

/// Works through what matches, in order. The position moves behind a record only once all before it are dealt with.
pub(super) async fn work(app: &App, job: &Job, control: &Control<'_>) -> Result<Worked, RecoveryError> {
    let search = job.search();
    loop {
        let position = control.progress().position;
        let page = search.page(app, position.as_deref(), PAGE).await?;
        control.with_progress().unreadable += page.unreadable;
        let mut acts = stream::iter(page.found)
            .map(|(record, behind)| {
                let slot = control.reserve();
                async move {
                    if !control.reached(slot).await {
                        return Ok(None);
                    }
                    let id = record.summary.id.clone();
                    let outcome = act(app, job.source, job.action, record).await?;
                    control.count(&outcome);
                    if let Outcome::Refused(reason) = &outcome {
                        tracing::warn!(id, reason, "a record cannot be replayed and stays where it is");
                    }
                    Ok::<_, RecoveryError>(Some(behind))
                }
            })
            .buffered(CONCURRENCY);
        let mut interrupted = Ok(false);
        while let Some(result) = acts.next().await {
            match result {
                // An empty one belongs to a record that was found by its id, and has none behind it.
                Ok(Some(behind)) if matches!(interrupted, Ok(false)) && !behind.is_empty() => {
                    control.with_progress().position = Some(behind);
                }
                Ok(Some(_)) => {}
                Ok(None) => interrupted = interrupted.map(|_| true),
                Err(error) if interrupted.is_ok() => {
                    // Those under way are waited for; no more are begun.
                    control.stop_work();
                    interrupted = Err(error);
                }
                Err(_) => {}
            }
        }
        if interrupted? {
            return Ok(Worked::Stopped);
        }
        control.with_progress().position.clone_from(&page.position);
        if page.position.is_none() {
            return Ok(Worked::Finished);
        }
        if control.is_stopped() {
            return Ok(Worked::Stopped);
        }
    }
}
