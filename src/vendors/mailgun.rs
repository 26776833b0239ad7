//! Mailgun: e-mail events and inbound mail. [`signature`] finds who signed, [`payload`] reads what was sent, [`seen`]
//! remembers the tokens.
//!
//! The signature is inside the body: hex of HMAC-SHA256(webhook signing key, timestamp + token). It covers nothing else
//! (<https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks>), so whoever holds one signed
//! callback could send it again with any event in it. That is why a token counts once and not for long.

mod payload;
mod seen;
mod signature;

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use self::{seen::Seen, signature::Fields};
use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

/// Mailgun tries again for 8 hours, and nobody says whether it signs anew:
/// <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries>.
const TOLERANCE: Duration = Duration::from_secs(9 * 3600);
/// Nothing lies between time and token, so their border is known by the token's length only.
const TOKEN_LENGTH: usize = 50;

#[derive(Debug)]
pub(super) struct Mailgun {
    name: String,
    keys: Keyring<Hmac<Sha256>>,
    /// `None` asks no more than Mailgun's own libraries do: no age, and no length of the token.
    tolerance: Option<Duration>,
    seen: Seen,
}

impl Mailgun {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let tolerance = config.tolerance.unwrap_or(TOLERANCE);
        Self {
            name: name.to_owned(),
            keys: Keyring::load(name, &config.secrets, |text| {
                Ok(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"))
            }),
            tolerance: Some(tolerance).filter(|tolerance| *tolerance < Duration::MAX),
            seen: Seen::new(tolerance),
        }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let Fields { timestamp, token, signature } =
            Fields::of_request(request).ok_or(Refusal::malformed("the signature in the body"))?;
        let signed = keyring::seconds(&timestamp).ok_or(Refusal::malformed("the timestamp"))?;
        if let Some(tolerance) = self.tolerance {
            if token.len() != TOKEN_LENGTH {
                return Err(Refusal::malformed("the token"));
            }
            keyring::fresh(signed, now, tolerance)?;
        }
        trace.signed("the timestamp, directly followed by the token", || format!("{timestamp}{token}").into_bytes());
        let signed = self.keys.iter().any(|(place, key)| {
            let mac = key.clone().chain_update(timestamp.as_bytes()).chain_update(token.as_bytes());
            let mut expected = [0; 64];
            hex::encode_to_slice(mac.finalize().into_bytes(), &mut expected).expect("32 bytes are 64 digits");
            keyring::matches(place, &expected, signature.as_bytes(), trace)
        });
        if signed { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

impl Vendor for Mailgun {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.check(request, now, trace), self.keys.unusable())
    }

    /// A token that comes again is a retry whose answer was lost, or somebody else's replay: either way it is answered
    /// and goes no further.
    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        let fields = Fields::of_request(request)?;
        self.seen.contains(&fields.token).then_some(Handshake::Answer(None))
    }

    fn accepted(&self, request: &Request<'_>, _now: Timestamp) {
        if let Some(fields) = Fields::of_request(request) {
            self.seen.insert(&fields.token);
        }
    }

    /// The token names the delivery, also towards instances that have not seen it. What the body says beside it is
    /// signed by nobody, so it names nothing here.
    fn identify(&self, request: &Request<'_>) -> Identity {
        let fields = Fields::of_request(request);
        Identity { subject: None, dedupe_key: fields.map(|fields| format!("{}:{}", self.name, fields.token)) }
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
