//! Inbound Parse: a received e-mail as a form.
//! <https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook>

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    event::{Event, EventType},
    vendors::{Callback, Unreadable, digest::Parts, json, multipart},
};

/// The fields of a received e-mail.
pub(super) struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, [u8]>)>);

impl<'a> Form<'a> {
    /// The form, where the content type says that the body is one.
    ///
    /// # Errors
    /// The body is not the multipart form that its content type promises.
    pub fn of(callback: &'a Callback) -> Result<Option<Self>, Unreadable> {
        // The content type is not signed: a batch of events must not become a mail by changing it.
        if callback.body.trim_ascii_start().starts_with(b"[") {
            return Ok(None);
        }
        let content_type = callback.content_type.as_deref().unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "multipart/form-data" => {
                let parts = multipart::parts(content_type, &callback.body)
                    .ok_or_else(|| Unreadable("the body is not a multipart form".into()))?;
                Ok(Some(Self(parts.into_iter().map(|part| (part.name, Cow::Borrowed(part.content))).collect())))
            }
            "application/x-www-form-urlencoded" => {
                let bytes = |text: Cow<'a, str>| match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
                let fields = form_urlencoded::parse(&callback.body);
                Ok(Some(Self(fields.map(|(name, value)| (name, bytes(value))).collect())))
            }
            _ => Ok(None),
        }
    }

    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.0.iter().find(|(key, value)| key == name && !value.is_empty())?;
        Some(String::from_utf8_lossy(value))
    }

    /// One `message.received`. A form has neither an event id nor a time.
    pub fn event(&self, vendor: &str, callback: &Callback) -> Event {
        // Not the Message-ID: strangers choose it, so one could take another's, and one mail to two of our addresses
        // comes as two forms. Not the body either: each attempt may draw another multipart boundary.
        let digest = self.0.iter().fold(Parts::default(), |parts, (name, value)| parts.add(name.as_bytes()).add(value));
        let digest = digest.finish();
        let message_id = self.message_id().unwrap_or_else(|| digest.clone());

        // The envelope has plain addresses; the headers may have names around them, or lie.
        let envelope: Value =
            self.get("envelope").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let address = |pointer, field| {
            envelope.pointer(pointer).and_then(json::text).or_else(|| self.get(field).map(Cow::into_owned))
        };
        Event {
            provider_status: "inbound".into(),
            recipient: address("/to/0", "to"),
            sender: address("/from", "from"),
            text: self.get("text").or_else(|| self.get("html")).map(Cow::into_owned),
            ..Event::new(
                EventType::MessageReceived,
                callback.channel,
                vendor,
                &message_id,
                format!("{vendor}:received:{digest}"),
            )
        }
    }

    /// The e-mail's Message-ID in its angle brackets. They also keep strangers' ids apart from those that SendGrid
    /// gives to our own messages.
    fn message_id(&self) -> Option<String> {
        // In raw mode the whole message is in one field.
        let headers = self.get("headers").or_else(|| self.get("email"))?;
        let mut lines = headers.lines().take_while(|line| !line.is_empty());
        let value = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("message-id").then_some(value.trim())
        })?;
        // A long id stands alone on the line after its name.
        let value = if value.is_empty() { lines.next().filter(|line| line.starts_with([' ', '\t']))? } else { value };
        let id = value.trim().trim_matches(['<', '>']);
        (!id.is_empty()).then(|| format!("<{id}>"))
    }
}
