//! Service Bus triggers: messages and their metadata.
//!
//! With `dataType: binary` the body arrives as base64 and nothing of it can reach the metadata: the host merges a
//! trigger value's properties into `Metadata` only when that value is text that parses as a JSON object. With `string`
//! a sender could overwrite `MessageId` or `DeliveryCount` by naming a property so. Hence every function here that
//! reads Service Bus declares `binary`, and whatever decides anything is taken from the body, never from metadata.
//! Metadata is decoded leniently: a missing or odd value costs that one value, not the message.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use tracing::warn;

use super::{
    invocation::{Invocation, InvocationError, bad_data},
    value::{self, DataType},
};
use crate::{
    bus::{Properties, Property},
    clock::Timestamp,
};

/// A received message.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceBusMessage {
    pub body: Bytes,
    pub message_id: Option<String>,
    /// 1 at the first delivery, and when the host does not tell.
    pub delivery_count: u32,
    pub sequence_number: Option<i64>,
    pub enqueued_at: Option<Timestamp>,
    pub content_type: Option<String>,
    pub correlation_id: Option<String>,
    pub subject: Option<String>,
    pub session_id: Option<String>,
    pub properties: Properties,
}

impl Invocation<'_> {
    /// The messages of a `dataType: binary` trigger, of either cardinality. The bodies of a batch share one allocation.
    ///
    /// # Errors
    /// There is no such binding, or its value is neither a base64 string nor an array of them.
    pub fn service_bus_batch(&self, binding: &str) -> Result<Vec<ServiceBusMessage>, InvocationError> {
        self.service_bus_batch_as(binding, DataType::Binary)
    }

    /// As [`service_bus_batch`](Self::service_bus_batch), for a trigger that declares another `dataType`.
    ///
    /// # Errors
    /// There is no such binding, or its value is neither a message nor an array of them.
    pub fn service_bus_batch_as(
        &self,
        binding: &str,
        data_type: DataType,
    ) -> Result<Vec<ServiceBusMessage>, InvocationError> {
        let raw = self.data(binding)?;
        let bad = |error| bad_data(binding, "Service Bus messages", error);
        if raw.starts_with('[') {
            warn!(binding, "the batch is a plain array, not one within a JSON string: taking it as it is");
            return Ok(self.with_metadata(bodies(raw, data_type, binding).map_err(bad)?));
        }
        let inner = value::unquote(raw).map_err(bad)?;
        // Neither base64 nor a double-encoded text begins with a bracket: this is cardinality many.
        if inner.starts_with('[') {
            match bodies(&inner, data_type, binding) {
                Ok(bodies) => return Ok(self.with_metadata(bodies)),
                Err(error) if data_type == DataType::Binary => return Err(bad(error)),
                Err(_) => {}
            }
        }
        let body = value::body(raw, data_type, binding).map_err(bad)?;
        Ok(vec![self.single(body)])
    }

    fn with_metadata(&self, bodies: Vec<Bytes>) -> Vec<ServiceBusMessage> {
        let count = bodies.len();
        let mut message_ids = self.column::<String>("MessageIdArray", count);
        let mut delivery_counts = self.column::<u32>("DeliveryCountArray", count);
        let mut sequence_numbers = self.column::<i64>("SequenceNumberArray", count);
        let mut dates = self.column::<String>("EnqueuedTimeUtcArray", count);
        let mut content_types = self.column::<String>("ContentTypeArray", count);
        let mut correlation_ids = self.column::<String>("CorrelationIdArray", count);
        let mut subjects = self.column::<String>("SubjectArray", count);
        let mut session_ids = self.column::<String>("SessionIdArray", count);
        let mut properties = self.column::<LenientProperties>("ApplicationPropertiesArray", count);
        let message = |body| ServiceBusMessage {
            body,
            message_id: message_ids.next(),
            delivery_count: delivery_counts.next().unwrap_or(1),
            sequence_number: sequence_numbers.next(),
            enqueued_at: dates.next().and_then(|text| value::date(&text)),
            content_type: content_types.next(),
            correlation_id: correlation_ids.next(),
            subject: subjects.next(),
            session_id: session_ids.next(),
            properties: properties.next().map(|properties| properties.0).unwrap_or_default(),
        };
        bodies.into_iter().map(message).collect()
    }

    fn single(&self, body: Bytes) -> ServiceBusMessage {
        ServiceBusMessage {
            body,
            message_id: self.lenient("MessageId"),
            delivery_count: self.lenient("DeliveryCount").unwrap_or(1),
            sequence_number: self.lenient("SequenceNumber"),
            enqueued_at: self.metadata("EnqueuedTimeUtc").and_then(|raw| value::date(&value::unquote(raw).ok()?)),
            content_type: self.lenient("ContentType"),
            correlation_id: self.lenient("CorrelationId"),
            subject: self.lenient("Subject"),
            session_id: self.lenient("SessionId"),
            properties: self.lenient::<LenientProperties>("ApplicationProperties").unwrap_or_default().0,
        }
    }

    fn lenient<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        value::lenient(self.metadata(key)?)
    }

    /// A metadata array. One whose length is not the batch's is dropped: its indexes would describe other messages.
    fn column<T: DeserializeOwned>(&self, key: &str, count: usize) -> Column<T> {
        let values = self.lenient::<Vec<Lenient<T>>>(key).filter(|values| values.len() == count);
        Column(values.unwrap_or_default().into_iter())
    }
}

struct Column<T>(std::vec::IntoIter<Lenient<T>>);

impl<T> Column<T> {
    fn next(&mut self) -> Option<T> {
        self.0.next()?.0
    }
}

/// The bodies in a JSON array of strings, all slices of one allocation.
fn bodies(array: &str, data_type: DataType, binding: &str) -> Result<Vec<Bytes>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Element<'a>(#[serde(borrow)] Cow<'a, str>);
    let elements: Vec<Element> = serde_json::from_str(array)?;
    let mut shared = Vec::with_capacity(array.len());
    let mut ends = Vec::with_capacity(elements.len());
    for Element(encoded) in elements {
        value::append_body(&encoded, data_type, binding, &mut shared);
        ends.push(shared.len());
    }
    let shared = Bytes::from(shared);
    let mut start = 0;
    Ok(ends.into_iter().map(|end| shared.slice(std::mem::replace(&mut start, end)..end)).collect())
}

/// An array's element: `None` when it is null or of another type.
struct Lenient<T>(Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

/// Application properties without those whose type filters cannot use.
#[derive(Default)]
struct LenientProperties(Properties);

impl<'de> Deserialize<'de> for LenientProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PropertiesVisitor;
        impl<'de> Visitor<'de> for PropertiesVisitor {
            type Value = LenientProperties;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("application properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut properties = Properties::new();
                while let Some(key) = map.next_key::<String>()? {
                    if let LenientProperty(Some(property)) = map.next_value()? {
                        properties.insert(Cow::Owned(key), property);
                    }
                }
                Ok(LenientProperties(properties))
            }
        }
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

struct LenientProperty(Option<Property>);

impl<'de> Deserialize<'de> for LenientProperty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PropertyVisitor;
        impl<'de> Visitor<'de> for PropertyVisitor {
            type Value = Option<Property>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an application property")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Some(Property::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Some(Property::Integer(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                // Beyond i64 only the magnitude is kept: a filter compares text, and no counter gets there.
                Ok(Some(i64::try_from(value).map_or(Property::Float(value as f64), Property::Integer)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Some(Property::Float(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Some(Property::from(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
        deserializer.deserialize_any(PropertyVisitor).map(LenientProperty)
    }
}
