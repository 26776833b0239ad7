//! Which records are meant.

use base64::{Engine, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Record;
use crate::{
    clock::Timestamp,
    envelope::Envelope,
    retry::records::{StoredBody, StoredMessage},
    telemetry::Tokens,
};

/// All of it must hold. Empty: every record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The record of this id alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Somewhere in the reason or the last error, whatever its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// The message's type: `sluice.callback.received.v1`, `message.delivered`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Dead letters only: `{topic}/{subscription}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Not before, by the time that its source is ordered by: parked, due, or enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Anywhere in the stored message: ids, properties, or the vendor's body, unless that is in a blob. May be personal
    /// data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Filter {
    /// Whether the record is meant.
    pub fn matches(&self, record: &Record) -> bool {
        let summary = &record.summary;
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.id.as_ref().is_none_or(|id| *id == summary.id)
            && is(&self.vendor, &summary.vendor)
            && is(&self.channel, &summary.channel)
            && is(&self.partner, &summary.partner)
            && is(&self.message_type, &summary.message_type)
            && self.since.is_none_or(|since| summary.at >= since)
            && self.until.is_none_or(|until| summary.at <= until)
            && self.reason.as_deref().is_none_or(|part| contains(&summary.reason, part))
            && self.text.as_deref().is_none_or(|part| holds(&record.message, part))
    }

    /// The filter as it may be kept for long: with a token in place of a text, which may be somebody's number.
    pub fn without_text(&self, tokens: &Tokens) -> Self {
        Self { text: self.text.as_deref().map(|text| tokens.address(text)), ..self.clone() }
    }

    /// Only what is not looked up by key needs to be looked at.
    pub(super) fn is_time_only(&self) -> bool {
        let Self { id, reason, vendor, channel, partner, message_type, subscription, since: _, until: _, text } = self;
        [id, reason, vendor, channel, partner, message_type, subscription, text].iter().all(|field| field.is_none())
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Whether the text is anywhere in a message.
fn holds(message: &StoredMessage, part: &str) -> bool {
    let StoredMessage { message_id, content_type: _, correlation_id, subject, session_id, properties, body } = message;
    let ids = [Some(message_id), correlation_id.as_ref(), subject.as_ref(), session_id.as_ref()];
    ids.into_iter().flatten().any(|id| id.contains(part))
        || properties.values().any(|value| value.as_str().is_some_and(|text| text.contains(part)))
        || match body {
            StoredBody::Text(text) => text.contains(part) || inner_body_holds(text, part),
            StoredBody::Base64(text) => BASE64_STANDARD.decode(text).is_ok_and(|bytes| bytes_hold(&bytes, part)),
        }
}

/// The vendor's body is wrapped: escaped where it is text, and in base64 where it is JSON.
fn inner_body_holds(envelope: &str, part: &str) -> bool {
    let Ok(envelope) = Envelope::decode(envelope.as_bytes()) else { return false };
    let encoded = envelope.data_base64.as_deref().and_then(|data| BASE64_STANDARD.decode(data).ok());
    envelope.data.as_deref().is_some_and(|data| data.contains(part))
        || encoded.is_some_and(|bytes| bytes_hold(&bytes, part))
}

fn bytes_hold(bytes: &[u8], part: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(part)
}
