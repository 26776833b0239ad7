//! One attempt: the request as it is sent, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{
    client::{Answer, Exchange, Failed},
    keys::Keys,
    partner::Partner,
    retry_after, sign,
    wire::Content,
};
use crate::clock::Timestamp;

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub endpoint: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Prepared {
    /// Lets the partner continue the trace. The vendor's `tracestate` stays here: it is nobody's business there.
    pub fn trace(&mut self, traceparent: Option<&str>) {
        if let Some(Ok(value)) = traceparent.map(HeaderValue::try_from) {
            self.headers.entry("traceparent").or_insert(value);
        }
    }
}

/// Nothing can be sent, and it is not the partner's fault: try again once somebody has put it right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unprepared {
    #[error("the environment has no {0}, which a header of the partner names")]
    Variable(String),
    #[error("the value of {0} cannot stand in a header")]
    Value(String),
    #[error("there is no key to sign with: set the variable that [delivery] key names")]
    Key,
    #[error("the endpoint is no URL")]
    Endpoint,
}

/// Signs and addresses what a partner gets. `variable` looks up the environment.
///
/// # Errors
/// Something is missing on this side.
pub fn prepare(
    partner: &Partner,
    keys: Option<&Keys>,
    id: &str,
    content: Content,
    now: Timestamp,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Prepared, Unprepared> {
    let endpoint = Url::parse(&partner.settings.endpoint).map_err(|_| Unprepared::Endpoint)?;
    let signature = sign::headers(keys.ok_or(Unprepared::Key)?, partner, id, &content.body, now);
    let mut headers = HeaderMap::new();
    for (name, value) in &partner.settings.headers {
        let value = match value.strip_prefix("env:") {
            Some(name) => variable(name).ok_or_else(|| Unprepared::Variable(name.to_owned()))?,
            None => value.clone(),
        };
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(Unprepared::Value(name.clone()));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    for (name, value) in content.headers.into_iter().chain(signature) {
        let value = HeaderValue::try_from(value).map_err(|_| Unprepared::Value(name.to_owned()))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(Prepared { endpoint, headers, body: content.body })
}

/// What an exchange means for its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// It may heal; not before the endpoint has been left alone for so long.
    Retry {
        reason: String,
        not_within: Duration,
    },
    /// It cannot heal by itself.
    Park(String),
    /// The endpoint is gone for good (410): the delivery is parked and the partner disabled.
    Gone,
}

/// Judges an exchange.
pub fn judge(exchange: &Exchange, now: Timestamp) -> Verdict {
    let Answer { status, retry_after, .. } = match &exchange.result {
        Ok(answer) => answer,
        Err(failed @ Failed::Inside(_)) => return Verdict::Park(failed.to_string()),
        Err(failed) => return Verdict::Retry { reason: failed.to_string(), not_within: Duration::ZERO },
    };
    match status {
        200..=299 => Verdict::Delivered,
        408 | 425 | 429 | 500..=599 => {
            let not_within = retry_after.as_deref().and_then(|value| retry_after::parse(value, now));
            Verdict::Retry { reason: format!("answered {status}"), not_within: not_within.unwrap_or_default() }
        }
        410 => Verdict::Gone,
        300..=399 => Verdict::Park(format!(
            "answered {status}: redirects are not followed, because the endpoint was chosen by a person; correct it with \
             `sluice partners update`"
        )),
        _ => Verdict::Park(format!("answered {status}")),
    }
}

/// Whether the endpoint works, whatever it thinks of this event. A breaker counts the others.
pub fn is_healthy(exchange: &Exchange, verdict: &Verdict) -> bool {
    exchange.result.is_ok() && !matches!(verdict, Verdict::Retry { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_consequence() {
        let judged = |status: u16| {
            let answer = Answer { status, retry_after: Some("90".into()), body: String::new() };
            let exchange = Exchange { result: Ok(answer), took: Duration::ZERO };
            let verdict = judge(&exchange, Timestamp::default());
            (is_healthy(&exchange, &verdict), verdict)
        };
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status), (true, Verdict::Delivered), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let (healthy, verdict) = judged(status);
            assert!(!healthy, "{status}");
            assert!(matches!(verdict, Verdict::Retry { not_within, .. } if not_within.as_secs() == 90), "{status}");
        }
        for status in [301, 304, 307, 400, 401, 404, 409, 422] {
            assert!(
                matches!(judged(status), (true, Verdict::Park(reason)) if reason.starts_with("answered")),
                "{status}"
            );
        }
        assert_eq!(judged(410), (true, Verdict::Gone));
    }
}
