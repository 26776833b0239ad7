//! Service Bus: can it be reached, are we let in, and is everything there that messages go through.

use std::sync::Arc;

use super::{
    patience::{Patience, STEP, Silence, TOKEN},
    reach,
    report::Steps,
    triggers::Source,
};
use crate::{
    app::topology,
    azure::{
        engine, identity,
        service_bus::{Probe, ServiceBusClient, ServiceBusError},
    },
    clock::SystemClock,
    config::{BusKind, Config, Connection},
};

/// What is looked at on the way of a message.
enum Entity<'a> {
    /// `needed`: something here publishes to it.
    Topic { name: &'a str, needed: bool },
    /// `needed`: a function here receives from it.
    Subscription { topic: &'a str, name: &'a str, needed: bool },
}

impl Entity<'_> {
    fn what(&self) -> String {
        match self {
            Self::Topic { name, .. } => format!("topic {name}"),
            Self::Subscription { topic, name, .. } => format!("subscription {topic}/{name}"),
        }
    }

    /// The role, and the scope that it is needed on.
    fn role(&self) -> String {
        match self {
            Self::Topic { name, .. } => {
                format!("Azure Service Bus Data Sender on the topic (scope <namespace id>/topics/{name})")
            }
            Self::Subscription { topic, name, .. } => format!(
                "Azure Service Bus Data Receiver on the subscription (scope <namespace id>/topics/{topic}/\
                 subscriptions/{name})"
            ),
        }
    }

    fn needed(&self) -> bool {
        match self {
            Self::Topic { needed, .. } | Self::Subscription { needed, .. } => *needed,
        }
    }
}

/// `received`: the subscriptions that functions here receive from.
pub(super) async fn examine(config: &Config, received: &[Source]) -> Steps {
    let mut steps = Steps::of("bus");
    let connection = match &config.service_bus {
        None => return steps,
        Some(Err(missing)) => {
            steps.skip("Service Bus", missing.to_string());
            return steps;
        }
        Some(Ok(connection)) => connection,
    };
    if config.bus.kind == BusKind::ServiceBusHttps {
        // The way that works here is the one not to be examined by; the other one may well be shut.
        steps.skip(
            "Service Bus",
            format!("published to over HTTPS, with {}: there is no way to look without sending", who(connection)),
        );
        return steps;
    }
    let client = match engine::service_bus(connection, Arc::new(SystemClock)) {
        Ok(client) => client,
        Err(error) => {
            steps.skip("Service Bus", error.to_string());
            return steps;
        }
    };
    let endpoint = client.endpoint();
    let transport = if endpoint.tls { "TLS" } else { "plain TCP, an emulator" };
    steps.ok("Service Bus", format!("{endpoint} ({transport}), with {}", who(connection)));

    let patience = Patience::new();
    if let Some(probe) = open(&client, connection, patience, &mut steps).await {
        let topology = topology(config);
        let mut entities = Vec::new();
        for topic in &topology.topics {
            let needed = topic.name == config.bus.callbacks_topic || !config.outbox.destinations.is_empty();
            entities.push(Entity::Topic { name: &topic.name, needed });
            for subscription in &topic.subscriptions {
                let name = &subscription.name;
                let needed = received.iter().any(|source| source.0 == topic.name && source.1 == *name);
                entities.push(Entity::Subscription { topic: &topic.name, name, needed });
            }
        }
        look(&probe, &entities, connection, patience, &mut steps).await;
        probe.close().await;
    } else {
        steps.skip("entities", "topics and subscriptions were not looked at");
    }
    steps
}

pub(super) fn who(connection: &Connection) -> String {
    match connection {
        Connection::Key(_) => "the key of a connection string".to_owned(),
        Connection::Identity { client_id, .. } => identity::describe(client_id.as_deref()),
    }
}

/// A connection, or what is in its way.
async fn open(
    client: &ServiceBusClient,
    connection: &Connection,
    patience: Patience,
    steps: &mut Steps,
) -> Option<Probe> {
    let endpoint = client.endpoint();
    match reach::connect(&endpoint.host, endpoint.port, patience).await {
        Ok(found) => steps.ok("reach", found),
        Err(unreached) => {
            steps.fail("reach", unreached.found, unreached.advice);
            return None;
        }
    }
    if matches!(connection, Connection::Identity { .. }) {
        match patience.wait(TOKEN, client.look_for_token()).await {
            Ok(Ok(())) => steps.ok("token", "Entra ID gives one"),
            failed => {
                let found = failed.map_or_else(|silence| silence.to_string(), |answer| told(answer.err()));
                steps.fail("token", found, no_token());
                return None;
            }
        }
    }
    match patience.wait(STEP, client.probe()).await {
        Ok(Ok(probe)) => {
            steps.ok("AMQP", format!("{endpoint} answers"));
            Some(probe)
        }
        Ok(Err(error)) => {
            steps.fail("AMQP", error.to_string(), "Something else listens there, or TLS is intercepted on the way");
            None
        }
        Err(silence) => {
            let found = format!("{endpoint} takes the connection and then gives {silence}");
            steps.fail(
                "AMQP",
                found,
                "Something else listens there, or Service Bus hangs: correct host and port, or wait",
            );
            None
        }
    }
}

fn told(error: Option<ServiceBusError>) -> String {
    error.map(|error| error.to_string()).unwrap_or_default()
}

pub(super) fn no_token() -> &'static str {
    "In Azure: assign the app its identity, and name a user-assigned one in IDENTITY_CLIENT_ID. On a developer's machine: az \
     login"
}

async fn look(probe: &Probe, entities: &[Entity<'_>], connection: &Connection, patience: Patience, steps: &mut Steps) {
    for (at, entity) in entities.iter().enumerate() {
        let looked = match entity {
            Entity::Topic { name, .. } => patience.wait(STEP, probe.look_at_topic(name)).await,
            Entity::Subscription { topic, name, .. } => {
                patience.wait(STEP, probe.look_at_subscription(topic, name)).await
            }
        };
        let works = match &looked {
            Ok(Ok(())) => true,
            // The connection still works: the broker has answered on it.
            Ok(Err(error)) => matches!(error, ServiceBusError::Denied { .. } | ServiceBusError::NotFound { .. }),
            Err(_) => false,
        };
        tell(entity, looked, connection, steps);
        if !works {
            for entity in &entities[at + 1..] {
                steps.skip(entity.what(), "not looked at: the connection is of no more use");
            }
            return;
        }
    }
}

fn tell(
    entity: &Entity<'_>,
    looked: Result<Result<(), ServiceBusError>, Silence>,
    connection: &Connection,
    steps: &mut Steps,
) {
    let what = entity.what();
    match looked {
        Ok(Ok(())) => match entity {
            Entity::Topic { .. } => steps.ok(what, "we may publish to it; nothing was sent"),
            Entity::Subscription { .. } => steps.ok(what, "we may receive from it; nothing was taken"),
        },
        Ok(Err(ServiceBusError::Denied { problem, .. })) => {
            let advice = match connection {
                Connection::Identity { .. } => {
                    format!("Assign the role {}; it takes up to 10 minutes to become effective", entity.role())
                }
                Connection::Key(_) => "Correct the key, or take a policy with the claims Send and Listen".to_owned(),
            };
            let found = format!("access denied: {problem}");
            if entity.needed() {
                steps.fail(what, found, advice);
            } else {
                // Each app has the roles that its own functions need, and no more.
                steps.warn(what, format!("{found}; nothing here uses it"), format!("For an app that does: {advice}"));
            }
        }
        Ok(Err(ServiceBusError::NotFound { problem, .. })) => {
            let advice = "Create it: terraform apply, or on the emulator the configuration that sluice init-azure \
                          --emulator-config writes; or correct the name under [bus]";
            steps.fail(what, format!("does not exist: {problem}"), advice);
        }
        Ok(Err(error)) => {
            steps.fail(what, error.to_string(), "Ask again; if it stays, look at the namespace's metrics")
        }
        Err(silence) => steps.fail(what, silence.to_string(), "The namespace hangs: wait, and ask again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, doctor::Outcome};

    fn told(entity: &Entity<'_>, connection: &Connection) -> crate::doctor::Step {
        let denied = ServiceBusError::Denied { entity: "e".into(), problem: "no claim Listen".into() };
        let mut steps = Steps::of("bus");
        tell(entity, Ok(Err(denied)), connection, &mut steps);
        steps.steps.remove(0)
    }

    #[test]
    fn a_role_that_is_missing_is_named_with_its_scope() {
        let identity = Connection::Identity { address: "contoso.servicebus.windows.net".into(), client_id: None };
        let step = told(&Entity::Topic { name: "callbacks", needed: true }, &identity);
        let advice = step.advice.unwrap();
        assert_eq!(step.outcome, Outcome::Fail);
        assert!(advice.contains("Azure Service Bus Data Sender on the topic"), "{advice}");
        assert!(advice.contains("<namespace id>/topics/callbacks)"), "{advice}");

        let sms = Entity::Subscription { topic: "callbacks", name: "sms", needed: true };
        let advice = told(&sms, &identity).advice.unwrap();
        assert!(advice.contains("Azure Service Bus Data Receiver on the subscription"), "{advice}");
        assert!(advice.contains("<namespace id>/topics/callbacks/subscriptions/sms)"), "{advice}");

        let advice = told(&sms, &Connection::Key(Secret::new("k"))).advice.unwrap();
        assert!(advice.contains("claims Send and Listen") && !advice.contains("role"), "{advice}");
    }

    #[test]
    fn a_subscription_that_only_other_apps_receive_from_may_be_denied() {
        let identity = Connection::Identity { address: "contoso.servicebus.windows.net".into(), client_id: None };
        let email = Entity::Subscription { topic: "callbacks", name: "email", needed: false };
        let step = told(&email, &identity);
        assert_eq!(step.outcome, Outcome::Warn);
        assert!(step.found.contains("nothing here uses it"), "{}", step.found);
    }
}
