//! Sample payloads: each becomes the canonical events that its index lists.

use std::sync::Arc;

use serde::Deserialize;
use sluice::{
    config::Scheme,
    event::{BounceClass, Channel, Event},
    vendors::Vendor,
};

use crate::support::{Sent, file, report, vendor};

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

fn segment(path: &str, index: usize) -> &str {
    path.split('/').nth(index).unwrap()
}

fn channel(path: &str) -> Channel {
    Channel::from_name(segment(path, 3)).unwrap()
}

/// The vendor of this name, unable to verify: these samples are not signed.
fn reader(name: &str) -> Arc<dyn Vendor> {
    let scheme = match name {
        "twilio" => Scheme::Twilio,
        "sendgrid" => Scheme::Sendgrid,
        "vonage" => Scheme::Vonage,
        "mailgun" => Scheme::Mailgun,
        "ses" => Scheme::Ses,
        "telnyx" => Scheme::Telnyx,
        "plivo" => Scheme::Plivo,
        "postmark" => Scheme::Postmark,
        "mandrill" => Scheme::Mandrill,
        "sparkpost" => Scheme::Sparkpost,
        "messagebird" => Scheme::Messagebird,
        "bird" => Scheme::Bird,
        "sinch" => Scheme::Sinch,
        "infobip" => Scheme::Infobip,
        other => panic!("{other}"),
    };
    vendor(name, scheme, &["unused"])
}

/// What is wrong with a sample's events.
fn check(folder: &str, sample: &Sample, sent: &Sent) -> Option<String> {
    let name = segment(&sample.path, 2);
    let vendor = reader(name);
    let place = format!("{folder}/{}", sample.file);
    let events = match vendor.normalise(&sent.callback(&*vendor, channel(&sample.path))) {
        Ok(events) => events,
        Err(error) => return Some(format!("{place}: {error}")),
    };
    let alike = |event: &Event, expected: &str| {
        let (event_type, remark) = expected.split_once(" (").unwrap_or((expected, ""));
        let class = match remark.trim_end_matches(')') {
            "hard" => Some(BounceClass::Hard),
            "soft" => Some(BounceClass::Soft),
            "block" => Some(BounceClass::Block),
            _ => event.bounce_class,
        };
        event.event_type.name() == event_type && event.bounce_class == class
    };
    let as_listed = events.len() == sample.canonical.len()
        && events.iter().zip(&sample.canonical).all(|(event, expected)| alike(event, expected));
    if !as_listed {
        return Some(format!("{place}: {events:#?}, but expected {:?}", sample.canonical));
    }
    for event in &events {
        if event.provider_message_id.is_empty()
            || !event.dedupe_key.starts_with(&format!("{name}:"))
            || event.channel != channel(&sample.path)
        {
            return Some(format!("{place}: {event:#?}"));
        }
    }
    let keys: std::collections::BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    if keys.len() != events.len() {
        return Some(format!("{place}: two events share a dedupe key: {keys:?}"));
    }
    let subject = sent.identify(&*vendor).subject;
    let strange = subject.filter(|subject| !events.iter().any(|event| event.provider_message_id == *subject));
    strange.map(|subject| format!("{place}: identified as {subject}, but no event is about that"))
}

/// The folders of samples; `PAYLOADS_ONLY` names one of them.
fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/payloads")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    match std::env::var("PAYLOADS_ONLY") {
        Ok(only) => names.into_iter().filter(|name| *name == only).collect(),
        Err(_) => names,
    }
}

#[test]
fn every_sample_becomes_the_canonical_events_that_its_index_lists() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for folder in folders() {
        for (sample, sent) in samples(&folder) {
            checked += 1;
            wrong.extend(check(&folder, &sample, &sent));
        }
    }
    report(&format!("payloads: {checked} checked, {} wrong", wrong.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked == 187 || std::env::var_os("PAYLOADS_ONLY").is_some(), "{checked}");
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
