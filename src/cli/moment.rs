//! Times as people type them: a moment, or how long ago.

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use humantime_serde::re::humantime;

use crate::clock::{Clock, SystemClock, Timestamp};

/// `2026-11-20T10:00:00Z`, `2026-11-20` (midnight UTC), or `2h` (so long ago).
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| SystemClock.now().checked_sub_signed(ago))
        .ok_or_else(|| "a time is like 2026-11-20T10:00:00Z, 2026-11-20, or 2h for two hours ago".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_days_and_durations_are_understood() {
        assert_eq!(parse("2026-11-20T10:00:00Z"), parse("2026-11-20T11:00:00+01:00"));
        assert_eq!(parse("2026-11-20"), parse("2026-11-20T00:00:00Z"));
        let ago = SystemClock.now() - parse("2h").unwrap();
        assert!((7199..=7201).contains(&ago.num_seconds()), "{ago}");
        assert!(parse("yesterday").is_err());
        assert!(parse("9999999999999y").is_err());
    }
}
