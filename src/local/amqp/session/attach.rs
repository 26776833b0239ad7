//! Attaching links.

use std::collections::VecDeque;

use fe2o3_amqp_types::{
    definitions::{Error, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::TargetArchetype,
    performatives::{Attach, Performative},
};
use serde_amqp::primitives::Symbol;

use super::{
    MOST_LINKS, Session,
    link::{CREDIT, Inbound, Link, Outbound},
    transfer::MAX_MESSAGE,
};
use crate::local::{
    amqp::{address::Node, condition, output::Output},
    broker::Broker,
};

impl Session {
    /// Opens a link, or refuses it in AMQP's way: an attach without the terminus, and a detach that says why.
    ///
    /// # Errors
    /// The client broke the protocol: the session must end.
    pub fn attach(&mut self, attach: Attach, broker: &Broker, out: &mut Output) -> Result<(), Error> {
        let handle = attach.handle.0;
        // A client that was refused may use the handle again without a detach of its own (fe2o3-amqp's does).
        let in_use = matches!(self.links.get(&handle), Some(Link::FromClient(_) | Link::ToClient(_)));
        if handle >= MOST_LINKS || in_use {
            return Err(condition::not_allowed(format!("A link cannot be attached with handle {handle}.")));
        }
        let address = match (&attach.role, &attach.source, attach.target.as_deref()) {
            (Role::Sender, _, Some(TargetArchetype::Target(target))) => target.address.clone(),
            (Role::Receiver, Some(source), _) => source.address.clone(),
            _ => None,
        }
        .unwrap_or_default();
        let node = Node::parse(&address);
        if let Err(error) = check(&attach, &node, &address, broker) {
            self.answer(&attach, false, out);
            self.refuse_link(handle, error, out);
            return Ok(());
        }
        self.answer(&attach, true, out);
        let number = out.next_link();
        match attach.role {
            Role::Sender => {
                let delivery_count = attach.initial_delivery_count.unwrap_or(0);
                let link = Inbound { number, node, delivery_count, credit: CREDIT, partial: None };
                self.links.insert(handle, Link::FromClient(link));
                self.grant(handle, out);
            }
            Role::Receiver => {
                let link = Outbound {
                    number,
                    node,
                    target: target_address(&attach),
                    take: attach.snd_settle_mode == SenderSettleMode::Settled,
                    delivery_count: 0,
                    credit: 0,
                    drain: false,
                    receiving: None,
                    replies: VecDeque::new(),
                };
                self.links.insert(handle, Link::ToClient(link));
            }
        }
        Ok(())
    }

    /// Answers an attach with the client's own terms, as far as this side decides nothing else.
    fn answer(&self, attach: &Attach, accepted: bool, out: &mut Output) {
        let client_sends = attach.role == Role::Sender;
        let answer = Attach {
            role: if client_sends { Role::Receiver } else { Role::Sender },
            // What a client sends is settled in one step, whatever it asked for (Python's asks for two).
            rcv_settle_mode: match client_sends {
                true => ReceiverSettleMode::First,
                false => attach.rcv_settle_mode.clone(),
            },
            source: attach.source.clone().filter(|_| accepted || client_sends),
            target: attach.target.clone().filter(|_| accepted || !client_sends),
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: (!client_sends).then_some(0),
            max_message_size: client_sends.then_some(MAX_MESSAGE as u64),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
            ..attach.clone()
        };
        out.frame(self.channel, &Performative::Attach(answer));
    }
}

fn target_address(attach: &Attach) -> Option<String> {
    match attach.target.as_deref() {
        Some(TargetArchetype::Target(target)) => target.address.clone(),
        _ => None,
    }
}

/// Whether the link can be had.
fn check(attach: &Attach, node: &Node, address: &str, broker: &Broker) -> Result<(), Error> {
    if !node.exists(broker) {
        return Err(condition::not_found(address));
    }
    let session_filter = Symbol::from("com.microsoft:session-filter");
    let filters = attach.source.as_ref().and_then(|source| source.filter.as_ref());
    if filters.is_some_and(|filters| filters.contains_key(&session_filter)) {
        return Err(condition::not_implemented("There are no sessions here."));
    }
    match (node, &attach.role) {
        (Node::Topic(_), Role::Receiver) => Err(condition::not_allowed(format!(
            "Messages are received from the subscriptions of {address}, not from it."
        ))),
        (Node::Subscription(_), Role::Sender) => {
            Err(condition::not_allowed(format!("Messages are sent to the topic, not to {address}.")))
        }
        _ => Ok(()),
    }
}
