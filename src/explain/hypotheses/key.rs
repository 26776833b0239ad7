//! Secrets that were pasted with something around them, read in the wrong form, or swapped.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::Hypothesis;
use crate::{
    config::VendorConfig,
    explain::case::{Case, Change, Place},
};

pub(super) fn hypotheses(case: &Case, vendors: &BTreeMap<String, VendorConfig>) -> Vec<Hypothesis> {
    let places = Place::all(&case.config);
    let mut all = Vec::new();
    for (place, text) in &places {
        let key = place.key(&case.name);
        for (code, read, cause, advice) in readings(text.trim()) {
            let change = Change::Secret(place.clone(), read);
            all.push(Hypothesis::new(code, change, format!("The secret at {key} {cause}."), advice));
        }
    }
    // Which of a vendor's secrets counts may depend on the request, so each stands in for each.
    for (place, _) in &places {
        for (other, text) in &places {
            let (here, there) = (place.key(&case.name), other.key(&case.name));
            let change = Change::Secret(place.clone(), (*text).to_owned());
            let cause = format!("It was signed with the secret at {there}, where the one at {here} is expected.");
            let advice = "See which account or key the vendor's console uses for this URL.";
            all.push(Hypothesis::new("key.other_account", change, cause, advice));
        }
    }
    for (name, config) in vendors.iter().filter(|(name, _)| **name != case.name) {
        for (other, text) in Place::all(config) {
            let Some((place, _)) = places.first() else { continue };
            let change = Change::Secret(place.clone(), text.to_owned());
            let cause = format!("It was signed with the secret of vendor {name} ({}).", other.key(name));
            let advice = format!(
                "The secrets are swapped, or the callbacks of {name} were given the URL of {}: compare both in the consoles.",
                case.name
            );
            all.push(Hypothesis::new("key.other_vendor", change, cause, advice));
        }
    }
    all
}

type Reading = (&'static str, String, &'static str, &'static str);

/// What else this text may be meant to be.
fn readings(text: &str) -> Vec<Reading> {
    const QUOTES: &str = "key.quotes";
    const ENCODING: &str = "key.encoding";
    const BARE: &str = "Set the environment variable to the bare secret, as the vendor's console shows it.";
    const FORM: &str = "Write the secret in the form that the scheme expects.";
    let mut all = Vec::new();
    let mut add = |code, text: &str, cause, advice| all.push((code, text.to_owned(), cause, advice));

    let unquoted = text.trim_matches(['"', '\'', '`', '\u{201c}', '\u{201d}']).trim();
    add(QUOTES, unquoted, "has quotes around it", BARE);
    add(QUOTES, text.trim_end_matches("\\n").trim_end_matches("\\r"), "ends with the two characters \\n", BARE);
    add(QUOTES, &text.replace("\\n", "\n"), "has \\n where line ends belong", BARE);
    add(QUOTES, text.trim_start_matches(['\u{feff}', '\u{200b}']), "begins with an invisible character", BARE);
    add(QUOTES, &text.replace([' ', '\t', '\r', '\n'], ""), "has space inside it", BARE);
    if let Some((name, value)) = text.split_once('=')
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    {
        add(QUOTES, value.trim_matches(['"', '\'']), "has the variable's own name before it", BARE);
    }
    for prefix in ["Bearer ", "Basic ", "whsec_", "key=", "token="] {
        if let Some(bare) = text.strip_prefix(prefix) {
            add(QUOTES, bare, "has a prefix that is no part of it", BARE);
        }
    }

    let bare = unquoted.strip_prefix("whsec_").unwrap_or(unquoted);
    let whsec = |bytes: &[u8]| format!("whsec_{}", STANDARD.encode(bytes));
    let as_text = "was used by the sender as text, and here it is read as base64";
    let plain = "The sender does not follow the specification, which takes base64 after whsec_: \
                 have it decode the secret, or configure whsec_ and the base64 of the text.";
    add(ENCODING, &whsec(unquoted.as_bytes()), as_text, plain);
    add(
        ENCODING,
        &whsec(bare.as_bytes()),
        "was used by the sender as text after whsec_, and here it is read as base64",
        plain,
    );
    add(ENCODING, &STANDARD.encode(unquoted), as_text, FORM);
    if let Ok(bytes) = hex::decode(bare) {
        add(ENCODING, &whsec(&bytes), "is hex, and here it is read as base64", FORM);
        add(ENCODING, &STANDARD.encode(&bytes), "is hex, and here it is read as base64", FORM);
        if let Ok(text) = String::from_utf8(bytes) {
            add(ENCODING, &text, "is in hex, and here it is read as text", FORM);
        }
    }
    if let Ok(bytes) = STANDARD.decode(bare) {
        add(ENCODING, &hex::encode(&bytes), "is in base64, and the sender reads it as hex", FORM);
        if let Ok(text) = String::from_utf8(bytes) {
            add(ENCODING, &text, "is in base64, and here it is read as text", FORM);
        }
    }
    add(ENCODING, &hex::encode(unquoted), "was used by the sender as text, and here it is read as hex", FORM);
    add(ENCODING, &text.to_ascii_lowercase(), "is in upper case, and the vendor's is in lower case", BARE);
    add(ENCODING, &text.to_ascii_uppercase(), "is in lower case, and the vendor's is in upper case", BARE);
    all
}
