//! An announcement as a partner gets it: content type, headers and body in one of three forms.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::partner::Format;

/// What the HTTP binding of CloudEvents 1.0 encodes in a header's value, besides what is not ASCII.
const IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The announcement of an applied event, as the outbox published it: a CloudEvent.
#[derive(Debug, Deserialize)]
pub struct Announced<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    pub event_type: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    /// The message key.
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Nobody can read the message: trying again cannot heal it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the message is no announcement: {0}")]
    NoAnnouncement(String),
    #[error("the announcement is of CloudEvents version {0:?}, and this program knows 1.0")]
    Version(String),
}

/// The body of a request and the headers that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl<'a> Announced<'a> {
    /// # Errors
    /// The text is something else.
    pub fn read(body: &'a [u8]) -> Result<Self, Unreadable> {
        let announced: Self = serde_json::from_slice(body)
            .map_err(|error| Unreadable::NoAnnouncement(crate::documents::without_values(&error)))?;
        match &*announced.specversion {
            "1.0" => Ok(announced),
            other => Err(Unreadable::Version(other.to_owned())),
        }
    }

    /// The request's content. `whole` is the text that the announcement was read from.
    pub fn content(&self, format: Format, whole: &Bytes) -> Content {
        match format {
            Format::StandardWebhooks => Content {
                headers: vec![("content-type", "application/json".into())],
                body: json(&Event { event_type: &self.event_type, timestamp: &self.time, data: self.data }),
            },
            Format::CloudeventsStructured => Content {
                headers: vec![("content-type", "application/cloudevents+json; charset=utf-8".into())],
                body: whole.clone(),
            },
            Format::CloudeventsBinary => {
                let attributes = [
                    ("ce-specversion", &self.specversion),
                    ("ce-id", &self.id),
                    ("ce-type", &self.event_type),
                    ("ce-source", &self.source),
                    ("ce-subject", &self.subject),
                    ("ce-time", &self.time),
                ];
                let encoded = |value: &str| utf8_percent_encode(value, IN_HEADERS).to_string();
                let mut headers: Vec<_> = attributes.map(|(name, value)| (name, encoded(value))).into();
                headers.push(("content-type", "application/json".into()));
                Content { headers, body: Bytes::copy_from_slice(self.data.get().as_bytes()) }
            }
        }
    }
}

/// The payload that Standard Webhooks recommends.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: &'a str,
    data: &'a RawValue,
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("an event serialises to JSON").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCED: &str = r#"{"specversion":"1.0","id":"evt_1","type":"message.sent","source":"acme","subject":"acme:Grüße \"50%\"","time":"2026-11-20T10:00:00Z","datacontenttype":"application/json","data":{"n":1.50}}"#;

    #[test]
    fn each_form_carries_the_events_data_as_it_is() {
        let whole = Bytes::from_static(ANNOUNCED.as_bytes());
        let announced = Announced::read(&whole).unwrap();
        let standard = announced.content(Format::StandardWebhooks, &whole);
        assert_eq!(standard.body, r#"{"type":"message.sent","timestamp":"2026-11-20T10:00:00Z","data":{"n":1.50}}"#);
        let structured = announced.content(Format::CloudeventsStructured, &whole);
        assert_eq!(structured.body, whole);
        let binary = announced.content(Format::CloudeventsBinary, &whole);
        assert_eq!(binary.body, r#"{"n":1.50}"#);
        let subject = binary.headers.iter().find(|(name, _)| *name == "ce-subject").unwrap();
        assert_eq!(subject.1, "acme:Gr%C3%BC%C3%9Fe%20%2250%25%22");
    }

    #[test]
    fn what_is_no_announcement_is_told_without_its_values() {
        let error = Announced::read(br#"{"specversion":"1.0","id":12025550143}"#).unwrap_err().to_string();
        assert!(error.starts_with("the message is no announcement") && !error.contains("555"), "{error}");
        let later = ANNOUNCED.replacen("1.0", "2.0", 1);
        assert_eq!(Announced::read(later.as_bytes()).unwrap_err(), Unreadable::Version("2.0".into()));
    }
}
