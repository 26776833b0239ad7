//! The embedded broker: Service Bus's semantics in one SQLite file.
//!
//! A publisher's task checks and encodes its message and hands it to the writer thread, which writes a copy for every
//! subscription that matches and answers after the commit ([`publish`]). A receiver locks messages in batches
//! ([`claim`]) and settles them ([`settle`]); between its deliveries a message is only a narrow row that moves
//! ([`schema`]). [`seen`] drops duplicates. Peeks and counts run on a reader's connection ([`browse`]). What waits may be
//! looked at and changed as a whole ([`shelf`]).
//!
//! Beyond Service Bus: locks end with the process that held them, so a restart redelivers at once what was not delivered
//! often (deliveries stay counted), and a lock that ran out still settles its message for as long as nobody else has
//! received it.

mod browse;
mod claim;
mod dead_letters;
mod delivery;
mod publish;
mod routes;
mod schema;
mod seen;
mod settle;
mod shelf;
mod types;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::time::{Instant, sleep_until};

use self::{
    publish::{Accepted, Publication},
    routes::{Queue, Routes, TopicRoute},
    schema::{NO_ENTITY, PROFILE},
    seen::Seen,
    settle::Verdict,
};
use super::sqlite::{Readers, Sequence, State, Writer, open_reader};
use crate::{
    bus::{Bus, Message, PublishError, Shelf, Topology},
    clock::{Clock, SharedClock, SystemClock},
};

pub use super::sqlite::OpenError;
pub(crate) use publish::MESSAGE_BYTES;
pub use types::{BrokerError, Depth, Entity, Lock, Received, Settlement};

/// The longest a waiting receiver sleeps before it looks again. Publications and due times wake it earlier; this
/// covers a wall clock that was set forward.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// As good as endless, and a deadline that can be computed.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The broker. Clones share it; dropping the last one closes the file.
#[derive(Debug, Clone)]
pub struct Broker {
    path: PathBuf,
    routes: Arc<Routes>,
    clock: SharedClock,
    // In this order: the writer, closing last, folds the WAL into the file.
    readers: Readers,
    writer: Writer<BrokerState>,
}

/// What the writer thread keeps in memory.
#[derive(Debug)]
struct BrokerState {
    routes: Arc<Routes>,
    clock: SharedClock,
    sequence: Sequence,
    seen: Seen,
    /// What the running transaction publishes. It is written at the transaction's end, so a job does not see what another one
    /// of its transaction has published: nobody has an answer to that yet.
    accepted: Vec<Accepted>,
    /// Queues that have something new, once the transaction is committed.
    touched: Vec<Arc<Queue>>,
    /// Locks that the running transaction renewed, and when they ran out before.
    renewed: Vec<(Lock, i64)>,
}

impl BrokerState {
    /// Microseconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    fn touch(&mut self, queue: &Arc<Queue>) {
        if !self.touched.iter().any(|known| known.id == queue.id) {
            self.touched.push(Arc::clone(queue));
        }
    }
}

impl State for BrokerState {
    fn before_commit(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        publish::write(connection, &self.accepted)?;
        let now = self.now();
        self.seen.before_commit(connection, now)
    }

    fn committed(&mut self) {
        self.accepted.clear();
        self.seen.committed();
        self.renewed.clear();
        for queue in self.touched.drain(..) {
            // One receiver is enough: where there is more than it takes, it passes the word on.
            queue.ready.notify_one();
        }
    }

    fn rolled_back(&mut self) {
        self.accepted.clear();
        self.seen.rolled_back();
        self.sequence.rolled_back();
        self.touched.clear();
        for (lock, until) in self.renewed.drain(..).rev() {
            lock.until.store(until, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Broker {
    /// Opens or creates the file and applies the topology to it. What a subscription that is no longer in the topology
    /// still holds is kept, and can be received and peeked.
    ///
    /// # Errors
    /// Another process has the file open, or it cannot be opened or read.
    pub fn open(path: &Path, topology: &Topology, clock: SharedClock) -> Result<Broker, OpenError> {
        let loaded = OnceLock::new();
        let writer = Writer::open(path, &PROFILE, "broker-writer", |connection| {
            let numbers = schema::prepare(connection, topology)?;
            let routes = Arc::new(Routes::new(topology, numbers));
            warn_of_leftovers(connection, topology)?;
            let windows = routes.topics().map(|topic| (topic.id, topic.window));
            let seen = Seen::load(connection, windows, clock.now().timestamp_micros())?;
            loaded.set(Arc::clone(&routes)).expect("the file is loaded once");
            Ok(BrokerState {
                sequence: Sequence::open(connection, "message")?,
                seen,
                clock: Arc::clone(&clock),
                routes,
                accepted: Vec::new(),
                touched: Vec::new(),
                renewed: Vec::new(),
            })
        })?;
        let readers = Readers::open(path, &PROFILE, "broker-reader", 1)?;
        let routes = loaded.into_inner().expect("an opened file was loaded");
        Ok(Self { path: path.to_owned(), routes, clock, readers, writer })
    }

    /// Up to `max` messages, waiting at most `wait` for the first one. Locks them for the subscription's lock duration
    /// and counts a delivery. A call that is dropped before it returns takes no message with it.
    pub async fn receive(&self, entity: &Entity, max: usize, wait: Duration) -> Result<Vec<Received>, BrokerError> {
        let queue = self.queue(entity)?;
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            let claimant = Arc::clone(queue);
            let writer = self.writer.downgrade();
            let claim = self
                .writer
                .run(move |connection, state| claim::claim(connection, state, &claimant, max, writer))
                .await?;
            if !claim.claimed.is_empty() {
                if claim.more {
                    queue.ready.notify_one();
                }
                let deliveries = claim.claimed.take();
                return Ok(deliveries.into_iter().map(|row| row.into_received(queue.id)).collect());
            }
            if claim.more {
                // What was looked at had expired or was spent.
                continue;
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let due_in = claim.due_in.map_or(LONGEST_SLEEP, |micros| Duration::from_micros(micros.max(0) as u64));
            let wake = deadline.min(Instant::now() + due_in.min(LONGEST_SLEEP));
            tokio::select! {
                // Something was published, abandoned or moved here.
                () = queue.ready.notified() => {}
                // A message is due, or the caller has waited long enough: one last look.
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes messages out of the broker: they were dealt with.
    pub async fn complete(&self, locks: &[Lock]) -> Result<Vec<Settlement>, BrokerError> {
        self.settle(locks, Verdict::Complete).await
    }

    /// Makes messages available again at once, or dead-letters those that were delivered too often.
    pub async fn abandon(&self, locks: &[Lock]) -> Result<Vec<Settlement>, BrokerError> {
        self.settle(locks, Verdict::Abandon).await
    }

    /// Makes messages available again at once, as if they had not been delivered.
    pub async fn release(&self, locks: &[Lock]) -> Result<Vec<Settlement>, BrokerError> {
        self.settle(locks, Verdict::Release).await
    }

    /// Moves messages to the dead-letter sub-queue.
    pub async fn dead_letter(
        &self,
        locks: &[Lock],
        reason: &str,
        description: &str,
    ) -> Result<Vec<Settlement>, BrokerError> {
        let verdict = Verdict::DeadLetter { reason: reason.to_owned(), description: description.to_owned() };
        self.settle(locks, verdict).await
    }

    /// Locks a message for another lock duration, counted from now. The lock and all its clones stay valid.
    pub async fn renew(&self, lock: &Lock) -> Result<Settlement, BrokerError> {
        let settled = self.settle(std::slice::from_ref(lock), Verdict::Renew).await?;
        Ok(settled.first().copied().unwrap_or(Settlement::LockLost))
    }

    async fn settle(&self, locks: &[Lock], verdict: Verdict) -> Result<Vec<Settlement>, BrokerError> {
        if locks.is_empty() {
            return Ok(Vec::new());
        }
        let locks = locks.to_vec();
        let job =
            move |connection: &Connection, state: &mut BrokerState| settle::settle(connection, state, &locks, &verdict);
        Ok(self.writer.run(job).await?)
    }

    /// Messages in order of sequence number, from `from_sequence` on, in whatever state: nothing is locked or counted.
    pub async fn peek(&self, entity: &Entity, from_sequence: i64, max: usize) -> Result<Vec<Received>, BrokerError> {
        let id = self.queue(entity)?.id;
        let rows = self.readers.run(move |connection| browse::peek(connection, id, from_sequence, max)).await?;
        Ok(rows.into_iter().map(|row| row.into_received(NO_ENTITY)).collect())
    }

    /// How much waits in each subscription, including those that are no longer in the topology.
    pub async fn depths(&self) -> Result<Vec<Depth>, BrokerError> {
        let now = self.clock.now().timestamp_micros();
        Ok(self.readers.run(move |connection| browse::depths(connection, now)).await?)
    }

    /// Whether the topology has the topic.
    pub fn has_topic(&self, name: &str) -> bool {
        self.routes.topic(name).is_some()
    }

    /// Whether messages can be received from the entity.
    pub fn has_entity(&self, entity: &Entity) -> bool {
        self.routes.queue(entity).is_some()
    }

    /// Publishes messages together: all of them or none. Returns for each the sequence number of its first copy, by
    /// which [`Broker::cancel_scheduled`] knows it; that of a message nobody subscribes to, or of a duplicate, leads
    /// nowhere.
    pub async fn publish_all(&self, topic: &str, messages: Vec<Message>) -> Result<Vec<i64>, PublishError> {
        let topic = self.topic(topic)?;
        let publications = messages
            .into_iter()
            .map(|message| Publication::new(topic, message).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let store = move |connection: &Connection, state: &mut BrokerState| {
            let stored = publications.into_iter().map(|publication| match publication.accept(connection, state)? {
                Some(sequence) => Ok(sequence),
                None => state.sequence.take(connection),
            });
            stored.collect()
        };
        self.writer.run(store).await.map_err(|error| PublishError::Unavailable(error.to_string()))
    }

    /// Takes back a message that was scheduled and is not due yet, in all subscriptions; `false` where there is none.
    pub async fn cancel_scheduled(&self, topic: &str, sequence: i64) -> Result<bool, PublishError> {
        let topic = Arc::clone(self.topic(topic)?);
        let cancel = move |connection: &Connection, state: &mut BrokerState| {
            publish::cancel(connection, &topic, sequence, state.now())
        };
        self.writer.run(cancel).await.map_err(|error| PublishError::Unavailable(error.to_string()))
    }

    fn topic(&self, name: &str) -> Result<&Arc<TopicRoute>, PublishError> {
        self.routes.topic(name).ok_or_else(|| PublishError::Refused(format!("there is no topic {name}")))
    }

    fn queue(&self, entity: &Entity) -> Result<&Arc<Queue>, BrokerError> {
        self.routes.queue(entity).ok_or_else(|| BrokerError::UnknownEntity(entity.clone()))
    }
}

#[async_trait]
impl Bus for Broker {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        // It is kept here, so that what this thread has allocated is freed by it: another one would be slow at that.
        let publication = Arc::new(Publication::new(self.topic(topic)?, message)?);
        let accepted = Arc::clone(&publication);
        self.writer
            .run(move |connection, state| accepted.accept(connection, state))
            .await
            .map(|_| ())
            .map_err(|error| PublishError::Unavailable(error.to_string()))
    }

    fn shelf(&self) -> Option<&dyn Shelf> {
        Some(self)
    }
}

/// Depths for another process than the one that runs the broker. Reads only.
///
/// # Errors
/// The file does not exist, is of a newer version, or cannot be read.
pub fn read_depths(path: &Path) -> Result<Vec<Depth>, OpenError> {
    let connection = open_reader(path, &PROFILE)?;
    browse::depths(&connection, SystemClock.now().timestamp_micros()).map_err(OpenError::sqlite(path))
}

fn warn_of_leftovers(connection: &Connection, topology: &Topology) -> rusqlite::Result<()> {
    for (id, entity) in schema::entities(connection)? {
        let wanted = topology.topics.iter().any(|topic| {
            topic.name == entity.topic && topic.subscriptions.iter().any(|known| known.name == entity.subscription)
        });
        if !wanted && !schema::is_empty(connection, id)? {
            tracing::warn!(%entity, "this subscription is no longer in the topology, but still holds messages");
        }
    }
    Ok(())
}
