//! The limit of what the door has under way, so that an overload is refused early instead of growing.
//!
//! A callback counts from when its body is there until its answer, which waits for the broker; bodies count in bytes from
//! their first frame. The wait is bounded (`ingest.publish_timeout` and `spool_timeout`), so a limit on how many wait
//! bounds memory, and how long the last of them waits for the broker. Each priority may fill a share only: the low ones
//! half, the normal ones three quarters. What finds its share full is answered 503 before its body is read and its
//! signature verified, which is cheap ([`super::unread`] lets a small body go by); the background has given way before
//! ([`crate::pressure`]).
//!
//! A body counts only as it arrives, and a callback only once it has: whoever sends slowly takes nobody's place.

use std::sync::Arc;

use crate::{
    config::{Ingest, Priority},
    pressure::Pressure,
    telemetry::Seldom,
};

/// What is under way at the door.
#[derive(Debug)]
pub struct Door {
    callbacks: Arc<Pressure>,
    /// Of bodies, in bytes.
    memory: Pressure,
    /// For the log.
    pub(super) refused: Seldom,
}

/// Why a callback is refused now: the caller answers 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("too many callbacks at a time")]
    Callbacks,
    #[error("too many large bodies at a time")]
    Memory,
}

/// One callback's place. It ends when this is dropped, whichever way the request goes.
#[derive(Debug)]
pub struct Pass<'a> {
    door: &'a Door,
    quarters: usize,
    bytes: usize,
    inside: bool,
}

/// How many quarters of the door this priority may fill.
fn quarters(priority: Priority) -> usize {
    match priority {
        Priority::Low => 2,
        Priority::Normal => 3,
        Priority::High => 4,
    }
}

impl Door {
    pub fn new(limits: &Ingest) -> Self {
        let bytes = usize::try_from(limits.largest_bodies()).unwrap_or(usize::MAX);
        Self {
            callbacks: Arc::new(Pressure::new(limits.in_flight)),
            memory: Pressure::new(bytes),
            refused: Seldom::default(),
        }
    }

    /// How many callbacks are under way, for work that gives way to them.
    pub fn pressure(&self) -> Arc<Pressure> {
        Arc::clone(&self.callbacks)
    }

    /// A look before anything of a request is read. It takes no place yet.
    ///
    /// # Errors
    /// The share of this priority is full.
    pub fn knock(&self, priority: Priority) -> Result<Pass<'_>, Full> {
        let quarters = quarters(priority);
        match (self.callbacks.has_reached(quarters), self.memory.has_reached(quarters)) {
            (false, false) => Ok(Pass { door: self, quarters, bytes: 0, inside: false }),
            (true, _) => Err(Full::Callbacks),
            (false, true) => Err(Full::Memory),
        }
    }
}

impl Pass<'_> {
    /// So many more bytes of the body are in memory.
    ///
    /// # Errors
    /// They would be too many.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        if !self.door.memory.take(bytes, self.quarters) {
            return Err(Full::Memory);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// The body is there, and work begins.
    ///
    /// # Errors
    /// Others were faster.
    pub fn enter(&mut self) -> Result<(), Full> {
        self.inside = self.inside || self.door.callbacks.take(1, self.quarters);
        if self.inside { Ok(()) } else { Err(Full::Callbacks) }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.door.memory.give_back(self.bytes);
        if self.inside {
            self.door.callbacks.give_back(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;

    fn door(in_flight: usize, body_memory: u64) -> Door {
        let limit = Duration::from_secs(1);
        Door::new(&Ingest {
            body_limit: ByteSize::mib(1),
            body_timeout: limit,
            claim_check_above: ByteSize::kib(192),
            publish_timeout: limit,
            spool_timeout: limit,
            in_flight,
            body_memory: Some(ByteSize::b(body_memory)),
        })
    }

    /// Passes that are inside, until one is refused.
    fn fill(door: &Door, priority: Priority) -> Vec<Pass<'_>> {
        let mut passes = Vec::new();
        while let Ok(mut pass) = door.knock(priority) {
            pass.enter().unwrap();
            passes.push(pass);
        }
        passes
    }

    #[test]
    fn low_priority_is_refused_first_and_high_priority_last() {
        let door = door(8, 1000);
        let low = fill(&door, Priority::Low);
        let normal = fill(&door, Priority::Normal);
        let high = fill(&door, Priority::High);
        assert_eq!((low.len(), normal.len(), high.len()), (4, 2, 2));
        drop(low);
        assert_eq!(door.knock(Priority::Low).unwrap_err(), Full::Callbacks, "normal and high ones fill its share");
        drop(high);
        assert!(door.knock(Priority::Low).is_ok(), "a place that is free is anybody's");
    }

    #[test]
    fn a_pass_takes_no_place_until_it_enters_and_gives_it_back_whatever_happens() {
        let door = door(4, 1000);
        let mut waiting: Vec<_> = (0..10).map(|_| door.knock(Priority::High).unwrap()).collect();
        let entered = waiting.iter_mut().filter_map(|pass| pass.enter().ok()).count();
        assert_eq!(entered, 4, "those who sent slowly find that others were faster");
        drop(waiting);
        assert_eq!(door.pressure().taken(), 0);
    }

    #[test]
    fn bodies_take_memory_as_they_arrive() {
        let door = door(100, 1000);
        let mut low = door.knock(Priority::Low).unwrap();
        low.hold(400).unwrap();
        assert_eq!(low.hold(200), Err(Full::Memory), "half of it is for low priority");
        let mut high = door.knock(Priority::High).unwrap();
        high.hold(600).unwrap();
        assert_eq!(door.knock(Priority::Normal).unwrap_err(), Full::Memory);
        drop((low, high));
        assert!(!door.memory.has_reached(1));
    }
}
