//! Headers that proxies and exports change: signatures, and the content type that says how a body is read.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use http::{
    HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use percent_encoding::percent_decode_str;

use super::Hypothesis;
use crate::{
    explain::case::{Case, Change},
    vendors::Step,
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
/// What stands before a signature in its header.
const PREFIXES: [&str; 8] = ["v1,", "v1a,", "v1=", "v0=", "sha256=", "sha1=", "Bearer ", "Basic "];

pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let read = read(case);
    for name in case.headers.keys().filter(|name| is_signature(name) || read.iter().any(|read| read == name.as_str())) {
        repeated(case, name, &mut all);
        if let Some(text) = case.headers.get(name).and_then(|value| value.to_str().ok()) {
            for (code, text, cause, advice) in rewritten(text) {
                let Ok(value) = HeaderValue::try_from(text) else { continue };
                let cause = format!("{name}: {cause}.");
                all.push(Hypothesis::new(code, Change::Header(name.clone(), value), cause, advice));
            }
        }
    }
    content_type(case, &mut all);
    let other = if case.method == Method::POST { Method::GET } else { Method::POST };
    all.push(Hypothesis::new(
        "header.method",
        Change::Method(other.clone()),
        format!("The vendor sent {other}, and the capture says {}.", case.method),
        "Something on the way repeats the request with another method, as redirects do: give the vendor the final URL.",
    ));
    all
}

fn is_signature(name: &HeaderName) -> bool {
    let text = name.as_str();
    *name == AUTHORIZATION || ["sign", "token", "hmac"].iter().any(|word| text.contains(word))
}

/// The headers that the verifier reads: a configured one may have any name.
fn read(case: &Case) -> Vec<String> {
    let name = |step| match step {
        Step::Header { name, .. } => Some(name),
        _ => None,
    };
    case.verify().steps.into_iter().filter_map(name).collect()
}

/// A header that is there twice is refused; one of the two may be the vendor's.
fn repeated(case: &Case, name: &HeaderName, all: &mut Vec<Hypothesis>) {
    let values = case.headers.get_all(name);
    if values.iter().count() < 2 {
        return;
    }
    for (index, value) in values.iter().enumerate() {
        all.push(Hypothesis::new(
            "header.repeated",
            Change::Header(name.clone(), value.clone()),
            format!("{name} is there more than once; value {} alone is the vendor's.", index + 1),
            "Find what adds the other (a proxy, a test tool), and let it stop.",
        ));
    }
}

type Rewritten = (&'static str, String, &'static str, &'static str);

/// What the vendor may have written where this was captured.
fn rewritten(text: &str) -> Vec<Rewritten> {
    const UNCHANGED: &str =
        "Let whatever handles the request on its way (proxy, gateway, test script) pass the header unchanged.";
    const PADDING: &str = "header.padding";
    const ENCODING: &str = "header.encoding";
    let mut all = Vec::new();
    let (prefix, bare) =
        PREFIXES.iter().find_map(|prefix| Some((*prefix, text.strip_prefix(prefix)?))).unwrap_or(("", text));
    let mut add = |code, bare: String, cause| all.push((code, format!("{prefix}{bare}"), cause, UNCHANGED));

    let unpadded = bare.trim_end_matches('=');
    add(PADDING, format!("{unpadded}="), "the signature lost its padding, a final =");
    add(PADDING, format!("{unpadded}=="), "the signature lost its padding, a final ==");
    add(PADDING, unpadded.to_owned(), "the signature got padding (=) that the vendor does not send");
    add(ENCODING, bare.replace(' ', "+"), "each + of the signature became a space, as if it were part of a URL");
    if let Ok(decoded) = percent_decode_str(bare).decode_utf8() {
        add(ENCODING, decoded.into_owned(), "the signature is percent-escaped");
    }
    add(ENCODING, bare.trim_matches(['"', '\'', ' ']).to_owned(), "the signature is in quotes");
    add(ENCODING, bare.to_ascii_lowercase(), "the signature is in upper case");
    if let Ok(bytes) = hex::decode(bare) {
        add(ENCODING, STANDARD.encode(bytes), "the signature is in hex, and base64 is expected");
    }
    if let Ok(bytes) = URL_SAFE.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)) {
        add(
            ENCODING,
            STANDARD.encode(bytes),
            "the signature is in the URL-safe base64, and the standard one is expected",
        );
    }
    if let Ok(bytes) = STANDARD.decode(bare) {
        add(ENCODING, hex::encode(&bytes), "the signature is in base64, and hex is expected");
        if let Ok(text) = String::from_utf8(bytes) {
            add(ENCODING, text, "the signature is in base64 twice");
        }
    }
    if prefix.is_empty() {
        for prefix in PREFIXES {
            all.push((ENCODING, format!("{prefix}{text}"), "the signature lost what stands before it", UNCHANGED));
        }
    } else {
        all.push((
            ENCODING,
            bare.to_owned(),
            "something stands before the signature that the vendor does not send",
            UNCHANGED,
        ));
    }
    // Lists: proxies join repeated headers with commas, and Standard Webhooks separates by spaces.
    all.push((
        ENCODING,
        text.replace(", ", " "),
        "several signatures are joined by commas instead of spaces",
        UNCHANGED,
    ));
    for part in text.split(", ").filter(|part| part.len() < text.len()) {
        all.push((ENCODING, part.to_owned(), "two values were joined by a comma", UNCHANGED));
    }
    all
}

fn content_type(case: &Case, all: &mut Vec<Hypothesis>) {
    let captured = case.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    for meant in [FORM, JSON] {
        if captured.starts_with(meant) {
            continue;
        }
        all.push(Hypothesis::new(
            "header.content_type",
            Change::Header(CONTENT_TYPE, HeaderValue::from_static(meant)),
            format!("The vendor sent the body as {meant}, and it arrived as {captured}."),
            "The content type decides what is signed: let proxy, gateway or test script pass content-type unchanged.",
        ));
    }
}
