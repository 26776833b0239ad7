//! What the Functions host needs beside this program: the connections that bindings name, and triggers that listen where
//! this program publishes.

use super::report::Steps;
use crate::{
    app::topology,
    config::{Config, Environment},
    local::host::{FunctionApp, Trigger, app::ServiceBusSource},
};

/// The host's own storage: locks of timers, keys.
const HOST_STORAGE: &str = "AzureWebJobsStorage";
/// What follows a connection's name in an identity-based connection, in the extensions of the bundle:
/// <https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection>.
const ADDRESSES: &[&str] = &[
    "__fullyQualifiedNamespace",
    "__accountEndpoint",
    "__accountName",
    "__serviceUri",
    "__blobServiceUri",
    "__queueServiceUri",
    "__tableServiceUri",
];

/// A subscription that a function here receives from: topic and name.
pub(super) type Source = (String, String);

/// The subscriptions that functions here receive from.
pub(super) fn sources(app: &FunctionApp) -> Vec<Source> {
    let triggers = app.functions.iter().filter_map(|function| match &function.trigger {
        Trigger::ServiceBus(trigger) => match &trigger.source {
            ServiceBusSource::Subscription { topic, subscription } => Some((topic.clone(), subscription.clone())),
            ServiceBusSource::Queue(_) => None,
        },
        _ => None,
    });
    triggers.collect()
}

pub(super) fn examine(config: &Config, app: &FunctionApp, environment: Environment) -> Steps {
    let mut steps = Steps::of("triggers");
    if config.service_bus.is_none() {
        steps.skip("connections", "the embedded bus needs none: the one-machine system is its own Functions host");
        return steps;
    }
    let mut named = vec![(HOST_STORAGE.to_owned(), vec!["the host itself"])];
    for function in &app.functions {
        let trigger = match &function.trigger {
            Trigger::ServiceBus(trigger) => Some(&trigger.connection),
            _ => None,
        };
        for connection in function.connections.iter().chain(trigger) {
            match named.iter_mut().find(|(known, _)| known == connection) {
                Some((_, users)) if users.contains(&function.name.as_str()) => {}
                Some((_, users)) => users.push(&function.name),
                None => named.push((connection.clone(), vec![&function.name])),
            }
        }
    }
    for (connection, users) in named {
        let users = users.join(", ");
        match setting(&connection, environment) {
            Some(variable) => steps.ok(connection, format!("{variable} is set; for {users}")),
            None => {
                let found = format!(
                    "no setting of this environment resolves it, or its Key Vault reference is unresolved; for {users}"
                );
                let advice = if connection == HOST_STORAGE {
                    "The host keeps its timers' locks and its keys there: set AzureWebJobsStorage__accountName, or \
                     AzureWebJobsStorage to UseDevelopmentStorage=true (Azurite)"
                        .to_owned()
                } else {
                    format!(
                        "Set {connection}__fullyQualifiedNamespace (or __accountName, __accountEndpoint: what the service \
                     calls it), or {connection} to a connection string"
                    )
                };
                steps.fail(connection, found, advice);
            }
        }
    }
    let topology = topology(config);
    for (topic, subscription) in sources(app) {
        let known = topology.topics.iter().find(|known| known.name == topic);
        if !known.is_some_and(|topic| topic.subscriptions.iter().any(|known| known.name == subscription)) {
            let found =
                format!("a trigger listens to {topic}/{subscription}, where this configuration publishes nothing");
            let advice = "Set CALLBACKS_TOPIC and DELIVERIES_TOPIC to what [bus] of sluice.toml says";
            steps.fail("subscription", found, advice);
        }
    }
    steps
}

/// The variable that resolves a connection, as the host looks it up.
fn setting(connection: &str, environment: Environment) -> Option<String> {
    // A reference that Key Vault refused is left as it is: no connection.
    let usable = |value: String| !value.trim().is_empty() && !value.starts_with("@Microsoft.KeyVault(");
    let set = |name: &String| environment(name).is_some_and(usable);
    let names =
        [connection.to_owned(), format!("AzureWebJobs{connection}"), format!("ConnectionStrings__{connection}")];
    let addresses = names[..2].iter().flat_map(|name| ADDRESSES.iter().map(move |address| format!("{name}{address}")));
    names.iter().cloned().chain(addresses).find(set)
}
