//! Addresses of nodes, in the forms that clients write them.

use crate::local::broker::{Broker, Entity};

/// What a link can be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Where clients put their tokens.
    Cbs,
    /// Messages can be sent to it.
    Topic(String),
    /// Messages can be received from it.
    Subscription(Entity),
    /// Requests about a topic or a subscription.
    Management(Box<Node>),
    /// Queues, and whatever else has no place here.
    Unknown,
}

impl Node {
    /// Reads `callbacks`, `callbacks/Subscriptions/sms`, `callbacks/Subscriptions/sms/$DeadLetterQueue`, each with
    /// `/$management` or without, and `$cbs`; as a path or as a URI of any scheme and host.
    pub fn parse(address: &str) -> Self {
        let path = match address.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => address,
        };
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            [cbs] if cbs.eq_ignore_ascii_case("$cbs") => Node::Cbs,
            [entity @ .., last] if last.eq_ignore_ascii_case("$management") => {
                Node::Management(Box::new(Self::entity(entity)))
            }
            entity => Self::entity(entity),
        }
    }

    fn entity(segments: &[&str]) -> Self {
        match segments {
            [topic] if !topic.starts_with('$') => Node::Topic((*topic).to_owned()),
            [topic, word, name] if word.eq_ignore_ascii_case("subscriptions") => {
                Node::Subscription(Entity::subscription(*topic, *name))
            }
            [topic, word, name, queue]
                if word.eq_ignore_ascii_case("subscriptions") && queue.eq_ignore_ascii_case("$deadletterqueue") =>
            {
                Node::Subscription(Entity::subscription(*topic, *name).dead_letters())
            }
            _ => Node::Unknown,
        }
    }

    /// Whether the broker has it.
    pub fn exists(&self, broker: &Broker) -> bool {
        match self {
            Node::Cbs => true,
            Node::Topic(name) => broker.has_topic(name),
            Node::Subscription(entity) => broker.has_entity(entity),
            Node::Management(about) => about.exists(broker),
            Node::Unknown => false,
        }
    }
}

/// The address of a subscription or its dead letters, as Service Bus writes it.
pub(super) fn path(entity: &Entity) -> String {
    let Entity { topic, subscription, dead_letter } = entity;
    format!("{topic}/Subscriptions/{subscription}{}", if *dead_letter { "/$DeadLetterQueue" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{Entity, Node};

    #[test]
    fn addresses_are_read_as_each_sdk_writes_them() {
        let sms = || Entity::subscription("callbacks", "sms");
        for (address, node) in [
            ("$cbs", Node::Cbs),
            ("callbacks", Node::Topic("callbacks".into())),
            ("amqps://127.0.0.1/callbacks", Node::Topic("callbacks".into())),
            ("sb://127.0.0.1:5672/callbacks/", Node::Topic("callbacks".into())),
            ("callbacks/Subscriptions/sms", Node::Subscription(sms())),
            ("/callbacks/subscriptions/sms/$deadletterqueue", Node::Subscription(sms().dead_letters())),
            ("callbacks/Subscriptions/sms/$management", Node::Management(Box::new(Node::Subscription(sms())))),
            ("callbacks/$management", Node::Management(Box::new(Node::Topic("callbacks".into())))),
            ("$management", Node::Management(Box::new(Node::Unknown))),
            ("callbacks/sms", Node::Unknown),
            ("amqps://127.0.0.1", Node::Unknown),
            ("", Node::Unknown),
        ] {
            assert_eq!(Node::parse(address), node, "{address}");
        }
    }
}
