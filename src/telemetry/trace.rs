//! Spans: where the time of a callback goes, from the vendor's POST to the partner's.
//!
//! The Functions host hides the trace from its handlers, so it travels with the work: in the envelope, in the bus
//! message's property [`PROPERTY`], in the outbox. Contexts are handed from function to function, not kept by thread.
//! Without an exporter every span is [`Span::none`], and what the vendor sent is passed on as it is.
//!
//! What spans may hold is decided here and in [`super::catalogue`]: names, numbers and ids of our own. Bodies, addresses,
//! URLs' queries and the texts of errors stay out.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    Context, KeyValue, Value,
    propagation::{Extractor, TextMapPropagator},
    trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span as SdkSpan},
};

use crate::bus::Properties;

/// Application property: the W3C context of the span that sent the message.
pub const PROPERTY: &str = "traceparent";
/// Application property: the context of the attempt that failed before this one.
pub const ATTEMPT_BEFORE: &str = "attemptbefore";

/// Starts spans, or nothing at all where nobody wants them.
#[derive(Debug, Clone, Default)]
pub struct Tracing(Option<SdkTracer>);

impl Tracing {
    /// No spans.
    pub fn off() -> Self {
        Self(None)
    }

    /// Spans of this tracer.
    pub fn with(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// Starts a span named `{operation} {target}`. Without a parent it begins a trace.
    pub fn start(&self, kind: SpanKind, operation: &'static str, target: &str, parent: Option<SpanContext>) -> Span {
        let Some(tracer) = &self.0 else { return Span::none() };
        let name: Cow<'static, str> = match target {
            "" => operation.into(),
            target => format!("{operation} {target}").into(),
        };
        let parent = parent.filter(SpanContext::is_valid);
        let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), &context);
        Span(Some(Box::new(Mutex::new(span))))
    }

    /// The context that a message brings, unless nobody would use it.
    pub fn context_of(&self, properties: &Properties) -> Option<SpanContext> {
        self.parse(properties.get(PROPERTY)?.as_str()?, None)
    }

    /// The context that the headers of a request bring, unless nobody would use it.
    pub fn context_in(&self, headers: &http::HeaderMap) -> Option<SpanContext> {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        self.parse(text("traceparent")?, text("tracestate"))
    }

    /// A context from its W3C form; `None` where it is malformed or spans are off.
    pub fn parse(&self, traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
        self.0.as_ref()?;
        let carrier = Carrier { traceparent, tracestate };
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let context = context.span().span_context().clone();
        context.is_valid().then_some(context)
    }
}

/// One span. It ends when this is dropped, whichever way the work goes.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Mutex<SdkSpan>>>);

impl Span {
    /// Nothing is recorded.
    pub fn none() -> Self {
        Self(None)
    }

    /// Adds attributes. They are computed only for a span that is recorded.
    pub fn describe<const N: usize>(&self, attributes: impl FnOnce() -> [(&'static str, Value); N]) {
        let Some(mut span) = self.recorded() else { return };
        span.set_attributes(attributes().map(|(name, value)| KeyValue::new(name, value)));
    }

    /// Says what is done with messages: `operation` is `send`, `receive` or `process`, and its type of the same name in
    /// OpenTelemetry's conventions.
    pub fn describe_messaging(&self, system: &'static str, operation: &'static str, topic: &str) {
        self.describe(|| {
            [
                ("messaging.system", system.into()),
                ("messaging.operation.name", operation.into()),
                ("messaging.operation.type", operation.into()),
                ("messaging.destination.name", topic.to_owned().into()),
            ]
        });
    }

    /// The work failed. `error` is a short code without values: nobody redacts it.
    pub fn fail(&self, error: impl Into<Value>) {
        let Some(mut span) = self.recorded() else { return };
        span.set_attribute(KeyValue::new("error.type", error));
        span.set_status(Status::error(""));
    }

    /// Points at work that this belongs to without being a part of it.
    pub fn link(&self, to: Option<SpanContext>) {
        let (Some(mut span), Some(to)) = (self.recorded(), to) else { return };
        span.add_link(to, Vec::new());
    }

    /// For children and links.
    pub fn context(&self) -> Option<SpanContext> {
        Some(self.span()?.span_context().clone()).filter(SpanContext::is_valid)
    }

    /// The W3C form of the context, for whoever is called; `None` where spans are off.
    pub fn traceparent(&self) -> Option<String> {
        let context = self.context()?;
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
        Some(format!("00-{trace}-{span}-{flags:02x}"))
    }

    fn span(&self) -> Option<MutexGuard<'_, SdkSpan>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn recorded(&self) -> Option<MutexGuard<'_, SdkSpan>> {
        self.span().filter(|span| span.is_recording())
    }
}

struct Carrier<'a> {
    traceparent: &'a str,
    tracestate: Option<&'a str>,
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.traceparent),
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_span_continues_the_trace_that_it_is_given_and_begins_one_otherwise() {
        let tracing = Tracing::with(SdkTracerProvider::builder().build().tracer("test"));
        let span = tracing.start(SpanKind::Producer, "send", "callbacks", tracing.parse(PARENT, Some("a=b")));
        let traceparent = span.traceparent().unwrap();
        assert_eq!(traceparent[..36], PARENT[..36]);
        assert_ne!(traceparent[36..52], PARENT[36..52]);
        let other = tracing.start(SpanKind::Server, "POST", "", tracing.parse("00-0-0-01", None));
        assert_ne!(other.traceparent().unwrap()[..36], PARENT[..36]);
    }

    #[test]
    fn without_an_exporter_there_is_nothing_to_pass_on() {
        let tracing = Tracing::off();
        let span = tracing.start(SpanKind::Producer, "send", "callbacks", tracing.parse(PARENT, None));
        span.describe(|| -> [(&'static str, Value); 0] { unreachable!("nobody looks") });
        assert_eq!((span.traceparent(), span.context()), (None, None));
    }
}
