//! How long anything is waited for: a service that hangs must be reported, not joined.

use std::time::Duration;

use tokio::time::{Instant, timeout};

/// For one step.
pub(super) const STEP: Duration = Duration::from_secs(4);
/// For a token: `az` alone takes seconds to start.
pub(super) const TOKEN: Duration = Duration::from_secs(8);
/// For all steps of one service together; services are looked at side by side.
const SERVICE: Duration = Duration::from_secs(16);

/// What is left of the time for a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    until: Instant,
}

/// Nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {:.0} s", .0.as_secs_f64())]
pub(super) struct Silence(Duration);

impl Patience {
    pub fn new() -> Self {
        Self::lasting(SERVICE)
    }

    fn lasting(time: Duration) -> Self {
        Self { until: Instant::now() + time }
    }

    /// # Errors
    /// Nothing came within the limit, or within what is left.
    pub async fn wait<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Silence> {
        let limit = limit.min(self.until.saturating_duration_since(Instant::now()));
        timeout(limit, work).await.map_err(|_| Silence(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_silent_steps_take_no_longer_than_one_service_may() {
        let started = Instant::now();
        let patience = Patience::lasting(Duration::from_millis(200));
        for _ in 0..100 {
            patience.wait(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}
