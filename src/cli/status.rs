//! `sluice status`: the night shift's first look.

use std::{fmt::Write, process::ExitCode};

use chrono::Utc;
use clap::Args;
use serde_json::json;

use super::Places;
use crate::{
    clock::millis,
    documents::{Comparison, Container, Documents, Query},
    local::{
        broker::{Depth, read_depths},
        disk, engine,
    },
    telemetry::read_counts,
};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config()?;
    let documents = engine::open_read_only(&args.places.data, &config)?;
    let documents: &dyn Documents = documents.as_ref();
    // Service Bus tells its own depths; what it gave up on, `sluice dead-letters` shows.
    let depths = match config.service_bus {
        None => Some(read_depths(&engine::paths(&args.places.data).broker)?),
        Some(_) => None,
    };
    let now = Utc::now();
    let due = Query::all().filter("due_at", Comparison::LessOrEqual, millis::text(now));
    let retries = documents.count(Container::Retries, &Query::all()).await?;
    let retries_due = documents.count(Container::Retries, &due).await?;
    let parked = documents.count(Container::Parked, &Query::all()).await?;
    let spooled = documents.count(Container::Spool, &Query::all()).await?;
    let vendors = read_counts(documents).await?;
    // A deployed app has nothing on its disk.
    let free = match config.embedded().is_empty() {
        true => None,
        false => disk::free(&args.places.data).ok(),
    };

    if args.json {
        let of_one = |depth: &Depth| {
            json!({
                "subscription": depth.entity.to_string(),
                "active": depth.active,
                "locked": depth.locked,
                "scheduled": depth.scheduled,
                "dead_letters": depth.dead_letters,
                "oldest": depth.oldest_enqueued_at,
            })
        };
        let subscriptions = depths.map(|depths| depths.iter().map(of_one).collect::<Vec<_>>());
        let status = json!({
            "subscriptions": subscriptions,
            "retries": { "total": retries, "due": retries_due },
            "parked": parked,
            "spool": spooled,
            "disk_free": free.map(|free| free.as_u64()),
            "vendors": vendors,
        });
        super::print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
        return Ok(ExitCode::SUCCESS);
    }

    let mut out = String::new();
    match &depths {
        Some(_) => writeln!(
            out,
            "{:<28} {:>9} {:>9} {:>9} {:>12}  oldest",
            "subscription", "active", "locked", "scheduled", "dead letters"
        )?,
        None => {
            writeln!(out, "subscriptions are in Service Bus, which tells how full they are; see sluice dead-letters")?
        }
    }
    for depth in depths.iter().flatten() {
        let age = depth
            .oldest_enqueued_at
            .map_or_else(|| "-".to_owned(), |oldest| format!("{} s", (now - oldest).num_seconds()));
        writeln!(
            out,
            "{:<28} {:>9} {:>9} {:>9} {:>12}  {age}",
            depth.entity.to_string(),
            depth.active,
            depth.locked,
            depth.scheduled,
            depth.dead_letters
        )?;
    }
    writeln!(out, "\nretries {retries} ({retries_due} due)   parked {parked}   spool {spooled}")?;
    if let Some(free) = free {
        let what = match free < disk::FAIL_BELOW {
            true => ": a full disk turns every callback away with 503. Make room",
            false => "",
        };
        writeln!(out, "disk {free} free{what}")?;
    }
    writeln!(
        out,
        "\n{:<20} {:>10} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "vendor", "inbound", "unique", "storm", "events", "refused", "shed", "parked"
    )?;
    for (vendor, counts) in &vendors {
        // Duplicates that the broker dropped already never reach a processor: what came in says it all.
        let storm = match counts.unique_callbacks {
            0 => "-".to_owned(),
            unique => format!("{:.2}x", counts.inbound as f64 / unique as f64),
        };
        writeln!(
            out,
            "{vendor:<20} {:>10} {:>10} {storm:>9} {:>9} {:>8} {:>8} {:>8}",
            counts.inbound,
            counts.unique_callbacks,
            counts.events_applied,
            counts.refused(),
            counts.shed,
            counts.parked
        )?;
    }
    for (vendor, counts) in vendors.iter().filter(|(_, counts)| counts.refused() > 0) {
        let reasons: Vec<_> = counts.refusals.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        writeln!(out, "refused of {vendor}: {}", reasons.join(", "))?;
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}
