//! What is counted: callbacks per vendor, deliveries per partner, and how long things took.
//!
//! It is the retry-storm meter, too: what vendors sent against what was new.
//! Counting costs a few atomic additions, whether anybody reads it or not.
//!
//! Each process counts in memory and writes its totals to container `registry` every few seconds, in a document of its
//! own, so that `sluice status` adds up all instances. A crash forgets the last seconds: these are gauges, not records.

mod totals;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    catalogue,
    histogram::{Durations, Histogram},
    instruments::{Recorders, record},
    partners::{LastError, PartnerCounts, PartnerMeter, Sent},
};
use crate::{
    documents::{Container, Documents, Operation, SharedDocuments},
    event::Channel,
    telemetry::Count::{
        Applied, DuplicateCallback, Inbound, NotDurable, Parked, ParkedDelivery, Shed, Spooled, UniqueCallback,
    },
};

use totals::MeterRecord;
pub use totals::{VendorCounts, read_counts, read_partner_counts};

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
    /// Callbacks answered 503 because neither the broker nor the spool took them.
    NotDurable,
    /// Deliveries of this vendor's events that were given up on.
    ParkedDelivery,
}

const COUNTS: usize = 9;
/// How long what the last batch brought is the truth about its subscription.
const BATCH_TELLS_FOR: Duration = Duration::from_secs(120);
/// The subscription that deliveries come from.
const DELIVER: &str = "deliver";

#[derive(Debug, Default)]
struct Counters {
    counts: [AtomicU64; COUNTS],
    /// From the first byte to the answer.
    acks: Histogram,
    /// From the receipt to the commit.
    processing: Histogram,
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
            not_durable: of(NotDurable),
            parked_deliveries: of(ParkedDelivery),
        }
    }
}

/// Where messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Callbacks,
    Deliveries,
}

/// What was received of a subscription.
#[derive(Debug)]
struct Batches {
    subscription: &'static str,
    took: Histogram,
    /// How long the oldest message of the last batch had waited, and when that was.
    oldest: Mutex<Option<(Duration, Instant)>>,
}

/// Counts per vendor and per partner.
#[derive(Debug)]
pub struct Meter {
    instance: String,
    vendors: BTreeMap<String, Counters>,
    partners: PartnerMeter,
    /// Names of the topics, in the order of [`Topic`].
    topics: [String; 2],
    sends: [Histogram; 2],
    batches: Vec<Batches>,
    /// By partner.
    deliveries: Mutex<BTreeMap<String, Arc<Histogram>>>,
    /// Where durations go, beside this; nowhere without an exporter.
    exported: OnceLock<Recorders>,
}

impl Meter {
    /// A meter for these vendors; others are not counted.
    pub fn new<'a>(vendors: impl IntoIterator<Item = &'a String>) -> Self {
        Self {
            instance: uuid::Uuid::now_v7().to_string(),
            vendors: vendors.into_iter().map(|name| (name.clone(), Counters::default())).collect(),
            partners: PartnerMeter::default(),
            topics: ["callbacks", "deliveries"].map(str::to_owned),
            sends: Default::default(),
            batches: Channel::ALL
                .map(Channel::name)
                .into_iter()
                .chain([DELIVER])
                .map(|subscription| Batches { subscription, took: Histogram::default(), oldest: Mutex::default() })
                .collect(),
            deliveries: Mutex::default(),
            exported: OnceLock::new(),
        }
    }

    /// The topics have these names: the callbacks' and the deliveries'.
    pub fn with_topics(self, callbacks: &str, deliveries: &str) -> Self {
        Self { topics: [callbacks, deliveries].map(str::to_owned), ..self }
    }

    /// Records durations there, too, from now on.
    pub(super) fn export(&self, recorders: Recorders) {
        // A second exporter would count everything twice; the first one stays.
        drop(self.exported.set(recorders));
    }

    /// Whether somebody outside reads what is counted.
    pub fn is_exported(&self) -> bool {
        self.exported.get().is_some()
    }

    /// A verified callback is answered.
    pub fn acked(&self, vendor: &str, took: Duration) {
        if let Some(counters) = self.vendors.get(vendor) {
            counters.acks.record(took);
            if let Some(recorders) = self.exported.get() {
                record(&recorders.acks, &catalogue::ACK_DURATION, [vendor], took);
            }
        }
    }

    /// A callback's events are committed, so long after it was received.
    pub fn processed(&self, vendor: &str, took: Duration) {
        if let Some(counters) = self.vendors.get(vendor) {
            counters.processing.record(took);
            if let Some(recorders) = self.exported.get() {
                record(&recorders.processing, &catalogue::PROCESSING_DURATION, [vendor], took);
            }
        }
    }

    /// The broker has answered.
    pub fn sent_to(&self, topic: Topic, took: Duration) {
        self.sends[topic as usize].record(took);
        if let Some(recorders) = self.exported.get() {
            record(&recorders.sends, &catalogue::SEND_DURATION, [&self.topics[topic as usize], "send"], took);
        }
    }

    /// A batch of a subscription is done. `oldest`: how long its oldest message had waited when it came.
    pub fn batch(&self, subscription: &str, took: Duration, oldest: Option<Duration>) {
        let Some(batches) = self.batches.iter().find(|batches| batches.subscription == subscription) else { return };
        batches.took.record(took);
        *lock(&batches.oldest) = oldest.map(|oldest| (oldest, Instant::now()));
        if let Some(recorders) = self.exported.get() {
            record(&recorders.batches, &catalogue::PROCESS_DURATION, [subscription], took);
        }
    }

    /// Each vendor's acknowledgements, and its callbacks from receipt to commit.
    pub fn durations(&self) -> impl Iterator<Item = (&str, Durations, Durations)> {
        self.vendors.iter().map(|(name, counters)| (name.as_str(), counters.acks.read(), counters.processing.read()))
    }

    /// How long the broker took, by topic.
    pub fn sends(&self) -> impl Iterator<Item = (&str, Durations)> {
        self.topics.iter().zip(&self.sends).map(|(topic, took)| (topic.as_str(), took.read()))
    }

    /// Each subscription's batches, by its topic and its name; and how long the oldest message of one has waited, where one
    /// came lately.
    pub fn batches(&self) -> impl Iterator<Item = (&str, &'static str, Durations, Option<Duration>)> {
        self.batches.iter().map(|batches| {
            let topic = if batches.subscription == DELIVER { Topic::Deliveries } else { Topic::Callbacks };
            let oldest = lock(&batches.oldest).filter(|(_, when)| when.elapsed() < BATCH_TELLS_FOR);
            let oldest = oldest.map(|(oldest, _)| oldest);
            (self.topics[topic as usize].as_str(), batches.subscription, batches.took.read(), oldest)
        })
    }

    /// How long partners took, by partner.
    pub fn delivery_durations(&self) -> Vec<(String, Durations)> {
        lock(&self.deliveries).iter().map(|(partner, took)| (partner.clone(), took.read())).collect()
    }

    /// Counts an attempt to send a partner something.
    pub fn sent(&self, partner: &str, sent: Sent, took: Duration, error: Option<LastError>) {
        self.partners.count(partner, sent, took, error);
        histogram_of(&self.deliveries, partner).record(took);
        if let Some(recorders) = self.exported.get() {
            record(&recorders.deliveries, &catalogue::DELIVERY_DURATION, [partner], took);
        }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// There are few, and each is made once.
fn histogram_of(histograms: &Mutex<BTreeMap<String, Arc<Histogram>>>, name: &str) -> Arc<Histogram> {
    let mut histograms = lock(histograms);
    match histograms.get(name) {
        Some(histogram) => Arc::clone(histogram),
        None => Arc::clone(histograms.entry(name.to_owned()).or_default()),
    }
}
