//! Duplicate detection: which message ids a topic has accepted within its window.
//!
//! Ids are remembered by a digest, in slices of time that are dropped as a whole once their newest entry is older than
//! the window; an id is therefore known for the window and up to an eighth of it longer (and a hundredth more, once it
//! was read back from disk: see [`rows`]).

mod rows;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use rusqlite::Connection;
use sha2::Digest as _;

use self::rows::Rows;

/// Slices in a window.
const SLICES: i64 = 8;
/// Table sizes of slices, as powers of two: a slice closes when its table is full, before it would have to grow.
const SMALLEST_TABLE: u32 = 10;
const LARGEST_TABLE: u32 = 19;
/// Beyond this many ids in a topic (about 60 MB) the oldest are forgotten early. Applying a message twice is
/// harmless by design, running out of memory is not.
const MOST_IDS: usize = 4_000_000;
const DIGEST_BYTES: usize = 12;

/// The first 96 bits of a message id's SHA-256. Nobody can make two ids collide, and by chance a new message among
/// four million remembered ones does so once in 10^22.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    pub fn of(message_id: &str) -> Self {
        let hash = sha2::Sha256::digest(message_id.as_bytes());
        Self(*hash.first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_le_bytes(*self.0.first_chunk().expect("a digest has 12 bytes")));
    }
}

/// A digest is as good a hash as any.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a digest hashes as one number");
    }
}

/// The ids of some span of time, in a table that is allocated once.
#[derive(Debug)]
struct Slice {
    opened: i64,
    newest: i64,
    table: u32,
    ids: HashSet<Digest, BuildHasherDefault<Identity>>,
}

impl Slice {
    fn new(opened: i64, table: u32) -> Self {
        let ids = HashSet::with_capacity_and_hasher(room(table), BuildHasherDefault::default());
        Self { opened, newest: opened, table, ids }
    }

    /// The table size of the next slice, once this one is full or has covered its span.
    fn successor(&self, span: i64, now: i64) -> Option<u32> {
        let (age, span) = (self.opened.abs_diff(now), span as u64);
        let table = if self.ids.len() >= room(self.table) {
            // Larger only where it filled up quickly: few slices make a look-up fast, full ones waste no memory.
            self.table + u32::from(age < span / 2)
        } else if age > span {
            self.ids.len().next_power_of_two().ilog2()
        } else {
            return None;
        };
        Some(table.clamp(SMALLEST_TABLE, LARGEST_TABLE))
    }
}

/// How many ids fill a table of 2^`table` places: the standard library's tables stay an eighth empty.
fn room(table: u32) -> usize {
    (1 << table) / 8 * 7
}

/// One topic's ids.
#[derive(Debug)]
struct Window {
    /// In microseconds.
    length: i64,
    slices: VecDeque<Slice>,
    count: usize,
    /// Accepted by the running transaction.
    pending: Vec<Digest>,
}

impl Window {
    fn contains(&self, digest: &Digest) -> bool {
        self.slices.iter().rev().any(|slice| slice.ids.contains(digest))
    }

    fn remember(&mut self, digest: Digest, now: i64) {
        let table = self.slices.back().map_or(Some(SMALLEST_TABLE), |slice| slice.successor(self.length / SLICES, now));
        if let Some(table) = table {
            self.forget_old(now);
            self.slices.push_back(Slice::new(now, table));
        }
        let slice = self.slices.back_mut().expect("a slice was opened");
        slice.newest = slice.newest.max(now);
        if slice.ids.insert(digest) {
            self.count += 1;
        }
    }

    fn forget_old(&mut self, now: i64) {
        while let Some(slice) = self.slices.front() {
            let early = self.count > MOST_IDS;
            if !early && now.saturating_sub(slice.newest) < self.length {
                break;
            }
            if early {
                tracing::warn!(
                    ids = slice.ids.len(),
                    "too many message ids to remember: the oldest are forgotten early"
                );
            }
            self.count -= slice.ids.len();
            self.slices.pop_front();
        }
    }

    /// After a jump back ids from the future would stay for as long as the clock jumped: they count as seen just now.
    fn jumped_back(&mut self, now: i64) {
        for slice in &mut self.slices {
            slice.opened = slice.opened.min(now);
            slice.newest = slice.newest.min(now);
        }
    }
}

/// The message ids of all topics.
#[derive(Debug)]
pub(super) struct Seen {
    windows: HashMap<i64, Window>,
    rows: Rows,
}

impl Seen {
    /// Reads what earlier processes accepted. `windows` are topic numbers and window lengths in microseconds.
    pub fn load(
        connection: &Connection,
        windows: impl Iterator<Item = (i64, i64)>,
        now: i64,
    ) -> rusqlite::Result<Self> {
        let mut windows: HashMap<_, _> = windows
            .filter(|(_, length)| *length > 0)
            .map(|(topic, length)| (topic, Window { length, slices: VecDeque::new(), count: 0, pending: Vec::new() }))
            .collect();
        let longest = windows.values().map(|window| window.length).max().unwrap_or(0);
        let rows = Rows::load(connection, longest, |topic, at, digests| {
            let at = at.min(now);
            if let Some(window) = windows.get_mut(&topic).filter(|window| now.saturating_sub(at) < window.length) {
                digests.iter().for_each(|digest| window.remember(Digest(*digest), at));
            }
        })?;
        Ok(Self { windows, rows })
    }

    /// Notes an id of the running transaction; `false` where the topic has seen it within its window.
    pub fn accept(&mut self, topic: i64, digest: Digest, now: i64) -> bool {
        let Some(window) = self.windows.get_mut(&topic) else {
            return true;
        };
        window.forget_old(now);
        if window.contains(&digest) {
            return false;
        }
        window.remember(digest, now);
        window.pending.push(digest);
        true
    }

    /// Writes what the running transaction accepted, and tidies up a little.
    pub fn before_commit(&mut self, connection: &Connection, now: i64) -> rusqlite::Result<()> {
        if self.rows.follow_clock(connection, now)? {
            self.windows.values_mut().for_each(|window| window.jumped_back(now));
        }
        for (topic, window) in self.windows.iter().filter(|(_, window)| !window.pending.is_empty()) {
            self.rows.append(connection, *topic, now, &window.pending)?;
        }
        self.rows.tidy(connection, now)
    }

    pub fn committed(&mut self) {
        self.rows.committed();
        for window in self.windows.values_mut() {
            window.pending.clear();
        }
    }

    pub fn rolled_back(&mut self) {
        for window in self.windows.values_mut() {
            for digest in window.pending.drain(..) {
                if window.slices.iter_mut().rev().any(|slice| slice.ids.remove(&digest)) {
                    window.count -= 1;
                }
            }
        }
    }
}
