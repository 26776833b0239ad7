//! A message of Amazon SNS, and the text of it that is signed.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>

use std::borrow::Cow;

use serde::Deserialize;

use super::{address, certificates::Algorithm};
use crate::vendors::Refusal;

/// Fields that are not named here are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "Type")]
    pub kind: Kind,
    #[serde(rename = "Message", borrow)]
    pub message: Cow<'a, str>,
    #[serde(rename = "MessageId", borrow)]
    pub message_id: Cow<'a, str>,
    #[serde(rename = "Subject")]
    subject: Option<Cow<'a, str>>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<Cow<'a, str>>,
    #[serde(rename = "Timestamp", borrow)]
    pub timestamp: Cow<'a, str>,
    #[serde(rename = "Token")]
    token: Option<Cow<'a, str>>,
    #[serde(rename = "TopicArn", borrow)]
    pub topic: Cow<'a, str>,
    #[serde(rename = "SignatureVersion", borrow)]
    version: Cow<'a, str>,
    #[serde(rename = "Signature", borrow)]
    pub signature: Cow<'a, str>,
    #[serde(rename = "SigningCertURL", borrow)]
    pub certificate_url: Cow<'a, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Notification => "Notification",
            Kind::SubscriptionConfirmation => "SubscriptionConfirmation",
            Kind::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

impl<'a> Envelope<'a> {
    /// `None` where the body is no such message, or has a field twice.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        serde_json::from_str(text).ok().filter(|envelope: &Self| !envelope.message_id.is_empty())
    }

    /// # Errors
    /// Amazon knows two versions.
    pub fn algorithm(&self) -> Result<Algorithm, Refusal> {
        match &*self.version {
            "1" => Ok(Algorithm::Sha1),
            "2" => Ok(Algorithm::Sha256),
            _ => Err(Refusal::unknown("the signature version")),
        }
    }

    /// Where a subscription is confirmed, if that is an address of SNS.
    pub fn subscribe_url(&self) -> Option<&str> {
        self.subscribe_url.as_deref().filter(|url| address::is_confirmation(url))
    }

    /// Each signed field as its name and its value, a line each, in the order of the names.
    ///
    /// A value may hold line ends, and then look like further fields: the owner of another topic could have Amazon sign
    /// a message that reads, cut elsewhere, as one of an allowed topic. `Message` is the first field and the only one
    /// with line ends, so there is one way to cut, from the end.
    ///
    /// # Errors
    /// A field is missing, or has a line end where none belongs.
    pub fn signed_text(&self) -> Result<String, Refusal> {
        let (subject, subscribe_url, token) = match self.kind {
            Kind::Notification => (self.subject.as_deref(), None, None),
            Kind::SubscriptionConfirmation | Kind::UnsubscribeConfirmation => {
                let url = self.subscribe_url.as_deref().ok_or(Refusal::malformed("SubscribeURL"))?;
                let token = self.token.as_deref().ok_or(Refusal::malformed("Token"))?;
                (None, Some(url), Some(token))
            }
        };
        let mut text = ["Message\n", &self.message, "\n"].concat();
        for (name, value) in [
            ("MessageId", Some(&*self.message_id)),
            ("Subject", subject),
            ("SubscribeURL", subscribe_url),
            ("Timestamp", Some(&*self.timestamp)),
            ("Token", token),
            ("TopicArn", Some(&*self.topic)),
            ("Type", Some(self.kind.name())),
        ] {
            let Some(value) = value else { continue };
            if value.contains('\n') {
                return Err(Refusal::malformed(name));
            }
            text.extend([name, "\n", value, "\n"]);
        }
        Ok(text)
    }
}
