//! Requests: what `$cbs` and an entity's `$management` are asked, and what they answer.
//!
//! <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response>

use std::collections::BTreeMap;

use bytes::Bytes;
use fe2o3_amqp_types::{
    messaging::{ApplicationProperties, MessageId, Properties},
    primitives::SimpleValue,
};
use serde_amqp::{
    Value,
    primitives::{Array, Symbol, Timestamp, Uuid as AmqpUuid},
};
use uuid::Uuid;

use super::{
    address::Node,
    condition,
    frame::encode,
    message::{self, Delivery},
    sections::{self, entry, field, integer, text},
    work::{Held, Verdict, Workshop, failure, refusal},
};
use crate::local::broker::{Entity, Settlement};

/// Messages in one answer, and the bytes after which no more are added: an answer has to fit into one message.
const MOST_PEEKED: usize = 250;
const PEEKED_BYTES: usize = 512 * 1024;

/// A request, read.
#[derive(Default)]
struct Request {
    id: Option<MessageId>,
    operation: String,
    body: Value,
    /// Of its sections at least one cannot be read.
    is_damaged: bool,
}

/// What a request came to.
struct Answer {
    status: i32,
    description: String,
    condition: Option<&'static str>,
    body: Value,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, description: "OK".into(), condition: None, body }
    }

    fn refused(status: i32, condition: &'static str, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), condition: Some(condition), body: Value::Null }
    }

    fn argument(description: impl Into<String>) -> Self {
        Self::refused(400, condition::ARGUMENT, description)
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self::refused(503, condition::BUSY, error.to_string())
    }
}

/// The encoded answer to a request about a node.
pub(super) async fn answer(workshop: &Workshop, about: &Node, request: &Bytes) -> Bytes {
    let request = read(request);
    let answer = match about {
        _ if request.is_damaged => Answer::argument("the request cannot be read"),
        Node::Management(entity) => perform(workshop, entity, &request).await,
        // Only this machine can reach the endpoint: whoever can, may use it.
        _ => Answer { status: 202, description: "Accepted".into(), condition: None, body: Value::Null },
    };
    write(request.id, &answer, *about == Node::Cbs)
}

async fn perform(workshop: &Workshop, entity: &Node, request: &Request) -> Answer {
    let operation = request.operation.strip_prefix("com.microsoft:").unwrap_or(&request.operation);
    match (operation, entity) {
        ("peek-message", Node::Subscription(entity)) => peek(workshop, entity, &request.body).await,
        ("renew-lock", Node::Subscription(_)) => renew(workshop, &request.body).await,
        ("update-disposition", Node::Subscription(_)) => update_disposition(workshop, &request.body).await,
        ("schedule-message", Node::Topic(topic)) => schedule(workshop, topic, &request.body).await,
        ("cancel-scheduled-message", Node::Topic(topic)) => cancel(workshop, topic, &request.body).await,
        _ => Answer::refused(501, "amqp:not-implemented", format!("`{operation}` is not offered here")),
    }
}

async fn peek(workshop: &Workshop, entity: &Entity, body: &Value) -> Answer {
    let number = |name| entry(body, name).and_then(integer);
    let (Some(from), Some(count)) = (number("from-sequence-number"), number("message-count")) else {
        return Answer::argument("`from-sequence-number` and `message-count` are missing");
    };
    let max = usize::try_from(count).unwrap_or(0).min(MOST_PEEKED);
    let peeked = match workshop.broker.peek(entity, from, max).await {
        Ok(peeked) => peeked,
        Err(error) => return Answer::failed(failure(&error)),
    };
    let delivery = Delivery::Peeked(workshop.clock.now());
    let mut room = PEEKED_BYTES;
    let messages: Vec<Value> = peeked
        .iter()
        .map(|received| message::encode(received, entity, delivery))
        .enumerate()
        .take_while(|(index, message)| {
            let fits = *index == 0 || message.len() <= room;
            room = room.saturating_sub(message.len());
            fits
        })
        .map(|(_, message)| map([("message", Value::Binary(message.to_vec().into()))]))
        .collect();
    match messages.is_empty() {
        true => Answer { status: 204, description: "No Content".into(), condition: None, body: Value::Null },
        false => Answer::ok(map([("messages", Value::List(messages))])),
    }
}

async fn renew(workshop: &Workshop, body: &Value) -> Answer {
    let Some(tokens) = tokens(body) else {
        return Answer::argument("`lock-tokens` is missing");
    };
    let mut expirations = Vec::new();
    for token in tokens {
        let Some(lock) = workshop.locks.get(token) else {
            return lock_lost();
        };
        match workshop.broker.renew(&lock).await {
            Ok(Settlement::Done) => {}
            Ok(Settlement::LockLost) => return lock_lost(),
            Err(error) => return Answer::failed(failure(&error)),
        }
        let until = lock.expires_at().timestamp_millis();
        expirations.push(Value::Timestamp(Timestamp::from_milliseconds(until)));
    }
    Answer::ok(map([("expirations", Value::Array(Array(expirations)))]))
}

async fn update_disposition(workshop: &Workshop, body: &Value) -> Answer {
    let words = |name| entry(body, name).and_then(text).unwrap_or_default().to_owned();
    let Some(tokens) = tokens(body) else {
        return Answer::argument("`lock-tokens` is missing");
    };
    let verdict = match words("disposition-status").as_str() {
        "completed" => Verdict::Complete,
        "abandoned" => Verdict::Abandon,
        "suspended" => {
            Verdict::DeadLetter { reason: words("deadletter-reason"), description: words("deadletter-description") }
        }
        other => return Answer::refused(501, "amqp:not-implemented", format!("`{other}` is not offered here")),
    };
    let held = tokens.into_iter().map(|token| Some(Held { token, lock: workshop.locks.get(token)? })).collect();
    let Some(held): Option<Vec<Held>> = held else {
        return lock_lost();
    };
    match workshop.settle(&held, &verdict).await {
        Ok(done) if done.iter().all(|done| *done) => Answer::ok(map([])),
        Ok(_) => lock_lost(),
        Err(error) => Answer::failed(failure(&error)),
    }
}

async fn schedule(workshop: &Workshop, topic: &str, body: &Value) -> Answer {
    let Some(Value::List(items)) = entry(body, "messages") else {
        return Answer::argument("`messages` is missing");
    };
    let messages = items.iter().map(|item| match entry(item, "message") {
        Some(Value::Binary(bytes)) => {
            message::decode(&Bytes::copy_from_slice(bytes)).map_err(|error| error.to_string())
        }
        _ => Err("an item of `messages` has no `message`".to_owned()),
    });
    let messages = match messages.collect::<Result<Vec<_>, String>>() {
        Ok(messages) => messages,
        Err(problem) => return Answer::argument(problem),
    };
    match workshop.broker.publish_all(topic, messages).await {
        Ok(numbers) if !numbers.is_empty() => {
            let numbers = numbers.into_iter().map(Value::Long).collect();
            Answer::ok(map([("sequence-numbers", Value::Array(Array(numbers)))]))
        }
        Ok(_) => Answer::argument("`messages` is empty"),
        Err(error) => Answer::failed(refusal(&error)),
    }
}

async fn cancel(workshop: &Workshop, topic: &str, body: &Value) -> Answer {
    let Some(numbers) = entry(body, "sequence-numbers").and_then(elements) else {
        return Answer::argument("`sequence-numbers` is missing");
    };
    for number in numbers.iter().filter_map(integer) {
        match workshop.broker.cancel_scheduled(topic, number).await {
            Ok(true) => {}
            Ok(false) => {
                let gone = format!("no message is scheduled under the sequence number {number}");
                return Answer::refused(404, condition::MESSAGE_NOT_FOUND, gone);
            }
            Err(error) => return Answer::failed(refusal(&error)),
        }
    }
    Answer::ok(map([]))
}

fn lock_lost() -> Answer {
    let lost = "The lock supplied is invalid. Either the lock expired, or the message was settled before.";
    Answer::refused(410, condition::LOCK_LOST, lost)
}

/// A list or an array.
fn elements(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(array) => Some(&array.0),
        Value::List(list) => Some(list),
        _ => None,
    }
}

fn tokens(body: &Value) -> Option<Vec<Uuid>> {
    let tokens = elements(entry(body, "lock-tokens")?)?.iter().map(|token| match token {
        Value::Uuid(uuid) => Some(Uuid::from_bytes(*uuid.as_inner())),
        _ => None,
    });
    tokens.collect::<Option<Vec<_>>>().filter(|tokens| !tokens.is_empty())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<BTreeMap<_, _>>())
}

/// Reads what can be read: a client can tell what an answer belongs to by the request's id only.
fn read(request: &Bytes) -> Request {
    let mut found = Request::default();
    let Ok(sections) = sections::split(request) else {
        return Request { is_damaged: true, ..found };
    };
    for (kind, section) in sections {
        if !matches!(kind, sections::PROPERTIES | sections::APPLICATION_PROPERTIES | sections::VALUE) {
            continue;
        }
        let Ok(value) = sections::read(&section) else {
            found.is_damaged = true;
            continue;
        };
        match kind {
            sections::PROPERTIES => found.id = id(field(&value, 0)),
            sections::VALUE => found.body = value,
            _ => found.operation = entry(&value, "operation").and_then(text).unwrap_or_default().to_owned(),
        }
    }
    found
}

fn id(value: &Value) -> Option<MessageId> {
    match value {
        Value::Ulong(number) => Some(MessageId::Ulong(*number)),
        Value::Uuid(uuid) => Some(MessageId::Uuid(AmqpUuid::from(*uuid.as_inner()))),
        Value::Binary(bytes) => Some(MessageId::Binary(bytes.clone())),
        value => text(value).map(|text| MessageId::String(text.to_owned())),
    }
}

fn write(id: Option<MessageId>, answer: &Answer, for_cbs: bool) -> Bytes {
    // CBS, older, spells its keys in another way.
    let (status, description) =
        if for_cbs { ("status-code", "status-description") } else { ("statusCode", "statusDescription") };
    let mut properties = ApplicationProperties::default();
    properties.insert(status.to_owned(), SimpleValue::Int(answer.status));
    properties.insert(description.to_owned(), SimpleValue::String(answer.description.clone()));
    if let Some(condition) = answer.condition {
        properties.insert("errorCondition".to_owned(), SimpleValue::Symbol(Symbol::from(condition)));
    }
    let mut out = encode(&Properties { correlation_id: id, ..Properties::default() });
    out.extend(encode(&properties));
    out.extend([0x00, 0x53, 0x77]);
    out.extend(encode(&answer.body));
    out.into()
}
