//! Publishing to one topic or queue.
//!
//! A caller encodes its message, hands it to the link's task ([`run`]) and waits for its own answer. The task owns the
//! link, so that a caller who gives up never leaves half a message on the wire.

mod run;
mod transfer;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{ServiceBusError, batch::Pending, circuit::Circuit, connection::Namespace, message::encode};
use crate::{bus::Message, clock::SharedClock};

pub(super) use run::attach;

/// How many messages may wait for the link's task; whoever comes then waits to be let in.
const QUEUE: usize = 1024;

/// Sends messages to a topic or a queue. Clones share the link; it is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Sender {
    entity: Arc<str>,
    queue: mpsc::Sender<Pending>,
    circuit: Arc<Circuit>,
    clock: SharedClock,
    limit: Duration,
}

impl Sender {
    pub(super) fn start(namespace: &Arc<Namespace>, entity: &str) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE);
        let circuit = Arc::new(Circuit::default());
        let entity: Arc<str> = entity.into();
        let link = run::SenderTask::new(Arc::clone(namespace), Arc::clone(&entity), Arc::clone(&circuit), pending);
        tokio::spawn(link.run());
        Self { entity, queue, circuit, clock: namespace.clock.clone(), limit: namespace.send_timeout }
    }

    /// Sends one message and returns once the broker has it on disk.
    ///
    /// # Errors
    /// [`ServiceBusError`], always within the client's send timeout. After [`ServiceBusError::TimedOut`] and
    /// [`ServiceBusError::Lost`] the message may have been accepted: send it again under the same message id.
    pub async fn send_message(&self, message: Message) -> Result<(), ServiceBusError> {
        self.circuit.check(Instant::now())?;
        let message = encode(message, self.clock.now()).map_err(|problem| ServiceBusError::Invalid {
            entity: self.entity.to_string(),
            problem: problem.to_owned(),
        })?;
        let (pending, answer) = Pending::new(message, self.limit);
        let deadline = pending.deadline;
        let answered = timeout_at(deadline, async {
            self.queue.send(pending).await.ok()?;
            answer.await.ok()
        });
        match answered.await {
            Ok(Some(result)) => result,
            // The task ends with the runtime only.
            Ok(None) => Err(self.lost()),
            Err(_) => Err(ServiceBusError::TimedOut { entity: self.entity.to_string(), limit: self.limit }),
        }
    }

    fn lost(&self) -> ServiceBusError {
        ServiceBusError::Lost { entity: self.entity.to_string(), problem: "the program is stopping".to_owned() }
    }
}
