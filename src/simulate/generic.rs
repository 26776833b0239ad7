//! Any vendor whose payload is described by a mapping: the request is built from it, backwards.

mod draft;
mod proof;
mod words;

use chrono::TimeDelta;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::fact::{
    Fact, Generator, SignedRequest, Story, hex_text, mail_address, path, phone_number, pick, story_start,
};
use crate::{
    clock::{Timestamp, millis},
    config::{Mapping, VendorConfig},
    event::{Channel, EventType},
};
use draft::Draft;
pub(super) use proof::Proof;
use words::Words;

pub(super) struct Generic {
    vendor: String,
    proof: Proof,
    mapping: Mapping,
    /// Where the id of an event is.
    event_id: String,
    /// Services, each with the statuses that make sense on its channel.
    services: Vec<(String, Channel, Words)>,
}

impl Generic {
    /// # Errors
    /// The mapping's statuses fit none of the services, its places contradict each other, or no place is the event's id.
    pub fn new(name: &str, vendor: &VendorConfig, proof: Proof) -> Result<Self, String> {
        let mapping = vendor.mapping.clone().ok_or("it has no mapping")?;
        let event_id = mapping.event_id.clone().or_else(|| proof.event_id());
        let event_id = event_id.ok_or("its mapping has no event_id by which the ledger could be asked")?;
        let services: Vec<_> = vendor
            .services
            .iter()
            .map(|(service, &channel)| (service.clone(), channel, Words::new(&mapping, channel)))
            .filter(|(_, _, words)| !words.is_empty())
            .collect();
        if services.is_empty() {
            return Err("its mapping has no status that fits the channels of its services".into());
        }
        let generic = Self { vendor: name.to_owned(), proof, mapping, event_id, services };
        // One payload with every optional part in it shows whether there can be any.
        let story = generic.story(&mut StdRng::seed_from_u64(0), Timestamp::UNIX_EPOCH);
        let fact = Fact { event_type: EventType::MessageFailed, ..story.steps[0][0].clone() };
        let story = Story { steps: vec![vec![fact]], ..story };
        let draft = generic.draft(&story, 0).and_then(|draft| draft.finish(String::new(), &generic.mapping));
        draft.map_err(|problem| format!("no payload fits its mapping: {problem}"))?;
        Ok(generic)
    }

    /// What the dedupe key adds to the event's id. A header or the query names a whole callback, so within `each` the
    /// ledger's key says which element it was; here that is always the first.
    fn element(&self) -> &'static str {
        if self.mapping.each.is_some() && !in_body(&self.event_id) { ":0" } else { "" }
    }

    /// The event's id as the vendor writes it.
    fn id_of<'a>(&self, fact: &'a Fact) -> &'a str {
        fact.dedupe_key[self.vendor.len() + 1..].trim_end_matches(self.element())
    }

    /// Whether a body may hold several events: all that they say is then in the body, where each has its own.
    fn batches(&self) -> bool {
        let Mapping { message_id, status, occurred_at, recipient, sender, reason_code, reason, .. } = &self.mapping;
        let optional = [occurred_at, recipient, sender, reason_code, reason].into_iter().flatten();
        self.mapping.each.is_some() && [&self.event_id, message_id, status].into_iter().chain(optional).all(in_body)
    }

    fn draft(&self, story: &Story, step: usize) -> Result<Draft, String> {
        let mut draft = Draft::default();
        for fact in &story.steps[step] {
            for (place, value) in self.values(story, fact) {
                draft.put(place, value)?;
            }
            draft.next_element();
        }
        Ok(draft)
    }

    /// What goes where.
    fn values<'a>(&'a self, story: &Story, fact: &Fact) -> Vec<(&'a str, String)> {
        let Mapping { message_id, status, occurred_at, recipient, sender, reason_code, reason, .. } = &self.mapping;
        let mut values = vec![
            (message_id.as_str(), fact.message_id.clone()),
            (status.as_str(), fact.status.clone()),
            (self.event_id.as_str(), self.id_of(fact).to_owned()),
        ];
        let mut optional = |place: &'a Option<String>, value: String| {
            values.extend(place.as_deref().map(|place| (place, value)));
        };
        if let Some(at) = fact.at {
            optional(occurred_at, millis::text(at));
        }
        optional(recipient, fact.recipient.clone());
        optional(sender, story.sender.clone());
        let went_wrong = ["failed", "bounced", "undelivered", "rejected", "expired"];
        if went_wrong.iter().any(|end| fact.event_type.name().ends_with(end)) {
            optional(reason_code, "550".into());
            optional(reason, "The recipient's server refused the message".into());
        }
        values
    }
}

fn in_body(place: impl AsRef<str>) -> bool {
    !["header:", "query:"].iter().any(|outside| place.as_ref().starts_with(outside))
}

impl Generator for Generic {
    fn vendor(&self) -> &str {
        &self.vendor
    }

    fn story(&self, random: &mut StdRng, started: Timestamp) -> Story {
        let (service, channel, words) = pick(random, &self.services);
        let messages = if self.batches() { random.random_range(1..=5) } else { 1 };
        let mut facts = Vec::new();
        for _ in 0..messages {
            let message_id = uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string();
            let recipient = if *channel == Channel::Email { mail_address(random) } else { phone_number(random) };
            let mut at = story_start(random, started);
            for (status, event_type) in words.life(random) {
                at += TimeDelta::milliseconds(random.random_range(1..60_000));
                facts.push(Fact {
                    message_id: message_id.clone(),
                    status,
                    event_type,
                    dedupe_key: format!("{}:msg_{}{}", self.vendor, hex_text(random, 26), self.element()),
                    at: self.mapping.occurred_at.as_ref().map(|_| at),
                    recipient: recipient.clone(),
                    salt: random.random(),
                });
            }
        }
        facts.sort_by_key(|fact| fact.at);
        let mut steps = Vec::new();
        while !facts.is_empty() {
            let size = if self.batches() { random.random_range(1..=5).min(facts.len()) } else { 1 };
            let rest = facts.split_off(size);
            steps.push(std::mem::replace(&mut facts, rest));
        }
        let sender = match channel {
            Channel::Email => "orders@example.org".to_owned(),
            Channel::Sms | Channel::Voice => "+15017122661".to_owned(),
        };
        Story { service: service.clone(), channel: *channel, request_type: "events", sender, steps }
    }

    fn request(&self, story: &Story, step: usize, _started: Timestamp, now: Timestamp) -> SignedRequest {
        let draft = self.draft(story, step).and_then(|draft| draft.finish(path(&self.vendor, story), &self.mapping));
        let mut request = draft.expect("the mapping was tried when it was taken on");
        // The event's own id: where the mapping takes the id from the body, both name the same thing.
        self.proof.add(&mut request, self.id_of(&story.steps[step][0]), now);
        request
    }
}
