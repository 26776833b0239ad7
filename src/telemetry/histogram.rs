//! How long something took, in classes: two atomic additions a time, and no allocation.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper ends of the classes, in seconds; the last class has none.
pub const BOUNDS: [f64; 17] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

const CLASSES: usize = BOUNDS.len() + 1;

/// Counts durations.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; CLASSES],
    micros: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Durations {
    /// How many there are of each class.
    pub classes: [u64; CLASSES],
    /// All of them together, in seconds.
    pub sum: f64,
}

impl Histogram {
    pub fn record(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS.partition_point(|end| *end < seconds);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn read(&self) -> Durations {
        let classes = std::array::from_fn(|class| self.classes[class].load(Ordering::Relaxed));
        Durations { classes, sum: self.micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

impl Durations {
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// What came after `before`, an earlier look at the same histogram.
    pub fn since(&self, before: &Self) -> Self {
        let classes = std::array::from_fn(|class| self.classes[class].saturating_sub(before.classes[class]));
        Self { classes, sum: self.sum - before.sum }
    }

    /// The upper end, in seconds, of the class in which this share (0 to 1) of all durations lies; `None` of none. What is
    /// beyond the last end counts as that.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let class = self.classes.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        BOUNDS.get(class).or(BOUNDS.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_at_the_ends_of_classes_and_look_back_as_far_as_they_are_told() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().quantile(0.95), None);
        for millis in [1, 3, 3, 40] {
            histogram.record(Duration::from_millis(millis));
        }
        let before = histogram.read();
        assert_eq!([0.2, 0.5, 1.0].map(|share| before.quantile(share)), [Some(0.001), Some(0.005), Some(0.05)]);
        histogram.record(Duration::from_secs(3600));
        let after = histogram.read();
        assert_eq!((after.count(), after.sum), (5, 3600.047));
        assert_eq!(after.since(&before).quantile(0.95), Some(300.0));
    }
}
