//! What clients receive: messages as far as their credit reaches, and the answers to requests.

use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp_types::definitions::Error;
use uuid::Uuid;

use super::{
    Session,
    link::{Link, Outbound, Receiving},
};
use crate::local::{
    amqp::{
        address::Node,
        message::{self, Delivery},
        output::Output,
        sections::{self, field, text},
        work::{Held, LinkId, Verdict, Work},
    },
    broker::Received,
};

/// Messages that one receive locks. They are in memory until they are sent.
const MOST_AT_ONCE: usize = 64;
/// Messages that one session may hold without settling them.
const MOST_UNSETTLED: usize = 5000;
const UNTIL_SOMETHING_COMES: Duration = Duration::from_secs(3600);

impl Session {
    /// Starts to receive on every link that has credit, once what was received before is sent.
    pub fn receive(&mut self, out: &mut Output) {
        if !self.sending.is_idle() {
            return;
        }
        let room = MOST_UNSETTLED.saturating_sub(self.unsettled.len());
        let mut drained = Vec::new();
        for (handle, link) in &mut self.links {
            let Link::ToClient(link) = link else { continue };
            let Node::Subscription(entity) = &link.node else { continue };
            let max = usize::try_from(link.credit).unwrap_or(usize::MAX).min(MOST_AT_ONCE).min(room);
            if link.receiving.is_some() {
                continue;
            }
            if max == 0 {
                if link.drain {
                    drained.push(*handle);
                }
                continue;
            }
            let (receiving, wait) = match link.drain {
                true => (Receiving::Draining, Duration::ZERO),
                false => (Receiving::Waiting, UNTIL_SOMETHING_COMES),
            };
            link.receiving = Some(receiving);
            let to = LinkId { channel: self.channel, handle: *handle, number: link.number };
            out.work.push(Work::Receive { to, entity: entity.clone(), max, wait });
        }
        for handle in drained {
            self.drained(handle, out);
        }
    }

    /// A receive came back.
    pub fn received(&mut self, to: LinkId, result: Result<Vec<(Uuid, Received)>, Error>, out: &mut Output) {
        let Some(Link::ToClient(link)) = self.link(to) else {
            // Nobody is there any more.
            return give_back(result.unwrap_or_default(), out);
        };
        let (receiving, credit, take) = (link.receiving.take(), link.credit, link.take);
        let mut messages = match result {
            Ok(messages) => messages,
            Err(error) => return self.refuse_link(to.handle, error, out),
        };
        let Node::Subscription(entity) = link.node.clone() else {
            return give_back(messages, out);
        };
        if messages.is_empty() && receiving == Some(Receiving::Draining) {
            self.drained(to.handle, out);
        }
        // The client may have taken credit back meanwhile.
        let beyond = messages.split_off(messages.len().min(usize::try_from(credit).unwrap_or(usize::MAX)));
        give_back(beyond, out);
        let mut taken = Vec::new();
        for (token, received) in messages {
            let payload = message::encode(&received, &entity, Delivery::Received);
            let id = self.sending.push(to.handle, token.to_bytes_le(), take, payload);
            let held = Held { token, lock: received.lock };
            if take {
                taken.push((id, held));
            } else {
                self.unsettled.insert(id, (to.handle, held));
            }
            if let Some(Link::ToClient(link)) = self.links.get_mut(&to.handle) {
                link.sent();
            }
        }
        self.sending.pump(self.channel, out);
        if !taken.is_empty() {
            let (channel, verdict) = (self.channel, Verdict::Complete);
            out.work.push(Work::Settle { channel, deliveries: taken, verdict, outcome: None });
        }
    }

    /// Ends a drain.
    fn drained(&mut self, handle: u32, out: &mut Output) {
        if let Some(Link::ToClient(link)) = self.links.get_mut(&handle) {
            link.drained();
            self.tell_link(handle, true, out);
        }
    }

    /// The link on which a client waits for answers about `node`: the one whose target the request names, else any (on
    /// `$cbs` Python's client names none).
    pub(super) fn reply_link(&self, node: &Node, request: &Bytes) -> Option<LinkId> {
        let properties = sections::split(request).ok()?.into_iter().find(|(kind, _)| *kind == sections::PROPERTIES);
        let properties = properties.and_then(|(_, section)| sections::read(&section).ok()).unwrap_or_default();
        let reply_to = text(field(&properties, 4));
        let candidates = self.links.iter().filter_map(|(handle, link)| match link {
            Link::ToClient(link) if link.node == *node => Some((*handle, link)),
            _ => None,
        });
        let is_named = |link: &Outbound| reply_to.is_some() && link.target.as_deref() == reply_to;
        let (handle, link) = candidates.max_by_key(|(_, link)| (is_named(link), link.number))?;
        Some(LinkId { channel: self.channel, handle, number: link.number })
    }

    /// An answer is ready.
    pub fn reply(&mut self, to: LinkId, reply: Bytes, out: &mut Output) {
        if let Some(Link::ToClient(link)) = self.link(to) {
            link.push_reply(reply);
            self.send_replies(to.handle, out);
            self.sending.pump(self.channel, out);
        }
    }

    /// Sends what answers the credit allows.
    pub(super) fn send_replies(&mut self, handle: u32, out: &mut Output) {
        let Some(Link::ToClient(link)) = self.links.get_mut(&handle) else {
            return;
        };
        while link.credit > 0
            && let Some(reply) = link.replies.pop_front()
        {
            link.sent();
            // Settled from the start: Python's client never settles the answers of `$cbs`.
            self.sending.push(handle, Uuid::new_v4().to_bytes_le(), true, reply);
        }
        if link.drain && !matches!(link.node, Node::Subscription(_)) {
            self.drained(handle, out);
        }
    }
}

/// Puts received messages back that no client gets.
pub(in crate::local::amqp) fn give_back(messages: Vec<(Uuid, Received)>, out: &mut Output) {
    if !messages.is_empty() {
        let held = messages.into_iter().map(|(token, received)| Held { token, lock: received.lock }).collect();
        out.work.push(Work::Release { held });
    }
}
