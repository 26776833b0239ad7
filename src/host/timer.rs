//! Timer triggers.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    invocation::{Invocation, InvocationError, bad_data},
    value,
};
use crate::clock::Timestamp;

/// Why and when a timer fired. Without a monitored schedule there are no dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerInfo {
    /// This run is late: its moment passed while the host was down or an earlier run was still going.
    pub is_past_due: bool,
    /// The occurrence before this one; `None` at the first run.
    pub last: Option<Timestamp>,
    pub next: Option<Timestamp>,
    pub last_updated: Option<Timestamp>,
}

impl Invocation<'_> {
    /// A timer trigger's data. A date that cannot be read is `None`.
    ///
    /// # Errors
    /// There is no such binding, or its value is not an object.
    pub fn timer(&self, binding: &str) -> Result<TimerInfo, InvocationError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Timer<'a> {
            #[serde(default)]
            is_past_due: bool,
            #[serde(borrow, default)]
            schedule_status: Option<Status<'a>>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "PascalCase")]
        struct Status<'a> {
            #[serde(borrow, default)]
            last: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            next: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            last_updated: Option<Cow<'a, str>>,
        }
        let timer: Timer =
            serde_json::from_str(self.data(binding)?).map_err(|error| bad_data(binding, "a timer", error))?;
        let status = timer.schedule_status.unwrap_or_default();
        let date = |text: Option<Cow<str>>| text.and_then(|text| value::date(&text));
        Ok(TimerInfo {
            is_past_due: timer.is_past_due,
            last: date(status.last),
            next: date(status.next),
            last_updated: date(status.last_updated),
        })
    }
}
