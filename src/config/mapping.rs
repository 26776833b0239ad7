//! What a generic vendor's payload means: `[vendors.NAME.mapping]`.

use std::collections::BTreeMap;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::event::EventType;

/// How a generic vendor's payload becomes events. Each field tells a place:
///
/// - a JSON Pointer (RFC 6901), relative to each element of `each` where that is set, else to the whole body;
/// - `form:NAME`, a field of a form body (`application/x-www-form-urlencoded`), decoded;
/// - `query:NAME`, a field of the URL's query, decoded likewise;
/// - `header:NAME`, a header.
///
/// A body is JSON or a form, so pointers and `form:` exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// An array in a JSON body with one event in each element.
    pub each: Option<String>,
    /// The vendor's id of the message.
    pub message_id: String,
    /// An id equal for repeats of the same event; by default `header:webhook-id`, with the scheme `signature` the header
    /// that its `id` names. Where it is not there, a digest of the callback.
    pub event_id: Option<String>,
    /// The vendor's word for the status.
    pub status: String,
    /// RFC 3339 text, or seconds or milliseconds since 1970.
    pub occurred_at: Option<String>,
    /// Whom the message went to.
    pub recipient: Option<String>,
    /// Whom it came from.
    pub sender: Option<String>,
    /// The vendor's error code.
    pub reason_code: Option<String>,
    /// The vendor's error text.
    pub reason: Option<String>,
    /// The vendor's words for the status, and the canonical types they mean. Others become `unknown`.
    pub statuses: BTreeMap<String, EventType>,
}

impl Mapping {
    /// The first field that names a place which no callback can have.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.each.as_ref().is_some_and(|each| !each.is_empty() && !each.starts_with('/')) {
            return Some(("each", "must be a JSON Pointer, which begins with /"));
        }
        let faulty = self.places().find_map(|(field, place)| Some((field, fault_of(place)?)));
        if faulty.is_some() {
            return faulty;
        }
        let in_form = self.places().find(|(_, place)| place.starts_with("form:"));
        let in_json = self.places().find(|(_, place)| place.starts_with('/'));
        match (in_form, in_json) {
            (Some(_), _) if self.each.is_some() => Some(("each", "has no use: a form holds one event")),
            (Some(_), Some((field, _))) => {
                Some((field, "is a JSON Pointer beside form:NAME: a body is JSON or a form, not both"))
            }
            _ => None,
        }
    }

    /// The first field that is read from the query.
    pub(super) fn in_query(&self) -> Option<&'static str> {
        self.places().find(|(_, place)| place.starts_with("query:")).map(|(field, _)| field)
    }

    /// Each field that is set, and its place.
    fn places(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("message_id", Some(&self.message_id)),
            ("event_id", self.event_id.as_ref()),
            ("status", Some(&self.status)),
            ("occurred_at", self.occurred_at.as_ref()),
            ("recipient", self.recipient.as_ref()),
            ("sender", self.sender.as_ref()),
            ("reason_code", self.reason_code.as_ref()),
            ("reason", self.reason.as_ref()),
        ];
        fields.into_iter().filter_map(|(field, place)| Some((field, place?.as_str())))
    }
}

fn fault_of(place: &str) -> Option<&'static str> {
    match place.split_once(':') {
        Some(("header", name)) => HeaderName::try_from(name.trim()).err().map(|_| "names no header that can exist"),
        Some(("form" | "query", name)) => name.trim().is_empty().then_some("names no field"),
        _ if place.starts_with('/') => None,
        _ => Some("must be a JSON Pointer, which begins with /, or form:NAME, query:NAME or header:NAME"),
    }
}
