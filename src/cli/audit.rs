//! `sluice audit`: what operators did.

use std::{fmt::Write, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    moment,
    operator::{Operator, print_json},
};
use crate::{
    audit::AuditRecord,
    clock::{Timestamp, millis},
};

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Print who did what, oldest first
    List(ListArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Not before: 2026-11-20T10:00:00Z, 2026-11-20, or 2h for two hours ago
    #[arg(long, default_value = "7d", value_parser = moment::parse)]
    since: Timestamp,
    /// Not after
    #[arg(long, value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Entries, at the most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let AuditCommand::List(args) = args.command;
    let client = args.operator.client()?;
    let mut entries: Vec<AuditRecord> = Vec::new();
    let mut continuation: Option<String> = None;
    while entries.len() < args.limit {
        let mut query = vec![("since", millis::text(args.since)), ("limit", (args.limit - entries.len()).to_string())];
        query.extend(args.until.map(|until| ("until", millis::text(until))));
        query.extend(continuation.take().map(|continuation| ("continuation", continuation)));
        let mut page = client.get(&["audit"], &query).await?;
        entries.extend(serde_json::from_value::<Vec<AuditRecord>>(page["entries"].take())?);
        match page["continuation"].as_str() {
            Some(more) => continuation = Some(more.to_owned()),
            None => break,
        }
    }
    if args.json {
        return print_json(&json!({ "entries": entries, "continuation": continuation }));
    }
    let mut out = String::new();
    for AuditRecord { at, who, action, what, details, outcome, counts, .. } in &entries {
        writeln!(out, "{}  {who}  {action}  {what}  {outcome}", millis::text(*at))?;
        for told in [details, counts].into_iter().filter(|told| !matches!(told, Value::Null)) {
            writeln!(out, "    {told}")?;
        }
    }
    if entries.is_empty() {
        writeln!(out, "nothing since {}", millis::text(args.since))?;
    }
    if continuation.is_some() {
        writeln!(out, "there is more: raise --limit, or name a later --since")?;
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}
