//! A run's result: as a table for people, as JSON for scripts.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{load::Outcome, plan::Plan, verify::Verdict};

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// An empty histogram of microseconds.
    pub fn histogram() -> Histogram<u64> {
        Histogram::new(3).expect("three digits are within the histogram's bounds")
    }

    /// Adds a measurement to such a histogram.
    pub fn note(histogram: &mut Histogram<u64>, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        // A histogram that resizes itself accepts everything; the result is for those that do not.
        let _ = histogram.record(micros);
    }

    /// What such a histogram tells.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        let max_ms = histogram.max() as f64 / 1000.0;
        Self { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), p99_9_ms: at(0.999), max_ms }
    }
}

/// What `sluice simulate` says at the end. The field names are stable.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether something was acknowledged, the target stayed within reach, and the ledger (if asked) holds every promise.
    pub ok: bool,
    pub seed: u64,
    /// Different callbacks in the plan.
    pub callbacks: u64,
    /// Requests in the plan: the callbacks and their repeats.
    pub planned: u64,
    pub sent: u64,
    pub acked: u64,
    pub refused: BTreeMap<u16, u64>,
    pub failed: BTreeMap<&'static str, u64>,
    pub retried: u64,
    /// Until a 2xx was read to its end.
    pub latency: Latency,
    /// Acknowledged requests per second.
    pub rate: f64,
    pub elapsed_s: f64,
    /// Of that, how long the target refused connections.
    pub paused_s: f64,
    /// Ended early because somebody asked for it.
    pub stopped: bool,
    /// Ended early because the target stayed out of reach.
    pub gave_up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Report {
    pub fn new(plan: &Plan, outcome: &Outcome, verdict: Option<Verdict>) -> Self {
        let kept = verdict.as_ref().is_none_or(Verdict::is_clean);
        Self {
            ok: outcome.acked > 0 && !outcome.gave_up && kept,
            seed: plan.shape().seed,
            callbacks: plan.callbacks().into(),
            planned: outcome.planned,
            sent: outcome.sent,
            acked: outcome.acked,
            refused: outcome.refused.clone(),
            failed: outcome.failed.clone(),
            retried: outcome.retried,
            latency: Latency::of(&outcome.latency),
            rate: outcome.rate(),
            elapsed_s: outcome.elapsed.as_secs_f64(),
            paused_s: outcome.paused.as_secs_f64(),
            stopped: outcome.stopped,
            gave_up: outcome.gave_up,
            verdict,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repeats = self.planned - self.callbacks;
        writeln!(to, "planned         {} callbacks, {repeats} repeats (--seed {})", self.callbacks, self.seed)?;
        let early = match (self.stopped, self.gave_up) {
            (true, _) => " (stopped early)",
            (_, true) => " (the target stayed out of reach)",
            _ => "",
        };
        writeln!(to, "sent            {}{early}", self.sent)?;
        writeln!(to, "acked           {}", self.acked)?;
        for (status, count) in &self.refused {
            writeln!(to, "refused {status}     {count}")?;
        }
        for (reason, count) in &self.failed {
            writeln!(to, "failed          {count} ({reason})")?;
        }
        if self.retried > 0 {
            writeln!(to, "retried         {}", self.retried)?;
        }
        let Latency { p50_ms, p95_ms, p99_ms, p99_9_ms, max_ms } = self.latency;
        writeln!(
            to,
            "ack ms          p50 {p50_ms:.2}  p95 {p95_ms:.2}  p99 {p99_ms:.2}  p99.9 {p99_9_ms:.2}  max {max_ms:.2}"
        )?;
        write!(to, "rate            {:.0}/s over {:.2} s", self.rate, self.elapsed_s - self.paused_s)?;
        if self.paused_s > 0.0 {
            write!(to, ", and {:.2} s in which the target refused connections", self.paused_s)?;
        }
        writeln!(to)?;
        let Some(verdict) = &self.verdict else { return Ok(()) };
        let Verdict { messages, owed, found, took, .. } = verdict;
        let took = took.as_secs_f64();
        writeln!(to, "ledger          {found} events of {messages} messages, {owed} owed (asked for {took:.1} s)")?;
        let Latency { p50_ms, p95_ms, p99_ms, p99_9_ms, max_ms } = verdict.applied;
        writeln!(
            to,
            "applied ms      p50 {p50_ms:.1}  p95 {p95_ms:.1}  p99 {p99_ms:.1}  p99.9 {p99_9_ms:.1}  max {max_ms:.1}"
        )?;
        for (name, finding) in verdict.findings() {
            writeln!(to, "{name:<16}{}", finding.count)?;
            for sample in &finding.samples {
                writeln!(to, "                  {sample}")?;
            }
        }
        Ok(())
    }
}
