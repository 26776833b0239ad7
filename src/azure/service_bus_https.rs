//! Service Bus over HTTPS, through the official crate: for networks that let nothing else out.
//!
//! It publishes only. What the crate and the REST interface cannot do is refused, never changed: a shared access key is
//! the only credential, a namespace is one of `servicebus.windows.net`, a body is UTF-8, a property's name is in lower
//! case and its value no larger than a header may be. Every message is a request of its own, and a broker that is gone is
//! asked again by each: use AMQP ([`super::service_bus`]) wherever it can pass.
//!
//! Headers: <https://learn.microsoft.com/rest/api/servicebus/message-headers-and-properties>.

use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::time::OffsetDateTime;
use azure_core_0_21::{
    Body, HttpClient, Request, Response, StatusCode,
    error::{Error, ErrorKind},
    headers::Headers,
};
use azure_messaging_servicebus::service_bus::{SendMessageOptions, SettableBrokerProperties, TopicClient};
use futures_util::stream;
use tokio::time::timeout;

use super::service_bus::{ConnectionString, ServiceBusError, SharedKey};
use crate::{
    bus::{Bus, Message, Property, PublishError},
    clock::Timestamp,
};

/// For the answer to a message, its connection included.
const LIMIT: Duration = Duration::from_secs(5);
const DOMAIN: &str = ".servicebus.windows.net";
/// Service Bus's limit for message ids and session ids.
const ID_CHARACTERS: usize = 128;
/// Names that mean something else in a request.
const TAKEN: [&str; 9] = [
    "accept",
    "authorization",
    "brokerproperties",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
];

/// Why a namespace cannot be used so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpsSettingError {
    #[error("service-bus-https takes a namespace of servicebus.windows.net, and not {0}")]
    Host(String),
    #[error(
        "service-bus-https signs with a shared access key: the connection string needs SharedAccessKeyName and SharedAccessKey"
    )]
    Key,
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

/// A namespace that is published to over HTTPS.
#[derive(Debug)]
pub struct ServiceBusHttps {
    namespace: String,
    key_name: String,
    key: crate::config::Secret,
    transport: Arc<dyn HttpClient>,
}

impl ServiceBusHttps {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The connection string is for something that the crate cannot reach or prove itself to.
    pub fn new(connection: ConnectionString) -> Result<Self, HttpsSettingError> {
        let client = reqwest::Client::builder().https_only(true).timeout(LIMIT).build();
        let client = client.map_err(|error| HttpsSettingError::Client(error.to_string()))?;
        Self::with_transport(connection, Arc::new(Transport::new(client)))
    }

    /// The same through a transport of the caller's.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_transport(
        connection: ConnectionString,
        transport: Arc<dyn HttpClient>,
    ) -> Result<Self, HttpsSettingError> {
        let host = connection.endpoint.host;
        let namespace = host.strip_suffix(DOMAIN).filter(|name| connection.endpoint.tls && !name.contains('.'));
        let namespace = namespace.ok_or_else(|| HttpsSettingError::Host(host.clone()))?.to_owned();
        match connection.key {
            SharedKey::Policy { name, key } => Ok(Self { namespace, key_name: name, key, transport }),
            SharedKey::Token(_) => Err(HttpsSettingError::Key),
        }
    }

    async fn send(&self, topic: &str, message: Message) -> Result<(), ServiceBusError> {
        let invalid =
            |problem: &str| ServiceBusError::Invalid { entity: topic.to_owned(), problem: problem.to_owned() };
        let lost = |problem: String| ServiceBusError::Lost { entity: topic.to_owned(), problem };
        let body =
            std::str::from_utf8(&message.body).map_err(|_| invalid("over HTTPS a body must be UTF-8"))?.to_owned();
        let options = options(message).map_err(invalid)?;
        let transport = Arc::clone(&self.transport);
        let client =
            TopicClient::new(transport, &*self.namespace, topic, &*self.key_name, self.key.expose().to_owned());
        let sender = client.map_err(|error| lost(error.to_string()))?.topic_sender();
        match timeout(LIMIT, sender.send_message(&body, Some(options))).await {
            Ok(sent) => sent.map_err(|error| self.failure(topic, body.len(), &error)),
            Err(_) => Err(ServiceBusError::TimedOut { entity: topic.to_owned(), limit: LIMIT }),
        }
    }

    fn failure(&self, topic: &str, size: usize, error: &Error) -> ServiceBusError {
        let entity = topic.to_owned();
        let ErrorKind::HttpResponse { status, error_code } = error.kind() else {
            let host = format!("{}{DOMAIN}", self.namespace);
            return ServiceBusError::Unreachable { host, problem: error.to_string() };
        };
        let problem = format!("{} {}", u16::from(*status), error_code.as_deref().unwrap_or("without a reason"));
        match u16::from(*status) {
            401 | 403 => ServiceBusError::Denied { entity, problem },
            404 | 410 => ServiceBusError::NotFound { entity, problem },
            413 => ServiceBusError::TooLarge { entity, size, limit: 256 * 1024 },
            429 | 503 => ServiceBusError::Busy { entity, problem },
            400 | 405 | 411 | 415 | 431 => ServiceBusError::Invalid { entity, problem },
            _ => ServiceBusError::Failed { entity, problem },
        }
    }
}

#[async_trait]
impl Bus for ServiceBusHttps {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
        if topic.is_empty() || !topic.bytes().all(plain) {
            return Err(PublishError::Refused(format!("`{topic}` is no topic's name")));
        }
        Ok(self.send(topic, message).await?)
    }
}

/// A message's fields as headers.
///
/// # Errors
/// What has no place there.
fn options(message: Message) -> Result<SendMessageOptions, &'static str> {
    let fits = |id: &str| id.chars().count() <= ID_CHARACTERS;
    if message.message_id.is_empty() || !fits(&message.message_id) {
        return Err("a message id must have 1 to 128 characters");
    }
    if message.session_id.as_deref().is_some_and(|id| !fits(id)) {
        return Err("a session id must not exceed 128 characters");
    }
    if message.content_type.as_deref().is_some_and(|text| !text.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
        return Err("a content type must be printable ASCII");
    }
    let mut properties = HashMap::new();
    for (name, value) in message.properties {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) || TAKEN.contains(&&*name) {
            return Err("over HTTPS a property's name must be in lower case, and no header's of HTTP");
        }
        let text = match value {
            Property::Float(number) if !number.is_finite() => return Err("a property is not a finite number"),
            // Text is told from numbers by its quotation marks.
            value => ascii(&serde_json::to_string(&value).expect("a property serialises to JSON")),
        };
        properties.insert(name.into_owned(), text);
    }
    Ok(SendMessageOptions {
        content_type: message.content_type.map(std::borrow::Cow::into_owned),
        broker_properties: Some(SettableBrokerProperties {
            message_id: Some(message.message_id),
            correlation_id: message.correlation_id,
            session_id: message.session_id,
            label: message.subject,
            time_to_live: message.time_to_live,
            scheduled_enqueue_time_utc: message.scheduled_enqueue_time.map(whole_second).transpose()?,
            ..SettableBrokerProperties::default()
        }),
        custom_properties: Some(properties),
    })
}

/// The header names whole seconds, and a message is never early.
fn whole_second(time: Timestamp) -> Result<OffsetDateTime, &'static str> {
    let seconds = time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0);
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| "the scheduled time is out of range")
}

/// JSON without any character that a header cannot carry.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' => escaped.push(character),
            other => other.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                write!(escaped, "\\u{unit:04x}").expect("a string takes everything");
            }),
        }
    }
    escaped
}

/// The program's own HTTP client in the place of the crate's, which opens a connection for each request.
#[derive(Debug)]
pub struct Transport(reqwest::Client);

impl Transport {
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core_0_21::Result<Response> {
        let failed = |error: reqwest::Error| Error::new(ErrorKind::Io, error.without_url());
        let Body::Bytes(body) = request.body().clone() else {
            return Err(Error::message(ErrorKind::Other, "the crate sends bytes"));
        };
        let mut outgoing = self.0.post(request.url().as_str()).body(body);
        for (name, value) in request.headers().iter() {
            // The crate writes the broker's properties as JSON with whatever characters are in them.
            outgoing = outgoing.header(name.as_str(), ascii(value.as_str()));
        }
        let answer = outgoing.send().await.map_err(failed)?;
        let code = answer.status().as_u16();
        let status = StatusCode::try_from(code)
            .map_err(|_| Error::message(ErrorKind::DataConversion, format!("status {code} is unknown")))?;
        let body = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let reason: String = String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" ");
            let reason = reason.chars().take(300).collect::<String>();
            return Err(ErrorKind::http_response(status, (!reason.is_empty()).then_some(reason)).into_error());
        }
        Ok(Response::new(status, Headers::new(), Box::pin(stream::iter([Ok(body)]))))
    }
}
