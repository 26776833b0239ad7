//! Judges one message: events against status, outbox, and deliveries.

use std::collections::{HashMap, HashSet};

use super::{
    gather::{Gathered, Made, Told, delivery_id},
    model,
    report::{Checked, Kind, Sample},
    rules::Rules,
};
use crate::{
    clock::Timestamp,
    delivery::record::State,
    event::EventType,
    ledger::records::{Destination, StatusRecord, public_id},
};

/// What one message came to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub checked: Checked,
    pub problems: Vec<(Kind, Sample)>,
    /// Deliveries that must be kept somewhere else.
    pub open: Vec<Open>,
}

/// A delivery that is not made: something must keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub key: String,
    pub id: String,
    pub partner: String,
    /// What its record says, where it has one.
    pub record: Option<(State, Timestamp)>,
    /// Since when it is owed.
    pub owed_since: Timestamp,
}

impl Open {
    /// Whatever happened to it happened later.
    pub fn last_seen(&self) -> Timestamp {
        self.record.map_or(self.owed_since, |(_, updated_at)| updated_at)
    }
}

pub(super) fn judge(mut gathered: Gathered, rules: &Rules) -> Judged {
    let mut judged = Judged::default();
    judged.checked.deliveries = gathered.deliveries.len() as u64;
    if gathered.changed_at.is_some_and(|changed_at| !rules.has_settled(changed_at)) {
        judged.checked.in_flight = 1;
        return judged;
    }
    judged.checked.messages = 1;
    judged.checked.events = gathered.events.len() as u64;
    judge_events(&mut gathered);
    judge_status(&mut gathered, rules);
    judge_outbox(&mut gathered);
    judge_deliveries(&mut gathered, rules, &mut judged);
    judged.problems = gathered.problems;
    judged
}

fn judge_events(gathered: &mut Gathered) {
    let mut seen = HashSet::new();
    let twice: Vec<String> =
        gathered.events.iter().map(|told| &told.known.public_id).filter(|&id| !seen.insert(id)).cloned().collect();
    for id in twice {
        gathered.problem(Kind::AppliedTwice, format!("{id} is there under two ids"));
    }
}

fn judge_status(gathered: &mut Gathered, rules: &Rules) {
    // Some of its events, or all but some, may have expired: what is left cannot be held against each other.
    let oldest = gathered.events.iter().map(|told| told.applied_at).min();
    let began = gathered.status.as_ref().map(|status| status.first_event_at);
    if !oldest.into_iter().chain(began).all(|at| rules.is_complete(at)) {
        return;
    }
    let known: Vec<_> = gathered.events.iter().map(|told| told.known.clone()).collect();
    let Some(deciding) = model::deciding(&known) else {
        if gathered.status.is_some() {
            gathered.problem(Kind::CountersWrong, "there is a status, and no event");
        }
        return;
    };
    let Some(status) = gathered.status.take() else {
        // One that cannot be read is there.
        if !gathered.problems.iter().any(|(kind, _)| *kind == Kind::Unreadable) {
            gathered.problem(Kind::StatusMissing, format!("{} events and no status", known.len()));
        }
        return;
    };
    for (name, counted, there) in counters(&status, &known) {
        if counted != there {
            gathered.problem(Kind::CountersWrong, format!("{name} counts {counted}, and there are {there}"));
        }
    }
    let first_event_at = known.iter().map(model::Known::happened_at).min();
    let reason_code = reason_code_of(&gathered.events, &deciding.public_id).map(str::to_owned);
    let mut wrong = |what: String| gathered.problem(Kind::StatusWrong, what);
    if status.status != deciding.event_type {
        wrong(format!("{} where its events say {}", status.status, deciding.event_type));
    } else if public_id(&status.decided_by) != deciding.public_id {
        let by = public_id(&status.decided_by);
        wrong(format!("{} by {by} where {} decides", status.status, deciding.public_id));
    } else if status.status_at != deciding.happened_at() || status.sequence != deciding.sequence {
        wrong(format!("{} at another time than that of {}", status.status, deciding.public_id));
    } else if status.reason_code != reason_code {
        wrong(format!("{} with another reason code than that of {}", status.status, deciding.public_id));
    }
    if Some(status.first_event_at) != first_event_at {
        wrong("its first event was at another time".to_owned());
    }
}

fn reason_code_of<'a>(events: &'a [Told], public_id: &str) -> Option<&'a str> {
    events.iter().find(|told| told.known.public_id == public_id)?.reason_code.as_deref()
}

fn counters(status: &StatusRecord, known: &[model::Known]) -> [(&'static str, u64, u64); 3] {
    let count = |wanted| known.iter().filter(|known| known.event_type == wanted).count() as u64;
    [
        ("events", status.events, known.len() as u64),
        ("opens", status.opens, count(EventType::MessageOpened)),
        ("clicks", status.clicks, count(EventType::MessageClicked)),
    ]
}

fn judge_outbox(gathered: &mut Gathered) {
    for owed in std::mem::take(&mut gathered.outbox) {
        let told = gathered.events.iter().find(|told| told.known.public_id == owed.event);
        // What earlier versions applied does not say to whom it was announced.
        let is_founded = told.is_some_and(|told| {
            told.announced_to.is_empty() || owed.destinations.iter().all(|one| told.announced_to.contains(one))
        });
        let event = &owed.event;
        if !is_founded {
            gathered.problem(Kind::OutboxUnfounded, format!("{event} is announced, against what the ledger has"));
        }
        let since = crate::clock::millis::text(owed.created_at);
        gathered.problem(Kind::OutboxStuck, format!("{event} is not announced since {since}"));
        // It was never sent, so nobody can have it.
        for told in gathered.events.iter_mut().filter(|told| told.known.public_id == owed.event) {
            told.announced_to.clear();
        }
    }
}

fn judge_deliveries(gathered: &mut Gathered, rules: &Rules, judged: &mut Judged) {
    let made = std::mem::take(&mut gathered.deliveries);
    let known: HashMap<&str, &Told> =
        gathered.events.iter().map(|told| (told.known.public_id.as_str(), told)).collect();
    let mut problems = Vec::new();
    for made in &made {
        let (event, partner) = (&made.event, &made.partner);
        match known.get(event.as_str()) {
            None => problems.push((Kind::DeliveryUnfounded, format!("{event} went to {partner}, and is not there"))),
            Some(told) => {
                let to = Destination::Partner(partner.clone());
                if !told.announced_to.is_empty() && !told.announced_to.contains(&to) {
                    problems.push((Kind::DeliveryUninvited, format!("{event} was not announced to {partner}")));
                }
            }
        }
        if made.state == State::Delivered && !made.is_answered {
            problems.push((Kind::DeliveryUnanswered, format!("{event} to {partner}: no attempt has a 2xx")));
        }
    }
    let records: HashMap<(&str, &str), &Made> =
        made.iter().map(|made| ((made.event.as_str(), made.partner.as_str()), made)).collect();
    for told in &gathered.events {
        if !rules.is_remembered(told.applied_at) {
            continue;
        }
        for destination in &told.announced_to {
            let Destination::Partner(partner) = destination else { continue };
            judged.checked.owed += 1;
            let record = records.get(&(told.known.public_id.as_str(), partner.as_str()));
            let record = record.map(|made| (made.state, made.updated_at));
            if record.is_some_and(|(state, at)| state == State::Delivered || !rules.has_settled(at)) {
                continue;
            }
            judged.open.push(Open {
                key: gathered.key.clone(),
                id: delivery_id(partner, &told.known.public_id),
                partner: partner.clone(),
                record,
                owed_since: told.applied_at,
            });
        }
    }
    for (kind, what) in problems {
        gathered.problem(kind, what);
    }
}
