//! `sluice bench`: what this machine can take, and whether all of it was kept.

mod loads;
mod process;
mod report;
mod target;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::watch;
use url::Url;

use super::Places;
use crate::{
    clock::{Clock, SystemClock},
    simulate::{Cast, LoadOptions, Obligations, Outcome, Plan, Progress, Shape, Verdict, VerifyOptions, send, verify},
};
use loads::{Kind, Load, PatternName};
use report::{Measured, Report};
use target::Target;

/// Measure what this machine can take, with genuinely signed callbacks, and verify that each was applied exactly once
///
/// Without options it takes about a minute: a server of its own on temporary data, asked in closed loops (as many as it can
/// take at 1, 16 and 64 connections) and in open loops (so many a second, whether it answers or not): steady, a ramp, bursts,
/// and a storm in which 65 % of the requests repeat an earlier one. After each load the ledger is asked whether every
/// acknowledged callback's events are there exactly once: a figure without that verdict is worth nothing.
///
/// To size a machine, find the steady rate at which `ack p99` still suits your vendors' patience and `applied` stays flat,
/// and plan for a third of it: vendors repeat themselves when something is slow, and come in bursts.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Columns
  asked/s    what the load asks for; closed loops ask for as much as they get
  acked/s    answered with 2xx
  ack ms     from the moment a request was due until its 2xx was read to the end: a server that stalls is charged for every
             request it kept waiting, not for the few on the wire (no coordinated omission)
  refused    not acknowledged: 503 under overload, other statuses, no answer. Nothing is sent twice but the storm's repeats
  applied    from received to applied in the ledger, the 99th percentile, by the server's clock
  CPU        microseconds of the server for each 2xx, processing included
  RSS        the server's memory after the load
  verdict    kept: every acknowledged event is in the ledger exactly once, every status is right, nothing else is there

Generator and server share this machine's cores. `generator` in the last line says how much of one core the generator took:
near 1.0 a closed loop measures the generator. Let another machine ask with --url then.

Examples
  sluice bench
  sluice bench --pattern steady --rate 2000 --seconds 60 --json bench.json
  sluice bench --connections 256 --seconds 20
  sluice bench --pattern burst --rate 500 --burst-times 20 --burst-every 10s
  sluice bench --url http://10.0.0.5:7071 --data /mnt/sluice --pattern ramp --rate 500 --to 5000

Exit codes: 0 all was kept, 1 something was lost, applied twice or wrong, or nothing was acknowledged.")]
pub(super) struct BenchArgs {
    /// Measure this running system instead; its ledger is read from --data [default: a server of its own]
    #[arg(long)]
    url: Option<Url>,
    /// Open loops of these patterns; unless one is named, and no --connections, all are measured
    #[arg(long = "pattern", value_name = "NAME", value_delimiter = ',', value_enum)]
    patterns: Vec<PatternName>,
    /// Closed loops with so many connections [default: 1,16,64, unless --pattern is given]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    connections: Vec<u16>,
    /// Requests per second in open loops
    #[arg(long, value_name = "R", default_value_t = 1000.0, value_parser = super::simulate::rate)]
    rate: f64,
    /// Where a ramp ends, in requests per second [default: 4 times --rate]
    #[arg(long, value_name = "R", value_parser = super::simulate::rate)]
    to: Option<f64>,
    /// A burst has so many times the rate
    #[arg(long, value_name = "K", default_value_t = 5.0, value_parser = super::simulate::rate)]
    burst_times: f64,
    /// A burst lasts for the last second of each such time
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = period)]
    burst_every: Duration,
    /// How long each load lasts
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Requests on the wire at a time in open loops, at the most; others wait, and their waiting counts
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Play this vendor only; may be repeated [default: every configured vendor that can be signed for]
    #[arg(long = "vendor", value_name = "NAME")]
    vendors: Vec<String>,
    /// Repeats an earlier run's callbacks in their order [default: drawn, and told at the end]
    #[arg(long)]
    seed: Option<u64>,
    /// Report what is still missing after nothing has changed for this long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::simulate::duration)]
    verify_timeout: Duration,
    /// Write the result here too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A server of its own keeps its temporary data beside --data: on the disk that counts
    #[command(flatten)]
    places: Places,
}

fn period(text: &str) -> Result<Duration, String> {
    super::simulate::duration(text).and_then(|period| match period > Duration::from_secs(1) {
        true => Ok(period),
        false => Err("a burst lasts a second, so they must be further apart".into()),
    })
}

/// Measures, prints the table and writes the JSON.
///
/// # Errors
/// The server does not start, the configuration or its secrets do not suffice, the ledger cannot be read, or somebody
/// interrupted.
pub(super) async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let interrupted = super::run::interrupted()?;
    tokio::select! {
        measured = measure(&args) => measured,
        // What was started and written for the run goes with it.
        () = interrupted => bail!("interrupted"),
    }
}

async fn measure(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let mut target = Target::new(args.url.clone(), &args.places).await?;
    let documents = target.documents()?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let loads = args.loads();
    let mut report = Report::new(seed, &target);
    super::print(&format!("{}\n", report.head()))?;
    for (number, load) in loads.iter().enumerate() {
        let config = target.config();
        let cast =
            Cast::new(config, &args.vendors, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        // A seed of its own: the same messages once more would be duplicates.
        let shape = Shape {
            callbacks: load.callbacks(),
            duplicates: load.duplicates(),
            shuffle: false,
            seed: seed.wrapping_add(number as u64),
            started: SystemClock.now(),
        };
        let plan = Arc::new(Plan::new(cast.generators, shape));
        let before = target.usage();
        let generator = process::Usage::of_this();
        let began = Instant::now();
        let outcome = ask(&target, load, plan.clone()).await?;
        let generator = generator.cores_until(process::Usage::of_this(), began.elapsed());
        let memory = target.usage();
        let options = VerifyOptions { timeout: args.verify_timeout, ..VerifyOptions::default() };
        let verdict = judge(&plan, &outcome.obligations, &target, &documents, &options).await?;
        target.alive()?;
        // Processing is over by now, so its CPU is in the figure.
        let after = target.usage();
        let measured = Measured::new(load, &outcome, verdict, [before, memory, after], generator);
        super::print(&format!("{}\n", measured.line()))?;
        report.loads.push(measured);
    }
    super::print(&format!("{}\n", report.foot()))?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).context("the report as JSON")?;
        std::fs::write(path, text + "\n").with_context(|| format!("--json {}", path.display()))?;
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends a load; a closed loop until its time is over.
async fn ask(target: &Target, load: &Load, plan: Arc<Plan>) -> anyhow::Result<Outcome> {
    let (stop, stopped) = watch::channel(false);
    let options = LoadOptions { retries: 0, ..load.options() };
    // Nobody stops an open loop: its plan is as long as the load.
    let timer = matches!(load.kind, Kind::Closed { .. }).then(|| {
        let lasts = load.lasts;
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            stop.send_replace(true);
        })
    });
    let outcome =
        send(plan, target.url(), &options, Arc::new(SystemClock), Arc::new(Progress::default()), stopped).await;
    if let Some(timer) = timer {
        timer.abort();
    }
    Ok(outcome?)
}

async fn judge(
    plan: &Plan,
    obligations: &Obligations,
    target: &Target,
    documents: &crate::documents::SharedDocuments,
    options: &VerifyOptions,
) -> anyhow::Result<Verdict> {
    let ask = verify(plan, obligations, documents.as_ref(), options, &|_, _| {});
    ask.await.with_context(|| format!("the ledger in {} cannot be read", target.data().display()))
}

impl BenchArgs {
    /// What is measured, in order.
    fn loads(&self) -> Vec<Load> {
        let everything = self.patterns.is_empty() && self.connections.is_empty();
        let connections = if everything { &[1, 16, 64][..] } else { &self.connections };
        let patterns = if everything { PatternName::ALL } else { &self.patterns };
        let lasts = Duration::from_secs(self.seconds.into());
        let closed =
            connections.iter().map(|connections| Load { kind: Kind::Closed { connections: *connections }, lasts });
        let open = patterns.iter().map(|name| {
            let pattern = match name {
                PatternName::Steady | PatternName::Storm => crate::simulate::Pattern::Steady,
                PatternName::Ramp => {
                    crate::simulate::Pattern::Ramp { to: self.to.unwrap_or(self.rate * 4.0), over: lasts }
                }
                PatternName::Burst => {
                    crate::simulate::Pattern::Burst { times: self.burst_times, every: self.burst_every }
                }
            };
            let kind = Kind::Open { name: *name, rate: self.rate, pattern, in_flight: self.in_flight };
            Load { kind, lasts }
        });
        closed.chain(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Bench {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn loads(line: &str) -> Vec<String> {
        let args = Bench::try_parse_from(line.split_whitespace()).unwrap().args;
        args.loads().iter().map(Load::name).collect()
    }

    #[test]
    fn without_options_everything_is_measured_and_otherwise_what_is_named() {
        assert_eq!(loads("bench"), ["c=1", "c=16", "c=64", "steady", "ramp", "burst", "storm"]);
        assert_eq!(loads("bench --pattern storm,steady"), ["storm", "steady"]);
        assert_eq!(loads("bench --connections 8"), ["c=8"]);
        assert_eq!(loads("bench --connections 8,9 --pattern ramp"), ["c=8", "c=9", "ramp"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in ["--rate 0", "--burst-every 1s", "--seconds 0", "--pattern sine", "--connections 0", "--to -1"] {
            assert!(Bench::try_parse_from(["bench"].into_iter().chain(wrong.split(' '))).is_err(), "{wrong}");
        }
    }
}
