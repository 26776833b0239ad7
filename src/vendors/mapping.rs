//! The generic payload: JSON whose meaning the configuration tells.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::{Callback, Unreadable, digest, json};
use crate::{
    clock::Timestamp,
    config::Mapping,
    event::{Event, EventType},
};

/// Reads payloads as one [`Mapping`] tells. Without one every payload is unreadable (and so parked).
#[derive(Debug)]
pub(super) struct Reader {
    vendor: String,
    plan: Option<Plan>,
    headers: Vec<HeaderName>,
}

/// A mapping, ready for use.
#[derive(Debug)]
struct Plan {
    each: Option<String>,
    message_id: Source,
    event_id: Source,
    status: Source,
    occurred_at: Option<Source>,
    recipient: Option<Source>,
    sender: Option<Source>,
    reason_code: Option<Source>,
    reason: Option<Source>,
    statuses: BTreeMap<String, EventType>,
}

/// Where a field is found.
#[derive(Debug, Clone)]
enum Source {
    /// A JSON Pointer.
    Pointer(String),
    /// A header; the second name is asked where the first is absent.
    Header(HeaderName, Option<HeaderName>),
    /// The configuration names a header that cannot exist.
    Nowhere,
}

impl Source {
    fn parse(text: &str) -> Self {
        let Some(name) = text.strip_prefix("header:") else { return Source::Pointer(text.to_owned()) };
        let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes()) else { return Source::Nowhere };
        match name.as_str() {
            // Two names of one header. The order is the verifier's, so that the id that is read is the one signed.
            "webhook-id" | "svix-id" => {
                Source::Header(HeaderName::from_static("webhook-id"), Some(HeaderName::from_static("svix-id")))
            }
            _ => Source::Header(name, None),
        }
    }

    fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let (first, second) = match self {
            Source::Header(first, second) => (Some(first), second.as_ref()),
            Source::Pointer(_) | Source::Nowhere => (None, None),
        };
        first.into_iter().chain(second)
    }

    fn in_headers<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let value = self.header_names().find_map(|name| headers.get(name))?;
        value.to_str().ok().filter(|text| !text.is_empty())
    }

    fn text(&self, element: &Value, headers: &HeaderMap) -> Option<String> {
        match self {
            Source::Pointer(pointer) => element.pointer(pointer).and_then(json::text),
            Source::Header(..) | Source::Nowhere => self.in_headers(headers).map(str::to_owned),
        }
    }

    fn time(&self, element: &Value, headers: &HeaderMap) -> Option<Timestamp> {
        match self {
            Source::Pointer(pointer) => element.pointer(pointer).and_then(json::time),
            Source::Header(..) | Source::Nowhere => self.in_headers(headers).and_then(json::time_of_text),
        }
    }
}

impl Reader {
    pub fn new(vendor: &str, mapping: Option<&Mapping>) -> Self {
        let plan = mapping.map(|mapping| {
            let optional = |source: &Option<String>| source.as_deref().map(Source::parse);
            Plan {
                each: mapping.each.clone(),
                message_id: Source::parse(&mapping.message_id),
                event_id: Source::parse(mapping.event_id.as_deref().unwrap_or("header:webhook-id")),
                status: Source::parse(&mapping.status),
                occurred_at: optional(&mapping.occurred_at),
                recipient: optional(&mapping.recipient),
                sender: optional(&mapping.sender),
                reason_code: optional(&mapping.reason_code),
                reason: optional(&mapping.reason),
                statuses: mapping.statuses.clone(),
            }
        });
        let mut headers: Vec<HeaderName> = plan.iter().flat_map(Plan::header_names).cloned().collect();
        headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        Self { vendor: vendor.to_owned(), plan, headers }
    }

    /// The headers that the mapping reads.
    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// The id of the callback, where the mapping takes event ids from a header.
    pub fn header_event_id<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        self.plan.as_ref()?.event_id.in_headers(headers)
    }

    /// The events of a callback.
    ///
    /// # Errors
    /// The body is not JSON, or has no array where `each` says so.
    pub fn events(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        let plan = self.plan.as_ref().ok_or_else(|| Unreadable("the vendor has no mapping".into()))?;
        let body: Value = serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("JSON", &error))?;
        let mut digest = Fallback { callback, digest: None };
        let Some(each) = &plan.each else {
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
        let text = |source: &Source| source.text(element, &callback.headers);
        let optional = |source: &Option<Source>| source.as_ref().and_then(text);

        let event_id = match (text(&plan.event_id), &plan.event_id, index) {
            // A header names the whole callback, not one of its elements.
            (Some(id), Source::Header(..), Some(index)) => format!("{id}:{index}"),
            (Some(id), ..) => id,
            (None, _, index) => fallback.id(index),
        };
        let message_id = text(&plan.message_id).unwrap_or_else(|| fallback.id(index));
        let status = text(&plan.status).unwrap_or_default();
        let event_type = plan.statuses.get(&status).copied().unwrap_or(EventType::Unknown);
        Event {
            occurred_at: plan.occurred_at.as_ref().and_then(|source| source.time(element, &callback.headers)),
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
    fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let optional = [&self.occurred_at, &self.recipient, &self.sender, &self.reason_code, &self.reason];
        [&self.message_id, &self.event_id, &self.status]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .flat_map(Source::header_names)
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
