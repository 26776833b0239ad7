//! Amazon SES: e-mail events and inbound mail, delivered by Amazon SNS. [`envelope`] is what SNS sends and signs,
//! [`address`] which of its URLs are believed, [`certificates`] the keys that sign, [`payload`] what SES says inside.
//!
//! A message names the certificate of its own signature. It counts because it lies on a host of Amazon's; what Amazon
//! signed counts because it comes from a topic that the configuration names: anybody may subscribe this URL to theirs.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>
//!
//! The body alone tells what it is. The headers are signed by nobody, and with raw message delivery nothing is.

mod address;
mod certificates;
mod envelope;
mod payload;

use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use self::{
    certificates::Certificates,
    envelope::{Envelope, Kind},
};
use super::{Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, json, keyring};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Ses {
    name: String,
    topics: Vec<String>,
    /// Off unless configured: SNS tries again for up to an hour by default, with the first signature.
    tolerance: Option<Duration>,
    certificates: Certificates,
}

impl Ses {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self {
            name: name.to_owned(),
            topics: config.topics.clone(),
            tolerance: config.tolerance,
            certificates: Certificates::default(),
        }
    }

    fn allows(&self, topic: &str) -> bool {
        self.topics.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => topic.starts_with(beginning),
            None => topic == allowed,
        })
    }
}

impl Vendor for Ses {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let envelope = Envelope::parse(request.body).ok_or(Refusal::malformed("the SNS message"))?;
        let algorithm = envelope.algorithm()?;
        let text = envelope.signed_text()?;
        let signature = STANDARD.decode(&*envelope.signature).map_err(|_| Refusal::malformed("Signature"))?;
        let url = &*envelope.certificate_url;
        if !address::is_certificate(url) {
            return Err(Refusal::malformed("SigningCertURL"));
        }
        if envelope.kind == Kind::SubscriptionConfirmation && envelope.subscribe_url().is_none() {
            return Err(Refusal::malformed("SubscribeURL"));
        }
        if let Some(tolerance) = self.tolerance {
            let signed = json::time_of_text(&envelope.timestamp).ok_or(Refusal::malformed("Timestamp"))?;
            keyring::fresh(signed.timestamp(), now, tolerance)?;
        }
        trace.signed(algorithm.described(), || text.clone().into_bytes());

        let allowed = self.allows(&envelope.topic);
        let Some(certificate) = self.certificates.get(url) else {
            trace.said(|| format!("the certificate at {url} is not at hand"));
            // Nothing is fetched for a message that would be refused in any case.
            return Err(if allowed { Refusal::CertificateNeeded(url.to_owned()) } else { Refusal::unknown(TOPIC) });
        };
        let signed = certificate.signed(algorithm, text.as_bytes(), &signature);
        trace.tried_public(url, &envelope.signature, signed);
        if !signed {
            return Err(Refusal::Mismatch);
        }
        if !certificate.is_valid_at(now) {
            return Err(Refusal::unknown("a certificate outside its period of validity"));
        }
        if !allowed {
            trace.said(|| format!("no entry of topics allows {}", envelope.topic));
            return Err(Refusal::unknown(TOPIC));
        }
        certificate.prove();
        Ok(())
    }

    fn learn_certificate(&self, url: &str, pem: &[u8]) -> Result<(), Refusal> {
        self.certificates.learn(url, pem)
    }

    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        let envelope = Envelope::parse(request.body)?;
        match envelope.kind {
            Kind::Notification => None,
            Kind::SubscriptionConfirmation => {
                let confirm = envelope.subscribe_url().map(|url| Handshake::Confirm(url.to_owned()));
                Some(confirm.unwrap_or(Handshake::Answer(None)))
            }
            // It has a SubscribeURL as well, which would take back what somebody decided.
            Kind::UnsubscribeConfirmation => {
                tracing::warn!(vendor = self.name, topic = &*envelope.topic, "this URL's subscription has ended");
                Some(Handshake::Answer(None))
            }
        }
    }

    /// The message id of SNS names the delivery of one notification, with all its recipients; the subject is the id
    /// that SES gave the mail.
    fn identify(&self, request: &Request<'_>) -> Identity {
        #[derive(Deserialize)]
        struct Event<'a> {
            #[serde(borrow)]
            mail: Mail<'a>,
        }
        #[derive(Deserialize)]
        struct Mail<'a> {
            #[serde(rename = "messageId", borrow)]
            id: Cow<'a, str>,
        }
        let Some(envelope) = Envelope::parse(request.body) else { return Identity::default() };
        let event = serde_json::from_str::<Event<'_>>(&envelope.message).ok();
        Identity {
            subject: event.map(|event| event.mail.id.into_owned()).filter(|id| !id.is_empty()),
            dedupe_key: Some(format!("{}:{}", self.name, envelope.message_id)),
        }
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}

const TOPIC: &str = "the topic";
