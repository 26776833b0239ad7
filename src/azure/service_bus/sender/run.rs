//! The task that owns a link: connects, hands messages over, and connects again when the link is lost.
//!
//! What has not been handed to the link when it is lost is sent on the next one. What has, is answered with an error at
//! once: it may have been accepted, and only its owner knows whether to send it again. Links that do not last are asked
//! for ever more seldom, and nothing waits for them.

use std::{sync::Arc, time::Duration};

use fe2o3_amqp::{
    Sender as AmqpSender,
    link::{DetachError, LinkStateError, SendError, SenderAttachError},
    session::SessionHandle,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::transfer::{Fate, Transfer, Verdict};
use crate::azure::service_bus::{
    ServiceBusError,
    batch::{Batch, Pending},
    circuit::{Backoff, Circuit},
    connection::{Connection, Namespace},
};

/// How many transfers may be without an answer. When they all are, messages gather and travel together.
const IN_FLIGHT: usize = 64;
/// A link that was lost sooner does not promise that the next one will last.
const LASTING: Duration = Duration::from_secs(5);

pub(super) struct SenderTask {
    namespace: Arc<Namespace>,
    entity: Arc<str>,
    circuit: Arc<Circuit>,
    queue: mpsc::Receiver<Pending>,
    /// Taken from the queue and not handed to a link yet, in order.
    carried: Vec<Pending>,
    /// The messages of rejected batches: each comes back to be sent alone.
    again: (mpsc::UnboundedSender<Pending>, mpsc::UnboundedReceiver<Pending>),
}

/// A link and what it stands on; in this order they are dropped.
struct Link {
    sender: AmqpSender,
    session: SessionHandle<()>,
    connection: Connection,
}

impl SenderTask {
    pub fn new(
        namespace: Arc<Namespace>,
        entity: Arc<str>,
        circuit: Arc<Circuit>,
        queue: mpsc::Receiver<Pending>,
    ) -> Self {
        Self { namespace, entity, circuit, queue, carried: Vec::new(), again: mpsc::unbounded_channel() }
    }

    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        // What to answer while there is no link; `None` before anything is known to be wrong.
        let mut gone: Option<ServiceBusError> = None;
        loop {
            let (namespace, entity) = (Arc::clone(&self.namespace), Arc::clone(&self.entity));
            let connecting = connect(&namespace, &entity);
            let connected = match &gone {
                None => connecting.await,
                Some(error) => match self.refuse_while(&error.clone(), connecting).await {
                    Some(connected) => connected,
                    None => return,
                },
            };
            match connected {
                Ok(mut link) => {
                    if gone.take().is_some() {
                        tracing::info!(entity = %self.entity, "connected to Service Bus again");
                    }
                    self.circuit.close();
                    let since = Instant::now();
                    let verdict = self.drive(&mut link).await;
                    let lasted = since.elapsed() >= LASTING;
                    if lasted {
                        backoff.reset();
                    }
                    match verdict {
                        None => return link.close().await,
                        Some(Verdict::Lost(error)) if lasted => {
                            tracing::info!(entity = %self.entity, %error, "connecting again");
                        }
                        Some(Verdict::Lost(error)) => {
                            tracing::warn!(entity = %self.entity, %error, "a link did not last: failing fast");
                            drop(link);
                            self.circuit.open(error.clone());
                            let waited = self.refuse_while(&error, sleep(backoff.next())).await;
                            gone = Some(error);
                            if waited.is_none() {
                                return;
                            }
                        }
                        Some(Verdict::Silent(error)) => {
                            tracing::warn!(entity = %self.entity, %error, "Service Bus is silent: failing fast");
                            self.circuit.open(error.clone());
                            gone = Some(error);
                        }
                    }
                }
                Err(error) => {
                    if gone.is_none() {
                        tracing::warn!(entity = %self.entity, %error, "no link to Service Bus: failing fast");
                    }
                    self.circuit.open(error.clone());
                    let waited = self.refuse_while(&error, sleep(backoff.next())).await;
                    gone = Some(error);
                    if waited.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Answers everything that waits, or comes, with the error, until the work is done. `None`: nobody can send any more.
    async fn refuse_while<T>(&mut self, error: &ServiceBusError, work: impl Future<Output = T>) -> Option<T> {
        for pending in self.carried.drain(..) {
            pending.answer(Err(error.clone()));
        }
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                Some(pending) = self.again.1.recv() => pending.answer(Err(error.clone())),
                pending = self.queue.recv() => pending?.answer(Err(error.clone())),
            }
        }
    }

    /// Hands messages over until the link is of no more use, or nobody can send any more (`None`).
    async fn drive(&mut self, link: &mut Link) -> Option<Verdict> {
        let limit = link.sender.max_message_size().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        let (fate, mut lost) = Fate::new(Arc::clone(&self.entity), self.namespace.send_timeout);
        loop {
            let permit = tokio::select! {
                biased;
                Some(verdict) = lost.recv() => return Some(verdict),
                permit = Arc::clone(&in_flight).acquire_owned() => permit.expect("nobody closes the semaphore"),
                error = link.sender.on_detach() => return Some(Verdict::Lost(self.detached(error))),
            };
            if self.carried.is_empty() {
                tokio::select! {
                    biased;
                    Some(verdict) = lost.recv() => return Some(verdict),
                    Some(pending) = self.again.1.recv() => self.carried.push(pending),
                    pending = self.queue.recv() => match pending {
                        Some(pending) => self.carried.push(pending),
                        None => {
                            // Every transfer has its answer once all permits are back.
                            drop(permit);
                            timeout(self.namespace.send_timeout, in_flight.acquire_many(IN_FLIGHT as u32)).await.ok();
                            return None;
                        }
                    },
                    // The service detaches links that were idle for ten minutes: better to know before the next message.
                    error = link.sender.on_detach() => return Some(Verdict::Lost(self.detached(error))),
                }
            }
            let batch = self.gather(limit);
            if batch.pending.is_empty() {
                continue;
            }
            let handed_over = tokio::select! {
                biased;
                Some(verdict) = lost.recv() => {
                    self.carried.splice(0..0, batch.pending);
                    return Some(verdict);
                }
                // Without credit the link waits: a broker that gives none is as good as gone.
                result = timeout(self.namespace.send_timeout, hand_over(&mut link.sender, &batch)) => result,
            };
            match handed_over {
                Ok(Ok(delivery)) => {
                    let transfer = Transfer { batch, delivery, permit, again: self.again.0.clone() };
                    tokio::spawn(transfer.settle(fate.clone(), Arc::clone(&self.circuit)));
                }
                Ok(Err(error)) => {
                    // It was not sent. On the next link it will be, unless its sender gives up before.
                    self.carried.splice(0..0, batch.pending);
                    return Some(Verdict::Lost(send_error(&self.entity, &error)));
                }
                Err(_) => {
                    let error = ServiceBusError::TimedOut {
                        entity: self.entity.to_string(),
                        limit: self.namespace.send_timeout,
                    };
                    self.carried.splice(0..0, batch.pending);
                    return Some(Verdict::Silent(error));
                }
            }
        }
    }

    /// The next batch of what waits and is still wanted. Begins with `carried`, and leaves there what did not fit. What
    /// comes back goes before what is new: under load there is always something new.
    fn gather(&mut self, limit: usize) -> Batch {
        let mut batch = Batch::default();
        let mut waiting = std::mem::take(&mut self.carried).into_iter();
        while let Some(pending) =
            waiting.next().or_else(|| self.again.1.try_recv().ok()).or_else(|| self.queue.try_recv().ok())
        {
            if !pending.is_wanted() {
                // Its sender went another way: sending it now would only make a duplicate.
                continue;
            }
            if pending.encoded.len() > limit {
                let (entity, size) = (self.entity.to_string(), pending.encoded.len());
                pending.answer(Err(ServiceBusError::TooLarge { entity, size, limit }));
                continue;
            }
            if let Some(next) = batch.add(pending, limit) {
                self.carried.push(next);
                break;
            }
        }
        self.carried.extend(waiting);
        batch
    }

    fn detached(&self, error: DetachError) -> ServiceBusError {
        match error {
            DetachError::RemoteClosedWithError(error) | DetachError::RemoteDetachedWithError(error) => {
                lost_or(&self.entity, &error)
            }
            other => ServiceBusError::Lost { entity: self.entity.to_string(), problem: other.to_string() },
        }
    }
}

type Delivery = fe2o3_amqp::link::delivery::DeliveryFut<Result<fe2o3_amqp_types::messaging::Outcome, SendError>>;

async fn hand_over(sender: &mut AmqpSender, batch: &Batch) -> Result<Delivery, SendError> {
    match &batch.pending[..] {
        [alone] => sender.send_batchable_ref(&*alone.sendable).await,
        _ => sender.send_batchable(batch.envelope()).await,
    }
}

/// A connection with its token and its link, or a reason why not, in time.
async fn connect(namespace: &Arc<Namespace>, entity: &str) -> Result<Link, ServiceBusError> {
    let limit = namespace.connect_timeout;
    let opening = async {
        let connection = Connection::open(namespace, entity).await?;
        let mut session = connection.session(entity).await?;
        let sender = attach(&mut session, entity).await?;
        Ok(Link { sender, session, connection })
    };
    timeout(limit, opening).await.unwrap_or_else(|_| {
        let host = namespace.endpoint.to_string();
        Err(ServiceBusError::Unreachable { host, problem: format!("no connection within {limit:?}") })
    })
}

/// A link to a topic or a queue, which nothing has been sent on.
pub(in crate::azure::service_bus) async fn attach(
    session: &mut SessionHandle<()>,
    entity: &str,
) -> Result<AmqpSender, ServiceBusError> {
    let sender = AmqpSender::builder().name(format!("{entity}-{}", Uuid::new_v4())).target(entity);
    sender.attach(session).await.map_err(|error| match error {
        SenderAttachError::RemoteClosedWithError(error) => ServiceBusError::from_amqp(entity, &error),
        // The library misses the reason when the broker's two frames come far apart; the next attempt learns it.
        SenderAttachError::IncomingTargetIsNone => ServiceBusError::refused_without_reason(entity),
        other => ServiceBusError::Lost { entity: entity.to_owned(), problem: other.to_string() },
    })
}

impl Link {
    async fn close(mut self) {
        let farewell = async {
            self.sender.close().await.ok();
            self.session.end().await.ok();
        };
        timeout(Duration::from_secs(1), farewell).await.ok();
        self.connection.close().await;
    }
}

/// A broker's error on a link that worked: what it says about access or existence stays, the rest is a lost link.
fn lost_or(entity: &str, error: &fe2o3_amqp_types::definitions::Error) -> ServiceBusError {
    match ServiceBusError::from_amqp(entity, error) {
        ServiceBusError::Invalid { entity, problem } | ServiceBusError::Failed { entity, problem } => {
            ServiceBusError::Lost { entity, problem }
        }
        other => other,
    }
}

pub(super) fn send_error(entity: &str, error: &SendError) -> ServiceBusError {
    match error {
        SendError::LinkStateError(
            LinkStateError::RemoteClosedWithError(error) | LinkStateError::RemoteDetachedWithError(error),
        ) => lost_or(entity, error),
        other => ServiceBusError::Lost { entity: entity.to_owned(), problem: other.to_string() },
    }
}
