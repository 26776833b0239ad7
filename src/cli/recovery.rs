//! `sluice parked`, `sluice retries`, `sluice dead-letters`: find what failed, look at it, replay or discard it.

mod follow;
mod table;

use std::{
    io::{IsTerminal, Write as _},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    moment,
    operator::{Client, Operator, print_json},
};
use crate::{
    clock::Timestamp,
    recovery::{
        Action, Filter, Source,
        job::{DEFAULT_RATE, Job, Order},
        record::Summary,
    },
};

pub(super) use follow::follow;
pub(super) use table::job_line;

#[derive(Debug, Args)]
pub(super) struct RecoveryArgs {
    #[command(subcommand)]
    command: RecoveryCommand,
}

#[derive(Debug, Subcommand)]
enum RecoveryCommand {
    /// Print what matches, in the order of time
    List(ListArgs),
    /// Print one record with its history
    Show(ShowArgs),
    /// Send what matches on its way again; of retries: let them be due now
    Replay(ChangeArgs),
    /// Remove what matches, for good
    Discard(ChangeArgs),
}

/// Which records. All that is given must hold.
#[derive(Debug, Args)]
struct FilterArgs {
    /// A part of the reason or the last error, whatever its case
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[arg(long)]
    vendor: Option<String>,
    /// sms, email or voice
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    partner: Option<String>,
    /// The message's type, for example message.delivered
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<String>,
    /// Of dead letters: the subscription they are in, for example callbacks/sms
    #[arg(long, value_name = "TOPIC/NAME")]
    subscription: Option<String>,
    /// Not before: 2026-11-20T10:00:00Z, 2026-11-20, or 2h for two hours ago (when it was parked, is due, or was enqueued)
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Not after
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Anywhere in the stored message: an id, a number, a word of its body (unless that is so large that it is in a blob)
    #[arg(long)]
    text: Option<String>,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Records, at the most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct ShowArgs {
    id: String,
    /// Print the message too, which may hold phone numbers, addresses and texts. That is recorded
    #[arg(long)]
    reveal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// One record; without it, whatever the filters leave, or everything
    id: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Count what matches, show a sample, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Records a second, at the most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATE, value_parser = rate)]
    rate: u32,
    /// Do not ask, however many records match
    #[arg(long)]
    yes: bool,
    /// Do not wait for the end
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    operator: Operator,
}

/// `2000` or `2000/s`.
fn rate(text: &str) -> Result<u32, String> {
    text.strip_suffix("/s").unwrap_or(text).parse().map_err(|_| "a rate is like 2000 or 2000/s".to_owned())
}

impl FilterArgs {
    fn into_filter(self, id: Option<String>) -> Filter {
        let Self { reason, vendor, channel, partner, message_type, subscription, since, until, text } = self;
        Filter { id, reason, vendor, channel, partner, message_type, subscription, since, until, text }
    }
}

pub(super) async fn run(source: Source, args: RecoveryArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        RecoveryCommand::List(args) => list(source, args).await,
        RecoveryCommand::Show(args) => show(source, args).await,
        RecoveryCommand::Replay(args) => change(source, Action::Replay, args).await,
        RecoveryCommand::Discard(args) => change(source, Action::Discard, args).await,
    }
}

async fn list(source: Source, args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = args.operator.client()?;
    let filter = args.filter.into_filter(None);
    let mut records: Vec<Summary> = Vec::new();
    let (mut continuation, mut unreadable) = (Value::Null, 0);
    while records.len() < args.limit {
        let question = json!({ "filter": filter, "limit": args.limit - records.len(), "continuation": continuation });
        let mut page = client.post(&[source.name(), "search"], &question).await?;
        records.extend(serde_json::from_value::<Vec<Summary>>(page["records"].take())?);
        unreadable += page["unreadable"].as_u64().unwrap_or(0);
        continuation = page["continuation"].take();
        if continuation.is_null() {
            break;
        }
    }
    if args.json {
        return print_json(&json!({ "records": records, "unreadable": unreadable, "continuation": continuation }));
    }
    let mut out = table::records(&records)?;
    if unreadable > 0 {
        out.push_str(&format!("{unreadable} records are of a version that the server cannot read\n"));
    }
    if !continuation.is_null() {
        out.push_str("there is more: raise --limit, or narrow the filter\n");
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

async fn show(source: Source, args: ShowArgs) -> anyhow::Result<ExitCode> {
    let client = args.operator.client()?;
    let query = [("reveal", args.reveal.to_string())];
    let mut found = client.get(&[source.name(), &args.id], &query).await?;
    if args.json {
        return print_json(&found);
    }
    let record: Summary = serde_json::from_value(found["record"].take())?;
    super::print(&table::record(&record, &found["message"])?)?;
    Ok(ExitCode::SUCCESS)
}

async fn change(source: Source, action: Action, args: ChangeArgs) -> anyhow::Result<ExitCode> {
    let client = args.operator.client()?;
    let filter = args.filter.into_filter(args.id);
    let (matched, sample) = count(&client, source, &filter).await?;
    if matched == 0 {
        super::print("nothing matches\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let records = if matched == 1 { "1 record".to_owned() } else { format!("{matched} records") };
    if args.dry_run {
        let verb = action.name();
        super::print(&format!(
            "{}{records} would be touched by this {verb}; nothing is changed\n",
            table::records(&sample)?
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_dangerous = matched > 1 || action == Action::Discard;
    if is_dangerous && !args.yes {
        super::print(&table::records(&sample)?)?;
        confirm(&format!("{} {records} of {}?", action.name(), source.name()))?;
    }
    let order = Order { source, action, filter, rate: Some(args.rate) };
    let job: Job = serde_json::from_value(client.post(&["replays"], &json!(order)).await?)?;
    if args.detach {
        super::print(&format!("{}\n", job.id))?;
        return Ok(ExitCode::SUCCESS);
    }
    follow(&client, &job.id).await
}

/// All that match, and some of them. A request looks for seconds only: this goes on until the end.
async fn count(client: &Client, source: Source, filter: &Filter) -> anyhow::Result<(u64, Vec<Summary>)> {
    let (mut matched, mut sample, mut continuation) = (0, None, Value::Null);
    loop {
        let question = json!({ "filter": filter, "continuation": continuation });
        let mut counted = client.post(&[source.name(), "count"], &question).await?;
        matched += counted["matched"].as_u64().unwrap_or(0);
        sample = sample.or(Some(counted["sample"].take()));
        continuation = counted["continuation"].take();
        if continuation.is_null() {
            return Ok((matched, serde_json::from_value(sample.unwrap_or_default())?));
        }
    }
}

pub(super) fn confirm(question: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("{question} Nobody is here to ask: say --yes, or look first with --dry-run");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("no answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing is changed"),
    }
}
