//! Memory while twice as much comes as the system takes.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::server::{Role, System, shed};

const IN_FLIGHT: usize = 64;
/// More than there are places, and fewer than the listener takes.
const CONNECTIONS: usize = 200;
const SAMPLE: Duration = Duration::from_millis(100);
/// KiB in the second half of the run, however long that is: what the caches of SQLite may still have to fill. If a
/// few KiB of each refused request stayed, it would be more.
const FLAT: f64 = 24.0 * 1024.0;

pub async fn is_flat(seed: u64, seconds: u64) {
    let mut system = System::new(IN_FLIGHT);
    system.start(Role::OneMachine).await;
    let (_stopping, never) = watch::channel(false);
    // What it takes, with everything running.
    let warm_up = system.plan("twilio", 3000, seed);
    let outcome = system.press(&warm_up, IN_FLIGHT / 2, None, &never).await;
    assert_eq!(shed(&outcome), 0.0);
    let rate = 2.0 * outcome.rate();

    let plan = system.plan("twilio", (rate * seconds as f64) as u32, seed + 1);
    let began = Instant::now();
    let sampled = async {
        let mut samples = Vec::new();
        while began.elapsed() < Duration::from_secs(seconds) {
            samples.push((began.elapsed().as_secs_f64(), system.resident() as f64));
            tokio::time::sleep(SAMPLE).await;
        }
        samples
    };
    let (outcome, samples) = tokio::join!(system.press(&plan, CONNECTIONS, Some(rate), &never), sampled);
    let half = &samples[samples.len() / 2..];
    let grown = slope(half) * seconds as f64 / 2.0;
    println!(
        "{rate:.0}/s offered, {:.0}/s acknowledged, {:.0} % shed; resident {:.0} MiB at half time, {:.0} at the end, the second \
         half's slope is {grown:.0} KiB in all",
        outcome.rate(),
        100.0 * shed(&outcome),
        half[0].1 / 1024.0,
        half[half.len() - 1].1 / 1024.0,
    );
    assert!(grown < FLAT, "it grows: {grown:.0} KiB in {} s", seconds / 2);
    system.verify(&plan, &outcome).await;
}

/// The median of the slopes between any two samples (Theil and Sen's): a page cache that comes and goes does not tilt it.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let pairs =
        samples.iter().enumerate().flat_map(|(index, from)| samples[index + 1..].iter().map(move |to| (from, to)));
    let mut slopes: Vec<f64> = pairs.map(|(from, to)| (to.1 - from.1) / (to.0 - from.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}
