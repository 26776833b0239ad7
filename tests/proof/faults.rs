//! Which calls fail: rates for each method, drawn from the seed.
//!
//! Whether a call fails depends on the seed, on what it is about and on how many such calls there were before, and not on
//! the order in which calls about different things come: so a replay meets the same faults wherever it does the same.

pub mod receiving;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::faults::{Call, Fault};

/// How often what happens to the calls of a method: shares from 0 to 1, together at the most 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// An error, and no effect.
    pub before: f64,
    /// The effect, and then an error as a driver words it that repeats the call by itself.
    pub after: f64,
    /// The effect, and then an error.
    pub lost: f64,
    /// No effect and no answer.
    pub hang: f64,
    /// The effect, and no answer.
    pub mute: f64,
    /// No answer, and the effect later.
    pub late: f64,
    /// An answer that takes longer.
    pub slow: f64,
    /// How much longer, and how much later, at the most.
    pub delay: Duration,
}

impl Rates {
    /// Always the error, and never an effect.
    pub const DOWN: Self = Self { before: 1.0, ..Self::NONE };
    pub const NONE: Self = Self {
        before: 0.0,
        after: 0.0,
        lost: 0.0,
        hang: 0.0,
        mute: 0.0,
        late: 0.0,
        slow: 0.0,
        delay: Duration::from_millis(100),
    };

    fn draw(&self, random: &mut StdRng) -> Option<Fault> {
        let mut point: f64 = random.random();
        let delay = self.delay.mul_f64(random.random());
        let faults = [
            (self.before, Fault::Before),
            (self.after, Fault::After),
            (self.lost, Fault::Lost),
            (self.hang, Fault::Hang),
            (self.mute, Fault::Mute),
            (self.late, Fault::Late(delay)),
            (self.slow, Fault::Slow(delay)),
        ];
        faults.into_iter().find_map(|(rate, fault)| {
            point -= rate;
            (point < 0.0).then_some(fault)
        })
    }
}

/// What happens on the way from the broker to the host, to a message each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handling {
    /// It is there twice in its batch, or comes again in a later one.
    pub twice: f64,
    /// It is done, and its lock is lost: it comes again.
    pub lock_lost: f64,
    /// The batch comes in any order.
    pub reorder: bool,
    /// The receive fails, or the settlement does: a share of the calls.
    pub fails: f64,
}

/// A fault that was injected.
#[derive(Debug, Clone)]
pub struct Injected {
    pub at: Instant,
    pub method: &'static str,
    pub of: String,
    pub about: String,
    pub what: String,
}

/// The faults of a run. Clones are one.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seed: u64,
    rates: Mutex<BTreeMap<&'static str, Rates>>,
    /// Rates for the ledger of one vendor's messages, before the general ones.
    channel: Mutex<Option<(String, Rates)>>,
    handling: Mutex<Handling>,
    counts: Mutex<HashMap<u64, u64>>,
    log: Mutex<Vec<Injected>>,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        let (rates, channel, handling, counts, log) = Default::default();
        Self(Arc::new(Shared { seed, rates, channel, handling, counts, log }))
    }

    /// From now on a method fails so.
    pub fn set(&self, method: &'static str, rates: Rates) {
        self.0.rates.lock().unwrap().insert(method, rates);
    }

    /// From now on commits to the ledger fail so for messages whose key starts with this.
    pub fn set_vendor(&self, prefix: &str, rates: Rates) {
        *self.0.channel.lock().unwrap() = Some((prefix.to_owned(), rates));
    }

    pub fn handle(&self, handling: Handling) {
        *self.0.handling.lock().unwrap() = handling;
    }

    pub fn handling(&self) -> Handling {
        *self.0.handling.lock().unwrap()
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.0.rates.lock().unwrap().clear();
        *self.0.channel.lock().unwrap() = None;
        *self.0.handling.lock().unwrap() = Handling::default();
    }

    /// What becomes of a call.
    pub fn draw(&self, call: &Call<'_>) -> Option<Fault> {
        let special = self.0.channel.lock().unwrap().clone();
        let special = special.filter(|(prefix, _)| call.of == "ledger" && call.about.starts_with(prefix.as_str()));
        let general = || self.0.rates.lock().unwrap().get(call.method).copied();
        let rates = special.map(|(_, rates)| rates).or_else(general)?;
        let fault = rates.draw(&mut self.random((call.method, call.of, call.about)))?;
        self.note(call.method, call.of, call.about, &format!("{fault:?}"));
        Some(fault)
    }

    /// The random numbers of the next call that is about this.
    pub fn random(&self, about: impl Hash) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.0.seed, about).hash(&mut hasher);
        let about = hasher.finish();
        let mut counts = self.0.counts.lock().unwrap();
        let count = counts.entry(about).or_default();
        *count += 1;
        StdRng::seed_from_u64(about.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    pub fn note(&self, method: &'static str, of: &str, about: &str, what: &str) {
        let (of, about, what) = (of.to_owned(), about.to_owned(), what.to_owned());
        self.0.log.lock().unwrap().push(Injected { at: Instant::now(), method, of, about, what });
    }

    /// Everything that was injected.
    pub fn log(&self) -> Vec<Injected> {
        self.0.log.lock().unwrap().clone()
    }
}
