//! Who keeps a delivery that is not made yet: the retry table, or what is parked. What neither has is on the bus, or was
//! discarded by an operator, or is lost.

use super::{
    gather::Gathered,
    message::{Open, judge},
    report::Kind,
    rules::Rules,
    sample::of_message,
};
use crate::{
    clock::{Timestamp, millis},
    delivery::record::State,
    documents::{Container, Documents, DocumentsError, Query, query_all},
    recovery::{
        Action, Source,
        job::{self, Job},
    },
    retry::records::{bucket_of, retry_partition},
};

/// Whether something keeps it.
///
/// # Errors
/// The store failed.
pub(super) async fn is_kept(documents: &dyn Documents, open: &Open) -> Result<bool, DocumentsError> {
    let retries = retry_partition(&open.id, Some(&open.partner));
    if documents.read(Container::Retries, &retries, &open.id).await?.is_some() {
        return Ok(true);
    }
    Ok(documents.read(Container::Parked, &bucket_of(&open.id), &open.id).await?.is_some())
}

/// Those that nothing keeps, now that the message is read once more and nothing has happened to them since.
///
/// # Errors
/// The store failed.
pub(super) async fn still_nowhere(
    documents: &dyn Documents,
    rules: &Rules,
    before: Vec<Open>,
) -> Result<Vec<Open>, DocumentsError> {
    let Some(first) = before.first() else { return Ok(before) };
    let now = judge(Gathered::read(documents, &first.key).await?, rules).open;
    let mut nowhere = Vec::new();
    for open in before {
        if now.contains(&open) && !is_kept(documents, &open).await? {
            nowhere.push(open);
        }
    }
    Ok(nowhere)
}

/// What operators threw away, as far as their jobs tell.
#[derive(Debug, Default)]
pub(super) struct Discards(Vec<Job>);

impl Discards {
    /// # Errors
    /// The store failed.
    pub async fn read(documents: &dyn Documents) -> Result<Self, DocumentsError> {
        let found = query_all(documents, Container::Registry, Query::partition(job::PARTITION)).await?;
        let jobs = found.iter().filter_map(|document| document.parse::<Job>().ok());
        Ok(Self(jobs.filter(|job| job.action == Action::Discard && job.progress.done > 0).collect()))
    }

    /// Whether a job may have thrown this away: it came later than what is known of the delivery, and its filter does not
    /// speak against it.
    pub fn may_include(&self, open: &Open) -> bool {
        self.0.iter().any(|job| {
            let by_id = job.source == Source::DeadLetters || job.filter.id.as_ref().is_none_or(|id| *id == open.id);
            let by_partner = job.filter.partner.as_ref().is_none_or(|partner| *partner == open.partner);
            job.created_at >= open.last_seen() && by_id && by_partner
        })
    }
}

/// How a lost delivery is told.
pub(super) fn lost(open: &Open) -> (Kind, super::report::Sample) {
    let since = |at: Timestamp| millis::text(at);
    let what = match open.record {
        None => format!("{} is owed since {}, and nothing keeps it", open.id, since(open.owed_since)),
        Some((State::Parked, at)) => format!("{} is parked since {}, and not among what is parked", open.id, since(at)),
        Some((_, at)) => format!("{} is to be tried again since {}, and nothing keeps it", open.id, since(at)),
    };
    (Kind::DeliveryMissing, of_message(&open.key, what))
}
