//! Faults on the wire: a proxy that cuts, resets, stalls, loses, slows and refuses connections stands before the broker's
//! AMQP endpoint, before Cosmos DB, and before a partner, while vendors send. Each of them meets every kind of fault once,
//! in an order and for times that the seed decides.
//!
//! | file | the idea in it |
//! |---|---|
//! | [`ground`] | the adapters behind their proxies |
//! | [`subscriptions`] | the host receives over AMQP |
//! | [`scenarios`] | what is wired in which trial, and what a script does |
//! | [`bystander`] | a partner beside the one that fails |
//! | [`proxy`] | the proxy itself does what it says |

mod bystander;
pub mod ground;
mod proxy;
mod scenarios;
mod subscriptions;

use std::{future::Future, pin::Pin};

use libtest_mimic::{Failed, Trial};

use crate::{
    options::Options,
    scenarios::{Scenario, run},
};

/// Replayed on every run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// One trial's work.
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Every trial of this module. What a trial waits for is the end of its faults, some 8 s, and then that the world is
/// quiet.
pub fn trials(options: Options) -> Vec<Trial> {
    if options.long {
        return Vec::new();
    }
    let seeds: Vec<u64> = options.seed.map_or_else(|| SEEDS.collect(), |seed| vec![seed]);
    let mut trials: Vec<Trial> =
        proxy::TRIALS.iter().map(|(name, work)| on_a_runtime(format!("wire::proxy::{name}"), *work)).collect();
    // One scenario after another, so that those that are hard on the machine do not meet.
    for seed in seeds {
        for scenario in scenarios::ALL {
            let trial = move || fail_with_faults(scenario, seed);
            trials.push(Trial::test(format!("{}::seed_{seed}", scenario.name), trial));
        }
    }
    trials
}

/// Tells which faults there were, when and where, also when the trial panics.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

fn fail_with_faults(scenario: Scenario, seed: u64) -> Result<(), Failed> {
    let told = Told(format!("seed {seed}, faults:\n{}", scenarios::faults(scenario, seed)));
    let result = run(scenario, seed).into_result(scenario, seed);
    result.map_err(|failed| format!("{}\n{}", failed.message().unwrap_or_default(), told.0).into())
}

/// A trial on a runtime of its own.
fn on_a_runtime(name: String, work: impl FnOnce() -> Work + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(work());
        runtime.shutdown_background();
        Ok(())
    })
}
