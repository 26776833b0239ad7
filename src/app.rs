//! The assembled program: configuration, ports, and the parts built on them. Every function gets one.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{
    blobs::SharedBlobs,
    bus::{SharedBus, Subscription, Topic, Topology},
    clock::SharedClock,
    config::{Config, MissingSecret},
    dead_letters::SharedDeadLetters,
    deadline::Deadline,
    delivery::{self, Breakers, Courier, Partners},
    documents::SharedDocuments,
    erase::standing::Erasures,
    event::{Channel, Event},
    health::Health,
    ingest::{Certificates, Door},
    lease::Leases,
    ledger::{
        Ledger,
        outbox::{DESTINATION, TO_PARTNER},
        records::Destination,
    },
    outbound::SharedOutbound,
    retention::{OldBlobs, retained},
    retry::{Retries, sweep::lease_duration},
    telemetry::{Meter, Seldom, Surveyor, Tokens, Tracing},
    vendors::Vendors,
};

/// Enough for steady inbound mail, and few enough that an uninvited crowd costs no more than 400 MB.
const LARGE_BODIES: usize = 8;

/// The destination and subscription of the SQL projection.
pub const SQL: &str = "sql";

/// The ports, as an adapter provides them.
#[derive(Debug, Clone)]
pub struct Ports {
    pub clock: SharedClock,
    pub bus: SharedBus,
    pub dead_letters: SharedDeadLetters,
    pub documents: SharedDocuments,
    pub blobs: SharedBlobs,
    pub outbound: SharedOutbound,
}

/// What every function works with.
#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub clock: SharedClock,
    pub bus: SharedBus,
    /// The bus without [`Deadline`]: ingest keeps a shorter one of its own.
    pub ingest_bus: SharedBus,
    pub dead_letters: SharedDeadLetters,
    pub documents: SharedDocuments,
    pub blobs: SharedBlobs,
    pub outbound: SharedOutbound,
    pub certificates: Certificates,
    /// What may be under way at the front door.
    pub door: Door,
    /// Bodies beyond `ingest.body_limit` that may be in memory at a time at the door: e-mails with attachments have tens of
    /// megabytes.
    pub large_bodies: Semaphore,
    /// Bodies from blobs that may be in memory at a time in processors; apart from the door's, which must not wait for them.
    pub claimed_bodies: Semaphore,
    pub vendors: Vendors,
    pub ledger: Ledger,
    pub retries: Retries,
    /// What one instance at a time works on.
    pub leases: Leases,
    pub partners: Arc<Partners>,
    pub breakers: Arc<Breakers>,
    pub courier: Arc<Courier>,
    /// Bodies whose time is over.
    pub old_blobs: OldBlobs,
    /// Who was erased, for those that process.
    pub erasures: Erasures,
    pub tokens: Tokens,
    pub meter: Arc<Meter>,
    pub tracing: Tracing,
    /// How much waits, for whoever reads the metrics.
    pub surveyor: Surveyor,
    /// What is answered to `GET health`.
    pub health: Health,
    /// Log lines about callbacks that went to the spool.
    pub spooling: Seldom,
    /// Log lines about callbacks that could be stored nowhere.
    pub not_durable: Seldom,
}

impl App {
    /// Puts the program together, without spans.
    ///
    /// # Errors
    /// The privacy key is missing: without it no opt-out can be recorded.
    pub fn new(config: Config, ports: Ports) -> Result<Arc<Self>, MissingSecret> {
        Self::traced(config, ports, Tracing::off())
    }

    /// Puts the program together.
    ///
    /// # Errors
    /// As for [`App::new`].
    pub fn traced(config: Config, ports: Ports, tracing: Tracing) -> Result<Arc<Self>, MissingSecret> {
        let Ports { clock, bus, dead_letters, documents, blobs, outbound } = ports;
        let limit = config.dependencies.timeout;
        let ingest_bus = bus.clone();
        let bus: SharedBus = Arc::new(Deadline::new(limit, bus));
        let documents = retained(documents, config.retention);
        let documents: SharedDocuments = Arc::new(Deadline::new(limit, documents));
        let retries = Retries::new(bus.clone(), documents.clone(), clock.clone(), &config.retry);
        let meter = Meter::new(config.vendors.keys());
        let meter = Arc::new(meter.with_topics(&config.bus.callbacks_topic, &config.bus.deliveries_topic));
        let partners = Arc::new(Partners::new(documents.clone()));
        let breakers = Arc::new(Breakers::new(documents.clone(), clock.clone()));
        let known = (partners.clone(), breakers.clone());
        let told = (meter.clone(), tracing.clone());
        let courier = Courier::new(&config, (clock.clone(), documents.clone()), retries.clone(), known, told);
        let tokens = Tokens::new(config.privacy_key.as_ref().map_err(Clone::clone)?);
        Ok(Arc::new(Self {
            vendors: Vendors::from_config(&config.vendors),
            ledger: Ledger::new(documents.clone(), clock.clone()),
            old_blobs: OldBlobs::default(),
            erasures: Erasures::new(documents.clone()),
            leases: Leases::new(documents.clone(), clock.clone(), lease_duration(&config)),
            surveyor: Surveyor::new(documents.clone(), breakers.clone(), clock.clone()),
            retries,
            partners,
            breakers,
            courier: Arc::new(courier),
            meter,
            tracing,
            tokens,
            door: Door::new(&config.ingest),
            config,
            clock,
            bus,
            ingest_bus,
            dead_letters,
            documents,
            blobs,
            certificates: Certificates::new(outbound.clone()),
            large_bodies: Semaphore::new(LARGE_BODIES),
            claimed_bodies: Semaphore::new(LARGE_BODIES),
            outbound,
            health: Health::default(),
            spooling: Seldom::default(),
            not_durable: Seldom::default(),
        }))
    }

    /// Whom an event is announced to, once it is applied.
    pub fn destinations(&self, partners: &delivery::Snapshot, event: &Event) -> Vec<Destination> {
        let subscriptions = self.config.outbox.destinations.iter().cloned().map(Destination::Subscription);
        subscriptions.chain(partners.destinations(event)).collect()
    }
}

/// The topics and subscriptions that this configuration needs.
pub fn topology(config: &Config) -> Topology {
    let bus = &config.bus;
    let subscription = |name: &str, filter: &[(&str, &str)]| Subscription {
        name: name.to_owned(),
        filter: filter.iter().map(|(property, text)| ((*property).to_owned(), (*text).to_owned())).collect(),
        lock_duration: bus.lock_duration,
        max_delivery_count: bus.max_delivery_count,
        dead_letter_on_expiration: true,
    };
    let topic = |name: &str, subscriptions| Topic {
        name: name.to_owned(),
        duplicate_detection_window: bus.duplicate_detection_window,
        default_time_to_live: bus.time_to_live,
        subscriptions,
    };
    let deliver = subscription("deliver", &[(DESTINATION, TO_PARTNER)]);
    let announced = |name: &str| subscription(name, &[(DESTINATION, name)]);
    let own = config.outbox.destinations.iter().map(String::as_str).filter(|name| *name != SQL);
    let channels = Channel::ALL.iter().map(|channel| subscription(channel.name(), &[("channel", channel.name())]));
    Topology {
        topics: vec![
            topic(&bus.callbacks_topic, channels.collect()),
            topic(
                &bus.deliveries_topic,
                [deliver].into_iter().chain([SQL].into_iter().chain(own).map(announced)).collect(),
            ),
        ],
    }
}
