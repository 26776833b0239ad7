//! Why a request was refused: `sluice explain`.
//!
//! A [`Capture`] (a request that some tool wrote down) is given to the vendor's own verifier at the URL that the front
//! door would use, with a listener for each step. Where it is refused, [`diagnose`] changes one thing after the other
//! (the [`hypotheses`]) and verifies again: what verifies is the cause. [`Report`] is what may be shown of it all: no
//! secret, no whole signature, and little of a body.

mod capture;
mod case;
mod diagnose;
mod hypotheses;
mod redact;
mod report;

use bytes::Bytes;
use bytesize::ByteSize;
use http::{Method, header::HOST};

use crate::{
    clock::Timestamp,
    config::Config,
    ingest::Route,
    vendors::{Handshake, Refusal, Step},
};

pub use capture::{Capture, CaptureError};
pub use diagnose::{Cause, Diagnosis};
pub use report::{Report, Signed, StepReport};

use case::Case;

/// What to explain, beside the capture.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The vendor; `None` takes the one that the path names.
    pub vendor: Option<String>,
    /// The clock of verification, where it was asked for; else the capture's time, else now.
    pub at: Option<Timestamp>,
    /// The certificate (PEM) that the vendor's scheme may need.
    pub certificate: Option<Bytes>,
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("the path names no vendor (/incoming/VENDOR/...): say which with --vendor")]
    NoVendor,
    #[error("no vendor {name:?} is configured: there are {known}")]
    UnknownVendor { name: String, known: String },
}

/// What the verifier did, and why. It may hold secrets and personal data: show its [`Report`].
#[derive(Debug, Clone)]
pub struct Explanation {
    case: Case,
    /// The clock was chosen, or told by the capture.
    given_time: bool,
    /// What else is worth knowing, as sentences.
    notes: Vec<String>,
    steps: Vec<Step>,
    verdict: Result<(), Refusal>,
    /// Where the secret that matched is configured.
    secret: Option<String>,
    /// Of a refused request.
    diagnosis: Option<Diagnosis>,
}

impl Explanation {
    /// Whether the door would accept the request's signature.
    pub fn is_genuine(&self) -> bool {
        self.verdict.is_ok()
    }
}

/// Verifies a captured request as the front door would, and finds out why it is refused where it is.
///
/// # Errors
/// It is not known whose request it is.
pub fn explain(
    capture: &Capture,
    question: &Question,
    config: &Config,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let (target, mut notes) = target(capture, config);
    let path = target.split('?').next().unwrap_or_default();
    let route = Route::parse(path);
    let name = match (&question.vendor, &route) {
        (Some(name), _) => name.to_ascii_lowercase(),
        (None, Some(route)) => route.vendor.clone().into_owned(),
        // Behind a prefix that the door does not know: whose it is can be seen all the same.
        (None, None) => within(path).map(|route| route.vendor.into_owned()).ok_or(ExplainError::NoVendor)?,
    };
    let vendor = config.vendors.get(&name).ok_or_else(|| ExplainError::UnknownVendor {
        known: config.vendors.keys().cloned().collect::<Vec<_>>().join(", "),
        name: name.clone(),
    })?;
    notes.extend(at_the_door(capture, route.as_ref(), &name, config));
    notes.extend(capture.doubts.iter().cloned());

    let url = format!("{}{target}", config.public_url);
    let time = question.at.or(capture.at);
    let case = Case::new(&name, vendor, capture, url, time.unwrap_or(now), question.certificate.clone());
    let verdict = case.verify();
    let diagnosis = verdict
        .result
        .as_ref()
        .err()
        .map(|refusal| diagnose::diagnose(&case, refusal, &config.vendors, time.is_some()));
    if case.probe().is_some() {
        notes.push("it only asks whether somebody is here: the door answers it without verifying it".into());
    }
    if verdict.is_genuine() {
        notes.extend(case.handshake().map(|handshake| told(&handshake)));
    }
    Ok(Explanation {
        given_time: time.is_some(),
        notes,
        secret: verdict.is_genuine().then(|| verdict.secret().map(str::to_owned)).flatten(),
        steps: verdict.steps,
        verdict: verdict.result,
        diagnosis,
        case,
    })
}

/// Path and query as they come to the door, and what is to be said of where the request was captured.
fn target(capture: &Capture, config: &Config) -> (String, Vec<String>) {
    let public = config.public_url.as_str();
    let mut notes = Vec::new();
    let host = match &capture.origin {
        Some(origin) => Some(capture::host_of(origin)),
        None => capture.headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    if let Some(host) = host.filter(|host| Some(*host) != capture::host_of(public).split('/').next()) {
        notes.push(format!("it was captured at {host}; the door verifies at public_url, whatever host was called"));
    }
    // Captured outside, the path still has what public_url has before /incoming.
    let base = public.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or_default();
    match capture.target.strip_prefix(base).filter(|rest| !base.is_empty() && rest.starts_with('/')) {
        Some(rest) => (rest.to_owned(), notes),
        None => (capture.target.clone(), notes),
    }
}

/// The route somewhere inside a path.
fn within(path: &str) -> Option<Route<'_>> {
    let start = path.to_ascii_lowercase().find("/incoming/")?;
    Route::parse(&path[start..])
}

/// What the door does with such a request before or instead of verifying it.
fn at_the_door(capture: &Capture, route: Option<&Route<'_>>, name: &str, config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    match route {
        None => notes.push("the door answers 404: the path must be /incoming/{vendor}/{servicetype}/...".into()),
        Some(route) if route.vendor != name => {
            notes.push(format!("the path belongs to vendor {}, and it is explained as one of {name}", route.vendor));
        }
        Some(route) => {
            let service = route.service_type.as_ref();
            if config.vendors.get(name).is_some_and(|vendor| !vendor.services.contains_key(service)) {
                notes
                    .push(format!("the door answers 404: {name} has no service type {service:?} in the configuration"));
            }
        }
    }
    if ![Method::POST, Method::GET].contains(&capture.method) {
        notes.push(format!("the door verifies POST and GET only: {} is answered without", capture.method));
    }
    let largest = config.vendors.get(name).map(|vendor| vendor.largest_body(&config.ingest));
    if let Some(largest) = largest.filter(|largest| capture.body.len() as u64 > *largest) {
        notes.push(format!("the door answers 413: the body exceeds {}", ByteSize::b(largest)));
    }
    notes
}

fn told(handshake: &Handshake) -> String {
    match handshake {
        Handshake::Answer(_) => "it is a handshake or a probe: it is answered at once, and nothing is published".into(),
        Handshake::Confirm(url) => format!("it asks for confirmation: the door fetches {url}, and publishes nothing"),
    }
}
