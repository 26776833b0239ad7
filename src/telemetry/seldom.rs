//! Saying the same thing seldom: what fails thousands of times a second is told at once, and then every now and then.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two log lines about the same trouble.
const EVERY: Duration = Duration::from_secs(10);

/// Decides whether something is said. One for each thing to say.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    /// How often it was not, since then.
    left_out: u64,
}

impl Seldom {
    /// `Some` where it is to be said now, with how often it was left out since the last time.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            said.left_out += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_seldom_and_what_was_left_out_is_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.at(start), Some(0));
        for _ in 0..5000 {
            assert_eq!(seldom.at(start + EVERY / 2), None);
        }
        assert_eq!(seldom.at(start + EVERY), Some(5000));
        assert_eq!(seldom.at(start + EVERY), None);
    }
}
