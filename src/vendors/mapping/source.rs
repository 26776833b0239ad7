//! Where one field of a mapping is found.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::super::{Callback, Request, form, json};
use crate::clock::Timestamp;

/// Where a field is found.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A JSON Pointer.
    Pointer(String),
    /// A header; the second name is asked where the first is absent.
    Header(HeaderName, Option<HeaderName>),
    /// A field of a form body.
    Form(String),
    /// A field of the query.
    Query(String),
    /// The configuration names a place that cannot exist.
    Nowhere,
}

/// What of a request or a callback is read without JSON.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    headers: &'a HeaderMap,
    query: &'a str,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    pub fn of_request(request: &Request<'a>) -> Self {
        let query = request.url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        Self { headers: request.headers, query, body: request.body }
    }

    pub fn of_callback(callback: &'a Callback) -> Self {
        Self { headers: &callback.headers, query: &callback.query, body: &callback.body }
    }
}

impl Source {
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("form", name)) => return Source::Form(name.trim().to_owned()),
            Some(("query", name)) => return Source::Query(name.trim().to_owned()),
            Some(("header", name)) => return HeaderName::try_from(name.trim()).map_or(Source::Nowhere, Source::header),
            _ => {}
        }
        Source::Pointer(text.to_owned())
    }

    pub fn header(name: HeaderName) -> Self {
        match name.as_str() {
            // Two names of one header. The order is the verifier's, so that the id that is read is the one signed.
            "webhook-id" | "svix-id" => {
                Source::Header(HeaderName::from_static("webhook-id"), Some(HeaderName::from_static("svix-id")))
            }
            _ => Source::Header(name, None),
        }
    }

    /// Whether this is one place for a whole callback, however many events are in it.
    pub fn is_outside_the_body(&self) -> bool {
        matches!(self, Source::Header(..) | Source::Query(_))
    }

    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let (first, second) = match self {
            Source::Header(first, second) => (Some(first), second.as_ref()),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    pub fn in_headers<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let value = self.header_names().find_map(|name| headers.get(name))?;
        value.to_str().ok().filter(|text| !text.is_empty())
    }

    /// What is there; `None` where nothing is, or where only JSON could tell.
    pub fn without_json<'a>(&self, parts: Parts<'a>) -> Option<Cow<'a, str>> {
        let text = match self {
            Source::Pointer(_) | Source::Nowhere => None,
            Source::Header(..) => self.in_headers(parts.headers).map(Cow::Borrowed),
            Source::Form(name) => field(parts.body, name),
            Source::Query(name) => field(parts.query.as_bytes(), name),
        };
        text.filter(|text| !text.is_empty())
    }

    pub fn text(&self, element: &Value, parts: Parts<'_>) -> Option<String> {
        match self {
            Source::Pointer(pointer) => element.pointer(pointer).and_then(json::text),
            _ => self.without_json(parts).map(Cow::into_owned),
        }
    }

    pub fn time(&self, element: &Value, parts: Parts<'_>) -> Option<Timestamp> {
        match self {
            Source::Pointer(pointer) => element.pointer(pointer).and_then(json::time),
            _ => self.without_json(parts).and_then(|text| json::time_of_text(&text)),
        }
    }
}

/// The first field of this name, decoded. What a hostile form has beyond the usual is not searched.
fn field<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = form::raw_pairs(form).take(form::MAX_PAIRS);
    let (_, value) = pairs.find(|(key, _)| form::text(key).is_some_and(|key| key == name))?;
    form::text(value)
}
