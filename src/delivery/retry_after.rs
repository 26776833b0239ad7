//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::Duration;

use crate::clock::Timestamp;

/// Nobody is believed who wants to be left alone for longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long the server wants to be left alone, from `now`; `None` where the value says nothing.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let date = Timestamp::from(httpdate::parse_http_date(value).ok()?);
    // A date has whole seconds: rounded down it would be too early.
    Some((date - now).to_std().unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_bounded() {
        let now = "2026-11-20T10:00:00.5Z".parse().unwrap();
        let seconds = |value: &str| parse(value, now).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("7"), Some(7.0));
        assert_eq!(seconds(" 0 "), Some(0.0));
        assert_eq!(seconds("Fri, 20 Nov 2026 10:01:00 GMT"), Some(59.5));
        assert_eq!(seconds("Friday, 20-Nov-26 10:01:00 GMT"), Some(59.5), "the form of RFC 850");
        assert_eq!(seconds("Fri, 20 Nov 2026 09:00:00 GMT"), Some(0.0), "it is over");
        for far in ["86401", "99999999999999999999999", "Fri, 20 Nov 2099 10:00:00 GMT"] {
            assert_eq!(seconds(far), Some(86_400.0), "{far}");
        }
        for nothing in ["", "soon", "-1", "1.5", "7 seconds", "20 Nov 2026"] {
            assert_eq!(seconds(nothing), None, "{nothing}");
        }
    }
}
