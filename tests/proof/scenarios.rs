//! The scenarios: what happens to the system while vendors send to it, each with fixed seeds.
//!
//! A run sets up a [`World`], sends its plan while the scenario's script turns faults on and off, ends all faults, waits
//! until the system is quiet, and asks the oracle. What a run waits for is that quiet, at the most for a minute of
//! real time; due times are not waited for, because the run's clock makes leaps.

mod faulty;
mod long;
mod plain;
mod random;

use std::time::Instant;

use futures_util::future::BoxFuture;
use libtest_mimic::{Failed, Trial};
use sluice::simulate::Outcome;

use crate::{
    options::Options,
    oracle::{Allowed, Counted, Finding, Findings, judge},
    timeline,
    world::{Setting, World},
};

/// Replayed on every run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// What a script does, and what it finds while faults are on.
type Script = for<'a> fn(&'a World) -> BoxFuture<'a, Findings>;

/// A way to make the system's life hard.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub setting: fn(Setting) -> Setting,
    pub script: Script,
    pub allowed: fn(u64) -> Allowed,
}

pub const ALL: [Scenario; 7] = [
    plain::STEADY,
    plain::RETRY_STORM,
    faulty::CHANNEL_DOWN,
    faulty::BROKER_DOWN,
    faulty::STORE_SLOW,
    faulty::PARTNER_DEAD,
    random::EVERYTHING,
];

/// What a run was like.
pub struct Report {
    pub findings: Vec<Finding>,
    pub counted: Counted,
    pub injected: usize,
    /// The record concerned, told from the beginning; empty where nothing was found.
    pub timeline: String,
}

pub fn trials(options: Options) -> Vec<Trial> {
    if options.long {
        return vec![Trial::test("scenario::long", move || long::run_for_an_hour(options.seed))];
    }
    let seeds: Vec<u64> = options.seed.map_or_else(|| SEEDS.collect(), |seed| vec![seed]);
    let mut trials = Vec::new();
    for scenario in ALL {
        for &seed in &seeds {
            trials.push(Trial::test(format!("scenario::{}::seed_{seed}", scenario.name), move || {
                run(scenario, seed).into_result(scenario, seed)
            }));
        }
    }
    trials
}

impl Report {
    /// Fails with everything that a person needs to look into it.
    pub fn into_result(self, scenario: Scenario, seed: u64) -> Result<(), Failed> {
        if self.findings.is_empty() {
            return Ok(());
        }
        let (name, timeline) = (scenario.name, self.timeline);
        let findings: Vec<String> = self.findings.iter().map(|finding| format!("  {finding}")).collect();
        let findings = findings.join("\n");
        let replay = format!("PROOF_SEED={seed} cargo test --test proof {name}");
        Err(format!("scenario {name}, seed {seed}\nreplay: {replay}\n{findings}\n{timeline}").into())
    }
}

/// Runs a scenario with a seed.
pub fn run(scenario: Scenario, seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let began = Instant::now();
        let mut world = World::start((scenario.setting)(Setting::new(seed))).await;
        let (outcome, script) = tokio::join!(world.send(), (scenario.script)(&world));
        let loud = world.settle().await;
        let (mut findings, counted) = judge(&world, &outcome, (scenario.allowed)(seed)).await;
        findings.extend(script.into_vec());
        findings.extend(not_quiet(loud));
        findings.extend(nothing_acknowledged(&outcome, counted));
        let timeline = match findings.first() {
            Some(first) => timeline::of(&world, &outcome, first, began).await,
            None => String::new(),
        };
        world.stop().await;
        Report { findings, counted, injected: world.faults.log().len(), timeline }
    });
    // A task that hangs for ever, by a fault, must not keep the run.
    runtime.shutdown_background();
    report
}

fn not_quiet(loud: Vec<String>) -> Option<Finding> {
    let sample = loud.join("; ");
    (!loud.is_empty()).then_some(Finding { kind: "not quiet", count: loud.len() as u64, key: None, sample })
}

/// A run in which nothing was promised proves nothing.
fn nothing_acknowledged(outcome: &Outcome, counted: Counted) -> Option<Finding> {
    let sample = format!("refused {:?}, failed {:?}", outcome.refused, outcome.failed);
    (counted.obligations == 0).then_some(Finding { kind: "nothing was acknowledged", count: 1, key: None, sample })
}
