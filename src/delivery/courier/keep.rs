//! What is not tried now: put off, or parked.

use super::{Courier, Fate};
use crate::{
    clock::Timestamp,
    delivery::record::{self, DeliveryRecord},
    documents::Document,
    retry::{
        Failure, NotKept,
        records::{Class, StoredMessage},
    },
    telemetry::Count,
};

/// What a message says of where it came from.
pub(super) struct Origin {
    vendor: Option<String>,
    channel: Option<String>,
}

impl Origin {
    pub fn of(message: &StoredMessage) -> Self {
        let property = |name| message.properties.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        Self { vendor: property("vendor"), channel: property("channel") }
    }

    pub fn failure(&self, class: Class, error: String) -> Failure<'_> {
        Failure { class, error, vendor: self.vendor.as_deref(), channel: self.channel.as_deref() }
    }
}

impl Courier {
    pub(super) async fn put_off(
        &self,
        message: StoredMessage,
        due_at: Timestamp,
        why: String,
    ) -> Result<Fate, NotKept> {
        tracing::debug!(delivery = message.record_id(), why, %due_at, "a delivery is put off");
        let origin = Origin::of(&message);
        self.retries.put_off(&self.topic, message, due_at, origin.failure(Class::Transient, why)).await?;
        Ok(Fate::PutOff)
    }

    /// Parks what cannot even be read.
    pub(super) async fn park(&self, message: StoredMessage, reason: String) -> Result<Fate, NotKept> {
        tracing::warn!(delivery = message.record_id(), reason, "a delivery is parked");
        let origin = Origin::of(&message);
        self.retries.keep(&self.topic, message, origin.failure(Class::Permanent, reason)).await?;
        self.given_up(&origin);
        Ok(Fate::Parked)
    }

    /// Counts a parked delivery for the vendor that its event came from.
    pub(super) fn given_up(&self, origin: &Origin) {
        self.meter.add(origin.vendor.as_deref().unwrap_or_default(), Count::ParkedDelivery, 1);
    }

    /// Parks a delivery without a request, and says so in its record.
    pub(super) async fn park_recorded(
        &self,
        message: StoredMessage,
        found: Option<Document>,
        first: DeliveryRecord,
        reason: String,
    ) -> Result<Fate, NotKept> {
        let fate = self.park(message, reason).await?;
        let (id, keep_for) = (first.id.clone(), self.settings.keep_records);
        let added = record::add(self.documents.as_ref(), found, first, record::State::Parked, None, keep_for);
        if let Err(error) = added.await {
            tracing::warn!(delivery = id, %error, "that a delivery is parked is not in its record");
        }
        Ok(fate)
    }
}
