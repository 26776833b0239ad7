//! The generic payload: JSON or a form whose meaning the configuration tells.

mod source;

use std::collections::BTreeMap;

use http::HeaderName;
use serde_json::Value;

use super::{Callback, Identity, Request, Unreadable, digest, json};
use crate::{
    config::Mapping,
    event::{Event, EventType},
};
use source::{Parts, Source};

/// Reads payloads as one [`Mapping`] tells. Without one every payload is unreadable (and so parked).
#[derive(Debug)]
pub(super) struct Reader {
    vendor: String,
    plan: Option<Plan>,
    headers: Vec<HeaderName>,
}

/// What the mapping expects of a body.
#[derive(Debug)]
enum Body {
    /// One event, read from JSON.
    Object,
    /// JSON with an array at this pointer, and an event in each of its elements.
    Each(String),
    Form,
    /// The body is not read at all.
    Unread,
}

/// A mapping, ready for use.
#[derive(Debug)]
struct Plan {
    body: Body,
    message_id: Source,
    /// `None`: a digest of the callback.
    event_id: Option<Source>,
    status: Source,
    occurred_at: Option<Source>,
    recipient: Option<Source>,
    sender: Option<Source>,
    reason_code: Option<Source>,
    reason: Option<Source>,
    statuses: BTreeMap<String, EventType>,
}

impl Reader {
    /// The event's id is by default that of Standard Webhooks.
    pub fn new(vendor: &str, mapping: Option<&Mapping>) -> Self {
        Self::with_event_id(vendor, mapping, Some(&HeaderName::from_static("webhook-id")))
    }

    /// The event's id is by default in this header, which the signature covers.
    pub fn with_event_id(vendor: &str, mapping: Option<&Mapping>, header: Option<&HeaderName>) -> Self {
        let plan = mapping.map(|mapping| Plan::new(mapping, header));
        let mut headers: Vec<HeaderName> = plan.iter().flat_map(Plan::header_names).cloned().collect();
        headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        Self { vendor: vendor.to_owned(), plan, headers }
    }

    /// The headers that the mapping reads.
    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// The id of the callback, where the mapping takes event ids from outside of a JSON body.
    pub fn identify(&self, request: &Request<'_>) -> Identity {
        let event_id = self.plan.as_ref().and_then(|plan| plan.event_id.as_ref());
        let id = event_id.and_then(|source| source.without_json(Parts::of_request(request)));
        Identity { subject: None, dedupe_key: id.map(|id| format!("{}:{id}", self.vendor)) }
    }

    /// The events of a callback.
    ///
    /// # Errors
    /// The body is not JSON, has no array where `each` says so, or is a form without any field that the mapping reads.
    pub fn events(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        let plan = self.plan.as_ref().ok_or_else(|| Unreadable("the vendor has no mapping".into()))?;
        let mut digest = Fallback { callback, digest: None };
        let body = match &plan.body {
            Body::Object | Body::Each(_) => {
                serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("JSON", &error))?
            }
            Body::Form if !plan.has_form_field(callback) => {
                return Err(Unreadable("the body is not a form with any of the mapping's fields".into()));
            }
            Body::Form | Body::Unread => Value::Null,
        };
        let Body::Each(each) = &plan.body else {
            return Ok(vec![self.event(plan, &body, None, callback, &mut digest)]);
        };
        match body.pointer(each) {
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .map(|(index, element)| self.event(plan, element, Some(index), callback, &mut digest))
                .collect()),
            _ => Err(Unreadable(format!("the body has no array at \"{each}\""))),
        }
    }

    fn event(
        &self,
        plan: &Plan,
        element: &Value,
        index: Option<usize>,
        callback: &Callback,
        fallback: &mut Fallback<'_>,
    ) -> Event {
        let vendor = &self.vendor;
        let parts = Parts::of_callback(callback);
        let text = |source: &Source| source.text(element, parts);
        let optional = |source: &Option<Source>| source.as_ref().and_then(text);

        let event_id = match (optional(&plan.event_id), &plan.event_id, index) {
            // That names the whole callback, not one of its elements.
            (Some(id), Some(source), Some(index)) if source.is_outside_the_body() => format!("{id}:{index}"),
            (Some(id), ..) => id,
            (None, _, index) => fallback.id(index),
        };
        let message_id = text(&plan.message_id).unwrap_or_else(|| fallback.id(index));
        let status = text(&plan.status).unwrap_or_default();
        let event_type = plan.statuses.get(&status).copied().unwrap_or(EventType::Unknown);
        Event {
            occurred_at: plan.occurred_at.as_ref().and_then(|source| source.time(element, parts)),
            provider_status: status,
            recipient: optional(&plan.recipient),
            sender: optional(&plan.sender),
            reason_code: optional(&plan.reason_code),
            reason: optional(&plan.reason),
            ..Event::new(event_type, callback.channel, vendor, &message_id, format!("{vendor}:{event_id}"))
        }
    }
}

impl Plan {
    fn new(mapping: &Mapping, event_id: Option<&HeaderName>) -> Self {
        let optional = |source: &Option<String>| source.as_deref().map(Source::parse);
        let mut plan = Self {
            body: Body::Unread,
            message_id: Source::parse(&mapping.message_id),
            event_id: optional(&mapping.event_id).or_else(|| event_id.cloned().map(Source::header)),
            status: Source::parse(&mapping.status),
            occurred_at: optional(&mapping.occurred_at),
            recipient: optional(&mapping.recipient),
            sender: optional(&mapping.sender),
            reason_code: optional(&mapping.reason_code),
            reason: optional(&mapping.reason),
            statuses: mapping.statuses.clone(),
        };
        plan.body = match &mapping.each {
            Some(each) => Body::Each(each.clone()),
            None if plan.sources().any(|source| matches!(source, Source::Form(_))) => Body::Form,
            None if plan.sources().any(|source| matches!(source, Source::Pointer(_))) => Body::Object,
            None => Body::Unread,
        };
        plan
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        let Self { event_id, occurred_at, recipient, sender, reason_code, reason, .. } = self;
        let optional = [event_id, occurred_at, recipient, sender, reason_code, reason];
        [&self.message_id, &self.status].into_iter().chain(optional.into_iter().flatten())
    }

    fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.sources().flat_map(Source::header_names)
    }

    fn has_form_field(&self, callback: &Callback) -> bool {
        let parts = Parts::of_callback(callback);
        self.sources().any(|source| matches!(source, Source::Form(_)) && source.without_json(parts).is_some())
    }
}

/// Ids for elements without one: a digest of the whole callback, taken once, and the element's place in it.
struct Fallback<'a> {
    callback: &'a Callback,
    digest: Option<String>,
}

impl Fallback<'_> {
    fn id(&mut self, index: Option<usize>) -> String {
        let digest = self.digest.get_or_insert_with(|| digest::of_callback(self.callback));
        index.map_or_else(|| digest.clone(), |index| format!("{digest}:{index}"))
    }
}
