//! `sluice verify`: is what the system holds consistent with itself?

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Places, moment};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Config,
    local::{broker::read_depths, engine},
    verify::{
        CheckOptions, Report, check,
        queues::{self, Queue},
    },
};

/// Say whether what the system holds is consistent with itself, beside the running system and without touching it
///
/// Each message: one status, which follows from its events by a model of its own; no event twice; nothing stuck in the
/// outbox; each event that was announced to a partner delivered once, waiting, or parked. Then what waits: overdue
/// retries, parked records, the spool, leases and replays without a worker; and, where the broker is embedded, dead
/// letters and messages that nobody takes.
///
/// What changed within --settle is in flight, and not judged. A delivery that is nowhere to be found may be on the bus: it
/// is looked for again for as long.
///
/// Everything that is stored is read once. With --since, Cosmos DB is asked for the documents written since then, by the
/// index over _ts that every container has, and then for all documents of each of those messages: about 3 request units
/// for each, and one for every delivery that is not made. The embedded store is read as a whole all the same. Retries,
/// parked records and the spool are always read whole.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: 0 consistent, 1 there are differences, 2 something could not be judged (and says what).")]
pub(super) struct VerifyArgs {
    /// Only messages changed since: 2026-11-20T10:00:00Z, 2026-11-20, or 1h for an hour ago
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// What changed more recently is in flight
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    settle: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<humantime_serde::re::humantime::Duration>().map(Into::into).map_err(|error| error.to_string())
}

/// What could not be judged, for scripts.
const NOT_JUDGED: u8 = 2;

pub(super) async fn run(args: VerifyArgs) -> ExitCode {
    match answer(args).await {
        Ok(report) if !report.is_clean() => ExitCode::FAILURE,
        Ok(report) if !report.unjudged.is_empty() => ExitCode::from(NOT_JUDGED),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice: not judged: {error:#}");
            ExitCode::from(NOT_JUDGED)
        }
    }
}

/// Checks, and prints the report.
async fn answer(args: VerifyArgs) -> anyhow::Result<Report> {
    let config = args.places.load_config()?;
    let documents = engine::open_read_only(&args.places.data, &config)?;
    let options = CheckOptions {
        since: args.since,
        settle: args.settle,
        keep_records: config.delivery.keep_records,
        keep_ledger: config.retention.ledger,
        ..CheckOptions::new(SystemClock.now())
    };
    let bar = bar();
    let mut report = check(documents.as_ref(), &options, &|seen| bar.set_position(seen)).await?;
    bar.finish_and_clear();
    if let Some(queues) = queues(&args.places, &config)? {
        queues::check(&queues, &options, &mut report);
    }
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    super::print(&text)?;
    Ok(report)
}

/// How full the embedded broker is; `None` where the bus is Service Bus.
fn queues(places: &Places, config: &Config) -> anyhow::Result<Option<Vec<Queue>>> {
    if config.service_bus.is_some() {
        return Ok(None);
    }
    let depths = read_depths(&engine::paths(&places.data).broker).context("the broker's queues")?;
    let queue = |depth: crate::local::broker::Depth| Queue {
        name: depth.entity.to_string(),
        waiting: depth.active + depth.locked,
        scheduled: depth.scheduled,
        oldest: depth.oldest_enqueued_at,
        dead_letters: depth.dead_letters,
        is_deliveries: depth.entity.topic == config.bus.deliveries_topic,
    };
    Ok(Some(depths.into_iter().map(queue).collect()))
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} messages {per_sec}").expect("the template is a constant");
    let bar = ProgressBar::new_spinner().with_style(style);
    // Also while it waits for a delivery that may be on the bus.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
