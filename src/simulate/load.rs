//! Sends a plan: so many connections, each with one request at a time, as fast as answers come or at a given rate.
//!
//! At a given rate (open loop; [`Pattern`] tells how it goes) each request is due at its own moment, whatever became of those before. Latency counts
//! from that moment, so a server that stalls is charged for every request it kept waiting, not only for the few that
//! were on the wire (coordinated omission). A connection that was free in time counts from when it really sent: that
//! its timer woke it a little late is not the server's doing.
//!
//! A vendor tries again after transport errors, 429 and 5xx, with the same bytes. A target that refuses connections is
//! being restarted: everything pauses, the schedule with it, until it accepts again ([`gate`]).

mod attempt;
mod gate;
mod obligations;
mod outcome;
mod pattern;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

pub use obligations::{Obligations, Standing};
pub use outcome::{Outcome, Progress};
pub use pattern::Pattern;

use super::plan::Plan;
use crate::clock::SharedClock;
use attempt::{Attempt, Client};
use gate::Gate;

/// How a plan is sent.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Requests on the wire at a time, at the most.
    pub connections: usize,
    /// Requests due per second; `None` sends the next one when an answer has come.
    pub rate: Option<f64>,
    /// What becomes of that rate over time.
    pub pattern: Pattern,
    /// Attempts after the first.
    pub retries: u32,
    /// The wait before the second attempt; it doubles with each one, up to 5 s.
    pub backoff: Duration,
    /// An attempt without a whole answer by then has failed. Twilio waits 15 s.
    pub timeout: Duration,
    /// How long a target may refuse connections before the run is given up.
    pub patience: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            connections: 32,
            rate: None,
            pattern: Pattern::Steady,
            retries: 3,
            backoff: Duration::from_millis(200),
            timeout: Duration::from_secs(15),
            patience: Duration::from_secs(30),
        }
    }
}

/// Sends every request of the plan to `target` (scheme, host, port and perhaps a path before the route).
///
/// Stops early once `stop` becomes true, after the answers that are on their way. What was promised by answers is in the
/// outcome's [`Obligations`].
///
/// # Errors
/// The HTTP client cannot be made.
pub async fn send(
    plan: Arc<Plan>,
    target: &Url,
    options: &LoadOptions,
    clock: SharedClock,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, reqwest::Error> {
    let obligations = Arc::new(Obligations::new(plan.callbacks()));
    let shared = Arc::new(Shared {
        client: Client::new(target, options)?,
        gate: Gate::new(target, options.patience),
        options: options.clone(),
        next: AtomicUsize::new(0),
        started: Instant::now(),
        obligations: obligations.clone(),
        plan,
        clock,
        progress,
    });
    let mut workers = JoinSet::new();
    for _ in 0..options.connections.clamp(1, shared.plan.requests().max(1)) {
        workers.spawn(Worker { shared: shared.clone(), stop: stop.clone(), outcome: Outcome::default() }.run());
    }
    let mut outcome = Outcome { planned: shared.plan.requests() as u64, ..Outcome::default() };
    for worker in workers.join_all().await {
        outcome.add(worker);
    }
    outcome.elapsed = shared.started.elapsed();
    outcome.paused = shared.gate.paused();
    outcome.gave_up = shared.gate.given_up();
    outcome.stopped = *stop.borrow();
    outcome.obligations = obligations;
    Ok(outcome)
}

/// What the connections have in common.
struct Shared {
    plan: Arc<Plan>,
    client: Client,
    gate: Gate,
    options: LoadOptions,
    next: AtomicUsize,
    started: Instant,
    obligations: Arc<Obligations>,
    clock: SharedClock,
    progress: Arc<Progress>,
}

/// One connection.
struct Worker {
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    outcome: Outcome,
}

/// Waits until somebody asks to stop: for ever, where nobody can any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

/// How one request ended.
enum End {
    Acked,
    Refused(u16),
    Failed(&'static str),
    /// The run ended first.
    Abandoned,
}

impl Worker {
    async fn run(mut self) -> Outcome {
        let shared = self.shared.clone();
        loop {
            let request = shared.next.fetch_add(1, Ordering::Relaxed);
            if request >= shared.plan.requests() {
                break;
            }
            let Some(overdue) = self.turn(request).await else { break };
            let callback = shared.plan.callback_of(request);
            let end = self.deliver(callback, overdue).await;
            match end {
                End::Acked => self.outcome.acked += 1,
                End::Refused(status) => *self.outcome.refused.entry(status).or_default() += 1,
                End::Failed(reason) => *self.outcome.failed.entry(reason).or_default() += 1,
                End::Abandoned => break,
            }
            self.outcome.sent += 1;
            shared.progress.count(matches!(end, End::Acked));
        }
        self.outcome
    }

    /// Waits until a request may be sent, and tells since when it is overdue because this connection was busy. `None`
    /// where the run ends first.
    async fn turn(&mut self, request: usize) -> Option<Option<Instant>> {
        let shared = self.shared.clone();
        let mut waited = false;
        loop {
            if *self.stop.borrow() || !shared.gate.pass(&mut self.stop).await {
                return None;
            }
            let Some(rate) = shared.options.rate else { return Some(None) };
            let due = shared.started + shared.gate.paused() + shared.options.pattern.due(rate, request);
            if Instant::now() >= due {
                return Some((!waited).then_some(due));
            }
            waited = true;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stopped(&mut self.stop) => return None,
            }
        }
    }

    /// Sends one callback until it is answered for good.
    async fn deliver(&mut self, callback: u32, overdue: Option<Instant>) -> End {
        /// Refusals of a target that accepts the gate's own connection in between.
        const REFUSALS: u32 = 20;
        /// Between two attempts.
        const LONGEST_WAIT: Duration = Duration::from_secs(5);

        let shared = self.shared.clone();
        let request = shared.plan.build(callback, shared.clock.now());
        // Only now: what building and signing cost us is not the server's doing.
        let mut began = overdue.unwrap_or_else(Instant::now);
        let (mut attempts, mut refusals) = (0, 0);
        loop {
            let result = shared.client.attempt(&request).await;
            if result != Attempt::Unreachable {
                shared.obligations.note(callback, Standing::Tried);
            }
            let end = match result {
                Attempt::Answered(status) if (200..300).contains(&status) => {
                    shared.obligations.note(callback, Standing::Acked);
                    self.outcome.record(began.elapsed());
                    return End::Acked;
                }
                Attempt::Answered(status) if status == 429 || status >= 500 => End::Refused(status),
                Attempt::Answered(status) => return End::Refused(status),
                Attempt::Broken(reason) => End::Failed(reason),
                Attempt::Unreachable => {
                    refusals += 1;
                    if refusals <= REFUSALS && shared.gate.wait_for_target(&mut self.stop).await {
                        began = Instant::now();
                        continue;
                    }
                    return if *self.stop.borrow() { End::Abandoned } else { End::Failed("unreachable") };
                }
            };
            if attempts == shared.options.retries {
                return end;
            }
            let wait = shared.options.backoff.saturating_mul(2u32.saturating_pow(attempts)).min(LONGEST_WAIT);
            tokio::select! {
                () = sleep(wait) => {}
                () = stopped(&mut self.stop) => return End::Abandoned,
            }
            attempts += 1;
            self.outcome.retried += 1;
            began = Instant::now();
        }
    }
}
