//! Time, as something the program is given: tests own it, and no module asks the system directly.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// A moment in UTC.
pub type Timestamp = DateTime<Utc>;

/// Tells what time it is. Deadlines and sleeps use Tokio's clock; this one stamps and compares records.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Utc::now()
    }
}

/// The clock every part of the program shares.
pub type SharedClock = Arc<dyn Clock>;
