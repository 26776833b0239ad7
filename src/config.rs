//! Configuration: `sluice.toml` plus the environment, read once at start.
//!
//! The file shipped in the repository is the documentation of every key. Secrets are never written in it: a secret is
//! named as `env:NAME`. Only the demo profile may fall back on the obviously fake values of `[demo.secrets]`.
//! Every error names the file, the line and the key.

mod connection;
mod delivery;
mod error;
mod hosted;
mod mapping;
mod meant;
mod places;
mod reference;
mod retention;
mod secrets;
mod signature;
mod stores;
mod variables;
mod vendors;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

pub use connection::{Connection, MissingConnection};
pub use delivery::Delivery;
pub use error::ConfigError;
pub use hosted::in_azure;
pub use mapping::Mapping;
pub use reference::reference;
pub use retention::{Keep, Retention};
pub use secrets::{MissingSecret, Secret};
pub use signature::{Algorithm, Encoding, Layout, Part, SecretText, Signature, Template, TimestampPlace};
pub use stores::{BlobContainer, Blobs, Cosmos, Documents};
pub use variables::{VARIABLES, Variable};
pub use vendors::{Answer, Credential, Legacy, Priority, Scheme, VendorConfig};

use crate::openapi::{DurationText, SizeText};
use delivery::DeliveryTable;
use secrets::SecretSource;
use stores::{BlobsTable, DocumentsTable};
use vendors::VendorTable;

/// Everything the program can be told.
#[derive(Debug, Clone)]
pub struct Config {
    pub profile: Profile,
    /// The URL vendors were given, without a trailing slash. Twilio and others sign it.
    pub public_url: String,
    pub ingest: Ingest,
    pub bus: Bus,
    /// Where the bus is, when its kind is not [`BusKind::Embedded`].
    pub service_bus: Option<Result<Connection, MissingConnection>>,
    pub documents: Documents,
    pub blobs: Blobs,
    pub dependencies: Dependencies,
    pub retry: Retry,
    pub outbox: Outbox,
    pub delivery: Delivery,
    pub retention: Retention,
    pub channels: Channels,
    /// Key of the tokens that stand for phone numbers and addresses.
    pub privacy_key: Result<Secret, MissingSecret>,
    /// What operators bring to `/manage`; `None` without the table `[admin]`.
    pub admin_key: Option<Result<Secret, MissingSecret>>,
    pub vendors: BTreeMap<String, VendorConfig>,
    /// The demo profile's private keys, by environment variable: `sluice simulate` signs with them.
    pub demo_secrets: BTreeMap<String, Secret>,
}

/// Where the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// First steps on a developer's machine: missing secrets are taken from `[demo.secrets]`.
    Demo,
    /// Everything else.
    Production,
}

/// The front door.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Larger bodies are answered 413, unless the vendor has a `body_limit` of its own.
    #[schemars(with = "SizeText")]
    pub body_limit: ByteSize,
    /// A request whose body takes longer is answered 503; one whose headers do loses its connection.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub body_timeout: Duration,
    /// Larger envelopes go to a blob, and the bus carries a reference.
    #[schemars(with = "SizeText")]
    pub claim_check_above: ByteSize,
    /// After this long without the broker's acknowledgement the callback is spooled.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub publish_timeout: Duration,
    /// After this long without the spool's acknowledgement the vendor gets 503.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub spool_timeout: Duration,
    /// Callbacks between their body and their answer at a time. What comes beyond that is answered 503 at once; vendors of
    /// lower `priority` fill a share only: low ones half, normal ones three quarters.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    /// Bodies in memory at a time, all together, in the same shares. Those beyond `body_limit` count apart.
    /// Absent: four times `body_limit`, and at least 64 MiB.
    #[schemars(with = "Option<SizeText>")]
    pub body_memory: Option<ByteSize>,
}

impl Ingest {
    /// Bytes of bodies in memory at a time. Unless configured, enough for some of the largest.
    pub fn largest_bodies(&self) -> u64 {
        let usual = (4 * self.body_limit.as_u64()).max(64 << 20);
        self.body_memory.map_or(usual, |limit| limit.as_u64())
    }
}

/// Half a second's work of a small machine, and a few thousandths of a large one's.
fn in_flight() -> usize {
    512
}

/// Which broker carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BusKind {
    /// The embedded one.
    #[default]
    Embedded,
    /// Azure Service Bus, or an emulator of it.
    ServiceBus,
    /// Azure Service Bus over HTTPS, which only publishes. Needs the Cargo feature `servicebus-https`.
    ServiceBusHttps,
}

/// Topics and subscriptions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// `SLUICE_BUS` overrides it.
    #[serde(default)]
    pub kind: BusKind,
    /// The name of the environment variables that say where Service Bus is: see below.
    #[serde(default = "service_bus_connection")]
    pub connection: String,
    /// What vendors sent; one subscription for each channel.
    pub callbacks_topic: String,
    /// What was applied, for partners and for what `[outbox]` names.
    pub deliveries_topic: String,
    /// A callback that is repeated within this time is dropped by the broker already.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub duplicate_detection_window: Duration,
    /// Older messages go to the dead-letter sub-queue.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub time_to_live: Duration,
    /// A batch that is not finished in this time is delivered again. Service Bus takes at most 5 m.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub lock_duration: Duration,
    /// Deliveries before a message goes to the dead-letter sub-queue.
    pub max_delivery_count: u32,
}

fn service_bus_connection() -> String {
    "ServiceBusConnection".to_owned()
}

/// What is expected of the broker and the store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependencies {
    /// A call that has no answer after this long has failed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
}

/// When failed work is tried again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The wait before each attempt after the first. When they are used up the record is parked.
    #[schemars(with = "Vec<DurationText>")]
    pub schedule: Vec<humantime_serde::Serde<Duration>>,
    /// Each wait is varied by up to this share of itself, both ways (0 to 1).
    pub jitter: f64,
    /// The most records one sweep moves back to the bus.
    pub sweep_limit: usize,
    /// The most records a sweep moves in a second.
    #[serde(default = "sweep_rate")]
    pub sweep_rate: u32,
}

fn sweep_rate() -> u32 {
    4000
}

/// Where applied events are announced.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// Each applied event is published to the deliveries topic once for every name here, as property `destination`: `sql`
    /// for the SQL projection, any other name for a subscription of one's own.
    pub destinations: Vec<String>,
}

/// What is particular to a channel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    pub sms: Sms,
    pub email: Email,
}

/// Keywords that a person answers with. They count when the whole message is one, whatever its case.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Opts out.
    #[serde(deserialize_with = "keywords")]
    pub stop_keywords: BTreeSet<String>,
    /// Opts in again.
    #[serde(deserialize_with = "keywords")]
    pub start_keywords: BTreeSet<String>,
    /// Asks for help.
    #[serde(deserialize_with = "keywords")]
    pub help_keywords: BTreeSet<String>,
}

/// In upper case, as texts are compared: a word that the file has in lower case must not be one that nobody can send.
fn keywords<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let words = BTreeSet::<String>::deserialize(deserializer)?;
    Ok(words.iter().map(|word| word.trim().to_uppercase()).collect())
}

/// Which e-mail facts become opt-outs, beside an unsubscribe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// A hard bounce opts its recipient out.
    pub hard_bounce_opts_out: bool,
    /// A complaint about spam opts its sender out.
    pub complaint_opts_out: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// `SLUICE_PROFILE` overrides it.
    profile: Profile,
    /// The URL that vendors were given, exactly as they were given it: many of them sign it. `SLUICE_PUBLIC_URL` overrides it.
    #[schemars(with = "String")]
    public_url: Spanned<String>,
    #[schemars(with = "Ingest")]
    ingest: Spanned<Ingest>,
    #[schemars(with = "Bus")]
    bus: Spanned<Bus>,
    #[serde(default)]
    documents: DocumentsTable,
    #[serde(default)]
    blobs: BlobsTable,
    #[schemars(with = "Dependencies")]
    dependencies: Spanned<Dependencies>,
    #[schemars(with = "Retry")]
    retry: Spanned<Retry>,
    #[schemars(with = "Outbox")]
    outbox: Spanned<Outbox>,
    #[schemars(with = "Option<DeliveryTable>")]
    delivery: Option<Spanned<DeliveryTable>>,
    #[schemars(with = "Option<Retention>")]
    retention: Option<Spanned<Retention>>,
    channels: Channels,
    privacy: Privacy,
    admin: Option<Admin>,
    #[schemars(with = "BTreeMap<String, VendorTable>")]
    vendors: BTreeMap<Spanned<String>, VendorTable>,
    #[serde(default)]
    demo: Demo,
}

/// What stands for people in logs and in stores.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Privacy {
    /// Keys the tokens that stand for phone numbers and e-mail addresses. Whoever changes it orphans the consent records.
    #[schemars(with = "SecretSource")]
    key: Spanned<SecretSource>,
}

/// Who may operate the system.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Admin {
    /// What operators bring to `/manage`; without it they are answered 401. In Azure the Functions host's keys count instead.
    #[schemars(with = "SecretSource")]
    key: Spanned<SecretSource>,
}

/// For first steps alone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Demo {
    /// Obviously fake values of variables that the environment lacks. Only the profile `demo` looks here, and it refuses to
    /// start in Azure.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

/// How a variable of the environment is looked up; tests pass a map.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads a configuration file and the process's environment.
    ///
    /// # Errors
    /// The file is missing, malformed or contradicts itself. Missing secrets are no error here: see
    /// [`Config::missing_secrets`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Reads a configuration file, and variables from wherever they are.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn load_with(path: &Path, environment: Environment) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text, environment)
    }

    /// Reads a configuration from text. `SLUICE_PROFILE`, `SLUICE_PUBLIC_URL`, `SLUICE_BUS`, `SLUICE_DOCUMENTS`,
    /// `SLUICE_BLOBS` and their like override the file.
    ///
    /// # Errors
    /// The text is malformed or contradicts itself.
    pub fn parse(path: &Path, text: &str, environment: Environment) -> Result<Self, ConfigError> {
        let at = error::Locator { path, text };
        let file: File = toml::from_str(text).map_err(|error| at.toml(&error))?;
        meant::check(&at, &file)?;

        let profile = match environment("SLUICE_PROFILE").as_deref() {
            None => file.profile,
            Some("demo") => Profile::Demo,
            Some("production") => Profile::Production,
            Some(other) => {
                return Err(ConfigError::Variable {
                    name: "SLUICE_PROFILE",
                    problem: format!("`{other}` is not a profile: use demo or production"),
                });
            }
        };
        if profile == Profile::Demo && in_azure(environment) {
            return Err(ConfigError::DemoInAzure);
        }
        let demo = if profile == Profile::Demo { file.demo.secrets } else { BTreeMap::new() };
        let secrets = secrets::Resolver { at: &at, environment, demo: &demo };

        let public_url = match environment("SLUICE_PUBLIC_URL") {
            Some(url) => check_public_url(&url)
                .map_err(|problem| ConfigError::Variable { name: "SLUICE_PUBLIC_URL", problem })?,
            None => check_public_url(file.public_url.get_ref())
                .map_err(|problem| at.value(file.public_url.span(), "public_url", problem))?,
        };
        let mut bus = file.bus.into_inner();
        match environment("SLUICE_BUS").as_deref() {
            None => {}
            Some("embedded") => bus.kind = BusKind::Embedded,
            Some("service-bus") => bus.kind = BusKind::ServiceBus,
            Some("service-bus-https") => bus.kind = BusKind::ServiceBusHttps,
            Some(other) => {
                return Err(ConfigError::Variable {
                    name: "SLUICE_BUS",
                    problem: format!("`{other}` is not a bus: use embedded, service-bus or service-bus-https"),
                });
            }
        }
        if bus.kind == BusKind::ServiceBusHttps && !cfg!(feature = "servicebus-https") {
            return Err(ConfigError::WithoutHttps);
        }
        let service_bus = (bus.kind != BusKind::Embedded)
            .then(|| connection::resolve("bus.connection", &bus.connection, "__fullyQualifiedNamespace", environment));
        let privacy_key = secrets.resolve("privacy.key", &file.privacy.key)?;
        let admin_key = file.admin.map(|admin| secrets.resolve("admin.key", &admin.key)).transpose()?;
        let delivery = delivery::resolve(file.delivery, &secrets)?;
        let mut vendors = BTreeMap::new();
        for (name, table) in file.vendors {
            let vendor = table.resolve(&at, &name, &secrets)?;
            vendors.insert(name.into_inner(), vendor);
        }
        Ok(Self {
            profile,
            public_url,
            ingest: file.ingest.into_inner(),
            bus,
            service_bus,
            documents: file.documents.resolve(&at, environment)?,
            blobs: file.blobs.resolve(&at, environment)?,
            dependencies: file.dependencies.into_inner(),
            retry: file.retry.into_inner(),
            outbox: file.outbox.into_inner(),
            delivery,
            retention: file.retention.map(Spanned::into_inner).unwrap_or_default(),
            channels: file.channels,
            privacy_key,
            admin_key,
            vendors,
            demo_secrets: demo.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        })
    }

    /// What OpenTelemetry calls the broker.
    pub fn messaging_system(&self) -> &'static str {
        match self.bus.kind {
            BusKind::Embedded => "sluice",
            BusKind::ServiceBus | BusKind::ServiceBusHttps => "servicebus",
        }
    }

    /// What OpenTelemetry calls the document store.
    pub fn db_system(&self) -> &'static str {
        match self.documents {
            Documents::Embedded => "sqlite",
            Documents::Cosmos(_) => "azure.cosmosdb",
        }
    }

    /// Whether applied events are announced to the subscription of this name.
    pub fn announces_to(&self, destination: &str) -> bool {
        self.outbox.destinations.iter().any(|name| name == destination)
    }

    /// The operators' key, where there is one.
    pub fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_ref()?.as_ref().ok().map(Secret::expose)
    }

    /// Every secret that the file names and the environment does not have, and without which callbacks would be refused.
    pub fn missing_secrets(&self) -> Vec<MissingSecret> {
        let vendors = self.vendors.values().flat_map(|vendor| vendor.missing_secrets());
        self.privacy_key.as_ref().err().cloned().into_iter().chain(vendors).collect()
    }

    /// Every connection that the file names and the environment does not have.
    pub fn missing_connections(&self) -> Vec<MissingConnection> {
        let bus = self.service_bus.as_ref().and_then(|connection| connection.as_ref().err());
        let documents = match &self.documents {
            Documents::Embedded => None,
            Documents::Cosmos(cosmos) => cosmos.connection.as_ref().err(),
        };
        let blobs = match &self.blobs {
            Blobs::Embedded => None,
            Blobs::Azure(blobs) => blobs.connection.as_ref().err(),
        };
        bus.into_iter().chain(documents).chain(blobs).cloned().collect()
    }
}

/// An absolute http(s) URL without query or fragment; a trailing slash is dropped.
fn check_public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` must be an http or https URL without query and fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}
