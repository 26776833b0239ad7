//! Asks the ledger what became of every callback: the judge.
//!
//! Processing is asynchronous, so the question is repeated until nothing is missing any more, or nothing has changed for
//! too long. Then everything is asked once more, since a repeat that comes late must change nothing either, and what is
//! damaged then is asked a last time before it counts.

mod check;
mod verdict;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

pub use verdict::{Finding, Verdict};

use super::{load::Obligations, plan::Plan, report::Latency};
use crate::documents::{Documents, DocumentsError};
use check::{Checked, check};

/// How patiently the ledger is asked.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Damage that may still heal is reported once nothing has healed for so long.
    pub timeout: Duration,
    /// Between two rounds, at the least.
    pub interval: Duration,
    /// Partitions read at a time.
    pub concurrency: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), interval: Duration::from_millis(250), concurrency: 16 }
    }
}

/// Judges the ledger by what was sent and acknowledged. `progress` is told how many stories of how many are settled.
///
/// # Errors
/// The store refused a query, or was unavailable until the timeout.
pub async fn verify(
    plan: &Plan,
    obligations: &Obligations,
    documents: &dyn Documents,
    options: &VerifyOptions,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Verdict, DocumentsError> {
    let began = Instant::now();
    let judge = Judge { plan, obligations, documents, options };
    let every: Vec<u32> = (0..plan.stories()).collect();

    let mut waiting = every.clone();
    let mut moved = Instant::now();
    loop {
        let round = Instant::now();
        let before = waiting.len();
        waiting = judge.unsettled(&waiting).await;
        progress((every.len() - waiting.len()) as u64, every.len() as u64);
        if waiting.len() < before {
            moved = Instant::now();
        }
        if waiting.is_empty() || moved.elapsed() >= options.timeout {
            break;
        }
        // A round costs the store something: it rests at least as long as it was asked.
        sleep(options.interval.max(round.elapsed())).await;
    }
    sleep(options.interval).await;
    let (mut verdict, mut applied) = (Verdict::default(), Latency::histogram());
    let mut add = |checked: Checked| {
        checked.applied_after.iter().for_each(|after| Latency::note(&mut applied, *after));
        verdict.add(checked);
    };
    let mut suspects = Vec::new();
    let mut asked = judge.ask(&every);
    while let Some((story, checked)) = asked.next().await {
        match checked? {
            checked if checked.damages.is_empty() => add(checked),
            _ => suspects.push(story),
        }
    }
    if !suspects.is_empty() {
        sleep(options.interval).await;
    }
    let last: Vec<Checked> = judge.ask(&suspects).map(|(_, checked)| checked).try_collect().await?;
    last.into_iter().for_each(add);
    verdict.applied = Latency::of(&applied);
    verdict.took = began.elapsed();
    Ok(verdict)
}

struct Judge<'a> {
    plan: &'a Plan,
    obligations: &'a Obligations,
    documents: &'a dyn Documents,
    options: &'a VerifyOptions,
}

impl Judge<'_> {
    /// Checks stories, some at a time, in order.
    fn ask<'a>(
        &'a self,
        stories: &'a [u32],
    ) -> impl futures_util::Stream<Item = (u32, Result<Checked, DocumentsError>)> + Unpin + 'a {
        let checks = stream::iter(stories.iter().copied())
            .map(move |story| async move { (story, check(self.plan, self.obligations, self.documents, story).await) });
        Box::pin(checks.buffered(self.options.concurrency.max(1)))
    }

    /// The stories that are not as they should be and may still become so; also those that could not be read.
    async fn unsettled(&self, stories: &[u32]) -> Vec<u32> {
        self.ask(stories)
            .filter_map(async |(story, checked)| match checked {
                Ok(checked) => checked.may_heal().then_some(story),
                Err(_) => Some(story),
            })
            .collect()
            .await
    }
}
