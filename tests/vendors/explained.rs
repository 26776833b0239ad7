//! An explanation says of every vector what the verifier says, and shows no secret of any vendor.

use std::{path::Path, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use sluice::{
    config::Config,
    explain::{Capture, Question, StepReport, explain},
};

use crate::{
    support::at,
    vectors::{Vector, every},
};

/// A configuration that has this vector's vendor, and no other.
fn config(vector: &Vector, origin: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sluice.toml");
    let mut config = Config::parse(&path, &std::fs::read_to_string(&path).unwrap(), &|_| None).unwrap();
    config.public_url = origin.to_owned();
    config.vendors = [(vector.vendor.clone(), vector.config())].into();
    config
}

/// What must not be shown: secrets as they are, as credentials are sent, and without their prefix.
fn secrets(config: &Config) -> Vec<String> {
    let vendors = config.vendors.values();
    let slots = vendors.flat_map(|vendor| {
        vendor.secrets.iter().chain(vendor.shared_keys.values()).chain(vendor.accounts.values().flatten())
    });
    let texts = slots.flatten().map(|secret| secret.expose().trim().to_owned());
    let every = texts.flat_map(|text| [STANDARD.encode(&text), text.trim_start_matches("whsec_").to_owned(), text]);
    every.filter(|text| text.len() > 3).collect()
}

#[test]
fn every_vector_is_explained_as_it_is_verified_and_no_secret_is_shown() {
    let mut wrong = Vec::new();
    let (mut checked, mut slowest) = (0, Default::default());
    for vector in every() {
        let name = format!("{}/{}", vector.vendor, vector.name);
        let sent = vector.sent();
        let end = vector.url.find("://").map_or(0, |at| at + 3);
        let end = vector.url[end..].find(['/', '?']).map_or(vector.url.len(), |at| end + at);
        let (origin, target) = vector.url.split_at(end);
        // What is no path, or never reaches a server, cannot be captured.
        if !target.starts_with('/') || target.contains('#') {
            continue;
        }
        checked += 1;
        let headers: Vec<_> =
            sent.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let capture = Capture::from_parts(sent.method.as_str(), target, &headers, sent.body.clone().into()).unwrap();
        let body = String::from_utf8_lossy(&sent.body);
        let certificate = vector.certificates.iter().find(|(url, _)| body.contains(url.as_str()));
        let question = Question {
            vendor: Some(vector.vendor.clone()),
            at: Some(at(vector.now)),
            certificate: certificate.map(|(_, pem)| pem.clone().into()),
        };
        let config = config(&vector, origin);
        let started = Instant::now();
        let explanation = explain(&capture, &question, &config, at(vector.now)).unwrap();
        slowest = std::cmp::max(slowest, (started.elapsed(), name.clone()));
        let verdict = vector.verify(&*vector.build(), &sent);
        if explanation.is_genuine() != verdict.is_ok() {
            wrong.push(format!("{name}: {verdict:?}, but {:#?}", explanation.report(&config, false)));
            continue;
        }
        let report = explanation.report(&config, true);
        let text = serde_json::to_string(&report).unwrap();
        for secret in secrets(&config) {
            if text.contains(&secret) {
                wrong.push(format!("{name}: {secret} is shown in {report:#?}"));
            }
        }
        for step in &report.steps {
            if let StepReport::Tried { expected: Some(expected), .. } = step {
                let shown = expected.split("...").next().unwrap();
                let fine = expected.starts_with("fingerprint ") || shown.len() <= 6;
                if !fine {
                    wrong.push(format!("{name}: {expected} is shown"));
                }
            }
        }
    }
    println!("{checked} explained; the slowest took {:?} ({})", slowest.0, slowest.1);
    assert!(checked > 200, "{checked}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
