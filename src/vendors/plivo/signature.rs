//! `X-Plivo-Signature-V3`: base64 of an HMAC-SHA256 over the URL, the sorted parameters and a nonce, as Plivo's
//! own library has it: <https://github.com/plivo/plivo-python/blob/master/plivo/utils/signature_v3.py>.
//!
//! The text is `scheme://host/path`, `?`, the query as `k=v&k=v`, `.`, the posted parameters as `kvkv`, `.` and the nonce.
//! Without a query the `?` stays where parameters were posted, and without posted parameters the dot before them is left
//! out. Pairs are sorted, and equal ones stay. A port counts as the URL has it.
//!
//! Nothing separates a key from its value. Whoever gets hold of a genuine request could cut its text into other
//! parameters, and no verifier of this scheme can tell: TLS has to keep requests from strangers. A nonce with a dot is
//! refused, since it could swallow the last parameters.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, header::CONTENT_TYPE};
use sha2::Sha256;

use super::{base_and_query, parameters};
use crate::{
    config::{Legacy, VendorConfig},
    vendors::{
        Refusal, Request, Trace,
        form::Form,
        keyring::{self, Keyring},
    },
};

/// A list with commas.
const SIGNATURES: &str = "x-plivo-signature-v3";
/// The same by the main account, for callbacks of a subaccount.
const MAIN_SIGNATURES: &str = "x-plivo-signature-ma-v3";
const NONCE: &str = "x-plivo-signature-v3-nonce";
const V2_SIGNATURE: &str = "x-plivo-signature-v2";
const V2_NONCE: &str = "x-plivo-signature-v2-nonce";

/// The auth tokens of the account and of its subaccounts.
#[derive(Debug)]
pub(super) struct Keys {
    tokens: Keyring<Hmac<Sha256>>,
    /// Whether V2 is enough where there is no V3. It covers the URL without its query and the nonce: whoever has seen
    /// one such request can send any parameters with it.
    v2: bool,
}

impl Keys {
    pub fn load(vendor: &str, config: &VendorConfig) -> Self {
        let state = |token: &str| Ok(Hmac::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length"));
        Self { tokens: Keyring::load(vendor, &config.secrets, state), v2: config.legacy == Some(Legacy::PlivoV2) }
    }

    pub fn unusable(&self) -> Option<&str> {
        self.tokens.unusable()
    }

    /// Whether a live token signed the request. Where a V3 header is there V3 decides alone: V2 beside it must not make
    /// good what V3 refuses.
    pub fn check(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let there = |name: &&'static str| request.headers.contains_key(*name);
        if [SIGNATURES, MAIN_SIGNATURES].iter().any(there) {
            return self.check_v3(request, trace);
        }
        if there(&V2_SIGNATURE) {
            if self.v2 {
                return self.check_v2(request, trace);
            }
            trace.said(|| "there is a V2 signature, which covers no parameter and is not enabled (legacy)".into());
        }
        Err(Refusal::MissingHeader(SIGNATURES.into()))
    }

    fn check_v3(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let mut lists = [None; 2];
        for (list, name) in lists.iter_mut().zip([SIGNATURES, MAIN_SIGNATURES]) {
            if request.headers.contains_key(name) {
                *list = Some(keyring::header(request.headers, name, trace)?);
            }
        }
        let nonce = keyring::header(request.headers, NONCE, trace)?;
        if nonce.contains('.') {
            return Err(Refusal::malformed(NONCE));
        }
        let text = signed_text(request, nonce)?;
        trace.signed("the URL, the sorted query, the sorted parameters and the nonce", || text.clone());
        let given = || lists.iter().flatten().flat_map(|list| list.split(',')).map(str::trim);
        self.signed(&text, given, trace)
    }

    fn check_v2(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let given = keyring::header(request.headers, V2_SIGNATURE, trace)?;
        let nonce = keyring::header(request.headers, V2_NONCE, trace)?;
        let (base, _) = base_and_query(request.url);
        let text = [base, nonce].concat().into_bytes();
        trace.signed("the URL without its query, directly followed by the nonce", || text.clone());
        self.signed(&text, || std::iter::once(given), trace)
    }

    fn signed<'a, I: Iterator<Item = &'a str>>(
        &self,
        text: &[u8],
        given: impl Fn() -> I,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        for (place, token) in self.tokens.iter() {
            let mut mac = token.clone();
            mac.update(text);
            let mut expected = [0; 44];
            STANDARD.encode_slice(mac.finalize().into_bytes(), &mut expected).expect("32 bytes are 44 characters");
            if given().any(|given| keyring::matches(place, &expected, given.as_bytes(), trace)) {
                return Ok(());
            }
        }
        Err(Refusal::Mismatch)
    }
}

/// What V3 covers.
fn signed_text(request: &Request<'_>, nonce: &str) -> Result<Vec<u8>, Refusal> {
    let (base, query) = base_and_query(request.url);
    let sorted = |form: &[u8], what: &'static str| {
        let mut form = Form::parse(form).ok_or(Refusal::malformed(what))?;
        form.sort();
        Ok(form)
    };
    let query = sorted(query.as_bytes(), "the query")?;
    let posted = posted(request)?.map(|form| sorted(form, "the form")).transpose()?;
    // It would add nothing to the text but the mark before it.
    if posted.as_ref().is_some_and(Form::is_blank) {
        return Err(Refusal::malformed("the form"));
    }

    let mut text = Vec::with_capacity(request.url.len() + request.body.len() + nonce.len() + 3);
    text.extend_from_slice(base.as_bytes());
    for (index, (key, value)) in query.pairs().enumerate() {
        text.push(if index == 0 { b'?' } else { b'&' });
        text.extend_from_slice(key);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    if let Some(form) = posted {
        text.push(if query.pairs().next().is_none() { b'?' } else { b'.' });
        form.concatenated().for_each(|pair| text.extend_from_slice(pair));
    }
    text.push(b'.');
    text.extend_from_slice(nonce.as_bytes());
    Ok(text)
}

/// The body, where it is a posted form. A body of any other kind is one that no signature covers.
fn posted<'a>(request: &Request<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match parameters(content_type, request.body, "") {
        Some(form) if request.method == Method::POST => Ok(Some(form)),
        _ => Err(Refusal::malformed("a body that is no posted form")),
    }
}
