//! The spans of a delivery: one for the message in its own trace, and one for the request to the partner.

use opentelemetry::trace::SpanKind;

use super::Courier;
use crate::{
    delivery::{client::Exchange, partner::Partner},
    retry::records::StoredMessage,
    telemetry::{ATTEMPT_BEFORE, Span},
};

/// Continues the message's trace, and points at the batch and at the attempt that failed before.
pub(super) fn of_message(courier: &Courier, message: &StoredMessage, batch: &Span) -> Span {
    let tracing = &courier.tracing;
    let parent = tracing.context_of(&message.properties);
    let span = tracing.start(SpanKind::Consumer, "process", &courier.topic, parent);
    span.describe_messaging(courier.messaging_system, "process", &courier.topic);
    span.describe(|| {
        [
            ("messaging.destination.subscription.name", "deliver".into()),
            ("messaging.message.conversation_id", message.correlation_id.clone().unwrap_or_default().into()),
            ("sluice.partner", message.partner().unwrap_or_default().into()),
            ("sluice.attempt", i64::from(message.attempt()).into()),
        ]
    });
    span.link(batch.context());
    let before = message.properties.get(ATTEMPT_BEFORE).and_then(|before| before.as_str());
    span.link(before.and_then(|before| tracing.parse(before, None)));
    span
}

/// The endpoint's path and query may hold a token, and its name is the partner's: the partner's name says enough.
pub(super) fn of_request(courier: &Courier, partner: &Partner, message: &StoredMessage, delivery: &Span) -> Span {
    let span = courier.tracing.start(SpanKind::Client, "POST", "", delivery.context());
    span.describe(|| {
        [
            ("http.request.method", "POST".into()),
            ("http.request.resend_count", i64::from(message.attempt() - 1).into()),
            ("sluice.partner", partner.name().to_owned().into()),
        ]
    });
    span
}

/// How the request ended.
pub(super) fn end_request(span: &Span, exchange: &Exchange) {
    match &exchange.result {
        Ok(answer) => {
            span.describe(|| [("http.response.status_code", i64::from(answer.status).into())]);
            if answer.status >= 300 {
                span.fail(i64::from(answer.status));
            }
        }
        Err(failed) => span.fail(failed.code()),
    }
}
