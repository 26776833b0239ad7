//! How full something is: what is taken of a limit.
//!
//! The front door counts here what it has under way ([`crate::ingest::Door`]), and triggers whose work can wait look here
//! whether it should ([`crate::local::host`]).

use std::sync::atomic::{AtomicUsize, Ordering};

/// What is taken of a limit, in whatever unit.
#[derive(Debug)]
pub struct Pressure {
    limit: usize,
    taken: AtomicUsize,
}

impl Pressure {
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0) }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether so many quarters of the limit are taken, or more.
    pub fn has_reached(&self, quarters: usize) -> bool {
        self.taken() >= self.quarters(quarters)
    }

    /// Takes `amount`, unless more than so many quarters of the limit would be taken then.
    pub fn take(&self, amount: usize, quarters: usize) -> bool {
        let most = self.quarters(quarters);
        let take = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives back what was taken.
    pub fn give_back(&self, amount: usize) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }

    /// At least 1: nobody's share is nothing.
    fn quarters(&self, quarters: usize) -> usize {
        (self.limit / 4 * quarters + self.limit % 4 * quarters / 4).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_share_ends_where_it_should_and_what_is_given_back_is_free_again() {
        let pressure = Pressure::new(10);
        let fill = |quarters| std::iter::repeat_with(|| pressure.take(1, quarters)).take_while(|taken| *taken).count();
        assert_eq!((fill(2), fill(3), fill(4)), (5, 2, 3));
        assert!(pressure.has_reached(4) && !pressure.take(1, 4));
        pressure.give_back(6);
        assert!(!pressure.has_reached(2) && pressure.take(1, 2));
        assert!(!pressure.take(usize::MAX, 4), "no sum overflows");
    }

    #[test]
    fn the_smallest_limit_leaves_everybody_something() {
        let pressure = Pressure::new(1);
        assert!(pressure.take(1, 2));
        assert!(!pressure.take(1, 4));
    }
}
