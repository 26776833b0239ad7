//! The retry-storm meter: what vendors sent against what was new, per vendor.
//!
//! Each process counts in memory and writes its totals to container `registry` every few seconds, in a document of its
//! own, so that `sluice status` adds up all instances. A crash forgets the last seconds: these are gauges, not records.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::partners::{LastError, PartnerCounts, PartnerMeter, Sent};
use crate::{
    documents::{Container, Documents, DocumentsError, Operation, Query, SharedDocuments, query_all},
    telemetry::Count::{Applied, DuplicateCallback, Inbound, Parked, Shed, Spooled, UniqueCallback},
};

const PARTITION: &str = "meter";
const FLUSH_EVERY: Duration = Duration::from_secs(2);
const KEEP_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Callbacks acknowledged with 2xx.
    Inbound,
    /// Callbacks that went to the spool.
    Spooled,
    /// Processed callbacks that brought something new.
    UniqueCallback,
    /// Processed callbacks that brought nothing new.
    DuplicateCallback,
    /// Events applied to the ledger.
    Applied,
    /// Callbacks given up on.
    Parked,
    /// Requests answered 503 because there was too much at a time.
    Shed,
}

/// The totals of one vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VendorCounts {
    pub inbound: u64,
    /// Requests that could not be verified, by reason (`Refusal::code`). `no_key` and `certificate_needed` were answered
    /// 503, the others 401.
    pub refusals: BTreeMap<String, u64>,
    pub spooled: u64,
    pub unique_callbacks: u64,
    pub duplicate_callbacks: u64,
    pub events_applied: u64,
    pub parked: u64,
    /// Requests answered 503 before anything of them was read: there was too much at a time.
    pub shed: u64,
}

impl VendorCounts {
    /// Requests that could not be verified, whatever the reason.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }
}

#[derive(Debug, Default)]
struct Counters {
    counts: [AtomicU64; 7],
    /// Refusals are rare, or somebody knocks: neither needs more than a lock.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    fn refused(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> VendorCounts {
        let of = |count: Count| self.counts[count as usize].load(Ordering::Relaxed);
        VendorCounts {
            inbound: of(Inbound),
            refusals: self.refused().iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            spooled: of(Spooled),
            unique_callbacks: of(UniqueCallback),
            duplicate_callbacks: of(DuplicateCallback),
            events_applied: of(Applied),
            parked: of(Parked),
            shed: of(Shed),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct MeterRecord {
    id: String,
    key: String,
    vendors: BTreeMap<String, VendorCounts>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    partners: BTreeMap<String, PartnerCounts>,
}

/// Counts per vendor and per partner.
#[derive(Debug)]
pub struct Meter {
    instance: String,
    vendors: BTreeMap<String, Counters>,
    partners: PartnerMeter,
}

impl Meter {
    /// A meter for these vendors; others are not counted.
    pub fn new<'a>(vendors: impl IntoIterator<Item = &'a String>) -> Self {
        Self {
            instance: uuid::Uuid::now_v7().to_string(),
            vendors: vendors.into_iter().map(|name| (name.clone(), Counters::default())).collect(),
            partners: PartnerMeter::default(),
        }
    }

    /// Counts an attempt to send a partner something.
    pub fn sent(&self, partner: &str, sent: Sent, took: Duration, error: Option<LastError>) {
        self.partners.count(partner, sent, took, error);
    }

    /// What this process sent to partners.
    pub fn read_partners(&self) -> BTreeMap<String, PartnerCounts> {
        self.partners.read()
    }

    pub fn add(&self, vendor: &str, count: Count, by: u64) {
        if let Some(counters) = self.vendors.get(vendor) {
            counters.counts[count as usize].fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Counts a request that could not be verified.
    pub fn refuse(&self, vendor: &str, reason: &'static str) {
        if let Some(counters) = self.vendors.get(vendor) {
            *counters.refused().entry(reason).or_default() += 1;
        }
    }

    /// This process's totals.
    pub fn read(&self) -> BTreeMap<String, VendorCounts> {
        self.vendors.iter().map(|(name, counters)| (name.clone(), counters.read())).collect()
    }

    /// Writes the totals where other processes can read them.
    pub async fn flush(&self, documents: &dyn Documents) {
        let id = format!("meter:{}", self.instance);
        let record =
            MeterRecord { id: id.clone(), key: PARTITION.into(), vendors: self.read(), partners: self.partners.read() };
        let write = Operation::upsert(id, &record).with_ttl(KEEP_FOR);
        if let Err(error) = documents.commit(Container::Registry, PARTITION, vec![write]).await {
            tracing::debug!(%error, "the meter could not be written; the next flush will");
        }
    }

    /// Flushes for as long as the process runs, when something has changed.
    pub async fn run(self: Arc<Self>, documents: SharedDocuments) {
        let mut written = (BTreeMap::new(), BTreeMap::new());
        loop {
            tokio::time::sleep(FLUSH_EVERY).await;
            let totals = (self.read(), self.read_partners());
            if totals != written {
                self.flush(documents.as_ref()).await;
                written = totals;
            }
        }
    }
}

/// The totals of all instances, per vendor.
pub async fn read_counts(documents: &dyn Documents) -> Result<BTreeMap<String, VendorCounts>, DocumentsError> {
    let mut totals: BTreeMap<String, VendorCounts> = BTreeMap::new();
    for document in query_all(documents, Container::Registry, Query::partition(PARTITION)).await? {
        for (vendor, counts) in document.parse::<MeterRecord>()?.vendors {
            let total = totals.entry(vendor).or_default();
            total.inbound += counts.inbound;
            for (reason, count) in counts.refusals {
                *total.refusals.entry(reason).or_default() += count;
            }
            total.spooled += counts.spooled;
            total.unique_callbacks += counts.unique_callbacks;
            total.duplicate_callbacks += counts.duplicate_callbacks;
            total.events_applied += counts.events_applied;
            total.parked += counts.parked;
            total.shed += counts.shed;
        }
    }
    Ok(totals)
}

/// The totals of all instances, per partner.
pub async fn read_partner_counts(documents: &dyn Documents) -> Result<BTreeMap<String, PartnerCounts>, DocumentsError> {
    let mut totals: BTreeMap<String, PartnerCounts> = BTreeMap::new();
    for document in query_all(documents, Container::Registry, Query::partition(PARTITION)).await? {
        for (partner, counts) in document.parse::<MeterRecord>()?.partners {
            totals.entry(partner).or_default().add(counts);
        }
    }
    Ok(totals)
}
