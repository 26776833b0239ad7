//! Where spans and metrics go: to a collector by OTLP, else to Application Insights, else nowhere.
//!
//! The environment decides, by the names that OpenTelemetry and Azure gave it: `OTEL_EXPORTER_OTLP_ENDPOINT` (with
//! `OTEL_EXPORTER_OTLP_HEADERS` and the like), else `APPLICATIONINSIGHTS_CONNECTION_STRING`. Spans are sent in batches by a
//! thread of the SDK's own; what it cannot keep up with is dropped, and no callback ever waits for it.

mod sender;

use std::{sync::Arc, time::Duration};

use opentelemetry::{KeyValue, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_application_insights::Exporter as InsightsExporter;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};

use super::{sampler::OwnDecision, trace::Tracing};
use crate::config::Environment;
use sender::Sender;

/// How long the last batches may take when the program stops.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The name that everything here is found by, unless `OTEL_SERVICE_NAME` says another.
const SERVICE: &str = "sluice";

const INSIGHTS: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";
const INSIGHTS_IDENTITY: &str = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";

/// Why nothing is exported, though the environment asks for it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the HTTP client cannot start: {0}")]
    Client(#[from] reqwest::Error),
    #[error("OTEL_EXPORTER_OTLP_...: {0}")]
    Otlp(String),
    /// Without the parser's own words, which might quote the key.
    #[error("APPLICATIONINSIGHTS_CONNECTION_STRING is not one: copy it from the component's page")]
    ConnectionString,
    #[error("APPLICATIONINSIGHTS_AUTHENTICATION_STRING: {0}")]
    Identity(String),
}

/// The exporters at work.
#[derive(Debug)]
pub struct Export {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Export {
    /// Starts what the environment asks for; `None` where it asks for nothing. To be called on a Tokio runtime, which does
    /// the sending.
    ///
    /// # Errors
    /// The environment asks for something that this program cannot do.
    pub fn start(environment: Environment) -> Result<Option<Self>, ExportError> {
        if environment("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let resource = resource(environment);
        let mut spans = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(OwnDecision::from_environment(environment));
        let mut metrics = SdkMeterProvider::builder().with_resource(resource);
        let (to_spans, to_metrics) = (endpoint(environment, "traces"), endpoint(environment, "metrics"));
        if to_spans.is_some() || to_metrics.is_some() {
            let failed = |error: opentelemetry_otlp::ExporterBuildError| ExportError::Otlp(error.to_string());
            let client: Arc<dyn HttpClient> = Arc::new(Sender::new(None)?);
            if let Some(endpoint) = to_spans {
                let exporter = SpanExporter::builder().with_http().with_shared_http_client(client.clone());
                spans = spans.with_batch_exporter(exporter.with_endpoint(endpoint).build().map_err(failed)?);
            }
            if let Some(endpoint) = to_metrics {
                let exporter = MetricExporter::builder().with_http().with_shared_http_client(client);
                metrics = metrics.with_periodic_exporter(exporter.with_endpoint(endpoint).build().map_err(failed)?);
            }
            return Ok(Some(Self { spans: spans.build(), metrics: metrics.build() }));
        }
        let Some(connection) = environment(INSIGHTS) else { return Ok(None) };
        let identity = environment(INSIGHTS_IDENTITY).map(|text| sender::identity(&text)).transpose()?;
        let sender = Sender::new(identity)?;
        let exporter = || {
            InsightsExporter::new_from_connection_string(&connection, sender.clone())
                .map_err(|_| ExportError::ConnectionString)
        };
        let exported = exporter()?.with_sample_rate(sample_rate(environment));
        Ok(Some(Self {
            spans: spans.with_batch_exporter(exported).build(),
            metrics: metrics.with_periodic_exporter(exporter()?).build(),
        }))
    }

    /// Where spans begin.
    pub fn tracing(&self) -> Tracing {
        Tracing::with(self.spans.tracer(SERVICE))
    }

    /// Where metrics are registered.
    pub fn meter(&self) -> opentelemetry::metrics::Meter {
        self.metrics.meter(SERVICE)
    }

    /// Sends what is left, within a few seconds.
    pub async fn stop(self) {
        // On a thread of its own: it waits for this runtime, which does the sending.
        let stop = tokio::task::spawn_blocking(move || {
            let spans = self.spans.shutdown_with_timeout(LAST_WORDS);
            spans.and(self.metrics.shutdown_with_timeout(LAST_WORDS))
        });
        match tokio::time::timeout(2 * LAST_WORDS, stop).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans and metrics may be lost"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans and metrics may be lost"),
        }
    }
}

/// Where a collector takes this signal.
fn endpoint(environment: Environment, signal: &str) -> Option<String> {
    let own = environment(&format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.to_uppercase()));
    let all = || Some(format!("{}/v1/{signal}", environment("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')));
    own.or_else(all)
}

/// What this process is, on every span and metric.
fn resource(environment: Environment) -> Resource {
    let mut resource = Resource::builder();
    if environment("OTEL_SERVICE_NAME").is_none() {
        let app = environment("WEBSITE_SITE_NAME").unwrap_or_else(|| SERVICE.to_owned());
        resource = resource.with_service_name(app);
    }
    let instance = environment("WEBSITE_INSTANCE_ID").unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    resource
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .build()
}

/// What share of the traces is recorded: Application Insights multiplies its counts by it.
fn sample_rate(environment: Environment) -> f64 {
    let is_ratio = |sampler: String| sampler.ends_with("traceidratio") || sampler == "microsoft.fixed_percentage";
    let ratio = environment("OTEL_TRACES_SAMPLER").is_some_and(is_ratio);
    let rate = environment("OTEL_TRACES_SAMPLER_ARG").and_then(|rate| rate.parse::<f64>().ok());
    rate.filter(|rate| ratio && (0.0..=1.0).contains(rate)).unwrap_or(1.0)
}
