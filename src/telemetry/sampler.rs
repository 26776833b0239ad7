//! Which traces are recorded: what `OTEL_TRACES_SAMPLER` says, except that vendors have no say in it.
//!
//! Who sends to the door is not one of us. A context that comes with a request is continued, but whether it is recorded
//! depends on the trace id alone: a vendor that sets the sampled flag on everything must not make everything recorded.
//! On the bus and behind it the flag is our own, so a trace is recorded whole or not at all.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

use crate::config::Environment;

/// Decides at the door as at the root of a trace, and elsewhere as it is told.
#[derive(Debug)]
pub(super) struct OwnDecision(Box<dyn ShouldSample>);

impl OwnDecision {
    /// By the SDK's own reading of the environment, and by the one name that the Functions host's exporter knows besides.
    pub fn from_environment(environment: Environment) -> Self {
        if environment("OTEL_TRACES_SAMPLER").as_deref() != Some("microsoft.fixed_percentage") {
            return Self(opentelemetry_sdk::trace::Config::default().sampler);
        }
        let ratio = environment("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
        Self(Box::new(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))))
    }
}

impl Clone for OwnDecision {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl ShouldSample for OwnDecision {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if *kind != SpanKind::Server {
            return self.0.should_sample(parent, trace_id, name, kind, attributes, links);
        }
        let decided = self.0.should_sample(None, trace_id, name, kind, attributes, links);
        let trace_state = parent.map(|parent| parent.span().span_context().trace_state().clone());
        SamplingResult { trace_state: trace_state.unwrap_or_default(), ..decided }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    #[test]
    fn a_vendors_flag_counts_for_nothing_and_our_own_for_everything() {
        let variable = |name: &str| {
            let value = match name {
                "OTEL_TRACES_SAMPLER" => "microsoft.fixed_percentage",
                "OTEL_TRACES_SAMPLER_ARG" => "0",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let sampler = OwnDecision::from_environment(&variable);
        let decided = |flags, kind: SpanKind| {
            let trace = TraceId::from(7);
            let parent = SpanContext::new(trace, SpanId::from(1), flags, true, TraceState::default());
            let context = Context::new().with_remote_span_context(parent);
            sampler.should_sample(Some(&context), trace, "x", &kind, &[], &[]).decision
        };
        assert_eq!(decided(TraceFlags::SAMPLED, SpanKind::Server), SamplingDecision::Drop);
        assert_eq!(decided(TraceFlags::SAMPLED, SpanKind::Consumer), SamplingDecision::RecordAndSample);
        assert_eq!(decided(TraceFlags::default(), SpanKind::Consumer), SamplingDecision::Drop);
    }
}
