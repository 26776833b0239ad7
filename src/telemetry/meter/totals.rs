//! The totals as instances write them down, and added up over all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PARTITION;
use crate::{
    documents::{Container, Documents, DocumentsError, Query, query_all},
    telemetry::PartnerCounts,
};

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
    /// Callbacks answered 503 because nothing took them.
    pub not_durable: u64,
    /// Deliveries of this vendor's events that were given up on.
    pub parked_deliveries: u64,
}

impl VendorCounts {
    /// Requests that could not be verified, whatever the reason.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MeterRecord {
    pub id: String,
    pub key: String,
    pub vendors: BTreeMap<String, VendorCounts>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partners: BTreeMap<String, PartnerCounts>,
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
            total.not_durable += counts.not_durable;
            total.parked_deliveries += counts.parked_deliveries;
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
