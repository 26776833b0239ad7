//! The proof: under every fault that we can make, each acknowledged callback has exactly one effect.
//!
//! `cargo test --test proof` runs every scenario with fixed seeds; `PROOF_SEED=7 cargo test --test proof steady` replays one;
//! `cargo test --test proof -- --long` goes on with new seeds for an hour.

mod options;
mod processes;
#[path = "../support/mod.rs"]
mod support;

use libtest_mimic::{Arguments, Trial};
use options::Options;

fn main() -> std::process::ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    let options = Options::take(&mut arguments);
    libtest_mimic::run(&Arguments::from_iter(arguments), trials(options)).exit_code()
}

/// Every trial, by what it does to the system.
fn trials(options: Options) -> Vec<Trial> {
    [processes::trials(options)].into_iter().flatten().collect()
}
