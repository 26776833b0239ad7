//! `sluice replays`: the jobs that replay and discard.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    operator::{Operator, print_json},
    recovery::{follow, job_line},
};
use crate::recovery::job::Job;

#[derive(Debug, Args)]
pub(super) struct ReplaysArgs {
    #[command(subcommand)]
    command: ReplaysCommand,
}

#[derive(Debug, Subcommand)]
enum ReplaysCommand {
    /// Print every job, oldest first
    List(ListArgs),
    /// Print how far a job is
    Show(ShowArgs),
    /// Let a job rest; it stops within a second
    Pause(JobArgs),
    /// Let a job go on
    Resume(JobArgs),
    /// End a job; what it has done stays done
    Abort(JobArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct ShowArgs {
    id: String,
    /// Until it ends
    #[arg(long)]
    follow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct JobArgs {
    id: String,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn run(args: ReplaysArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ReplaysCommand::List(args) => {
            let mut found = args.operator.client()?.get(&["replays"], &[]).await?;
            if args.json {
                return print_json(&found);
            }
            let jobs: Vec<Job> = serde_json::from_value(found["replays"].take())?;
            let lines: String = jobs.iter().map(|job| format!("{}\n", job_line(job))).collect();
            super::print(if lines.is_empty() { "no jobs\n" } else { &lines })?;
            Ok(ExitCode::SUCCESS)
        }
        ReplaysCommand::Show(args) => {
            let client = args.operator.client()?;
            if args.follow {
                return follow(&client, &args.id).await;
            }
            let found = client.get(&["replays", &args.id], &[]).await?;
            if args.json { print_json(&found) } else { print_job(found) }
        }
        ReplaysCommand::Pause(args) => tell(&args, "pause").await,
        ReplaysCommand::Resume(args) => tell(&args, "resume").await,
        ReplaysCommand::Abort(args) => tell(&args, "abort").await,
    }
}

async fn tell(args: &JobArgs, command: &str) -> anyhow::Result<ExitCode> {
    print_job(args.operator.client()?.post(&["replays", &args.id, command], &json!({})).await?)
}

fn print_job(found: Value) -> anyhow::Result<ExitCode> {
    let eta = found["eta_seconds"].as_f64();
    let job: Job = serde_json::from_value(found)?;
    let eta = eta.map(|seconds| format!("    {seconds:.0} s left\n")).unwrap_or_default();
    super::print(&format!("{}\n{eta}", job_line(&job)))?;
    Ok(ExitCode::SUCCESS)
}
