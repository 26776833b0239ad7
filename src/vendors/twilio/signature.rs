//! `X-Twilio-Signature`: base64 of an HMAC over the URL and the sorted parameters.
//! <https://www.twilio.com/docs/usage/webhooks/webhooks-security> and
//! <https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys>
//!
//! The URL counts exactly as it was sent. Twilio's Node library also tries normalised forms; its Python library does
//! not, and neither does this: each form tried is one more text that a signature may be found for.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header::CONTENT_TYPE};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Content, query};
use crate::{
    config::VendorConfig,
    vendors::{
        Refusal, Request, Trace,
        form::{self, Form},
        keyring::{self, Keyring},
    },
};

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// Auth tokens sign with SHA-1 and without a settings header; a SharedKey is named by one, with its algorithm. A
/// subaccount signs with a token of its own.
pub(super) struct Keys {
    tokens: Keyring<Hmac<Sha1>>,
    /// By AccountSid.
    subaccounts: BTreeMap<String, Keyring<Hmac<Sha1>>>,
    shared: BTreeMap<String, SharedKey>,
    unusable: Option<String>,
}

struct SharedKey {
    place: String,
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({:?}, {} shared, problem: {:?})", self.tokens, self.shared.len(), self.unusable)
    }
}

impl Keys {
    pub fn load(vendor: &str, config: &VendorConfig) -> Self {
        let tokens = Keyring::load(vendor, &config.secrets, |text| Ok(state(text)));
        // No auth token at all is an account that signs with SharedKeys or through subaccounts only.
        let optional = config.secrets.is_empty() && !(config.shared_keys.is_empty() && config.accounts.is_empty());
        let mut unusable = tokens.unusable().filter(|_| !optional).map(str::to_owned);
        let mut subaccounts = BTreeMap::new();
        for (sid, secrets) in &config.accounts {
            let place = format!("vendors.{vendor}.accounts.{sid}");
            let tokens = Keyring::load_at(&place, secrets, |text| Ok(state(text)));
            unusable = unusable.or_else(|| tokens.unusable().map(str::to_owned));
            subaccounts.insert(sid.clone(), tokens);
        }
        let mut shared = BTreeMap::new();
        for (id, secret) in &config.shared_keys {
            let place = format!("vendors.{vendor}.shared_keys.{id}");
            match keyring::load_one(&place, secret, |text| {
                Ok(SharedKey { place: place.clone(), sha1: state(text), sha256: state(text) })
            }) {
                Ok(key) => _ = shared.insert(id.clone(), key),
                Err(problem) => _ = unusable.get_or_insert(problem),
            }
        }
        Self { tokens, subaccounts, shared, unusable }
    }

    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Whether a live key signed the request.
    pub fn check(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let given = keyring::header(request.headers, SIGNATURE, trace)?.as_bytes();
        let message = Message::of(request)?;
        let signed = match settings(request.headers, trace)? {
            None => {
                let tokens = self.tokens_of(request, trace);
                if tokens.is_empty() {
                    return Err(Refusal::MissingHeader(SETTINGS.into()));
                }
                let mut signed = false;
                for (place, token) in tokens.iter() {
                    signed = signed || message.signed::<_, 28>(place, token, given, trace)?;
                }
                signed
            }
            Some((id, algorithm)) => {
                let key = self.shared.get(id).ok_or(Refusal::unknown("the SharedKey"))?;
                match algorithm {
                    Algorithm::Sha1 => message.signed::<_, 28>(&key.place, &key.sha1, given, trace)?,
                    Algorithm::Sha256 => message.signed::<_, 44>(&key.place, &key.sha256, given, trace)?,
                }
            }
        };
        if signed { message.check_body(trace) } else { Err(Refusal::Mismatch) }
    }

    /// The tokens of the account that the request names, where that is a configured subaccount. Nobody has vouched for
    /// the name yet; the signature will, and only with that account's own token.
    fn tokens_of(&self, request: &Request<'_>, trace: &mut Trace) -> &Keyring<Hmac<Sha1>> {
        if self.subaccounts.is_empty() {
            return &self.tokens;
        }
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let parameters = match Content::of(content_type, request.body) {
            Content::Form => request.body,
            Content::Nothing | Content::Other => query(request.url).as_bytes(),
        };
        let sid =
            form::raw_pairs(parameters).find(|(key, _)| *key == b"AccountSid").and_then(|(_, sid)| form::text(sid));
        match sid.as_deref().and_then(|sid| self.subaccounts.get_key_value(sid)) {
            Some((sid, tokens)) => {
                trace.said(|| format!("AccountSid names the configured subaccount {sid}: only its tokens count"));
                tokens
            }
            None => &self.tokens,
        }
    }
}

fn state<M: KeyInit>(secret: &str) -> M {
    M::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}

enum Algorithm {
    Sha1,
    Sha256,
}

/// The SharedKey's id and the algorithm, where the request names them.
fn settings<'a>(headers: &'a HeaderMap, trace: &mut Trace) -> Result<Option<(&'a str, Algorithm)>, Refusal> {
    let text = match keyring::header(headers, SETTINGS, trace) {
        Ok(text) => text,
        Err(Refusal::MissingHeader(_)) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let (mut key, mut algorithm) = (None, None);
    for setting in text.split(',') {
        match setting.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("key", value)) => key = Some(value),
            Some(("algorithm", value)) => algorithm = Some(value),
            // Room for settings yet to come; one that changes the signature makes it differ.
            _ => {}
        }
    }
    let key = key.ok_or(Refusal::malformed(SETTINGS))?;
    match algorithm {
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA256") => Ok(Some((key, Algorithm::Sha256))),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA1") => Ok(Some((key, Algorithm::Sha1))),
        // Never a weaker one instead.
        Some(_) => Err(Refusal::unknown("the signature algorithm")),
        None => Err(Refusal::malformed(SETTINGS)),
    }
}

/// The text that is signed: the URL, then the form's pairs sorted and joined without separators.
struct Message<'a> {
    url: SignedUrl<'a>,
    form: Option<Form>,
    /// What `bodySHA256` in the query must be the digest of.
    hashed: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Message<'a> {
    fn of(request: &Request<'a>) -> Result<Self, Refusal> {
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content = Content::of(content_type, request.body);
        let mut form = None;
        let mut hashed = None;
        if content == Content::Form {
            let mut pairs = Form::parse(request.body).ok_or(Refusal::malformed("the form"))?;
            if pairs.is_blank() {
                // It would add nothing to the signed text: a request signed without a body would cover it.
                return Err(Refusal::malformed("the form"));
            }
            pairs.sort_distinct();
            form = Some(pairs);
        } else {
            let digest = form::raw_pairs(query(request.url).as_bytes()).find(|(key, _)| *key == b"bodySHA256");
            match digest {
                Some((_, digest)) => hashed = Some((request.body, digest)),
                None if content == Content::Nothing => {}
                None => return Err(Refusal::malformed("a body without bodySHA256")),
            }
        }
        Ok(Self { url: SignedUrl::of(request.url), form, hashed })
    }

    /// Whether this key gives this text, `N` characters of base64, for one of the URL's forms.
    fn signed<M: Mac + Clone, const N: usize>(
        &self,
        place: &str,
        key: &M,
        given: &[u8],
        trace: &mut Trace,
    ) -> Result<bool, Refusal> {
        if given.len() != N {
            return Err(Refusal::malformed(SIGNATURE));
        }
        for port in self.url.ports() {
            trace.signed(self.url.described(port), || self.text(port));
            let mut mac = key.clone();
            for part in [self.url.origin, port, self.url.rest] {
                mac.update(part.as_bytes());
            }
            for pair in self.form.iter().flat_map(Form::concatenated) {
                mac.update(pair);
            }
            let mut text = [0; N];
            let written = STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text);
            debug_assert_eq!(written, Ok(N), "N is the length of the algorithm's base64");
            if keyring::matches(place, &text, given, trace) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The signed text in one piece.
    fn text(&self, port: &str) -> Vec<u8> {
        let url = [self.url.origin, port, self.url.rest].concat().into_bytes();
        self.form.iter().flat_map(Form::concatenated).fold(url, |text, pair| [&text, pair].concat())
    }

    /// What the form does not bind to the URL, a digest in the URL must.
    fn check_body(&self, trace: &mut Trace) -> Result<(), Refusal> {
        let Some((body, digest)) = self.hashed else { return Ok(()) };
        let mut expected = [0; 64];
        hex::encode_to_slice(Sha256::digest(body), &mut expected).expect("32 bytes are 64 digits");
        if keyring::matches("SHA-256 of the body against bodySHA256", &expected, digest, trace) {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }
}

/// A URL, cut where its port is or would be. Twilio signs with the port or without, and older parts of it name the
/// default port where the URL has none.
struct SignedUrl<'a> {
    /// Scheme, credentials and host.
    origin: &'a str,
    /// The port with its colon; may be empty.
    port: &'a str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> SignedUrl<'a> {
    fn of(url: &'a str) -> Self {
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
        let (before, rest) = url.split_at(end);
        // Credentials may hold colons, and so does an IPv6 address in its brackets.
        let host = before[host..].rfind(['@', ']']).map_or(host, |at| host + at + 1);
        let (origin, port) = before.split_at(before[host..].find(':').map_or(end, |at| host + at));
        Self { origin, port, rest }
    }

    fn described(&self, port: &str) -> &'static str {
        match (self.port == port, port) {
            (true, _) => "the URL as it is configured",
            (false, "") => "the URL without its port",
            (false, _) => "the URL with its default port",
        }
    }

    /// The URL's own port first: that is what signatures mostly have.
    fn ports(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let other = match self.port {
            "" if self.origin.starts_with("https://") => Some(":443"),
            "" if self.origin.starts_with("http://") => Some(":80"),
            "" => None,
            _ => Some(""),
        };
        std::iter::once(self.port).chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(url: &str) -> Vec<String> {
        let url = SignedUrl::of(url);
        url.ports().map(|port| format!("{}{port}{}", url.origin, url.rest)).collect()
    }

    #[test]
    fn a_url_is_tried_with_and_without_its_port_and_with_no_other() {
        assert_eq!(forms("https://a.example/x?y=:1"), ["https://a.example/x?y=:1", "https://a.example:443/x?y=:1"]);
        assert_eq!(forms("http://a.example?y"), ["http://a.example?y", "http://a.example:80?y"]);
        assert_eq!(forms("https://a.example:8443/x"), ["https://a.example:8443/x", "https://a.example/x"]);
    }

    #[test]
    fn colons_in_credentials_and_addresses_are_no_ports() {
        assert_eq!(forms("https://u:p@a.example/x"), ["https://u:p@a.example/x", "https://u:p@a.example:443/x"]);
        assert_eq!(forms("https://u:p@a.example:1/x"), ["https://u:p@a.example:1/x", "https://u:p@a.example/x"]);
        assert_eq!(forms("https://[::1]/x"), ["https://[::1]/x", "https://[::1]:443/x"]);
        assert_eq!(forms("https://[::1]:1/x"), ["https://[::1]:1/x", "https://[::1]/x"]);
    }

    #[test]
    fn a_text_that_is_no_url_is_tried_as_it_is() {
        assert_eq!(forms(""), [""]);
        assert_eq!(forms("/x"), ["/x"]);
    }
}
