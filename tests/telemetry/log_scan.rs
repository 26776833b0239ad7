//! Every sample payload, accepted, forged and damaged: nothing of it appears in log lines, spans, metrics or answers.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice::{
    bus::{Message, Properties, Property},
    config::Config,
    envelope::{CONTENT_TYPE, Envelope, RECEIVED_V1},
    event::Channel,
    local::broker::Entity,
    telemetry::{Export, Form, Logging, register, subscriber},
};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

use crate::{
    collector::Collector,
    support::{
        TestApp, invocation_of,
        partner_double::{Act, PartnerDouble},
        text, twilio_request,
    },
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SECRET: &str = "c2VjcmV0LW9mLXRoZS1zY2FuLTAxMjM0NTY3ODk=";
const SIGNATURE: &str = "c2lnbmF0dXJlLW9mLXRoZS1zY2FuLTAxMjM0NTY=";
/// What partners say of what they got: it is theirs to choose.
const GOSSIP: &str = "no such person: +12025550143, ana.lopez@example.com";

#[derive(Debug, Deserialize)]
struct Sample {
    file: String,
    path: String,
    content_type: String,
    #[serde(skip)]
    body: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let folders = std::fs::read_dir(Path::new(ROOT).join("tests/payloads")).unwrap();
    let mut samples = Vec::new();
    for folder in folders.map(|folder| folder.unwrap().path()) {
        let index = std::fs::read(folder.join("INDEX.json")).unwrap();
        for mut sample in serde_json::from_slice::<Vec<Sample>>(&index).unwrap() {
            sample.body = std::fs::read(folder.join(&sample.file)).unwrap();
            if sample.file.ends_with(".form") {
                sample.content_type = "application/x-www-form-urlencoded".into();
            }
            samples.push(sample);
        }
    }
    samples
}

/// The shipped configuration with every vendor that is commented out.
fn config() -> Config {
    let path = Path::new(ROOT).join("sluice.toml");
    let (mut text, mut block) = (String::new(), false);
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        block = line.starts_with("# [vendors.") || block && line.starts_with("# ");
        text += if block { &line[2..] } else { line };
        text.push('\n');
    }
    Config::parse(&path, &text, &|name| name.starts_with(|c: char| c.is_uppercase()).then(|| SECRET.into()))
        .or_else(|_| Config::parse(&path, &text, &|_| None))
        .unwrap()
}

/// Where log lines go.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Addresses, numbers and sentences of a payload, however deep they are.
fn needles(text: &str, found: &mut BTreeSet<String>) {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && (value.is_object() || value.is_array())
    {
        return needles_of(&value, found);
    }
    if text.contains('=') && !text.contains(char::is_whitespace) {
        for (_, value) in form_urlencoded::parse(text.as_bytes()) {
            if value != text {
                needles(&value, found);
            }
        }
        return;
    }
    for word in text.split(|c: char| c.is_whitespace() || "<>\"',;:()[]{}|".contains(c)) {
        let word = word.trim_matches('.');
        if word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')) {
            found.insert(word.to_lowercase());
        }
        let digits = word.trim_start_matches('+');
        if (10..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            found.insert(digits.to_owned());
        }
    }
    if text.len() >= 20 && text.contains(' ') && !text.contains('\n') {
        found.insert(text.to_lowercase());
    }
}

fn needles_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => needles(text, found),
        Value::Array(values) => values.iter().for_each(|value| needles_of(value, found)),
        Value::Object(members) => members.values().for_each(|value| needles_of(value, found)),
        _ => {}
    }
}

/// As the door publishes it.
fn message(sample: &Sample, body: &[u8], id: uuid::Uuid) -> (Channel, Message) {
    let segments: Vec<_> = sample.path.split('/').collect();
    let channel = Channel::from_name(segments[3]).unwrap();
    let envelope = Envelope {
        specversion: "1.0".into(),
        id: id.to_string(),
        event_type: RECEIVED_V1.into(),
        source: sample.path.clone(),
        subject: None,
        time: "2026-11-20T10:00:00Z".parse().unwrap(),
        datacontenttype: Some(sample.content_type.clone().into()),
        vendor: segments[2].into(),
        servicetype: segments[3].into(),
        requesttype: segments[4].into(),
        dedupekey: id.to_string(),
        traceparent: None,
        tracestate: None,
        dataclassification: "personal".into(),
        requestquery: "".into(),
        requestheaders: "".into(),
        data: None,
        data_base64: None,
        dataref: None,
    };
    let mut properties = Properties::new();
    properties.insert("vendor".into(), Property::from(segments[2].to_owned()));
    properties.insert("channel".into(), channel.name().into());
    let message = Message {
        message_id: id.to_string(),
        content_type: Some(CONTENT_TYPE.into()),
        correlation_id: Some(id.to_string()),
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: envelope.with_body(body).encode(),
    };
    (channel, message)
}

struct Scan {
    test: TestApp,
    partner: PartnerDouble,
    answers: Vec<String>,
}

impl Scan {
    async fn ask(&mut self, method: Method, path: &str, body: Body) -> StatusCode {
        let request = Request::builder().method(method).uri(path).header("x-sluice-operator", "night-shift");
        let response = self.test.send(request.body(body).unwrap()).await;
        let status = response.status();
        self.answers.push(text(response).await);
        status
    }

    /// A request to the door that nobody signed.
    async fn forged(&mut self, sample: &Sample) {
        let mut request = Request::post(&sample.path).header("content-type", &sample.content_type);
        for header in [
            "x-twilio-signature",
            "x-twilio-email-event-webhook-signature",
            "authorization",
            "x-mandrill-signature",
            "messagebird-signature-jwt",
            "telnyx-signature-ed25519",
            "x-plivo-signature-v3",
            "x-sinch-webhook-signature",
        ] {
            request = request.header(header, SIGNATURE);
        }
        let response = self.test.send(request.body(Body::from(sample.body.clone())).unwrap()).await;
        assert!(!response.status().is_success(), "{}: a forged request was accepted", sample.path);
        self.answers.push(text(response).await);
    }

    async fn deliver(&self) -> usize {
        let deliver = Entity { topic: "deliveries".into(), subscription: "deliver".into(), dead_letter: false };
        let mut done = 0;
        loop {
            let received = self.test.broker.receive(&deliver, 64, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return done;
            }
            let body = Body::from(invocation_of("deliver", &received));
            assert_eq!(self.test.send(Request::post("/deliver").body(body).unwrap()).await.status(), StatusCode::OK);
            let locks: Vec<_> = received.iter().map(|message| message.lock.clone()).collect();
            self.test.broker.complete(&locks).await.unwrap();
            done += received.len();
        }
    }
}

/// Keys of the samples' mails that have only a Message-ID: operators find them by it, and it is nobody's address.
const MESSAGE_IDS: [&str; 3] =
    ["sendgrid:<x1@example.net>", "mailgun:<q@example.net>", "mailgun:20261120184000.9.ABCDEF@mg.example.com"];

fn without_message_ids(mut answers: String) -> String {
    for key in MESSAGE_IDS {
        answers = answers.replace(&format!("\"message_key\":\"{key}\""), "");
    }
    answers
}

/// Fails with what it found and where, not with the whole text.
fn assert_none(what: &str, text: &str, needles: &BTreeSet<String>) {
    let text = text.to_lowercase();
    let found = needles.iter().filter_map(|needle| {
        let at = text.find(needle)?;
        let start = text[..at].rfind('\n').map_or(0, |start| start + 1).max(at.saturating_sub(300));
        let around: String = text.bytes().skip(start).take(at - start + needle.len() + 80).map(char::from).collect();
        Some(format!("{needle}: ...{around}..."))
    });
    let found: Vec<_> = found.take(20).collect();
    assert!(found.is_empty(), "{what} hold personal data:\n{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_payload_leaves_a_trace_of_a_person_or_a_secret() {
    let (lines, logging) = (Lines::default(), Logging::default());
    let writer = lines.clone();
    subscriber(EnvFilter::new("trace"), Form::Json, move || writer.clone(), &logging).init();

    let collector = Collector::start().await;
    let endpoint = collector.url.clone();
    let export = Export::start(&move |name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone()));
    let export = export.unwrap().unwrap();
    let test = TestApp::traced(config(), export.tracing());
    register(&export.meter(), &test.app);
    logging.know(&test.app.tokens);
    let partner = PartnerDouble::start().await;
    let mut scan = Scan { test, partner, answers: Vec::new() };
    let settings = json!({ "endpoint": scan.partner.url, "allow_internal": true }).to_string();
    assert_eq!(scan.ask(Method::PUT, "/manage/partners/shop", Body::from(settings)).await, StatusCode::CREATED);

    let samples = samples();
    let mut needed = BTreeSet::from([SECRET.to_lowercase(), SIGNATURE.to_lowercase(), GOSSIP.to_lowercase()]);
    needles(GOSSIP, &mut needed);
    for sample in &samples {
        needles(&String::from_utf8_lossy(&sample.body), &mut needed);
        scan.forged(sample).await;
    }
    assert!(samples.len() > 180 && needed.len() > 40, "{} samples, {needed:?}", samples.len());
    let is_number = |needle: &String| needle.bytes().all(|byte| byte.is_ascii_digit());
    assert!(needed.iter().any(is_number) && needed.iter().any(|needle| needle.contains('@')));

    // As they are; cut in half; and with another vendor's: what a normaliser cannot read is parked with a reason.
    for (index, sample) in samples.iter().enumerate() {
        let other = &samples[(index + 40) % samples.len()].body;
        for body in [&sample.body[..], &sample.body[..sample.body.len() / 2], other] {
            let (_, message) = message(sample, body, uuid::Uuid::now_v7());
            scan.test.app.bus.publish("callbacks", message).await.unwrap();
        }
    }
    scan.partner.next((0..60).flat_map(|_| {
        [
            Act::Says(422, GOSSIP.into()),
            Act::Says(503, GOSSIP.into()),
            Act::With(302, "location", "/to/+12025550143".into()),
        ]
    }));
    for channel in ["sms", "email", "voice"] {
        assert!(scan.test.process(channel).await > 0, "{channel}");
    }
    assert!(scan.deliver().await > 100);
    // One that is genuinely signed, through the door.
    let form =
        [("MessageSid", "SM1"), ("MessageStatus", "delivered"), ("To", "+12025550143"), ("From", "+15017122661")];
    let signed = twilio_request(&scan.test.app.config.public_url, "/incoming/twilio/sms/status", &form);
    assert_ne!(scan.test.send(signed).await.status(), StatusCode::NOT_FOUND);

    for path in [
        "/manage/parked",
        "/manage/retries",
        "/manage/audit",
        "/manage/partners",
        "/manage/deliveries",
        "/manage/nothing/+12025550143",
        "/incoming/nobody/sms/+12025550143",
        "/incoming/twilio/nothing/ana.lopez@example.com",
    ] {
        scan.ask(Method::GET, path, Body::empty()).await;
    }
    let not_json = format!("{{\"endpoint\": {GOSSIP:?}, \"x\": 1}}");
    scan.ask(Method::PUT, "/manage/partners/broken", Body::from(not_json)).await;

    // The net itself: what a library might say.
    tracing::error!(error = GOSSIP, "a service said something");
    export.stop().await;

    let logged = lines.text();
    for expected in ["a callback is parked", "a callback was refused: 401", "a delivery is parked", "a delivery failed"]
    {
        assert!(logged.contains(expected), "nothing was logged: {expected}");
    }
    let token = scan.test.app.tokens.address("+12025550143");
    assert!(logged.contains(&format!("no such person: {token}")), "people are told apart by their tokens");
    assert!(collector.spans().len() > 500, "{} spans", collector.spans().len());
    assert!(!collector.metrics().is_empty());
    assert_none("log lines", &logged, &needed);
    assert_none("spans and metrics", &collector.text(), &needed);
    assert_none("answers", &without_message_ids(scan.answers.join("\n")), &needed);
}
