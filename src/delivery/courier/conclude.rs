//! What follows from an exchange: for its delivery, for the breaker, and for a partner whose endpoint is no more.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Courier, Errand, Fate, keep::Origin, spans};
use crate::{
    audit,
    clock::millis,
    delivery::{
        attempt::{self, Verdict},
        client::Exchange,
        partner::{Partner, State},
        record,
    },
    retry::{Kept, NotKept, Plan, records::Class},
    telemetry::{LastError, Sent},
};

/// Who disables an endpoint that no person disabled.
const MYSELF: &str = "sluice";

impl Courier {
    /// Draws the consequences. The failure is kept before anything is written about it: a crash in between costs a line in
    /// a record, and no delivery.
    pub(super) async fn conclude(&self, errand: &Errand, exchange: Exchange) -> Result<Fate, NotKept> {
        let Errand { partner, message, admission, .. } = errand;
        let (name, now) = (partner.name(), self.clock.now());
        let verdict = attempt::judge(&exchange, now);
        spans::end_request(&errand.request, &exchange);
        let healthy = attempt::is_healthy(&exchange, &verdict);
        errand.pass.took(exchange.took, healthy);
        let breakers = &self.registry.breakers;
        if healthy {
            breakers.succeeded(name, admission).await;
        } else if let Some(since) = breakers.failed(name, admission).await
            && now - since >= TimeDelta::from_std(self.settings.disable_after).unwrap_or(TimeDelta::MAX)
        {
            self.disable(name, &format!("it has failed since {}", millis::text(since))).await;
        }
        let origin = Origin::of(message);
        let (fate, error) = match verdict {
            Verdict::Delivered => (Fate::Delivered, None),
            Verdict::Retry { reason, not_within } => {
                let failure = origin.failure(Class::Transient, reason.clone());
                let plan = self.plan(partner, not_within);
                let mut message = message.clone();
                message.remember(&errand.request);
                let fate = match self.retries.keep_by(&plan, &self.topic, message, failure).await? {
                    Kept::UntilDue(_) => Fate::Failed,
                    Kept::Parked => Fate::Parked,
                };
                (fate, Some(reason))
            }
            Verdict::Park(reason) => {
                let failure = origin.failure(Class::Permanent, reason.clone());
                self.retries.keep(&self.topic, message.clone(), failure).await?;
                (Fate::Parked, Some(reason))
            }
            Verdict::Gone => {
                let reason = "answered 410: the endpoint is gone".to_owned();
                self.disable(name, &reason).await;
                let failure = origin.failure(Class::Permanent, reason.clone());
                self.retries.keep(&self.topic, message.clone(), failure).await?;
                (Fate::Parked, Some(reason))
            }
        };
        if fate == Fate::Parked {
            self.given_up(&origin);
        }
        self.tell(errand, fate, error.as_deref(), &exchange);
        self.record(errand, fate, error, exchange).await;
        Ok(fate)
    }

    /// Counts and logs.
    fn tell(&self, errand: &Errand, fate: Fate, error: Option<&str>, exchange: &Exchange) {
        let (partner, delivery, attempt) = (errand.partner.name(), &errand.first.id, errand.message.attempt());
        let sent = match fate {
            Fate::Delivered => Sent::Delivered,
            Fate::Parked => Sent::Parked,
            Fate::Failed | Fate::PutOff | Fate::HandedOver => Sent::Failed,
        };
        let last_error = error.map(|error| LastError { at: self.clock.now(), error: error.to_owned() });
        self.meter.sent(partner, sent, exchange.took, last_error);
        match (error, sent) {
            (Some(error), Sent::Parked) => tracing::error!(partner, delivery, attempt, error, "a delivery is parked"),
            (Some(error), _) => tracing::warn!(partner, delivery, attempt, error, "a delivery failed"),
            (None, _) => tracing::debug!(partner, delivery, attempt, "a delivery is made"),
        }
    }

    async fn record(&self, errand: &Errand, fate: Fate, error: Option<String>, exchange: Exchange) {
        let state = match fate {
            Fate::Delivered => record::State::Delivered,
            Fate::Parked => record::State::Parked,
            Fate::Failed | Fate::PutOff | Fate::HandedOver => record::State::Pending,
        };
        let answer = exchange.result.ok();
        let attempt = record::Attempt {
            number: errand.message.attempt(),
            at: errand.started_at,
            status: answer.as_ref().map(|answer| answer.status),
            error,
            latency_ms: u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX),
            response: answer.map(|answer| answer.body).filter(|body| !body.is_empty()),
        };
        let (documents, found, first) = (self.documents.as_ref(), errand.found.clone(), errand.first.clone());
        let added = record::add(documents, found, first, state, Some(attempt), self.settings.keep_records);
        if let Err(error) = added.await {
            // The request was made: to make it again because nobody wrote it down would help nobody.
            tracing::warn!(delivery = errand.first.id, %error, "what became of an attempt is not written down");
        }
    }

    fn plan(&self, partner: &Partner, not_within: Duration) -> Plan {
        let own: Vec<Duration> = partner.settings.schedule.iter().map(|wait| **wait).collect();
        let schedule = if own.is_empty() { self.settings.schedule.clone() } else { own };
        Plan { schedule, jitter: self.settings.jitter, not_within }
    }

    /// Disables an endpoint that no person has disabled, and says so where persons look.
    async fn disable(&self, name: &str, reason: &str) {
        let disabled = match self.registry.disable(name, reason).await {
            Ok((before, _)) => before.state == State::Enabled,
            Err(error) => {
                tracing::error!(partner = name, %error, "an endpoint should be disabled, and is not");
                return;
            }
        };
        if !disabled {
            return;
        }
        tracing::error!(partner = name, reason, "the partner is disabled: its deliveries are parked");
        let (documents, now) = (self.documents.as_ref(), self.clock.now());
        match audit::start(documents, now, MYSELF, "partner.disabled", name, json!({ "reason": reason })).await {
            Ok(entry) => entry.end(documents, now, "done", Value::Null).await,
            Err(error) => tracing::error!(partner = name, %error, "that a partner was disabled is not written down"),
        }
    }
}
