//! .NET's way of writing a duration: `[d.]hh:mm:ss[.fffffff]`.

use std::time::Duration;

/// Reads a positive time span. `None` when the text is none; a bare number, which .NET takes for days, is refused.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (clock, fraction) = match text.split_once(':')?.1.split_once('.') {
        Some((_, fraction)) => (text.strip_suffix(fraction)?.strip_suffix('.')?, fraction),
        None => (text, ""),
    };
    let mut parts = clock.split(':');
    let (days, hours) = match parts.next()?.split_once('.') {
        Some((days, hours)) => (number(days, u32::MAX)?, number(hours, 23)?),
        None => (0, number(clock.split(':').next()?, 23)?),
    };
    let minutes = number(parts.next()?, 59)?;
    let seconds = parts.next().map_or(Some(0), |seconds| number(seconds, 59))?;
    if parts.next().is_some() || fraction.len() > 7 {
        return None;
    }
    let ticks = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<7}"), 9_999_999)? };
    let whole = ((u64::from(days) * 24 + u64::from(hours)) * 60 + u64::from(minutes)) * 60 + u64::from(seconds);
    let span = Duration::new(whole, ticks * 100);
    (span > Duration::ZERO).then_some(span)
}

fn number(digits: &str, max: u32) -> Option<u32> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| valid && *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_read_as_dot_net_reads_them() {
        let cases = [
            ("00:00:05", Some(Duration::from_secs(5))),
            ("00:30", Some(Duration::from_secs(1800))),
            ("1.02:03:04", Some(Duration::from_secs(93_784))),
            ("00:00:00.25", Some(Duration::from_millis(250))),
            ("00:00:00", None),
            ("24:00:00", None),
            ("00:60:00", None),
            ("-00:00:05", None),
            ("+1:00:00", None),
            ("5", None),
            ("", None),
            ("00:00:05:06", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
