//! A collector: a real HTTP server that takes OTLP.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{Response, StatusCode},
};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    trace::v1,
};
use prost::Message;
use tokio::net::TcpListener;

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
    /// Every request, undecoded.
    bodies: Arc<Mutex<Vec<u8>>>,
}

/// A span, with its ids as text.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub kind: v1::span::SpanKind,
    /// Of spans that it points at: trace and span.
    pub links: Vec<(String, String)>,
    pub attributes: Vec<(String, String)>,
    pub failed: bool,
}

impl Span {
    pub fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, ..Self::default() };
        let taking = collector.clone();
        let router = Router::new().fallback(move |request: Request| {
            let collector = taking.clone();
            async move { collector.take(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        collector
    }

    async fn take(self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 64 << 20).await.unwrap();
        self.bodies.lock().unwrap().extend_from_slice(&body);
        let mut response = Response::new(Body::empty());
        match head.uri.path() {
            "/v1/traces" => {
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
                self.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans).map(span));
            }
            "/v1/metrics" => {
                let request = ExportMetricsServiceRequest::decode(body).unwrap();
                let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
                self.metrics.lock().unwrap().extend(scopes.flat_map(|scope| scope.metrics));
            }
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        response
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    pub fn metrics(&self) -> Vec<Metric> {
        self.metrics.lock().unwrap().clone()
    }

    /// Everything that arrived, as text; what is no text is left out.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bodies.lock().unwrap()).into_owned()
    }
}

fn span(span: v1::Span) -> Span {
    Span {
        kind: span.kind(),
        trace: hex::encode(&span.trace_id),
        id: hex::encode(&span.span_id),
        parent: hex::encode(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex::encode(&link.trace_id), hex::encode(&link.span_id))).collect(),
        attributes: span.attributes.iter().map(attribute).collect(),
        failed: span.status.is_some_and(|status| status.code() == v1::status::StatusCode::Error),
        name: span.name,
    }
}

/// An attribute's name and value, as text.
pub fn attribute(attribute: &KeyValue) -> (String, String) {
    let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}
