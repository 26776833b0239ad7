//! `application/x-www-form-urlencoded`, as bytes.
//!
//! The usual decoders give text and put U+FFFD where bytes are not UTF-8. A signature covers the bytes that were sent,
//! and two different bodies must never look alike to it, so here nothing becomes text before it is asked for.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Far above what any vendor sends, and few enough that a hostile body is sorted in about a millisecond.
pub(super) const MAX_PAIRS: usize = 10_000;

/// The pairs of a form, in the order of the wire, not yet decoded.
pub(super) fn raw_pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }
    })
}

/// One raw key or value as text: `None` where it is not UTF-8.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        let mut decoded = Vec::with_capacity(raw.len());
        decode(raw, &mut decoded);
        String::from_utf8(decoded).ok().map(Cow::Owned)
    } else {
        std::str::from_utf8(raw).ok().map(Cow::Borrowed)
    }
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
    key: usize,
    value: usize,
    end: usize,
}

impl Pair {
    fn of(self, decoded: &[u8]) -> (&[u8], &[u8]) {
        (&decoded[self.key..self.value], &decoded[self.value..self.end])
    }
}

impl Form {
    /// Decodes a form; `None` where it has more pairs than anybody means.
    pub fn parse(form: &[u8]) -> Option<Self> {
        let mut decoded = Vec::with_capacity(form.len());
        let mut pairs = Vec::with_capacity(48);
        for (raw_key, raw_value) in raw_pairs(form) {
            if pairs.len() == MAX_PAIRS {
                return None;
            }
            let key = decoded.len();
            decode(raw_key, &mut decoded);
            let value = decoded.len();
            decode(raw_value, &mut decoded);
            pairs.push(Pair { key, value, end: decoded.len() });
        }
        Some(Self { decoded, pairs })
    }

    /// Sorts by key, then by value.
    pub fn sort(&mut self) {
        let decoded = &self.decoded;
        self.pairs.sort_unstable_by(|left, right| left.of(decoded).cmp(&right.of(decoded)));
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
