//! What is measured: closed loops and open loops of several patterns.

use std::time::Duration;

use crate::simulate::{LoadOptions, Pattern};

/// A pattern's name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PatternName {
    /// The same rate throughout
    Steady,
    /// From --rate to --to
    Ramp,
    /// --burst-times the rate in the last second of each --burst-every
    Burst,
    /// The steady rate, and 65 % of the requests repeat an earlier one
    Storm,
}

impl PatternName {
    pub const ALL: &[Self] = &[Self::Steady, Self::Ramp, Self::Burst, Self::Storm];
}

/// The share of repeats in a storm: what a handler that answered slowly was seen to provoke.
const STORM: f64 = 0.65;

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// So many connections, each sends when its answer has come.
    Closed { connections: u16 },
    /// Requests are due whether answers come or not.
    Open { name: PatternName, rate: f64, pattern: Pattern, in_flight: u16 },
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub kind: Kind,
    pub lasts: Duration,
}

impl Load {
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Closed { connections } => format!("c={connections}"),
            Kind::Open { name, .. } => format!("{name:?}").to_lowercase(),
        }
    }

    /// Requests per second that are asked for, on average; a closed loop asks for as much as it gets.
    pub fn asked(&self) -> Option<f64> {
        match self.kind {
            Kind::Closed { .. } => None,
            Kind::Open { rate, pattern, .. } => Some(pattern.requests(rate, self.lasts) / self.lasts.as_secs_f64()),
        }
    }

    pub fn duplicates(&self) -> f64 {
        match self.kind {
            Kind::Open { name: PatternName::Storm, .. } => STORM,
            _ => 0.0,
        }
    }

    /// Different callbacks that the load needs.
    pub fn callbacks(&self) -> u32 {
        // More than any machine answers: a closed loop ends by the clock.
        const MOST_PER_SECOND: f64 = 100_000.0;
        let requests = self.asked().unwrap_or(MOST_PER_SECOND) * self.lasts.as_secs_f64();
        (requests * (1.0 - self.duplicates())).round().clamp(1.0, f64::from(u32::MAX / 2)) as u32
    }

    pub fn options(&self) -> LoadOptions {
        match self.kind {
            Kind::Closed { connections } => LoadOptions { connections: connections.into(), ..LoadOptions::default() },
            Kind::Open { rate, pattern, in_flight, .. } => {
                LoadOptions { connections: in_flight.into(), rate: Some(rate), pattern, ..LoadOptions::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: PatternName, pattern: Pattern) -> Load {
        Load { kind: Kind::Open { name, rate: 1000.0, pattern, in_flight: 9 }, lasts: Duration::from_secs(8) }
    }

    #[test]
    fn a_load_is_as_long_as_its_pattern() {
        let ramp = Pattern::Ramp { to: 4000.0, over: Duration::from_secs(8) };
        let burst = Pattern::Burst { times: 5.0, every: Duration::from_secs(4) };
        assert_eq!(open(PatternName::Steady, Pattern::Steady).callbacks(), 8000);
        assert_eq!(open(PatternName::Ramp, ramp).callbacks(), 20_000);
        assert_eq!(open(PatternName::Burst, burst).callbacks(), 16_000);
        assert_eq!(open(PatternName::Burst, burst).asked(), Some(2000.0));
    }

    #[test]
    fn two_thirds_of_a_storm_are_repeats() {
        let storm = open(PatternName::Storm, Pattern::Steady);
        assert_eq!((storm.callbacks(), storm.duplicates()), (2800, 0.65));
    }
}
