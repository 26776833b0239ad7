//! What has something due.
//!
//! Which partners there are is not asked of their registry: the store itself tells whose records it holds, so those of a
//! partner that was removed are found like any other's. In quiet times one small query shows all that is due. When it does
//! not, a walk from partition to partition finds who has records at all, one small query each, however many they hold.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use object_store::path::Path;
use rand::seq::SliceRandom;

use super::{SPOOL_PREFIX, Sweep, SweepError, relay::PAGE_BYTES};
use crate::{
    clock::millis,
    deadline::within,
    delivery::{
        breaker::Verdict,
        breakers::{self, BreakerRecord},
        partner::State,
        partners::{self, Known},
    },
    documents::{Comparison, Container, Query},
    ledger::outbox,
    retry::records::PARTNER_PARTITION,
};

/// Due records looked at to learn who has any.
const GLANCE: usize = 100;
/// Partitions asked at once whether they have something due.
const ASKED_AT_ONCE: usize = 8;
/// Where the stretches begin that are walked side by side; each ends with the beginning of the next. Where a step takes
/// 10 ms, a thousand partners are found in about a second.
const STRETCHES: [&str; 8] =
    ["", "partner:", "partner:c", "partner:f", "partner:j", "partner:m", "partner:p", "partner:t"];

/// What is swept in turn with the other scopes, under a lease of its own.
#[derive(Debug)]
pub(super) struct Scope {
    /// The lease's name is made of it.
    pub name: String,
    pub kind: Kind,
    /// Whose records these are.
    pub partner: Option<String>,
    /// What finds the due records, one partition or container each.
    pub queries: Vec<Query>,
}

/// What kind of records a scope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Retries,
    Spool,
    SpooledBlobs,
    Outbox,
}

impl Kind {
    pub fn container(self) -> Container {
        match self {
            Kind::Retries => Container::Retries,
            Kind::Spool | Kind::SpooledBlobs => Container::Spool,
            Kind::Outbox => Container::Ledger,
        }
    }
}

/// What a look brought: the scopes, in an order that favours none, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub scopes: Vec<Scope>,
    pub errors: Vec<(&'static str, SweepError)>,
}

impl Sweep<'_> {
    /// Every scope that has something due now.
    pub(super) async fn find(&self) -> Found {
        let mut found = Found::default();
        let (retries, spool, blobs, outbox) =
            tokio::join!(self.find_retries(), self.find_spooled(), self.find_spooled_blobs(), self.find_outbox());
        for (name, looked) in [("retries", retries), ("spool", spool), ("spooled-blobs", blobs), ("outbox", outbox)] {
            match looked {
                Ok(scopes) => found.scopes.extend(scopes),
                Err(error) => found.errors.push((name, error)),
            }
        }
        // Were there more scopes than one sweep has time for, the last would never have their turn.
        found.scopes.shuffle(&mut rand::rng());
        self.budget.share(found.scopes.len());
        found
    }

    fn due(&self) -> Query {
        let now = millis::text(self.ports.clock.now());
        Query::all().filter("due_at", Comparison::LessOrEqual, now).order_by("due_at")
    }

    fn due_in(&self, partition: &str) -> Query {
        Query { partition: Some(partition.to_owned()), ..self.due() }
    }

    async fn any(&self, container: Container, query: &Query) -> Result<bool, SweepError> {
        let page = self.ports.documents.query(container, &query.clone().page_size(1)).await?;
        Ok(!page.documents.is_empty())
    }

    async fn find_spooled(&self) -> Result<Vec<Scope>, SweepError> {
        self.find_all("spool", Kind::Spool, self.due()).await
    }

    async fn find_outbox(&self) -> Result<Vec<Scope>, SweepError> {
        self.find_all("outbox", Kind::Outbox, outbox::left_behind(self.ports.clock.now())).await
    }

    async fn find_all(&self, name: &str, kind: Kind, query: Query) -> Result<Vec<Scope>, SweepError> {
        let any = self.any(kind.container(), &query).await?;
        let scope = Scope { name: name.to_owned(), kind, partner: None, queries: vec![query] };
        Ok(any.then_some(scope).into_iter().collect())
    }

    async fn find_spooled_blobs(&self) -> Result<Vec<Scope>, SweepError> {
        let prefix = Path::from(SPOOL_PREFIX);
        let mut blobs = self.ports.blobs.list(Some(&prefix));
        let first = within(self.config.dependencies.timeout, blobs.try_next()).await?;
        let scope =
            |_| Scope { name: "spooled-blobs".into(), kind: Kind::SpooledBlobs, partner: None, queries: Vec::new() };
        Ok(first.map(scope).into_iter().collect())
    }

    async fn find_retries(&self) -> Result<Vec<Scope>, SweepError> {
        let glance = self.due().page_size(GLANCE).page_bytes(PAGE_BYTES);
        let page = self.ports.documents.query(Container::Retries, &glance).await?;
        if page.documents.is_empty() {
            return Ok(Vec::new());
        }
        self.known().breakers = self.breakers().await?.into();
        let mut due: BTreeSet<String> = match page.continuation {
            None => page.documents.into_iter().map(|document| document.partition).collect(),
            Some(_) => self.walk().await?,
        };
        due.retain(|partition| self.may_be_swept(partition));
        let mut scopes = BTreeMap::new();
        for partition in due {
            let partner = partner_of(&partition);
            let name = partner.map_or("callbacks", |_| partition.as_str()).to_owned();
            let scope = scopes.entry(name.clone()).or_insert_with(|| Scope {
                name,
                kind: Kind::Retries,
                partner: partner.map(str::to_owned),
                queries: Vec::new(),
            });
            scope.queries.push(self.due_in(&partition));
        }
        Ok(scopes.into_values().collect())
    }

    /// The breakers that protect somebody. What is owed to a partner that is disabled, or gone, is parked without a
    /// request: for its endpoint's sake nothing needs to wait.
    async fn breakers(&self) -> Result<BTreeMap<String, BreakerRecord>, SweepError> {
        let mut breakers = breakers::read(self.ports.documents).await?;
        if breakers.values().any(|record| record.breaker.is_open()) {
            let partners = partners::read(self.ports.documents).await?;
            breakers.retain(|name, _| match partners.get(name) {
                Known::Partner(partner) => partner.state == State::Enabled,
                Known::Unreadable => true,
                Known::No => false,
            });
        }
        Ok(breakers)
    }

    /// Every partition that has something due and may be swept.
    async fn walk(&self) -> Result<BTreeSet<String>, SweepError> {
        let ends = STRETCHES.iter().skip(1).map(Some).chain([None]);
        let walks = STRETCHES.iter().zip(ends).map(|(start, end)| self.walk_stretch(start, end.copied()));
        let mut partitions = try_join_all(walks).await?.concat();
        partitions.retain(|partition| self.may_be_swept(partition));
        let asked = stream::iter(partitions).map(|partition| async move {
            let any = self.any(Container::Retries, &self.due_in(&partition)).await?;
            Ok::<_, SweepError>(any.then_some(partition))
        });
        let answers: Vec<_> = asked.buffer_unordered(ASKED_AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// The partitions behind `start`, up to and with `end`.
    async fn walk_stretch(&self, start: &str, end: Option<&str>) -> Result<Vec<String>, SweepError> {
        let mut found = Vec::new();
        let mut next = Query::all().after_partition(start).page_size(1);
        while let Some(first) = self.ports.documents.query(Container::Retries, &next).await?.documents.pop() {
            if end.is_some_and(|end| first.partition.as_str() > end) {
                break;
            }
            next = next.after_partition(first.partition.clone());
            found.push(first.partition);
        }
        Ok(found)
    }

    fn may_be_swept(&self, partition: &str) -> bool {
        partner_of(partition).is_none_or(|partner| self.admits(partner) > 0)
    }

    /// How many records of a partner may be published: none while its breaker is open, one when a probe is due.
    pub(super) fn admits(&self, partner: &str) -> usize {
        let now = self.ports.clock.now();
        let known = self.known();
        match known.breakers.get(partner).map_or(Verdict::Pass, |record| record.breaker.ask(now)) {
            Verdict::Pass => usize::MAX,
            Verdict::Probe if !known.probed.contains(partner) => 1,
            Verdict::Probe | Verdict::Wait(_) => 0,
        }
    }
}

fn partner_of(partition: &str) -> Option<&str> {
    partition.strip_prefix(PARTNER_PARTITION)
}
