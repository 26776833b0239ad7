//! What is sent, in which order: decided by a seed, kept as two numbers a request, built when it is due.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::clock::Timestamp;

use super::fact::{Generator, SignedRequest, Story};

/// How a run is shaped.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Different callbacks. Repeats come on top.
    pub callbacks: u32,
    /// The share of all requests that repeat an earlier one: 0 to below 1.
    pub duplicates: f64,
    /// Any order, across messages and their statuses. Otherwise each message's callbacks keep theirs.
    pub shuffle: bool,
    /// Equal seeds give equal callbacks in an equal order.
    pub seed: u64,
    /// When the run began: what is reported has happened before that.
    pub started: Timestamp,
}

/// Every request of a run. Callbacks are numbered from 0; each belongs to one step of one story.
pub struct Plan {
    shape: Shape,
    generators: Vec<Box<dyn Generator>>,
    /// The first callback of each story, and the number of callbacks as the last entry.
    first: Vec<u32>,
    /// The callback of each request.
    order: Vec<u32>,
}

/// Requests of other messages between two callbacks of one message, in a plan that is not shuffled: enough that
/// connections side by side rarely turn the order around.
const SPREAD: u32 = 200;
/// Half of the repeats come this close behind, while the first may still be in hand; the others come any time later.
const CLOSE: u32 = 64;

impl Plan {
    /// Plans a run. There must be at least one generator.
    pub fn new(generators: Vec<Box<dyn Generator>>, shape: Shape) -> Self {
        assert!(!generators.is_empty(), "somebody has to play");
        let mut plan = Self { shape, generators, first: Vec::new(), order: Vec::new() };
        let mut callbacks = 0;
        while callbacks < shape.callbacks {
            plan.first.push(callbacks);
            let steps = u32::try_from(plan.story(plan.first.len() as u32 - 1).1.steps.len()).unwrap_or(u32::MAX);
            // The last story may be cut short: the number of callbacks is exact.
            callbacks = callbacks.saturating_add(steps).min(shape.callbacks);
        }
        plan.first.push(callbacks);
        plan.order = plan.arrange();
        plan
    }

    /// The requests' callbacks in order: every request gets a place on a line, then the line is walked.
    fn arrange(&self) -> Vec<u32> {
        let Shape { callbacks, duplicates, shuffle, seed, .. } = self.shape;
        // Streams apart from the stories' (whose second word is below 2^32), and from each other: shuffling changes
        // the order and nothing else.
        let mut places: Vec<u32> = match shuffle {
            true => {
                let mut places: Vec<u32> = (0..callbacks).collect();
                places.shuffle(&mut stream(seed, 1 << 40));
                places
            }
            false => {
                let steps = self.first.windows(2).flat_map(|story| {
                    let spread = SPREAD.min(callbacks / 4);
                    (0..story[1] - story[0]).map(move |step| story[0].saturating_add(step * spread))
                });
                steps.collect()
            }
        };
        let mut random = stream(seed, 2 << 40);
        let repeats = (f64::from(callbacks) * duplicates / (1.0 - duplicates)).round() as u32;
        let mut repeated = Vec::with_capacity(repeats as usize);
        for _ in 0..repeats {
            let callback = random.random_range(0..callbacks);
            let distance = if random.random() { CLOSE } else { callbacks.max(CLOSE) };
            let place = places[callback as usize].saturating_add(random.random_range(1..=distance));
            repeated.push((place, callback));
        }
        let mut line: Vec<(u32, u32)> = places.drain(..).zip(0..callbacks).chain(repeated).collect();
        line.sort_by_key(|(place, _)| *place);
        line.into_iter().map(|(_, callback)| callback).collect()
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many requests there are, repeats included.
    pub fn requests(&self) -> usize {
        self.order.len()
    }

    /// How many different callbacks there are.
    pub fn callbacks(&self) -> u32 {
        self.shape.callbacks
    }

    pub fn stories(&self) -> u32 {
        self.first.len() as u32 - 1
    }

    /// The callback that a request sends.
    pub fn callback_of(&self, request: usize) -> u32 {
        self.order[request]
    }

    /// The callbacks of a story: its steps in order, fewer than it has where the plan ends.
    pub fn callbacks_of(&self, story: u32) -> Range<u32> {
        self.first[story as usize]..self.first[story as usize + 1]
    }

    /// A story, and the vendor who tells it.
    pub fn story(&self, story: u32) -> (&dyn Generator, Story) {
        let mut random = stream(self.shape.seed, u64::from(story));
        let total: u32 = self.generators.iter().map(|generator| generator.weight()).sum();
        let mut draw = random.random_range(0..total);
        let generator = self.generators.iter().find(|generator| {
            let chosen = draw < generator.weight();
            draw = draw.saturating_sub(generator.weight());
            chosen
        });
        let generator = generator.expect("the draw is below the sum of the weights");
        (generator.as_ref(), generator.story(&mut random, self.shape.started))
    }

    /// Builds and signs a callback, as it is sent at `now`.
    pub fn build(&self, callback: u32, now: Timestamp) -> SignedRequest {
        let story = self.first.partition_point(|first| *first <= callback) - 1;
        let step = callback - self.first[story];
        let (generator, story) = self.story(story as u32);
        generator.request(&story, step as usize, self.shape.started, now)
    }
}

/// One of a seed's streams of random numbers.
fn stream(seed: u64, number: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    StdRng::from_seed(bytes)
}
