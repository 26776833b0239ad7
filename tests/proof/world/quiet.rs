//! When a system is quiet: nothing waits anywhere, and nobody has anything in hand.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use object_store::{ObjectStore, path::Path};
use sluice::{
    documents::{Container, Query, query_all},
    ledger::records::OUTBOX_PREFIX,
    retry::sweep::SPOOL_PREFIX,
};

use super::{ARCHIVE, World};

/// How long the system may take, once faults have ended.
const BOUND: Duration = Duration::from_secs(60);
/// What happens late has happened by then (see `Rates::delay`), unless the machine is busy: so it is waited for twice.
const LATE: Duration = Duration::from_millis(300);
/// What is due later is not waited for: the clock makes leaps.
const LEAP: Duration = Duration::from_secs(8);

impl World {
    /// Ends all faults and waits until the system is quiet. Returns what still is not, where it was waited for too long.
    pub async fn settle(&self) -> Vec<String> {
        self.faults.heal();
        tokio::time::sleep(LATE).await;
        let began = Instant::now();
        loop {
            let mut loud = self.loud().await;
            if loud.is_empty() {
                // What moved from the store to the bus between two looks at them was seen in neither.
                tokio::time::sleep(LATE).await;
                loud = self.loud().await;
            }
            if loud.is_empty() || began.elapsed() > BOUND {
                return loud;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.clock.forward(LEAP);
        }
    }

    /// What keeps the system from being quiet. While one place is looked at, something may go from another one to a third:
    /// so the broker, which everything passes, is looked at before the store and after it, and all of that twice.
    async fn loud(&self) -> Vec<String> {
        for _ in 0..2 {
            let mut loud = self.waits_in_the_broker().await;
            loud.extend(self.waits_in_the_store().await);
            loud.extend(self.waits_in_the_broker().await);
            if !loud.is_empty() {
                return loud;
            }
        }
        Vec::new()
    }

    async fn waits_in_the_broker(&self) -> Vec<String> {
        let mut loud = Vec::new();
        for depth in self.test.broker.depths().await.unwrap() {
            let sluice::local::broker::Depth { entity, active, scheduled, locked, dead_letters, .. } = depth;
            if dead_letters > 0 {
                loud.push(format!("{entity}: {dead_letters} dead letters"));
            }
            if entity.subscription != ARCHIVE && active + scheduled + locked > 0 {
                loud.push(format!("{entity}: {active} active, {scheduled} scheduled, {locked} locked"));
            }
        }
        loud
    }

    async fn waits_in_the_store(&self) -> Vec<String> {
        let mut loud = Vec::new();
        let documents = self.store();
        let outbox = Query::all().id_prefix(OUTBOX_PREFIX);
        let containers = [
            (Container::Retries, Query::all(), "retry records"),
            (Container::Spool, Query::all(), "spooled callbacks"),
            (Container::Ledger, outbox, "outbox entries"),
        ];
        for (container, query, name) in containers {
            match query_all(documents, container, query.page_size(1000)).await {
                Ok(found) => loud.extend(found.first().map(|first| {
                    format!("{} {name}, the first of them {}/{}", found.len(), first.partition, first.id)
                })),
                // A store behind a wire needs a moment of its own.
                Err(error) => loud.push(format!("{name} cannot be read: {error}")),
            }
        }
        let blobs = self.test.blobs.inner.list(Some(&Path::from(SPOOL_PREFIX))).count().await;
        if blobs > 0 {
            loud.push(format!("{blobs} spooled blobs"));
        }
        loud
    }
}
