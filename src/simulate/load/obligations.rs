//! What the target has promised, callback by callback.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far a callback has come. Later ones outweigh earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Never left: its events must not be there.
    Unsent,
    /// It left, but no 2xx came back: its events may be there.
    Tried,
    /// A 2xx was read to its end: its events must be there.
    Acked,
}

/// The standing of every callback; a repeat counts for the callback that it repeats.
#[derive(Debug, Default)]
pub struct Obligations(Vec<AtomicU8>);

impl Obligations {
    pub fn new(callbacks: u32) -> Self {
        Self((0..callbacks).map(|_| AtomicU8::new(Standing::Unsent as u8)).collect())
    }

    /// Raises a callback's standing; it never falls.
    pub fn note(&self, callback: u32, standing: Standing) {
        self.0[callback as usize].fetch_max(standing as u8, Ordering::Relaxed);
    }

    pub fn standing(&self, callback: u32) -> Standing {
        match self.0[callback as usize].load(Ordering::Relaxed) {
            0 => Standing::Unsent,
            1 => Standing::Tried,
            _ => Standing::Acked,
        }
    }
}
