//! What receivers decide about the messages they hold.

use fe2o3_amqp_types::{
    definitions::Role,
    messaging::{DeliveryState, Rejected},
    performatives::{Disposition, Performative},
};

use super::Session;
use crate::local::amqp::{
    condition,
    output::Output,
    sections::text,
    work::{Held, Verdict, Work},
};

impl Session {
    /// A disposition of the client's. Those of a sender need nothing: what it sends is settled by this side.
    pub fn disposition(&mut self, disposition: Disposition, out: &mut Output) {
        let Disposition { role: Role::Receiver, first, last, settled, state: Some(state), .. } = disposition else {
            return;
        };
        let verdict = match verdict(&state) {
            Some(verdict) => verdict,
            None if matches!(state, DeliveryState::Received(_)) => return,
            None => {
                let error = condition::not_implemented("Messages cannot be deferred here.");
                let refused = DeliveryState::Rejected(Rejected { error: Some(error) });
                self.settled_range(first, last.unwrap_or(first), &refused, out);
                return;
            }
        };
        let deliveries = self.take_unsettled(first, last.unwrap_or(first));
        if deliveries.is_empty() {
            return;
        }
        // Echoed with its error, a rejection would read as a failure to settle.
        let outcome = match state {
            DeliveryState::Rejected(_) => DeliveryState::Rejected(Rejected { error: None }),
            other => other,
        };
        let outcome = (!settled).then_some(outcome);
        out.work.push(Work::Settle { channel: self.channel, deliveries, verdict, outcome });
    }

    /// The broker has settled. A client that waits to hear of it is told, of each delivery by itself.
    pub fn settled(&self, deliveries: &[(u32, bool)], outcome: Option<&DeliveryState>, out: &mut Output) {
        let Some(outcome) = outcome else {
            return;
        };
        for (id, done) in deliveries {
            if *done {
                self.settled_range(*id, *id, outcome, out);
            } else {
                let lost =
                    condition::vendor(condition::LOCK_LOST, "The lock ran out, or the message was settled before.");
                let state = DeliveryState::Rejected(Rejected { error: Some(lost) });
                self.settled_range(*id, *id, &state, out);
            }
        }
    }

    fn settled_range(&self, first: u32, last: u32, state: &DeliveryState, out: &mut Output) {
        let disposition = Disposition {
            role: Role::Sender,
            first,
            last: Some(last),
            settled: true,
            state: Some(state.clone()),
            batchable: false,
        };
        out.frame(self.channel, &Performative::Disposition(disposition));
    }

    /// The deliveries from `first` to `last`, whose numbers may wrap around.
    fn take_unsettled(&mut self, first: u32, last: u32) -> Vec<(u32, Held)> {
        let ids: Vec<u32> = if first <= last {
            self.unsettled.range(first..=last).map(|(id, _)| *id).collect()
        } else {
            self.unsettled.range(first..).chain(self.unsettled.range(..=last)).map(|(id, _)| *id).collect()
        };
        ids.into_iter().filter_map(|id| Some((id, self.unsettled.remove(&id)?.1))).collect()
    }
}

/// What an outcome means to the broker; `None` for what it has no place for.
fn verdict(state: &DeliveryState) -> Option<Verdict> {
    match state {
        DeliveryState::Accepted(_) => Some(Verdict::Complete),
        DeliveryState::Released(_) => Some(Verdict::Release),
        DeliveryState::Modified(modified) if modified.undeliverable_here == Some(true) => None,
        // With `delivery-failed` or without (.NET's client): to Service Bus both are an abandoned message.
        DeliveryState::Modified(_) => Some(Verdict::Abandon),
        DeliveryState::Rejected(Rejected { error }) => {
            let info = |name: &str| {
                let info = error.as_ref()?.info.as_ref()?;
                let (_, value) = info.iter().find(|(key, _)| key.as_str() == name)?;
                text(value).map(str::to_owned)
            };
            let described = || error.as_ref()?.description.clone();
            let reason = info("DeadLetterReason").unwrap_or_default();
            let description = info("DeadLetterErrorDescription").or_else(described).unwrap_or_default();
            Some(Verdict::DeadLetter { reason, description })
        }
        _ => None,
    }
}
