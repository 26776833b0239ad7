//! From an envelope to its events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::timeout;

use super::opt_out;
use crate::{
    app::App,
    envelope::{BodyError, Content, Envelope},
    event::{Channel, Event},
    ledger::LedgerError,
    retry::records::Class,
    vendors::{Callback, Vendor},
};

/// Why one message could not be read or processed.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub class: Class,
    pub error: String,
}

impl Problem {
    pub fn permanent(error: impl std::fmt::Display) -> Self {
        Self { class: Class::Permanent, error: error.to_string() }
    }

    pub fn transient(error: impl std::fmt::Display) -> Self {
        Self { class: Class::Transient, error: error.to_string() }
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        self.class == Class::Transient
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(_) => Self::transient(error),
            LedgerError::Refused(_) => Self::permanent(error),
        }
    }
}

/// What a callback says: the events that its vendor's normaliser finds, and those that a person's keyword means. No id names
/// a person.
///
/// # Errors
/// Nobody can read it (permanent), or a store does not answer (transient).
pub(crate) async fn events(app: &App, channel: Channel, envelope: &Envelope<'_>) -> Result<Vec<Event>, Problem> {
    let Some(vendor) = app.vendors.get(&envelope.vendor) else {
        return Err(Problem::permanent(format!("vendor {:?} is not configured any more", envelope.vendor)));
    };
    let limit = app.config.dependencies.timeout;
    // A body in a blob may be a large one: a batch of them must not fill the memory.
    let _room = match envelope.dataref {
        Some(_) => app.claimed_bodies.acquire().await.ok(),
        None => None,
    };
    let content = match timeout(limit, envelope.content(app.blobs.as_ref())).await {
        Ok(Ok(content)) => content,
        Ok(Err(error @ BodyError::Lost(_))) => return Err(Problem::permanent(error)),
        Ok(Err(error @ BodyError::Unavailable(_))) => return Err(Problem::transient(error)),
        Err(_) => return Err(Problem::transient(format!("the blob store gave no answer within {limit:?}"))),
    };
    let body = match content {
        Content::Body(body) => body,
        Content::Facts(events) => return Ok(events),
    };
    let callback = Callback {
        channel,
        service_type: envelope.servicetype.to_string(),
        request_type: envelope.requesttype.to_string(),
        query: envelope.requestquery.to_string(),
        headers: envelope.headers(),
        content_type: envelope.datacontenttype.as_deref().map(str::to_owned),
        body,
        received_at: envelope.time,
    };
    let mut events = events_of(vendor.as_ref(), &callback)?;
    opt_out::infer_keywords(&mut events, &app.config.channels);
    for event in &mut events {
        event.forget_words_of_the_erased();
        let Some(plain) = event.take_people_out_of_ids(&app.tokens) else { continue };
        // What an earlier version applied is known by the ids that it had then.
        if app.ledger.knows(&plain.message_key(), &plain).await? {
            *event = plain;
        }
    }
    Ok(events)
}

/// Asks a normaliser. One that panics, which is a bug of ours, costs its own message and not the batch around it.
fn events_of(vendor: &dyn Vendor, callback: &Callback) -> Result<Vec<Event>, Problem> {
    match catch_unwind(AssertUnwindSafe(|| vendor.normalise(callback))) {
        Ok(read) => read.map_err(Problem::permanent),
        Err(_) => Err(Problem::permanent("the normaliser panicked: see standard error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        vendors::{Identity, Refusal, Request, Trace, Unreadable},
    };

    #[derive(Debug)]
    struct Broken;

    impl Vendor for Broken {
        fn verify(&self, _: &Request<'_>, _: Timestamp, _: &mut Trace) -> Result<(), Refusal> {
            Ok(())
        }

        fn identify(&self, _: &Request<'_>) -> Identity {
            Identity::default()
        }

        fn normalise(&self, _: &Callback) -> Result<Vec<Event>, Unreadable> {
            panic!("a bug")
        }
    }

    #[test]
    fn a_normaliser_that_panics_fails_its_own_message_for_good() {
        let callback = Callback {
            channel: Channel::Sms,
            service_type: "sms".into(),
            request_type: String::new(),
            query: String::new(),
            headers: http::HeaderMap::new(),
            content_type: None,
            body: bytes::Bytes::new(),
            received_at: Timestamp::default(),
        };
        let problem = events_of(&Broken, &callback).unwrap_err();
        assert_eq!(problem.class, Class::Permanent);
    }
}
