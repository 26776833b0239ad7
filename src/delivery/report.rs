//! How deliveries fare, per partner: what the counters, the breakers and the retry table say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{breaker, breakers, partner::State, partners};
use crate::{
    clock::Timestamp,
    documents::{Container, Documents, DocumentsError, Query},
    retry::records::{RetryRecord, retry_partition},
    telemetry::{PartnerCounts, read_partner_counts},
};

/// Retries that are named one by one.
const NEXT: usize = 3;

/// One partner's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartnerReport {
    pub partner: String,
    #[serde(flatten)]
    pub state: State,
    pub breaker: breaker::Breaker,
    /// Over all instances, as far back as their counters are kept (30 days after their last change).
    pub counts: PartnerCounts,
    /// Share of attempts that were delivered, 0 to 1.
    pub success_rate: Option<f64>,
    pub p50_ms: Option<u64>,
    pub p95_ms: Option<u64>,
    /// Deliveries that wait in the retry table.
    pub waiting: u64,
    /// The first of them.
    pub next: Vec<Next>,
}

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NextRetry")]
pub struct Next {
    pub due_at: Timestamp,
    /// The attempt that it will be.
    pub attempt: u32,
    pub message_key: Option<String>,
    pub why: String,
}

/// Reports on one partner, or on all.
///
/// # Errors
/// The store failed.
pub async fn read(documents: &dyn Documents, only: Option<&str>) -> Result<Vec<PartnerReport>, DocumentsError> {
    let partners = partners::read(documents).await?;
    let mut counts = read_partner_counts(documents).await?;
    let mut breakers = breakers::read(documents).await?;
    let mut reports = Vec::new();
    for partner in partners.all().filter(|partner| only.is_none_or(|only| only == partner.name())) {
        let name = partner.name();
        let counts = counts.remove(name).unwrap_or_default();
        let partition = Query::partition(retry_partition("", Some(name)));
        let waiting = documents.count(Container::Retries, &partition).await?;
        let mut next = Vec::new();
        if waiting > 0 {
            let page = documents.query(Container::Retries, &partition.order_by("due_at").page_size(NEXT)).await?;
            for document in &page.documents {
                let RetryRecord { due_at, attempt, message_key, last_error, .. } = document.parse()?;
                next.push(Next { due_at, attempt, message_key, why: last_error });
            }
        }
        reports.push(PartnerReport {
            partner: name.to_owned(),
            state: partner.state.clone(),
            breaker: breakers.remove(name).map(|record| record.breaker).unwrap_or_default(),
            success_rate: counts.success_rate(),
            p50_ms: counts.latency_ms(0.5),
            p95_ms: counts.latency_ms(0.95),
            counts,
            waiting,
            next,
        });
    }
    Ok(reports)
}
