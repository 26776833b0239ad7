//! One trace from the vendor's POST to the partner's, though bus, ledger and host lie between.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use sluice::{
    local::broker::Entity,
    telemetry::{Export, Tracing},
};

use crate::{
    collector::{Collector, Span},
    support::{
        TestApp, config, entity, invocation_of,
        partner_double::{Act, PartnerDouble},
        receipt, text, twilio_request,
    },
};

const PATH: &str = "/incoming/twilio/sms/status";
const VENDOR: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The program with a partner, and a collector that it exports to.
struct World {
    test: TestApp,
    partner: PartnerDouble,
    collector: Collector,
    export: Option<Export>,
}

impl World {
    async fn start() -> Self {
        let collector = Collector::start().await;
        let endpoint = collector.url.clone();
        let export = Export::start(&move |name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone()));
        let export = export.unwrap();
        let tracing = export.as_ref().map(Export::tracing).unwrap();
        Self::with(tracing, collector, export).await
    }

    async fn with(tracing: Tracing, collector: Collector, export: Option<Export>) -> Self {
        let test = TestApp::traced(config(&[("jitter = 0.2", "jitter = 0.0")]), tracing);
        let partner = PartnerDouble::start().await;
        let settings = json!({ "endpoint": partner.url, "allow_internal": true });
        let request = Request::builder().method(Method::PUT).uri("/manage/partners/shop");
        let request = request.header("x-sluice-operator", "ana").body(Body::from(settings.to_string())).unwrap();
        let response = test.send(request).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", text(response).await);
        Self { test, partner, collector, export }
    }

    async fn post(&self, sid: &str, traceparent: Option<&str>) {
        let mut request = twilio_request(&self.test.app.config.public_url, PATH, &receipt(sid, "delivered"));
        if let Some(traceparent) = traceparent {
            request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
            request.headers_mut().insert("tracestate", "vendor=secretive".parse().unwrap());
        }
        assert_eq!(self.test.send(request).await.status(), StatusCode::OK);
    }

    /// Hands everything that waits to the function, in one batch.
    async fn batch(&self, function: &str, entity: &Entity) -> usize {
        let received = self.test.broker.receive(entity, 128, Duration::ZERO).await.unwrap();
        if received.is_empty() {
            return 0;
        }
        let request = Request::post(format!("/{function}")).body(Body::from(invocation_of(function, &received)));
        assert_eq!(self.test.send(request.unwrap()).await.status(), StatusCode::OK);
        let locks: Vec<_> = received.iter().map(|message| message.lock.clone()).collect();
        self.test.broker.complete(&locks).await.unwrap();
        received.len()
    }

    async fn deliver(&self) -> usize {
        let deliver = Entity { topic: "deliveries".into(), subscription: "deliver".into(), dead_letter: false };
        self.batch("deliver", &deliver).await
    }

    /// Everything that was exported, once nothing more comes.
    async fn spans(mut self) -> Vec<Span> {
        if let Some(export) = self.export.take() {
            export.stop().await;
        }
        self.collector.spans()
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

const INGEST: &str = "ingest /incoming/{vendor}/{servicetype}/{*requesttype}";

#[tokio::test(flavor = "multi_thread")]
async fn one_callback_is_one_trace_from_the_vendors_post_to_the_partners() {
    let world = World::start().await;
    world.post("SM1", None).await;
    assert_eq!(world.batch("process-sms", &entity("sms")).await, 1);
    assert_eq!(world.deliver().await, 1);
    let traceparent = world.partner.seen()[0].header("traceparent").to_owned();
    let spans = world.spans().await;

    let ingest = one(&spans, INGEST);
    assert_eq!((ingest.kind, ingest.parent.as_str()), (SpanKind::Server, ""));
    assert_eq!((ingest.get("sluice.vendor"), ingest.get("http.response.status_code")), ("twilio", "200"));
    // Each step hangs on the one before it.
    let mut parent = ingest;
    let steps = [
        ("send callbacks", SpanKind::Producer),
        ("process callbacks", SpanKind::Consumer),
        ("send deliveries", SpanKind::Producer),
        ("process deliveries", SpanKind::Consumer),
        ("POST", SpanKind::Client),
    ];
    for (name, kind) in steps {
        let step = one(&spans, name);
        assert_eq!((step.kind, &step.trace, &step.parent), (kind, &ingest.trace, &parent.id), "{name}");
        assert!(!step.failed, "{name}");
        parent = step;
    }
    let commit = one(&spans, "commit ledger");
    assert_eq!((&commit.trace, &commit.parent), (&ingest.trace, &one(&spans, "process callbacks").id));
    assert_eq!(commit.get("db.system.name"), "sqlite");
    assert_eq!(traceparent, format!("00-{}-{}-01", ingest.trace, parent.id), "what the partner got");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_points_at_each_of_its_messages_and_they_at_it() {
    let world = World::start().await;
    for sid in ["SM1", "SM2", "SM3"] {
        world.post(sid, None).await;
    }
    assert_eq!(world.batch("process-sms", &entity("sms")).await, 3);
    let spans = world.spans().await;

    let batch = one(&spans, "receive callbacks");
    assert_eq!(batch.get("messaging.batch.message_count"), "3");
    let sent: Vec<_> =
        named(&spans, "send callbacks").iter().map(|sent| (sent.trace.clone(), sent.id.clone())).collect();
    assert_eq!((batch.links.clone(), sent.len()), (sent, 3));
    let processed = named(&spans, "process callbacks");
    assert_eq!(processed.len(), 3);
    for message in processed {
        assert_eq!(message.links, [(batch.trace.clone(), batch.id.clone())]);
        assert_ne!(message.trace, batch.trace, "each stays in its own trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_stays_in_its_trace_and_points_at_the_attempt_that_failed() {
    let world = World::start().await;
    world.partner.next([Act::Answer(503)]);
    world.post("SM1", None).await;
    world.batch("process-sms", &entity("sms")).await;
    assert_eq!(world.deliver().await, 1);
    world.test.clock.advance(Duration::from_secs(6));
    assert_eq!(world.test.sweep().await, StatusCode::OK);
    assert_eq!(world.deliver().await, 1);
    let seen: Vec<_> = world.partner.seen().iter().map(|seen| seen.header("traceparent").to_owned()).collect();
    let spans = world.spans().await;

    let [failed, retried] = named(&spans, "POST")[..] else { panic!("two attempts: {spans:#?}") };
    assert!(failed.failed && !retried.failed);
    assert_eq!((failed.get("error.type"), retried.get("http.request.resend_count")), ("503", "1"));
    let attempts = named(&spans, "process deliveries");
    assert_eq!([attempts[0].get("sluice.attempt"), attempts[1].get("sluice.attempt")], ["1", "2"]);
    assert!(attempts[1].links.contains(&(failed.trace.clone(), failed.id.clone())), "{attempts:#?}");
    let trace = &one(&spans, INGEST).trace;
    assert!([failed, retried].iter().all(|attempt| attempt.trace == *trace));
    let expected = [failed, retried].map(|attempt| format!("00-{trace}-{}-01", attempt.id));
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_trace_is_continued_but_whether_it_is_recorded_is_not_the_vendors_choice() {
    let world = World::start().await;
    // Its sampled flag is off, and everything is recorded all the same.
    world.post("SM1", Some(VENDOR)).await;
    world.batch("process-sms", &entity("sms")).await;
    world.deliver().await;
    let seen = world.partner.seen();
    assert_eq!(&seen[0].header("traceparent")[..36], &VENDOR[..36]);
    assert_eq!(seen[0].header("tracestate"), "", "the vendor's own state stays here");
    let spans = world.spans().await;
    let ingest = one(&spans, INGEST);
    assert_eq!((&ingest.trace[..], &ingest.parent[..]), (&VENDOR[3..35], &VENDOR[36..52]));
    assert!(named(&spans, "POST").iter().all(|post| post.trace == ingest.trace));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_exporter_the_vendors_context_reaches_the_partner_as_it_is() {
    let world = World::with(Tracing::off(), Collector::start().await, None).await;
    world.post("SM1", Some(VENDOR)).await;
    world.post("SM2", None).await;
    world.batch("process-sms", &entity("sms")).await;
    world.deliver().await;
    let mut seen: Vec<_> = world.partner.seen().iter().map(|seen| seen.header("traceparent").to_owned()).collect();
    seen.sort();
    assert_eq!(seen, ["", VENDOR]);
    assert!(world.spans().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_callback_is_a_trace_of_its_own_that_says_why() {
    let world = World::start().await;
    let mut request = twilio_request(&world.test.app.config.public_url, PATH, &receipt("SM1", "delivered"));
    request.headers_mut().insert("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().unwrap());
    assert_eq!(world.test.send(request).await.status(), StatusCode::UNAUTHORIZED);
    let spans = world.spans().await;
    let ingest = one(&spans, INGEST);
    assert_eq!(spans.len(), 1);
    assert_eq!(ingest.get("http.response.status_code"), "401");
    assert_ne!(ingest.get("sluice.refusal"), "");
}
