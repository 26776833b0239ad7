//! When a timer fires: by an NCRONTAB expression or after a fixed interval. All times are UTC.

use std::time::Duration;

use super::{ncrontab::Ncrontab, time_span};
use crate::clock::Timestamp;

/// A timer trigger's `schedule`.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    Cron(Ncrontab),
    /// `hh:mm:ss`, counted from the last occurrence.
    Every(Duration),
}

impl Schedule {
    /// Reads an NCRONTAB expression or, failing that, a time span.
    ///
    /// # Errors
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Ncrontab::parse(text) {
            Ok(cron) => Ok(Self::Cron(cron)),
            Err(problem) => time_span::parse(text)
                .map(Self::Every)
                .ok_or_else(|| format!("the schedule `{text}` is neither NCRONTAB ({problem}) nor a time span")),
        }
    }

    /// The first occurrence strictly after `moment`; `None` when there is none.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(moment),
            Self::Every(interval) => moment.checked_add_signed(chrono::Duration::from_std(*interval).ok()?),
        }
    }

    /// What `Data.<timer>.Schedule.AdjustForDST` says.
    pub fn adjusts_for_dst(&self) -> bool {
        matches!(self, Self::Cron(_))
    }
}
