//! The proof: under every fault that we can make, each acknowledged callback has exactly one effect.
//!
//! `cargo test --test proof` runs every scenario with fixed seeds; `PROOF_SEED=7 cargo test --test proof steady` replays one;
//! `cargo test --test proof -- --long` goes on with new seeds for an hour.

#[path = "../support/mod.rs"]
pub mod support;

mod clock;
mod faults;
mod options;
mod oracle;
mod overload;
mod processes;
mod scenarios;
mod timeline;
mod wire;
mod world;

use libtest_mimic::{Arguments, Trial};
use options::Options;

/// Trials at a time, unless the command line says otherwise: they wait more than they compute.
const AT_ONCE: usize = 4;

fn main() -> std::process::ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    let options = Options::take(&mut arguments);
    let mut arguments = Arguments::from_iter(arguments);
    arguments.test_threads.get_or_insert(AT_ONCE);
    libtest_mimic::run(&arguments, trials(options)).exit_code()
}

/// Every trial, by what it does to the system.
fn trials(options: Options) -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(scenarios::trials(options));
    trials.extend(wire::trials(options));
    trials.extend(overload::trials(options));
    trials.extend(processes::trials(options));
    trials
}
