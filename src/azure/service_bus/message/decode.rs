//! Reading messages, whoever sent them.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use fe2o3_amqp_types::{
    messaging::{Body, MessageId, annotations::OwnedKey},
    primitives::{OrderedMap, SimpleValue, Value},
};

use super::{Incoming, SCHEDULED};
use crate::{
    bus::{Message, Properties, Property},
    clock::Timestamp,
};

const REASON: &str = "DeadLetterReason";
const DESCRIPTION: &str = "DeadLetterErrorDescription";

/// Everything of a message but its rights.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
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

/// Reads a message. What a foreign sender put in that has no place in a [`Message`] becomes text where it can.
pub fn decode(message: Incoming) -> Decoded {
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
            session_id: own.group_id,
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
