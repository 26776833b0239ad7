//! Vendors: who signed a callback, and what it says. They know no bus and no store.
//!
//! A [`Vendor`] does three things, each with its own moment. At the door, while the vendor waits, it verifies the
//! request ([`Vendor::verify`]) and takes one cheap look for an identity ([`Vendor::identify`]). Later, in a processor,
//! it turns the stored callback into canonical events ([`Vendor::normalise`]).

//!
//! A scheme's file says who signed; beside it, or in its folder, lies what the payload means. [`build`] turns
//! configuration into vendors once, at start: every key is parsed there, so that a request only computes.

mod digest;
mod form;
mod json;
mod keyring;
mod mapping;
mod multipart;
mod sendgrid;
mod standard_webhooks;
mod twilio;
mod unsigned;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::{
    clock::Timestamp,
    config::{Answer, Scheme, VendorConfig},
    event::{Channel, Event},
};

/// A request as it stood at the door.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// The URL that the vendor was given: the configured public URL, then path and query exactly as received.
    pub url: &'a str,
    pub headers: &'a HeaderMap,
    /// The exact bytes.
    pub body: &'a [u8],
}

/// Why a request was refused. The text is for logs and counters; a caller is told nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that the scheme needs is missing or empty. Answer 401.
    #[error("header {0} is missing")]
    MissingHeader(&'static str),
    /// A header or the body is not of the scheme's form (base64, DER, number ...). Answer 401.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// No live secret gives this signature. Answer 401.
    #[error("the signature does not match")]
    Mismatch,
    /// The signed time is too far from now. Answer 401.
    #[error("the signed time is {0} s away from now")]
    Stale(i64),
    /// The request names a key or an algorithm that is not known here. Answer 401.
    #[error("{0} is unknown")]
    Unknown(&'static str),
    /// The secret is missing or unloadable on our side. Answer 503, so that the vendor tries again.
    #[error("no usable key: {0}")]
    NoKey(String),
}

impl Refusal {
    /// A stable word for counters, for example `mismatch`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::MissingHeader(_) => "missing_header",
            Refusal::Malformed(_) => "malformed",
            Refusal::Mismatch => "mismatch",
            Refusal::Stale(_) => "stale",
            Refusal::Unknown(_) => "unknown",
            Refusal::NoKey(_) => "no_key",
        }
    }
}

/// What one cheap look finds in a verified request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The provider message id, where the request is about one message.
    pub subject: Option<String>,
    /// Equal for repeats of the same callback, never equal for two different ones. `None` lets ingest take a digest of
    /// the request.
    pub dedupe_key: Option<String>,
}

/// A stored callback, read back from its envelope.
#[derive(Debug, Clone)]
pub struct Callback {
    pub channel: Channel,
    pub service_type: String,
    /// The rest of the route; may be empty.
    pub request_type: String,
    /// The raw query, without `?`; may be empty.
    pub query: String,
    /// The headers that [`Vendor::kept_headers`] asked for.
    pub headers: HeaderMap,
    pub content_type: Option<String>,
    pub body: Bytes,
    pub received_at: Timestamp,
}

/// A callback that cannot be turned into events: it is parked with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable payload: {0}")]
pub struct Unreadable(pub String);

/// One vendor.
pub trait Vendor: Send + Sync + std::fmt::Debug {
    /// Whether one of the live secrets signed this request.
    fn verify(&self, request: &Request<'_>, now: Timestamp) -> Result<(), Refusal>;

    /// One cheap look at a verified request. Must not fail: what it does not find is `None`.
    fn identify(&self, request: &Request<'_>) -> Identity;

    /// The headers that [`Vendor::normalise`] reads.
    fn kept_headers(&self) -> &[http::HeaderName] {
        &[]
    }

    /// The events in a callback, in the order in which it lists them. None at all is fine.
    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable>;

    /// What the vendor wants to read after an accepted callback; `None` is an empty 200.
    fn answer(&self) -> Option<Answer> {
        None
    }
}

/// The vendor of this name: its keys loaded, ready for requests.
///
/// Never fails: what is wrong with a secret is answered to each request that it might have verified
/// ([`Refusal::NoKey`]), so that one vendor's broken key does not keep the others from starting.
pub fn build(name: &str, config: &VendorConfig) -> Arc<dyn Vendor> {
    match config.scheme {
        Scheme::Twilio => Arc::new(twilio::Twilio::new(name, config)),
        Scheme::Sendgrid => Arc::new(sendgrid::SendGrid::new(name, config)),
        Scheme::StandardWebhooks => Arc::new(standard_webhooks::StandardWebhooks::new(name, config)),
        Scheme::None => Arc::new(unsigned::Unsigned::new(name, config)),
    }
}

/// Every configured vendor, by the name that the route carries.
#[derive(Debug, Clone, Default)]
pub struct Vendors(BTreeMap<String, Arc<dyn Vendor>>);

impl Vendors {
    /// Builds each vendor of the configuration.
    pub fn from_config(vendors: &BTreeMap<String, VendorConfig>) -> Self {
        Self(vendors.iter().map(|(name, config)| (name.clone(), build(name, config))).collect())
    }

    /// The vendor of this name, in lower case as the configuration has it.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Vendor>> {
        self.0.get(name)
    }
}
