//! How the rate of an open loop goes: when each of its requests is due.

use std::time::Duration;

/// What the rate does over time. `rate` is the one that [`super::LoadOptions`] names.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pattern {
    /// It stays as it is.
    #[default]
    Steady,
    /// It goes evenly from `rate` to `to` requests per second, and stays there after `over` (above zero).
    Ramp { to: f64, over: Duration },
    /// The last second of each `every` (above one second) has so many `times` the rate.
    Burst { times: f64, every: Duration },
}

/// How long a burst lasts.
const BURST: f64 = 1.0;

impl Pattern {
    /// When a request is due, from the start of the run. They are numbered from 0.
    pub fn due(&self, rate: f64, request: usize) -> Duration {
        let number = request as f64;
        Duration::from_secs_f64(match *self {
            Pattern::Steady => number / rate,
            Pattern::Ramp { to, over } => {
                let over = over.as_secs_f64();
                let climbing = (rate + to) / 2.0 * over;
                match number < climbing {
                    // rate·t + (to - rate)/(2·over)·t² = number, in the form that also holds where to = rate.
                    true => 2.0 * number / (rate + (rate * rate + 2.0 * (to - rate) / over * number).sqrt()),
                    false => over + (number - climbing) / to,
                }
            }
            Pattern::Burst { times, every } => {
                let calm = every.as_secs_f64() - BURST;
                let before_burst = rate * calm;
                let period = before_burst + rate * times * BURST;
                let (periods, rest) = ((number / period).floor(), number % period);
                let within = match rest < before_burst {
                    true => rest / rate,
                    false => calm + (rest - before_burst) / (rate * times),
                };
                periods * every.as_secs_f64() + within
            }
        })
    }

    /// How many requests are due within a time.
    pub fn requests(&self, rate: f64, within: Duration) -> f64 {
        let time = within.as_secs_f64();
        match *self {
            Pattern::Steady => rate * time,
            Pattern::Ramp { to, over } => {
                let over = over.as_secs_f64();
                let climbed = time.min(over);
                rate * climbed + (to - rate) / (2.0 * over) * climbed * climbed + to * (time - over).max(0.0)
            }
            Pattern::Burst { times, every } => {
                let every = every.as_secs_f64();
                let calm = every - BURST;
                let period = rate * calm + rate * times * BURST;
                let (periods, rest) = ((time / every).floor(), time % every);
                periods * period + rate * rest.min(calm) + rate * times * (rest - calm).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(f64) -> Duration = Duration::from_secs_f64;

    /// Requests due within each second.
    fn by_second(pattern: Pattern, rate: f64, seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        for request in 0.. {
            // A request that is due on the second may fall to either side of it by a rounding.
            let second = (pattern.due(rate, request).as_secs_f64() + 1e-9) as usize;
            match counts.get_mut(second) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        counts
    }

    #[test]
    fn a_steady_rate_is_the_same_every_second() {
        assert_eq!(by_second(Pattern::Steady, 50.0, 4), [50, 50, 50, 50]);
        assert_eq!(Pattern::Steady.due(0.5, 3), S(6.0));
    }

    #[test]
    fn a_ramp_climbs_evenly_and_then_stays() {
        let ramp = Pattern::Ramp { to: 500.0, over: S(4.0) };
        assert_eq!(by_second(ramp, 100.0, 6), [150, 250, 350, 450, 500, 500]);
        assert_eq!(by_second(Pattern::Ramp { to: 100.0, over: S(2.0) }, 300.0, 3), [250, 150, 100]);
        assert_eq!(by_second(Pattern::Ramp { to: 100.0, over: S(2.0) }, 100.0, 3), [100, 100, 100]);
    }

    #[test]
    fn a_burst_fills_the_last_second_of_each_period() {
        let burst = Pattern::Burst { times: 5.0, every: S(3.0) };
        assert_eq!(by_second(burst, 100.0, 7), [100, 100, 500, 100, 100, 500, 100]);
    }

    #[test]
    fn what_is_due_within_a_time_is_due_by_then_and_the_next_is_not() {
        let patterns = [
            Pattern::Steady,
            Pattern::Ramp { to: 900.0, over: S(5.0) },
            Pattern::Ramp { to: 20.0, over: S(5.0) },
            Pattern::Burst { times: 4.0, every: S(2.5) },
        ];
        for pattern in patterns {
            for time in [0.3, 1.0, 2.0, 2.2, 4.9, 7.7] {
                let count = pattern.requests(130.0, S(time)).round() as usize;
                let late = pattern.due(130.0, count + 1).as_secs_f64();
                let due = pattern.due(130.0, count.saturating_sub(1)).as_secs_f64();
                assert!(due <= time + 1e-6 && late > time, "{pattern:?}: {count} within {time} s: {due} {late}");
            }
        }
    }

    #[test]
    fn requests_are_due_in_their_order() {
        for pattern in [Pattern::Ramp { to: 7.0, over: S(3.0) }, Pattern::Burst { times: 9.0, every: S(1.5) }] {
            let due: Vec<_> = (0..2000).map(|request| pattern.due(333.0, request)).collect();
            assert!(due.is_sorted(), "{pattern:?}");
        }
    }
}
