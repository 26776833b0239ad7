//! What is measured: the same for whoever scrapes and for whoever is sent it, and as `docs/telemetry.md` lists it.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use sluice::{
    local::metrics::Metrics,
    telemetry::{
        Export,
        catalogue::{Kind, METRICS, SPANS},
        prometheus, register,
    },
};

use crate::{
    collector::{Collector, attribute},
    support::{TestApp, config, receipt, text},
};

const PATH: &str = "/incoming/twilio/sms/status";

async fn busy() -> TestApp {
    let test = TestApp::with(config(&[]));
    for status in ["sent", "delivered", "delivered"] {
        assert_eq!(test.twilio(PATH, &receipt("SM1", status)).await.status(), StatusCode::OK);
    }
    let forged = test.twilio("/incoming/twilio/sms/status?other=url", &receipt("SM1", "read")).await;
    assert_eq!(forged.status(), StatusCode::OK, "it is signed with its own URL");
    test
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_what_happened_and_what_waits() {
    let test = busy().await;
    let metrics = Metrics { app: test.app.clone(), broker: test.broker.clone() };
    let page = text(metrics.page().await).await;
    let says = |line: &str| assert!(page.lines().any(|found| found == line), "{line}\nis not in\n{page}");
    says(r#"sluice_acks_total{vendor="twilio",outcome="published"} 4"#);
    says(r#"sluice_ack_duration_seconds_count{vendor="twilio"} 4"#);
    says(r#"sluice_subscription_depth{subscription="callbacks/sms",state="active"} 3"#);
    says(r#"sluice_retries_due{class="transient"} 0"#);
    assert_eq!(test.process("sms").await, 3);
    let page = text(metrics.page().await).await;
    let says = |line: &str| assert!(page.lines().any(|found| found == line), "{line}\nis not in\n{page}");
    says(r#"sluice_callbacks_processed_total{vendor="twilio",outcome="unique"} 3"#);
    let batches = r#"messaging_process_duration_seconds_count{messaging_destination_subscription_name="sms"} "#;
    let batches = page.lines().find_map(|line| line.strip_prefix(batches)).unwrap();
    assert_ne!(batches, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_exported_under_the_names_of_the_catalogue() {
    let collector = Collector::start().await;
    let endpoint = collector.url.clone();
    let export = Export::start(&move |name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone()));
    let export = export.unwrap().unwrap();
    let test = TestApp::with(config(&[]));
    register(&export.meter(), &test.app);
    test.twilio(PATH, &receipt("SM1", "delivered")).await;
    test.process("sms").await;
    Metrics { app: test.app.clone(), broker: test.broker.clone() }.page().await;
    export.stop().await;

    let exported = collector.metrics();
    let units: BTreeMap<_, _> = exported.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    for metric in METRICS {
        // Without partners, refusals and storms there is nothing to tell of them.
        let silent = metric.attributes.iter().any(|name| ["partner", "reason"].contains(name));
        if !silent && metric.name != "sluice.retry_storm.ratio" {
            assert_eq!(units.get(metric.name), Some(&metric.unit), "{}", metric.name);
        }
    }
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for metric in &exported {
        assert!(known.contains(metric.name.as_str()), "{} is not in the catalogue", metric.name);
        let expected = METRICS.iter().find(|known| known.name == metric.name).unwrap();
        for names in attributes(metric) {
            assert_eq!(
                names,
                BTreeSet::from_iter(expected.attributes.iter().map(ToString::to_string)),
                "{}",
                metric.name
            );
        }
    }
    assert!(units.contains_key("sluice.ack.duration.p95"));
}

/// The attributes of each of its series.
fn attributes(metric: &Metric) -> Vec<BTreeSet<String>> {
    let points: Vec<_> = match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => gauge.data_points.iter().map(|point| &point.attributes).collect(),
        Data::Sum(sum) => sum.data_points.iter().map(|point| &point.attributes).collect(),
        Data::Histogram(histogram) => histogram.data_points.iter().map(|point| &point.attributes).collect(),
        other => panic!("{other:?}"),
    };
    points.into_iter().map(|names| names.iter().map(|name| attribute(name).0).collect()).collect()
}

/// The lines of `docs/telemetry.md` that tables have for the catalogue: what it does not say is missing there.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/telemetry.md");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

#[test]
fn the_list_of_metrics_and_spans_is_complete() {
    let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let metrics = METRICS.iter().map(|metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let page = prometheus::name(metric);
        let (name, unit, attributes) = (metric.name, metric.unit, code(metric.attributes));
        format!("| `{name}` | {kind} | `{unit}` | {attributes} | `{page}` | {} |", metric.description)
    });
    let spans = SPANS.iter().map(|span| format!("| `{}` | {} | {} |", span.name, span.kind, code(span.attributes)));
    let expected: BTreeSet<_> = metrics.chain(spans).collect();
    let documented = documented();
    let missing: Vec<_> = expected.difference(&documented).map(String::as_str).collect();
    assert!(missing.is_empty(), "docs/telemetry.md lacks\n{}", missing.join("\n"));
    let listed = documented.iter().filter(|line| line.starts_with("| `sluice.") || line.starts_with("| `messaging."));
    let gone: Vec<_> = listed.filter(|line| !expected.contains(*line)).collect();
    assert!(gone.is_empty(), "docs/telemetry.md has what there is not: {gone:#?}");
}

#[test]
fn alerts_ask_for_metrics_that_there_are_in_the_way_of_their_kind() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/terraform/modules/alerts/main.tf");
    let text = std::fs::read_to_string(path).unwrap();
    let queries = text.split_once("queries = {").unwrap().1.split_once("\n  }\n").unwrap().0;
    let field = |query: &str, key: &str| {
        let line = query.lines().find(|line| line.trim_start().starts_with(key)).unwrap_or_else(|| panic!("{query}"));
        line.split_once('=').unwrap().1.trim().trim_matches('"').to_owned()
    };
    let queries: Vec<_> = queries.split("\n    }\n").filter(|query| query.contains('=')).collect();
    assert_eq!(queries.len(), 7, "{queries:#?}");
    for query in queries {
        let (name, per) = (field(query, "metric"), field(query, "per"));
        let metric = METRICS.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no metric {name}"));
        assert!(metric.attributes.contains(&per.as_str()), "{name} is not told apart by {per}");
        // What a counter counted in a while is the sum of what it sent, and a gauge's highest is its highest.
        let summary = if metric.kind == Kind::Counter { "sum(valueSum)" } else { "max(valueMax)" };
        assert_eq!(field(query, "summary"), summary, "{name}");
    }
}
