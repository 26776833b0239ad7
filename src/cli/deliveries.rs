//! `sluice deliveries`: how partners fare.

use std::{fmt::Write, process::ExitCode};

use clap::Args;

use super::operator::{Operator, print_json};
use crate::{
    clock::millis,
    delivery::{breaker, partner, report::PartnerReport},
};

#[derive(Debug, Args)]
pub(super) struct DeliveriesArgs {
    /// Only this one
    #[arg(long)]
    partner: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn run(args: DeliveriesArgs) -> anyhow::Result<ExitCode> {
    let query: Vec<_> = args.partner.into_iter().map(|name| ("partner", name)).collect();
    let answer = args.operator.client()?.get(&["deliveries"], &query).await?;
    if args.json {
        return print_json(&answer);
    }
    let reports: Vec<PartnerReport> = serde_json::from_value(answer["partners"].clone())?;
    let mut out = String::new();
    writeln!(
        out,
        "{:<24} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>9}  state",
        "partner", "attempts", "delivered", "success", "parked", "p50", "p95", "waiting"
    )?;
    for report in &reports {
        let success = report.success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
        let latency = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        writeln!(
            out,
            "{:<24} {:>10} {:>10} {success:>9} {:>8} {:>8} {:>8} {:>9}  {}",
            report.partner,
            report.counts.attempts,
            report.counts.delivered,
            report.counts.parked,
            latency(report.p50_ms),
            latency(report.p95_ms),
            report.waiting,
            state(report),
        )?;
        if let Some(last) = &report.counts.last_error {
            writeln!(out, "    last error {}: {}", millis::text(last.at), last.error)?;
        }
        for next in &report.next {
            let key = next.message_key.as_deref().unwrap_or("-");
            writeln!(out, "    attempt {} of {key} due {}: {}", next.attempt, millis::text(next.due_at), next.why)?;
        }
    }
    if reports.is_empty() {
        writeln!(out, "no partners: add one with `sluice partners add NAME --endpoint URL`")?;
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn state(report: &PartnerReport) -> String {
    if let partner::State::Disabled { reason, .. } = &report.state {
        return format!("disabled: {reason}");
    }
    match &report.breaker.state {
        breaker::State::Closed => "enabled".to_owned(),
        breaker::State::Open { until } => format!("breaker open, probe at {}", millis::text(*until)),
        breaker::State::Probing { .. } => "breaker open, probing".to_owned(),
    }
}
