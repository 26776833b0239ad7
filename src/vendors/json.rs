//! JSON as vendors write it: numbers in quotes, seconds or milliseconds, fields of the wrong type.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::Unreadable;
use crate::clock::Timestamp;

/// From here on a number counts milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
const FIRST_MILLISECOND: f64 = 1e11;
/// The last second that RFC 3339 can write.
const LAST_SECOND: i64 = 253_402_300_799;

/// A value as text: strings as they are, numbers and booleans as JSON writes them. `None` for blank and for the rest.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

/// A field's value as text.
pub(super) fn field(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(text)
}

/// A whole number, in quotes or not.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A moment: RFC 3339 text, or seconds or milliseconds since 1970, in quotes or not.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => epoch(&number.to_string()),
        Value::String(text) => time_of_text(text),
        _ => None,
    }
}

/// As [`time`], of text.
pub(super) fn time_of_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Some(time.to_utc()),
        Err(_) => epoch(text),
    }
}

fn epoch(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    let milliseconds = if number.abs() < FIRST_MILLISECOND {
        // Whole seconds, the usual case, stay exact; a fraction is good to the millisecond.
        (number * 1000.0).round()
    } else {
        number
    };
    if !(0.0..=(LAST_SECOND * 1000) as f64).contains(&milliseconds) {
        return None;
    }
    DateTime::from_timestamp_millis(milliseconds as i64)
}

/// Why a body is no JSON, told without a word of the body.
pub(super) fn unreadable(expected: &str, error: &serde_json::Error) -> Unreadable {
    Unreadable(format!("the body is not {expected} (line {}, column {})", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_moment_may_be_text_or_a_number_in_seconds_or_milliseconds() {
        let moment: Timestamp = "2026-11-20T18:39:58Z".parse().unwrap();
        for value in [
            json!("2026-11-20T18:39:58.000Z"),
            json!("2026-11-20T19:39:58+01:00"),
            json!(1_795_199_998),
            json!("1795199998"),
            json!(1_795_199_998_000_i64),
            json!(1_795_199_998.0),
        ] {
            assert_eq!(time(&value), Some(moment), "{value}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for value in [json!("soon"), json!(-1), json!(1e300), json!("NaN"), json!("inf"), json!(null), json!([1])] {
            assert_eq!(time(&value), None, "{value}");
        }
    }
}
