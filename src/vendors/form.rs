//! `application/x-www-form-urlencoded`, as bytes.
//!
//! The usual decoders give text and put U+FFFD where bytes are not UTF-8. A signature covers the bytes that were sent,
//! and two different bodies must never look alike to it, so here nothing becomes text before it is asked for.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use percent_encoding::percent_decode;

/// Far above what any vendor sends, and few enough that a hostile body is sorted in about a millisecond.
pub(super) const MAX_PAIRS: usize = 10_000;

/// The pairs of a form, in the order of the wire, not yet decoded.
pub(super) fn raw_pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    whole_pairs(form).map(split)
}

/// The pairs, keys and values still together.
fn whole_pairs(form: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(form);
    let next = move || {
        let form = rest?;
        let end = memchr(b'&', form);
        rest = end.map(|at| &form[at + 1..]);
        Some(end.map_or(form, |at| &form[..at]))
    };
    std::iter::from_fn(next).filter(|pair| !pair.is_empty())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    // Keys are short: a search that takes many bytes at a time has no use here.
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

/// One raw key or value as text: `None` where it is not UTF-8.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    if is_plain(raw) {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    decode(raw, &mut decoded);
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Whether there is nothing to decode.
fn is_plain(raw: &[u8]) -> bool {
    memchr2(b'+', b'%', raw).is_none()
}

/// `+` is a space, escapes are decoded once, and an escape that is none stays as it is.
fn decode(raw: &[u8], decoded: &mut Vec<u8>) {
    for (index, run) in raw.split(|byte| *byte == b'+').enumerate() {
        if index > 0 {
            decoded.push(b' ');
        }
        if run.contains(&b'%') {
            decoded.extend(percent_decode(run));
        } else {
            decoded.extend_from_slice(run);
        }
    }
}

/// A decoded form: one buffer for all its bytes, and where each pair lies in it.
pub(super) struct Form {
    decoded: Vec<u8>,
    pairs: Vec<Pair>,
}

/// A key, directly followed by its value.
#[derive(Clone, Copy)]
struct Pair {
    /// The key's first bytes, zeros behind a shorter one: where two differ, so do the keys, in the same order.
    prefix: u64,
    key: usize,
    value: usize,
    end: usize,
}

impl Pair {
    fn of(self, decoded: &[u8]) -> (&[u8], &[u8]) {
        (&decoded[self.key..self.value], &decoded[self.value..self.end])
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let length = key.len().min(8);
    prefix[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(prefix)
}

impl Form {
    /// Decodes a form; `None` where it has more pairs than anybody means.
    pub fn parse(form: &[u8]) -> Option<Self> {
        let mut decoded = Vec::with_capacity(form.len());
        let mut pairs = Vec::with_capacity(32);
        for pair in whole_pairs(form) {
            if pairs.len() == MAX_PAIRS {
                return None;
            }
            let (raw_key, raw_value) = split(pair);
            let (key, is_plain) = (decoded.len(), is_plain(pair));
            let mut add = |raw| {
                if is_plain {
                    decoded.extend_from_slice(raw);
                } else {
                    decode(raw, &mut decoded);
                }
                decoded.len()
            };
            let (value, end) = (add(raw_key), add(raw_value));
            pairs.push(Pair { prefix: prefix(&decoded[key..value]), key, value, end });
        }
        Some(Self { decoded, pairs })
    }

    /// Sorts by key, then by value.
    pub fn sort(&mut self) {
        let decoded = &self.decoded;
        self.pairs.sort_unstable_by(|left, right| {
            left.prefix.cmp(&right.prefix).then_with(|| left.of(decoded).cmp(&right.of(decoded)))
        });
    }

    /// As [`Form::sort`], and keeps equal pairs once.
    pub fn sort_distinct(&mut self) {
        self.sort();
        let decoded = &self.decoded;
        self.pairs.dedup_by(|left, right| left.of(decoded) == right.of(decoded));
    }

    /// Each key with its value.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|pair| pair.of(&self.decoded))
    }

    /// Each pair as key and value with nothing between them.
    pub fn concatenated(&self) -> impl Iterator<Item = &[u8]> {
        self.pairs.iter().map(|pair| &self.decoded[pair.key..pair.end])
    }

    /// Whether no pair has a byte to show.
    pub fn is_blank(&self) -> bool {
        self.decoded.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(form: &[u8]) -> Vec<Vec<u8>> {
        let mut form = Form::parse(form).expect("few pairs");
        form.sort_distinct();
        form.concatenated().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn plus_is_a_space_and_an_escape_is_decoded_once() {
        assert_eq!(sorted(b"a=1%2B+%252B"), [b"a1+ %2B"]);
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(sorted(b"a=%&b=%4&c=%zz"), [&b"a%"[..], b"b%4", b"c%zz"]);
    }

    #[test]
    fn bytes_that_are_not_text_stay_different() {
        assert_ne!(sorted(b"a=%ff"), sorted(b"a=%fe"));
        assert_eq!(text(b"%ff"), None);
    }

    #[test]
    fn equal_pairs_count_once_and_blank_values_keep_their_key() {
        assert_eq!(sorted(b"x=2&y=&x=1&x=2&&z"), [&b"x1"[..], b"x2", b"y", b"z"]);
    }

    #[test]
    fn keys_are_sorted_as_bytes_however_they_begin() {
        let keys = [
            "",
            "%00",
            "%00a",
            "a",
            "a%00",
            "a%00b",
            "aa",
            "Message",
            "MessageSid",
            "MessageStatus",
            "Messages",
            "%ff",
        ];
        let form =
            keys.iter().rev().flat_map(|key| [format!("{key}=2"), format!("{key}=1")]).collect::<Vec<_>>().join("&");
        let mut expected: Vec<_> = keys
            .iter()
            .map(|key| percent_decode(key.as_bytes()).collect::<Vec<u8>>())
            .flat_map(|key| [(key.clone(), b"1".to_vec()), (key, b"2".to_vec())])
            .collect();
        expected.sort();
        let mut form = Form::parse(form.as_bytes()).expect("few pairs");
        form.sort();
        let pairs: Vec<_> = form.pairs().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn equal_pairs_may_count_twice() {
        let mut form = Form::parse(b"x=2&y=&x=1&x=2").expect("few pairs");
        form.sort();
        let pairs: Vec<_> = form.pairs().collect();
        assert_eq!(pairs, [(&b"x"[..], &b"1"[..]), (b"x", b"2"), (b"x", b"2"), (b"y", b"")]);
    }

    #[test]
    fn a_form_of_countless_pairs_is_refused() {
        assert!(Form::parse(&b"a&".repeat(MAX_PAIRS)).is_some());
        assert!(Form::parse(&b"a&".repeat(MAX_PAIRS + 1)).is_none());
    }
}
