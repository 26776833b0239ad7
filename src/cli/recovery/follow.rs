//! Looking at a job until it ends.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::table::job_line;
use crate::{
    cli::operator::Client,
    recovery::job::{Job, State},
};

const LOOK: Duration = Duration::from_millis(300);
/// How long a server may be away, for a restart, before this gives up looking.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows how far a job is until it ends, or until Ctrl-C, which the job does not notice.
pub(in crate::cli) async fn follow(client: &Client, id: &str) -> anyhow::Result<ExitCode> {
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}  {elapsed} gone, {eta} left")
            .context("the progress bar's template")?,
    );
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut seen = tokio::time::Instant::now();
    loop {
        match client.get(&["replays", id], &[]).await {
            Ok(found) => {
                seen = tokio::time::Instant::now();
                let job: Job = serde_json::from_value(found)?;
                show(&bar, &job);
                if job.state.is_final() {
                    bar.finish_and_clear();
                    crate::cli::print(&format!("{}\n", job_line(&job)))?;
                    let is_whole = job.state == State::Done && job.progress.failed + job.progress.unreadable == 0;
                    return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
            }
            Err(error) if seen.elapsed() > PATIENCE => {
                return Err(error.context(format!("job {id} is out of sight; later: sluice replays show {id}")));
            }
            Err(_) => bar.set_message("the server does not answer"),
        }
        tokio::select! {
            _ = &mut interrupted => {
                bar.finish_and_clear();
                crate::cli::print(&format!(
                    "job {id} goes on without this. Look: sluice replays show {id}   Stop it: sluice replays abort {id}\n"
                ))?;
                return Ok(ExitCode::SUCCESS);
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn show(bar: &ProgressBar, job: &Job) {
    let progress = &job.progress;
    bar.set_length(progress.matched);
    bar.set_position(progress.matched - progress.left());
    bar.set_message(match job.state {
        State::Paused => "paused".to_owned(),
        _ if !progress.counted => "counting".to_owned(),
        _ => match &job.problem {
            Some(problem) => format!("waiting: {problem}"),
            None => format!("{:.0}/s", progress.rate),
        },
    });
}
