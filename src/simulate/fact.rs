//! What vendors tell: facts, put together to stories, told one callback at a time.

use bytes::Bytes;
use chrono::{TimeDelta, Timelike};
use http::HeaderMap;
use rand::{RngExt, rngs::StdRng};

use crate::{
    clock::Timestamp,
    event::{Channel, EventType},
};

/// One fact in a callback: what the payload says, and what must come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The vendor's id of the message or call.
    pub message_id: String,
    /// The vendor's word for the status.
    pub status: String,
    /// The type that the ledger must hold.
    pub event_type: EventType,
    /// The dedupe key that the ledger must hold.
    pub dedupe_key: String,
    /// When it happened, where the payload tells.
    pub at: Option<Timestamp>,
    /// Whom the message is for.
    pub recipient: String,
    /// Decides the details that differ from payload to payload.
    pub salt: u64,
}

/// Some messages' lives, as one vendor reports them: each step is one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The `{servicetype}` of the route.
    pub service: String,
    pub channel: Channel,
    /// The rest of the route.
    pub request_type: &'static str,
    /// Our own number or address.
    pub sender: String,
    /// The facts of each callback.
    pub steps: Vec<Vec<Fact>>,
}

/// A callback ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Path below the public URL, with a leading slash.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One vendor as it is played.
pub trait Generator: Send + Sync {
    /// The vendor's name in the configuration.
    fn vendor(&self) -> &str;

    /// How many stories it tells beside others' one.
    fn weight(&self) -> u32 {
        1
    }

    /// Invents a story. Equal random numbers give equal stories. `started` is when the run began: what the vendor
    /// reports has happened before that.
    fn story(&self, random: &mut StdRng, started: Timestamp) -> Story;

    /// Builds and signs one callback of a story. `now` is the time of sending, for the schemes that sign one.
    fn request(&self, story: &Story, step: usize, started: Timestamp, now: Timestamp) -> SignedRequest;
}

/// The path of a story's callbacks.
pub(super) fn path(vendor: &str, story: &Story) -> String {
    format!("/incoming/{vendor}/{}/{}", story.service, story.request_type)
}

/// When the first thing in a story happened: some minutes before the run, to the second.
pub(super) fn story_start(random: &mut StdRng, started: Timestamp) -> Timestamp {
    let whole = started.with_nanosecond(0).expect("zero nanoseconds exist in every second");
    whole - TimeDelta::seconds(random.random_range(900..1800))
}

/// A North American number that is kept for fiction.
pub(super) fn phone_number(random: &mut StdRng) -> String {
    format!("+1{}55501{:02}", random.random_range(201..990), random.random_range(0..100))
}

/// A mail address nobody has (RFC 2606).
pub(super) fn mail_address(random: &mut StdRng) -> String {
    const NAMES: [&str; 8] = ["ana", "bo.chen", "carla", "d.okafor", "elif", "farid", "greta", "hugo"];
    format!("{}+{:06x}@example.com", pick(random, &NAMES), random.random_range(0..1 << 24))
}

/// One of several.
pub(super) fn pick<'a, T>(random: &mut StdRng, choices: &'a [T]) -> &'a T {
    &choices[random.random_range(0..choices.len())]
}

/// So many lower-case hexadecimal digits.
pub(super) fn hex_text(random: &mut StdRng, digits: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    (0..digits).map(|_| char::from(DIGITS[random.random_range(0..16)])).collect()
}
