//! Form bodies, byte for byte: `+` is a space, percent signs are decoded once, blank values and repeated keys stay.
//!
//! Names and values are bytes, since signatures cover what was sent, UTF-8 or not.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Name and value of one parameter.
pub(super) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The parameters in the order sent.
pub(super) fn pairs(encoded: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    encoded.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
        let equals = piece.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &[][..]),
        };
        (decode(name), decode(value))
    })
}

fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'+') {
        return percent_decode(encoded).into();
    }
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// Whether a content type announces a form.
pub(super) fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Parameters as text, for reading: invalid UTF-8 becomes the replacement character.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn parse(encoded: &[u8]) -> Self {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        Self(pairs(encoded).map(|(name, value)| (text(name), text(value))).collect())
    }

    /// The scalar properties of a JSON object, as parameters.
    pub fn from_json(object: &serde_json::Map<String, serde_json::Value>) -> Self {
        let scalar = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            serde_json::Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        Self(object.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect())
    }

    /// The first value of this name that is not blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// [`Parameters::get`], owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_once_and_nothing_is_dropped() {
        let found: Vec<_> = pairs(b"a=1+2&b=%2B%25zz&&c&=d&a=%FF&e==").collect();
        let expected: [(&[u8], &[u8]); 6] =
            [(b"a", b"1 2"), (b"b", b"+%zz"), (b"c", b""), (b"", b"d"), (b"a", b"\xff"), (b"e", b"=")];
        assert_eq!(found.len(), expected.len());
        for ((name, value), (expected_name, expected_value)) in found.iter().zip(expected) {
            assert_eq!((name.as_ref(), value.as_ref()), (expected_name, expected_value));
        }
    }
}
