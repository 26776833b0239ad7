//! The breaker: when to leave an endpoint alone. A state machine without I/O; [`super::breakers`] shares it.
//!
//! After [`FAILURES`] failures in a row it opens for [`OPEN_FOR`]. Then one attempt is let through, the probe: its success
//! closes the breaker, its failure opens it again. Whoever probes says until when, so that another may probe when the
//! first one died.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, millis};

/// Failures in a row that open it.
pub const FAILURES: u32 = 5;
/// How long it stays open before a probe.
pub const OPEN_FOR: Duration = Duration::from_secs(60);

/// What is known of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    #[serde(flatten)]
    pub state: State,
    /// Since when nothing but failures has come of it; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
#[schemars(rename = "BreakerState")]
pub enum State {
    #[default]
    Closed,
    /// Nobody may ask before this time.
    Open {
        #[serde(with = "millis")]
        #[schemars(with = "Timestamp")]
        until: Timestamp,
    },
    /// One instance asks; when it has not answered by this time, another may.
    Probing {
        by: String,
        #[serde(with = "millis")]
        #[schemars(with = "Timestamp")]
        until: Timestamp,
    },
}

/// What an attempt may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// After a successful [`Breaker::claim`].
    Probe,
    Wait(Timestamp),
}

impl Breaker {
    /// May an attempt be made now?
    pub fn ask(&self, now: Timestamp) -> Verdict {
        match &self.state {
            State::Closed => Verdict::Pass,
            State::Open { until } | State::Probing { until, .. } if *until > now => Verdict::Wait(*until),
            State::Open { .. } | State::Probing { .. } => Verdict::Probe,
        }
    }

    /// Whether it keeps everybody away, but for a probe.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// The state while `by` probes.
    pub fn claim(&self, by: &str, until: Timestamp) -> Self {
        Self { state: State::Probing { by: by.to_owned(), until }, ..self.clone() }
    }

    /// The state after so many failures in a row, the first of them at `since`.
    pub fn opened(&self, since: Timestamp, now: Timestamp) -> Self {
        Self {
            state: State::Open { until: now + OPEN_FOR },
            failing_since: Some(self.failing_since.map_or(since, |known| known.min(since))),
        }
    }

    /// Whether `by` holds the probe: the answers of attempts that were under way before count for nothing.
    pub fn probed_by(&self, by: &str) -> bool {
        matches!(&self.state, State::Probing { by: prober, .. } if prober == by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn it_opens_lets_one_probe_through_and_closes_when_that_succeeds() {
        let closed = Breaker::default();
        assert_eq!(closed.ask(at(0)), Verdict::Pass);
        let open = closed.opened(at(-10), at(0));
        assert!(open.is_open());
        assert_eq!(open.ask(at(59)), Verdict::Wait(at(60)));
        assert_eq!(open.ask(at(60)), Verdict::Probe);

        let probing = open.claim("one", at(100));
        assert_eq!(probing.ask(at(61)), Verdict::Wait(at(100)), "nobody else");
        assert!(probing.probed_by("one") && !probing.probed_by("two"));
        assert_eq!(probing.ask(at(100)), Verdict::Probe, "the prober died");

        let again = probing.opened(at(61), at(62));
        assert_eq!(again.ask(at(121)), Verdict::Wait(at(122)));
        assert_eq!(again.failing_since, Some(at(-10)), "the failing has not stopped in between");
    }

    #[test]
    fn it_is_kept_as_json_and_comes_back() {
        let open = Breaker::default().opened(at(0), at(1));
        for breaker in [Breaker::default(), open.claim("one", at(2)), open] {
            let text = serde_json::to_string(&breaker).unwrap();
            assert_eq!(serde_json::from_str::<Breaker>(&text).unwrap(), breaker, "{text}");
        }
    }
}
