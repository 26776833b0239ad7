//! The link of a receiver, and what it stands on.

use std::{sync::Arc, time::Duration};

use fe2o3_amqp::{
    Receiver as AmqpReceiver,
    link::{ReceiverAttachError, RecvError, receiver::CreditMode},
    session::SessionHandle,
};
use fe2o3_amqp_management::MgmtClient;
use fe2o3_amqp_types::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::Body,
    primitives::Value,
};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{Lock, ReceivedMessage};
use crate::azure::service_bus::{
    ServiceBusError,
    connection::{Connection, Namespace},
    message::decode,
};

/// How long after one message of a batch the next one may come.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(50);

/// What a receiver stands on; in this order it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    pub id: Uuid,
    pub management: Option<MgmtClient>,
    pub receiver: AmqpReceiver,
    pub session: SessionHandle<()>,
    connection: Connection,
}

/// A connection with its token and its link, or a reason why not, in time.
pub(super) async fn connect(namespace: &Arc<Namespace>, entity: &str) -> Result<Link, ServiceBusError> {
    let limit = namespace.connect_timeout;
    let opening = async {
        let connection = Connection::open(namespace, entity).await?;
        let mut session = connection.session(entity).await?;
        let (id, receiver) = attach(&mut session, entity).await?;
        Ok(Link { id, management: None, receiver, session, connection })
    };
    timeout(limit, opening).await.unwrap_or_else(|_| {
        let host = namespace.endpoint.to_string();
        Err(ServiceBusError::Unreachable { host, problem: format!("no connection within {limit:?}") })
    })
}

/// A link from an entity, which gets nothing before it is given credit.
pub(in crate::azure::service_bus) async fn attach(
    session: &mut SessionHandle<()>,
    entity: &str,
) -> Result<(Uuid, AmqpReceiver), ServiceBusError> {
    let id = Uuid::new_v4();
    let builder = AmqpReceiver::builder()
        .name(format!("{entity}-{id}"))
        .source(entity)
        // Peek-lock: the broker keeps the message until the outcome is agreed upon.
        .sender_settle_mode(SenderSettleMode::Unsettled)
        .receiver_settle_mode(ReceiverSettleMode::Second)
        .credit_mode(CreditMode::Manual);
    let receiver = builder.attach(session).await.map_err(|error| match error {
        ReceiverAttachError::RemoteClosedWithError(error) => ServiceBusError::from_amqp(entity, &error),
        // The library misses the reason when the broker's two frames come far apart; the next attempt learns it.
        ReceiverAttachError::IncomingSourceIsNone => ServiceBusError::refused_without_reason(entity),
        other => ServiceBusError::Lost { entity: entity.to_owned(), problem: other.to_string() },
    })?;
    Ok((id, receiver))
}

impl Link {
    /// Up to `max` messages, waiting at most `wait` for the first.
    pub async fn receive(
        &mut self,
        entity: &str,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, ServiceBusError> {
        let lost = |problem: String| ServiceBusError::Lost { entity: entity.to_owned(), problem };
        self.receiver.set_credit(max).await.map_err(|error| lost(format!("{error:?}")))?;
        let mut received = Vec::new();
        let mut until = Instant::now() + wait;
        while received.len() < max as usize {
            match timeout_at(until, self.next()).await {
                Ok(message) => received.push(message.map_err(|error| lost(error.to_string()))?),
                Err(_) => break,
            }
            until = Instant::now() + BETWEEN_MESSAGES;
        }
        if received.len() < max as usize {
            // Takes the rest of the credit back: what came later would lie here, locked, and nobody would know. The
            // library does not tell when the broker has answered, so what is on its way gets a moment.
            self.receiver.drain().await.map_err(|error| lost(format!("{error:?}")))?;
            while received.len() < max as usize {
                let Ok(message) = timeout(BETWEEN_MESSAGES, self.next()).await else { break };
                received.push(message.map_err(|error| lost(error.to_string()))?);
            }
        }
        Ok(received)
    }

    async fn next(&mut self) -> Result<ReceivedMessage, RecvError> {
        let (delivery, message) = self.receiver.recv::<Body<Value>>().await?.into_parts();
        // The lock token is the delivery tag, as a GUID in Microsoft's byte order.
        let tag = <[u8; 16]>::try_from(&delivery.delivery_tag()[..]).unwrap_or_default();
        let lock = Lock { link: self.id, token: Uuid::from_bytes_le(tag), delivery };
        Ok(ReceivedMessage::new(decode(message), Some(lock)))
    }

    pub async fn close(mut self) {
        let farewell = async {
            if let Some(management) = self.management {
                management.close().await.ok();
            }
            self.receiver.close().await.ok();
            self.session.end().await.ok();
        };
        timeout(Duration::from_secs(1), farewell).await.ok();
        self.connection.close().await;
    }
}
