//! Which messages travel in one transfer, and how.
//!
//! Service Bus takes many messages in one transfer of format 0x80013700: each encoded message is a data section of an
//! outer one. The broker answers once, for all of them.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use fe2o3_amqp::Sendable;
use fe2o3_amqp_types::messaging::{self as amqp, Data, Header, SerializableBody, message::__private::Serializable};
use serde::Serialize;
use tokio::{sync::oneshot, time::Instant};

use super::{ServiceBusError, message::Outgoing};

/// The message format of a batch.
pub(super) const BATCH_FORMAT: u32 = 0x8001_3700;
/// The most messages in a batch: what fits one broker transaction.
const MOST: usize = 100;
/// The most bytes in a batch. A namespace that takes larger messages still takes no larger batches than 1 MB; this is
/// what every tier takes.
const MOST_BYTES: usize = 256 * 1024;
/// What a data section costs beside its content.
const SECTION_BYTES: usize = 8;
/// About what a callback's message takes beside its body.
const BESIDE_THE_BODY: usize = 512;
/// What the outer message costs: its own sections, and a message id and a session id of 128 characters each.
const ENVELOPE_BYTES: usize = 1024;

/// A message on its way, and who waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    /// As it travels alone. Boxed, since it moves from queue to queue and takes many hundred bytes.
    pub sendable: Box<Sendable<Data>>,
    /// As it travels in a batch.
    pub encoded: Vec<u8>,
    /// After this moment nobody waits any more.
    pub deadline: Instant,
    /// It was in a batch that was rejected: alone it gets an answer of its own.
    pub alone: bool,
    pub answer: oneshot::Sender<Result<(), ServiceBusError>>,
}

impl Pending {
    pub fn new(message: Outgoing, limit: Duration) -> (Self, oneshot::Receiver<Result<(), ServiceBusError>>) {
        let encoded = bytes_of(&message, message.body.0.len() + BESIDE_THE_BODY);
        let (answer, outcome) = oneshot::channel();
        let sendable = Box::new(Sendable { message, message_format: amqp::MESSAGE_FORMAT, settled: None });
        (Self { sendable, encoded, deadline: Instant::now() + limit, alone: false, answer }, outcome)
    }

    /// Whether somebody still wants to know what becomes of it.
    pub fn is_wanted(&self) -> bool {
        !self.answer.is_closed() && Instant::now() < self.deadline
    }

    fn session(&self) -> Option<&str> {
        self.sendable.message.properties.as_ref()?.group_id.as_deref()
    }

    pub fn answer(self, result: Result<(), ServiceBusError>) {
        // Whoever gave up waiting does not listen any more, and that is all right.
        self.answer.send(result).ok();
    }
}

/// Messages that travel in one transfer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub pending: Vec<Pending>,
    bytes: usize,
}

impl Batch {
    /// Takes a message in, or gives it back when it does not fit: it begins the next batch.
    pub fn add(&mut self, message: Pending, link_limit: usize) -> Option<Pending> {
        let size = SECTION_BYTES + message.encoded.len();
        let limit = link_limit.min(MOST_BYTES).saturating_sub(ENVELOPE_BYTES);
        let first = self.pending.is_empty();
        let fits = self.pending.len() < MOST && self.bytes + size <= limit;
        let alone = message.alone || self.pending.iter().any(|other| other.alone);
        // A batch goes to one session: the outer message names it.
        let together = self.pending.first().is_none_or(|first| first.session() == message.session());
        // The first is always taken: it travels alone, as a plain message, when it is too large for a batch.
        if !first && (!fits || alone || !together) {
            return Some(message);
        }
        self.bytes += size;
        self.pending.push(message);
        None
    }

    /// The outer message of two or more.
    pub fn envelope(&self) -> Sendable<amqp::Batch<Data>> {
        let sections: Vec<_> = self.pending.iter().map(|pending| Data::from(&pending.encoded[..])).collect();
        let first = self.pending.first().and_then(|pending| pending.sendable.message.properties.as_ref());
        let message = amqp::Message {
            header: Some(Header { durable: true, ..Header::default() }),
            delivery_annotations: None,
            message_annotations: None,
            // As the official clients do: a partitioned entity chooses the batch's partition by it.
            properties: first.map(|first| amqp::Properties {
                message_id: first.message_id.clone(),
                group_id: first.group_id.clone(),
                ..amqp::Properties::default()
            }),
            application_properties: None,
            body: amqp::Batch::new(sections),
            footer: None,
        };
        Sendable { message, message_format: BATCH_FORMAT, settled: None }
    }
}

/// A message as it is on the wire, and about how long that is.
pub(super) fn bytes_of<B: SerializableBody>(message: &amqp::Message<B>, size: usize) -> Vec<u8> {
    let mut buffer = BytesMut::with_capacity(size);
    let mut serializer = serde_amqp::ser::Serializer::from((&mut buffer).writer());
    Serializable(message).serialize(&mut serializer).expect("a message of simple values encodes");
    buffer.into()
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::messaging::message::__private::Deserializable;

    use super::*;
    use crate::{
        azure::service_bus::message::{Incoming, decode, encode},
        bus::{Message, Properties},
    };

    const LINK: usize = 1024 * 1024;

    fn message(id: &str, size: usize) -> Message {
        Message {
            message_id: id.into(),
            content_type: None,
            correlation_id: None,
            subject: None,
            session_id: None,
            properties: Properties::new(),
            time_to_live: None,
            scheduled_enqueue_time: None,
            body: vec![b'x'; size].into(),
        }
    }

    fn pending(id: &str, size: usize) -> Pending {
        let encoded = encode(message(id, size), chrono::DateTime::UNIX_EPOCH).unwrap();
        Pending::new(encoded, Duration::from_secs(1)).0
    }

    /// How many of equal messages one batch takes.
    fn taken(size: usize, link_limit: usize) -> usize {
        let mut batch = Batch::default();
        (0..1000).take_while(|n| batch.add(pending(&n.to_string(), size), link_limit).is_none()).count()
    }

    #[tokio::test]
    async fn a_batch_ends_at_a_hundred_messages_or_at_what_link_and_tier_take() {
        assert_eq!(taken(10, LINK), 100);
        assert_eq!(taken(100_000, LINK), 2);
        assert_eq!(taken(1_000, 4_096), 2);
        assert_eq!(taken(300_000, LINK), 1, "what is too large for a batch travels alone");
    }

    #[tokio::test]
    async fn an_encoded_batch_stays_within_the_limit() {
        for size in [1, 50, 1_000, 60_000] {
            let mut batch = Batch::default();
            let mut n = 0;
            while batch.add(pending(&format!("{n:0>128}"), size), LINK).is_none() {
                n += 1;
            }
            assert!(bytes_of(&batch.envelope().message, 0).len() <= MOST_BYTES);
        }
    }

    #[tokio::test]
    async fn a_message_from_a_rejected_batch_travels_alone() {
        let mut batch = Batch::default();
        assert!(batch.add(Pending { alone: true, ..pending("1", 1) }, LINK).is_none());
        assert!(batch.add(pending("2", 1), LINK).is_some());
        let mut batch = Batch::default();
        assert!(batch.add(pending("1", 1), LINK).is_none());
        assert!(batch.add(Pending { alone: true, ..pending("2", 1) }, LINK).is_some());
    }

    #[tokio::test]
    async fn a_batch_belongs_to_one_session_and_says_so() {
        let of = |id: &str, session: Option<&str>| {
            let message = Message { session_id: session.map(str::to_owned), ..message(id, 1) };
            Pending::new(encode(message, chrono::DateTime::UNIX_EPOCH).unwrap(), Duration::from_secs(1)).0
        };
        let mut batch = Batch::default();
        assert!(batch.add(of("1", Some("a")), LINK).is_none());
        assert!(batch.add(of("2", Some("a")), LINK).is_none());
        assert!(batch.add(of("3", Some("b")), LINK).is_some());
        assert!(batch.add(of("4", None), LINK).is_some());
        assert_eq!(batch.envelope().message.properties.unwrap().group_id.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn the_outer_message_holds_each_message_whole_and_in_order() {
        let mut batch = Batch::default();
        for id in ["1", "2", "3"] {
            batch.add(pending(id, 5), LINK);
        }
        let sendable = batch.envelope();
        assert_eq!(sendable.message_format, 0x8001_3700);
        let read = sendable.message.body.into_inner().into_iter().map(|section| {
            let inner: Deserializable<Incoming> = serde_amqp::from_slice(&section.0).unwrap();
            decode(inner.0).message
        });
        assert_eq!(read.collect::<Vec<_>>(), ["1", "2", "3"].map(|id| message(id, 5)));
    }
}
