//! What the two halves of a slice share: how far the work is, and whether it is to stop.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use super::{LEASE, LOOK};
use crate::{
    app::App,
    recovery::{
        RecoveryError,
        act::Outcome,
        job::{self, Job, JobError, Lease, Progress, State},
    },
};

/// How far behind its rate the work may catch up.
const BURST: Duration = Duration::from_millis(50);

/// A slice under way.
pub(super) struct Control<'a> {
    app: &'a App,
    id: String,
    owner: Uuid,
    end: Instant,
    stop: watch::Sender<bool>,
    ended: AtomicBool,
    progress: Mutex<Progress>,
    /// Records touched in this slice.
    pub touched: AtomicU64,
    interval: Duration,
    next: Mutex<Instant>,
}

impl<'a> Control<'a> {
    pub fn new(app: &'a App, job: &Job, owner: Uuid, end: Instant) -> Self {
        Self {
            app,
            id: job.id.clone(),
            owner,
            end,
            stop: watch::Sender::new(false),
            ended: AtomicBool::new(false),
            progress: Mutex::new(job.progress.clone()),
            touched: AtomicU64::new(0),
            interval: Duration::from_secs(1) / job.max_rate.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    pub fn progress(&self) -> Progress {
        self.with_progress().clone()
    }

    /// For changes that cannot fail half way.
    pub fn with_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became of a record.
    pub fn count(&self, outcome: &Outcome) {
        self.touched.fetch_add(1, Ordering::Relaxed);
        let mut progress = self.with_progress();
        match outcome {
            Outcome::Done => progress.done += 1,
            Outcome::Gone => progress.gone += 1,
            Outcome::Refused(_) => progress.failed += 1,
        }
    }

    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// The next moment at which a record may be touched.
    pub fn reserve(&self) -> Instant {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (*next).max(now.checked_sub(BURST).unwrap_or(now));
        *next = slot + self.interval;
        slot
    }

    /// Waits for a reserved moment; `false` when the work is to stop.
    pub async fn reached(&self, slot: Instant) -> bool {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`.
            _ = stop.wait_for(|stop| *stop) => false,
            () = sleep_until(slot) => true,
        }
    }

    /// Lets nothing more be begun.
    pub fn stop_work(&self) {
        self.stop.send_replace(true);
    }

    pub fn is_out_of_time(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Lets the other half end.
    pub fn work_ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
    }

    /// Looks after the job's document until the work ends.
    ///
    /// # Errors
    /// The store failed: the work is stopped, since nobody could stop it otherwise.
    pub async fn watch(&self) -> Result<(), RecoveryError> {
        let mut stop = self.stop.subscribe();
        let mut before = (Instant::now(), self.touched.load(Ordering::Relaxed));
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(LOOK) => {}
            }
            if self.ended.load(Ordering::SeqCst) || self.is_stopped() {
                return Ok(());
            }
            let now = (Instant::now(), self.touched.load(Ordering::Relaxed));
            let seconds = (now.0 - before.0).as_secs_f64();
            self.measure((now.1 - before.1) as f64 / seconds);
            before = now;
            let goes_on = self.look().await;
            if !matches!(goes_on, Ok(true)) || Instant::now() >= self.end {
                self.stop.send_replace(true);
            }
            goes_on?;
        }
    }

    /// A rate that does not jump.
    fn measure(&self, rate: f64) {
        const WEIGHT: f64 = 0.2;
        let mut progress = self.with_progress();
        progress.rate = if progress.rate == 0.0 { rate } else { progress.rate + WEIGHT * (rate - progress.rate) };
    }

    /// Writes down how far the work is; `false` when it is to stop.
    async fn look(&self) -> Result<bool, RecoveryError> {
        loop {
            let (mut job, etag) = match job::read(self.app, &self.id).await {
                Ok(found) => found,
                Err(JobError::Recovery(error)) => return Err(error),
                Err(_) => return Ok(false),
            };
            let is_ours = job.lease.as_ref().is_some_and(|lease| lease.owner == self.owner);
            if job.state != State::Running || !is_ours {
                return Ok(false);
            }
            job.progress = self.progress();
            job.lease = Some(Lease { owner: self.owner, until: self.app.clock.now() + LEASE });
            if job::write(self.app, &job, etag).await?.is_some() {
                return Ok(true);
            }
        }
    }
}
