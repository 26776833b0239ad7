//! The body of an invocation, as the Functions host writes it.
//!
//! The one-machine host runs this for every message, so everything is written straight into one buffer: base64 goes
//! from the message's bytes to its place, and strings within strings are escaped on the way. Left out is what the real
//! host adds and nobody reads (`Client`, `MessageActions`, …, and the copies `UserProperties` and `Label`).

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{Datelike, Timelike};
use serde::Serialize;
use uuid::Uuid;

use super::{timer::TimerInfo, value::DataType};
use crate::{bus::Message, clock::Timestamp};

/// What every invocation has.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub function: &'a str,
    /// The trigger's binding name.
    pub binding: &'a str,
    pub now: Timestamp,
    /// Becomes `Metadata.sys.RandGuid`.
    pub id: Uuid,
}

/// A message on its way to the handler.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    pub message: &'a Message,
    pub delivery_count: u32,
    pub sequence_number: i64,
    pub enqueued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// The handler cannot settle anything: a broker whose locks are no ids leaves it out.
    pub lock_token: Option<Uuid>,
}

/// A Service Bus trigger of cardinality many.
pub fn service_bus_batch<'a, M>(call: &Call, data_type: DataType, messages: M) -> Vec<u8>
where
    M: ExactSizeIterator<Item = Received<'a>> + Clone,
{
    let bodies: usize = messages.clone().map(|received| received.message.body.len()).sum();
    let mut out = Out(Vec::with_capacity(bodies * 3 / 2 + messages.len() * 512 + 512));
    out.open(call);
    out.array(messages.clone(), |out, received| out.element_body(data_type, &received.message.body));
    out.raw("},\"Metadata\":{");

    out.column("DeliveryCount", &messages, |out, received| out.json(&received.delivery_count));
    if messages.clone().all(|received| received.lock_token.is_some()) {
        out.column("LockToken", &messages, |out, received| out.json(&received.lock_token));
    }
    out.column("ExpiresAtUtc", &messages, |out, received| match received.expires_at {
        Some(date) => out.quoted_date(date, Precision::Ticks, ""),
        None => out.raw("null"),
    });
    out.column("EnqueuedTimeUtc", &messages, |out, received| {
        out.quoted_date(received.enqueued_at, Precision::Ticks, "");
    });
    out.column("EnqueuedTime", &messages, |out, received| {
        out.quoted_date(received.enqueued_at, Precision::Ticks, "+00:00");
    });
    out.column("MessageId", &messages, |out, received| out.json(&received.message.message_id));
    out.column("ContentType", &messages, |out, received| out.json(&received.message.content_type));
    out.column("SequenceNumber", &messages, |out, received| out.json(&received.sequence_number));
    out.column("Subject", &messages, |out, received| out.json(&received.message.subject));
    out.column("SessionId", &messages, |out, received| out.json(&received.message.session_id));
    out.column("CorrelationId", &messages, |out, received| out.json(&received.message.correlation_id));
    out.column("ApplicationProperties", &messages, |out, received| out.json(&received.message.properties));
    out.close(call)
}

/// A Service Bus trigger of cardinality one. Only `dataType: binary`: the body's leak into the metadata, which comes
/// with text, is nothing to imitate.
pub fn service_bus_message(call: &Call, received: &Received) -> Vec<u8> {
    let message = received.message;
    let mut out = Out(Vec::with_capacity(message.body.len() * 3 / 2 + 1024));
    out.open(call);
    out.raw("\"");
    out.base64(&message.body);
    out.raw("\"},\"Metadata\":{");
    out.double("DeliveryCount", Some(&received.delivery_count));
    out.double("LockToken", received.lock_token.as_ref());
    if let Some(date) = received.expires_at {
        out.date("ExpiresAtUtc", date, Precision::Seconds, "");
        out.date("ExpiresAt", date, Precision::Seconds, "+00:00");
    }
    out.date("EnqueuedTimeUtc", received.enqueued_at, Precision::Seconds, "");
    out.date("EnqueuedTime", received.enqueued_at, Precision::Seconds, "+00:00");
    out.double("MessageId", Some(&message.message_id));
    out.double("ContentType", message.content_type.as_ref());
    out.double("SequenceNumber", Some(&received.sequence_number));
    out.double("Subject", message.subject.as_ref());
    out.double("SessionId", message.session_id.as_ref());
    out.double("CorrelationId", message.correlation_id.as_ref());
    out.raw("\"ApplicationProperties\":");
    out.plain(&message.properties);
    out.raw(",");
    out.close(call)
}

/// A timer trigger. `adjust_for_dst` is true for NCRONTAB schedules and false for intervals; without a monitored
/// schedule (`monitored` false) the dates are left out.
pub fn timer(call: &Call, info: &TimerInfo, adjust_for_dst: bool, monitored: bool) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(512));
    out.open(call);
    out.raw("{\"Schedule\":{\"AdjustForDST\":");
    out.plain(&adjust_for_dst);
    out.raw("},\"ScheduleStatus\":");
    if monitored {
        out.raw("{");
        for (name, date) in [("Last", info.last), ("Next", info.next), ("LastUpdated", info.last_updated)] {
            match date {
                Some(date) => out.date(name, date, Precision::Ticks, "+00:00"),
                None => {
                    out.plain(name);
                    out.raw(":\"0001-01-01T00:00:00\",");
                }
            }
        }
        out.0.pop();
        out.raw("}");
    } else {
        out.raw("null");
    }
    out.raw(",\"IsPastDue\":");
    out.plain(&info.is_past_due);
    out.raw("}},\"Metadata\":{");
    out.close(call)
}

#[derive(Clone, Copy)]
enum Precision {
    Seconds,
    /// 100 ns, without trailing zeros.
    Ticks,
}

/// The body as far as it is written.
struct Out(Vec<u8>);

impl Out {
    fn open(&mut self, call: &Call) {
        self.raw("{\"Data\":{");
        self.plain(call.binding);
        self.raw(":");
    }

    fn close(mut self, call: &Call) -> Vec<u8> {
        self.raw("\"sys\":{\"MethodName\":");
        self.plain(call.function);
        self.raw(",");
        self.date("UtcNow", call.now, Precision::Ticks, "Z");
        self.raw("\"RandGuid\":");
        self.plain(&call.id);
        self.raw("}}}");
        self.0
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn plain<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("strings, numbers and maps of them can be written");
    }

    /// JSON text as part of a JSON string.
    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(Escaping(&mut self.0), value).expect("strings, numbers and maps of them can be written");
    }

    /// `"[…,…]"`
    fn array<'a>(&mut self, messages: impl Iterator<Item = Received<'a>>, element: impl Fn(&mut Self, Received<'a>)) {
        self.raw("\"[");
        for (index, received) in messages.enumerate() {
            if index > 0 {
                self.raw(",");
            }
            element(self, received);
        }
        self.raw("]\"");
    }

    /// `"NameArray":"[…]",`
    fn column<'a, M: Iterator<Item = Received<'a>> + Clone>(
        &mut self,
        name: &str,
        messages: &M,
        element: impl Fn(&mut Self, Received<'a>),
    ) {
        self.raw("\"");
        self.raw(name);
        self.raw("Array\":");
        self.array(messages.clone(), element);
        self.raw(",");
    }

    /// `"Name":"…",` with JSON text in the string; nothing for `None`.
    fn double<T: Serialize + ?Sized>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.plain(name);
            self.raw(":\"");
            self.json(value);
            self.raw("\",");
        }
    }

    /// `"Name":"2023-10-12T20:13:49",`
    fn date(&mut self, name: &str, date: Timestamp, precision: Precision, zone: &str) {
        self.plain(name);
        self.raw(":\"");
        self.write_date(date, precision, zone);
        self.raw("\",");
    }

    /// A date as an element of an array that is itself in a string.
    fn quoted_date(&mut self, date: Timestamp, precision: Precision, zone: &str) {
        self.raw("\\\"");
        self.write_date(date, precision, zone);
        self.raw("\\\"");
    }

    fn write_date(&mut self, date: Timestamp, precision: Precision, zone: &str) {
        let (day, time) = (date.date_naive(), date.time());
        write!(
            self.0,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            day.year(),
            day.month(),
            day.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
        .expect("memory takes any write");
        let ticks = time.nanosecond() / 100 % 10_000_000;
        if matches!(precision, Precision::Ticks) && ticks > 0 {
            write!(self.0, ".{ticks:07}").expect("memory takes any write");
            let end = self.0.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            self.0.truncate(end);
        }
        self.raw(zone);
    }

    fn element_body(&mut self, data_type: DataType, body: &[u8]) {
        match data_type {
            DataType::Binary => {
                self.raw("\\\"");
                self.base64(body);
                self.raw("\\\"");
            }
            // As .NET decodes it: invalid UTF-8 becomes U+FFFD.
            DataType::Text => self.json(&String::from_utf8_lossy(body)),
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        let start = self.0.len();
        let length = base64::encoded_len(bytes.len(), true).expect("a body in memory has an encoded length");
        self.0.resize(start + length, 0);
        STANDARD.encode_slice(bytes, &mut self.0[start..]).expect("the space was measured");
    }
}

/// Escapes JSON text for its place in a JSON string. Compact JSON has no control characters of its own, so only quotes
/// and backslashes need it.
struct Escaping<'a>(&'a mut Vec<u8>);

impl Write for Escaping<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            self.0.extend_from_slice(&rest[..at]);
            self.0.extend_from_slice(&[b'\\', rest[at]]);
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
