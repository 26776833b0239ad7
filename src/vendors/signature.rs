//! A signature that the configuration describes: one header, an HMAC or Ed25519, and a template of what it covers. GitHub,
//! Stripe and Slack sign in the same way and are described here ([`preset`]).
//!
//! The scheme tells who signed; what the payload means is the configuration's [`mapping`](super::mapping).

mod key;
mod message;
mod preset;

use std::{borrow::Cow, time::Duration};

use chrono::DateTime;

use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, challenge,
    keyring::{self, Keyring},
    mapping::Reader,
};
use crate::{
    clock::Timestamp,
    config::{Encoding, Layout, Scheme, Signature, TimestampPlace, VendorConfig},
    event::Event,
};
use key::Key;

/// Where the configuration says nothing else: what Stripe, Slack and Standard Webhooks take.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Rotation needs two; verifying is slow enough that a list as long as a header may be is a burden.
const MAX_ASYMMETRIC: usize = 8;
/// From here on a number counts milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

#[derive(Debug)]
pub(super) struct Signed {
    scheme: Scheme,
    /// What is missing, where nothing describes the signature.
    signature: Result<Signature, String>,
    keys: Keyring<Key>,
    tolerance: Duration,
    reader: Reader,
}

impl Signed {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let signature = preset::of(config.scheme)
            .or_else(|| config.signature.clone())
            .ok_or_else(|| format!("vendors.{name}.signature is missing"));
        let keys = match &signature {
            Ok(signature) => Keyring::load(name, &config.secrets, |text| Key::load(text, signature)),
            Err(_) => Keyring::load(name, &[], |_| Err("")),
        };
        // By default an id is taken from where it is signed, or not at all.
        let id = signature.as_ref().ok().and_then(|signature| signature.id.as_ref());
        let reader = Reader::with_event_id(name, config.mapping.as_ref(), id);
        Self { scheme: config.scheme, signature, keys, tolerance: config.tolerance.unwrap_or(TOLERANCE), reader }
    }

    fn check(
        &self,
        signature: &Signature,
        request: &Request<'_>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let header = keyring::configured_header(request.headers, &signature.header, trace)?;
        let given = given(signature, header);
        if given.is_empty() {
            return Err(Refusal::malformed(signature.header.as_str().to_owned()));
        }
        let timestamp = timestamp(signature, header, request, trace)?;
        if let Some(text) = timestamp {
            self.fresh(moment(text).ok_or(Refusal::malformed("the signed time"))?, now)?;
        }
        let message = message::parts(&signature.signed, request, timestamp, signature.id.as_ref(), trace)?;
        trace.signed("the template, filled in", || message.concat());
        trace.said(|| format!("the template is {}", signature.signed));

        for (place, key) in self.keys.iter() {
            let signed = match key {
                Key::Public(key) => given.iter().take(MAX_ASYMMETRIC).any(|text| {
                    let signed = key::decode(text, signature.encoding).is_some_and(|it| key::fits(key, &message, &it));
                    trace.tried_public(place, text, signed);
                    signed
                }),
                Key::Secret(key) => {
                    let expected = key::encode(&key.code(&message), signature.encoding);
                    given.iter().any(|text| {
                        let received = as_written(text, signature.encoding);
                        keyring::matches(place, expected.as_bytes(), received.as_bytes(), trace)
                    })
                }
            };
            if signed {
                return Ok(());
            }
        }
        Err(Refusal::Mismatch)
    }

    fn fresh(&self, signed: i64, now: Timestamp) -> Result<(), Refusal> {
        // Stripe's libraries refuse old times only: a clock of ours that is late refuses nothing.
        if self.scheme == Scheme::Stripe && signed > now.timestamp() {
            return Ok(());
        }
        keyring::fresh(signed, now, self.tolerance)
    }
}

/// Every signature in the header.
fn given<'a>(signature: &Signature, header: &'a str) -> Vec<&'a str> {
    match &signature.layout {
        Layout::Alone { prefix } => header.strip_prefix(prefix.as_str()).into_iter().collect(),
        Layout::List { field } => fields(header, field).collect(),
    }
}

/// The values of a name in a list `k=v,k=v`.
fn fields<'a>(list: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    list.split(',').filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The signed time's text.
fn timestamp<'a>(
    signature: &Signature,
    header: &'a str,
    request: &Request<'a>,
    trace: &mut Trace,
) -> Result<Option<&'a str>, Refusal> {
    match &signature.timestamp {
        None => Ok(None),
        Some(TimestampPlace::Header(name)) => keyring::configured_header(request.headers, name, trace).map(Some),
        Some(TimestampPlace::Field(name)) => {
            let mut values = fields(header, name);
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(Some(value)),
                _ => Err(Refusal::malformed(signature.header.as_str().to_owned())),
            }
        }
    }
}

/// Seconds since 1970, of seconds or milliseconds in digits, or of RFC 3339.
fn moment(text: &str) -> Option<i64> {
    match keyring::seconds(text) {
        Some(number) if number >= FIRST_MILLISECOND => Some(number / 1000),
        Some(number) => Some(number),
        None => DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp()),
    }
}

/// A signature as this side writes it: hex is the same in either case.
fn as_written(text: &str, encoding: Encoding) -> Cow<'_, str> {
    match encoding {
        Encoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(text.to_ascii_lowercase()),
        _ => Cow::Borrowed(text),
    }
}

impl Vendor for Signed {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let signature = self.signature.as_ref().map_err(|missing| Refusal::NoKey(missing.clone()))?;
        keyring::or_no_key(self.check(signature, request, now, trace), self.keys.unusable())
    }

    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        let slack = if self.scheme == Scheme::Slack { challenge::slack(request) } else { None };
        slack.or_else(|| challenge::event_grid(request))
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        self.reader.identify(request)
    }

    fn kept_headers(&self) -> &[http::HeaderName] {
        self.reader.headers()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        self.reader.events(callback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_time_is_seconds_milliseconds_or_rfc_3339() {
        for text in ["1795200000", "1795200000999", "2026-11-20T18:40:00Z", "2026-11-20T19:40:00.5+01:00"] {
            assert_eq!(moment(text), Some(1_795_200_000), "{text}");
        }
        for text in ["", "-1", "+1", "1795200000.0", " 1795200000", "soon", "99999999999999999999"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_gives_the_values_of_exactly_one_name() {
        let values = |list| fields(list, "v1").collect::<Vec<_>>();
        assert_eq!(values("t=1,v1=a, v1=b=,v10=c,xv1=d,v1"), ["a", "b="]);
        assert_eq!(values(""), [""; 0]);
    }
}
