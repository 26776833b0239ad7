//! A timer trigger: never two runs at once, and missed occurrences are made up for by one late run.
//!
//! Unlike in Azure, what was missed while the host was down is not remembered: the timers here sweep what is due, and
//! an occurrence within seconds of the start does the same.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::watch, time::Instant};

use super::{
    app::TimerTrigger,
    give_way::GiveWay,
    invoke::{InvocationIds, Invoker},
    service_bus::report,
};
use crate::{
    clock::{SharedClock, Timestamp},
    host::{TimerInfo, encode},
};

/// The longest sleep. The wall clock may be set while we wait, and schedules go by it.
const NAP: Duration = Duration::from_secs(30);

/// A run that starts later than this after its moment is past due: the machine was asleep.
const PUNCTUAL: TimeDelta = TimeDelta::seconds(1);

/// A running trigger.
pub(super) struct TimerLoop {
    pub(super) invoker: Invoker,
    pub(super) binding: String,
    pub(super) trigger: TimerTrigger,
    pub(super) ids: Arc<InvocationIds>,
    pub(super) clock: SharedClock,
    pub(super) give_way: GiveWay,
}

/// What a monitored timer remembers between runs.
struct Status {
    last: Option<Timestamp>,
    updated: Timestamp,
}

impl TimerLoop {
    /// Fires until `stop`; then finishes the run at hand.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let started = self.clock.now();
        let mut status = Status { last: None, updated: started };
        if self.trigger.run_on_startup {
            self.fire(&mut status, started, false).await;
        }
        let mut due = self.trigger.schedule.next_after(self.clock.now());
        let mut overrun = false;
        let mut start = started;
        while let Some(moment) = due {
            let Some(moment) = self.wait_for(moment, start, &mut stop).await else { return };
            start = self.clock.now();
            let is_past_due = overrun || start - moment > PUNCTUAL;
            let began = Instant::now();
            self.fire(&mut status, moment, is_past_due).await;
            self.give_way.rest(began.elapsed(), &stop).await;
            // A late run stands for all occurrences up to its start, so that a slow handler is not chased by a queue.
            due = self.trigger.schedule.next_after(if is_past_due { start.max(moment) } else { moment });
            overrun = due.is_some_and(|due| due <= self.clock.now());
        }
    }

    /// The occurrence that has come: `moment`, or an earlier one where the clock was set back behind `since`, or else
    /// the timer would stand still for as long. `None` when the host is to stop first.
    async fn wait_for(
        &self,
        mut moment: Timestamp,
        since: Timestamp,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Timestamp> {
        loop {
            if *stop.borrow() {
                return None;
            }
            let now = self.clock.now();
            if since - now > PUNCTUAL {
                moment = self.trigger.schedule.next_after(now).map_or(moment, |sooner| sooner.min(moment));
            }
            let left = (moment - now).to_std().unwrap_or_default();
            if left.is_zero() {
                return Some(moment);
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(NAP)) => {}
                changed = stop.changed() => if changed.is_err() {
                    return None;
                }
            }
        }
    }

    async fn fire(&self, status: &mut Status, moment: Timestamp, is_past_due: bool) {
        let id = self.ids.next();
        let now = self.clock.now();
        let next = self.trigger.schedule.next_after(moment);
        let info = TimerInfo { is_past_due, last: status.last, next, last_updated: Some(status.updated) };
        // The real host keeps no status for a timer that fires more than once a minute.
        let rare = next.is_none_or(|next| next - moment >= TimeDelta::minutes(1));
        let call = encode::Call { function: self.invoker.function(), binding: &self.binding, now, id };
        let adjusts = self.trigger.schedule.adjusts_for_dst();
        let body = encode::timer(&call, &info, adjusts, self.trigger.use_monitor && rare);
        if let Err(error) = self.invoker.invoke(id, body).await {
            // The schedule goes on.
            report(self.invoker.function(), &id.to_string(), 0, &error);
        }
        *status = Status { last: Some(moment), updated: self.clock.now() };
    }
}
