//! The host's value encoding.
//!
//! Objects, dates and byte arrays are plain JSON. Everything else (text, numbers, booleans, arrays) is **JSON text
//! inside a JSON string**: `abc` is `"\"abc\""`, 4 is `"4"`, `[1,2]` is `"[1,2]"`. The function's `dataType` decides how
//! a value is read, never its looks: base64 can look like a number, and a body may itself be a quoted string. Only when
//! that strict step fails is the raw text taken, and the log says so.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use tracing::warn;

use crate::clock::Timestamp;

/// What function.json's `dataType` says about a trigger's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// `"dataType": "string"`: double-encoded text.
    Text,
    /// `"dataType": "binary"`: base64.
    Binary,
}

/// A JSON string, borrowed when it has no escapes.
#[derive(Deserialize)]
struct JsonString<'a>(#[serde(borrow)] Cow<'a, str>);

/// Undoes one level: the text of a JSON string.
pub(super) fn unquote(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    serde_json::from_str::<JsonString>(raw).map(|string| string.0)
}

/// A double-encoded text.
pub(super) fn text<'a>(raw: &'a str, binding: &str) -> Result<Cow<'a, str>, serde_json::Error> {
    let outer = unquote(raw)?;
    match unquote(&outer) {
        Ok(inner) => Ok(Cow::Owned(inner.into_owned())),
        Err(_) => {
            warn!(binding, "the value is not text within a JSON string: taking it as it is");
            Ok(outer)
        }
    }
}

/// Appends the bytes of one message body to `out`.
pub(super) fn append_body(encoded: &str, data_type: DataType, binding: &str, out: &mut Vec<u8>) {
    let start = out.len();
    let strict = match data_type {
        DataType::Binary => STANDARD.decode_vec(encoded, out).is_ok(),
        DataType::Text => {
            out.extend_from_slice(encoded.as_bytes());
            true
        }
    };
    if !strict {
        warn!(
            binding,
            "a message body is not base64: taking its text. Does function.json say \"dataType\": \"binary\"?"
        );
        out.truncate(start);
        out.extend_from_slice(encoded.as_bytes());
    }
}

/// One message's body, alone in its value.
pub(super) fn body(raw: &str, data_type: DataType, binding: &str) -> Result<Bytes, serde_json::Error> {
    let encoded = match data_type {
        DataType::Binary => unquote(raw)?,
        DataType::Text => text(raw, binding)?,
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    append_body(&encoded, data_type, binding, &mut bytes);
    Ok(bytes.into())
}

/// A metadata value: JSON text inside a JSON string, or plain JSON. `None` when it has another shape.
pub(super) fn lenient<T: DeserializeOwned>(raw: &str) -> Option<T> {
    unquote(raw).ok().and_then(|inner| serde_json::from_str(&inner).ok()).or_else(|| serde_json::from_str(raw).ok())
}

/// The host's dates: with an offset or, meaning UTC, without. `0001-01-01T00:00:00`, .NET's "never", is `None`.
pub fn date(text: &str) -> Option<Timestamp> {
    let naive = || text.parse::<NaiveDateTime>().map(|date| date.and_utc());
    let zoned = || DateTime::parse_from_rfc3339(text).map(|date| date.with_timezone(&Utc));
    naive().or_else(|_| zoned()).ok().filter(|date| *date > DateTime::UNIX_EPOCH)
}
