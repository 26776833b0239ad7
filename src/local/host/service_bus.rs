//! A Service Bus trigger: one batch at a time, completed or abandoned as a whole.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tracing::{error, info, warn};

use super::{
    give_way::GiveWay,
    invoke::{InvocationIds, InvokeError, Invoker},
    subscriptions::{Delivery, SubscriptionError, Subscriptions},
};
use crate::{
    clock::SharedClock,
    host::{
        encode::{self, Call, Received},
        value::DataType,
    },
    telemetry::Seldom,
};

/// A receive is never broken off, since that might lose messages to locks that nobody holds. So it waits briefly, and
/// looks in between whether the host is to stop.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);

/// How long to leave a broker alone that just failed: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A batch with room left is followed by the next one no sooner than this after it began. What comes alone is taken at
/// once; what keeps coming gathers, since a batch of one costs almost as much as one of ten.
const GATHER: Duration = Duration::from_millis(10);

/// A running trigger.
pub(super) struct ServiceBusLoop<S> {
    pub(super) invoker: Invoker,
    pub(super) binding: String,
    pub(super) topic: String,
    pub(super) subscription: String,
    /// `None` for cardinality one.
    pub(super) max_batch: Option<usize>,
    pub(super) data_type: DataType,
    pub(super) lock_duration: Duration,
    pub(super) subscriptions: Arc<S>,
    pub(super) ids: Arc<InvocationIds>,
    pub(super) clock: SharedClock,
    pub(super) give_way: GiveWay,
}

impl<S: Subscriptions> ServiceBusLoop<S> {
    /// Serves the subscription until `stop`; then finishes the batch at hand.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE.0;
        let deaf = Seldom::default();
        while !*stop.borrow() {
            let max = self.max_batch.unwrap_or(1);
            match self.subscriptions.receive(&self.topic, &self.subscription, max, RECEIVE_WAIT).await {
                Ok(batch) if batch.is_empty() => pause = PAUSE.0,
                Ok(batch) => {
                    pause = PAUSE.0;
                    let began = Instant::now();
                    self.process(&batch).await;
                    self.give_way.rest(began.elapsed(), &stop).await;
                    if batch.len() < max {
                        tokio::time::sleep_until(began + GATHER).await;
                    }
                }
                Err(error) => {
                    if let Some(left_out) = deaf.now() {
                        let (function, topic, subscription) =
                            (self.invoker.function(), &self.topic, &self.subscription);
                        error!(function, %error, left_out, "cannot receive from {topic}/{subscription}");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        // The host is to stop: whether by the value or by a dropped sender makes no difference.
                        _ = stop.changed() => {}
                    }
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    async fn process(&self, batch: &[Delivery<S::Lock>]) {
        let (id, started) = (self.ids.next(), Instant::now());
        let outcome = self.invoker.invoke(id, self.encode(id, batch)).await;
        let taken = started.elapsed();
        let function = self.invoker.function();
        if taken > self.lock_duration {
            warn!(function, invocation = %id, ?taken, messages = batch.len(),
                "the batch outlived its locks: its messages are delivered again. Make batches smaller or faster");
        }
        let locks: Vec<S::Lock> = batch.iter().map(|delivery| delivery.lock.clone()).collect();
        let settled = match &outcome {
            Ok(_) => self.subscriptions.complete(&locks).await,
            Err(error) => {
                report(function, &id.to_string(), batch.len(), error);
                // At once and without a pause, as the real host does it: a handler that wants time takes it itself.
                self.subscriptions.abandon(&locks).await
            }
        };
        self.report_settlement(&settled, outcome.is_ok());
    }

    fn encode(&self, id: uuid::Uuid, batch: &[Delivery<S::Lock>]) -> Vec<u8> {
        let call = Call { function: self.invoker.function(), binding: &self.binding, now: self.clock.now(), id };
        match (self.max_batch, batch) {
            (None, [delivery]) => encode::service_bus_message(&call, &received(delivery)),
            _ => encode::service_bus_batch(&call, self.data_type, batch.iter().map(received)),
        }
    }

    fn report_settlement(&self, settled: &Result<usize, SubscriptionError>, succeeded: bool) {
        let function = self.invoker.function();
        match settled {
            Ok(0) => {}
            Ok(lost) => info!(function, lost, "locks had run out before the batch was settled"),
            // Not lost, merely late: without an answer from us the locks run out.
            Err(error) => {
                error!(function, %error, succeeded, "cannot settle a batch: its messages are delivered again")
            }
        }
    }
}

fn received<L>(delivery: &Delivery<L>) -> Received<'_> {
    Received {
        message: &delivery.message,
        delivery_count: delivery.delivery_count,
        sequence_number: delivery.sequence_number,
        enqueued_at: delivery.enqueued_at,
        expires_at: delivery.expires_at,
        lock_token: None,
    }
}

/// A failure that the handler reports is its own business to explain; a broken contract is a bug, and loud.
pub(super) fn report(function: &str, invocation: &str, messages: usize, error: &InvokeError) {
    match error {
        InvokeError::BadAnswer(answer) if !answer.breaks_the_contract() => {
            warn!(function, invocation, messages, %error, "the invocation failed");
        }
        _ => error!(function, invocation, messages, %error, "the invocation failed"),
    }
}
