//! What a vendor says in the course of a message's life, in its own words.

use rand::{RngExt, rngs::StdRng};

use super::super::{fact::pick, model};
use crate::{
    config::Mapping,
    event::{Channel, EventType},
};

/// The vendor's words for the statuses of one channel, by the part they play in a life.
#[derive(Default)]
pub(super) struct Words {
    /// On the way, by rank.
    passing: Vec<Vec<(String, EventType)>>,
    terminal: Vec<(String, EventType)>,
    /// After delivery.
    read: Vec<(String, EventType)>,
    /// Counted beside.
    beside: Vec<(String, EventType)>,
}

const TERMINAL: u8 = 6;

impl Words {
    pub fn new(mapping: &Mapping, channel: Channel) -> Self {
        let mut words = Self::default();
        for (word, &event_type) in &mapping.statuses {
            let of_a_call = event_type.name().starts_with("call.");
            if event_type == EventType::Unknown || of_a_call != (channel == Channel::Voice) {
                continue;
            }
            let entry = (word.clone(), event_type);
            match model::rank(event_type) {
                None => words.beside.push(entry),
                Some(TERMINAL) => words.terminal.push(entry),
                Some(rank) if rank > TERMINAL => words.read.push(entry),
                Some(rank) => {
                    let rank = usize::from(rank);
                    words.passing.resize(words.passing.len().max(rank + 1), Vec::new());
                    words.passing[rank].push(entry);
                }
            }
        }
        words
    }

    pub fn is_empty(&self) -> bool {
        let Self { passing, terminal, read, beside } = self;
        passing.iter().all(Vec::is_empty) && terminal.is_empty() && read.is_empty() && beside.is_empty()
    }

    /// One message's life: at most one word of each rank, exactly one end.
    pub fn life(&self, random: &mut StdRng) -> Vec<(String, EventType)> {
        use EventType::{CallCompleted, MessageDelivered, MessageReceived};
        let good: Vec<_> =
            self.terminal.iter().filter(|(_, end)| matches!(end, MessageDelivered | CallCompleted)).cloned().collect();
        let end = match random.random_range(0..100) < 75 && !good.is_empty() {
            true => Some(pick(random, &good).clone()),
            false if self.terminal.is_empty() => None,
            false => Some(pick(random, &self.terminal).clone()),
        };
        let mut life = Vec::new();
        let inbound = end.as_ref().is_some_and(|(_, end)| *end == MessageReceived);
        for words in self.passing.iter().filter(|words| !words.is_empty() && !inbound) {
            if random.random_range(0..100) < 85 {
                life.push(pick(random, words).clone());
            }
        }
        let arrived = end.as_ref().is_none_or(|(_, end)| *end == MessageDelivered);
        life.extend(end);
        if arrived && !self.read.is_empty() && random.random_range(0..100) < 40 {
            life.push(pick(random, &self.read).clone());
        }
        if arrived {
            for word in &self.beside {
                if random.random_range(0..100) < 30 {
                    life.push(word.clone());
                }
            }
        }
        if life.is_empty() {
            let all: Vec<_> =
                self.passing.iter().flatten().chain(&self.terminal).chain(&self.read).chain(&self.beside).collect();
            life.push((*pick(random, &all)).clone());
        }
        life
    }
}
