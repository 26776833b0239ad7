//! What a verification did, step by step, for `sluice explain`. At the door nobody listens, and nothing is recorded.

/// One step of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A header was read.
    Header { name: String, value: String },
    /// The exact bytes that a signature has to cover. `what` tells how they came about, for example "the URL with its
    /// default port".
    Signed { what: String, bytes: Vec<u8> },
    /// A live secret was tried.
    Tried {
        /// Where it is configured, for example `vendors.twilio.secrets[1]`.
        key: String,
        /// The signature that this secret gives; `None` for public keys, which only tell right from wrong.
        expected: Option<String>,
        received: String,
        matched: bool,
    },
    /// Anything else worth knowing, as a sentence.
    Said(String),
}

/// Collects the steps of one verification. The product's verifiers write it while they verify, so an explanation cannot
/// differ from what happens at the door.
#[derive(Debug, Default)]
pub struct Trace(Option<Vec<Step>>);

impl Trace {
    /// Nobody listens: nothing is recorded, and no closure is called.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Records every step.
    pub const fn on() -> Self {
        Self(Some(Vec::new()))
    }

    /// What was recorded.
    pub fn steps(&self) -> &[Step] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn header(&mut self, name: &str, value: &str) {
        self.record(|| Step::Header { name: name.to_owned(), value: value.to_owned() });
    }

    /// The bytes that the signature has to cover.
    pub(super) fn signed(&mut self, what: &str, bytes: impl FnOnce() -> Vec<u8>) {
        self.record(|| Step::Signed { what: what.to_owned(), bytes: bytes() });
    }

    /// A public key was tried.
    pub(super) fn tried_public(&mut self, key: &str, received: &str, matched: bool) {
        self.record(|| Step::Tried { key: key.to_owned(), expected: None, received: received.to_owned(), matched });
    }

    pub(super) fn said(&mut self, text: impl FnOnce() -> String) {
        self.record(|| Step::Said(text()));
    }

    pub(super) fn record(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.0 {
            steps.push(step());
        }
    }
}
