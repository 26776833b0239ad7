//! How much one sweep does, and how fast.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// A sweep begins no page later than this after its first look: a host that is to stop waits for the sweep at hand.
const LONGEST: Duration = Duration::from_secs(10);
/// The most records in a page.
const PAGE: usize = 200;

/// A sweep's limits.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    /// Records a second.
    rate: u32,
    left: AtomicUsize,
    page: AtomicUsize,
    /// The end of the first look.
    began: OnceLock<Instant>,
    /// When the next page may go.
    next: Mutex<Instant>,
}

impl Budget {
    pub fn new(limit: usize, rate: u32) -> Self {
        Self {
            limit,
            rate: rate.max(1),
            left: AtomicUsize::new(limit),
            page: AtomicUsize::new(PAGE),
            began: OnceLock::new(),
            next: Mutex::new(Instant::now()),
        }
    }

    /// So many scopes have something due: makes pages so small that each gets one.
    pub fn share(&self, scopes: usize) {
        self.began.get_or_init(Instant::now);
        let most = PAGE.min(usize::try_from(self.rate).unwrap_or(PAGE));
        self.page.store((self.limit / scopes.max(1)).clamp(1, most), Ordering::Relaxed);
    }

    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0 || self.began.get().is_some_and(|began| began.elapsed() >= LONGEST)
    }

    /// A page's worth of records, `most` at the most; 0 when the sweep is to end.
    pub fn take(&self, most: usize) -> usize {
        if self.is_spent() {
            return 0;
        }
        let page = self.page.load(Ordering::Relaxed).min(most);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(page)))
            .expect("the closure never declines");
        taken.min(page)
    }

    /// Records that were taken and not moved.
    pub fn give_back(&self, records: usize) {
        self.left.fetch_add(records, Ordering::Relaxed);
    }

    /// Waits until so many records may go: when those before them have had their time.
    pub async fn pace(&self, records: usize) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = Instant::now().max(*next);
            *next = at + Duration::from_secs_f64(records as f64 / f64::from(self.rate));
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_gets_a_page_and_all_together_no_more_than_the_limit() {
        let budget = Budget::new(1_000, 4_000);
        assert_eq!(budget.take(usize::MAX), PAGE);
        budget.give_back(PAGE);
        budget.share(100);
        let pages: Vec<_> = std::iter::repeat_with(|| budget.take(usize::MAX)).take_while(|taken| *taken > 0).collect();
        assert_eq!((pages.len(), pages.iter().sum::<usize>()), (100, 1_000));
        assert!(budget.is_spent());
        budget.give_back(3);
        assert_eq!(budget.take(2), 2);
        budget.share(1_000_000);
        assert_eq!(budget.take(usize::MAX), 1);
    }

    #[tokio::test]
    async fn records_go_no_faster_than_the_rate() {
        let budget = Budget::new(1_000, 1_000);
        let began = Instant::now();
        for _ in 0..5 {
            budget.pace(100).await;
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(400)..Duration::from_secs(2)).contains(&took), "{took:?}");
    }
}
