//! What becomes of one transfer: the broker's outcome, passed on to everybody whose message it carried.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fe2o3_amqp::link::{SendError, delivery::DeliveryFut};
use fe2o3_amqp_types::messaging::Outcome;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout},
};

use super::run::send_error;
use crate::azure::service_bus::{
    ServiceBusError,
    batch::{Batch, Pending},
    circuit::Circuit,
};

/// How long nothing is sent after the broker said that it is busy:
/// <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling>.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// A transfer that was handed to the link.
pub(super) struct Transfer {
    pub batch: Batch,
    pub delivery: DeliveryFut<Result<Outcome, SendError>>,
    /// Its place among the transfers in flight, given back when it ends.
    pub permit: OwnedSemaphorePermit,
    /// Where messages of a rejected batch go, to be sent alone.
    pub again: mpsc::UnboundedSender<Pending>,
}

/// What the transfers of a link tell its task: that it is of no more use.
pub(super) enum Verdict {
    /// The link or its connection broke: a new one may work at once.
    Lost(ServiceBusError),
    /// The broker is silent: until it speaks again nobody should wait for it.
    Silent(ServiceBusError),
}

/// What all transfers of a link share.
#[derive(Clone)]
pub(super) struct Fate {
    entity: Arc<str>,
    limit: Duration,
    /// When the broker last answered.
    heard: Arc<Mutex<Instant>>,
    verdict: mpsc::Sender<Verdict>,
}

impl Fate {
    pub fn new(entity: Arc<str>, limit: Duration) -> (Self, mpsc::Receiver<Verdict>) {
        let (verdict, verdicts) = mpsc::channel(1);
        (Self { entity, limit, heard: Arc::new(Mutex::new(Instant::now())), verdict }, verdicts)
    }

    fn condemn(&self, verdict: Verdict) {
        // One verdict is enough.
        self.verdict.try_send(verdict).ok();
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed_out(&self) -> ServiceBusError {
        ServiceBusError::TimedOut { entity: self.entity.to_string(), limit: self.limit }
    }
}

impl Transfer {
    /// Waits for the outcome, and answers everybody.
    pub async fn settle(self, fate: Fate, circuit: Arc<Circuit>) {
        let Self { batch, delivery, permit, again } = self;
        let sent_at = Instant::now();
        let outcome = timeout(fate.limit, delivery).await;
        drop(permit);
        let result = match outcome {
            Ok(Ok(outcome)) => {
                *fate.heard() = Instant::now();
                judge(&fate.entity, outcome)
            }
            Ok(Err(error)) => {
                let error = send_error(&fate.entity, &error);
                fate.condemn(Verdict::Lost(error.clone()));
                Err(error)
            }
            Err(_) => {
                if *fate.heard() < sent_at {
                    fate.condemn(Verdict::Silent(fate.timed_out()));
                }
                Err(fate.timed_out())
            }
        };
        if let Err(error @ ServiceBusError::Busy { .. }) = &result {
            circuit.pause(error.clone(), Instant::now() + BUSY_PAUSE);
        }
        let one_spoils_all = batch.pending.len() > 1 && matches!(&result, Err(error) if !error.is_transient());
        for pending in batch.pending {
            if one_spoils_all {
                // The broker took none of them, and does not say which one it minds.
                if let Err(unsent) = again.send(Pending { alone: true, ..pending }) {
                    unsent.0.answer(result.clone());
                }
            } else {
                pending.answer(result.clone());
            }
        }
    }
}

/// What an outcome means. Only `accepted` is a success: the others come as values, not as errors, and a message is lost
/// when nobody looks.
fn judge(entity: &str, outcome: Outcome) -> Result<(), ServiceBusError> {
    let entity_name = entity.to_owned();
    match outcome {
        Outcome::Accepted(_) => Ok(()),
        Outcome::Rejected(rejected) => Err(match rejected.error {
            Some(error) => ServiceBusError::from_amqp(entity, &error),
            None => ServiceBusError::Failed { entity: entity_name, problem: "rejected without a reason".to_owned() },
        }),
        Outcome::Released(_) => {
            Err(ServiceBusError::Failed { entity: entity_name, problem: "it gave the message back".to_owned() })
        }
        Outcome::Modified(_) => {
            Err(ServiceBusError::Failed { entity: entity_name, problem: "it gave the message back".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::{
        definitions::{self, AmqpError, ErrorCondition},
        messaging::{Accepted, Modified, Rejected, Released},
        primitives::Symbol,
    };

    use super::*;

    fn rejected(condition: impl Into<ErrorCondition>) -> Result<(), ServiceBusError> {
        let error = definitions::Error::new(condition, None, None);
        judge("callbacks", Outcome::Rejected(Rejected { error: Some(error) }))
    }

    #[test]
    fn only_an_accepted_message_is_a_success() {
        assert_eq!(judge("callbacks", Outcome::Accepted(Accepted {})), Ok(()));
        let modified = Modified { delivery_failed: None, undeliverable_here: None, message_annotations: None };
        for outcome in
            [Outcome::Rejected(Rejected { error: None }), Outcome::Released(Released {}), Outcome::Modified(modified)]
        {
            assert!(matches!(judge("callbacks", outcome), Err(ServiceBusError::Failed { .. })));
        }
    }

    #[test]
    fn a_rejection_says_whether_the_topic_is_full_or_the_namespace_busy() {
        assert!(matches!(rejected(AmqpError::ResourceLimitExceeded), Err(ServiceBusError::Full { .. })));
        let busy = ErrorCondition::Custom(Symbol::from("com.microsoft:server-busy"));
        assert!(matches!(rejected(busy), Err(ServiceBusError::Busy { .. })));
    }
}
