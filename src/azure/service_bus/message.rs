//! Messages on the wire: every field of a [`Message`] has its place in an AMQP message, and comes back from it.
//!
//! The places: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide>.

mod decode;

use fe2o3_amqp_types::{
    messaging::{self as amqp, ApplicationProperties, Body, Data, Header, MessageAnnotations, MessageId, Priority},
    primitives::{SimpleValue, Symbol, Timestamp as Millis, Value},
};

use crate::{
    bus::{Message, Property},
    clock::Timestamp,
};

pub(super) use decode::{Decoded, decode};

/// Service Bus's limit for message ids.
const MESSAGE_ID_CHARACTERS: usize = 128;
/// Service Bus's limit for session ids.
const SESSION_ID_CHARACTERS: usize = 128;
const SCHEDULED: &str = "x-opt-scheduled-enqueue-time";

/// A message that has to be sent.
pub(super) type Outgoing = amqp::Message<Data>;
/// A message as it arrives.
pub(super) type Incoming = amqp::Message<Body<Value>>;

/// Turns a message into its AMQP form.
///
/// # Errors
/// What Service Bus would refuse about it.
pub(super) fn encode(message: Message, now: Timestamp) -> Result<Outgoing, &'static str> {
    if message.message_id.is_empty() || message.message_id.chars().count() > MESSAGE_ID_CHARACTERS {
        return Err("a message id must have 1 to 128 characters");
    }
    if message.session_id.as_ref().is_some_and(|id| id.chars().count() > SESSION_ID_CHARACTERS) {
        return Err("a session id must not exceed 128 characters");
    }
    if message.properties.values().any(|value| matches!(value, Property::Float(number) if !number.is_finite())) {
        return Err("a property is not a finite number");
    }
    let mut properties = amqp::Properties {
        message_id: Some(MessageId::String(message.message_id)),
        correlation_id: message.correlation_id.map(MessageId::String),
        content_type: message.content_type.map(|text| Symbol::from(text.into_owned())),
        subject: message.subject,
        group_id: message.session_id,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use fe2o3_amqp_types::messaging::{AmqpValue, message::__private::Deserializable};

    use super::*;
    use crate::{azure::service_bus::batch::bytes_of, bus::Properties};

    fn message() -> Message {
        Message {
            message_id: "id \"1\" ü".into(),
            content_type: Some("application/cloudevents+json".into()),
            correlation_id: Some("0195-corr".into()),
            subject: Some("SM'123".into()),
            session_id: Some("session \"7\" ü".into()),
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
        let bytes = bytes_of(&encode(message, now()).unwrap(), 0);
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
            session_id: None,
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
        assert!(encode(Message { session_id: Some("é".repeat(128)), ..message() }, now()).is_ok());
        assert!(encode(Message { session_id: Some("x".repeat(129)), ..message() }, now()).is_err());
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
        application.insert("DeadLetterReason".into(), "no such vendor".into());
        application.insert("DeadLetterErrorDescription".into(), "nobody".into());

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
