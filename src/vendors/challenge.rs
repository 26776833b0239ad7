//! Handshakes of generic vendors: a verified request that asks for a word back before callbacks come.

use http::Method;
use serde::Deserialize;
use serde_json::{from_slice, json};

use super::{Handshake, Request};
use crate::config::Answer;

/// Far above what either question needs: a larger body is a callback, and is not read for this.
const LARGEST: usize = 16 * 1024;

/// Event Grid's schema asks for the code in the one event of a `SubscriptionValidation`:
/// <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>.
pub(super) fn event_grid(request: &Request<'_>) -> Option<Handshake> {
    #[derive(Deserialize)]
    struct Event {
        data: Validation,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Validation {
        validation_code: String,
    }
    let asks = request.headers.get("aeg-event-type")?.as_bytes().eq_ignore_ascii_case(b"SubscriptionValidation");
    if !asks || !may_ask(request) {
        return None;
    }
    let [event]: [Event; 1] = from_slice(request.body).ok()?;
    let body = json!({ "validationResponse": event.data.validation_code }).to_string();
    Some(Handshake::Answer(Some(Answer { content_type: "application/json".into(), body })))
}

/// Slack's Events API asks for its `challenge`: <https://docs.slack.dev/reference/events/url_verification>.
pub(super) fn slack(request: &Request<'_>) -> Option<Handshake> {
    #[derive(Deserialize)]
    struct Question {
        r#type: String,
        challenge: String,
    }
    if !may_ask(request) {
        return None;
    }
    let question: Question = from_slice(request.body).ok()?;
    (question.r#type == "url_verification")
        .then(|| Handshake::Answer(Some(Answer { content_type: "text/plain".into(), body: question.challenge })))
}

fn may_ask(request: &Request<'_>) -> bool {
    *request.method == Method::POST && request.body.len() <= LARGEST
}
