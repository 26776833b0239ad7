//! The courier: takes messages of the deliveries topic to their partners.
//!
//! A batch ends within [`BUDGET`], because the next one, with other partners' events, waits for it, and its messages' locks
//! are not renewed. A delivery that finds no room in that time and a request that is still under way go on in the
//! background ([`background`]); a retry record stands in for them, due when they must have ended. Whatever is killed,
//! either the record or the broker still has the message. A partner may therefore see an event twice, always under one
//! `webhook-id`.

mod background;
mod conclude;
mod keep;
mod spans;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::Instant};

use self::background::ended;
use super::{
    Breakers, Partner, Partners,
    attempt::{self, Prepared},
    breakers::Admission,
    client::{Client, Exchange},
    keys::Keys,
    limits::{Limits, Pass},
    partner::State,
    partners::Known,
    record::{self, DeliveryRecord},
    registry::Registry,
    wire::{Announced, Content},
};
use crate::{
    clock::{SharedClock, Timestamp, millis},
    config::{self, Config, Secret},
    documents::{Container, Document, SharedDocuments},
    retry::{NotKept, Retries, records::StoredMessage},
    telemetry::{Meter, PROPERTY, Span, Tracing},
};

/// How long a batch takes, but for the store.
const BUDGET: Duration = Duration::from_secs(1);
/// When a request that was handed over counts as lost: so long after it must have ended.
const MARGIN: Duration = Duration::from_secs(30);
/// When what is missing on this side is looked for again.
const OUR_FAULT: Duration = Duration::from_secs(60);
/// When a store that does not answer is asked again.
const STORE_AWAY: Duration = Duration::from_secs(10);

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    pub delivered: usize,
    /// Tried, and to be tried again.
    pub failed: usize,
    pub parked: usize,
    /// Not tried now.
    pub put_off: usize,
    /// Under way when the batch ended.
    pub handed_over: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    Failed,
    Parked,
    PutOff,
    HandedOver,
}

/// What the courier works with.
#[derive(Debug)]
pub struct Courier {
    pub clock: SharedClock,
    pub documents: SharedDocuments,
    pub retries: Retries,
    pub registry: Registry,
    pub keys: Option<Keys>,
    pub meter: Arc<Meter>,
    pub tracing: Tracing,
    pub client: Client,
    topic: String,
    messaging_system: &'static str,
    settings: config::Delivery,
    demo_secrets: BTreeMap<String, Secret>,
    limits: Limits,
}

/// A delivery that nothing speaks against, but for room.
#[derive(Debug)]
struct Ready {
    partner: Arc<Partner>,
    message: StoredMessage,
    body: Bytes,
    /// The record before any attempt.
    first: DeliveryRecord,
    found: Option<Document>,
    span: Span,
}

/// A delivery that must wait after all.
struct Later {
    message: StoredMessage,
    due_at: Timestamp,
    why: String,
}

/// A delivery that a request is sent for.
#[derive(Debug)]
struct Errand {
    partner: Arc<Partner>,
    message: StoredMessage,
    /// The record before any attempt.
    first: DeliveryRecord,
    found: Option<Document>,
    admission: Admission,
    pass: Pass,
    started_at: Timestamp,
    /// Of the request, within that of the delivery.
    request: Span,
    _span: Span,
}

impl Courier {
    pub fn new(
        config: &Config,
        (clock, documents): (SharedClock, SharedDocuments),
        retries: Retries,
        (partners, breakers): (Arc<Partners>, Arc<Breakers>),
        (meter, tracing): (Arc<Meter>, Tracing),
    ) -> Self {
        let registry = Registry { documents: documents.clone(), clock: clock.clone(), partners, breakers };
        let key = config.delivery.key.as_ref().and_then(|key| key.as_ref().ok());
        Self {
            clock,
            documents,
            retries,
            registry,
            keys: key.cloned().map(Keys::new),
            meter,
            tracing,
            client: Client::default(),
            topic: config.bus.deliveries_topic.clone(),
            messaging_system: config.messaging_system(),
            settings: config.delivery.clone(),
            demo_secrets: config.demo_secrets.clone(),
            limits: Limits::default(),
        }
    }

    /// Takes a batch to its partners, all of it at once. `batch` is the span around it.
    ///
    /// # Errors
    /// A message could be kept nowhere: the whole batch must be delivered again.
    pub async fn carry(
        self: &Arc<Self>,
        messages: Vec<(StoredMessage, Bytes)>,
        batch: &Span,
    ) -> Result<Carried, NotKept> {
        let deadline = Instant::now() + BUDGET;
        let errands = messages.into_iter().map(|(message, body)| {
            let span = spans::of_message(self, &message, batch);
            self.carry_one(message, body, deadline, span)
        });
        let mut carried = Carried::default();
        for fate in join_all(errands).await {
            match fate? {
                Fate::Delivered => carried.delivered += 1,
                Fate::Failed => carried.failed += 1,
                Fate::Parked => carried.parked += 1,
                Fate::PutOff => carried.put_off += 1,
                Fate::HandedOver => carried.handed_over += 1,
            }
        }
        Ok(carried)
    }

    async fn carry_one(
        self: &Arc<Self>,
        message: StoredMessage,
        body: Bytes,
        deadline: Instant,
        span: Span,
    ) -> Result<Fate, NotKept> {
        let now = self.clock.now();
        let Some(name) = message.partner() else {
            return self.park(message, "the message names no partner".into()).await;
        };
        let announced = match Announced::read(&body) {
            Ok(announced) => announced,
            Err(error) => return self.park(message, error.to_string()).await,
        };
        let first = self.first_record(&message, &announced, &name);
        let found = match self.documents.read(Container::Deliveries, &first.key, &first.id).await {
            Ok(found) => found,
            Err(error) => return self.put_off(message, now + STORE_AWAY, error.to_string()).await,
        };
        let known = found.as_ref().and_then(|document| document.parse::<DeliveryRecord>().ok());
        if known.is_some_and(|known| known.state == record::State::Delivered) {
            return Ok(Fate::Delivered);
        }
        let partner = match self.registry.partners.find(&name).await {
            Ok(Known::Partner(partner)) => partner,
            Ok(Known::Unreadable) => {
                let why = format!("partner {name} cannot be read by this version of the program");
                return self.put_off(message, now + OUR_FAULT, why).await;
            }
            Ok(Known::No) => {
                let reason = format!("there is no partner {name} any more: add it again, and replay");
                return self.park_recorded(message, found, first, reason).await;
            }
            Err(error) => return self.put_off(message, now + STORE_AWAY, error.to_string()).await,
        };
        if let State::Disabled { reason, since } = &partner.state {
            let since = millis::text(*since);
            let reason = format!("partner {name} is disabled since {since}: {reason}. Enable it, and replay");
            return self.park_recorded(message, found, first, reason).await;
        }
        let breakers = &self.registry.breakers;
        if let Some(until) = breakers.waits_until(&name).await {
            return self.put_off(message, until, format!("partner {name} fails: its breaker is open")).await;
        }
        let gate = self.limits.gate(&name, &partner.settings);
        let ready = Ready { partner, message, body, first, found, span };
        let Some(pass) = gate.enter(deadline.min(Instant::now() + gate.patience())).await else {
            return self.queue(ready, &gate).await;
        };
        match self.set_out(ready, pass).await {
            Ok((errand, exchange)) => self.wait_or_hand_over(errand, exchange, deadline).await,
            Err(Later { message, due_at, why }) => self.put_off(message, due_at, why).await,
        }
    }

    /// Sends the request, unless something speaks against it now.
    async fn set_out(self: &Arc<Self>, ready: Ready, pass: Pass) -> Result<(Errand, JoinHandle<Exchange>), Later> {
        let Ready { partner, message, body, first, found, span } = ready;
        let (name, started_at) = (partner.name(), self.clock.now());
        let prepared = match Announced::read(&body) {
            Ok(announced) => {
                let content = announced.content(partner.settings.format, &body);
                self.prepare(&partner, &announced.id, content, started_at).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                tracing::error!(partner = name, why, "nothing can be sent");
                return Err(Later { message, due_at: started_at + OUR_FAULT, why });
            }
        };
        // As the last step: whoever claims the probe must make it.
        let admission = self.registry.breakers.admit(name, partner.settings.timeout + MARGIN).await;
        if let Admission::Wait(due_at) = admission {
            let why = format!("partner {name} fails: its breaker is open");
            return Err(Later { message, due_at, why });
        }
        let mut prepared = prepared;
        let request = spans::of_request(self, &partner, &message, &span);
        // With spans off, what came with the callback is passed on.
        let own = request.traceparent();
        let passed_on = message.properties.get(PROPERTY).and_then(|value| value.as_str());
        prepared.trace(own.as_deref().or(passed_on));
        let exchange = self.send(&partner, prepared);
        let errand = Errand { partner, message, first, found, admission, pass, started_at, request, _span: span };
        Ok((errand, exchange))
    }

    pub(super) fn prepare(
        &self,
        partner: &Partner,
        id: &str,
        content: Content,
        now: Timestamp,
    ) -> Result<Prepared, attempt::Unprepared> {
        let variable = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
            value.or_else(|| self.demo_secrets.get(name).map(|secret| secret.expose().to_owned()))
        };
        attempt::prepare(partner, self.keys.as_ref(), id, content, now, variable)
    }

    fn send(self: &Arc<Self>, partner: &Partner, request: Prepared) -> JoinHandle<Exchange> {
        let (courier, settings) = (Arc::clone(self), &partner.settings);
        let (allow_internal, patience) = (settings.allow_internal, settings.timeout);
        let Prepared { endpoint, headers, body } = request;
        tokio::spawn(async move { courier.client.post(endpoint, allow_internal, patience, headers, body).await })
    }

    async fn wait_or_hand_over(
        self: &Arc<Self>,
        mut errand: Errand,
        mut exchange: JoinHandle<Exchange>,
        deadline: Instant,
    ) -> Result<Fate, NotKept> {
        let until = deadline.min(Instant::now() + errand.pass.gate().patience());
        if let Ok(exchange) = tokio::time::timeout_at(until, &mut exchange).await {
            return self.conclude(&errand, ended(exchange)).await;
        }
        let lost_at = errand.started_at + errand.partner.settings.timeout + MARGIN;
        let why = "a request was under way, and nothing was heard of it".to_owned();
        if let Err(error) = self.put_off(errand.message.clone(), lost_at, why).await {
            // Nothing can stand in for it, so the batch waits.
            tracing::warn!(%error, "a slow request holds up its batch");
            return self.conclude(&errand, ended(exchange.await)).await;
        }
        errand.pass.hand_over();
        tokio::spawn(Arc::clone(self).finish(errand, exchange));
        Ok(Fate::HandedOver)
    }

    fn first_record(&self, message: &StoredMessage, announced: &Announced<'_>, partner: &str) -> DeliveryRecord {
        let now = self.clock.now();
        DeliveryRecord {
            id: message.record_id(),
            key: announced.subject.clone().into_owned(),
            partner: partner.to_owned(),
            event_id: announced.id.clone().into_owned(),
            event_type: announced.event_type.clone().into_owned(),
            state: record::State::Pending,
            attempts: Vec::new(),
            attempted: 0,
            created_at: now,
            updated_at: now,
        }
    }
}
