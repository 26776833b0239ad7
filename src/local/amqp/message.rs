//! Messages, from AMQP's form to the broker's and back.
//!
//! What the broker keeps is carried exactly. A message that needs more (a body of another kind than bytes or text, a
//! property of a type that the broker has no place for) is refused rather than changed.

use std::{collections::BTreeMap, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use fe2o3_amqp_types::messaging::{ApplicationProperties, MessageAnnotations, Properties};
use serde_amqp::{
    Value,
    primitives::{OrderedMap, Symbol, Timestamp as AmqpTimestamp},
};
use uuid::Uuid;

use super::{
    address,
    extent::Malformed,
    frame::encode as encode_section,
    sections::{self, field, integer, text},
};
use crate::{
    bus::{self, Message, Property},
    clock::Timestamp,
    local::broker::{Entity, Received},
};

/// The format of a message whose data sections are messages.
pub(super) const BATCH_FORMAT: u32 = 0x8001_3700;

const SCHEDULED: &str = "x-opt-scheduled-enqueue-time";

/// Why a message cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("the message cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("the local broker does not keep {0}")]
    Unsupported(String),
}

/// Where a delivered message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Locked, or taken for good.
    Received,
    /// Peeked at that moment.
    Peeked(Timestamp),
}

/// The messages of a batch, still encoded.
pub(super) fn unpack(batch: &Bytes) -> Result<Vec<Bytes>, Malformed> {
    let sections = sections::split(batch)?;
    sections.iter().filter(|(kind, _)| *kind == sections::DATA).map(|(_, data)| sections::binary(data)).collect()
}

/// Reads one message.
pub(super) fn decode(encoded: &Bytes) -> Result<Message, BadMessage> {
    let mut message = Message {
        message_id: String::new(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: BTreeMap::new(),
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::new(),
    };
    let mut body = Vec::new();
    for (kind, section) in sections::split(encoded)? {
        match kind {
            sections::HEADER => {
                let lifetime = integer(field(&sections::read(&section)?, 2));
                message.time_to_live = lifetime.and_then(|millis| millis.try_into().ok()).map(Duration::from_millis);
            }
            sections::MESSAGE_ANNOTATIONS => {
                if let Some(Value::Timestamp(due)) = sections::entry(&sections::read(&section)?, SCHEDULED) {
                    message.scheduled_enqueue_time = DateTime::from_timestamp_millis(due.milliseconds());
                }
            }
            sections::PROPERTIES => read_properties(&mut message, &sections::read(&section)?)?,
            sections::APPLICATION_PROPERTIES => message.properties = read_application(sections::read(&section)?)?,
            sections::DATA => body.push(sections::binary(&section)?),
            sections::VALUE => body.push(match sections::read(&section)? {
                Value::Null => Bytes::new(),
                Value::String(text) => text.into(),
                Value::Binary(bytes) => bytes.into_vec().into(),
                _ => return Err(BadMessage::Unsupported("a body that is neither bytes nor text".into())),
            }),
            sections::SEQUENCE => return Err(BadMessage::Unsupported("a body that is a sequence".into())),
            _ => {}
        }
    }
    message.body = match body.len() {
        0 | 1 => body.pop().unwrap_or_default(),
        _ => body.concat().into(),
    };
    if message.message_id.is_empty() {
        // The broker needs one; Service Bus does not.
        message.message_id = Uuid::new_v4().to_string();
    }
    Ok(message)
}

fn read_properties(message: &mut Message, list: &Value) -> Result<(), BadMessage> {
    let words = |index| text(field(list, index)).map(str::to_owned);
    message.message_id = id(field(list, 0))?.unwrap_or_default();
    message.subject = words(3);
    message.correlation_id = id(field(list, 5))?;
    message.content_type = words(6).map(Into::into);
    message.session_id = words(10);
    for (index, name) in [(2, "`to`"), (4, "`reply-to`"), (12, "`reply-to-group-id`")] {
        if *field(list, index) != Value::Null {
            return Err(BadMessage::Unsupported(name.into()));
        }
    }
    Ok(())
}

/// A message or correlation id, as text.
fn id(value: &Value) -> Result<Option<String>, BadMessage> {
    match value {
        Value::Null => Ok(None),
        Value::Ulong(number) => Ok(Some(number.to_string())),
        Value::Uuid(uuid) => Ok(Some(Uuid::from_bytes(*uuid.as_inner()).to_string())),
        value => match text(value) {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(BadMessage::Unsupported("ids of bytes".into())),
        },
    }
}

fn read_application(map: Value) -> Result<bus::Properties, BadMessage> {
    let Value::Map(map) = map else {
        return Err(Malformed.into());
    };
    map.into_iter()
        .map(|(name, value)| {
            let name = text(&name).ok_or(Malformed)?.to_owned();
            let value = match value {
                Value::Bool(value) => Property::Bool(value),
                Value::Float(number) => Property::Float(number.0.into()),
                Value::Double(number) => Property::Float(number.0),
                Value::String(text) => Property::Text(text.into()),
                number => Property::Integer(integer(&number).ok_or_else(|| {
                    BadMessage::Unsupported(format!("the type of the application property `{name}`"))
                })?),
            };
            Ok((name.into(), value))
        })
        .collect()
}

/// Writes a message as a receiver gets it.
pub(super) fn encode(received: &Received, source: &Entity, delivery: Delivery) -> Bytes {
    let message = &received.message;
    let deliveries = match delivery {
        // AMQP counts those that failed before this one.
        Delivery::Received => received.delivery_count.saturating_sub(1),
        Delivery::Peeked(_) => received.delivery_count,
    };
    let lifetime = message.time_to_live.map(|lifetime| u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX));
    // Spelled out: Python's client takes a count of zero that is left out for none.
    let header = Value::List(vec![
        Value::Bool(true),
        Value::Ubyte(4),
        lifetime.map_or(Value::Null, Value::Uint),
        Value::Bool(false),
        Value::Uint(deliveries),
    ]);
    let properties = Properties {
        message_id: Some(message.message_id.clone().into()),
        subject: message.subject.clone(),
        correlation_id: message.correlation_id.clone().map(Into::into),
        content_type: message.content_type.as_deref().map(Symbol::from),
        group_id: message.session_id.clone(),
        absolute_expiry_time: received.expires_at.map(amqp_time),
        creation_time: received.expires_at.map(|_| amqp_time(received.enqueued_at)),
        ..Properties::default()
    };
    let mut out = BytesMut::from(&[0x00, 0x53, sections::HEADER as u8][..]);
    out.extend_from_slice(&encode_section(&header));
    out.extend_from_slice(&encode_section(&annotations(received, source, delivery)));
    out.extend_from_slice(&encode_section(&properties));
    out.extend_from_slice(&encode_section(&application(received)));
    out.extend_from_slice(&data(&message.body));
    out.freeze()
}

fn annotations(received: &Received, source: &Entity, delivery: Delivery) -> MessageAnnotations {
    let mut annotations = MessageAnnotations::default();
    let mut set = |name: &str, value: Value| {
        annotations.insert(name.into(), value);
    };
    set("x-opt-sequence-number", Value::Long(received.sequence_number));
    set("x-opt-enqueued-time", Value::Timestamp(amqp_time(received.enqueued_at)));
    if let Some(due) = received.message.scheduled_enqueue_time {
        set(SCHEDULED, Value::Timestamp(amqp_time(due)));
    }
    if source.dead_letter {
        let from = Entity { dead_letter: false, ..source.clone() };
        set("x-opt-deadletter-source", Value::String(address::path(&from)));
    }
    let until = received.lock.expires_at();
    match delivery {
        Delivery::Received => set("x-opt-locked-until", Value::Timestamp(amqp_time(until))),
        Delivery::Peeked(now) => {
            const SCHEDULED_STATE: i32 = 2;
            let scheduled = received.delivery_count == 0 && until > now;
            set("x-opt-message-state", Value::Int(if scheduled { SCHEDULED_STATE } else { 0 }));
        }
    }
    annotations
}

fn application(received: &Received) -> ApplicationProperties {
    use fe2o3_amqp_types::primitives::SimpleValue;
    let mut map: OrderedMap<String, SimpleValue> = received
        .message
        .properties
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Property::Bool(value) => SimpleValue::Bool(*value),
                Property::Integer(number) => SimpleValue::Long(*number),
                Property::Float(number) => SimpleValue::Double((*number).into()),
                Property::Text(text) => SimpleValue::String(text.clone().into_owned()),
            };
            (name.clone().into_owned(), value)
        })
        .collect();
    let dead_letter = [
        ("DeadLetterReason", &received.dead_letter_reason),
        ("DeadLetterErrorDescription", &received.dead_letter_description),
    ];
    for (name, text) in dead_letter {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            map.insert(name.to_owned(), SimpleValue::String(text.clone()));
        }
    }
    ApplicationProperties(map)
}

/// A data section.
fn data(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("the broker refuses bodies of gigabytes");
    [&[0x00, 0x53, 0x75, 0xb0][..], &length.to_be_bytes(), body].concat()
}

fn amqp_time(time: Timestamp) -> AmqpTimestamp {
    AmqpTimestamp::from_milliseconds(time.timestamp_millis())
}
