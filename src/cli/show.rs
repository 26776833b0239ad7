//! `sluice show`: what is known of one message.

use std::{fmt::Write, process::ExitCode};

use anyhow::bail;
use clap::Args;

use super::Places;
use crate::{
    channels::status::effective_time,
    delivery::record::{DeliveryRecord, State},
    documents::{Comparison, Container, Documents, Query, query_all},
    event::Event,
    ledger::records::{EVENT_PREFIX, EventRecord, OUTBOX_PREFIX, OutboxRecord, STATUS_ID, StatusRecord},
    local::engine,
    retry::records::{Attempt, ParkedRecord, RetryRecord},
    telemetry::Tokens,
};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// `{vendor}:{provider message id}`, for example twilio:SM0e3a8d38d6a037ceca6885c6b654124e
    message_key: String,
    /// Print phone numbers and addresses instead of the tokens that stand for them, and what may hold some: reasons, links
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config()?;
    let tokens = config.privacy_key.as_ref().ok().map(Tokens::new);
    let documents = engine::open_read_only(&args.places.data, &config)?;
    let documents: &dyn Documents = documents.as_ref();
    let key = args.message_key.as_str();
    if !key.contains(':') {
        bail!("{key:?} is not a message key: it reads VENDOR:ID, for example twilio:SM...");
    }

    let mut events = Vec::new();
    for document in query_all(documents, Container::Ledger, Query::partition(key).id_prefix(EVENT_PREFIX)).await? {
        events.push(document.parse::<EventRecord>()?);
    }
    let of_key = || Query::all().filter("message_key", Comparison::Equal, key);
    let retries = query_all(documents, Container::Retries, of_key()).await?;
    let parked = query_all(documents, Container::Parked, of_key()).await?;
    if events.is_empty() && retries.is_empty() && parked.is_empty() {
        bail!("nothing is known of {key} (in {})", args.places.data.display());
    }

    let mut out = String::new();
    writeln!(out, "{key}")?;
    if let Some(document) = documents.read(Container::Ledger, key, STATUS_ID).await? {
        let status: StatusRecord = document.parse()?;
        writeln!(out, "  status    {} since {}", status.status, time(status.status_at))?;
        if let Some(code) = &status.reason_code {
            writeln!(out, "  reason    {code}")?;
        }
        writeln!(out, "  events    {} ({} opens, {} clicks)", status.events, status.opens, status.clicks)?;
    }
    events.sort_by_key(|record| (effective_time(&record.event, record.received_at), record.received_at));
    writeln!(out, "\n  happened                  received                  applied after  event")?;
    for record in &events {
        let after = record.applied_at - record.received_at;
        let happened = record.event.occurred_at.map_or_else(|| "not told".to_owned(), time);
        writeln!(
            out,
            "  {happened:<24}  {:<24}  {:>10} ms  {}",
            time(record.received_at),
            after.num_milliseconds(),
            describe(&record.event, tokens.as_ref().filter(|_| !args.reveal), args.reveal),
        )?;
    }
    let outbox = query_all(documents, Container::Ledger, Query::partition(key).id_prefix(OUTBOX_PREFIX)).await?;
    if !outbox.is_empty() {
        writeln!(out, "\n  outbox, not yet published")?;
    }
    for document in outbox {
        let record: OutboxRecord = document.parse()?;
        let to: Vec<_> = record.destinations.iter().map(ToString::to_string).collect();
        writeln!(out, "  {} to {} since {}", record.event.event_type, to.join(", "), time(record.created_at))?;
    }
    let deliveries = query_all(documents, Container::Deliveries, Query::partition(key)).await?;
    if !deliveries.is_empty() {
        writeln!(out, "\n  deliveries")?;
    }
    for document in deliveries {
        write_delivery(&mut out, &document.parse()?, args.reveal)?;
    }
    if !retries.is_empty() {
        writeln!(out, "\n  retries")?;
    }
    for document in retries {
        let record: RetryRecord = document.parse()?;
        writeln!(out, "  attempt {} due {}: {}", record.attempt, time(record.due_at), record.last_error)?;
        write_history(&mut out, &record.message.history())?;
    }
    if !parked.is_empty() {
        writeln!(out, "\n  parked")?;
    }
    for document in parked {
        let record: ParkedRecord = document.parse()?;
        writeln!(out, "  since {}: {}", time(record.parked_at), record.reason)?;
        write_history(&mut out, &record.history)?;
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn write_delivery(out: &mut String, record: &DeliveryRecord, reveal: bool) -> std::fmt::Result {
    let state = match record.state {
        State::Pending => "pending",
        State::Delivered => "delivered",
        State::Parked => "parked",
    };
    writeln!(out, "  {} to {}: {state} ({})", record.event_type, record.partner, record.event_id)?;
    let unseen = (record.attempted as usize).saturating_sub(record.attempts.len());
    if unseen > 0 {
        writeln!(out, "    {unseen} earlier attempts")?;
    }
    for attempt in &record.attempts {
        let outcome = match (&attempt.error, attempt.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => format!("answered {status}"),
            (None, None) => "no answer".to_owned(),
        };
        let (number, at, latency) = (attempt.number, time(attempt.at), attempt.latency_ms);
        writeln!(out, "    attempt {number} at {at} after {latency} ms: {outcome}")?;
        // Partners repeat what they were sent, and that has people in it.
        match &attempt.response {
            Some(response) if reveal => writeln!(out, "      {}", response.escape_debug())?,
            Some(response) => writeln!(out, "      {} bytes of answer (hidden)", response.len())?,
            None => {}
        }
    }
    Ok(())
}

fn write_history(out: &mut String, history: &[Attempt]) -> std::fmt::Result {
    for attempt in history {
        writeln!(out, "    attempt {} at {}: {}", attempt.attempt, time(attempt.at), attempt.error)?;
    }
    Ok(())
}

fn time(at: crate::clock::Timestamp) -> String {
    crate::clock::millis::text(at)
}

/// One line; people appear as tokens unless revealed.
fn describe(event: &Event, tokens: Option<&Tokens>, reveal: bool) -> String {
    let person = |address: &Option<String>| match (address, tokens) {
        (None, _) => None,
        (Some(address), _) if reveal => Some(address.clone()),
        (Some(address), Some(tokens)) => Some(tokens.address(address)),
        (Some(_), None) => Some("(hidden)".to_owned()),
    };
    let mut line = format!("{} ({})", event.event_type, event.provider_status);
    if let Some(recipient) = person(&event.recipient) {
        line.push_str(&format!(" to {recipient}"));
    }
    if let Some(code) = &event.reason_code {
        line.push_str(&format!(", code {code}"));
    }
    // Vendors write addresses into their reasons, and links lead to persons.
    for (name, value) in [("reason", &event.reason), ("url", &event.url)] {
        if let Some(value) = value {
            line.push_str(&format!(", {name} {}", if reveal { value } else { "(hidden)" }));
        }
    }
    line
}
