//! What a verifier is given, and one change to it. A diagnosis changes a copy and asks the same verifier again.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::{
    clock::Timestamp,
    config::{Secret, VendorConfig},
    vendors::{self, Handshake, Refusal, Request, Step, Trace, Vendor},
};

/// A request, the moment, and the vendor that judges both.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub name: String,
    pub config: VendorConfig,
    vendor: Arc<dyn Vendor>,
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub now: Timestamp,
    /// The certificate (PEM) that a verifier may ask for.
    pub certificate: Option<Bytes>,
}

/// What a verifier said, and how it came to that.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub steps: Vec<Step>,
    pub result: Result<(), Refusal>,
}

impl Verdict {
    pub fn is_genuine(&self) -> bool {
        self.result.is_ok()
    }

    /// Where the secret that matched is configured.
    pub fn secret(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Tried { key, matched: true, .. } if key.starts_with("vendors.") => Some(key.as_str()),
            _ => None,
        })
    }
}

impl Case {
    pub fn new(
        name: &str,
        config: &VendorConfig,
        capture: &super::Capture,
        url: String,
        now: Timestamp,
        certificate: Option<Bytes>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            config: config.clone(),
            vendor: vendors::build(name, config),
            method: capture.method.clone(),
            url,
            headers: capture.headers.clone(),
            body: capture.body.clone(),
            now,
            certificate,
        }
    }

    /// Asks the vendor, and hands it the certificate where it needs one and there is one.
    pub fn verify(&self) -> Verdict {
        let mut trace = Trace::on();
        let mut result = self.vendor.verify(&self.request(), self.now, &mut trace);
        let mut steps = trace.steps().to_vec();
        if let (Err(Refusal::CertificateNeeded(url)), Some(pem)) = (&result, &self.certificate) {
            steps.push(Step::Said(format!("the certificate at {url} is needed: the given file stands for it")));
            result = self.vendor.learn_certificate(url, pem).and_then(|()| {
                let mut trace = Trace::on();
                let result = self.vendor.verify(&self.request(), self.now, &mut trace);
                steps.extend_from_slice(trace.steps());
                result
            });
        }
        Verdict { steps, result }
    }

    /// What the door answers before it verifies anything.
    pub fn probe(&self) -> Option<Handshake> {
        self.vendor.probe(&self.request())
    }

    /// What a genuine request would be answered with, where it is no callback.
    pub fn handshake(&self) -> Option<Handshake> {
        self.vendor.handshake(&self.request(), self.now)
    }

    fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    /// A copy at another moment.
    pub fn at(&self, now: Timestamp) -> Self {
        Self { now, ..self.clone() }
    }

    /// A copy with other secrets or another vendor altogether.
    pub fn of_vendor(&self, name: &str, config: VendorConfig) -> Self {
        Self { name: name.to_owned(), vendor: vendors::build(name, &config), config, ..self.clone() }
    }

    /// A copy with this change; `None` where it changes nothing.
    pub fn with(&self, change: &Change) -> Option<Self> {
        let mut case = self.clone();
        match change {
            Change::Body(body) if *body != self.body => case.body = body.clone(),
            Change::Url(url) if *url != self.url => case.url = url.clone(),
            Change::Method(method) if *method != self.method => case.method = method.clone(),
            Change::Header(name, value) if self.headers.get_all(name).iter().ne([value]) => {
                case.headers.insert(name.clone(), value.clone());
            }
            Change::Secret(place, text) => {
                let mut config = self.config.clone();
                let secret = place.of(&mut config)?;
                if secret.as_ref().is_ok_and(|secret| secret.expose() == text) {
                    return None;
                }
                *secret = Ok(Secret::new(text.as_str()));
                case = self.of_vendor(&self.name, config);
            }
            _ => return None,
        }
        Some(case)
    }
}

/// One thing that is different from what was captured or configured.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Body(Bytes),
    Url(String),
    Method(Method),
    /// This header, once, with this value.
    Header(HeaderName, HeaderValue),
    /// This text as the secret there.
    Secret(Place, String),
}

/// Where a secret is in a vendor's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Secret(usize),
    SharedKey(String),
    Account(String, usize),
}

type Slot = Result<Secret, crate::config::MissingSecret>;

impl Place {
    /// Every place of a configuration that has a secret, and its text.
    pub fn all(config: &VendorConfig) -> Vec<(Place, &str)> {
        let mut places = Vec::new();
        places.extend((0..config.secrets.len()).map(Place::Secret));
        places.extend(config.shared_keys.keys().cloned().map(Place::SharedKey));
        for (id, secrets) in &config.accounts {
            places.extend((0..secrets.len()).map(|index| Place::Account(id.clone(), index)));
        }
        places.into_iter().filter_map(|place| Some((place.clone(), place.text(config)?))).collect()
    }

    fn text<'a>(&self, config: &'a VendorConfig) -> Option<&'a str> {
        let slot = match self {
            Place::Secret(index) => config.secrets.get(*index),
            Place::SharedKey(id) => config.shared_keys.get(id),
            Place::Account(id, index) => config.accounts.get(id)?.get(*index),
        };
        slot?.as_ref().ok().map(Secret::expose)
    }

    fn of<'a>(&self, config: &'a mut VendorConfig) -> Option<&'a mut Slot> {
        match self {
            Place::Secret(index) => config.secrets.get_mut(*index),
            Place::SharedKey(id) => config.shared_keys.get_mut(id),
            Place::Account(id, index) => config.accounts.get_mut(id)?.get_mut(*index),
        }
    }

    /// As messages name it, for example `vendors.twilio.secrets[0]`.
    pub fn key(&self, vendor: &str) -> String {
        match self {
            Place::Secret(index) => format!("vendors.{vendor}.secrets[{index}]"),
            Place::SharedKey(id) => format!("vendors.{vendor}.shared_keys.{id}"),
            Place::Account(id, index) => format!("vendors.{vendor}.accounts.{id}[{index}]"),
        }
    }
}
