//! Every sample payload becomes the events that its index tells.

use serde::Deserialize;
use sluice::{config::Scheme, event::Channel};

use crate::{callback, folder, headers, types, vendor};

#[derive(Deserialize)]
struct Sample {
    file: String,
    path: String,
    content_type: String,
    canonical: Vec<String>,
}

fn run(name: &str, scheme: Scheme) -> usize {
    let folder = folder("payloads").join(name);
    let samples: Vec<Sample> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("INDEX.json")).unwrap()).unwrap();
    let vendor = vendor(name, scheme, &["unused"]);
    for sample in &samples {
        let body = std::fs::read(folder.join(&sample.file)).unwrap();
        let service = sample.path.split('/').nth(3).unwrap();
        // One sample stands for a multipart body and shows its fields as a form.
        let form = sample.file.ends_with(".form");
        let content_type = if form { "application/x-www-form-urlencoded" } else { &sample.content_type };
        let callback = callback(Channel::from_name(service).unwrap(), content_type, &body, headers(&[]));
        let events = vendor.normalise(&callback).unwrap();
        // The index adds a bounce's class in brackets.
        let expected: Vec<_> = sample.canonical.iter().map(|name| name.split(' ').next().unwrap()).collect();
        assert_eq!(types(&events), expected, "{}", sample.file);
        for (event, canonical) in events.iter().zip(&sample.canonical) {
            assert!(event.dedupe_key.starts_with(&format!("{name}:")), "{}", event.dedupe_key);
            assert!(!event.provider_message_id.is_empty());
            for class in ["hard", "soft", "block"].into_iter().filter(|class| canonical.contains(&format!("({class})")))
            {
                assert_eq!(serde_json::to_value(event.bounce_class).unwrap(), class, "{}", sample.file);
            }
        }
    }
    samples.len()
}

#[test]
fn every_twilio_sample() {
    assert_eq!(run("twilio", Scheme::Twilio), 23);
}

#[test]
fn every_sendgrid_sample() {
    assert_eq!(run("sendgrid", Scheme::Sendgrid), 14);
}
