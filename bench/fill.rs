//! Fills a data folder's ledger, as years of callbacks would: `cargo run --release --example fill -- FOLDER DOCUMENTS [SEED=1]`.
//!
//! Every message has three events (queued, sent, delivered) and a status: four documents, written by the ledger itself through
//! the real adapter, one commit a message. Message ids are random, as a vendor's are, so the commits touch pages all over the
//! file. Partners are told nothing.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sluice::{
    clock::SystemClock,
    event::{Channel, Event, EventType},
    ledger::{Arrival, Ledger},
    local::{documents::LocalDocuments, engine},
};

const STATUSES: [(EventType, &str); 3] = [
    (EventType::MessageQueued, "queued"),
    (EventType::MessageSent, "sent"),
    (EventType::MessageDelivered, "delivered"),
];
const DOCUMENTS_OF_A_MESSAGE: u64 = STATUSES.len() as u64 + 1;
/// Enough to fill every group commit.
const CONCURRENCY: usize = 512;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, documents, seed @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: fill FOLDER DOCUMENTS [SEED]");
    };
    let documents: u64 = documents.parse().context("DOCUMENTS is a number")?;
    let seed = seed.first().map_or(Ok(1), |seed| seed.parse()).context("SEED is a number")?;
    std::fs::create_dir_all(folder)?;
    let clock = Arc::new(SystemClock);
    let store = LocalDocuments::open(&engine::paths(Path::new(folder)).documents, clock.clone())?;
    let ledger = Ledger::new(Arc::new(store), clock);

    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let messages =
        (0..documents.div_ceil(DOCUMENTS_OF_A_MESSAGE)).map(|_| format!("SM{:032x}", random.random::<u128>()));
    let written = stream::iter(messages)
        .map(|id| {
            let ledger = &ledger;
            async move {
                let arrivals = arrivals(&id, Utc::now());
                let applied = ledger.apply(&format!("twilio:{id}"), &arrivals).await?;
                anyhow::ensure!(applied.new.iter().all(|new| *new), "{id} was there already: choose another SEED");
                Ok(DOCUMENTS_OF_A_MESSAGE)
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_fold(0, async |sum, written| Ok(sum + written))
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{written} documents in {folder} in {seconds:.1} s: {:.0}/s", written as f64 / seconds);
    Ok(())
}

/// What a vendor reports of one message.
fn arrivals(id: &str, now: DateTime<Utc>) -> Vec<Arrival> {
    let arrival = |(position, (event_type, status)): (usize, (EventType, &str))| {
        let mut event = Event::new(event_type, Channel::Sms, "twilio", id, format!("twilio:{id}:{status}"));
        event.provider_status = status.to_owned();
        event.recipient = Some("+12025550143".to_owned());
        event.sender = Some("+15017122661".to_owned());
        let received_at = now + TimeDelta::milliseconds(position as i64);
        Arrival {
            event,
            envelope_id: uuid::Uuid::now_v7().to_string().into(),
            received_at,
            destinations: Vec::new(),
            traceparent: None,
        }
    };
    STATUSES.into_iter().enumerate().map(arrival).collect()
}
