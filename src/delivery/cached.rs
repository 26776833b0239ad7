//! A value that every process keeps a copy of, read anew when it is used and old. While it cannot be read the last one
//! serves; whoever has never had one gets the error.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::documents::DocumentsError;

/// With a copy at hand nobody waits longer than this for a newer one.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Cached<T> {
    oldest: Duration,
    held: Mutex<Held<T>>,
    /// Held by the one that reads; the others wait for what it gets.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held<T> {
    value: Option<Arc<T>>,
    /// Why the last reading failed.
    error: Option<DocumentsError>,
    read_at: Option<Instant>,
}

impl<T> Cached<T> {
    /// A cache whose copies are used for so long.
    pub fn new(oldest: Duration) -> Self {
        let held = Mutex::new(Held { value: None, error: None, read_at: None });
        Self { oldest, held, reading: tokio::sync::Mutex::default() }
    }

    /// The value, read by `read` when the copy is old.
    ///
    /// # Errors
    /// It could not be read, and never was. For as long as a copy would have served, nobody tries again.
    pub async fn get(&self, read: impl Future<Output = Result<T, DocumentsError>>) -> Result<Arc<T>, DocumentsError> {
        if let Some(fresh) = self.fresh() {
            return fresh;
        }
        let _reading = self.reading.lock().await;
        if let Some(fresh) = self.fresh() {
            return fresh;
        }
        let has_copy = self.held().value.is_some();
        let read = match has_copy {
            true => timeout(PATIENCE, read)
                .await
                .unwrap_or_else(|_| Err(DocumentsError::Unavailable(format!("no answer within {PATIENCE:?}")))),
            false => read.await,
        };
        let mut held = self.held();
        held.read_at = Some(Instant::now());
        match read {
            Ok(value) => (held.value, held.error) = (Some(Arc::new(value)), None),
            Err(error) => held.error = Some(error),
        }
        answer(&held)
    }

    /// Forgets how old the copy is: the next caller reads anew.
    pub fn expire(&self) {
        self.held().read_at = None;
    }

    fn fresh(&self) -> Option<Result<Arc<T>, DocumentsError>> {
        let held = self.held();
        held.read_at.filter(|read_at| read_at.elapsed() < self.oldest)?;
        Some(answer(&held))
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer<T>(held: &Held<T>) -> Result<Arc<T>, DocumentsError> {
    match (&held.value, &held.error) {
        (Some(value), _) => Ok(Arc::clone(value)),
        (None, Some(error)) => Err(error.clone()),
        (None, None) => Err(DocumentsError::Unavailable("nothing was read yet".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Result<u32, DocumentsError> {
        Err(DocumentsError::Unavailable("away".into()))
    }

    #[tokio::test]
    async fn a_copy_serves_for_its_time_and_longer_while_nothing_newer_can_be_read() {
        let cached = Cached::new(Duration::from_millis(500));
        let grow_old = || tokio::time::sleep(Duration::from_millis(501));
        assert!(cached.get(async { away() }).await.is_err(), "there never was one");
        assert!(cached.get(async { Ok(0) }).await.is_err(), "nobody asks a store that just failed");
        grow_old().await;
        assert_eq!(*cached.get(async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*cached.get(async { Ok(2) }).await.unwrap(), 1, "still fresh");
        grow_old().await;
        assert_eq!(*cached.get(async { away() }).await.unwrap(), 1, "the store is away");
        grow_old().await;
        assert_eq!(*cached.get(std::future::pending()).await.unwrap(), 1, "the store hangs");
        grow_old().await;
        assert_eq!(*cached.get(async { Ok(3) }).await.unwrap(), 3);
        cached.expire();
        assert_eq!(*cached.get(async { Ok(4) }).await.unwrap(), 4);
    }
}
