//! `docs/events.md`: every canonical event, with what the pipeline announces of a sample payload.
//!
//! A sample goes the way of a callback from the bus on: its envelope is published, the channel's processor turns it into
//! events, the ledger applies them, and what the outbox then announces is the example. Verification is left out: the samples
//! are vendors' own, and nobody has their keys.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write, path::Path, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;
use sluice::{
    app::SQL,
    bus::{Message, Properties},
    channels::status::rank,
    clock::Clock,
    config::Config,
    envelope::{self, Envelope, RECEIVED_V1, header_lines},
    event::{Channel, Event, EventType},
    ledger::announcement::Announcement,
    local::broker::Entity,
    openapi::plain,
    vendors::Request,
};

use crate::{
    expect_up_to_date,
    support::{TestApp, config},
};

const INTRODUCTION: &str = "\
# Events

Made from the code by `UPDATE_GENERATED=1 cargo test --test generated`; do not edit it here.

Whatever a vendor calls it, a callback becomes canonical events. Each that is applied is announced once for every partner that
wants it, and for every destination of `[outbox]`, as a CloudEvent like the examples below. How it is written into a request is
the partner's `--format`:

| `--format` | body | where the rest is |
|---|---|---|
| `standard-webhooks` | `{\"type\": ..., \"timestamp\": ..., \"data\": ...}`: `type`, `time` and `data` of the example | `id` is the header `webhook-id` |
| `cloudevents-structured` | the example | |
| `cloudevents-binary` | `data` of the example | headers `ce-id`, `ce-type`, `ce-source`, `ce-subject`, `ce-time` |

A delivery is made at least once: `id` is equal for repeats. Events of one message may come in any order; a late one with a lower
rank changes no status. A receiver must let fields and types pass that it does not know: new ones may be added.

The examples are what the pipeline makes of the files in `tests/payloads` that they name.
";

#[derive(Debug, Deserialize)]
struct Sample {
    file: String,
    path: String,
    content_type: String,
}

/// A sample's file, and what was announced of it.
struct Told {
    file: String,
    announced: Vec<Value>,
}

/// Every vendor whose callbacks this program knows.
fn every_vendor() -> Config {
    let tables = [
        ("vonage", r#"secrets = ["env:X"]"#),
        ("mailgun", r#"secrets = ["env:X"]"#),
        ("ses", r#"topics = ["arn:aws:sns:*"]"#),
        ("telnyx", r#"secrets = ["env:X"]"#),
        ("plivo", r#"secrets = ["env:X"]"#),
        ("postmark", r#"secrets = ["env:X"]"#),
        ("mandrill", r#"secrets = ["env:X"]"#),
        ("sparkpost", r#"secrets = ["env:X"]"#),
        ("messagebird", r#"secrets = ["env:X"]"#),
        ("bird", r#"secrets = ["env:X"]"#),
        ("sinch", r#"secrets = ["env:X"]"#),
        ("infobip", r#"secrets = ["env:X"]"#),
    ];
    let table = |(name, line): (&str, &str)| {
        let services = r#"{ sms = "sms", email = "email", voice = "voice" }"#;
        format!("[vendors.{name}]\nscheme = \"{name}\"\nservices = {services}\n{line}\n\n")
    };
    let tables: String = tables.into_iter().map(table).collect();
    config(&[
        ("destinations = []", r#"destinations = ["sql"]"#),
        ("[vendors.resend]\n", &format!("{tables}[vendors.resend]\n")),
    ])
}

fn payloads() -> impl Iterator<Item = (String, Sample)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads");
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().flat_map(|folder| {
        let index = std::fs::read(folder.join("INDEX.json")).unwrap();
        let samples: Vec<Sample> = serde_json::from_slice(&index).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        samples.into_iter().map(move |sample| (name.clone(), sample))
    })
}

/// Publishes a sample as the front door does, lets it be processed, and takes what was announced.
async fn tell(app: &TestApp, folder: &str, sample: &Sample) -> Told {
    let file = format!("tests/payloads/{folder}/{}", sample.file);
    let body = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
    let segments: Vec<_> = sample.path.split('/').collect();
    let [_, _, name, service, rest @ ..] = segments.as_slice() else { panic!("{}", sample.path) };
    let channel = Channel::from_name(service).unwrap();
    // The form among the e-mails is shown in the simpler of two encodings.
    let content_type = match sample.file.ends_with(".form") {
        true => "application/x-www-form-urlencoded",
        false => &sample.content_type,
    };
    let headers: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())].into_iter().collect();
    let vendor = app.app.vendors.get(name).unwrap();
    let url = format!("https://hooks.example.net{}", sample.path);
    let request = Request { method: &Method::POST, url: &url, headers: &headers, body: &body };
    let identity = vendor.identify(&request);
    let envelope = Envelope {
        specversion: "1.0".into(),
        id: uuid::Uuid::now_v7().to_string(),
        event_type: RECEIVED_V1.into(),
        source: sample.path.clone(),
        subject: identity.subject,
        time: app.clock.now(),
        datacontenttype: Some(Cow::Borrowed(content_type)),
        vendor: (*name).into(),
        servicetype: (*service).into(),
        requesttype: rest.join("/").into(),
        dedupekey: file.clone(),
        traceparent: None,
        tracestate: None,
        dataclassification: "personal".into(),
        requestquery: "".into(),
        requestheaders: header_lines(&headers, vendor.kept_headers()).into(),
        data: None,
        data_base64: None,
        dataref: None,
    };
    let properties: Properties = [("vendor", *name), ("channel", channel.name()), ("type", RECEIVED_V1)]
        .map(|(k, v)| (k.into(), v.to_owned().into()))
        .into();
    let message = Message {
        message_id: file.clone(),
        content_type: Some(envelope::CONTENT_TYPE.into()),
        correlation_id: Some(envelope.id.clone()),
        subject: envelope.subject.clone(),
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: envelope.with_body(&body).encode(),
    };
    app.app.bus.publish("callbacks", message).await.unwrap();
    assert_eq!(app.process(channel.name()).await, 1, "{file}");
    let sql = Entity { topic: "deliveries".into(), subscription: SQL.into(), dead_letter: false };
    let received = app.broker.receive(&sql, 100, Duration::ZERO).await.unwrap();
    let mut announced = Vec::new();
    for received in received {
        // What consumers of this program's own read it as, too.
        Announcement::decode(&received.message.body).unwrap();
        announced.push(serde_json::from_slice(&received.message.body).unwrap());
        app.broker.complete(&[received.lock]).await.unwrap();
    }
    Told { file, announced }
}

#[tokio::test]
async fn the_catalogue_has_every_event_with_what_the_pipeline_announces_of_a_sample() {
    let app = TestApp::with(every_vendor());
    // Later than what the samples tell of.
    app.clock.advance(Duration::from_secs(9 * 3600));
    let mut examples: BTreeMap<EventType, Vec<(String, Value)>> = BTreeMap::new();
    for (folder, sample) in payloads() {
        let told = tell(&app, &folder, &sample).await;
        for announced in told.announced {
            let event_type = EventType::from_name(announced["type"].as_str().unwrap()).unwrap();
            examples.entry(event_type).or_default().push((told.file.clone(), announced));
        }
    }
    let mut out = INTRODUCTION.to_owned();
    out.push_str(&fields());
    for event_type in EventType::ALL {
        let found = examples.get(event_type).unwrap_or_else(|| panic!("no sample becomes a {event_type}"));
        out.push_str(&entry(*event_type, found));
    }
    expect_up_to_date("docs/events.md", &out);
}

/// The fields of `data`, from the type's doc comments.
fn fields() -> String {
    let schema = schemars::schema_for!(Event).to_value();
    let required: Vec<_> = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut out = "\n## Fields of `data`\n\n| field | there | meaning |\n|---|---|---|\n".to_owned();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let there = if required.contains(&name.as_str()) { "always" } else { "where the vendor tells" };
        let definition = |reference: &str| schema["$defs"][reference.rsplit('/').next().unwrap()].clone();
        let of_type = [&field["$ref"], &field["anyOf"][0]["$ref"]].into_iter().find_map(Value::as_str).map(definition);
        let told = field["description"].as_str().or(of_type.as_ref().and_then(|of| of["description"].as_str()));
        let told = plain(told.unwrap_or_else(|| panic!("{name} has no doc comment")));
        writeln!(out, "| `{name}` | {there} | {} |", told.replace('|', "\\|")).unwrap();
    }
    out
}

fn entry(event_type: EventType, found: &[(String, Value)]) -> String {
    let (file, example) = &found[0];
    let mut channels: Vec<_> = found.iter().map(|(_, event)| event["data"]["channel"].as_str().unwrap()).collect();
    let mut vendors: Vec<_> = found.iter().map(|(_, event)| event["source"].as_str().unwrap()).collect();
    for names in [&mut channels, &mut vendors] {
        names.sort_unstable();
        names.dedup();
    }
    let standing = match rank(event_type) {
        0 => "Kept beside the status.".to_owned(),
        rank => format!("Rank {rank} of 7 as a status."),
    };
    let (channels, vendors) = (channels.join(", "), vendors.join(", "));
    let meaning = event_type.meaning();
    format!(
        "\n## `{event_type}`\n\n{meaning} {standing} Channels: {channels}. Samples of: {vendors}.\n\nOf `{file}`:\n\n```json\n{example:#}\n```\n"
    )
}
