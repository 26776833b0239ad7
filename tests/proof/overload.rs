//! More than the system can take: it refuses early and in order, stays as fast for what it lets in, and does not grow.
//!
//! The executable runs in a process of its own, as the one-machine system or as the handler behind a host; the simulated
//! vendors press harder than it can take, each with connections of its own, and never try again.

mod memory;
mod order;
mod server;

use libtest_mimic::{Failed, Trial};

use crate::options::Options;

/// Two seeds prove as much as twenty here: what they vary are payloads, and the pressure comes from their number.
const SEEDS: [u64; 2] = [1, 2];
/// Seconds of pressure.
const MEMORY: u64 = 20;
const MEMORY_LONG: u64 = 180;

/// Every trial has a folder and a port of its own.
pub fn trials(options: Options) -> Vec<Trial> {
    let seeds = options.seed.map_or(SEEDS.to_vec(), |seed| vec![seed]);
    let seconds = if options.long { MEMORY_LONG } else { MEMORY };
    let mut trials = Vec::new();
    for seed in seeds {
        trials.push(trial("low_priority_gives_way_first", seed, order::on_one_machine));
        trials.push(trial("behind_a_host_too", seed, order::behind_a_host));
    }
    trials.push(trial("memory_is_flat", options.seed.unwrap_or(1), move |seed| memory::is_flat(seed, seconds)));
    trials
}

/// `overload::what::seed_7`.
fn trial<F>(what: &str, seed: u64, run: impl FnOnce(u64) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(format!("overload::{what}::seed_{seed}"), move || {
        println!("PROOF_SEED={seed}");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(Failed::from)?.block_on(run(seed));
        Ok(())
    })
}
