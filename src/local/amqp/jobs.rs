//! The work of one connection under way, begun in the order in which the client asked for it.

use std::collections::HashMap;

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};

use super::{
    driver::MOST_UNWRITTEN,
    output::Output,
    work::{Done, Work, Workshop},
};

/// Pieces of work beyond which nothing more is taken from the client.
const MOST_JOBS: usize = 256;
/// Bytes of messages on their way to the broker beyond which nothing more is taken.
const MOST_PUBLISHING: usize = 8 * 1024 * 1024;

/// What a job came to, and how many bytes of messages it held.
type Outcome = (Done, usize);

pub(super) struct Jobs {
    workshop: Workshop,
    running: FuturesUnordered<BoxFuture<'static, Outcome>>,
    /// Receives wait for as long as nothing comes; by the numbers of their links.
    receives: HashMap<u64, AbortHandle>,
    publishing: usize,
}

impl Jobs {
    pub fn new(workshop: Workshop) -> Self {
        Self { workshop, running: FuturesUnordered::new(), receives: HashMap::new(), publishing: 0 }
    }

    /// Whether the client has asked for enough for now.
    pub fn are_many(&self, out: &Output) -> bool {
        let jobs = self.running.len().saturating_sub(self.receives.len()) + out.work.len();
        jobs >= MOST_JOBS || self.publishing >= MOST_PUBLISHING || out.bytes.len() >= MOST_UNWRITTEN
    }

    /// Begins what there is to do.
    pub fn start(&mut self, out: &mut Output) {
        for work in out.work.drain(..) {
            match &work {
                Work::StopReceiving { number } => {
                    if let Some(receive) = self.receives.remove(number) {
                        receive.abort();
                    }
                    continue;
                }
                Work::Receive { to, .. } => {
                    let to = *to;
                    let (handle, registration) = AbortHandle::new_pair();
                    self.receives.insert(to.number, handle);
                    let receive = Abortable::new(self.workshop.clone().perform(work), registration);
                    // Stopped, it has found nothing.
                    let nothing = move |_| Done::Received { to, result: Ok(Vec::new()) };
                    self.running.push(async move { (receive.await.unwrap_or_else(nothing), 0) }.boxed());
                    continue;
                }
                _ => {}
            }
            let bytes = match &work {
                Work::Publish { messages, .. } => messages.iter().map(|message| message.body.len()).sum(),
                _ => 0,
            };
            self.publishing += bytes;
            let job = self.workshop.clone().perform(work);
            self.running.push(async move { (job.await, bytes) }.boxed());
        }
    }

    /// Stops all receives.
    pub fn stop_receiving(&mut self) {
        self.receives.drain().for_each(|(_, receive)| receive.abort());
    }

    /// The next result; `None` when nothing is under way.
    pub async fn next(&mut self) -> Option<Done> {
        let outcome = self.running.next().await?;
        Some(self.ended(outcome))
    }

    /// The next result that is there already.
    pub fn next_ready(&mut self) -> Option<Done> {
        let outcome = self.running.next().now_or_never()??;
        Some(self.ended(outcome))
    }

    fn ended(&mut self, (done, bytes): Outcome) -> Done {
        self.publishing -= bytes;
        if let Done::Received { to, .. } = &done {
            self.receives.remove(&to.number);
        }
        done
    }
}
