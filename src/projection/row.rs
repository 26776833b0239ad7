//! An announcement as a row of `dbo.Events`: every column, each value as its column takes it.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    mask::mask,
    schema::{EVENTS, LONGEST_KEY},
};
use crate::{
    channels::status::{effective_time, rank},
    ledger::announcement::Announcement,
    sql::{Column, ColumnType, datetime},
    telemetry::Tokens,
};

/// A person's name or number that is shorter makes holes in any text.
const SHORTEST_NAME: usize = 4;

/// The row of an announcement.
///
/// # Errors
/// The column that cannot take its value, and why. Only an announcement that the ledger never wrote can get there.
pub fn row(announcement: &Announcement<'_>, tokens: &Tokens) -> Result<Map<String, Value>, String> {
    let event = announcement.data.as_ref();
    let token = |address: &Option<String>| address.as_deref().map(|address| tokens.address(address));
    let number = |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let reason = event.reason.as_deref().map(|reason| {
        let people = [&event.recipient, &event.sender].into_iter().flatten().filter(|name| name.len() >= SHORTEST_NAME);
        let named = people.fold(reason.to_owned(), |text, name| text.replace(name.as_str(), &tokens.address(name)));
        mask(&named, tokens)
    });
    let values = json!({
        "event_id": announcement.id,
        "message_key": key(&announcement.subject),
        "event_type": event.event_type,
        "channel": event.channel,
        "provider": event.provider,
        "provider_message_id": event.provider_message_id,
        "occurred_at": event.occurred_at.map(datetime),
        "received_at": datetime(announcement.receivedtime),
        "applied_at": datetime(announcement.recordedtime),
        "status_at": datetime(effective_time(event, announcement.receivedtime)),
        "status_rank": rank(event.event_type),
        "provider_status": event.provider_status,
        "recipient": token(&event.recipient),
        "sender": token(&event.sender),
        "reason_code": event.reason_code,
        "reason": reason,
        "bounce_class": event.bounce_class,
        "sequence": number(event.sequence),
        "duration_s": number(event.duration_s),
        "unsubscribe_group": event.unsubscribe_group,
    });
    let Value::Object(mut values) = values else { unreachable!("an object was written above") };
    let mut row = Map::with_capacity(EVENTS.columns.len());
    for column in EVENTS.columns {
        let value = fitted(column, values.remove(column.name).unwrap_or_default());
        column.check(&value)?;
        row.insert(column.name.to_owned(), value);
    }
    Ok(row)
}

/// A text that is longer than its column is cut: refused, it would fail every batch that it is in. SQL Server has no
/// place for U+0000.
fn fitted(column: &Column, value: Value) -> Value {
    let (Value::String(text), ColumnType::Nvarchar(length)) = (&value, column.column_type) else { return value };
    if text.encode_utf16().count() <= length && !text.contains('\0') {
        return value;
    }
    cut(&text.replace('\0', "\u{fffd}"), length).into()
}

/// The first `length` UTF-16 code units, with `…` in the last one where something is missing.
fn cut(text: &str, length: usize) -> String {
    if text.encode_utf16().count() <= length {
        return text.to_owned();
    }
    let mut units = 0;
    let kept = text.chars().take_while(|character| {
        units += character.len_utf16();
        units < length
    });
    kept.chain(['…']).collect()
}

/// A message key as its column holds it. One that is too long must not be cut, since two could become one; nor may it
/// end in a space, which SQL Server does not compare.
fn key(key: &str) -> String {
    if key.encode_utf16().count() <= LONGEST_KEY && !key.ends_with(' ') && !key.contains('\0') {
        return key.to_owned();
    }
    let vendor = key.split(':').next().unwrap_or_default();
    format!("{}:sha256-{}", cut(vendor, 100), hex::encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Secret,
        event::{Channel, Event, EventType},
        ledger::records::OutboxRecord,
    };

    fn row_of(event: Event) -> Map<String, Value> {
        let record = OutboxRecord {
            id: "out:x".into(),
            key: event.message_key(),
            destinations: Vec::new(),
            created_at: "2026-11-20T10:00:02Z".parse().unwrap(),
            received_at: Some("2026-11-20T10:00:01.5Z".parse().unwrap()),
            envelope_id: "e".into(),
            traceparent: None,
            event,
        };
        row(&Announcement::of(&record), &Tokens::new(&Secret::new("key"))).unwrap()
    }

    fn names() -> Vec<&'static str> {
        EVENTS.columns.iter().map(|column| column.name).collect()
    }

    #[test]
    fn every_event_type_fills_every_column_and_in_one_order() {
        for event_type in EventType::ALL {
            let row = row_of(Event::new(*event_type, Channel::Voice, "acme", "m", "acme:1".into()));
            let mut sorted = names();
            sorted.sort_unstable();
            assert_eq!(row.keys().collect::<Vec<_>>(), sorted, "{event_type}");
            assert_eq!(row["status_at"], "2026-11-20 10:00:01.5000000", "received: the vendor tells no time");
            assert_eq!((&row["occurred_at"], &row["recipient"]), (&Value::Null, &Value::Null));
        }
    }

    #[test]
    fn what_is_too_long_for_its_column_is_cut_and_never_fails_a_batch() {
        let long = "\u{1f600}\0é\"\\".repeat(50_000);
        let mut event = Event::new(EventType::MessageBounced, Channel::Email, &long, &long, long.clone());
        (event.reason_code, event.reason) = (Some(long.clone()), Some(long.clone()));
        (event.recipient, event.sender) = (Some(format!("to {long}")), Some(format!("from {long}")));
        event.provider_status = long.clone();
        (event.sequence, event.duration_s, event.unsubscribe_group) = (Some(u64::MAX), Some(u64::MAX), Some(i64::MIN));
        event.occurred_at = Some("2026-11-20T10:00:00.123456789Z".parse().unwrap());
        let row = row_of(event);
        assert!(row["reason"].as_str().unwrap().ends_with('…'));
        assert!(row["message_key"].as_str().unwrap().contains(":sha256-"), "two keys must not become one");
        assert_eq!(row["sequence"], i64::MAX);
        // A batch of the longest rows is far from the host's limits.
        assert!(serde_json::to_vec(&row).unwrap().len() * 256 < 8 << 20);
    }

    #[test]
    fn people_are_tokens_wherever_the_vendor_names_them() {
        let mut event =
            Event::new(EventType::MessageBounced, Channel::Email, "acme", "m", "acme:ana@example.com".into());
        event.recipient = Some("Ana <ana@example.com>".into());
        event.sender = Some("ACME Shop".into());
        event.reason = Some("550 <ana@example.com> does not know ACME Shop, call +1 202 555 0143".into());
        let row = row_of(event);
        let text = serde_json::to_string(&row).unwrap();
        for part in ["ana@", "example.com", "ACME Shop", "555"] {
            assert!(!text.contains(part), "{text}");
        }
        let token = row["recipient"].as_str().unwrap();
        assert!(token.starts_with("tok_") && row["reason"].as_str().unwrap().contains(token), "{text}");
    }
}
