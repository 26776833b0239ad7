//! Lock tokens: the names by which clients know locks, on a link (as delivery tags) and in requests to `$management`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::{clock::Timestamp, local::broker::Lock};

/// A lock that ran out still settles its message while nobody else has received it, so it is remembered for a while.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The locks of all connections.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_token: HashMap<Uuid, Lock>,
    /// Forgetting the old ones is due once there are so many.
    next_purge: usize,
}

impl Locks {
    /// Remembers a lock under a new token.
    pub fn insert(&self, lock: Lock, now: Timestamp) -> Uuid {
        let token = Uuid::new_v4();
        let mut held = self.held();
        if held.by_token.len() >= held.next_purge {
            held.by_token.retain(|_, lock| lock.expires_at() + REMEMBERED > now);
            held.next_purge = 1024.max(held.by_token.len() * 2);
        }
        held.by_token.insert(token, lock);
        token
    }

    pub fn get(&self, token: Uuid) -> Option<Lock> {
        self.held().by_token.get(&token).cloned()
    }

    /// Forgets tokens whose messages were settled.
    pub fn remove(&self, tokens: impl IntoIterator<Item = Uuid>) {
        let mut held = self.held();
        for token in tokens {
            held.by_token.remove(&token);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No operation here leaves the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
