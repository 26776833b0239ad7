//! The two kinds of links, and how credit is counted on each.
//!
//! <https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#doc-flow-control>

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::performatives::Flow;

use crate::local::amqp::address::Node;

/// What a sender may have on the way.
pub(super) const CREDIT: u32 = 1000;
/// Answers that wait for a receiver's credit. Beyond them the oldest is dropped: nobody waits for it any more.
const MOST_REPLIES: usize = 64;

#[derive(Debug)]
pub(super) enum Link {
    FromClient(Inbound),
    ToClient(Outbound),
    /// Refused or ended by this side; whatever arrives before the client's own detach is ignored.
    Ended,
}

/// A link on which the client sends.
#[derive(Debug)]
pub(super) struct Inbound {
    pub number: u64,
    pub node: Node,
    /// Deliveries since the link was attached.
    pub delivery_count: u32,
    /// What of [`CREDIT`] is left.
    pub credit: u32,
    /// A delivery of which more frames are to come.
    pub partial: Option<Partial>,
}

#[derive(Debug)]
pub(super) struct Partial {
    pub delivery: u32,
    pub format: u32,
    pub settled: bool,
    pub payload: BytesMut,
}

impl Inbound {
    /// Counts a delivery; `true` once it is time to grant credit again.
    pub fn delivered(&mut self) -> bool {
        self.delivery_count = self.delivery_count.wrapping_add(1);
        // A client that sends beyond its credit (Python's does) is slowed down by its socket instead.
        self.credit = self.credit.saturating_sub(1);
        self.credit <= CREDIT / 2
    }
}

/// A link on which the client receives.
#[derive(Debug)]
pub(super) struct Outbound {
    pub number: u64,
    pub node: Node,
    /// Where the client says that it wants answers sent, on a link of a `$management` node.
    pub target: Option<String>,
    /// Messages leave the broker when they are sent, instead of being locked.
    pub take: bool,
    pub delivery_count: u32,
    pub credit: u32,
    /// The client wants what there is now, and its remaining credit used up.
    pub drain: bool,
    pub receiving: Option<Receiving>,
    pub replies: VecDeque<Bytes>,
}

/// A receive that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Waits for the next message, whenever it comes.
    Waiting,
    /// Takes what there is: its finding nothing ends a drain.
    Draining,
}

impl Outbound {
    /// Takes over what the client grants. `true` if a waiting receive must stop, because it waits for too much or too long.
    pub fn flow(&mut self, flow: &Flow) -> bool {
        let granted = flow.link_credit.unwrap_or(0);
        // What is on its way to the client has used credit that the client has not counted yet.
        let unseen = self.delivery_count.wrapping_sub(flow.delivery_count.unwrap_or(0));
        self.credit = granted.saturating_sub(unseen);
        self.drain = flow.drain;
        self.receiving == Some(Receiving::Waiting) && (self.drain || self.credit == 0)
    }

    /// Counts a delivery.
    pub fn sent(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.credit = self.credit.saturating_sub(1);
    }

    /// Uses the credit up without deliveries.
    pub fn drained(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(self.credit);
        self.credit = 0;
        self.drain = false;
    }

    pub fn push_reply(&mut self, reply: Bytes) {
        if self.replies.len() == MOST_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back(reply);
    }
}
