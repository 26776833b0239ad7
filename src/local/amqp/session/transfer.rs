//! What clients send: messages for topics, and requests.

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::{
    definitions::{Error, Role},
    messaging::{Accepted, DeliveryState, Rejected},
    performatives::{Disposition, Performative, Transfer},
};

use super::{
    Session, WINDOW,
    link::{Link, Partial},
};
use crate::{
    bus::Message,
    local::{
        amqp::{
            address::Node,
            condition,
            message::{self, BATCH_FORMAT, BadMessage},
            output::Output,
            work::{LinkId, Work},
        },
        broker::MESSAGE_BYTES,
    },
};

/// The largest delivery, which may be a batch of messages.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;
/// Bytes of incomplete deliveries in one session.
const MOST_PARTIAL: usize = 4 * MAX_MESSAGE;

impl Session {
    /// One frame of a delivery.
    ///
    /// # Errors
    /// The client broke the protocol: the session must end.
    pub fn transfer(&mut self, transfer: &Transfer, payload: &Bytes, out: &mut Output) -> Result<(), Error> {
        self.next_incoming = self.next_incoming.wrapping_add(1);
        self.incoming_window = self.incoming_window.saturating_sub(1);
        if self.incoming_window <= WINDOW / 2 {
            self.incoming_window = WINDOW;
            self.tell_window(out);
        }
        let handle = transfer.handle.0;
        let partial_bytes: usize = self.partial_bytes();
        let link = match self.links.get_mut(&handle) {
            Some(Link::FromClient(link)) => link,
            Some(Link::Ended) => return Ok(()),
            Some(Link::ToClient(_)) | None => return Err(condition::unattached(handle)),
        };
        let mut delivery = match link.partial.take() {
            Some(delivery) => delivery,
            None => Partial {
                delivery: transfer.delivery_id.ok_or_else(|| condition::decode("A delivery has no id."))?,
                format: transfer.message_format.unwrap_or(0),
                settled: false,
                payload: BytesMut::new(),
            },
        };
        delivery.settled |= transfer.settled.unwrap_or(false);
        if transfer.aborted {
            return Ok(());
        }
        if delivery.payload.len() + payload.len() > MAX_MESSAGE || partial_bytes + payload.len() > MOST_PARTIAL {
            self.refuse_link(handle, condition::too_large(MAX_MESSAGE), out);
            return Ok(());
        }
        delivery.payload.extend_from_slice(payload);
        if transfer.more {
            link.partial = Some(delivery);
            return Ok(());
        }
        let from = LinkId { channel: self.channel, handle, number: link.number };
        let node = link.node.clone();
        if link.delivered() {
            self.grant(handle, out);
        }
        self.delivered(from, node, delivery, out);
        Ok(())
    }

    fn partial_bytes(&self) -> usize {
        let partial = self.links.values().filter_map(|link| match link {
            Link::FromClient(link) => link.partial.as_ref(),
            _ => None,
        });
        partial.map(|partial| partial.payload.len()).sum()
    }

    fn delivered(&mut self, from: LinkId, node: Node, delivery: Partial, out: &mut Output) {
        let Partial { delivery: id, format, settled, payload } = delivery;
        let payload = payload.freeze();
        match node {
            Node::Topic(topic) => match read(&payload, format) {
                // Whether it was sent settled or not, it is published; only the answer is left out.
                Ok(messages) => {
                    out.work.push(Work::Publish { from, delivery: (!settled).then_some(id), topic, messages });
                }
                Err(error) if settled => tracing::warn!(%error, "a settled message is dropped"),
                Err(error) => self.outcome(id, Err(error), out),
            },
            about => {
                if !settled {
                    self.outcome(id, Ok(()), out);
                }
                match self.reply_link(&about, &payload) {
                    Some(to) => out.work.push(Work::Manage { to, about, request: payload }),
                    None => tracing::debug!("a request has no link for its answer"),
                }
            }
        }
    }

    /// Tells a sender what became of its delivery.
    pub fn outcome(&self, delivery: u32, result: Result<(), Error>, out: &mut Output) {
        let state = match result {
            Ok(()) => DeliveryState::Accepted(Accepted {}),
            Err(error) => DeliveryState::Rejected(Rejected { error: Some(error) }),
        };
        let disposition = Disposition {
            role: Role::Receiver,
            first: delivery,
            last: None,
            settled: true,
            state: Some(state),
            batchable: false,
        };
        out.frame(self.channel, &Performative::Disposition(disposition));
    }
}

fn read(payload: &Bytes, format: u32) -> Result<Vec<Message>, Error> {
    let encoded = match format {
        BATCH_FORMAT => message::unpack(payload).map_err(|error| condition::decode(error.to_string()))?,
        _ => vec![payload.clone()],
    };
    let read = encoded.iter().map(|encoded| match message::decode(encoded) {
        _ if encoded.len() > MESSAGE_BYTES => Err(condition::too_large(MESSAGE_BYTES)),
        Ok(message) => Ok(message),
        Err(error @ BadMessage::Malformed(_)) => Err(condition::decode(error.to_string())),
        Err(error @ BadMessage::Unsupported(_)) => Err(condition::not_implemented(error.to_string())),
    });
    read.collect()
}
