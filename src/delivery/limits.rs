//! How much of a partner's an instance has under way: so many requests at a time, so many started a second. What finds no
//! room in time is put off, and comes back at a pace that the partner can take.
//!
//! A gate also knows how long its partner usually takes, and so how long a batch should wait for an answer before it hands
//! the request over: a few times as long, and hardly at all once the partner has stalled or failed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};

use super::partner::Settings;
use crate::clock::Timestamp;

/// What is put off comes back no sooner ...
const SOONEST: Duration = Duration::from_secs(1);
/// ... and no later, however much there is.
const LATEST: Duration = Duration::from_secs(600);
/// No more wait for room than can have their turn in this time, by and large ...
pub const WAITS_AT_MOST: Duration = Duration::from_secs(10);
/// ... or than memory should hold.
const MOST_PLACES: u32 = 512;
/// Of an endpoint that has not answered yet.
const FIRST_GUESS: Duration = Duration::from_millis(100);
/// How long a batch waits for an endpoint that works: this many times as long as it usually takes, within bounds ...
const TIMES_AS_LONG: u32 = 3;
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
const MOST_PATIENCE: Duration = Duration::from_secs(1);
/// ... and for one that does not.
const NO_PATIENCE: Duration = Duration::from_millis(25);

/// The gates of all partners.
#[derive(Debug, Default)]
pub struct Limits(Mutex<HashMap<String, Arc<Gate>>>);

/// One partner's gate.
#[derive(Debug)]
pub struct Gate {
    rate: u32,
    concurrency: u32,
    room: Arc<Semaphore>,
    /// Requests whose batch did not wait for them.
    handed_over: AtomicU32,
    /// Deliveries that wait for room, and no batch for them.
    queued: AtomicU32,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    /// When the next request may start.
    next: Instant,
    /// How long an answer takes, by and large.
    takes: Duration,
    /// The last request failed.
    failed: bool,
    /// When the last one that was put off is due.
    put_off: Timestamp,
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    handed_over: bool,
    _room: OwnedSemaphorePermit,
}

/// A place in the queue for room.
#[derive(Debug)]
pub struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    /// The gate of a partner. Other settings make a new one; what is under way at the old one counts no more.
    pub fn gate(&self, partner: &str, settings: &Settings) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(partner)
            && (gate.rate, gate.concurrency) == (settings.rate, settings.concurrency)
        {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Gate::new(settings.rate, settings.concurrency));
        gates.insert(partner.to_owned(), Arc::clone(&gate));
        gate
    }
}

impl Gate {
    fn new(rate: u32, concurrency: u32) -> Self {
        let pace = Pace { next: Instant::now(), takes: FIRST_GUESS, failed: false, put_off: Timestamp::default() };
        Self {
            rate,
            concurrency,
            room: Arc::new(Semaphore::new(concurrency as usize)),
            handed_over: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            pace: Mutex::new(pace),
        }
    }

    /// Waits for room, and for the time that the rate allows; `None` if neither comes by the deadline.
    pub async fn enter(self: &Arc<Self>, deadline: Instant) -> Option<Pass> {
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => timeout_at(deadline, Arc::clone(&self.room).acquire_owned()).await.ok()?.ok()?,
        };
        if self.rate > 0 {
            let start = {
                let mut pace = self.pace();
                let start = pace.next.max(Instant::now());
                if start > deadline {
                    return None;
                }
                pace.next = start + Duration::from_secs(1) / self.rate;
                start
            };
            sleep_until(start).await;
        }
        Some(Pass { gate: Arc::clone(self), handed_over: false, _room: room })
    }

    /// A place to wait for room without holding up a batch; `None` when there are as many as can have their turn soon, or
    /// when the endpoint fails.
    pub fn queue(self: &Arc<Self>) -> Option<Place> {
        let most = {
            let pace = self.pace();
            if pace.failed {
                return None;
            }
            let each = self.step(&pace).max(Duration::from_millis(1));
            u32::try_from(WAITS_AT_MOST.as_nanos() / each.as_nanos()).unwrap_or(MOST_PLACES).min(MOST_PLACES)
        };
        let taken = self.queued.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        (taken < most).then_some(place)
    }

    fn step(&self, pace: &Pace) -> Duration {
        let by_rate = if self.rate > 0 { Duration::from_secs(1) / self.rate } else { Duration::ZERO };
        (pace.takes / self.concurrency).max(by_rate)
    }

    /// When something that found no room is to come back: behind what was put off before.
    pub fn put_off(&self, now: Timestamp) -> Timestamp {
        let mut pace = self.pace();
        let step = self.step(&pace);
        pace.put_off = pace.put_off.max(now + SOONEST).min(now + LATEST) + step;
        pace.put_off
    }

    /// How long a batch waits for an answer.
    pub fn patience(&self) -> Duration {
        match self.stalls() {
            true => NO_PATIENCE,
            false => (self.pace().takes * TIMES_AS_LONG).clamp(LEAST_PATIENCE, MOST_PATIENCE),
        }
    }

    fn stalls(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed) > 0 || self.pace().failed
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The batch does not wait for it any more.
    pub fn hand_over(&mut self) {
        if !std::mem::replace(&mut self.handed_over, true) {
            self.gate.handed_over.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Learns from a request that has ended.
    pub fn took(&self, time: Duration, healthy: bool) {
        let mut pace = self.gate.pace();
        pace.failed = !healthy;
        if healthy {
            pace.takes = (pace.takes * 7 + time) / 8;
        }
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.handed_over {
            self.gate.handed_over.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(60)
    }

    #[tokio::test]
    async fn only_so_many_are_under_way_at_a_time() {
        let gate = Arc::new(Gate::new(0, 2));
        let (one, _two) = (gate.enter(soon()).await.unwrap(), gate.enter(soon()).await.unwrap());
        let started = Instant::now();
        assert!(gate.enter(soon()).await.is_none());
        assert!(started.elapsed() >= Duration::from_millis(60), "there might have been room");
        drop(one);
        assert!(gate.enter(soon()).await.is_some());
    }

    #[tokio::test]
    async fn a_batch_waits_as_long_as_usual_and_hardly_for_one_that_fails_or_stalls() {
        let gate = Arc::new(Gate::new(0, 8));
        assert_eq!(gate.patience(), FIRST_GUESS * TIMES_AS_LONG);
        let mut pass = gate.enter(soon()).await.unwrap();
        for _ in 0..50 {
            pass.took(Duration::from_millis(10), true);
        }
        assert_eq!(gate.patience(), LEAST_PATIENCE);
        for _ in 0..50 {
            pass.took(Duration::from_secs(9), true);
        }
        assert_eq!(gate.patience(), MOST_PATIENCE);
        pass.took(Duration::from_millis(10), false);
        assert_eq!(gate.patience(), NO_PATIENCE);
        pass.took(Duration::from_millis(10), true);
        assert_eq!(gate.patience(), MOST_PATIENCE);
        pass.hand_over();
        assert_eq!(gate.patience(), NO_PATIENCE);
        drop(pass);
        assert_eq!(gate.patience(), MOST_PATIENCE);
    }

    #[tokio::test]
    async fn so_many_wait_as_can_have_their_turn_soon() {
        let gate = Arc::new(Gate::new(2, 64));
        let mut places: Vec<_> = std::iter::from_fn(|| gate.queue()).collect();
        assert_eq!(places.len(), 20, "10 s at 2/s");
        places.pop();
        assert!(gate.queue().is_some());
        let pass = gate.enter(soon()).await.unwrap();
        pass.took(Duration::from_secs(1), false);
        assert!(gate.queue().is_none(), "nobody queues for an endpoint that fails");
        let gate = Arc::new(Gate::new(0, 64));
        assert_eq!(std::iter::from_fn(|| gate.queue()).collect::<Vec<_>>().len(), MOST_PLACES as usize);
    }

    #[tokio::test]
    async fn a_rate_spreads_what_is_started_and_what_is_put_off() {
        let gate = Arc::new(Gate::new(50, 64));
        let started = Instant::now();
        let mut passes = 0;
        while gate.enter(started + Duration::from_millis(210)).await.is_some() {
            passes += 1;
        }
        assert!((4..=11).contains(&passes), "{passes} in 210 ms at 50/s");
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let due: Vec<_> = (0..3).map(|_| (gate.put_off(now) - now).num_milliseconds()).collect();
        assert_eq!(due, [1020, 1040, 1060]);
    }
}
