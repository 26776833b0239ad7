//! The topology as the broker uses it: which queues a message goes to, and by which rules a queue lives.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use super::{schema::Numbers, types::Entity};
use crate::bus::{Properties, Topology};

/// Rules for what a subscription that is no longer in the topology still holds: Service Bus's defaults.
const LEFTOVER_LOCK: Duration = Duration::from_secs(60);
const LEFTOVER_DELIVERIES: u32 = 10;

/// A subscription or dead-letter sub-queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub id: i64,
    pub entity: Entity,
    /// The queue of this one's dead letters; a dead-letter sub-queue names itself.
    pub dead_letters: i64,
    /// In microseconds.
    pub lock_duration: i64,
    pub max_delivery_count: u32,
    pub dead_letter_on_expiration: bool,
    /// Told when there may be something new to receive.
    pub ready: Notify,
}

impl Queue {
    /// The limits on deliveries and age do not hold for dead letters: those wait for a person.
    pub fn is_dead_letter(&self) -> bool {
        self.entity.dead_letter
    }
}

#[derive(Debug)]
pub(super) struct TopicRoute {
    pub id: i64,
    /// In microseconds; 0 detects no duplicates.
    pub window: i64,
    /// In microseconds; `None` keeps messages for ever.
    pub default_time_to_live: Option<i64>,
    subscriptions: Vec<(BTreeMap<String, String>, Arc<Queue>)>,
}

impl TopicRoute {
    /// The subscriptions' queues, in the topology's order.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.subscriptions.iter().map(|(_, queue)| &**queue)
    }

    /// The queues whose filter the properties match.
    pub fn matching(&self, properties: &Properties) -> Vec<Arc<Queue>> {
        self.subscriptions
            .iter()
            .filter(|(filter, _)| {
                filter.iter().all(|(name, text)| {
                    properties.get(name.as_str()).and_then(|property| property.as_str()) == Some(text)
                })
            })
            .map(|(_, queue)| Arc::clone(queue))
            .collect()
    }
}

/// All topics and queues. Fixed while the broker is open.
#[derive(Debug)]
pub(super) struct Routes {
    topics: HashMap<String, Arc<TopicRoute>>,
    queues: HashMap<Entity, Arc<Queue>>,
    by_id: HashMap<i64, Arc<Queue>>,
}

impl Routes {
    pub fn new(topology: &Topology, numbers: Numbers) -> Self {
        let ids: HashMap<Entity, i64> = numbers.entities.into_iter().map(|(id, entity)| (entity, id)).collect();
        let queues: HashMap<_, _> =
            ids.iter().map(|(entity, id)| (entity.clone(), Arc::new(queue(topology, &ids, entity, *id)))).collect();
        let by_id = queues.values().map(|queue| (queue.id, Arc::clone(queue))).collect();
        let topics = topology
            .topics
            .iter()
            .map(|topic| {
                let subscriptions = topic.subscriptions.iter().filter_map(|subscription| {
                    let queue = queues.get(&Entity::subscription(&topic.name, &subscription.name))?;
                    Some((subscription.filter.clone(), Arc::clone(queue)))
                });
                let route = TopicRoute {
                    id: numbers.topics[&topic.name],
                    window: micros(topic.duplicate_detection_window).unwrap_or(i64::MAX),
                    default_time_to_live: micros(topic.default_time_to_live),
                    subscriptions: subscriptions.collect(),
                };
                (topic.name.clone(), Arc::new(route))
            })
            .collect();
        Self { topics, queues, by_id }
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<TopicRoute>> {
        self.topics.get(name)
    }

    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicRoute>> {
        self.topics.values()
    }

    pub fn queue(&self, entity: &Entity) -> Option<&Arc<Queue>> {
        self.queues.get(entity)
    }

    pub fn queue_by_id(&self, id: i64) -> Option<&Arc<Queue>> {
        self.by_id.get(&id)
    }
}

fn queue(topology: &Topology, ids: &HashMap<Entity, i64>, entity: &Entity, id: i64) -> Queue {
    let rules = topology
        .topics
        .iter()
        .filter(|topic| topic.name == entity.topic)
        .flat_map(|topic| &topic.subscriptions)
        .find(|subscription| subscription.name == entity.subscription);
    Queue {
        id,
        entity: entity.clone(),
        dead_letters: ids.get(&entity.dead_letters()).copied().unwrap_or(id),
        lock_duration: micros(rules.map_or(LEFTOVER_LOCK, |rules| rules.lock_duration)).unwrap_or(i64::MAX / 2),
        max_delivery_count: rules.map_or(LEFTOVER_DELIVERIES, |rules| rules.max_delivery_count).max(1),
        dead_letter_on_expiration: rules.is_none_or(|rules| rules.dead_letter_on_expiration),
        ready: Notify::new(),
    }
}

/// Microseconds, or `None` for a duration that is as good as endless.
pub(super) fn micros(duration: Duration) -> Option<i64> {
    // The half keeps sums with a time of day from overflowing.
    i64::try_from(duration.as_micros()).ok().filter(|micros| *micros < i64::MAX / 2)
}
