//! One connection to a namespace: TCP without Nagle's delay, TLS, AMQP, and tokens that are renewed before they run out.
//!
//! Every sender and receiver has a connection of its own. What breaks one, or keeps it waiting, disturbs no other, and
//! the repair is always the same: a new connection.

use std::{net::Shutdown, sync::Arc, time::Duration};

use fe2o3_amqp::{
    Connection as AmqpConnection, Session,
    connection::{ConnectionHandle, OpenError},
    sasl_profile::SaslProfile,
    session::SessionHandle,
};
use fe2o3_amqp_cbs::{client::CbsClient, token::CbsToken};
use fe2o3_amqp_management::error::{AttachError, Error as ManagementError};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName},
};
use uuid::Uuid;

use super::{
    ServiceBusError,
    circuit::Backoff,
    connection_string::Endpoint,
    credential::{Credential, renew_in},
};
use crate::clock::{SharedClock, Timestamp};

/// The largest frame we take; Service Bus's own choice.
const MAX_FRAME_SIZE: u32 = 64 * 1024;

/// What every connection of a client is made from.
#[derive(Debug)]
pub(super) struct Namespace {
    pub endpoint: Endpoint,
    pub credential: Credential,
    pub clock: SharedClock,
    /// For a connection with its token and its link; and for each other exchange with the broker.
    pub connect_timeout: Duration,
    pub send_timeout: Duration,
}

/// An open connection. Dropping it closes the socket, whatever state the other side is in.
#[derive(Debug)]
pub(super) struct Connection {
    handle: Arc<Mutex<ConnectionHandle<()>>>,
    renewal: Option<JoinHandle<()>>,
    socket: std::net::TcpStream,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
        // The library's task waits for the peer's farewell, and a peer that hangs never gives one.
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

impl Connection {
    /// Connects, and presents a token for the entity.
    pub async fn open(namespace: &Arc<Namespace>, entity: &str) -> Result<Self, ServiceBusError> {
        let mut connection = Self::connect(&namespace.endpoint).await?;
        let expires_at = authorize(&connection.handle, namespace, entity).await?;
        let renewal = keep_authorized(Arc::clone(&connection.handle), Arc::clone(namespace), entity.into(), expires_at);
        connection.renewal = Some(tokio::spawn(renewal));
        Ok(connection)
    }

    /// Presents a token for one more entity, once: for what is over before the token is.
    pub async fn authorize(&self, namespace: &Namespace, entity: &str) -> Result<(), ServiceBusError> {
        authorize(&self.handle, namespace, entity).await.map(|_| ())
    }

    pub async fn session(&self, entity: &str) -> Result<SessionHandle<()>, ServiceBusError> {
        begin(&self.handle, entity).await
    }

    /// Says farewell, as long as the other side takes part.
    pub async fn close(self) {
        let mut handle = self.handle.lock().await;
        timeout(Duration::from_secs(1), handle.close()).await.ok();
    }

    /// Connects, and presents nothing yet.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ServiceBusError> {
        let unreachable = |problem: String| ServiceBusError::Unreachable { host: endpoint.to_string(), problem };
        // An IPv6 address wears brackets in a connection string, and none here.
        let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, endpoint.port)).await.map_err(|error| unreachable(error.to_string()))?;
        // Several small frames make one exchange: with Nagle's algorithm each waits 40 ms.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let stream = stream.into_std().map_err(|error| unreachable(error.to_string()))?;
        let socket = stream.try_clone().map_err(|error| unreachable(error.to_string()))?;
        let stream = TcpStream::from_std(stream).map_err(|error| unreachable(error.to_string()))?;

        let builder = AmqpConnection::builder()
            .container_id(Uuid::new_v4().to_string())
            .hostname(endpoint.host.as_str())
            .max_frame_size(MAX_FRAME_SIZE)
            .sasl_profile(SaslProfile::Anonymous);
        let handle = if endpoint.tls {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(error.to_string()))?;
            let stream = tls()
                .connect(name, stream)
                .await
                .map_err(|error| unreachable(format!("the TLS handshake failed: {error}")))?;
            builder.open_with_stream(stream).await
        } else {
            builder.open_with_stream(stream).await
        };
        let handle = handle.map_err(|error| match error {
            OpenError::RemoteClosedWithError(error) => ServiceBusError::from_amqp(&endpoint.to_string(), &error),
            other => unreachable(other.to_string()),
        })?;
        Ok(Self { handle: Arc::new(Mutex::new(handle)), renewal: None, socket })
    }
}

fn tls() -> TlsConnector {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn begin(handle: &Mutex<ConnectionHandle<()>>, entity: &str) -> Result<SessionHandle<()>, ServiceBusError> {
    Session::begin(&mut *handle.lock().await)
        .await
        .map_err(|error| ServiceBusError::Lost { entity: entity.to_owned(), problem: error.to_string() })
}

/// Presents a token on a session of its own, which ends with it: an idle `$cbs` link would be closed by the service.
/// Returns when the token runs out.
async fn authorize(
    handle: &Mutex<ConnectionHandle<()>>,
    namespace: &Namespace,
    entity: &str,
) -> Result<Timestamp, ServiceBusError> {
    let host = &namespace.endpoint.host;
    let audience = format!("sb://{host}/{entity}");
    let token = namespace.credential.token(&audience, namespace.clock.now()).await;
    let token = token.map_err(|problem| ServiceBusError::NoToken { host: host.clone(), problem })?;

    let lost = |problem: String| ServiceBusError::Lost { entity: entity.to_owned(), problem };
    let mut session = begin(handle, entity).await?;
    let mut cbs = CbsClient::attach(&mut session).await.map_err(|error| match error {
        AttachError::Sender(error) => lost(error.to_string()),
        AttachError::Receiver(error) => lost(error.to_string()),
    })?;
    let expires = fe2o3_amqp_types::primitives::Timestamp::from(token.expires_at.timestamp_millis());
    let put = cbs.put_token(audience.as_str(), CbsToken::new(token.value.expose(), token.kind, expires)).await;
    // The answer is in: how the farewell goes changes nothing.
    cbs.close().await.ok();
    session.end().await.ok();
    put.map_err(|error| refused(entity, error))?;
    Ok(token.expires_at)
}

fn refused(entity: &str, error: ManagementError) -> ServiceBusError {
    let entity = entity.to_owned();
    match error {
        ManagementError::Status(status) => {
            let problem = status.description.unwrap_or_else(|| format!("status {}", status.code.0));
            match status.code.0.get() {
                401 | 403 => ServiceBusError::Denied { entity, problem },
                404 => ServiceBusError::NotFound { entity, problem },
                _ => ServiceBusError::Failed { entity, problem },
            }
        }
        other => ServiceBusError::Lost { entity, problem: other.to_string() },
    }
}

/// Renews the token for as long as the connection lives. When that fails until the token has run out, the service
/// detaches the link, and whoever uses it reports that.
async fn keep_authorized(
    handle: Arc<Mutex<ConnectionHandle<()>>>,
    namespace: Arc<Namespace>,
    entity: String,
    mut expires_at: Timestamp,
) {
    let mut backoff = Backoff::default();
    sleep(renew_in(expires_at, namespace.clock.now())).await;
    loop {
        let renewed = timeout(namespace.connect_timeout, authorize(&handle, &namespace, &entity)).await;
        let wait = match renewed {
            Ok(Ok(until)) => {
                expires_at = until;
                backoff.reset();
                // A token in its last moments is asked for again, but not without a pause.
                renew_in(expires_at, namespace.clock.now()).max(Duration::from_secs(1))
            }
            Ok(Err(error)) => {
                tracing::warn!(entity, %error, %expires_at, "the token could not be renewed yet");
                backoff.next()
            }
            Err(_) => {
                tracing::warn!(entity, %expires_at, "renewing the token has no answer yet");
                backoff.next()
            }
        };
        sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use fe2o3_amqp_management::{error::StatusError, status::StatusCode};

    use super::*;

    fn answered(status: u16) -> ServiceBusError {
        let code = StatusCode(NonZeroU16::new(status).unwrap());
        let error =
            StatusError { code, description: Some("InvalidSignature: The token has an invalid signature.".into()) };
        refused("callbacks", ManagementError::Status(error))
    }

    #[test]
    fn a_token_that_is_refused_says_what_to_correct() {
        for status in [401, 403] {
            let error = answered(status);
            assert!(matches!(&error, ServiceBusError::Denied { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("callbacks") && text.contains("InvalidSignature"), "{text}");
            assert!(text.contains("Azure Service Bus Data Sender") && text.contains("shared access key"), "{text}");
        }
        assert!(matches!(answered(404), ServiceBusError::NotFound { .. }));
        assert!(matches!(answered(500), ServiceBusError::Failed { .. }));
    }
}
