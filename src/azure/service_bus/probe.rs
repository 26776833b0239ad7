//! Looking at a namespace without leaving a trace: links are attached and closed again, on one connection. Nothing is
//! sent, and a link without credit takes nothing and locks nothing.

use std::{sync::Arc, time::Duration};

use fe2o3_amqp::session::SessionHandle;
use tokio::time::timeout;

use super::{
    Endpoint, ServiceBusClient, ServiceBusError,
    connection::{Connection, Namespace},
    receiver, sender,
};

/// How often a link that was refused without a reason is asked for, until the reason is heard.
const ATTEMPTS: u32 = 4;
/// For a farewell: whether it is heard changes nothing.
const FAREWELL: Duration = Duration::from_millis(500);

/// A connection to look through. Waits for as long as its caller does: limits are the caller's.
#[derive(Debug)]
pub struct Probe {
    namespace: Arc<Namespace>,
    connection: Connection,
}

impl ServiceBusClient {
    /// Where the namespace is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.namespace.endpoint
    }

    /// Gets a token, without the namespace: made of the key, or from Entra ID.
    ///
    /// # Errors
    /// [`ServiceBusError::NoToken`]
    pub async fn look_for_token(&self) -> Result<(), ServiceBusError> {
        let Namespace { endpoint, credential, clock, .. } = &*self.namespace;
        let token = credential.token(&format!("sb://{}/", endpoint.host), clock.now()).await;
        token.map(|_| ()).map_err(|problem| ServiceBusError::NoToken { host: endpoint.host.clone(), problem })
    }

    /// Connects: TCP, TLS and AMQP.
    ///
    /// # Errors
    /// [`ServiceBusError::Unreachable`]
    pub async fn probe(&self) -> Result<Probe, ServiceBusError> {
        let connection = Connection::connect(&self.namespace.endpoint).await?;
        Ok(Probe { namespace: Arc::clone(&self.namespace), connection })
    }
}

impl Probe {
    /// Whether we may publish to a topic.
    ///
    /// # Errors
    /// What the broker said; [`ServiceBusError::Denied`] and [`ServiceBusError::NotFound`] are its answers to the question.
    pub async fn look_at_topic(&self, topic: &str) -> Result<(), ServiceBusError> {
        self.look(topic, true).await
    }

    /// Whether we may receive from a subscription.
    ///
    /// # Errors
    /// As for [`Self::look_at_topic`].
    pub async fn look_at_subscription(&self, topic: &str, subscription: &str) -> Result<(), ServiceBusError> {
        self.look(&format!("{topic}/Subscriptions/{subscription}"), false).await
    }

    async fn look(&self, entity: &str, sends: bool) -> Result<(), ServiceBusError> {
        self.connection.authorize(&self.namespace, entity).await?;
        let unheard = ServiceBusError::refused_without_reason(entity);
        let mut attempt = 1;
        loop {
            match self.attach(entity, sends).await {
                Err(error) if error == unheard && attempt < ATTEMPTS => attempt += 1,
                answer => return answer,
            }
        }
    }

    async fn attach(&self, entity: &str, sends: bool) -> Result<(), ServiceBusError> {
        let mut session = self.connection.session(entity).await?;
        let attached = match sends {
            true => attach_and_close_sender(&mut session, entity).await,
            false => attach_and_close_receiver(&mut session, entity).await,
        };
        timeout(FAREWELL, session.end()).await.ok();
        attached
    }

    pub async fn close(self) {
        self.connection.close().await;
    }
}

async fn attach_and_close_sender(session: &mut SessionHandle<()>, entity: &str) -> Result<(), ServiceBusError> {
    let link = sender::attach(session, entity).await?;
    timeout(FAREWELL, link.close()).await.ok();
    Ok(())
}

async fn attach_and_close_receiver(session: &mut SessionHandle<()>, entity: &str) -> Result<(), ServiceBusError> {
    let (_, link) = receiver::attach(session, entity).await?;
    timeout(FAREWELL, link.close()).await.ok();
    Ok(())
}
