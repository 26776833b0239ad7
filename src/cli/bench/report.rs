//! The result: a table for people, JSON for scripts.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{loads::Load, process::Usage, target::Target};
use crate::simulate::{Latency, Outcome, Verdict};

/// Everything that was measured. The field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub version: &'static str,
    pub seed: u64,
    pub url: String,
    /// Cores that server and generator share.
    pub cores: Option<usize>,
    pub loads: Vec<Measured>,
}

/// One load.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub name: String,
    /// Requests per second, on average; absent in a closed loop.
    pub asked: Option<f64>,
    /// Acknowledged requests per second.
    pub rate: f64,
    pub sent: u64,
    pub acked: u64,
    /// Requests that no 2xx answered, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests without a whole answer, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// From due to acknowledged.
    pub latency: Latency,
    /// Microseconds of the server's CPU for each acknowledged request, processing included.
    pub cpu_us: Option<f64>,
    /// The server's memory after the load.
    pub rss_mb: Option<f64>,
    /// Cores that the generator used.
    pub generator_cores: Option<f64>,
    pub kept: bool,
    pub verdict: Verdict,
}

impl Measured {
    /// `usage`: the server's, before the load, after it, and after everything was processed.
    pub fn new(load: &Load, outcome: &Outcome, verdict: Verdict, usage: [Usage; 3], generator: Option<f64>) -> Self {
        let [before, loaded, after] = usage;
        let cpu = before.cpu.zip(after.cpu).map(|(before, after)| after.saturating_sub(before).as_secs_f64() * 1e6);
        Self {
            name: load.name(),
            asked: load.asked(),
            rate: outcome.rate(),
            sent: outcome.sent,
            acked: outcome.acked,
            refused: outcome.refused.clone(),
            failed: outcome.failed.clone(),
            latency: Latency::of(&outcome.latency),
            cpu_us: cpu.filter(|_| outcome.acked > 0).map(|cpu| cpu / outcome.acked as f64),
            rss_mb: loaded.rss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            generator_cores: generator,
            kept: verdict.is_clean(),
            verdict,
        }
    }

    fn not_acked(&self) -> u64 {
        self.refused.values().chain(self.failed.values()).sum()
    }

    /// This load's line of the table, and lines with what is wrong.
    pub fn line(&self) -> String {
        let Latency { p50_ms, p99_ms, p99_9_ms, max_ms, .. } = self.latency;
        let mut line = format!(
            "{:<8} {:>8} {:>8.0} {p50_ms:>8.2} {p99_ms:>8.2} {p99_9_ms:>8.2} {max_ms:>8.1} {:>8} {:>10.1} {:>7} {:>7}  {}",
            self.name,
            or_dash(self.asked),
            self.rate,
            self.not_acked(),
            self.verdict.applied.p99_ms,
            or_dash(self.cpu_us),
            or_dash(self.rss_mb),
            if self.kept { format!("kept, {} events", self.verdict.found) } else { "NOT KEPT".into() },
        );
        for (status, count) in &self.refused {
            let _ = write!(line, "\n         refused with {status}: {count}");
        }
        for (reason, count) in &self.failed {
            let _ = write!(line, "\n         no answer: {count} ({reason})");
        }
        for (name, finding) in self.verdict.findings().iter().filter(|(_, finding)| finding.count > 0) {
            let _ = write!(line, "\n         {name}: {}, for example {}", finding.count, finding.samples.join("; "));
        }
        line
    }
}

fn or_dash(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".into(), |figure| format!("{figure:.0}"))
}

impl Report {
    pub fn new(seed: u64, target: &Target) -> Self {
        let cores = std::thread::available_parallelism().ok().map(Into::into);
        Self { version: env!("CARGO_PKG_VERSION"), seed, url: target.url().to_string(), cores, loads: Vec::new() }
    }

    /// The table's head.
    pub fn head(&self) -> String {
        let cores = self.cores.map_or_else(String::new, |cores| format!(", {cores} cores for server and generator"));
        format!(
            "{}{cores}\n\n{:<8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>7} {:>7}  verdict\n\
             {:<8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>7} {:>7}",
            self.url,
            "load",
            "asked/s",
            "acked/s",
            "ack ms",
            "",
            "",
            "",
            "refused",
            "applied ms",
            "CPU µs",
            "RSS MB",
            "",
            "",
            "",
            "p50",
            "p99",
            "p99.9",
            "max",
            "",
            "p99",
            "per ack",
            ""
        )
    }

    /// What is said below the table.
    pub fn foot(&self) -> String {
        let busiest = self.loads.iter().filter_map(|load| load.generator_cores).reduce(f64::max);
        let generator =
            busiest.map_or_else(String::new, |cores| format!("; the generator used up to {cores:.1} cores"));
        format!("\nseed {} (--seed repeats the callbacks){generator}", self.seed)
    }

    /// Whether every load had something acknowledged and all of it was kept.
    pub fn ok(&self) -> bool {
        self.loads.iter().all(|load| load.kept && load.acked > 0)
    }
}
