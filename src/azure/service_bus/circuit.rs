//! Failing fast: while the broker is known to be gone, or has asked for a pause, nobody waits for it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::random_range;
use tokio::time::Instant;

use super::ServiceBusError;

/// Closed: messages pass. Open: they fail at once with the error that opened it.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<Option<Open>>);

#[derive(Debug)]
struct Open {
    error: ServiceBusError,
    /// `None`: until somebody closes it.
    until: Option<Instant>,
}

impl Circuit {
    /// # Errors
    /// The error that opened the circuit.
    pub fn check(&self, now: Instant) -> Result<(), ServiceBusError> {
        let mut state = self.state();
        match &*state {
            Some(Open { until: Some(until), .. }) if *until <= now => {
                *state = None;
                Ok(())
            }
            Some(Open { error, .. }) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Lets nothing pass until [`Self::close`].
    pub fn open(&self, error: ServiceBusError) {
        *self.state() = Some(Open { error, until: None });
    }

    /// Lets nothing pass before a moment. A circuit that is open stays as it is.
    pub fn pause(&self, error: ServiceBusError, until: Instant) {
        let mut state = self.state();
        if !matches!(&*state, Some(Open { until: None, .. })) {
            *state = Some(Open { error, until: Some(until) });
        }
    }

    pub fn close(&self) {
        *self.state() = None;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        // Every change is one assignment: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waits between attempts to connect: doubling from 100 ms to 5 s, each varied so that instances do not come back
/// in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    pub fn next(&mut self) -> Duration {
        let wait = Self::FIRST.saturating_mul(1 << self.attempts.min(10)).min(Self::LONGEST);
        self.attempts += 1;
        wait.mul_f64(random_range(0.5..=1.0))
    }

    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> ServiceBusError {
        ServiceBusError::Unreachable { host: "h:5671".into(), problem: "refused".into() }
    }

    #[test]
    fn an_open_circuit_fails_with_what_opened_it_until_it_is_closed() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        assert_eq!(circuit.check(now), Ok(()));
        circuit.open(error());
        assert_eq!(circuit.check(now + Duration::from_secs(3600)), Err(error()));
        circuit.close();
        assert_eq!(circuit.check(now), Ok(()));
    }

    #[test]
    fn a_pause_ends_by_itself_and_never_shortens_an_outage() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        let until = now + Duration::from_secs(2);
        circuit.pause(error(), until);
        assert_eq!(circuit.check(now), Err(error()));
        assert_eq!(circuit.check(until), Ok(()));

        circuit.open(error());
        circuit.pause(error(), until);
        assert_eq!(circuit.check(until + Duration::from_secs(60)), Err(error()));
    }

    #[test]
    fn waits_double_to_five_seconds_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        for (wait, full) in waits.iter().zip([100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
            let full = Duration::from_millis(full);
            assert!(*wait >= full / 2 && *wait <= full, "{wait:?} of {full:?}");
        }
        assert!(waits[39] <= Duration::from_secs(5));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
