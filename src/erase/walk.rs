//! One page of one place: what is looked at, and what becomes of it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Counts, EraseError, Place};
use crate::{app::App, clock::Timestamp, documents::Container, person::Person};

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For `--dry-run`: only counted.
    Look,
    Erase,
}

/// A walk through the places.
#[derive(Debug)]
pub struct Walk<'a> {
    pub app: &'a App,
    pub person: &'a Person,
    pub mode: Mode,
    /// What was not written since then was looked at before, where the store can tell.
    pub written_since: Option<Timestamp>,
}

/// What a page came to.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    pub counts: Counts,
    /// Messages that a processor holds.
    pub held: u64,
    /// Something changed under the hands of the walk: it has to come again.
    pub again: bool,
    /// Where the next page starts; `None`: this place is through.
    pub position: Option<String>,
}

impl Walk<'_> {
    /// Looks at a page. What takes longer ends at about `until`.
    ///
    /// # Errors
    /// A store failed: the same page may be asked for again.
    pub async fn page(&self, place: Place, position: Option<&str>, until: Instant) -> Result<Page, EraseError> {
        let container = match place {
            Place::Bus => return self.shelf(position).await,
            Place::DeadLetters => return self.dead_letters(position).await,
            Place::Blobs => return self.blobs(position, until).await,
            // Nothing is looked for in it.
            Place::Files => return Ok(Page::default()),
            Place::Spool => Container::Spool,
            Place::Retries => Container::Retries,
            Place::Parked => Container::Parked,
            Place::Ledger => Container::Ledger,
            Place::Deliveries => Container::Deliveries,
            Place::Consent => Container::Consent,
            Place::Registry => Container::Registry,
        };
        self.documents(container, position).await
    }

    pub(super) fn is_looking(&self) -> bool {
        self.mode == Mode::Look
    }

    pub(super) fn limit(&self) -> Duration {
        self.app.config.dependencies.timeout
    }
}
