//! The envelope: a CloudEvents 1.0 event in JSON that carries one callback from the door to its processor.
//!
//! The raw body travels unchanged: as `data` (a JSON string) where it is text of another media type than JSON, else as
//! `data_base64`, which keeps every byte. A body too large for the bus goes to a blob, named by `dataref` (the claim
//! check). What else the normaliser needs of the request rides in the extensions `requestquery` and `requestheaders`.
//! Where somebody in it was erased, its events take the place of the body ([`facts`]).

mod claim_check;
mod facts;

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::{
    clock::{self, Timestamp},
    documents::without_values,
};

pub use claim_check::{BodyError, check_in};
pub(crate) use facts::facts_of;
pub use facts::{Content, FACTS_V1};

/// The type of the envelopes that this version writes.
pub const RECEIVED_V1: &str = "sluice.callback.received.v1";
/// The content type of an envelope on the bus.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// One callback on its way. Attribute names are those of CloudEvents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Envelope<'a> {
    pub specversion: Cow<'a, str>,
    /// UUIDv7.
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: Cow<'a, str>,
    /// `/incoming/{vendor}/{servicetype}/{requesttype}`.
    pub source: String,
    /// The provider message id, where one cheap look found it.
    #[serde(default)]
    pub subject: Option<String>,
    /// When the callback was received.
    pub time: Timestamp,
    #[serde(default)]
    pub datacontenttype: Option<Cow<'a, str>>,
    pub vendor: Cow<'a, str>,
    pub servicetype: Cow<'a, str>,
    #[serde(default)]
    pub requesttype: Cow<'a, str>,
    pub dedupekey: String,
    #[serde(default)]
    pub traceparent: Option<Cow<'a, str>>,
    #[serde(default)]
    pub tracestate: Option<Cow<'a, str>>,
    /// `personal`: bodies hold phone numbers, addresses and message texts.
    pub dataclassification: Cow<'a, str>,
    /// The raw query, without `?`.
    #[serde(default)]
    pub requestquery: Cow<'a, str>,
    /// `name: value` lines of the headers that the vendor's normaliser reads.
    #[serde(default)]
    pub requestheaders: Cow<'a, str>,
    #[serde(borrow, default)]
    pub data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub data_base64: Option<Cow<'a, str>>,
    /// The blob that holds the body.
    #[serde(default)]
    pub dataref: Option<Cow<'a, str>>,
}

/// Why bytes from the bus are no envelope: they are parked with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not an envelope: {0}")]
    Malformed(String),
    /// Written by a later version, or not by Sluice at all.
    #[error("schema version {0:?} is unknown to this version")]
    UnknownType(String),
}

impl<'a> Envelope<'a> {
    /// Reads an envelope of any version this program knows.
    ///
    /// # Errors
    /// The bytes are no CloudEvent, or of an unknown type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let malformed = |error: serde_json::Error| EnvelopeError::Malformed(without_values(&error));
        match serde_json::from_slice::<Self>(bytes) {
            Ok(envelope) if envelope.specversion == "1.0" && is_known(&envelope.event_type) => Ok(envelope),
            Ok(envelope) => Err(EnvelopeError::UnknownType(envelope.event_type.into_owned())),
            // Another version may lack what this one requires: its type says more than the missing field.
            Err(error) => {
                #[derive(Deserialize)]
                struct OnlyType {
                    #[serde(rename = "type")]
                    event_type: String,
                }
                match serde_json::from_slice::<OnlyType>(bytes) {
                    Ok(only) if !is_known(&only.event_type) => Err(EnvelopeError::UnknownType(only.event_type)),
                    _ => Err(malformed(error)),
                }
            }
        }
    }

    /// The JSON form. It is written for every callback and is nothing but texts, so no serializer goes between.
    pub fn encode(&self) -> Bytes {
        let body = self.data.as_ref().or(self.data_base64.as_ref()).map_or(0, |body| body.len());
        // The other attributes are 450 bytes and more.
        let mut json = Vec::with_capacity(512 + body + self.requestquery.len() + self.requestheaders.len());
        let time = clock::exact(self.time);
        let attributes = [
            (r#"{"specversion":"#, Some(&*self.specversion)),
            (r#","id":"#, Some(&*self.id)),
            (r#","type":"#, Some(&*self.event_type)),
            (r#","source":"#, Some(&*self.source)),
            (r#","subject":"#, self.subject.as_deref()),
            (r#","time":"#, Some(&*time)),
            (r#","datacontenttype":"#, self.datacontenttype.as_deref()),
            (r#","vendor":"#, Some(&*self.vendor)),
            (r#","servicetype":"#, Some(&*self.servicetype)),
            (r#","requesttype":"#, Some(&*self.requesttype)),
            (r#","dedupekey":"#, Some(&*self.dedupekey)),
            (r#","traceparent":"#, self.traceparent.as_deref()),
            (r#","tracestate":"#, self.tracestate.as_deref()),
            (r#","dataclassification":"#, Some(&*self.dataclassification)),
            (r#","requestquery":"#, Some(&*self.requestquery).filter(|query| !query.is_empty())),
            (r#","requestheaders":"#, Some(&*self.requestheaders).filter(|headers| !headers.is_empty())),
            (r#","data":"#, self.data.as_deref()),
            (r#","data_base64":"#, self.data_base64.as_deref()),
            (r#","dataref":"#, self.dataref.as_deref()),
        ];
        for (name, text) in attributes {
            let Some(text) = text else { continue };
            json.extend_from_slice(name.as_bytes());
            write_text(&mut json, text);
        }
        json.push(b'}');
        json.into()
    }

    /// Puts a body in: as text where JSON can hold it as it is, else as base64.
    pub fn with_body(mut self, body: &'a [u8]) -> Self {
        let json = self.datacontenttype.as_deref().is_some_and(is_json);
        match std::str::from_utf8(body) {
            Ok(text) if !json => self.data = Some(Cow::Borrowed(text)),
            _ => self.data_base64 = Some(Cow::Owned(BASE64_STANDARD.encode(body))),
        }
        self
    }

    /// The headers in `requestheaders`.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in self.requestheaders.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        headers
    }
}

/// Writes a JSON string. Most texts have nothing to escape, and the look that tells takes many bytes at a time, where serde_json
/// takes one.
fn write_text(json: &mut Vec<u8>, text: &str) {
    let escapes = text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if escapes {
        serde_json::to_writer(json, text).expect("a text serialises to JSON");
    } else {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    }
}

fn is_known(event_type: &str) -> bool {
    [RECEIVED_V1, FACTS_V1].contains(&event_type)
}

/// Renders headers for `requestheaders`; values that are not visible ASCII are left out, since CloudEvents has no place
/// for them.
pub fn header_lines(headers: &HeaderMap, names: &[HeaderName]) -> String {
    let mut lines = String::new();
    for name in names {
        for value in headers.get_all(name) {
            if let Ok(value) = value.to_str() {
                lines.push_str(name.as_str());
                lines.push_str(": ");
                lines.push_str(value);
                lines.push('\n');
            }
        }
    }
    lines
}

/// `application/json`, `application/vnd.x+json` and the like, with or without parameters.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let ends_with = |suffix: &str| {
        essence.len() >= suffix.len() && essence.is_char_boundary(essence.len() - suffix.len()) && {
            essence[essence.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
    };
    ends_with("/json") || ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(content_type: &'static str) -> Envelope<'static> {
        Envelope {
            specversion: "1.0".into(),
            id: "01936f00-0000-7000-8000-000000000000".into(),
            event_type: RECEIVED_V1.into(),
            source: "/incoming/twilio/sms/status".into(),
            subject: Some("SM1".into()),
            time: "2026-11-20T18:39:58.120Z".parse().unwrap(),
            datacontenttype: Some(content_type.into()),
            vendor: "twilio".into(),
            servicetype: "sms".into(),
            requesttype: "status".into(),
            dedupekey: "twilio:SM1:delivered".into(),
            traceparent: None,
            tracestate: None,
            dataclassification: "personal".into(),
            requestquery: "".into(),
            requestheaders: "webhook-id: m1\n".into(),
            data: None,
            data_base64: None,
            dataref: None,
        }
    }

    #[test]
    fn texts_are_written_as_serde_json_writes_them() {
        let letters = (0..=0x7f).map(char::from).chain(['\u{80}', 'é', '\u{2028}', '🎉']);
        for letter in letters {
            for text in [letter.to_string(), format!("{}{letter}", "long enough to be looked at in pieces ".repeat(3))]
            {
                let mut json = Vec::new();
                write_text(&mut json, &text);
                assert_eq!(json, serde_json::to_vec(&text).unwrap(), "{text:?}");
            }
        }
    }

    #[tokio::test]
    async fn bodies_come_back_byte_for_byte() {
        let blobs = object_store::memory::InMemory::new();
        let cases: [(&'static str, &[u8]); 9] = [
            ("application/x-www-form-urlencoded", b"MessageSid=SM1&Body=%C3%A9"),
            ("application/json", b"[{\"a\":1.10},\r\n{}]\r\n"),
            ("application/vnd.api+json; charset=utf-8", b"{\"a\":1,\"a\":2}"),
            ("text/plain; charset=UTF-8", "grüße \u{0} \"".as_bytes()),
            ("text/plain", b"\\"),
            ("text/plain", b"the last byte needs an escape: \x1f"),
            ("text/plain", "no byte does: \u{7f} \u{80} \u{2028} /".as_bytes()),
            ("application/octet-stream", &[0xff, 0x00, 0x80]),
            ("", b""),
        ];
        for (content_type, body) in cases {
            let bytes = envelope(content_type).with_body(body).encode();
            let read = Envelope::decode(&bytes).unwrap();
            assert_eq!(read.body(&blobs).await.unwrap(), body, "{content_type}");
            assert_eq!(read.headers()["webhook-id"], "m1");
        }
    }

    #[test]
    fn every_attribute_comes_back() {
        let least = Envelope { subject: None, datacontenttype: None, requestheaders: "".into(), ..envelope("") };
        assert_eq!(Envelope::decode(&least.encode()).unwrap(), least);
        let text = || Some("a \"text\"\nof two lines".into());
        let most = Envelope {
            requestquery: "a=\"b\"&c=\\".into(),
            traceparent: text(),
            tracestate: text(),
            data: text(),
            data_base64: text(),
            dataref: text(),
            ..envelope("text/plain; charset=\"utf-8\"")
        };
        assert_eq!(Envelope::decode(&most.encode()).unwrap(), most);
    }

    #[test]
    fn json_bodies_are_not_posed_as_json_strings() {
        let json = serde_json::from_slice::<serde_json::Value>(&envelope("application/json").with_body(b"{}").encode());
        let json = json.unwrap();
        assert_eq!(json["data_base64"], "e30=");
        assert_eq!(json.get("data"), None);
    }

    #[test]
    fn unknown_versions_and_garbage_are_told_apart() {
        let later = br#"{"specversion":"1.0","id":"1","type":"sluice.callback.received.v9","source":"/x"}"#;
        assert_eq!(Envelope::decode(later), Err(EnvelopeError::UnknownType("sluice.callback.received.v9".into())));
        assert!(matches!(Envelope::decode(b"\xff{"), Err(EnvelopeError::Malformed(_))));
        assert!(matches!(Envelope::decode(b"[]"), Err(EnvelopeError::Malformed(_))));
        let incomplete = br#"{"specversion":"1.0","type":"sluice.callback.received.v1"}"#;
        let error = Envelope::decode(incomplete).unwrap_err().to_string();
        assert!(error.contains("missing field `id`"), "{error}");
    }
    #[test]
    fn what_does_not_fit_is_not_repeated_in_the_error() {
        let envelope = serde_json::from_slice::<serde_json::Value>(&envelope("text/plain").encode()).unwrap();
        for wrong in [serde_json::json!({ "to": "+12025550143" }), 12_025_550_143_i64.into()] {
            let mut envelope = envelope.clone();
            envelope["time"] = wrong.clone();
            envelope["data"] = wrong;
            let error = Envelope::decode(envelope.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("not an envelope") && !error.contains("5550143"), "{error}");
        }
    }
}
