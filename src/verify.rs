//! Is what a running system holds consistent with itself? A judge that takes nobody's word, for people on call and for
//! the proof.
//!
//! ```text
//! scan ── every message, or those changed since: ledger and deliveries side by side, page by page
//!   │
//! gather ── what is kept of one message: events, status, outbox, deliveries
//!   │
//! message ── judged: the status by a model of its own ([`model`]), each announcement by who has it
//!   │        what is damaged is read once more before it counts
//! deliveries ── what is not made is kept somewhere, or on the bus for a while, or lost
//!   │
//! waiting ── retries, parked records, spool; leases and replays that somebody must work on
//!   │
//! Report ── counts, and each kind of finding with samples ([`report`])
//! ```
//!
//! Nothing is written, and nothing is locked: traffic goes on. What changed within [`CheckOptions::settle`] is in flight,
//! and not judged. What is in memory at once are pages, and one message's events without their texts.
//!
//! Not judged are blobs of the spool's last resort, and whether consent follows from the events: it is kept under keyed
//! tokens, and by what the configuration said at the time.

mod deliveries;
mod gather;
mod message;
pub mod model;
pub mod queues;
pub mod report;
mod rules;
mod sample;
mod scan;
mod waiting;

use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt, TryStreamExt, future::Either};
use tokio::time::sleep;

use crate::documents::{Documents, DocumentsError};
use deliveries::Discards;
use gather::Gathered;
use message::{Judged, Open, judge};
pub use report::{Checked, Finding, Kind, Report, Sample};
pub use rules::CheckOptions;
use rules::Rules;

/// Deliveries that are looked for again, at the most.
const LOOKED_FOR: usize = 100_000;
/// Between two looks for a delivery that nothing keeps. Not in step with the sweep, which comes every two seconds: what is
/// put off again and again is on the bus right after each, and in the retry table before the next.
const LOOK_AGAIN: Duration = Duration::from_millis(1300);
/// Looks at the least, however soon things settle, unless looking itself takes longer than that.
const LOOKS: u32 = 20;

/// Judges what the store holds. `progress` is told how many messages have been looked at.
///
/// # Errors
/// The store failed, or refused a query: nothing is known then.
pub async fn check(
    documents: &dyn Documents,
    options: &CheckOptions,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Report, DocumentsError> {
    let began = Instant::now();
    let check = Check { documents, rules: options.rules(), concurrency: options.concurrency.max(1) };
    let mut report = Report { judged_at: options.now, since: options.since, ..Report::default() };
    let messages = match options.since {
        None => Either::Left(scan::all(documents)),
        Some(since) => Either::Right(check.read_each(scan::changed_since(documents, since))),
    };
    let nowhere = check.messages(messages, &mut report, progress).await?;
    check.look_for(nowhere, options.settle, &mut report).await?;
    waiting::check(documents, &check.rules, &mut report).await?;
    report.took = began.elapsed();
    Ok(report)
}

struct Check<'a> {
    documents: &'a dyn Documents,
    rules: Rules,
    concurrency: usize,
}

impl Check<'_> {
    fn read_each<'a>(
        &'a self,
        keys: impl Stream<Item = Result<String, DocumentsError>> + 'a,
    ) -> impl Stream<Item = Result<Gathered, DocumentsError>> + 'a {
        keys.map_ok(move |key| async move { Gathered::read(self.documents, &key).await })
            .try_buffer_unordered(self.concurrency)
    }

    /// Judges each message, and returns the deliveries that nothing keeps.
    async fn messages(
        &self,
        messages: impl Stream<Item = Result<Gathered, DocumentsError>>,
        report: &mut Report,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Vec<Open>, DocumentsError> {
        let judged = messages.map_ok(|gathered| self.judge(gathered)).try_buffer_unordered(self.concurrency);
        let mut judged = std::pin::pin!(judged);
        let (mut nowhere, mut seen, mut too_many) = (Vec::new(), 0, 0);
        while let Some(Judged { checked, problems, open }) = judged.try_next().await? {
            seen += 1;
            progress(seen);
            report.checked.messages += checked.messages;
            report.checked.in_flight += checked.in_flight;
            report.checked.events += checked.events;
            report.checked.owed += checked.owed;
            report.checked.deliveries += checked.deliveries;
            problems.into_iter().for_each(|(kind, sample)| report.add(kind, sample));
            if nowhere.len() < LOOKED_FOR {
                nowhere.extend(open);
            } else {
                too_many += open.len();
            }
        }
        if too_many > 0 {
            report.unjudged.push(format!("{too_many} deliveries that nothing keeps, beyond the first {LOOKED_FOR}"));
        }
        Ok(nowhere)
    }

    /// What is damaged is read once more: a page is no snapshot, and of a message on two pages half may be older.
    async fn judge(&self, gathered: Gathered) -> Result<Judged, DocumentsError> {
        let key = gathered.key.clone();
        let mut judged = judge(gathered, &self.rules);
        let mut nowhere = self.nowhere(std::mem::take(&mut judged.open)).await?;
        if !judged.problems.is_empty() || !nowhere.is_empty() {
            judged = judge(Gathered::read(self.documents, &key).await?, &self.rules);
            nowhere = self.nowhere(std::mem::take(&mut judged.open)).await?;
        }
        judged.open = nowhere;
        Ok(judged)
    }

    async fn nowhere(&self, open: Vec<Open>) -> Result<Vec<Open>, DocumentsError> {
        let mut nowhere = Vec::new();
        for open in open {
            if !deliveries::is_kept(self.documents, &open).await? {
                nowhere.push(open);
            }
        }
        Ok(nowhere)
    }

    /// What nothing keeps may be on its way over the bus: it is lost if nothing happens to it for as long as things take to
    /// settle.
    async fn look_for(&self, nowhere: Vec<Open>, settle: Duration, report: &mut Report) -> Result<(), DocumentsError> {
        if nowhere.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let mut messages: Vec<Vec<Open>> = Vec::new();
        for open in nowhere {
            match messages.last_mut().filter(|last| last.first().is_some_and(|first| first.key == open.key)) {
                Some(last) => last.push(open),
                None => messages.push(vec![open]),
            }
        }
        let rest = LOOK_AGAIN.min(settle / LOOKS);
        while !messages.is_empty() && began.elapsed() < settle {
            sleep(rest.min(settle.saturating_sub(began.elapsed()))).await;
            let looks = futures_util::stream::iter(messages)
                .map(|open| deliveries::still_nowhere(self.documents, &self.rules, open))
                .buffer_unordered(self.concurrency);
            messages = looks.try_filter(|open| std::future::ready(!open.is_empty())).try_collect().await?;
        }
        let discards = Discards::read(self.documents).await?;
        for open in messages.into_iter().flatten() {
            if discards.may_include(&open) {
                report.checked.discarded += 1;
            } else {
                let (kind, sample) = deliveries::lost(&open);
                report.add(kind, sample);
            }
        }
        Ok(())
    }
}
