//! How far an encoded value reaches. Every byte that a peer sends is measured here before the decoder sees it: the
//! decoder allocates what a length claims and recurses as deeply as lists nest, so neither may come from a stranger.
//!
//! The encodings: <https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html#section-encodings>.

/// Lists within lists, at the most. Attach frames nest four deep.
const DEEPEST: u8 = 16;
/// Elements of an array whose elements take no bytes.
const MOST_EMPTY_ELEMENTS: usize = 1024;

/// The bytes are not a well-formed AMQP value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a well-formed AMQP value")]
pub(super) struct Malformed;

/// The length of the value that `input` begins with.
pub(super) fn extent(input: &[u8]) -> Result<usize, Malformed> {
    value(input, 0)
}

fn value(input: &[u8], depth: u8) -> Result<usize, Malformed> {
    let (code, head) = constructor(input, depth)?;
    Ok(head + body(code, rest(input, head)?, depth)?)
}

/// The format code of what follows, and the length of code and descriptor.
fn constructor(input: &[u8], depth: u8) -> Result<(u8, usize), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed);
    }
    match *input.first().ok_or(Malformed)? {
        0x00 => {
            let descriptor = value(rest(input, 1)?, depth + 1)?;
            let (code, head) = constructor(rest(input, 1 + descriptor)?, depth + 1)?;
            Ok((code, 1 + descriptor + head))
        }
        code => Ok((code, 1)),
    }
}

/// The length of a value's bytes after its format code.
fn body(code: u8, input: &[u8], depth: u8) -> Result<usize, Malformed> {
    let length = match code {
        0x40..=0x45 => 0,
        0x50..=0x56 => 1,
        0x60 | 0x61 => 2,
        0x70..=0x74 => 4,
        0x80..=0x84 => 8,
        0x94 | 0x98 => 16,
        0xa0 | 0xa1 | 0xa3 => 1 + byte(input)?,
        0xb0 | 0xb1 | 0xb3 => 4 + word(input)?,
        0xc0 | 0xc1 | 0xe0 => {
            let size = byte(input)?;
            compound(code, input.get(1..1 + size).ok_or(Malformed)?, 1, depth)?;
            1 + size
        }
        0xd0 | 0xd1 | 0xf0 => {
            let size = word(input)?;
            compound(code, rest(input, 4)?.get(..size).ok_or(Malformed)?, 4, depth)?;
            4 + size
        }
        _ => return Err(Malformed),
    };
    if input.len() < length { Err(Malformed) } else { Ok(length) }
}

/// Checks that the elements of a list, map or array fill it exactly. `inside` begins with their count, of `width` bytes.
fn compound(code: u8, inside: &[u8], width: usize, depth: u8) -> Result<(), Malformed> {
    let count = if width == 1 { byte(inside)? } else { word(inside)? };
    let mut elements = rest(inside, width)?;
    match code {
        0xe0 | 0xf0 => {
            let (element, head) = constructor(elements, depth + 1)?;
            elements = rest(elements, head)?;
            if matches!(element, 0x40..=0x45) && count > MOST_EMPTY_ELEMENTS {
                return Err(Malformed);
            }
            for _ in 0..count {
                elements = rest(elements, body(element, elements, depth + 1)?)?;
            }
        }
        _ => {
            if matches!(code, 0xc1 | 0xd1) && count % 2 != 0 {
                return Err(Malformed);
            }
            for _ in 0..count {
                elements = rest(elements, value(elements, depth + 1)?)?;
            }
        }
    }
    if elements.is_empty() { Ok(()) } else { Err(Malformed) }
}

fn rest(input: &[u8], from: usize) -> Result<&[u8], Malformed> {
    input.get(from..).ok_or(Malformed)
}

fn byte(input: &[u8]) -> Result<usize, Malformed> {
    input.first().map(|byte| usize::from(*byte)).ok_or(Malformed)
}

fn word(input: &[u8]) -> Result<usize, Malformed> {
    let bytes = input.first_chunk().ok_or(Malformed)?;
    usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Malformed, extent};

    #[test]
    fn a_value_ends_where_its_encoding_says() {
        for (bytes, length) in [
            (&[0x40, 9][..], 1),
            (&[0xa1, 2, b'h', b'i', 9], 4),
            (&[0xc0, 3, 2, 0x41, 0x42, 9], 5),
            (&[0x00, 0x53, 0x24, 0x45, 9], 4),
            (&[0xe0, 4, 2, 0x50, 7, 8, 9], 6),
            (&[0xd1, 0, 0, 0, 6, 0, 0, 0, 2, 0x41, 0x42, 9], 11),
        ] {
            assert_eq!(extent(bytes), Ok(length), "{bytes:02x?}");
        }
    }

    #[test]
    fn lengths_and_counts_that_lie_are_refused() {
        for bytes in [
            &[][..],
            &[0xff],
            &[0xb0, 0xff, 0xff, 0xff, 0xff],
            &[0xc0, 3, 1, 0x41, 0x42],
            &[0xc0, 2, 2, 0x41],
            &[0xc1, 2, 1, 0x41],
            &[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40],
            &[0x00, 0x53],
        ] {
            assert_eq!(extent(bytes), Err(Malformed), "{bytes:02x?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_however_it_is_built() {
        let described = vec![0x00; 100_000];
        assert_eq!(extent(&described), Err(Malformed));
        let lists = (0..100).fold(vec![0x45], |inner, _| {
            let size = u32::try_from(inner.len() + 4).unwrap().to_be_bytes();
            [&[0xd0][..], &size, &[0, 0, 0, 1], &inner].concat()
        });
        assert_eq!(extent(&lists), Err(Malformed));
    }
}
