//! A scope's records, page by page: published, then deleted. What is in memory at once are the pages of
//! [`super::TURNS`] scopes, each of [`PAGE_BYTES`] and one record, twice while they are read.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;

use super::{
    Sweep, SweepError,
    scopes::{Kind, Scope},
};
use crate::{
    documents::{Action, CommitError, Container, Document, Operation, Page},
    lease::Lease,
    ledger::records::OutboxRecord,
    retry::records::{RetryRecord, SpoolRecord},
};

/// Records of a page on their way to the bus at once.
const CONCURRENCY: usize = 64;
/// Bodies of a page. A record has 256 KB at the most, most have a few.
pub(super) const PAGE_BYTES: usize = 4 << 20;

/// A page being moved.
pub(super) struct Moving<'a> {
    pub lease: &'a Lease,
    /// Nothing more is begun: something failed, or the lease is about to run out.
    stopped: AtomicBool,
}

impl<'a> Moving<'a> {
    pub fn new(lease: &'a Lease) -> Self {
        Self { lease, stopped: AtomicBool::new(false) }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Sweep<'_> {
    /// Relays what a scope's queries find, a page of each in turn.
    pub(super) async fn relay_pages(
        &self,
        scope: &Scope,
        lease: &mut Lease,
        moved: &mut usize,
    ) -> Result<(), SweepError> {
        let mut queries: VecDeque<_> = scope.queries.iter().cloned().collect();
        while let Some(mut query) = queries.pop_front() {
            let _turn = self.turn().await;
            if !self.holds(lease).await? {
                return Ok(());
            }
            let admitted = scope.partner.as_deref().map_or(usize::MAX, |partner| self.admits(partner));
            let taken = self.budget.take(admitted);
            if taken == 0 {
                return Ok(());
            }
            (query.page_size, query.page_bytes) = (taken, PAGE_BYTES);
            // Read under the lease: what another sweep dispatched before is not in it.
            let page = match self.ports.documents.query(scope.kind.container(), &query).await {
                Ok(page) => page,
                Err(error) => {
                    self.budget.give_back(taken);
                    return Err(error.into());
                }
            };
            query.continuation = page.continuation.clone();
            self.budget.pace(page.documents.len()).await;
            let moving = Moving::new(lease);
            let (done, outcome) = self.move_page(scope.kind, page, &moving).await;
            let stopped = moving.is_stopped();
            self.budget.give_back(taken - done);
            *moved += done;
            outcome?;
            if stopped {
                return Ok(());
            }
            if let Some(partner) = scope.partner.as_ref().filter(|_| admitted == 1 && done > 0) {
                self.known().probed.insert(partner.clone());
                return Ok(());
            }
            // Goes on behind this page, whatever of it had to stay.
            if query.continuation.is_some() {
                queries.push_back(query);
            }
        }
        Ok(())
    }

    /// Makes sure that the lease lasts for a page; `false` when another sweep has taken it.
    pub(super) async fn holds(&self, lease: &mut Lease) -> Result<bool, SweepError> {
        if lease.lasts(self.time_for_one() + self.config.dependencies.timeout / 2) {
            return Ok(true);
        }
        Ok(lease.renew().await?)
    }

    /// How many were moved, and what went wrong first. Everything that was begun is finished.
    async fn move_page(&self, kind: Kind, page: Page, moving: &Moving<'_>) -> (usize, Result<(), SweepError>) {
        let records = stream::iter(page.documents).map(|document| async move {
            if moving.is_stopped() {
                return Ok(false);
            }
            let moved = self.move_one(kind, document, moving).await;
            if moved.is_err() {
                moving.stop();
            }
            moved
        });
        let outcomes = records.buffer_unordered(CONCURRENCY);
        let fold = outcomes.fold((0, Ok(())), |(done, outcome), moved| async move {
            match moved {
                Ok(moved) => (done + usize::from(moved), outcome),
                Err(error) => (done, outcome.and(Err(error))),
            }
        });
        fold.await
    }

    /// Moves one record on; `false` leaves it where it is.
    async fn move_one(&self, kind: Kind, document: Document, moving: &Moving<'_>) -> Result<bool, SweepError> {
        let container = kind.container();
        let forwarded = match kind {
            Kind::Outbox => match read::<OutboxRecord>(container, &document) {
                Some(record) => self.announce(&record, moving).await?,
                None => false,
            },
            Kind::Retries => match read::<RetryRecord>(container, &document) {
                Some(record) => self.forward(&record.topic, record.message, moving).await?,
                None => false,
            },
            Kind::Spool | Kind::SpooledBlobs => match read::<SpoolRecord>(container, &document) {
                Some(record) => self.forward(&record.topic, record.message, moving).await?,
                None => false,
            },
        };
        if !forwarded {
            return Ok(false);
        }
        // Under its etag: a record that failed again meanwhile is a new one and must stay.
        let delete = Operation { id: document.id, action: Action::Delete { if_match: Some(document.etag) } };
        match self.ports.documents.commit(container, &document.partition, vec![delete]).await {
            Ok(_) | Err(CommitError::PreconditionFailed { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// A record that cannot be read stays where it is, for a person to look at.
fn read<T: DeserializeOwned>(container: Container, document: &Document) -> Option<T> {
    let record = document.parse::<T>();
    if let Err(error) = &record {
        tracing::error!(%error, container = container.name(), "a record cannot be read and stays where it is");
    }
    record.ok()
}
