//! An address in a text whose characters may each be encoded: percent-encoding (once or twice), `\u0040`, `&#64;`,
//! quoted-printable. A phone number may have separators between its digits.

use super::{Kind, Person};

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    /// A phone number, and its `+` is before it.
    pub plus: bool,
}

/// Separators between two digits, at the most: `) `.
const SEPARATORS: usize = 3;

impl Person {
    /// The first place at or behind `from`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<Found> {
        let first = self.plain.as_bytes()[0];
        (from..text.len()).find_map(|start| {
            // Most bytes are neither the first one nor the beginning of an encoded one.
            let byte = text[start];
            if !byte.eq_ignore_ascii_case(&first) && !matches!(byte, b'%' | b'\\' | b'&' | b'=') {
                return None;
            }
            let (end, verp) = self.matched(text, start)?;
            let before = preceding(text, start, self.kind);
            let bounded = match self.kind {
                Kind::Phone => !before.is_some_and(|(symbol, _)| symbol.is_ascii_digit()),
                Kind::Email => begins_address(text, start, before, verp),
            };
            let plus = self.kind == Kind::Phone && before.is_some_and(|(symbol, _)| symbol == b'+');
            (bounded && self.ends(text, end)).then_some(Found { start, end, plus })
        })
    }

    /// The end of the address that starts here, and whether its `@` is written `=`, as senders of bounces do.
    fn matched(&self, text: &[u8], start: usize) -> Option<(usize, bool)> {
        let (mut at, mut verp) = (start, false);
        for (index, wanted) in self.plain.bytes().enumerate() {
            if index > 0 && self.kind == Kind::Phone {
                at += separators(&text[at..]);
            }
            let raw = *text.get(at)?;
            if raw.eq_ignore_ascii_case(&wanted) {
                at += 1;
                continue;
            }
            match symbol(&text[at..]) {
                Some((symbol, length)) if symbol.eq_ignore_ascii_case(&wanted) => at += length,
                _ if wanted == b'@' && raw == b'=' => {
                    verp = true;
                    at += 1;
                }
                _ => return None,
            }
        }
        Some((at, verp))
    }

    fn ends(&self, text: &[u8], end: usize) -> bool {
        let next = text.get(end).copied().unwrap_or(b' ');
        match self.kind {
            Kind::Phone => !next.is_ascii_digit(),
            Kind::Email => match next {
                b'.' => !text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
                _ => !next.is_ascii_alphanumeric() && next != b'-',
            },
        }
    }
}

fn begins_address(text: &[u8], start: usize, before: Option<(u8, usize)>, verp: bool) -> bool {
    let Some((symbol, length)) = before else { return true };
    match symbol {
        _ if symbol.is_ascii_alphanumeric() => false,
        // `bounces+7-ana=example.com@...`: what is before it is not the person's.
        _ if verp => true,
        // In a form it is a space, unless it is a part of an address.
        b'+' if length == 1 => {
            let before = preceding(text, start - length, Kind::Email);
            !before.is_some_and(|(symbol, _)| symbol.is_ascii_alphanumeric())
        }
        b'.' | b'_' | b'+' | b'-' | b'~' => false,
        _ => true,
    }
}

/// How many bytes of separators a text begins with.
fn separators(text: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..SEPARATORS {
        let length = match text.get(at) {
            Some(b' ' | b'-' | b'.' | b'(' | b')' | b'+') => 1,
            Some(0xc2) if text.get(at + 1) == Some(&0xa0) => 2,
            Some(b'%' | b'\\' | b'&' | b'=') => match symbol(&text[at..]) {
                Some((b' ' | b'-' | b'.' | b'(' | b')' | 0xa0, length)) => length,
                _ => 0,
            },
            _ => 0,
        };
        if length == 0 {
            break;
        }
        at += length;
    }
    at
}

/// The encoded character that a text begins with, and its length in bytes.
fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    match text.first()? {
        b'%' if text.get(1..3) == Some(b"25") => hex(text.get(3..5)?).map(|symbol| (symbol, 5)),
        b'%' | b'=' => hex(text.get(1..3)?).map(|symbol| (symbol, 3)),
        b'\\' => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            let digits = text.get(slashes + 1..slashes + 5)?;
            let is_escape = text[slashes] == b'u' && digits.starts_with(b"00");
            is_escape.then(|| hex(&digits[2..])).flatten().map(|symbol| (symbol, slashes + 5))
        }
        b'&' => {
            let length = text.iter().take(8).position(|byte| *byte == b';')? + 1;
            let number = std::str::from_utf8(text.get(2..length - 1)?).ok().filter(|_| text[1] == b'#')?;
            let symbol = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u8::from_str_radix(digits, 16),
                None => number.parse(),
            };
            Some((symbol.ok()?, length))
        }
        _ => None,
    }
}

/// The character before a place, decoded, and its length in bytes.
fn preceding(text: &[u8], at: usize, kind: Kind) -> Option<(u8, usize)> {
    let raw = *text[..at].last()?;
    let back = |length: usize| at.checked_sub(length).map(|from| &text[from..at]);
    let encoded = |length: usize, begin: &[u8]| {
        back(length).filter(|text| text.starts_with(begin)).and_then(symbol).filter(|(_, whole)| *whole == length)
    };
    let escape = || match back(2) {
        Some(b"\\n" | b"\\r" | b"\\t") => Some((b' ', 2)),
        _ => None,
    };
    // `=20` is a space, or a field's name and two digits: of a longer number.
    let quoted = || encoded(3, b"=").filter(|(symbol, _)| kind == Kind::Email && !symbol.is_ascii_alphanumeric());
    encoded(6, b"\\u")
        .or_else(|| encoded(5, b"%25"))
        .or_else(|| encoded(3, b"%"))
        .or_else(quoted)
        .or_else(escape)
        .or(Some((raw, 1)))
}

/// Two hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
