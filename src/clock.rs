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

/// RFC 3339 with as many decimals as it takes, as chrono's own serializer writes it.
pub fn exact(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Milliseconds in RFC 3339, always with three decimals, so that texts sort as the moments do.
pub mod millis {
    use chrono::SecondsFormat;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Timestamp;

    /// The text form.
    pub fn text(at: Timestamp) -> String {
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// For `#[serde(with = "clock::millis")]`.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*at))
    }

    /// For `#[serde(with = "clock::millis")]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_form_is_chronos_own() {
        let moments = ["2026-11-20T18:39:58Z", "2026-11-20T18:39:58.120Z", "2026-11-20T18:39:58.000120Z"];
        for text in moments.into_iter().chain(["0001-01-01T00:00:00.000000001Z", "1969-12-31T23:59:59.999999999Z"]) {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(exact(at), text);
            assert_eq!(serde_json::to_value(at).unwrap(), text);
        }
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        for (text, millis) in [
            ("2026-11-20T18:39:58Z", "2026-11-20T18:39:58.000Z"),
            ("2026-11-20T18:39:58.1209Z", "2026-11-20T18:39:58.120Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(millis::text(text.parse().unwrap()), millis);
        }
    }
}
