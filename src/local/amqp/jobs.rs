//! The work of one connection under way, begun in the order in which the client asked for it.

use std::{borrow::Cow, collections::HashMap};

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use serde_amqp::Value;

use super::{
    driver::MOST_UNWRITTEN,
    output::Output,
    work::{Done, Work, Workshop},
};
use crate::bus::{Message, Property};

/// Pieces of work beyond which nothing more is taken from the client.
const MOST_JOBS: usize = 256;
/// Bytes in memory for messages and requests under way beyond which nothing more is taken.
const MOST_HELD: usize = 8 * 1024 * 1024;

/// What a job came to, and how many bytes of memory it held.
type Outcome = (Done, usize);

pub(super) struct Jobs {
    workshop: Workshop,
    running: FuturesUnordered<BoxFuture<'static, Outcome>>,
    /// Receives wait for as long as nothing comes; by the numbers of their links.
    receives: HashMap<u64, AbortHandle>,
    held: usize,
}

impl Jobs {
    pub fn new(workshop: Workshop) -> Self {
        Self { workshop, running: FuturesUnordered::new(), receives: HashMap::new(), held: 0 }
    }

    /// Whether the client has asked for enough for now.
    pub fn are_many(&self, out: &Output) -> bool {
        let jobs = self.running.len().saturating_sub(self.receives.len()) + out.work.len();
        jobs >= MOST_JOBS || self.held >= MOST_HELD || out.bytes.len() >= MOST_UNWRITTEN
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
            let bytes = weight(&work);
            self.held += bytes;
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
        self.held -= bytes;
        if let Done::Received { to, .. } = &done {
            self.receives.remove(&to.number);
        }
        done
    }
}

/// What a piece of work takes of memory, about, and not what it took on the wire: a megabyte there may be a hundred
/// thousand messages without a body, or a list of as many nothings.
fn weight(work: &Work) -> usize {
    match work {
        Work::Publish { messages, .. } => messages.iter().map(weight_of).sum(),
        Work::Manage { request, .. } => request.len() * size_of::<Value>(),
        _ => 0,
    }
}

fn weight_of(message: &Message) -> usize {
    let text = |(name, value): (&Cow<str>, &Property)| name.len() + value.as_str().map_or(0, str::len);
    let properties: usize =
        message.properties.iter().map(|entry| text(entry) + size_of::<(Cow<str>, Property)>()).sum();
    size_of::<Message>() + message.message_id.len() + message.body.len() + properties
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::{BufMut, Bytes, BytesMut};

    use super::*;
    use crate::{
        bus::Topology,
        clock::SystemClock,
        local::{
            amqp::{address::Node, locks::Locks, message, work::LinkId},
            broker::Broker,
        },
    };

    const LINK: LinkId = LinkId { channel: 0, handle: 0, number: 1 };

    /// Whether the client is made to wait after this many pieces of work.
    fn are_many(pieces: usize, work: impl Fn() -> Work) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let path = folder.path().join("broker.sqlite");
        let broker = Broker::open(&path, &Topology { topics: Vec::new() }, clock.clone()).unwrap();
        let mut jobs = Jobs::new(Workshop { broker, locks: Arc::new(Locks::default()), clock });
        let mut out = Output::new();
        out.work.extend((0..pieces).map(|_| work()));
        jobs.start(&mut out);
        jobs.are_many(&out)
    }

    #[test]
    fn a_client_waits_for_what_its_work_takes_of_memory_whatever_it_took_on_the_wire() {
        let publish = |messages: Vec<Message>| {
            are_many(4, || Work::Publish {
                from: LINK,
                delivery: Some(0),
                topic: "t".into(),
                messages: messages.clone(),
            })
        };
        let mut batch = BytesMut::new();
        for _ in 0..100_000 {
            // A data section with an empty message in it.
            batch.put_slice(&[0x00, 0x53, 0x75, 0xa0, 0]);
        }
        let unpacked = message::unpack(&batch.freeze()).unwrap();
        let empty: Vec<_> = unpacked.iter().map(|encoded| message::decode(encoded).unwrap()).collect();
        assert!(publish(empty.clone()), "messages without a body");
        assert!(!publish(empty[..10].to_vec()));

        let request = |length: usize| {
            let request = Bytes::from(vec![0; length]);
            are_many(4, || Work::Manage { to: LINK, about: Node::Cbs, request: request.clone() })
        };
        assert!(request(1024 * 1024), "requests");
        assert!(!request(500));
    }
}
