//! Dead letters with faults.

use async_trait::async_trait;
use sluice::dead_letters::{DeadLetterQueue, DeadLetters, DeadLettersError, Receiver, SharedDeadLetters};

use super::faults::{Call, Switch, carry_out};

/// Sub-queues that may not open.
#[derive(Debug)]
pub struct FaultyDeadLetters {
    inner: SharedDeadLetters,
    pub switch: Switch,
}

impl FaultyDeadLetters {
    pub fn new(inner: SharedDeadLetters) -> Self {
        Self { inner, switch: Switch::default() }
    }
}

#[async_trait]
impl DeadLetters for FaultyDeadLetters {
    async fn open(&self, queue: &DeadLetterQueue) -> Result<Box<dyn Receiver>, DeadLettersError> {
        let call = Call { method: "dead_letters.open", of: &queue.topic, about: &queue.subscription, operations: &[] };
        let fault = self.switch.fault(&call);
        let (inner, queue) = (self.inner.clone(), queue.clone());
        let lost = || DeadLettersError::Unavailable("injected".into());
        carry_out(fault, async move { inner.open(&queue).await }, lost).await
    }
}
