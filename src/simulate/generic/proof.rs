//! How a generic vendor proves that a callback is its own: the sending side of every generic scheme, written from the
//! vendors' documentation and that of the configuration.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::super::{
    fact::SignedRequest,
    sign::{CodeKey, LENIENT, StandardKey, header},
};
use crate::{
    clock::Timestamp,
    config::{
        Algorithm, Credential, Encoding, Layout, Part, Scheme, SecretText, Signature, TimestampPlace, VendorConfig,
    },
};

/// What goes into a header of which nothing else is known.
const ANYTHING: HeaderValue = HeaderValue::from_static("simulated");

pub(in crate::simulate) enum Proof {
    Nothing,
    /// A shared secret, ready to be sent.
    Credential(HeaderName, HeaderValue),
    Standard(StandardKey),
    Github(CodeKey),
    Stripe(CodeKey),
    Slack(CodeKey),
    /// As the configuration describes it, with the URL that the vendor was given.
    Described(CodeKey, Box<Signature>, String),
}

impl Proof {
    /// The proof by a secret of a vendor with one of the generic schemes.
    ///
    /// # Errors
    /// Nobody but the vendor could prove it with what the configuration holds.
    pub fn new(vendor: &VendorConfig, secret: &str, public_url: &str) -> Result<Self, &'static str> {
        let secret = secret.trim();
        let text_key = || CodeKey::sha256(secret.as_bytes());
        Ok(match vendor.scheme {
            Scheme::StandardWebhooks => Proof::Standard(
                StandardKey::parse(secret)
                    .ok_or("its secret is not base64 (with whpk_ only the vendor itself can sign)")?,
            ),
            Scheme::Github => Proof::Github(text_key()),
            Scheme::Stripe => Proof::Stripe(text_key()),
            Scheme::Slack => Proof::Slack(text_key()),
            Scheme::Signature => {
                let signature = vendor.signature.clone().ok_or("nothing describes its signature")?;
                Proof::Described(described_key(&signature, secret)?, Box::new(signature), public_url.to_owned())
            }
            Scheme::Credential => {
                let (name, value) = match &vendor.credential {
                    Credential::Basic => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(secret))),
                    Credential::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
                    Credential::Header(name) => (name.clone(), secret.to_owned()),
                };
                let value = HeaderValue::from_str(&value).map_err(|_| "its secret cannot be the value of a header")?;
                Proof::Credential(name, value)
            }
            _ => Proof::Nothing,
        })
    }

    /// Where the id of an event is when the mapping does not say.
    pub fn event_id(&self) -> Option<String> {
        match self {
            Proof::Nothing | Proof::Credential(..) | Proof::Standard(_) => Some("header:webhook-id".to_owned()),
            Proof::Described(_, signature, _) => signature.id.as_ref().map(|name| format!("header:{name}")),
            Proof::Github(_) | Proof::Stripe(_) | Proof::Slack(_) => None,
        }
    }

    /// Adds the proof to a request that is otherwise complete.
    pub fn add(&self, request: &mut SignedRequest, id: &str, now: Timestamp) {
        let timestamp = now.timestamp().to_string();
        let SignedRequest { headers, body, .. } = request;
        match self {
            Proof::Nothing => {}
            Proof::Credential(name, value) => _ = headers.insert(name, value.clone()),
            Proof::Standard(key) => {
                headers.insert("webhook-signature", header(&key.sign(id, &timestamp, body)));
                headers.insert("webhook-id", header(id));
                headers.insert("webhook-timestamp", header(&timestamp));
            }
            Proof::Github(key) => {
                let code = hex::encode(key.code(&[body]));
                headers.insert("x-hub-signature-256", header(&format!("sha256={code}")));
            }
            Proof::Stripe(key) => {
                let code = hex::encode(key.code(&[timestamp.as_bytes(), b".", body]));
                headers.insert("stripe-signature", header(&format!("t={timestamp},v1={code}")));
            }
            Proof::Slack(key) => {
                let code = hex::encode(key.code(&[b"v0:", timestamp.as_bytes(), b":", body]));
                headers.insert("x-slack-request-timestamp", header(&timestamp));
                headers.insert("x-slack-signature", header(&format!("v0={code}")));
            }
            Proof::Described(key, signature, public_url) => {
                complete(headers, signature, id, &timestamp);
                let code = key.code(&[&signed_text(signature, request, id, &timestamp, public_url)]);
                let code = match signature.encoding {
                    Encoding::Hex => hex::encode(code),
                    Encoding::Base64 => STANDARD.encode(code),
                };
                let value = match (&signature.layout, &signature.timestamp) {
                    (Layout::Alone { prefix }, _) => format!("{prefix}{code}"),
                    (Layout::List { field }, Some(TimestampPlace::Field(time))) => {
                        format!("{time}={timestamp},{field}={code}")
                    }
                    (Layout::List { field }, _) => format!("{field}={code}"),
                };
                request.headers.insert(&signature.header, header(&value));
            }
        }
    }
}

fn described_key(signature: &Signature, secret: &str) -> Result<CodeKey, &'static str> {
    let bytes = match signature.secret {
        None | Some(SecretText::Text) => secret.as_bytes().to_vec(),
        Some(SecretText::Base64) => LENIENT.decode(secret).map_err(|_| "its secret is not base64")?,
        Some(SecretText::Hex) => hex::decode(secret).map_err(|_| "its secret is not hex")?,
    };
    Ok(match signature.algorithm {
        Algorithm::HmacSha1 => CodeKey::sha1(&bytes),
        Algorithm::HmacSha256 => CodeKey::sha256(&bytes),
        Algorithm::HmacSha384 => CodeKey::sha384(&bytes),
        Algorithm::HmacSha512 => CodeKey::sha512(&bytes),
        Algorithm::Ed25519 => return Err("its key is a public one: only the vendor itself can sign"),
    })
}

/// Sends every header that the signature is about.
fn complete(headers: &mut HeaderMap, signature: &Signature, id: &str, timestamp: &str) {
    if let Some(TimestampPlace::Header(name)) = &signature.timestamp {
        headers.insert(name, header(timestamp));
    }
    if let Some(name) = &signature.id {
        headers.insert(name, header(id));
    }
    for part in signature.signed.parts() {
        if let Part::Header(name) = part {
            headers.entry(name).or_insert(ANYTHING);
        }
    }
}

fn signed_text(signature: &Signature, request: &SignedRequest, id: &str, timestamp: &str, public_url: &str) -> Vec<u8> {
    let url = format!("{public_url}{}", request.path);
    let parsed = url::Url::parse(&url).expect("a checked public URL and a path are a URL");
    let parts = signature.signed.parts().iter().map(|part| match part {
        Part::Text(text) => text.as_bytes(),
        Part::Body => &request.body,
        Part::Timestamp => timestamp.as_bytes(),
        Part::Id => id.as_bytes(),
        Part::Url => url.as_bytes(),
        Part::Path => parsed.path().as_bytes(),
        Part::Method => b"POST",
        Part::Header(name) => request.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default(),
    });
    parts.collect::<Vec<_>>().concat()
}
