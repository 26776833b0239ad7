//! The sections of a message: found by measuring, read with tolerance for how clients differ.
//!
//! <https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html#section-message-format>

use bytes::Bytes;
use serde_amqp::Value;

use super::extent::{Malformed, extent};

pub(super) const HEADER: u64 = 0x70;
pub(super) const MESSAGE_ANNOTATIONS: u64 = 0x72;
pub(super) const PROPERTIES: u64 = 0x73;
pub(super) const APPLICATION_PROPERTIES: u64 = 0x74;
pub(super) const DATA: u64 = 0x75;
pub(super) const SEQUENCE: u64 = 0x76;
pub(super) const VALUE: u64 = 0x77;

/// A message's sections in their order: which one, and its encoded value.
pub(super) fn split(message: &Bytes) -> Result<Vec<(u64, Bytes)>, Malformed> {
    let mut sections = Vec::new();
    let mut rest = message.clone();
    while !rest.is_empty() {
        let mut section = rest.split_to(extent(&rest)?);
        if section.first() != Some(&0x00) {
            return Err(Malformed);
        }
        let descriptor = section.split_to(1 + extent(&section[1..])?);
        let kind = match read(&descriptor[1..])? {
            Value::Ulong(code) => code,
            Value::Symbol(name) => by_name(name.as_str()),
            _ => return Err(Malformed),
        };
        sections.push((kind, section));
    }
    Ok(sections)
}

/// An encoded value that has been measured.
pub(super) fn read(measured: &[u8]) -> Result<Value, Malformed> {
    serde_amqp::from_slice(measured).map_err(|_| Malformed)
}

/// The bytes of an encoded binary value, not copied.
pub(super) fn binary(value: &Bytes) -> Result<Bytes, Malformed> {
    match value.first() {
        Some(0xa0) => Ok(value.slice(2..)),
        Some(0xb0) => Ok(value.slice(5..)),
        _ => Err(Malformed),
    }
}

/// A field of a list, `Null` where the list ends before it.
pub(super) fn field(list: &Value, index: usize) -> &Value {
    const NULL: &Value = &Value::Null;
    match list {
        Value::List(fields) => fields.get(index).unwrap_or(NULL),
        _ => NULL,
    }
}

/// The value of a key, which clients write as a symbol or as a string.
pub(super) fn entry<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(map) = map else {
        return None;
    };
    map.iter().find(|(key, _)| text(key) == Some(name)).map(|(_, value)| value)
}

/// A string or a symbol.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Symbol(symbol) => Some(symbol.as_str()),
        _ => None,
    }
}

/// A whole number of any width.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::Ubyte(number) => Some(number.into()),
        Value::Ushort(number) => Some(number.into()),
        Value::Uint(number) => Some(number.into()),
        Value::Ulong(number) => i64::try_from(number).ok(),
        Value::Byte(number) => Some(number.into()),
        Value::Short(number) => Some(number.into()),
        Value::Int(number) => Some(number.into()),
        Value::Long(number) => Some(number),
        _ => None,
    }
}

fn by_name(name: &str) -> u64 {
    match name {
        "amqp:header:list" => HEADER,
        "amqp:message-annotations:map" => MESSAGE_ANNOTATIONS,
        "amqp:properties:list" => PROPERTIES,
        "amqp:application-properties:map" => APPLICATION_PROPERTIES,
        "amqp:data:binary" => DATA,
        "amqp:amqp-sequence:list" => SEQUENCE,
        "amqp:amqp-value:*" => VALUE,
        // Delivery annotations, the footer, and what no specification knows: skipped.
        _ => 0,
    }
}
