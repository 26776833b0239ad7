//! What Terraform creates in Azure for this configuration, as one document: topics with their subscriptions and filters,
//! containers with their indexes, and each app with what it receives and sends.
//!
//! The binary, the emulators' configuration and Terraform agree because all three are made from [`app::topology`],
//! [`containers`](super::cosmos::containers) and [`APPS`]; durations are ISO 8601, as azurerm takes them.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    cosmos::containers::{PARTITION_KEY_PATH, filtered, sorted},
    emulator::iso,
};
use crate::{
    app,
    config::Config,
    documents::Container,
    local::host::{FunctionApp, Trigger, app::ServiceBusSource},
    package::{APPS, AppPlan, Sends},
};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// By name.
    pub topics: BTreeMap<String, Topic>,
    /// By name.
    pub containers: BTreeMap<&'static str, Index>,
    /// By name; without `all`, which is for `func start`.
    pub apps: BTreeMap<&'static str, App>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// The app setting that function.json names it by.
    pub setting: &'static str,
    /// `PT0S`: duplicates are not detected.
    pub duplicate_detection_window: String,
    pub default_time_to_live: String,
    /// By name.
    pub subscriptions: BTreeMap<String, Subscription>,
}

/// A subscription and its one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Application properties that a message must have; empty: all messages.
    pub filter: BTreeMap<String, String>,
    pub lock_duration: String,
    pub max_delivery_count: u32,
    pub dead_letter_on_expiration: bool,
}

/// A container's keys and indexes, as paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Index {
    pub partition_key: &'static str,
    pub included: Vec<String>,
    pub composite: Vec<Vec<String>>,
}

/// A Function App.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct App {
    /// By name, with the kind of trigger: `http`, `timer` or `service_bus`.
    pub functions: BTreeMap<String, &'static str>,
    /// Subscriptions that its triggers receive from, as `topic/subscription`.
    pub receives: Vec<String>,
    /// Topics that it publishes to.
    pub sends: Vec<String>,
    /// Subscriptions whose dead letters it lists and replays.
    pub recovers: Vec<String>,
}

/// Describes a configuration and its function folders.
pub fn describe(config: &Config, functions: &FunctionApp) -> Description {
    let topology = app::topology(config);
    let bus = &config.bus;
    let topics: BTreeMap<_, _> = topology.topics.iter().map(|of| (of.name.clone(), topic(config, of))).collect();
    let every: Vec<String> = topology
        .topics
        .iter()
        .flat_map(|topic| topic.subscriptions.iter().map(|of| format!("{}/{}", topic.name, of.name)))
        .collect();
    let apps = APPS.iter().filter(|plan| plan.name != "all").map(|plan| {
        let topics = plan.sends.iter().map(|sends| match sends {
            Sends::Callbacks => bus.callbacks_topic.clone(),
            Sends::Deliveries => bus.deliveries_topic.clone(),
        });
        let recovers = if plan.functions.contains(&"run-replays") { every.clone() } else { Vec::new() };
        (plan.name, App { sends: topics.collect(), recovers, ..triggers(plan, functions) })
    });
    let containers = Container::ALL.into_iter().map(|container| (container.name(), index(container)));
    Description { topics, containers: containers.collect(), apps: apps.collect() }
}

fn topic(config: &Config, topic: &crate::bus::Topic) -> Topic {
    let setting = if topic.name == config.bus.callbacks_topic { "CALLBACKS_TOPIC" } else { "DELIVERIES_TOPIC" };
    let subscription = |of: &crate::bus::Subscription| Subscription {
        filter: of.filter.clone(),
        lock_duration: iso(of.lock_duration),
        max_delivery_count: of.max_delivery_count,
        dead_letter_on_expiration: of.dead_letter_on_expiration,
    };
    Topic {
        setting,
        duplicate_detection_window: iso(topic.duplicate_detection_window),
        default_time_to_live: days(topic.default_time_to_live),
        subscriptions: topic.subscriptions.iter().map(|of| (of.name.clone(), subscription(of))).collect(),
    }
}

/// Azure shows whole days as days, and a plan would show `PT336H` as a change for ever.
fn days(duration: Duration) -> String {
    const DAY: u64 = 86_400;
    match duration.as_secs() {
        seconds if seconds >= DAY && seconds % DAY == 0 => format!("P{}D", seconds / DAY),
        _ => iso(duration),
    }
}

fn index(container: Container) -> Index {
    let body = |field: &&str| format!("/body/{field}");
    let by_key = |first: Option<String>| {
        first.into_iter().chain([PARTITION_KEY_PATH.to_owned(), "/id".to_owned()]).collect::<Vec<_>>()
    };
    let included = [PARTITION_KEY_PATH.to_owned()].into_iter().chain(filtered(container).iter().map(body));
    Index {
        partition_key: PARTITION_KEY_PATH,
        included: included.map(|path| path + "/?").collect(),
        composite: [None]
            .into_iter()
            .chain(sorted(container).iter().map(|field| Some(body(field))))
            .map(by_key)
            .collect(),
    }
}

fn triggers(plan: &AppPlan, functions: &FunctionApp) -> App {
    let mut app = App { functions: BTreeMap::new(), receives: Vec::new(), sends: Vec::new(), recovers: Vec::new() };
    for function in functions.functions.iter().filter(|function| plan.folders().contains(&function.name.as_str())) {
        let kind = match &function.trigger {
            Trigger::Http(_) => "http",
            Trigger::Timer(_) => "timer",
            Trigger::ServiceBus(trigger) => {
                if let ServiceBusSource::Subscription { topic, subscription } = &trigger.source {
                    app.receives.push(format!("{topic}/{subscription}"));
                }
                "service_bus"
            }
            Trigger::Other(_) => continue,
        };
        app.functions.insert(function.name.clone(), kind);
    }
    app.receives.sort_unstable();
    app
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_told_in_days() {
        let told = |seconds| days(Duration::from_secs(seconds));
        assert_eq!((told(1_209_600), told(90_000), told(600)), ("P14D".into(), "PT25H".into(), "PT10M".into()));
    }
}
