//! Erasure: one person's data, as far as this system has it, is removed or becomes a keyed token.
//!
//! A person is an address ([`crate::person`]). An [`erasure`] goes through every [`Place`], page by page, and
//! again until it finds nothing twice in a row, since work moves between places meanwhile; then the files are rewritten, so
//! that nothing is left in their free pages. Events keep their ids, types and times: a repeat of an erased event is still a
//! duplicate, and `sluice verify` finds nothing amiss. Opt-outs stay, under their token.
//!
//! The address itself is written nowhere: whoever asks brings it with each request, and the erasure's document holds the
//! token, and how far it is. Killed at any point, it goes on where it was when the same is asked again; what is done twice
//! changes nothing. What is under way in the meantime is applied without the person ([`standing`]).
//!
//! | file | the idea in it |
//! |---|---|
//! | [`erasure`] | the document, and the order of places |
//! | [`run`] | going on with an erasure for some seconds |
//! | `walk` | one page of one place |
//! | `message` | a message of the bus, wherever it is kept |
//! | `document`, `blob`, `shelf`, `dead_letter` | the places |
//! | [`standing`] | what those that process know of it |

mod blob;
mod dead_letter;
mod document;
pub mod erasure;
mod message;
pub mod run;
mod shelf;
pub mod standing;
pub mod walk;

use crate::{
    bus::PublishError,
    dead_letters::DeadLettersError,
    documents::{CommitError, DocumentsError},
};

pub use erasure::{Counts, Erasure, Place};

/// A dependency failed, or what was asked cannot be meant. None of them names the person.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("the broker's messages: {0}")]
    Bus(#[from] PublishError),
    #[error(transparent)]
    DeadLetters(#[from] DeadLettersError),
    #[error("the blob store: {0}")]
    Blobs(#[from] object_store::Error),
    /// The continuation is not one of ours.
    #[error("{0}")]
    Malformed(String),
}
