//! New seeds over all scenarios, for an hour, with a line for each run.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rand::RngExt;

use super::{ALL, run};

const HOUR: Duration = Duration::from_secs(3600);

/// Goes through the scenarios in turn; `seed` starts the row of seeds, else chance does. Ends at the first finding.
pub fn run_for_an_hour(seed: Option<u64>) -> Result<(), Failed> {
    let (began, mut seed) = (Instant::now(), seed.unwrap_or_else(|| rand::rng().random_range(100..1 << 40)));
    let (mut runs, mut obligations) = (0_u64, 0_u64);
    while began.elapsed() < HOUR {
        for scenario in ALL {
            let started = Instant::now();
            let report = run(scenario, seed);
            runs += 1;
            obligations += report.counted.obligations;
            eprintln!(
                "{:>6.0} s  {:<13} seed {seed}: {} obligations, {} events, {} deliveries, {} faults, {} findings, {:.1} s",
                began.elapsed().as_secs_f64(),
                scenario.name,
                report.counted.obligations,
                report.counted.events,
                report.counted.deliveries,
                report.injected,
                report.findings.len(),
                started.elapsed().as_secs_f64(),
            );
            report.into_result(scenario, seed)?;
        }
        seed += 1;
    }
    eprintln!("{runs} runs, {obligations} obligations, all of them met exactly once");
    Ok(())
}
