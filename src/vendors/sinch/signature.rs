//! Three ways to sign, told apart by their headers:
//!
//! - Conversation and SMS: `x-sinch-webhook-signature`, base64 of an HMAC-SHA256 over body, nonce and timestamp with dots
//!   between them (<https://developers.sinch.com/docs/conversation/callbacks>).
//! - Numbers: `x-sinch-signature`, hex of an HMAC-SHA1 over the body. It signs no time, so no tolerance applies
//!   (<https://developers.sinch.com/docs/numbers/api-reference/numbers/tag/Numbers-Callbacks>).
//! - Voice and Verification: `Authorization: Application KEY:SIGNATURE`, base64 of an HMAC-SHA256 over five lines
//!   (<https://developers.sinch.com/docs/voice/api-reference/authentication/callback-signed-request>).
//!
//! The first two are keyed with `secrets`, as text; the third with the secret of the application that it names, from
//! `accounts`. A request with the headers of several forms must be right in each of them, so that none can make good what
//! another refuses. `Authorization` of any other kind is nothing to this scheme.

use std::{collections::BTreeMap, time::Duration};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header::AUTHORIZATION};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::{
    clock::Timestamp,
    config::VendorConfig,
    vendors::{
        Refusal, Request, Trace,
        keyring::{self, Keyring},
    },
};

const WEBHOOK: &str = "x-sinch-webhook-signature";
const WEBHOOK_NONCE: &str = "x-sinch-webhook-signature-nonce";
const WEBHOOK_TIMESTAMP: &str = "x-sinch-webhook-signature-timestamp";
const NUMBERS: &str = "x-sinch-signature";
const APPLICATION: &str = "authorization";
const APPLICATION_TIMESTAMP: &str = "x-timestamp";

/// Sinch's Node library takes application secrets in either alphabet, and does not ask for padding.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How old a request may be.
#[derive(Clone, Copy)]
pub(super) struct Age {
    pub now: Timestamp,
    /// `None` takes any signed time, whatever its form: a 4xx is final for Sinch, so nothing is asked without need.
    pub tolerance: Option<Duration>,
}

impl Age {
    fn check(self, header: &'static str, signed: impl FnOnce() -> Option<i64>) -> Result<(), Refusal> {
        let Some(tolerance) = self.tolerance else { return Ok(()) };
        keyring::fresh(signed().ok_or(Refusal::malformed(header))?, self.now, tolerance)
    }
}

pub(super) struct Keys {
    secrets: Keyring<Secret>,
    /// By application key.
    applications: BTreeMap<String, Keyring<Hmac<Sha256>>>,
    unusable: Option<String>,
}

struct Secret {
    sha256: Hmac<Sha256>,
    sha1: Hmac<Sha1>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Keys({:?}, {} applications, problem: {:?})",
            self.secrets,
            self.applications.len(),
            self.unusable
        )
    }
}

impl Keys {
    pub fn load(vendor: &str, config: &VendorConfig) -> Self {
        let secrets = Keyring::load(vendor, &config.secrets, |text| {
            Ok(Secret { sha256: state(text.as_bytes()), sha1: state(text.as_bytes()) })
        });
        // No secret at all is somebody who uses Sinch for calls only.
        let optional = config.secrets.is_empty() && !config.accounts.is_empty();
        let mut unusable = secrets.unusable().filter(|_| !optional).map(str::to_owned);
        let mut applications = BTreeMap::new();
        for (key, secrets) in &config.accounts {
            let keyring = Keyring::load_at(&format!("vendors.{vendor}.accounts.{key}"), secrets, application_secret);
            unusable = unusable.or_else(|| keyring.unusable().map(str::to_owned));
            applications.insert(key.clone(), keyring);
        }
        Self { secrets, applications, unusable }
    }

    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Whether a live key signed the request.
    pub fn check(&self, request: &Request<'_>, age: Age, trace: &mut Trace) -> Result<(), Refusal> {
        let forms = [
            request.headers.contains_key(WEBHOOK),
            request.headers.contains_key(NUMBERS),
            names_application(request.headers),
        ];
        let [webhook, numbers, application] = forms;
        if webhook {
            self.check_webhook(request, age, trace)?;
        }
        if numbers {
            self.check_numbers(request, trace)?;
        }
        if application {
            self.check_application(request, age, trace)?;
        }
        if forms.contains(&true) { Ok(()) } else { Err(Refusal::MissingHeader(WEBHOOK.into())) }
    }

    fn check_webhook(&self, request: &Request<'_>, age: Age, trace: &mut Trace) -> Result<(), Refusal> {
        let received = keyring::header(request.headers, WEBHOOK, trace)?;
        let nonce = keyring::header(request.headers, WEBHOOK_NONCE, trace)?;
        let timestamp = keyring::header(request.headers, WEBHOOK_TIMESTAMP, trace)?;
        // Neither may hold a dot: then the last two dots end the body, and its tail cannot pass for a nonce.
        for (name, value) in [(WEBHOOK_NONCE, nonce), (WEBHOOK_TIMESTAMP, timestamp)] {
            if value.contains('.') {
                return Err(Refusal::malformed(name));
            }
        }
        age.check(WEBHOOK_TIMESTAMP, || keyring::seconds(timestamp))?;
        let message = [request.body, b".", nonce.as_bytes(), b".", timestamp.as_bytes()];
        trace.signed("body, nonce and timestamp, with dots between them", || message.concat());
        self.by_secret(trace, |place, secret, trace| {
            keyring::matches(place, &base64_of(&secret.sha256, &message), received.as_bytes(), trace)
        })
    }

    fn check_numbers(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let received = keyring::header(request.headers, NUMBERS, trace)?;
        trace.signed("the body", || request.body.to_vec());
        self.by_secret(trace, |place, secret, trace| {
            let mut expected = [0; 40];
            let digest = secret.sha1.clone().chain_update(request.body).finalize().into_bytes();
            hex::encode_to_slice(digest, &mut expected).expect("20 bytes are 40 digits");
            keyring::matches(place, &expected, received.as_bytes(), trace)
        })
    }

    fn by_secret(&self, trace: &mut Trace, signed: impl Fn(&str, &Secret, &mut Trace) -> bool) -> Result<(), Refusal> {
        if self.secrets.is_empty() {
            return Err(Refusal::unknown("a signature under `secrets`, of which there are none,"));
        }
        match self.secrets.iter().any(|(place, secret)| signed(place, secret, trace)) {
            true => Ok(()),
            false => Err(Refusal::Mismatch),
        }
    }

    fn check_application(&self, request: &Request<'_>, age: Age, trace: &mut Trace) -> Result<(), Refusal> {
        let credentials = keyring::header(request.headers, APPLICATION, trace)?;
        let (key, received) = credentials
            .split_once(' ')
            .and_then(|(_, credentials)| credentials.trim().split_once(':'))
            .ok_or(Refusal::malformed(APPLICATION))?;
        // Nobody has vouched for the name yet; the signature will, and only with that application's own secret.
        let secrets = self.applications.get(key).ok_or(Refusal::unknown("the application key"))?;
        let timestamp = keyring::header(request.headers, APPLICATION_TIMESTAMP, trace)?;
        age.check(APPLICATION_TIMESTAMP, || Some(DateTime::parse_from_rfc3339(timestamp).ok()?.timestamp()))?;
        let content_type = keyring::header(request.headers, "content-type", trace)?;
        // MD5 is what Sinch signs. To forge under it somebody needs a second body for a given digest, which even MD5
        // withstands; a colliding pair would take a part in writing the genuine one.
        let body = if request.body.is_empty() { String::new() } else { STANDARD.encode(Md5::digest(request.body)) };
        // No part can hold a line end, so nothing moves between the lines.
        let lines: Vec<u8> =
            [request.method.as_str(), &body, content_type, &format!("x-timestamp:{timestamp}"), path(request.url)]
                .join("\n")
                .into_bytes();
        trace.signed("method, MD5 of the body, content type, x-timestamp and path, in lines", || lines.clone());
        let signed = secrets
            .iter()
            .any(|(place, secret)| keyring::matches(place, &base64_of(secret, &[&lines]), received.as_bytes(), trace));
        if signed { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

fn state<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("HMAC takes keys of any length")
}

fn application_secret(text: &str) -> Result<Hmac<Sha256>, &'static str> {
    let url_safe = text.replace('+', "-").replace('/', "_");
    match SECRET.decode(url_safe) {
        Ok(bytes) if bytes.is_empty() => Err("holds no key"),
        Ok(bytes) => Ok(state(&bytes)),
        Err(_) => Err("is not base64"),
    }
}

fn base64_of(state: &Hmac<Sha256>, message: &[&[u8]]) -> [u8; 44] {
    let mut mac = state.clone();
    message.iter().for_each(|part| mac.update(part));
    let mut text = [0; 44];
    STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text).expect("32 bytes are 44 characters");
    text
}

/// Whether an `Authorization` header is of the scheme `Application`.
fn names_application(headers: &HeaderMap) -> bool {
    let scheme = |value: &http::HeaderValue| {
        let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"application")
    };
    headers.get_all(AUTHORIZATION).iter().any(scheme)
}

/// The path of a URL.
fn path(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or("/", |at| &url[host + at..])
}
