//! Work that can wait gives way while the front door is pressed, and never for long.
//!
//! After each piece of work a trigger rests, as long as the pressure lasts, for at most a multiple of what the piece
//! took. So whatever the pressure, a channel's processor has half of the time that it would have without, and the
//! background a fifth: a backlog drains under every load, only more slowly. Without pressure nobody rests.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::pressure::Pressure;

/// Between two looks at the pressure.
const LOOK: Duration = Duration::from_millis(5);
/// No rest is longer, whatever took how long before it.
const LONGEST: Duration = Duration::from_secs(5);

/// What a trigger's work is, compared to answering vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Sweeps, replays, projections: rests first and longest.
    Background,
    /// Applying what was acknowledged.
    Processing,
}

impl Work {
    /// How full the door is when this work rests, in quarters. The door refuses low priority at two.
    fn rests_at(self) -> usize {
        match self {
            Work::Background => 1,
            Work::Processing => 2,
        }
    }

    /// The longest rest after work that took so long.
    fn rest(self, worked: Duration) -> Duration {
        let times = match self {
            Work::Background => 4,
            Work::Processing => 1,
        };
        worked.saturating_mul(times).min(LONGEST)
    }
}

/// A trigger's manners.
#[derive(Debug, Clone)]
pub(super) struct GiveWay {
    work: Work,
    pressure: Option<Arc<Pressure>>,
}

impl GiveWay {
    pub(super) fn new(work: Work, pressure: Option<Arc<Pressure>>) -> Self {
        Self { work, pressure }
    }

    /// Rests after a piece of work, while that does anybody good.
    pub(super) async fn rest(&self, worked: Duration, stop: &watch::Receiver<bool>) {
        let Some(pressure) = &self.pressure else { return };
        let until = Instant::now() + self.work.rest(worked);
        // A host that is to stop wants to know what is left.
        while pressure.has_reached(self.work.rests_at()) && Instant::now() < until && !*stop.borrow() {
            tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKED: Duration = Duration::from_millis(50);

    fn pressed(taken: usize) -> Arc<Pressure> {
        let pressure = Arc::new(Pressure::new(8));
        assert!(pressure.take(taken, 4));
        pressure
    }

    /// How many times as long as the work the rest was, rounded down.
    async fn rested(work: Work, taken: usize) -> u128 {
        let (_stopping, stop) = watch::channel(false);
        let began = Instant::now();
        GiveWay::new(work, Some(pressed(taken))).rest(WORKED, &stop).await;
        began.elapsed().as_millis() / WORKED.as_millis()
    }

    #[tokio::test]
    async fn the_background_rests_sooner_and_longer_than_the_processors() {
        assert_eq!(rested(Work::Processing, 3).await, 0);
        assert_eq!(rested(Work::Background, 1).await, 0);
        assert!(rested(Work::Background, 2).await >= 4);
        assert!(rested(Work::Processing, 4).await >= 1);
    }

    #[tokio::test]
    async fn under_pressure_without_end_every_rest_ends() {
        assert_eq!(Work::Processing.rest(WORKED), WORKED, "half of the time");
        assert_eq!(Work::Background.rest(WORKED), 4 * WORKED, "a fifth");
        assert_eq!(Work::Background.rest(Duration::from_secs(3600)), LONGEST);
        assert!(rested(Work::Processing, 8).await >= 1);
    }

    #[tokio::test]
    async fn a_rest_ends_with_the_pressure_and_when_the_host_stops() {
        let long = Duration::from_secs(4);
        let pressure = pressed(8);
        let (stopping, stop) = watch::channel(false);
        let processor = GiveWay::new(Work::Processing, Some(pressure.clone()));
        let relieved = async {
            tokio::time::sleep(WORKED).await;
            pressure.give_back(8);
        };
        let began = Instant::now();
        tokio::join!(processor.rest(long, &stop), relieved);
        assert!(pressure.take(8, 4));
        stopping.send(true).unwrap();
        processor.rest(long, &stop).await;
        assert!(began.elapsed() < long / 2, "{:?}", began.elapsed());
    }
}
