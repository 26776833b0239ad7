//! The generic mapping: JSON Pointers from `sluice.toml` pick an event's fields out of a payload.

use chrono::DateTime;
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Callback, Unreadable};
use crate::{
    clock::Timestamp,
    config::Mapping,
    event::{Event, EventType},
};

/// The header that names an event where the mapping says nothing else. Its `svix-` twin counts as the same.
const WEBHOOK_ID: &str = "webhook-id";

/// Reads payloads by a mapping.
#[derive(Debug)]
pub(super) struct Mapper {
    mapping: Mapping,
    headers: Vec<HeaderName>,
}

impl Mapper {
    pub fn new(mapping: Mapping) -> Self {
        let paths = [&mapping.event_id, &mapping.occurred_at, &mapping.recipient, &mapping.sender];
        let paths = paths.into_iter().chain([&mapping.reason_code, &mapping.reason]).flatten();
        let paths = paths.chain([&mapping.message_id, &mapping.status]);
        let named = paths.filter_map(|path| path.strip_prefix("header:"));
        let mut headers: Vec<HeaderName> = named.filter_map(|name| HeaderName::try_from(name).ok()).collect();
        headers.extend([HeaderName::from_static(WEBHOOK_ID), HeaderName::from_static("svix-id")]);
        headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        Self { mapping, headers }
    }

    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    pub fn events(&self, provider: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        let body: Value = serde_json::from_slice(&callback.body)
            .map_err(|error| Unreadable(format!("the body is no JSON: {error}")))?;
        let Some(each) = &self.mapping.each else {
            return Ok(vec![self.event(provider, callback, &body, None)]);
        };
        match body.pointer(each) {
            Some(Value::Array(elements)) => {
                let event = |(index, element)| self.event(provider, callback, element, Some(index));
                Ok(elements.iter().enumerate().map(event).collect())
            }
            _ => Err(Unreadable(format!("there is no array at {each:?}"))),
        }
    }

    fn event(&self, provider: &str, callback: &Callback, element: &Value, index: Option<usize>) -> Event {
        let mapping = &self.mapping;
        let find = |path: &Option<String>| path.as_deref().and_then(|path| find(path, element, &callback.headers));
        let status = find_text(&mapping.status, element, &callback.headers).unwrap_or_default();
        let event_type = mapping.statuses.get(&status).copied().unwrap_or(EventType::Unknown);
        let digest = || digest(&[element.to_string().as_bytes(), &index.unwrap_or(0).to_be_bytes()]);
        let message_id = find_text(&mapping.message_id, element, &callback.headers);
        let event_id = match &mapping.event_id {
            Some(path) => find_text(path, element, &callback.headers).or_else(|| webhook_id(path, &callback.headers)),
            None => webhook_id("header:webhook-id", &callback.headers),
        };
        // A header names the whole callback: elements of one callback are told apart by their place in it.
        let by_header = mapping.event_id.as_deref().is_none_or(|path| path.starts_with("header:"));
        let event_id = match (event_id, index) {
            (Some(id), Some(index)) if by_header => format!("{id}:{index}"),
            (Some(id), _) => id,
            (None, _) => digest(),
        };
        let message_id = message_id.unwrap_or_else(|| event_id.clone());
        let key = format!("{provider}:{event_id}");
        let mut event = Event::new(event_type, callback.channel, provider, &message_id, key);
        event.provider_status = status;
        event.occurred_at = find(&mapping.occurred_at).as_ref().and_then(time_of);
        let text = |path| find(path).as_ref().and_then(text_of);
        event.recipient = text(&mapping.recipient);
        event.sender = text(&mapping.sender);
        event.reason_code = text(&mapping.reason_code);
        event.reason = text(&mapping.reason);
        event
    }
}

fn find(path: &str, element: &Value, headers: &HeaderMap) -> Option<Value> {
    match path.strip_prefix("header:") {
        Some(name) => headers.get(name).and_then(|value| value.to_str().ok()).map(|text| Value::String(text.into())),
        None => element.pointer(path).cloned(),
    }
}

fn find_text(path: &str, element: &Value, headers: &HeaderMap) -> Option<String> {
    find(path, element, headers).as_ref().and_then(text_of)
}

/// The webhook id under either of its two names, where `path` asks for it.
fn webhook_id(path: &str, headers: &HeaderMap) -> Option<String> {
    let asked = path.strip_prefix("header:").is_some_and(|name| name.eq_ignore_ascii_case(WEBHOOK_ID));
    let id = headers.get(WEBHOOK_ID).or_else(|| headers.get("svix-id")).filter(|_| asked)?;
    id.to_str().ok().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A scalar as text, unless it is empty.
pub(super) fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// RFC 3339 text, or seconds or milliseconds since 1970 as a number or its text.
fn time_of(value: &Value) -> Option<Timestamp> {
    let text = text_of(value)?;
    if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
        return Some(time.to_utc());
    }
    // As seconds this is the year 5138; as milliseconds 1973.
    const MILLISECONDS_FROM: f64 = 1e11;
    let number: f64 = text.parse().ok()?;
    let millis = if number.abs() < MILLISECONDS_FROM { number * 1_000.0 } else { number };
    (millis.abs() < 1e15).then(|| DateTime::from_timestamp_millis(millis.round() as i64)).flatten()
}

/// A key for what has none: equal bytes give equal keys.
pub(super) fn digest(pieces: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for piece in pieces {
        digest.update((piece.len() as u64).to_be_bytes());
        digest.update(piece);
    }
    format!("sha256-{}", hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let expected: Option<Timestamp> = "2026-11-20T18:39:58.120Z".parse().ok();
        for value in [
            Value::from("2026-11-20T18:39:58.120Z"),
            Value::from("2026-11-20T19:39:58.12+01:00"),
            Value::from(1_795_199_998_120_u64),
            Value::from(1_795_199_998.12),
            Value::from("1795199998.12"),
        ] {
            assert_eq!(time_of(&value), expected, "{value}");
        }
        for value in [Value::from("yesterday"), Value::from(1e300), Value::Null, Value::from("NaN"), Value::from("")] {
            assert_eq!(time_of(&value), None, "{value}");
        }
    }
}
