//! A clock that runs as the machine's does, and can be set forward and back.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use sluice::clock::{Clock, Timestamp};

/// Every part of a run goes by one.
#[derive(Debug, Default)]
pub struct JumpingClock(AtomicI64);

impl JumpingClock {
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a test's jump is short"), Ordering::SeqCst);
    }

    pub fn back(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_millis()).expect("a test's jump is short"), Ordering::SeqCst);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now() + TimeDelta::milliseconds(self.0.load(Ordering::SeqCst))
    }
}
