//! Requests to an entity's `$management` node: looking without touching, and longer locks.
//!
//! The operations: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response>.

use chrono::DateTime;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp_management::{
    MgmtClient, Request, Response,
    error::{AttachError, Error, InvalidType, StatusCodeNotFound, StatusError},
    mgmt_ext::AmqpMessageManagementExt,
    status::StatusCode,
};
use fe2o3_amqp_types::{
    messaging::{self as amqp, message::__private::Deserializable},
    primitives::{Array, OrderedMap, Value},
};
use uuid::Uuid;

use super::message::Incoming;
use crate::clock::Timestamp;

/// Attaches both links to the node of an entity.
pub(super) async fn attach(session: &mut SessionHandle<()>, entity: &str) -> Result<MgmtClient, AttachError> {
    MgmtClient::builder()
        .management_node_address(format!("{entity}/$management"))
        .client_node_addr(Uuid::new_v4().to_string())
        .attach(session)
        .await
}

/// Messages from a sequence number on, in whatever state.
pub(super) struct PeekMessages {
    pub from_sequence_number: i64,
    pub count: i32,
}

pub(super) struct PeekedMessages(pub Vec<Incoming>);

impl Request for PeekMessages {
    const OPERATION: &'static str = "com.microsoft:peek-message";
    type Response = PeekedMessages;
    type Body = Value;

    fn encode_body(self) -> Value {
        map([
            ("from-sequence-number", Value::Long(self.from_sequence_number)),
            ("message-count", Value::Int(self.count)),
        ])
    }
}

/// "No content": there is nothing to see, which is no error.
const NOTHING: u16 = 204;

impl Response for PeekedMessages {
    const STATUS_CODE: u16 = 200;
    type Body = Value;
    type Error = Error;

    fn verify_status_code(message: &mut amqp::Message<Value>) -> Result<StatusCode, Error> {
        let status = message.remove_status_code().ok_or(StatusCodeNotFound {})?;
        let code = status.map_err(|found| unexpected("a status code", &found))?;
        match code.0.get() {
            Self::STATUS_CODE | NOTHING => Ok(code),
            _ => {
                let description = message.remove_status_description().and_then(Result::ok);
                Err(StatusError { code, description }.into())
            }
        }
    }

    fn decode_message(message: amqp::Message<Value>) -> Result<Self, Error> {
        let Value::Map(mut body) = message.body else { return Ok(Self(Vec::new())) };
        let found = match body.swap_remove(&Value::from("messages")) {
            Some(Value::List(found)) => found,
            Some(Value::Array(found)) => found.0,
            _ => Vec::new(),
        };
        let read = |entry: Value| {
            let Value::Map(mut entry) = entry else { return Err(unexpected("a map", &entry)) };
            match entry.swap_remove(&Value::from("message")) {
                Some(Value::Binary(bytes)) => serde_amqp::from_slice::<Deserializable<Incoming>>(&bytes)
                    .map(|read| read.0)
                    .map_err(|error| unexpected("an encoded message", &error)),
                other => Err(unexpected("an encoded message", &other)),
            }
        };
        Ok(Self(found.into_iter().map(read).collect::<Result<_, _>>()?))
    }
}

/// Another lock duration, counted from now.
pub(super) struct RenewLock {
    pub lock_token: Uuid,
}

/// Until when the message is locked now.
pub(super) struct Renewed(pub Option<Timestamp>);

impl Request for RenewLock {
    const OPERATION: &'static str = "com.microsoft:renew-lock";
    type Response = Renewed;
    type Body = Value;

    fn encode_body(self) -> Value {
        map([("lock-tokens", Value::Array(Array(vec![Value::Uuid(self.lock_token.into())])))])
    }
}

impl Response for Renewed {
    const STATUS_CODE: u16 = 200;
    type Body = Value;
    type Error = Error;

    fn decode_message(message: amqp::Message<Value>) -> Result<Self, Error> {
        let Value::Map(mut body) = message.body else { return Ok(Self(None)) };
        let expirations = match body.swap_remove(&Value::from("expirations")) {
            Some(Value::Array(found)) => found.0,
            Some(Value::List(found)) => found,
            _ => Vec::new(),
        };
        Ok(Self(match expirations.first() {
            Some(Value::Timestamp(time)) => DateTime::from_timestamp_millis(time.milliseconds()),
            _ => None,
        }))
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let mut map = OrderedMap::new();
    for (name, value) in entries {
        map.insert(Value::from(name), value);
    }
    Value::Map(map)
}

fn unexpected(expected: &str, found: &impl std::fmt::Debug) -> Error {
    Error::DecodeError(Some(InvalidType { expected: expected.to_owned(), actual: format!("{found:?}") }))
}
