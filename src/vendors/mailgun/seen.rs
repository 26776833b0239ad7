//! The tokens of callbacks that were accepted.

use std::time::Duration;

use moka::{policy::EvictionPolicy, sync::Cache};

/// Some tens of megabytes where it is full. Only what Mailgun signed comes in; the oldest make room.
const CAPACITY: u64 = 200_000;
/// A token older than the tolerance is refused by its age. Without a tolerance memory sets the limit, and this.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Tokens, each for as long as it would still verify.
pub(super) struct Seen(Cache<Box<str>, ()>);

impl Seen {
    pub fn new(tolerance: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            // The usual policy turns newcomers away from a full cache, and the newest token is the one that comes again.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(tolerance.min(LONGEST));
        Self(cache.build())
    }

    pub fn contains(&self, token: &str) -> bool {
        self.0.contains_key(token)
    }

    pub fn insert(&self, token: &str) {
        self.0.insert(token.into(), ());
    }
}

impl std::fmt::Debug for Seen {
    /// How many tokens, and none of them.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Seen({})", self.0.entry_count())
    }
}
