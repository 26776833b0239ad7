//! Identities for what has none of its own: equal for repeats, different for everything else.

use sha2::{Digest, Sha256};

use super::Callback;

/// Collects parts into a digest. Each part is preceded by its length: `ab` + `c` is not `a` + `bc`.
#[derive(Default)]
pub(super) struct Parts(Sha256);

impl Parts {
    pub fn add(mut self, part: &[u8]) -> Self {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// `sha256-` and 128 bits in hex: short enough for every key, and no two facts share it by chance.
    pub fn finish(self) -> String {
        format!("sha256-{}", hex::encode(&self.0.finalize()[..16]))
    }
}

/// A digest of some bytes.
pub(super) fn of(bytes: &[u8]) -> String {
    Parts::default().add(bytes).finish()
}

/// A digest of all that a callback says: where it was sent, what it carried, and the headers that were kept because
/// they mean something. A vendor's retry has the same.
pub(super) fn of_callback(callback: &Callback) -> String {
    let mut parts = Parts::default()
        .add(callback.service_type.as_bytes())
        .add(callback.request_type.as_bytes())
        .add(callback.query.as_bytes())
        .add(&callback.body);
    // In an order of our own: the order of a header map is not one that a retry must repeat.
    let mut headers: Vec<_> = callback.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.sort_unstable();
    for (name, value) in headers {
        parts = parts.add(name.as_bytes()).add(value);
    }
    parts.finish()
}
