//! A connection's deadlines. hyper sets one for the head of every request and mostly drops it within microseconds; the runtime
//! would enter each in its timers and take it out again. Here a connection has one alarm in them, which stays where it is: once it
//! rings, it is set for the deadline that counts by then.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time;

/// The timer of one connection.
#[derive(Clone, Default)]
pub(super) struct ConnectionTimer {
    alarm: Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>,
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline { deadline: deadline.into(), alarm: Arc::clone(&self.alarm) })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

struct Deadline {
    deadline: time::Instant,
    alarm: Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>,
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(time::sleep_until(self.deadline)));
        if alarm.deadline() > self.deadline {
            alarm.as_mut().reset(self.deadline);
        }
        while alarm.as_mut().poll(context).is_ready() {
            if alarm.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            // It was set for an earlier deadline, which did not matter any more.
            alarm.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    const TICK: Duration = Duration::from_millis(20);
    const FOREVER: Duration = Duration::from_secs(3600);

    /// Waits for a deadline that comes soon.
    async fn soon(deadline: impl Future<Output = ()>) {
        time::timeout(Duration::from_secs(30), deadline).await.expect("the alarm rings");
    }

    #[tokio::test]
    async fn a_deadline_is_kept_though_the_alarm_was_set_for_earlier_ones() {
        let timer = ConnectionTimer::default();
        for _ in 0..5 {
            // The head of a request that comes in time.
            let mut head = timer.sleep(2 * TICK);
            assert!(poll!(&mut head).is_pending());
            time::sleep(TICK / 2).await;
        }
        let began = Instant::now();
        soon(timer.sleep(5 * TICK)).await;
        assert!(began.elapsed() >= 5 * TICK, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_deadline_before_the_alarm_is_kept_too() {
        let timer = ConnectionTimer::default();
        let mut late = timer.sleep(FOREVER);
        assert!(poll!(&mut late).is_pending());
        soon(timer.sleep(TICK)).await;
        assert!(poll!(&mut late).is_pending());
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_rings_at_once() {
        let (timer, began) = (ConnectionTimer::default(), Instant::now());
        soon(timer.sleep(TICK)).await;
        soon(timer.sleep_until(began)).await;
        soon(timer.sleep(Duration::ZERO)).await;
    }
}
