//! Two instances of the handler on one broker and one Cosmos DB: both ingest, process and sweep, and are killed and stopped.

use std::{path::PathBuf, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use sluice::simulate::LoadOptions;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    deployment::{Kept, World},
    documents, is_quiet, status,
};
use crate::support::{
    load::Vendors,
    server::{ROOT, Server, free_port},
};

/// Longer than a call to the broker or the store may take, as the configuration wants it.
const LOCK: Duration = Duration::from_secs(4);

/// The shipped configuration with short locks: a stop that outlives them needs no minute.
fn short_locks(folder: &TempDir) -> PathBuf {
    let shipped = std::fs::read_to_string(format!("{ROOT}/sluice.toml")).unwrap();
    let lock = format!("lock_duration = \"{}s\"", LOCK.as_secs());
    let changed = shipped
        .replace("[dependencies]\ntimeout = \"10s\"", "[dependencies]\ntimeout = \"3s\"")
        .replace("lock_duration = \"60s\"", &lock);
    assert!(changed.contains("timeout = \"3s\"") && changed.contains(&lock));
    let path = folder.path().join("sluice.toml");
    std::fs::write(&path, changed).unwrap();
    path
}

/// An attempt that is not answered by then has failed: a process that is stopped answers nobody.
const PATIENCE: Duration = Duration::from_secs(3);

fn load(rate: f64) -> LoadOptions {
    LoadOptions { rate: Some(rate), timeout: PATIENCE, ..LoadOptions::default() }
}

/// Every callback goes to both instances, as from a vendor who sends everything twice. Each of them is killed and stopped,
/// for longer than a lock, while the other goes on; once both at the same time.
pub async fn two_instances(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(Kept::InCosmos, 2, &short_locks(&folder)).await;
    let plan = Vendors::plan(seed);
    let vendors = [0, 1].map(|instance| Vendors::play(plan.clone(), &world.handler(instance), load(40.0)));
    for round in 0..6 {
        sleep(Duration::from_millis(random.random_range(300..1200))).await;
        let first = random.random_range(0..2);
        let met = match round {
            5 => vec![first, 1 - first],
            _ => vec![first],
        };
        if round % 2 == 0 {
            met.iter().for_each(|instance| world.process(*instance).send(Signal::STOP));
            sleep(LOCK + Duration::from_millis(random.random_range(200..1500))).await;
            met.iter().for_each(|instance| world.process(*instance).send(Signal::CONT));
        } else {
            met.iter().for_each(|instance| world.kill_handler(*instance));
            sleep(Duration::from_millis(random.random_range(0..800))).await;
            for instance in met {
                world.start_handler(instance).await;
            }
        }
    }
    let [one, other] = vendors;
    let (one, other) = (one.stop().await, other.stop().await);
    println!("each of them acknowledged {} and {}", one.outcome.acked, other.outcome.acked);
    assert!(one.outcome.acked > 0 && other.outcome.acked > 0, "seed {seed}");
    one.with(&other).judge(world.documents().as_ref()).await;
    assert_eq!(world.spooled().await, 0, "seed {seed}");
    world.nothing_is_left_in_the_broker().await;
}

/// The one-machine system stops for longer than its locks last: what it had in hand is delivered again beside itself.
pub async fn stopped_for_longer_than_a_lock(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = [("SLUICE_CONFIG", short_locks(&folder).display().to_string())];
    let server = Server::start(&data, free_port(), &settings);
    let vendors = Vendors::start(&server.url(), seed, load(200.0));
    for _ in 0..3 {
        sleep(Duration::from_millis(random.random_range(300..1500))).await;
        server.process.send(Signal::STOP);
        sleep(LOCK + Duration::from_millis(random.random_range(200..1500))).await;
        server.process.send(Signal::CONT);
    }
    sleep(Duration::from_secs(1)).await;
    let sent = vendors.stop().await;
    println!("{} attempts repeated, failed {:?}", sent.outcome.retried, sent.outcome.failed);
    sent.judge(&documents(&data)).await;
    is_quiet(|| status(&data)).await;
}
