//! Memory while twice as much comes as the system takes.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::server::{Role, System, shed};

const IN_FLIGHT: usize = 64;
/// More than there are places, and fewer than the listener takes.
const CONNECTIONS: usize = 200;
const SAMPLE: Duration = Duration::from_millis(100);
/// KiB a second, in the second half of the run. What grows there are message ids for the detection of duplicates, which
/// end with their window of 10 minutes, and caches of a fixed size that fill.
const FLAT: f64 = 512.0;

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
    let (slope, last) = (slope(half), half[half.len() - 1].1);
    println!(
        "{rate:.0}/s offered, {:.0}/s acknowledged, {:.0} % shed, p99 of 2xx {} ms; resident {:.0} MiB at half time, {:.0} at \
         the end, {slope:.0} KiB/s between",
        outcome.rate(),
        100.0 * shed(&outcome),
        outcome.latency.value_at_quantile(0.99) / 1000,
        half[0].1 / 1024.0,
        last / 1024.0,
    );
    assert!(slope < FLAT, "it grows by {slope:.0} KiB/s");
    system.verify(&plan, &outcome).await;
}

/// The slope of the straight line that fits the samples best (least squares).
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let (time, memory) = samples.iter().fold((0.0, 0.0), |sum, sample| (sum.0 + sample.0, sum.1 + sample.1));
    let (time, memory) = (time / count, memory / count);
    let covariance: f64 = samples.iter().map(|sample| (sample.0 - time) * (sample.1 - memory)).sum();
    covariance / samples.iter().map(|sample| (sample.0 - time).powi(2)).sum::<f64>()
}
