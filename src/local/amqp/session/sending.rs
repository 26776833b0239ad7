//! Deliveries on their way to a client: numbered, cut into frames, held back by the session's window.

use std::collections::VecDeque;

use bytes::Bytes;
use fe2o3_amqp_types::performatives::{Performative, Transfer};

use crate::local::amqp::{
    frame::{encode, write_parts},
    output::Output,
};

/// More than a frame needs besides payload and performative.
const SLACK: usize = 16;

/// A delivery that is not sent in full.
#[derive(Debug)]
struct Delivery {
    handle: u32,
    id: u32,
    tag: [u8; 16],
    settled: bool,
    /// What is left to send.
    payload: Bytes,
    begun: bool,
}

/// The sending half of a session.
#[derive(Debug, Default)]
pub(super) struct Sending {
    queue: VecDeque<Delivery>,
    next_delivery: u32,
    /// Number of the next frame.
    next_outgoing: u32,
    /// Frames that the client takes before it grants more.
    window: u32,
}

impl Sending {
    pub fn new(window: u32) -> Self {
        Self { window, ..Self::default() }
    }

    pub fn next_outgoing(&self) -> u32 {
        self.next_outgoing
    }

    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes over the window that the client grants, counted from the frame it expects next.
    pub fn flow(&mut self, next_incoming: Option<u32>, window: u32) {
        let on_the_way = self.next_outgoing.wrapping_sub(next_incoming.unwrap_or(0));
        self.window = window.saturating_sub(on_the_way);
    }

    /// Queues a delivery and returns its number.
    pub fn push(&mut self, handle: u32, tag: [u8; 16], settled: bool, payload: Bytes) -> u32 {
        let id = self.next_delivery;
        self.next_delivery = id.wrapping_add(1);
        self.queue.push_back(Delivery { handle, id, tag, settled, payload, begun: false });
        id
    }

    /// Drops what a link has not sent in full, and returns the deliveries' numbers.
    pub fn drop_link(&mut self, handle: u32) -> Vec<u32> {
        let dropped = self.queue.iter().filter(|delivery| delivery.handle == handle).map(|delivery| delivery.id);
        let dropped = dropped.collect();
        self.queue.retain(|delivery| delivery.handle != handle);
        dropped
    }

    /// Writes as many frames as the window allows.
    pub fn pump(&mut self, channel: u16, out: &mut Output) {
        while self.window > 0
            && let Some(delivery) = self.queue.front_mut()
        {
            let first = !delivery.begun;
            let mut transfer = Transfer {
                handle: delivery.handle.into(),
                delivery_id: first.then_some(delivery.id),
                delivery_tag: first.then(|| delivery.tag.to_vec().into()),
                message_format: first.then_some(0),
                settled: Some(delivery.settled),
                more: true,
                rcv_settle_mode: None,
                state: None,
                resume: false,
                aborted: false,
                batchable: false,
            };
            let mut head = encode(&Performative::Transfer(transfer.clone()));
            let room = out.max_frame.saturating_sub(head.len() + SLACK).max(1);
            let chunk = delivery.payload.split_to(room.min(delivery.payload.len()));
            delivery.begun = true;
            if delivery.payload.is_empty() {
                transfer.more = false;
                head = encode(&Performative::Transfer(transfer));
                self.queue.pop_front();
            }
            write_parts(&mut out.bytes, 0, channel, &head, &chunk);
            self.next_outgoing = self.next_outgoing.wrapping_add(1);
            self.window -= 1;
        }
    }
}
