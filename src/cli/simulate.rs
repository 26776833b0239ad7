//! `sluice simulate`: plays the vendors against a running system, and judges what it did.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use url::Url;

use super::Places;
use crate::{
    clock::{Clock, SystemClock},
    documents::SharedDocuments,
    local::engine,
    simulate::{Cast, LoadOptions, Outcome, Plan, Progress, Report, Shape, Verdict, VerifyOptions, send, verify},
};

/// Send genuinely signed callbacks, as the configured vendors would
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SimulateArgs {
    /// Where to send: scheme, host and port. The signatures hold for the configured public_url
    #[arg(long, default_value = "http://127.0.0.1:7071")]
    pub url: Url,
    /// Play this vendor only; may be repeated [default: every configured vendor that can be signed for]
    #[arg(long = "vendor", value_name = "NAME")]
    pub vendors: Vec<String>,
    /// Different callbacks to send; repeats come on top
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Share of all requests that repeat an earlier one: 0.65 sends 1,857 repeats beside 1,000 callbacks
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub duplicates: f64,
    /// Send in any order, so that a late `sent` comes after `delivered`
    #[arg(long)]
    pub shuffle: bool,
    /// Requests per second, whatever the answers [default: the next one when an answer has come]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Requests on the wire at a time, at the most
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Attempts after a transport error, 429 or 5xx
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub retries: u32,
    /// Repeats an earlier run: equal seeds give equal callbacks [default: drawn, and told at the end]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Then ask the ledger whether every acknowledged event is there exactly once; exit code 1 if not
    #[arg(long)]
    pub verify: bool,
    /// Report what is still missing after nothing has changed for this long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub verify_timeout: Duration,
    /// The configuration that the target runs with, and its data for --verify
    #[command(flatten)]
    pub places: Places,
    /// Write the result here too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=0.99).contains(share)).ok_or_else(|| "must lie between 0 and 0.99".into())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite()).ok_or_else(|| "must be above 0".into())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<humantime_serde::re::humantime::Duration>().map(Into::into).map_err(|error| error.to_string())
}

/// Runs the simulation.
///
/// The exit code is 1 where the ledger is not as it should be, nothing was acknowledged, or the target went away for good.
///
/// # Errors
/// The configuration or its secrets do not suffice, or the target's documents cannot be read.
pub(super) async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    if !matches!(args.url.scheme(), "http" | "https") || args.url.query().is_some() {
        bail!("--url {}: must be an http or https URL without query", args.url);
    }
    let config = args.places.load_config()?;
    let cast = Cast::new(&config, &args.vendors, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    for skipped in &cast.skipped {
        eprintln!("note: {skipped}");
    }
    // Opened first: a wrong --data is better told before the callbacks are sent.
    let documents = match args.verify {
        true => Some(engine::open_read_only(&args.places.data, &config)?),
        false => None,
    };
    let shape = Shape {
        callbacks: args.count,
        duplicates: args.duplicates,
        shuffle: args.shuffle,
        seed: args.seed.unwrap_or_else(rand::random),
        started: SystemClock.now(),
    };
    let plan = Arc::new(Plan::new(cast.generators, shape));
    let outcome = load(&args, plan.clone()).await?;
    let verdict = match &documents {
        Some(documents) => judge(&args, &plan, &outcome, documents).await?,
        None => None,
    };
    let report = Report::new(&plan, &outcome, verdict);
    print!("{report}");
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    let judged = report.verdict.is_some() || !args.verify;
    Ok(if report.ok && judged { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the plan, with a bar that follows it, until it is done or somebody presses Ctrl-C.
async fn load(args: &SimulateArgs, plan: Arc<Plan>) -> anyhow::Result<Outcome> {
    let options = LoadOptions {
        connections: args.connections.into(),
        rate: args.rate,
        retries: args.retries,
        ..LoadOptions::default()
    };
    let (stop, stopped) = watch::channel(false);
    let interrupt = tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        eprintln!("stopping; once more to leave at once");
        stop.send_replace(true);
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
    let progress = Arc::new(Progress::default());
    let bar = bar(plan.requests() as u64, "sending");
    let follow = tokio::spawn({
        let (bar, progress) = (bar.clone(), progress.clone());
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            loop {
                tick.tick().await;
                bar.set_position(progress.done());
                bar.set_message(format!("{} acked", progress.acked()));
            }
        }
    });
    let outcome = send(plan, &args.url, &options, Arc::new(SystemClock), progress, stopped).await;
    follow.abort();
    interrupt.abort();
    bar.finish_and_clear();
    Ok(outcome?)
}

/// Asks the ledger. `None` where Ctrl-C ended it.
async fn judge(
    args: &SimulateArgs,
    plan: &Plan,
    outcome: &Outcome,
    documents: &SharedDocuments,
) -> anyhow::Result<Option<Verdict>> {
    let bar = bar(plan.stories().into(), "verifying");
    let follow = |settled: u64, _all: u64| bar.set_position(settled);
    let options = VerifyOptions { timeout: args.verify_timeout, ..VerifyOptions::default() };
    let verdict = tokio::select! {
        verdict = verify(plan, &outcome.obligations, documents.as_ref(), &options, &follow) => Some(verdict?),
        _ = tokio::signal::ctrl_c() => None,
    };
    bar.finish_and_clear();
    if verdict.is_none() {
        eprintln!("the verification was interrupted");
    }
    Ok(verdict)
}

fn bar(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {per_sec} {msg}")
        .expect("the template is a constant");
    ProgressBar::new(length).with_style(style).with_prefix(what)
}

fn write_json(path: &Path, report: &Report) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report).context("the report as JSON")?;
    std::fs::write(path, text + "\n").with_context(|| format!("--json {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Simulate {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn every_option_reads_as_documented() {
        let line = "simulate --url https://x.example/v1 --vendor twilio --vendor resend --count 5 --duplicates 0.65 \
                    --shuffle --rate 0.5 --connections 1 --retries 0 --seed 9 --verify --verify-timeout 2m \
                    --data d --config c --json j";
        let args = Simulate::try_parse_from(line.split_whitespace()).unwrap().args;
        assert_eq!((args.count, args.duplicates, args.rate), (5, 0.65, Some(0.5)));
        assert_eq!((args.vendors.len(), args.verify_timeout), (2, Duration::from_secs(120)));
        let defaults = Simulate::try_parse_from(["simulate"]).unwrap().args;
        assert_eq!((defaults.connections, defaults.retries, defaults.count), (32, 3, 1000));
        for wrong in ["--count 0", "--duplicates 1", "--rate 0", "--rate inf", "--connections 0"] {
            assert!(Simulate::try_parse_from(["simulate"].into_iter().chain(wrong.split(' '))).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_target_that_cannot_be_meant_is_told() {
        let args = Simulate::try_parse_from(["simulate", "--url", "ftp://127.0.0.1/"]).unwrap().args;
        let error = run(args).await.unwrap_err().to_string();
        assert!(error.contains("--url"), "{error}");
    }
}
