//! Sample payloads: each becomes the canonical events that its index lists.

use serde::Deserialize;
use sluice::{
    config::Scheme,
    event::{BounceClass, Channel, Event},
    vendors::Vendor,
};

use crate::support::{Sent, file, vendor};

#[derive(Debug, Deserialize)]
struct Sample {
    file: String,
    path: String,
    content_type: String,
    canonical: Vec<String>,
}

fn samples(folder: &str) -> Vec<(Sample, Sent)> {
    let index: Vec<Sample> = serde_json::from_slice(&file(&format!("payloads/{folder}/INDEX.json"))).unwrap();
    let sent = |sample: &Sample| {
        // Some types carry a remark; the form among the e-mails is shown in the simpler of two encodings.
        let content_type = match sample.file.ends_with(".form") {
            true => "application/x-www-form-urlencoded",
            false => &sample.content_type,
        };
        let body = file(&format!("payloads/{folder}/{}", sample.file));
        Sent::new(&format!("https://hooks.example.net{}", sample.path), &[("content-type", content_type)], body)
    };
    index.into_iter().map(|sample| (sent(&sample), sample)).map(|(sent, sample)| (sample, sent)).collect()
}

fn channel(path: &str) -> Channel {
    Channel::from_name(path.split('/').nth(3).unwrap()).unwrap()
}

fn described(event: &Event) -> String {
    match event.bounce_class {
        Some(BounceClass::Block) => format!("{} (block)", event.event_type),
        _ => event.event_type.to_string(),
    }
}

fn check(vendor: &dyn Vendor, folder: &str) -> usize {
    let samples = samples(folder);
    for (sample, sent) in &samples {
        let events = vendor.normalise(&sent.callback(vendor, channel(&sample.path))).unwrap();
        let described: Vec<_> = events.iter().map(described).collect();
        assert_eq!(described, sample.canonical, "{}", sample.file);
        for event in &events {
            assert!(!event.provider_message_id.is_empty(), "{}", sample.file);
            assert!(event.dedupe_key.starts_with(&format!("{folder}:")), "{}", sample.file);
            assert_eq!(event.channel, channel(&sample.path), "{}", sample.file);
        }
        let identity = sent.identify(vendor);
        if let Some(key) = identity.dedupe_key {
            assert_eq!(key, events[0].dedupe_key, "{}", sample.file);
        }
        if let Some(subject) = identity.subject {
            assert_eq!(subject, events[0].provider_message_id, "{}", sample.file);
        }
    }
    samples.len()
}

#[test]
fn every_twilio_sample_becomes_its_canonical_events() {
    assert_eq!(check(&*vendor("twilio", Scheme::Twilio, &["token"]), "twilio"), 23);
}

#[test]
fn every_sendgrid_sample_becomes_its_canonical_events() {
    assert_eq!(check(&*vendor("sendgrid", Scheme::Sendgrid, &["unused"]), "sendgrid"), 14);
}

#[test]
fn a_message_or_call_status_is_identified_by_its_sid_and_status() {
    let vendor = vendor("twilio", Scheme::Twilio, &["token"]);
    let samples = samples("twilio");
    let identity = |name| {
        let (_, sent) = samples.iter().find(|(sample, _)| sample.file == name).unwrap();
        let identity = sent.identify(&*vendor);
        (identity.subject.unwrap_or_default(), identity.dedupe_key.unwrap_or_default())
    };
    let sid = "SM0e3a8d38d6a037ceca6885c6b654124e";
    assert_eq!(identity("sms-status-delivered.form"), (sid.into(), format!("twilio:{sid}:delivered")));
    let sid = "SM615a46af313786fc4e349f34118be111";
    assert_eq!(identity("sms-inbound-stop.form"), (sid.into(), format!("twilio:{sid}:received")));
    let sid = "CA66666666666666666666666666666666";
    assert_eq!(identity("voice-status-completed.form"), (sid.into(), format!("twilio:{sid}:3:completed")));
    // No status of the call: ingest takes a digest.
    assert_eq!(identity("voice-amd.form"), (sid.into(), String::new()));
    assert_eq!(identity("voice-recording-completed.form"), (sid.into(), String::new()));
}

#[test]
fn a_recording_tells_where_it_is_and_how_long() {
    let vendor = vendor("twilio", Scheme::Twilio, &["token"]);
    let samples = samples("twilio");
    let (_, sent) = samples.iter().find(|(sample, _)| sample.file == "voice-recording-completed.form").unwrap();
    let event = &vendor.normalise(&sent.callback(&*vendor, Channel::Voice)).unwrap()[0];
    assert!(event.url.as_deref().unwrap().ends_with("/Recordings/RE77777777777777777777777777777777"));
    assert_eq!(event.duration_s, Some(9));
    assert_eq!(event.reason_code, None, "0 is no error");
    assert_eq!(
        event.dedupe_key,
        format!("twilio:{}:recording:RE{}:completed", "CA6".to_owned() + &"6".repeat(31), "7".repeat(32))
    );
}
