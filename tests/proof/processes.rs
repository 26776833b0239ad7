//! Faults of processes and of the machine, on the real executable: killed, stopped, started over and over, out of disk.

#[path = "../support/deployment.rs"]
mod deployment;
mod disk;
mod instances;
mod kills;

use std::{path::Path, sync::Arc};

use libtest_mimic::{Failed, Trial};
use sluice::{clock::SystemClock, local::documents::LocalDocuments};

use crate::{options::Options, support::server};

/// Every trial has a folder and ports of its own.
pub fn trials(options: Options) -> Vec<Trial> {
    let seed = options.seed.unwrap_or(7);
    vec![
        trial("killed_50_times", seed, kills::killed_50_times),
        trial("killed_again_while_it_starts", seed, kills::killed_again_while_it_starts),
        trial("two_instances", seed, instances::two_instances),
        trial("stopped_for_longer_than_a_lock", seed, instances::stopped_for_longer_than_a_lock),
        trial("files_at_their_limit", seed, disk::files_at_their_limit),
        trial("disk_full", seed, disk::disk_full).with_ignored_flag(!disk::can_mount()),
    ]
}

/// `processes::what::seed_7`.
fn trial(what: &str, seed: u64, run: impl AsyncFn(u64) + Send + 'static) -> Trial {
    Trial::test(format!("processes::{what}::seed_{seed}"), move || {
        println!("PROOF_SEED={seed}");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(Failed::from)?.block_on(run(seed));
        Ok(())
    })
}

/// What the one-machine system of this folder has, beside it or after it.
fn documents(data: &Path) -> LocalDocuments {
    LocalDocuments::open_read_only(&data.join("documents.sqlite"), Arc::new(SystemClock)).unwrap()
}

/// `sluice status --json` on a data folder.
fn status(data: &Path) -> String {
    server::run(&[], &["status", "--json", "--data", data.to_str().unwrap()])
}

/// Waits until nothing waits, and nothing was given up on.
async fn is_quiet(status: impl Fn() -> String) {
    let began = std::time::Instant::now();
    loop {
        let status: serde_json::Value = serde_json::from_str(&status()).unwrap();
        let subscriptions = status["subscriptions"].as_array().unwrap();
        let of = |name: &str| subscriptions.iter().map(|one| one[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!((of("dead_letters"), &status["parked"]), (0, &0.into()), "{status}");
        let waiting = of("active") + of("locked") + of("scheduled");
        if waiting == 0 && status["spool"] == 0 && status["retries"]["total"] == 0 {
            println!("nothing waits, no dead letters, nothing parked");
            return;
        }
        assert!(began.elapsed().as_secs() < 120, "it does not become quiet: {status}");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}
