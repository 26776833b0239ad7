//! Faults in a row, drawn from a seed.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::time::sleep;

use super::{ChaosProxy, Direction, Mode};

/// A fault, and the peace before it.
#[derive(Debug, Clone, Copy)]
struct Step {
    peace: Duration,
    mode: Mode,
    lasts: Duration,
}

/// Every kind of fault once, in an order and with lengths that a seed decides: one is long, the others are short.
#[derive(Debug, Clone)]
pub struct Sequence(Vec<Step>);

impl Sequence {
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let slow = Mode::Slow {
            latency: Duration::from_millis(rng.random_range(20..150)),
            bytes_per_second: Some(rng.random_range(20_000..200_000)),
        };
        let mut modes = [
            Mode::Cut(Duration::ZERO),
            Mode::Reset,
            Mode::Stall,
            Mode::Vanish(Direction::Requests),
            Mode::Vanish(Direction::Answers),
            slow,
            Mode::Refuse,
        ];
        modes.shuffle(&mut rng);
        let long = rng.random_range(0..modes.len());
        let mut millis = |range| Duration::from_millis(rng.random_range(range));
        let step = |(index, mode)| Step {
            peace: millis(100..600),
            mode,
            lasts: if index == long { millis(1_500..3_000) } else { millis(200..800) },
        };
        Self(modes.into_iter().enumerate().map(step).collect())
    }

    pub fn lasts(&self) -> Duration {
        self.0.iter().map(|step| step.peace + step.lasts).sum()
    }

    /// Does it all to a proxy, and tells each mode that it sets; lets everything pass in the end.
    pub async fn run(&self, proxy: &ChaosProxy, mut tell: impl FnMut(Mode)) {
        for step in &self.0 {
            for (wait, mode) in [(step.peace, step.mode), (step.lasts, Mode::Pass)] {
                sleep(wait).await;
                proxy.set(mode);
                tell(mode);
            }
        }
    }
}

/// A line for each fault: when it begins, how long it lasts, and what it is.
impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = Duration::ZERO;
        for Step { peace, mode, lasts } in &self.0 {
            at += *peace;
            writeln!(formatter, "  at {:5.2} s for {:4.2} s  {mode:?}", at.as_secs_f64(), lasts.as_secs_f64())?;
            at += *lasts;
        }
        Ok(())
    }
}
