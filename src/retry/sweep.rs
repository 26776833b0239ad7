//! The sweep: brings back what is due. It relays the spool, publishes due retry records, and publishes outbox entries
//! that were left behind.
//!
//! What is due belongs to a scope ([`scopes`]): the callbacks' retries, each partner's, the spool, the outbox. All scopes
//! that have something due are worked on side by side, in pages, and queue for a turn after each page; so one scope's
//! million records do not delay another's ten. A scope is worked on under its lease, so two sweeps at once share the scopes
//! and dispatch nothing twice. While a partner's breaker is open its records are left alone, but for a probe. How much
//! one sweep does, and how fast, is in [`budget`].
//!
//! Each record is published first and deleted after, under its etag ([`relay`], [`forward`]): a crash in between
//! publishes it again under the same message id, and what duplicate detection does not catch, the ledger does. Nothing
//! stands in the way of what is behind it: what the bus will never take is parked, what cannot be read is passed over,
//! and a scope that fails does not keep the others waiting.

mod blobs;
mod budget;
mod forward;
mod relay;
mod scopes;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use object_store::ObjectStore;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    bus::{Bus, PublishError},
    clock::Clock,
    config::Config,
    delivery::breakers::BreakerRecord,
    documents::{CommitError, Documents, DocumentsError},
    lease::{LeaseError, Leases},
};
use budget::Budget;
use scopes::{Found, Kind, Scope};

/// Blobs of the spool's last resort start so.
pub const SPOOL_PREFIX: &str = "spool";
/// Pages in memory at once, each of another scope: see [`relay`] for how large they are.
const TURNS: usize = 8;
/// How long after a look the sweep looks again for scopes, while it has work; or as long as the look took, if that is more.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What one sweep brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub spooled: usize,
    pub retries: usize,
    pub outbox: usize,
}

impl Swept {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, kind: Kind, moved: usize) {
        match kind {
            Kind::Spool | Kind::SpooledBlobs => self.spooled += moved,
            Kind::Retries => self.retries += moved,
            Kind::Outbox => self.outbox += moved,
        }
    }
}

/// Why a sweep could not bring back everything. What it had brought back stays so, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Read(#[from] DocumentsError),
    #[error(transparent)]
    Delete(#[from] CommitError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error("the blob store failed: {0}")]
    Blobs(#[from] object_store::Error),
}

/// The ports that a sweep works on.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    pub bus: &'a dyn Bus,
    pub documents: &'a dyn Documents,
    pub blobs: &'a dyn ObjectStore,
    pub clock: &'a dyn Clock,
    /// Those of this process: they remember which holders seem to be dead.
    pub leases: &'a Leases,
}

/// How long the sweep's leases last: what is begun with two thirds of it left, a publish and a delete, ends in time.
pub fn lease_duration(config: &Config) -> Duration {
    config.dependencies.timeout * 3
}

/// Brings back what is due, up to the configured limit and no faster than the configured rate.
///
/// # Errors
/// The bus or a store failed, for at least one scope. All others were worked on all the same.
pub async fn sweep(ports: Ports<'_>, config: &Config) -> Result<Swept, SweepError> {
    let sweep = Sweep {
        ports,
        config,
        budget: Budget::new(config.retry.sweep_limit, config.retry.sweep_rate),
        turns: Semaphore::new(TURNS),
        known: Mutex::default(),
    };
    sweep.run().await
}

/// One sweep at work.
struct Sweep<'a> {
    ports: Ports<'a>,
    config: &'a Config,
    budget: Budget,
    /// Given out first come, first served: that is what makes the scopes take turns.
    turns: Semaphore,
    known: Mutex<Known>,
}

/// What the parts of a sweep tell each other.
#[derive(Default)]
struct Known {
    /// As of the last look.
    breakers: Arc<BTreeMap<String, BreakerRecord>>,
    /// Partners that got their probe from this sweep.
    probed: HashSet<String>,
    /// Topics whose broker did not answer: nobody waits for them again in this sweep.
    down: BTreeSet<String>,
}

/// What the sweep waits for.
enum Step {
    Looked { found: Found, took: Duration },
    Worked { scope: String, kind: Kind, moved: usize, outcome: Result<(), SweepError> },
}

impl Sweep<'_> {
    async fn run(&self) -> Result<Swept, SweepError> {
        let mut swept = Swept::default();
        let mut failure = None;
        let mut failed = |scope: &str, error: SweepError| {
            tracing::warn!(scope, %error, "a scope could not be swept; the next sweep tries again");
            failure.get_or_insert(error);
        };
        let (mut working, mut done_for) = (HashSet::new(), HashSet::new());
        let mut steps = FuturesUnordered::from_iter([self.look(Instant::now())]);
        while let Some(step) = steps.next().await {
            match step {
                Step::Looked { found, took } => {
                    for (scope, error) in found.errors {
                        failed(scope, error);
                    }
                    for scope in found.scopes {
                        if !done_for.contains(&scope.name) && working.insert(scope.name.clone()) {
                            steps.push(self.work(scope));
                        }
                    }
                    if !self.budget.is_spent() {
                        steps.push(self.look(Instant::now() + LOOK_AGAIN.max(took)));
                    }
                }
                Step::Worked { scope, kind, moved, outcome } => {
                    swept.add(kind, moved);
                    working.remove(&scope);
                    if let Err(error) = outcome {
                        failed(&scope, error);
                        done_for.insert(scope);
                    }
                }
            }
            // What is left is a look for later.
            if working.is_empty() {
                break;
            }
        }
        failure.map_or(Ok(swept), Err)
    }

    fn look(&self, at: Instant) -> BoxFuture<'_, Step> {
        let look = async move {
            tokio::time::sleep_until(at).await;
            let began = Instant::now();
            Step::Looked { found: self.find().await, took: began.elapsed() }
        };
        look.boxed()
    }

    fn work(&self, scope: Scope) -> BoxFuture<'_, Step> {
        let work = async move {
            let mut moved = 0;
            let outcome = self.work_on(&scope, &mut moved).await;
            Step::Worked { scope: scope.name, kind: scope.kind, moved, outcome }
        };
        work.boxed()
    }

    /// Relays what is due of a scope, unless another sweep does.
    async fn work_on(&self, scope: &Scope, moved: &mut usize) -> Result<(), SweepError> {
        // Only now: whoever waits for a turn with a lease in hand would keep others from the scope.
        let turn = self.turn().await;
        let Some(mut lease) = self.ports.leases.take(&format!("sweep:{}", scope.name)).await? else { return Ok(()) };
        drop(turn);
        let outcome = match scope.kind {
            Kind::SpooledBlobs => self.relay_spooled_blobs(&mut lease, moved).await,
            _ => self.relay_pages(scope, &mut lease, moved).await,
        };
        lease.release().await;
        outcome
    }

    async fn turn(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.turns.acquire().await.expect("nobody closes the semaphore")
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time for one record: a publish and a delete, each of which ends within the dependencies' timeout.
    fn time_for_one(&self) -> Duration {
        self.config.dependencies.timeout * 2
    }
}
