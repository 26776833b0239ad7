//! The host: everything that a function app needs, started and stopped together.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tracing::{error, info, warn};

use super::{
    app::{AuthLevel, Function, FunctionApp, ServiceBusSource, Trigger},
    forward::Forwarder,
    give_way::{GiveWay, Work},
    handler::Handler,
    invoke::{InvocationIds, Invoker},
    outputs::Outputs,
    route::Routes,
    service_bus::ServiceBusLoop,
    subscriptions::Subscriptions,
    timer::TimerLoop,
};
use crate::{
    clock::SharedClock,
    config::Config,
    host::{FunctionKey, value::DataType},
    listener::Listener,
    local::tables::Tables,
    pressure::Pressure,
};

/// Limits of the host.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// How long a request's headers may take; a connection idle for as long is closed.
    pub header_timeout: Duration,
    /// How long a request's body may take, from the first time that it is waited for.
    pub body_timeout: Duration,
    /// More clients than this get one request each; more than twice as many wait until a connection ends.
    pub max_connections: usize,
    /// How long the broker keeps a batch locked.
    pub lock_duration: Duration,
    /// How long requests and batches at hand get to finish when the host stops.
    pub drain_deadline: Duration,
    /// Whether `GET /` answers with a page (200) or with nothing (204).
    pub has_home_page: bool,
    /// What requests to functions with `authLevel` `function` must bring.
    pub function_key: FunctionKey,
    /// What the HTTP functions have under way: while it is high, other triggers give way. Without it they do not.
    pub pressure: Option<Arc<Pressure>>,
    /// Functions on Service Bus triggers that can wait longer than others; timers can anyway.
    pub background: &'static [&'static str],
    /// Answers `GET /metrics` to whoever brings the function key; without it there is no such page.
    pub metrics: Option<Handler>,
    /// Where the rows of `sql` outputs go; without it no function may have such an output.
    pub tables: Option<Tables>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(5),
            max_connections: 1024,
            lock_duration: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(10),
            has_home_page: true,
            function_key: FunctionKey::new(None),
            pressure: None,
            background: &[],
            metrics: None,
            tables: None,
        }
    }
}

impl From<&Config> for HostOptions {
    fn from(config: &Config) -> Self {
        Self {
            body_timeout: config.ingest.body_timeout,
            lock_duration: config.bus.lock_duration,
            function_key: FunctionKey::new(config.admin_key()),
            ..Self::default()
        }
    }
}

/// A function that Azure could run and this host cannot. Better not to start than to run it differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the one-machine host cannot run the function `{function}`: {problem}")]
pub struct Unsupported {
    pub function: String,
    pub problem: String,
}

/// A host that is ready to run.
pub struct OneMachineHost<S> {
    listener: Listener<Forwarder>,
    service_bus: Vec<ServiceBusLoop<S>>,
    timers: Vec<TimerLoop>,
    drain_deadline: Duration,
}

impl<S: Subscriptions> OneMachineHost<S> {
    /// Prepares the functions of `app`. The handler is what answers the Functions host in Azure, too.
    ///
    /// # Errors
    /// A function needs what only Azure has.
    pub fn new(
        app: FunctionApp,
        handler: impl Into<Handler>,
        subscriptions: Arc<S>,
        listener: TcpListener,
        options: &HostOptions,
        clock: &SharedClock,
    ) -> Result<Self, Unsupported> {
        let handler = handler.into();
        let ids = Arc::new(InvocationIds::new());
        let mut routes = Routes::default();
        let mut keyed = Vec::new();
        let mut service_bus = Vec::new();
        let mut timers = Vec::new();
        for function in app.functions {
            let outputs = check(&function, options.tables.as_ref())
                .map_err(|problem| Unsupported { function: function.name.clone(), problem })?;
            let invoker = Invoker::new(handler.clone(), &function.name, outputs, app.host.function_timeout);
            let (ids, clock, binding) = (ids.clone(), clock.clone(), function.binding);
            let can_wait = options.background.contains(&function.name.as_str());
            let give_way = |work| GiveWay::new(work, options.pressure.clone());
            match function.trigger {
                Trigger::Http(trigger) => {
                    routes.push(trigger.route, trigger.methods);
                    keyed.push(trigger.auth_level != AuthLevel::Anonymous);
                }
                Trigger::Timer(trigger) => {
                    let give_way = give_way(Work::Background);
                    timers.push(TimerLoop { invoker, binding, trigger, ids, clock, give_way });
                }
                Trigger::ServiceBus(trigger) => {
                    if let (ServiceBusSource::Subscription { topic, subscription }, Some(data_type)) =
                        (trigger.source, trigger.data_type)
                    {
                        service_bus.push(ServiceBusLoop {
                            invoker,
                            binding,
                            topic,
                            subscription,
                            max_batch: trigger.max_batch,
                            data_type,
                            lock_duration: options.lock_duration,
                            subscriptions: subscriptions.clone(),
                            ids,
                            clock,
                            give_way: give_way(if can_wait { Work::Background } else { Work::Processing }),
                        });
                    }
                }
                Trigger::Other(_) => {}
            }
        }
        let forwarder = Forwarder {
            routes,
            keyed,
            key: options.function_key.clone(),
            handler,
            ids,
            body_timeout: options.body_timeout,
            has_home_page: options.has_home_page,
            metrics: options.metrics.clone(),
        };
        let listener = Listener {
            listener,
            answer: forwarder,
            header_timeout: Some(options.header_timeout),
            max_connections: options.max_connections,
        };
        Ok(Self { listener, service_bus, timers, drain_deadline: options.drain_deadline })
    }

    /// Runs until `shutdown`. Then nothing new is taken, and what is at hand gets until the deadline to finish; after it,
    /// batches are left to their locks and connections are cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stopping, stop) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.listener.run(stop.clone()));
        for service_bus in self.service_bus {
            tasks.spawn(service_bus.run(stop.clone()));
        }
        for timer in self.timers {
            tasks.spawn(timer.run(stop.clone()));
        }
        shutdown.await;
        info!("stopping: finishing what is at hand");
        // Every receiver may be gone already, which is as good as having been told.
        let _ = stopping.send(true);
        let drained = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    error!(%error, "a task of the host failed");
                }
            }
        };
        if tokio::time::timeout(self.drain_deadline, drained).await.is_err() {
            warn!(deadline = ?self.drain_deadline, "not everything finished in time: the rest is delivered again");
        }
    }
}

/// What this host does not do; and where the function's outputs go.
fn check(function: &Function, tables: Option<&Tables>) -> Result<Outputs, String> {
    let unsupported = |problem: &str| Err(problem.to_owned());
    match &function.trigger {
        Trigger::Http(trigger) if !trigger.forwarded => {
            return unsupported(
                "it forwards requests only: one httpTrigger, one http output, and forwarding on in host.json",
            );
        }
        // To take a function's key for it would open what its author locked better.
        Trigger::Http(trigger) if trigger.auth_level == AuthLevel::Admin => {
            return unsupported("it has no master key: `authLevel` must be anonymous or function");
        }
        // Its one output is the response.
        Trigger::Http(_) => return Ok(Outputs::default()),
        Trigger::ServiceBus(trigger) => {
            if matches!(trigger.source, ServiceBusSource::Queue(_)) {
                return unsupported("it has topics and subscriptions, no queues");
            }
            if !trigger.auto_complete {
                return unsupported("with `autoCompleteMessages` off nobody would ever complete a message");
            }
            if trigger.data_type.is_none() {
                return unsupported("without a `dataType` bodies would be parsed and reformatted: use binary");
            }
            if trigger.max_batch.is_none() && trigger.data_type == Some(DataType::Text) {
                return unsupported(
                    "with one message at a time `dataType` must be binary, or its body leaks into Metadata",
                );
            }
        }
        Trigger::Timer(_) => {}
        Trigger::Other(kind) => return Err(format!("it has no source for the trigger type `{kind}`")),
    }
    Outputs::of(function, tables)
}
