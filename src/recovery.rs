//! Recovery: what people do about work that failed. They look at it, send it on its way again, or throw it away.
//!
//! There are three [`Source`]s: parked records, the retry table, and the dead letters of the broker. [`search`] finds
//! records in them by a [`Filter`], in the order of time and page by page: a million of them are never in memory.
//! Whatever changes something is a [`job`], a document in container `registry`, so that it survives the tool and the
//! server; the timer function `run-replays` works on it in slices ([`run`]). What a job does to one record is in
//! [`act`].
//!
//! A replayed message goes to its topic with the properties it had, so that the filters that chose its subscription
//! choose the same one again; but under a new message id, or duplicate detection would swallow it. The id is made of
//! what is being replayed: a crash between sending a message and removing its record sends the same id again.

pub mod act;
pub mod filter;
pub mod job;
pub mod record;
pub mod run;
pub mod search;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bus::PublishError,
    dead_letters::DeadLettersError,
    documents::{CommitError, Container, DocumentsError},
};

pub use filter::Filter;
pub use record::Record;

/// Where failed work waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Given up on by the program; waits for a person.
    Parked,
    /// Will be tried again by itself, at a due time.
    Retries,
    /// Given up on by the broker.
    DeadLetters,
}

impl Source {
    /// Every source.
    pub const ALL: [Source; 3] = [Source::Parked, Source::Retries, Source::DeadLetters];

    /// As it stands in paths, commands and documents.
    pub fn name(self) -> &'static str {
        match self {
            Source::Parked => "parked",
            Source::Retries => "retries",
            Source::DeadLetters => "dead-letters",
        }
    }

    /// Where the records are, and what they are ordered by; `None` for dead letters, which the broker keeps.
    fn container(self) -> Option<(Container, &'static str)> {
        match self {
            Source::Parked => Some((Container::Parked, "parked_at")),
            Source::Retries => Some((Container::Retries, "due_at")),
            Source::DeadLetters => None,
        }
    }
}

/// What is to become of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Parked records and dead letters go back to their topics; retries become due now.
    Replay,
    /// They are removed.
    Discard,
}

impl Action {
    /// As it stands in documents and in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Action::Replay => "replay",
            Action::Discard => "discard",
        }
    }
}

/// A dependency failed, or what was asked cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    DeadLetters(#[from] DeadLettersError),
    /// Not of the form that a continuation or an id has.
    #[error("{0}")]
    Malformed(String),
}
