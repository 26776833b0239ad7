//! `X-Twilio-Signature`: base64 of an HMAC over the URL and, for a form, its sorted parameters.
//!
//! Rules (Twilio's SDKs, and docs "Webhooks security"): for each name in order, for each distinct value in order, name
//! and value without separators; a body that is no form is covered by the query parameter `bodySHA256`; a URL is tried
//! without a port and with its own or, if it has none, the default one. With a SharedKey (docs "Webhook shared keys")
//! the header `X-Twilio-Webhooks-Signature-Settings` names key and algorithm, and nothing else is tried.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    config::{MissingSecret, Secret, VendorConfig},
    vendors::{
        Refusal, Request, form,
        keys::{Keys, header},
    },
};

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// Knows every live secret.
#[derive(Debug)]
pub(super) struct Verifier {
    auth_tokens: Keys<Key>,
    shared_keys: BTreeMap<String, Keys<Key>>,
}

/// A secret, ready for both algorithms.
#[derive(Clone)]
struct Key {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(..)")
    }
}

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Verifier {
    pub fn new(config: &VendorConfig) -> Self {
        let load = |secrets: &[Result<Secret, MissingSecret>]| {
            Keys::load(secrets, |secret| {
                Ok::<_, std::convert::Infallible>(Key {
                    sha1: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"),
                    sha256: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"),
                })
            })
        };
        let shared_keys = config.shared_keys.iter();
        Self {
            auth_tokens: load(&config.secrets),
            shared_keys: shared_keys.map(|(id, secret)| (id.clone(), load(std::slice::from_ref(secret)))).collect(),
        }
    }

    pub fn verify(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let signature = header(request.headers, SIGNATURE)?;
        let (keys, algorithm) = self.choose(request)?;
        let parameters = signed_parameters(request)?;
        let urls = candidates(request.url);
        keys.any(|key| {
            urls.iter().any(|url| {
                let expected = match algorithm {
                    Algorithm::Sha1 => BASE64_STANDARD.encode(mac(&key.sha1, url, &parameters)),
                    Algorithm::Sha256 => BASE64_STANDARD.encode(mac(&key.sha256, url, &parameters)),
                };
                expected.as_bytes().ct_eq(signature.as_bytes()).into()
            })
        })
    }

    /// The keys and the algorithm that the request is to be held to.
    fn choose(&self, request: &Request<'_>) -> Result<(&Keys<Key>, Algorithm), Refusal> {
        let settings = match header(request.headers, SETTINGS) {
            Ok(settings) => settings,
            Err(Refusal::MissingHeader(_)) => return Ok((&self.auth_tokens, Algorithm::Sha1)),
            Err(refusal) => return Err(refusal),
        };
        let (mut id, mut algorithm) = (None, Algorithm::Sha1);
        for setting in settings.split(',') {
            match setting.trim().split_once('=') {
                Some(("key", value)) => id = Some(value.trim()),
                Some(("algorithm", value)) if value.trim().eq_ignore_ascii_case("HMAC_SHA256") => {
                    algorithm = Algorithm::Sha256;
                }
                Some(("algorithm", value)) if value.trim().eq_ignore_ascii_case("HMAC_SHA1") => {
                    algorithm = Algorithm::Sha1;
                }
                Some(("algorithm", _)) => return Err(Refusal::Unknown("the signature algorithm")),
                _ => {}
            }
        }
        let keys = id.and_then(|id| self.shared_keys.get(id)).ok_or(Refusal::Unknown("the shared key"))?;
        Ok((keys, algorithm))
    }
}

/// The parameters that are signed beside the URL, sorted, without repeats.
fn signed_parameters<'a>(request: &Request<'a>) -> Result<Vec<form::Pair<'a>>, Refusal> {
    let is_form = || {
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(form::is_form)
    };
    let body_hash = request.url.split_once('?').and_then(|(_, query)| body_sha256(query));
    if request.body.is_empty() && body_hash.is_none() {
        return Ok(Vec::new());
    }
    if is_form() {
        let mut parameters: Vec<_> = form::pairs(request.body).collect();
        parameters.sort_unstable();
        parameters.dedup();
        return Ok(parameters);
    }
    let Some(announced) = body_hash else { return Err(Refusal::Malformed("a body without bodySHA256")) };
    let actual = hex::encode(Sha256::digest(request.body));
    match actual.as_bytes().ct_eq(&announced).into() {
        true => Ok(Vec::new()),
        false => Err(Refusal::Mismatch),
    }
}

fn body_sha256(query: &str) -> Option<Cow<'_, [u8]>> {
    let query = query.split('#').next().unwrap_or_default();
    form::pairs(query.as_bytes()).find(|(name, _)| name.as_ref() == b"bodySHA256").map(|(_, value)| value)
}

/// The URL as it is, and with the other reading of its port.
fn candidates(url: &str) -> [[&str; 3]; 2] {
    let whole = [url, "", ""];
    let Some((scheme, rest)) = url.split_once("://") else { return [whole, whole] };
    let start = scheme.len() + 3;
    let end = start + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &url[start..end];
    let host_start = authority.rfind('@').map_or(0, |at| at + 1);
    // Colons within brackets belong to an IPv6 address.
    let search_from = authority.rfind(']').map_or(host_start, |at| at + 1);
    match authority[search_from..].rfind(':') {
        Some(colon) => [whole, [&url[..start + search_from + colon], "", &url[end..]]],
        None => {
            let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
            [whole, [&url[..end], port, &url[end..]]]
        }
    }
}

fn mac<M: Mac + Clone>(keyed: &M, url: &[&str; 3], parameters: &[form::Pair]) -> hmac::digest::Output<M> {
    let mut mac = keyed.clone();
    for piece in url {
        mac.update(piece.as_bytes());
    }
    for (name, value) in parameters {
        mac.update(name);
        mac.update(value);
    }
    mac.finalize().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_tried_with_one_other_reading_of_its_port() {
        for (url, other) in [
            ("https://h.example/p?q", "https://h.example:443/p?q"),
            ("http://h.example", "http://h.example:80"),
            ("https://h.example:8443/p", "https://h.example/p"),
            ("https://u:p@h.example/p:1", "https://u:p@h.example:443/p:1"),
            ("https://[::1]/p", "https://[::1]:443/p"),
            ("https://[::1]:8443/p", "https://[::1]/p"),
            ("not a url", "not a url"),
        ] {
            assert_eq!(candidates(url).map(|pieces| pieces.concat()), [url.to_owned(), other.to_owned()]);
        }
    }
}
