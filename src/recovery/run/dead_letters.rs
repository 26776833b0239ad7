//! The work on dead letters: received under a lock, sent, then completed.
//!
//! A broker gives dead letters out from the head of their sub-queue only. What does not match stays locked, so that what
//! is behind it comes next, and is made available again at the end of the slice.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt, stream};

use super::{CONCURRENCY, PAGE, Worked, control::Control};
use crate::{
    app::App,
    dead_letters::{DeadLetter, DeadLetterQueue, Receiver},
    recovery::{
        Action, Record, RecoveryError,
        act::{Outcome, publish},
        job::Job,
        search::Search,
    },
};

/// How long to wait for what somebody else may just have let go.
const WAIT: Duration = Duration::from_millis(200);

/// What was seen of one sub-queue.
#[derive(Default)]
struct Seen {
    /// Locked until the end of the slice.
    held: HashSet<i64>,
    refused: u64,
}

/// How the work on one sub-queue ended.
enum Passed {
    /// Nothing that matches is left.
    Through,
    Stopped,
    /// Locks of what was passed over ran out before the end was reached.
    Around,
    /// What is left is locked by somebody else.
    Waiting,
}

pub(super) async fn work(app: &App, job: &Job, control: &Control<'_>) -> Result<Worked, RecoveryError> {
    let search = job.search();
    let mut passed_over = 0;
    let mut unfinished = None;
    // Those that stay are met again in every slice.
    control.with_progress().failed = 0;
    for queue in search.queues(app)? {
        let mut receiver = app.dead_letters.open(&queue).await?;
        let mut seen = Seen::default();
        let passed = pass(app, job, &search, control, &queue, receiver.as_mut(), &mut seen).await;
        receiver.close().await?;
        passed_over += seen.held.len() as u64 - seen.refused;
        match passed? {
            Passed::Through => {}
            Passed::Stopped => return Ok(stopped(control, passed_over, false)),
            Passed::Around => unfinished = Some(stopped(control, passed_over, true)),
            Passed::Waiting => unfinished = unfinished.or(Some(Worked::Stopped)),
        }
    }
    Ok(unfinished.unwrap_or(Worked::Finished))
}

/// Whether another slice would come further.
fn stopped(control: &Control<'_>, passed_over: u64, is_around: bool) -> Worked {
    let is_out_of_time = is_around || control.is_out_of_time();
    if is_out_of_time && passed_over > 0 && control.touched.load(Ordering::Relaxed) == 0 {
        return Worked::Stuck(format!(
            "the first {passed_over} dead letters do not match, and no more can be passed over while they are locked: \
             replay or discard those first, or name a wider filter"
        ));
    }
    Worked::Stopped
}

async fn pass(
    app: &App,
    job: &Job,
    search: &Search,
    control: &Control<'_>,
    queue: &DeadLetterQueue,
    receiver: &mut dyn Receiver,
    seen: &mut Seen,
) -> Result<Passed, RecoveryError> {
    loop {
        if control.is_stopped() {
            return Ok(Passed::Stopped);
        }
        let progress = control.progress();
        if progress.done + progress.failed >= progress.matched {
            return Ok(Passed::Through);
        }
        let letters = receiver.receive(PAGE, WAIT).await?;
        if letters.is_empty() {
            // The rest may be locked by a worker that died, or by another tool.
            let left = left(search, queue, receiver, seen).await?;
            return Ok(if left == 0 { Passed::Through } else { Passed::Waiting });
        }
        let mut around = false;
        let mut meant = Vec::new();
        for letter in letters {
            around |= !seen.held.insert(letter.sequence_number);
            let record = Record::from_dead_letter(queue, &letter);
            if search.is_meant(&record) {
                meant.push(letter);
            }
        }
        if around {
            return Ok(Passed::Around);
        }
        let mut acts = stream::iter(meant)
            .map(|letter| {
                let slot = control.reserve();
                async move {
                    if !control.reached(slot).await {
                        return Ok(None);
                    }
                    let outcome = act(app, job.action, queue, &letter).await?;
                    Ok::<_, RecoveryError>(Some((letter.sequence_number, outcome)))
                }
            })
            .buffer_unordered(CONCURRENCY);
        let mut failure = None;
        while let Some(result) = acts.next().await {
            match result {
                Ok(Some((sequence_number, outcome))) => {
                    match &outcome {
                        Outcome::Refused(reason) => {
                            tracing::warn!(%queue, sequence_number, reason, "a dead letter cannot be replayed and stays");
                            seen.refused += 1;
                        }
                        _ => {
                            receiver.complete(sequence_number).await?;
                            seen.held.remove(&sequence_number);
                        }
                    }
                    control.count(&outcome);
                }
                Ok(None) => {}
                Err(error) => {
                    control.stop_work();
                    failure = Some(error);
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
    }
}

/// Sends a dead letter on its way again, or lets it be removed.
async fn act(
    app: &App,
    action: Action,
    queue: &DeadLetterQueue,
    letter: &DeadLetter,
) -> Result<Outcome, RecoveryError> {
    match action {
        Action::Discard => Ok(Outcome::Done),
        Action::Replay => publish(app, &Record::from_dead_letter(queue, letter)).await,
    }
}

/// How many match that are not in our hands.
async fn left(
    search: &Search,
    queue: &DeadLetterQueue,
    receiver: &mut dyn Receiver,
    seen: &Seen,
) -> Result<u64, RecoveryError> {
    let (mut left, mut from) = (0, 0);
    loop {
        let letters = receiver.peek(from, PAGE).await?;
        let Some(last) = letters.last() else { return Ok(left) };
        from = last.sequence_number + 1;
        left += letters
            .iter()
            .filter(|letter| !seen.held.contains(&letter.sequence_number))
            .filter(|letter| search.is_meant(&Record::from_dead_letter(queue, letter)))
            .count() as u64;
    }
}
