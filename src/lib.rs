//! Sluice acknowledges communications vendors' callbacks in milliseconds and applies each event exactly once.
//!
//! The way of a callback, and where each step lives:
//!
//! 1. A vendor POSTs to `/incoming/{vendor}/{servicetype}/...`. The Functions host (in Azure, under `func start`, or
//!    [`local::host`] on one machine) forwards the request to the custom handler: [`functions`], by the contract in
//!    [`host`].
//! 2. [`ingest`] verifies the signature ([`vendors`]), wraps the request in an [`envelope`], publishes it on the [`bus`]
//!    and answers once the broker has it on disk. A broker that does not answer in time is replaced by the spool.
//! 3. A Service Bus trigger hands batches of envelopes to the processor of their channel ([`channels::process`]), which
//!    normalises them into canonical events ([`event`]).
//! 4. The [`ledger`] applies each event exactly once: one atomic commit per message in the [`documents`] store.
//! 5. The ledger announces each event to whom the configuration names: [`delivery`] passes announcements on to partners,
//!    and [`projection`] turns them into rows for SQL, which the host's output binding writes.
//! 6. What failed waits in the retry table or is parked ([`retry`]); a timer brings back what is due, one instance at a
//!    time ([`lease`]).
//! 7. What was given up on waits for operators, who find, replay or discard it ([`recovery`]) through `/manage`
//!    ([`admin`]); what they do is written down ([`audit`]).
//! 8. Every HTTP answer is described beside the code that gives it ([`openapi`]).
//! 9. Whose data is to go, goes: a [`person`] is found in every place and encoding, and becomes a token ([`erase`]).
//! 10. What is kept for a time only, goes ([`retention`]).
//! 11. Whether all that is kept agrees with itself can be asked at any time ([`verify`]), without anybody's word for it.
//!
//! Arrows point one way: functions use ingest, channels, ledger, delivery, projection and retry; those use the ports
//! ([`bus`], [`dead_letters`], [`documents`], [`blobs`], [`sql`], [`outbound`], [`clock`]); the adapters ([`local`],
//! [`azure`]) implement the ports and are named only where the program is assembled ([`app`], [`cli`]).

// The front pages of folders name their private files: they are read with `--document-private-items`.
#![allow(rustdoc::private_intra_doc_links)]

pub mod admin;
pub mod app;
pub mod audit;
pub mod azure;
pub mod blobs;
pub mod bus;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dead_letters;
pub mod deadline;
pub mod delivery;
pub mod doctor;
pub mod documents;
pub mod envelope;
pub mod erase;
pub mod event;
pub mod explain;
pub mod functions;
pub mod health;
pub mod host;
pub mod ingest;
pub mod lease;
pub mod ledger;
pub(crate) mod listener;
pub mod local;
pub mod openapi;
pub mod outbound;
pub mod package;
pub mod person;
pub mod pressure;
pub mod problem;
pub mod projection;
pub mod recovery;
pub mod retention;
pub mod retry;
pub mod simulate;
pub mod sql;
pub mod telemetry;
pub mod vendors;
pub mod verify;
