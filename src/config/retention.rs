//! `[retention]`: how long what is kept is kept.

use std::{fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};

/// How long a kind of record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// From its last change on.
    For(Duration),
    Forever,
}

impl Keep {
    /// The time to live of what is written now.
    pub fn ttl(self) -> Option<Duration> {
        match self {
            Keep::For(time) => Some(time),
            Keep::Forever => None,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::For(time) => humantime_serde::re::humantime::format_duration(*time).fmt(formatter),
            Keep::Forever => formatter.write_str("forever"),
        }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "forever" {
            return Ok(Keep::Forever);
        }
        let time = humantime_serde::re::humantime::parse_duration(&text);
        time.map(Keep::For).map_err(|_| D::Error::custom("expected \"forever\", or a duration like \"400d\""))
    }
}

impl JsonSchema for Keep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "`forever`, or a duration like `400d`." })
    }
}

/// How long each container's records are kept. What ends by itself has its time elsewhere: `bus.time_to_live`,
/// `delivery.keep_records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events and statuses of a message. A repeat of an event that is gone is applied again.
    pub ledger: Keep,
    /// What was given up on.
    pub parked: Keep,
    /// Wishes. An opt-out that is gone suppresses nobody.
    pub consent: Keep,
    /// What operators did.
    pub audit: Keep,
    /// Bodies too large for the bus.
    pub blobs: Keep,
}

impl Default for Retention {
    fn default() -> Self {
        let forever = Keep::Forever;
        Self { ledger: forever, parked: forever, consent: forever, audit: forever, blobs: forever }
    }
}
