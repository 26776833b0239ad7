//! Vendors: who signed a callback, and what it says. They know no bus and no store.
//!
//! A [`Vendor`] does three things, each with its own moment. At the door, while the vendor waits, it verifies the
//! request ([`Vendor::verify`]) and takes one cheap look for an identity ([`Vendor::identify`]), unless the request is no
//! callback at all but a question that is answered at once ([`Vendor::handshake`]). Later, in a processor, it turns the
//! stored callback into canonical events ([`Vendor::normalise`]).
//!
//! A scheme's file says who signed; beside it, or in its folder, lies what the payload means. [`build`] turns
//! configuration into vendors once, at start: every key is parsed there, so that a request only computes.

mod bird;
mod challenge;
mod credential;
mod digest;
mod form;
mod infobip;
mod json;
mod jwt;
mod keyring;
mod mailgun;
mod mandrill;
mod mapping;
mod messagebird;
mod multipart;
mod parameters;
mod plivo;
mod postmark;
mod rules;
mod sendgrid;
mod ses;
mod signature;
mod sinch;
mod sparkpost;
mod standard_webhooks;
mod telnyx;
mod trace;
mod twilio;
mod unsigned;
mod vonage;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::{
    clock::Timestamp,
    config::{Answer, Scheme, VendorConfig},
    event::{Channel, Event},
};

pub use rules::{Rules, SCHEMES, rules};
pub use trace::{Step, Trace};

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
    MissingHeader(Cow<'static, str>),
    /// A header or the body is not of the scheme's form (base64, DER, number ...). Answer 401.
    #[error("{0} is malformed")]
    Malformed(Cow<'static, str>),
    /// No live secret gives this signature. Answer 401.
    #[error("the signature does not match")]
    Mismatch,
    /// The signed time is too far from now. Answer 401.
    #[error("the signed time is {0} s away from now")]
    Stale(i64),
    /// The request names a key or an algorithm that is not known here. Answer 401.
    #[error("{0} is unknown")]
    Unknown(Cow<'static, str>),
    /// The certificate at this URL is needed first: fetch it, hand it to [`Vendor::learn_certificate`] and verify again. Where
    /// it cannot be fetched, answer 503.
    #[error("the certificate at {0} is not at hand")]
    CertificateNeeded(String),
    /// The secret is missing or unloadable on our side. Answer 503, so that the vendor tries again.
    #[error("no usable key: {0}")]
    NoKey(String),
}

impl Refusal {
    pub(crate) fn malformed(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(what.into())
    }

    pub(crate) fn unknown(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Unknown(what.into())
    }

    /// A stable word for counters, for example `mismatch`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::MissingHeader(_) => "missing_header",
            Refusal::Malformed(_) => "malformed",
            Refusal::Mismatch => "mismatch",
            Refusal::Stale(_) => "stale",
            Refusal::Unknown(_) => "unknown",
            Refusal::CertificateNeeded(_) => "certificate_needed",
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

/// The answer to a request that is no callback: nothing is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    /// 200 with this body; `None` is an empty one.
    Answer(Option<Answer>),
    /// This URL must be fetched first (Amazon SNS: `SubscribeURL`); then an empty 200, or 503 where that failed.
    Confirm(String),
}

/// One vendor.
pub trait Vendor: Send + Sync + std::fmt::Debug {
    /// Whether a request asks nothing but whether somebody is here. It is answered before it is verified: nothing of it is
    /// believed or kept.
    fn probe(&self, _request: &Request<'_>) -> Option<Handshake> {
        None
    }

    /// Whether one of the live secrets signed this request. `trace` is told each step where somebody listens.
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal>;

    /// Takes the certificate (PEM) that [`Refusal::CertificateNeeded`] asked for.
    ///
    /// # Errors
    /// It is none, or not usable for this: [`Refusal::Malformed`].
    fn learn_certificate(&self, _url: &str, _pem: &[u8]) -> Result<(), Refusal> {
        Err(Refusal::malformed("a certificate that nobody asked for"))
    }

    /// Whether a verified request is a handshake, a probe or a replay rather than a callback.
    fn handshake(&self, _request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        None
    }

    /// A verified callback is durable now: a vendor that keeps a replay cache notes it.
    fn accepted(&self, _request: &Request<'_>, _now: Timestamp) {}

    /// One cheap look at a verified request. Must not fail: what it does not find is `None`.
    fn identify(&self, request: &Request<'_>) -> Identity;

    /// The headers that [`Vendor::normalise`] reads.
    fn kept_headers(&self) -> &[http::HeaderName] {
        &[]
    }

    /// The events in a callback, in the order in which it lists them. None at all is fine.
    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable>;

    /// What the vendor wants to read after an accepted callback, unless the configuration says otherwise; `None` is an
    /// empty 200.
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
        Scheme::Vonage => Arc::new(vonage::Vonage::new(name, config)),
        Scheme::Mailgun => Arc::new(mailgun::Mailgun::new(name, config)),
        Scheme::Ses => Arc::new(ses::Ses::new(name, config)),
        Scheme::Telnyx => Arc::new(telnyx::Telnyx::new(name, config)),
        Scheme::Plivo => Arc::new(plivo::Plivo::new(name, config)),
        Scheme::Postmark => Arc::new(postmark::Postmark::new(name, config)),
        Scheme::Mandrill => Arc::new(mandrill::Mandrill::new(name, config)),
        Scheme::Sparkpost => Arc::new(sparkpost::SparkPost::new(name, config)),
        Scheme::Messagebird => Arc::new(messagebird::MessageBird::new(name, config)),
        Scheme::Bird => Arc::new(bird::Bird::new(name, config)),
        Scheme::Sinch => Arc::new(sinch::Sinch::new(name, config)),
        Scheme::Infobip => Arc::new(infobip::Infobip::new(name, config)),
        Scheme::StandardWebhooks => Arc::new(standard_webhooks::StandardWebhooks::new(name, config)),
        Scheme::Signature | Scheme::Github | Scheme::Stripe | Scheme::Slack => {
            Arc::new(signature::Signed::new(name, config))
        }
        Scheme::Credential => Arc::new(credential::Credential::new(name, config)),
        Scheme::None => Arc::new(unsigned::Unsigned::new(name, config)),
    }
}

/// What is wrong with the secrets of a vendor that has them all: it says so when it is asked to verify anything.
pub fn unusable_key(name: &str, config: &VendorConfig, public_url: &str) -> Option<String> {
    let (url, headers) = (format!("{public_url}/incoming"), HeaderMap::new());
    let request = Request { method: &Method::POST, url: &url, headers: &headers, body: b"" };
    match build(name, config).verify(&request, Timestamp::UNIX_EPOCH, &mut Trace::off()) {
        Err(Refusal::NoKey(problem)) => Some(problem),
        _ => None,
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
