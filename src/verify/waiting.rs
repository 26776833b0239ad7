//! What waits for a time or a person: retries, parked records, the spool; and who works on it.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::{
    report::{Kind, Report},
    rules::Rules,
    sample::{of_record, plain},
    scan::Cursor,
};
use crate::{
    clock::millis,
    delivery::{breaker, breakers},
    documents::{Container, Document, Documents, DocumentsError, Query},
    lease,
    recovery::job::{self, Job, State},
    retry::records::{ParkedRecord, RetryRecord, SpoolRecord, bucket_of, retry_partition},
};

/// Looks at all of it. Pages follow each other; only the names of scopes with overdue work are kept.
///
/// # Errors
/// The store failed.
pub(super) async fn check(documents: &dyn Documents, rules: &Rules, report: &mut Report) -> Result<(), DocumentsError> {
    let mut overdue = BTreeSet::new();
    check_retries(documents, rules, report, &mut overdue).await?;
    check_parked(documents, report).await?;
    check_spool(documents, rules, report, &mut overdue).await?;
    if report.count(Kind::OutboxStuck) > 0 {
        overdue.insert("outbox".to_owned());
    }
    check_leases(documents, rules, report, &overdue).await?;
    check_jobs(documents, rules, report).await
}

async fn check_retries(
    documents: &dyn Documents,
    rules: &Rules,
    report: &mut Report,
    overdue: &mut BTreeSet<String>,
) -> Result<(), DocumentsError> {
    let breakers = breakers::read(documents).await?;
    let mut retries = Cursor::new(documents, Container::Retries, Query::all());
    while let Some(document) = retries.next().await? {
        report.checked.retries += 1;
        let Some(record) = read::<RetryRecord>(&document, "retries", report) else { continue };
        let RetryRecord { id, due_at, attempt, partner, message, .. } = record;
        if document.partition != retry_partition(&id, partner.as_deref()) || document.id != id {
            report.add(Kind::Misfiled, of_record("retries", &document.id, "it is in another's partition"));
        }
        if attempt == 0 || attempt != message.attempt() {
            let what = format!("attempt {attempt}, of a message that is attempt {}", message.attempt());
            report.add(Kind::RetryImpossible, of_record("retries", &id, what));
        }
        // While a breaker is open the sweep leaves the partner's records where they are.
        let breaker = partner.as_ref().and_then(|partner| breakers.get(partner));
        let is_held = breaker.is_some_and(|record| record.breaker.state != breaker::State::Closed);
        if rules.is_overdue(due_at) && !is_held {
            let what = format!("attempt {attempt} was due at {}", millis::text(due_at));
            report.add(Kind::RetryOverdue, of_record("retries", &id, what));
            overdue.insert(partner.map_or_else(|| "callbacks".to_owned(), |_| document.partition.clone()));
        }
    }
    Ok(())
}

async fn check_parked(documents: &dyn Documents, report: &mut Report) -> Result<(), DocumentsError> {
    let mut parked = Cursor::new(documents, Container::Parked, Query::all());
    while let Some(document) = parked.next().await? {
        report.checked.parked += 1;
        let Some(record) = read::<ParkedRecord>(&document, "parked", report) else { continue };
        if document.partition != bucket_of(&record.id) || document.id != record.id {
            report.add(Kind::Misfiled, of_record("parked", &document.id, "it is in another's partition"));
        }
        if record.reason.trim().is_empty() {
            let what = format!("parked at {}, and nobody knows why", millis::text(record.parked_at));
            report.add(Kind::ParkedWithoutReason, of_record("parked", &record.id, what));
        }
    }
    Ok(())
}

async fn check_spool(
    documents: &dyn Documents,
    rules: &Rules,
    report: &mut Report,
    overdue: &mut BTreeSet<String>,
) -> Result<(), DocumentsError> {
    let mut spool = Cursor::new(documents, Container::Spool, Query::all());
    while let Some(document) = spool.next().await? {
        report.checked.spooled += 1;
        let Ok(record) = document.parse::<SpoolRecord>() else {
            report.add(Kind::Unreadable, plain(format!("{} in the spool", document.id)));
            continue;
        };
        if rules.is_overdue(record.due_at) {
            let what = format!("callback {} was to be relayed at {}", record.id, millis::text(record.due_at));
            report.add(Kind::SpoolStuck, plain(what));
            overdue.insert("spool".to_owned());
        }
    }
    Ok(())
}

/// A dead holder's lease stays until somebody wants it; that harms nobody before there is work.
async fn check_leases(
    documents: &dyn Documents,
    rules: &Rules,
    report: &mut Report,
    overdue: &BTreeSet<String>,
) -> Result<(), DocumentsError> {
    for lease::Standing { name, renewed_at, lasts } in lease::standing(documents).await? {
        report.checked.leases += 1;
        let has_work = name.strip_prefix("sweep:").is_none_or(|scope| overdue.contains(scope));
        if has_work && rules.is_overdue(renewed_at + lasts) {
            let what = format!("lease {name} was last renewed at {}", millis::text(renewed_at));
            report.add(Kind::LeaseAbandoned, plain(what));
        }
    }
    Ok(())
}

async fn check_jobs(documents: &dyn Documents, rules: &Rules, report: &mut Report) -> Result<(), DocumentsError> {
    let mut jobs = Cursor::new(documents, Container::Registry, Query::partition(job::PARTITION));
    while let Some(document) = jobs.next().await? {
        report.checked.jobs += 1;
        let Ok(job) = document.parse::<Job>() else {
            report.add(Kind::Unreadable, plain("a replay is of another version, or damaged"));
            continue;
        };
        let touched_at = job.lease.as_ref().map_or(job.created_at, |lease| lease.until);
        if job.state == State::Running && rules.is_overdue(touched_at) {
            let what = format!("nobody works on it since {}", millis::text(touched_at));
            report.add(Kind::JobAbandoned, of_record("replays", &job.id, what));
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(document: &Document, source: &str, report: &mut Report) -> Option<T> {
    let record = document.parse::<T>().ok();
    if record.is_none() {
        let what = format!("a record in {source} is of another version, or damaged");
        report.add(Kind::Unreadable, of_record(source, &document.id, what));
    }
    record
}
