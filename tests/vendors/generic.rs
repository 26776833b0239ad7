//! Vendors that only the configuration knows: signatures by description.

mod forms;
mod handshakes;

use std::{path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use sluice::{
    config::{Config, Scheme, VendorConfig},
    vendors::{Refusal, Step, Trace, Vendor, build},
};

use crate::support::{NOW, Sent, at, config, file, missing, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/sms/status";
const SECRET: &str = "gen-secret";
const BODY: &str = "{\"id\":\"e1\"}";

/// A vendor as the configuration would describe it.
fn described(signature: &str) -> VendorConfig {
    let text = String::from_utf8(file("../sluice.toml")).unwrap();
    let table = format!(
        "[vendors.acme]\nscheme = \"signature\"\nservices = {{ sms = \"sms\" }}\nsecrets = [\"env:ACME\"]\n\
         [vendors.acme.signature]\n{signature}\n[vendors.acme.mapping]\nmessage_id = \"/id\"\nstatus = \"/s\"\nstatuses = {{}}\n"
    );
    let text = text.replace("\n[demo.secrets]\n", &format!("\n{table}\n[demo.secrets]\n"));
    let lookup = |name: &str| (name == "ACME").then(|| SECRET.to_owned());
    Config::parse(Path::new("test.toml"), &text, &lookup).unwrap().vendors.remove("acme").unwrap()
}

fn with_secrets(mut vendor: VendorConfig, secrets: &[&str]) -> Arc<dyn Vendor> {
    vendor.secrets = config(Scheme::None, secrets).secrets;
    build("acme", &vendor)
}

fn acme(signature: &str) -> Arc<dyn Vendor> {
    build("acme", &described(signature))
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha256_hex(message: &str) -> String {
    hex::encode(hmac::<Hmac<Sha256>>(SECRET.as_bytes(), message))
}

fn post(headers: &[(&str, &str)]) -> Sent {
    Sent::new(URL, headers, BODY)
}

const PLAIN: &str = r#"
header = "X-Sig"
algorithm = "hmac-sha256"
encoding = "hex"
signed = "{body}"
"#;

const TIMED: &str = r#"
header = "X-Sig"
algorithm = "hmac-sha256"
encoding = "hex"
prefix = "v1="
signed = "v1:{timestamp}:{body}"
timestamp = "header:X-Time"
"#;

const LISTED: &str = r#"
header = "X-Sig"
algorithm = "hmac-sha256"
encoding = "hex"
field = "s"
signed = "{timestamp}.{body}"
timestamp = "field:time"
"#;

/// A callback of the vendor that [`TIMED`] describes.
fn timed(time: &str) -> Sent {
    post(&[("x-time", time), ("x-sig", &format!("v1={}", sha256_hex(&format!("v1:{time}:{BODY}"))))])
}

/// A callback of the vendor that [`LISTED`] describes.
fn listed(time: &str) -> Sent {
    post(&[("x-sig", &format!("time={time}, s={}", sha256_hex(&format!("{time}.{BODY}"))))])
}

#[test]
fn every_algorithm_verifies_in_both_encodings() {
    let key = SECRET.as_bytes();
    for (algorithm, code) in [
        ("hmac-sha1", hmac::<Hmac<Sha1>>(key, BODY)),
        ("hmac-sha256", hmac::<Hmac<Sha256>>(key, BODY)),
        ("hmac-sha384", hmac::<Hmac<Sha384>>(key, BODY)),
        ("hmac-sha512", hmac::<Hmac<Sha512>>(key, BODY)),
    ] {
        let vendor = |encoding| acme(&PLAIN.replace("hmac-sha256", algorithm).replace("\"hex\"", encoding));
        let (hex, base64) = (hex::encode(&code), STANDARD.encode(&code));
        assert_eq!(post(&[("x-sig", &hex)]).verify(&*vendor("\"hex\"")), Ok(()), "{algorithm}");
        assert_eq!(post(&[("x-sig", &base64)]).verify(&*vendor("\"base64\"")), Ok(()), "{algorithm}");
        assert_eq!(post(&[("x-sig", &base64)]).verify(&*vendor("\"hex\"")), Err(Refusal::Mismatch));
        assert_eq!(post(&[("x-sig", &hex)]).verify(&*vendor("\"base64\"")), Err(Refusal::Mismatch));
    }
}

#[test]
fn hex_may_be_in_upper_case_and_base64_may_not_change_its_case() {
    let code = hmac::<Hmac<Sha256>>(SECRET.as_bytes(), BODY);
    let hex = acme(PLAIN);
    assert_eq!(post(&[("x-sig", &hex::encode_upper(&code))]).verify(&*hex), Ok(()));
    let base64 = acme(&PLAIN.replace("\"hex\"", "\"base64\""));
    assert_eq!(post(&[("x-sig", &STANDARD.encode(&code).to_lowercase())]).verify(&*base64), Err(Refusal::Mismatch));
}

#[test]
fn a_secret_may_be_text_base64_or_hex() {
    let bytes = [0, 159, 146, 150, 10];
    let code = hex::encode(hmac::<Hmac<Sha256>>(&bytes, BODY));
    for (written, secret) in [("base64", "AJ+Slgo="), ("base64", "AJ+Slgo"), ("hex", "009F92960a")] {
        let vendor = with_secrets(described(&format!("{PLAIN}secret = \"{written}\"")), &[secret]);
        assert_eq!(post(&[("x-sig", &code)]).verify(&*vendor), Ok(()), "{secret}");
    }
    for (written, secret) in [("base64", "hunter2!"), ("hex", "hunter2!"), ("base64", "=")] {
        let vendor = with_secrets(described(&format!("{PLAIN}secret = \"{written}\"")), &[secret]);
        let verdict = post(&[("x-sig", &code)]).verify(&*vendor).unwrap_err();
        assert!(matches!(&verdict, Refusal::NoKey(problem) if !problem.contains(secret)), "{verdict}");
    }
}

#[test]
fn an_ed25519_key_may_be_hex_or_base64_and_must_be_a_strong_one() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let signature = key.sign(format!("{NOW}.{BODY}").as_bytes()).to_bytes();
    let table = "header = \"X-Sig\"\nalgorithm = \"ed25519\"\nencoding = \"base64\"\nsigned = \"{timestamp}.{body}\"\n\
                 timestamp = \"header:X-Time\"";
    let good = post(&[("x-time", &NOW.to_string()), ("x-sig", &STANDARD.encode(signature))]);
    for (more, secret) in [
        ("", hex::encode(public)),
        ("", STANDARD.encode(public)),
        ("\nsecret = \"hex\"", hex::encode_upper(public)),
        ("\nsecret = \"base64\"", STANDARD.encode(public)),
    ] {
        let vendor = with_secrets(described(&format!("{table}{more}")), &[&secret]);
        assert_eq!(good.verify(&*vendor), Ok(()), "{secret}");
        let mut changed = good.clone();
        changed.body.push(b' ');
        assert_eq!(changed.verify(&*vendor), Err(Refusal::Mismatch));
        assert_eq!(good.clone().set("x-sig", "AAAA").verify(&*vendor), Err(Refusal::Mismatch));
    }
    let short = hex::encode(&public[1..]);
    let weak = "01".to_owned() + &"00".repeat(31);
    for secret in [short, weak, "no key".into()] {
        let verdict = good.verify(&*with_secrets(described(table), &[&secret]));
        assert!(matches!(verdict, Err(Refusal::NoKey(_))), "{secret}");
    }
}

#[test]
fn a_template_covers_every_part_of_the_request() {
    let table = r#"
header = "X-Sig"
algorithm = "hmac-sha256"
encoding = "hex"
signed = "{method} {path}\n{url}\n{id}|{timestamp}|{header:X-Kind}|{body}."
timestamp = "header:X-Time"
id = "header:X-Id"
"#;
    let vendor = acme(table);
    let url = format!("{URL}?a=%2B&b");
    let text = format!("POST /incoming/acme/sms/status\n{url}\nd1|{NOW}|new|{BODY}.");
    let headers =
        [("x-sig", sha256_hex(&text)), ("x-id", "d1".into()), ("x-time", NOW.to_string()), ("x-kind", "new".into())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let good = Sent::new(&url, &headers, BODY);
    assert_eq!(good.verify(&*vendor), Ok(()));
    for (change, sent) in [
        ("method", Sent { method: Method::PUT, ..good.clone() }),
        ("query", Sent { url: format!("{URL}?a=+&b"), ..good.clone() }),
        ("path", Sent { url: url.replace("status", "Status"), ..good.clone() }),
        ("body", Sent { body: b"{}".to_vec(), ..good.clone() }),
        ("id", good.clone().set("x-id", "d2")),
        ("header", good.clone().set("x-kind", "old")),
        ("time", good.clone().set("x-time", &(NOW + 1).to_string())),
    ] {
        assert_eq!(sent.verify(&*vendor), Err(Refusal::Mismatch), "{change}");
    }
    for name in ["x-id", "x-time", "x-kind", "x-sig"] {
        let mut sent = good.clone();
        sent.headers.append(name, "again".parse().unwrap());
        assert_eq!(sent.verify(&*vendor).unwrap_err().code(), "malformed", "{name} twice");
        sent.headers.remove(name);
        assert_eq!(sent.verify(&*vendor), Err(Refusal::MissingHeader(name.into())));
    }
}

#[test]
fn a_signed_time_may_be_five_minutes_away_and_not_a_second_more() {
    for (vendor, sent) in [(acme(TIMED), timed(&NOW.to_string())), (acme(LISTED), listed(&NOW.to_string()))] {
        for away in [-300, 0, 300] {
            assert_eq!(sent.verify_at(&*vendor, NOW + away), Ok(()), "{away}");
        }
        for away in [-301, 301] {
            assert_eq!(sent.verify_at(&*vendor, NOW + away), Err(Refusal::Stale(away)));
        }
    }
    let mut wider = described(TIMED);
    wider.tolerance = crate::support::tolerance(600);
    let wider = build("acme", &wider);
    assert_eq!(timed(&NOW.to_string()).verify_at(&*wider, NOW + 600), Ok(()));
    assert_eq!(timed(&NOW.to_string()).verify_at(&*wider, NOW + 601), Err(Refusal::Stale(601)));
}

#[test]
fn a_signed_time_may_be_in_milliseconds_or_rfc_3339() {
    let vendor = acme(TIMED);
    for time in [format!("{NOW}000"), at(NOW).to_rfc3339()] {
        assert_eq!(timed(&time).verify(&*vendor), Ok(()), "{time}");
        assert_eq!(timed(&time).verify_at(&*vendor, NOW + 301), Err(Refusal::Stale(301)), "{time}");
    }
    for time in ["soon", "-1", "1e9"] {
        assert_eq!(timed(time).verify(&*vendor).unwrap_err().code(), "malformed", "{time}");
    }
}

#[test]
fn in_a_list_any_of_several_signatures_may_fit_and_the_time_is_there_once() {
    let vendor = acme(LISTED);
    let good = sha256_hex(&format!("{NOW}.{BODY}"));
    let verdict = |list: String| post(&[("x-sig", &list)]).verify(&*vendor).map_err(|refusal| refusal.code());
    assert_eq!(verdict(format!("time={NOW},s=00,s={good},x=1")), Ok(()));
    assert_eq!(verdict(format!("s={good},time={NOW}")), Ok(()));
    assert_eq!(verdict(format!("time={NOW},s=00")), Err("mismatch"));
    assert_eq!(verdict(format!("time={NOW},ss={good}")), Err("malformed"));
    assert_eq!(verdict(format!("s={good}")), Err("malformed"));
    assert_eq!(verdict(format!("time={NOW},time={NOW},s={good}")), Err("malformed"));
}

#[test]
fn a_signature_without_its_prefix_is_refused() {
    let vendor = acme(TIMED);
    let bare = sha256_hex(&format!("v1:{NOW}:{BODY}"));
    let verdict = timed(&NOW.to_string()).set("x-sig", &bare).verify(&*vendor);
    assert_eq!(verdict, Err(Refusal::Malformed("x-sig".into())));
}

#[test]
fn either_of_two_live_secrets_may_have_signed_and_a_missing_one_asks_the_vendor_to_try_again() {
    let sent = timed(&NOW.to_string());
    assert_eq!(sent.verify(&*with_secrets(described(TIMED), &["other", SECRET])), Ok(()));
    assert_eq!(sent.verify(&*with_secrets(described(TIMED), &["other", "third"])), Err(Refusal::Mismatch));

    let mut vendor = described(TIMED);
    vendor.secrets.insert(0, missing());
    assert_eq!(sent.verify(&*build("acme", &vendor)), Ok(()));
    let forged = sent.clone().set("x-sig", "v1=00");
    assert!(matches!(forged.verify(&*build("acme", &vendor)), Err(Refusal::NoKey(_))));
    vendor.secrets.truncate(1);
    assert!(matches!(sent.verify(&*build("acme", &vendor)), Err(Refusal::NoKey(_))));
}

#[test]
fn a_vendor_whose_signature_nothing_describes_verifies_nothing() {
    let vendor = vendor("acme", Scheme::Signature, &[SECRET]);
    assert!(matches!(timed(&NOW.to_string()).verify(&*vendor), Err(Refusal::NoKey(_))));
}

#[test]
fn a_trace_shows_the_signed_bytes_and_each_secret_that_was_tried() {
    let vendor = with_secrets(described(TIMED), &["other", SECRET]);
    let mut trace = Trace::on();
    vendor.verify(&timed(&NOW.to_string()).request(), at(NOW), &mut trace).unwrap();
    let signed = trace.steps().iter().find_map(|step| match step {
        Step::Signed { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(signed.unwrap(), format!("v1:{NOW}:{BODY}").into_bytes());
    let tried = trace.steps().iter().filter_map(|step| match step {
        Step::Tried { key, matched, .. } => Some((key.as_str(), *matched)),
        _ => None,
    });
    assert_eq!(tried.collect::<Vec<_>>(), [("vendors.acme.secrets[0]", false), ("vendors.acme.secrets[1]", true)]);
}

#[test]
fn stripe_may_be_ahead_of_our_clock_and_slack_may_not() {
    let stripe = vendor("acme", Scheme::Stripe, &[SECRET]);
    let signature = format!("t={NOW},v1={}", sha256_hex(&format!("{NOW}.{BODY}")));
    let sent = post(&[("stripe-signature", &signature)]);
    assert_eq!(sent.verify_at(&*stripe, NOW - 100_000), Ok(()));
    assert_eq!(sent.verify_at(&*stripe, NOW + 301), Err(Refusal::Stale(301)));

    let slack = vendor("acme", Scheme::Slack, &[SECRET]);
    let sent = slack_post(BODY);
    assert_eq!(sent.verify_at(&*slack, NOW - 300), Ok(()));
    assert_eq!(sent.verify_at(&*slack, NOW - 301), Err(Refusal::Stale(-301)));
    assert_eq!(sent.verify_at(&*slack, NOW + 301), Err(Refusal::Stale(301)));
}

fn slack_post(body: &str) -> Sent {
    let signature = format!("v0={}", sha256_hex(&format!("v0:{NOW}:{body}")));
    let headers = [("x-slack-request-timestamp", &*NOW.to_string()), ("x-slack-signature", &signature)];
    Sent::new(URL, &headers, body)
}

#[test]
fn no_change_of_a_byte_of_the_signature_passes() {
    let vendor = acme(TIMED);
    let good = timed(&NOW.to_string());
    let header = good.headers["x-sig"].to_str().unwrap().to_owned();
    for at in 0..header.len() {
        let mut bytes = header.clone().into_bytes();
        bytes[at] = if bytes[at] == b'f' { b'0' } else { b'f' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(good.clone().set("x-sig", &changed).verify(&*vendor).is_err(), "{changed}");
    }
    assert!(good.clone().set("x-sig", &header[..header.len() - 2]).verify(&*vendor).is_err());
    assert!(good.clone().set("x-sig", &format!("{header}00")).verify(&*vendor).is_err());
}
