//! Messages on the wire: every field of a [`Message`] has its place in an AMQP message, and comes back from it.
//!
//! The places: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide>.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use fe2o3_amqp_types::{
    messaging::{
        self as amqp, ApplicationProperties, Body, Data, Header, MessageAnnotations, MessageId, Priority,
        annotations::OwnedKey,
    },
    primitives::{OrderedMap, SimpleValue, Symbol, Timestamp as Millis, Value},
};

use crate::{
    bus::{Message, Properties, Property},
    clock::Timestamp,
};

/// Service Bus's limit for message ids.
const MESSAGE_ID_CHARACTERS: usize = 128;
const SCHEDULED: &str = "x-opt-scheduled-enqueue-time";
const REASON: &str = "DeadLetterReason";
const DESCRIPTION: &str = "DeadLetterErrorDescription";

/// A message that has to be sent.
pub(super) type Outgoing = amqp::Message<Data>;
/// A message as it arrives.
pub(super) type Incoming = amqp::Message<Body<Value>>;

/// Everything of a message but its rights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoded {
    pub message: Message,
    pub sequence_number: i64,
    pub enqueued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub locked_until: Option<Timestamp>,
    /// How often it was delivered before.
    pub deliveries_before: u32,
    pub dead_letter_reason: Option<String>,
    pub dead_letter_description: Option<String>,
}

/// Turns a message into its AMQP form.
///
/// # Errors
/// What Service Bus would refuse about it.
pub(super) fn encode(message: Message, now: Timestamp) -> Result<Outgoing, &'static str> {
    if message.message_id.is_empty() || message.message_id.chars().count() > MESSAGE_ID_CHARACTERS {
        return Err("a message id must have 1 to 128 characters");
    }
    if message.properties.values().any(|value| matches!(value, Property::Float(number) if !number.is_finite())) {
        return Err("a property is not a finite number");
    }
    let mut properties = amqp::Properties {
        message_id: Some(MessageId::String(message.message_id)),
        correlation_id: message.correlation_id.map(MessageId::String),
        content_type: message.content_type.map(|text| Symbol::from(text.into_owned())),
        subject: message.subject,
        ..amqp::Properties::default()
    };
    let mut header = Header { durable: true, priority: Priority::default(), ..Header::default() };
    if let Some(lifetime) = message.time_to_live {
        let millis = lifetime.as_nanos().div_ceil(1_000_000);
        header.ttl = Some(u32::try_from(millis).unwrap_or(u32::MAX));
        if millis > u128::from(u32::MAX) {
            // The header ends at 49.7 days; these two say the rest.
            let created = now.timestamp_millis();
            let expires = created.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
            properties.creation_time = Some(Millis::from_milliseconds(created));
            properties.absolute_expiry_time = Some(Millis::from_milliseconds(expires));
        }
    }
    let annotations = message.scheduled_enqueue_time.map(|time| {
        // Never before its time: a part of a millisecond counts as a whole one.
        let millis = time.timestamp_millis() + i64::from(time.timestamp_subsec_nanos() % 1_000_000 > 0);
        MessageAnnotations::builder().insert(SCHEDULED, Value::Timestamp(Millis::from_milliseconds(millis))).build()
    });
    let application = message.properties.into_iter().map(|(name, value)| (name.into_owned(), encode_value(value)));
    Ok(amqp::Message {
        header: Some(header),
        delivery_annotations: None,
        message_annotations: annotations,
        properties: Some(properties),
        application_properties: Some(ApplicationProperties(application.collect())),
        body: Data::from(&message.body[..]),
        footer: None,
    })
}

fn encode_value(value: Property) -> SimpleValue {
    match value {
        Property::Bool(truth) => SimpleValue::Bool(truth),
        Property::Integer(number) => SimpleValue::Long(number),
        Property::Float(number) => SimpleValue::from(number),
        Property::Text(text) => SimpleValue::String(text.into_owned()),
    }
}

/// Reads a message. What a foreign sender put in that has no place in a [`Message`] becomes text where it can.
pub(super) fn decode(message: Incoming) -> Decoded {
    let header = message.header.unwrap_or_default();
    let annotations = message.message_annotations.unwrap_or_default();
    let own = message.properties.unwrap_or_default();
    let mut properties: Properties = message
        .application_properties
        .unwrap_or_default()
        .0
        .into_iter()
        .filter_map(|(name, value)| Some((name.into(), decode_value(value)?)))
        .collect();
    let mut taken = |name: &str| match properties.remove(name) {
        Some(Property::Text(text)) => Some(text.into_owned()),
        _ => None,
    };
    let (dead_letter_reason, dead_letter_description) = (taken(REASON), taken(DESCRIPTION));
    let enqueued_at = moment(&annotations, "x-opt-enqueued-time").unwrap_or_default();
    let time_to_live = match (own.absolute_expiry_time, own.creation_time) {
        (Some(expires), Some(created)) if header.ttl == Some(u32::MAX) => {
            u64::try_from(expires.milliseconds().saturating_sub(created.milliseconds())).ok().map(Duration::from_millis)
        }
        _ => header.ttl.map(|millis| Duration::from_millis(millis.into())),
    };
    let lifetime = time_to_live.and_then(|lifetime| TimeDelta::from_std(lifetime).ok());
    Decoded {
        sequence_number: match annotation(&annotations, "x-opt-sequence-number") {
            Some(Value::Long(number)) => *number,
            _ => 0,
        },
        enqueued_at,
        expires_at: lifetime.and_then(|lifetime| enqueued_at.checked_add_signed(lifetime)),
        locked_until: moment(&annotations, "x-opt-locked-until"),
        deliveries_before: header.delivery_count,
        dead_letter_reason,
        dead_letter_description,
        message: Message {
            message_id: own.message_id.map(id_text).unwrap_or_default(),
            content_type: own.content_type.map(|symbol| symbol.0.into()),
            correlation_id: own.correlation_id.map(id_text),
            subject: own.subject,
            properties,
            time_to_live,
            scheduled_enqueue_time: moment(&annotations, SCHEDULED),
            body: decode_body(message.body),
        },
    }
}

fn decode_value(value: SimpleValue) -> Option<Property> {
    Some(match value {
        SimpleValue::Null => return None,
        SimpleValue::Bool(truth) => Property::Bool(truth),
        SimpleValue::Ubyte(number) => Property::Integer(number.into()),
        SimpleValue::Ushort(number) => Property::Integer(number.into()),
        SimpleValue::Uint(number) => Property::Integer(number.into()),
        SimpleValue::Byte(number) => Property::Integer(number.into()),
        SimpleValue::Short(number) => Property::Integer(number.into()),
        SimpleValue::Int(number) => Property::Integer(number.into()),
        SimpleValue::Long(number) => Property::Integer(number),
        SimpleValue::Ulong(number) => match i64::try_from(number) {
            Ok(number) => Property::Integer(number),
            Err(_) => Property::from(number.to_string()),
        },
        SimpleValue::Float(number) => Property::Float(f64::from(number.0)),
        SimpleValue::Double(number) => Property::Float(number.0),
        SimpleValue::String(text) => Property::from(text),
        SimpleValue::Symbol(symbol) => Property::from(symbol.0),
        SimpleValue::Char(character) => Property::from(character.to_string()),
        SimpleValue::Uuid(uuid) => Property::from(uuid::Uuid::from(uuid).to_string()),
        SimpleValue::Binary(bytes) => Property::from(BASE64_STANDARD.encode(&bytes[..])),
        SimpleValue::Timestamp(time) => match DateTime::from_timestamp_millis(time.milliseconds()) {
            Some(time) => Property::from(crate::clock::millis::text(time)),
            None => Property::Integer(time.milliseconds()),
        },
        other => Property::from(format!("{other:?}")),
    })
}

/// The bytes of the body; a body that is neither bytes nor text is given in its AMQP encoding.
fn decode_body(body: Body<Value>) -> Bytes {
    match body {
        Body::Data(sections) => {
            let mut sections = sections.into_inner();
            match sections.len() {
                1 => sections.remove(0).0.into_vec().into(),
                _ => sections.iter().flat_map(|section| section.0.iter().copied()).collect(),
            }
        }
        Body::Value(value) => match value.0 {
            Value::Binary(bytes) => bytes.into_vec().into(),
            Value::String(text) => text.into(),
            Value::Null => Bytes::new(),
            other => serde_amqp::to_vec(&other).unwrap_or_default().into(),
        },
        Body::Sequence(sections) => {
            let lists = sections.into_inner().into_iter().map(|section| Value::List(section.0)).collect();
            serde_amqp::to_vec(&Value::List(lists)).unwrap_or_default().into()
        }
        Body::Empty => Bytes::new(),
    }
}

fn id_text(id: MessageId) -> String {
    match id {
        MessageId::String(text) => text,
        MessageId::Ulong(number) => number.to_string(),
        MessageId::Uuid(uuid) => uuid::Uuid::from(uuid).to_string(),
        MessageId::Binary(bytes) => BASE64_STANDARD.encode(&bytes[..]),
    }
}

fn annotation<'a>(annotations: &'a OrderedMap<OwnedKey, Value>, name: &str) -> Option<&'a Value> {
    annotations.get(&OwnedKey::from(name))
}

fn moment(annotations: &OrderedMap<OwnedKey, Value>, name: &str) -> Option<Timestamp> {
    match annotation(annotations, name)? {
        Value::Timestamp(time) => DateTime::from_timestamp_millis(time.milliseconds()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::messaging::{AmqpValue, message::__private::Deserializable};

    use super::*;
    use crate::azure::service_bus::batch::bytes_of;

    fn message() -> Message {
        Message {
            message_id: "id \"1\" ü".into(),
            content_type: Some("application/cloudevents+json".into()),
            correlation_id: Some("0195-corr".into()),
            subject: Some("SM'123".into()),
            properties: [
                ("channel".into(), Property::from("sms")),
                ("attempt".into(), Property::Integer(i64::MIN)),
                ("share".into(), Property::Float(-0.1)),
                ("truth".into(), Property::Bool(true)),
            ]
            .into(),
            time_to_live: Some(Duration::from_millis(1_500)),
            scheduled_enqueue_time: Some("2026-11-20T10:00:00.120Z".parse().unwrap()),
            body: (0..=255).collect::<Vec<u8>>().into(),
        }
    }

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    /// Through the bytes of the wire and back.
    fn round_trip(message: Message) -> Decoded {
        let bytes = bytes_of(&encode(message, now()).unwrap());
        let read: Deserializable<Incoming> = serde_amqp::from_slice(&bytes).unwrap();
        decode(read.0)
    }

    #[test]
    fn every_field_comes_back_from_the_wire_as_it_was() {
        assert_eq!(round_trip(message()).message, message());
        let bare = Message {
            content_type: None,
            correlation_id: None,
            subject: None,
            properties: Properties::new(),
            time_to_live: None,
            scheduled_enqueue_time: None,
            body: Bytes::new(),
            ..message()
        };
        assert_eq!(round_trip(bare.clone()).message, bare);
    }

    #[test]
    fn a_time_to_live_is_exact_up_to_a_millisecond_and_beyond_what_the_header_holds() {
        for lifetime in [Duration::from_millis(1), Duration::from_secs(14 * 86_400), Duration::from_secs(90 * 86_400)] {
            let sent = Message { time_to_live: Some(lifetime), ..message() };
            assert_eq!(round_trip(sent).message.time_to_live, Some(lifetime));
        }
        let brief = Message { time_to_live: Some(Duration::from_nanos(1)), ..message() };
        assert_eq!(round_trip(brief).message.time_to_live, Some(Duration::from_millis(1)), "zero would mean none");
    }

    #[test]
    fn a_schedule_is_never_early() {
        let time: Timestamp = "2026-11-20T10:00:00.1200004Z".parse().unwrap();
        let read = round_trip(Message { scheduled_enqueue_time: Some(time), ..message() });
        assert_eq!(read.message.scheduled_enqueue_time, Some("2026-11-20T10:00:00.121Z".parse().unwrap()));
    }

    #[test]
    fn what_service_bus_would_refuse_is_refused_here() {
        for id in [String::new(), "x".repeat(129)] {
            assert!(encode(Message { message_id: id, ..message() }, now()).is_err());
        }
        assert!(encode(Message { message_id: "é".repeat(128), ..message() }, now()).is_ok());
        for number in [f64::NAN, f64::INFINITY] {
            let properties = [("n".into(), Property::Float(number))].into();
            assert!(encode(Message { properties, ..message() }, now()).is_err());
        }
    }

    #[test]
    fn what_the_broker_adds_is_told_apart_from_what_was_sent() {
        let mut incoming = encode(message(), now()).unwrap().map_body(|data| Body::Data(vec![data].into()));
        let annotations = incoming.message_annotations.as_mut().unwrap();
        let millis = |text: &str| Value::Timestamp(text.parse::<Timestamp>().unwrap().timestamp_millis().into());
        annotations.insert("x-opt-sequence-number".into(), Value::Long(7));
        annotations.insert("x-opt-enqueued-time".into(), millis("2026-11-20T10:00:00.120Z"));
        annotations.insert("x-opt-locked-until".into(), millis("2026-11-20T10:01:00Z"));
        incoming.header.as_mut().unwrap().delivery_count = 2;
        let application = incoming.application_properties.as_mut().unwrap();
        application.insert(REASON.into(), "no such vendor".into());
        application.insert(DESCRIPTION.into(), "nobody".into());

        let read = decode(incoming);

        assert_eq!(read.message, message(), "a copy of it can be sent again");
        assert_eq!((read.sequence_number, read.deliveries_before), (7, 2));
        assert_eq!(read.locked_until, Some("2026-11-20T10:01:00Z".parse().unwrap()));
        assert_eq!(read.expires_at, Some("2026-11-20T10:00:01.620Z".parse().unwrap()));
        assert_eq!(read.dead_letter_reason.as_deref(), Some("no such vendor"));
        assert_eq!(read.dead_letter_description.as_deref(), Some("nobody"));
    }

    #[test]
    fn what_foreign_senders_put_in_is_readable() {
        let uuid = uuid::Uuid::from_u128(1);
        let application = ApplicationProperties::builder()
            .insert("when", SimpleValue::Timestamp(now().timestamp_millis().into()))
            .insert("id", SimpleValue::Uuid(uuid.into()))
            .insert("small", SimpleValue::Ubyte(5))
            .insert("large", SimpleValue::Ulong(u64::MAX))
            .insert("nothing", SimpleValue::Null)
            .build();
        let read = decode(amqp::Message {
            header: None,
            delivery_annotations: None,
            message_annotations: None,
            properties: Some(amqp::Properties { message_id: Some(MessageId::Ulong(9)), ..Default::default() }),
            application_properties: Some(application),
            body: Body::Value(AmqpValue(Value::String("text".into()))),
            footer: None,
        });
        assert_eq!((read.message.message_id.as_str(), &read.message.body[..]), ("9", &b"text"[..]));
        let expected: Properties = [
            ("when".into(), Property::from("2026-11-20T10:00:00.000Z")),
            ("id".into(), Property::from(uuid.to_string())),
            ("small".into(), Property::Integer(5)),
            ("large".into(), Property::from(u64::MAX.to_string())),
        ]
        .into();
        assert_eq!(read.message.properties, expected);
    }
}
