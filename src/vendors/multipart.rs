//! `multipart/form-data` (RFC 7578), as far as webhooks use it: a body already in memory, read without copying.

use std::borrow::Cow;

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub name: Cow<'a, str>,
    pub content: &'a [u8],
}

/// The fields of a body, in its order. `None` where the body is not such a form, or is cut short.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))?;
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    // The first delimiter begins the body or follows a preamble that means nothing.
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => split(body, &delimiter)?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        // Space may follow a delimiter before its line ends.
        let (padding, after) = split(rest, b"\r\n")?;
        if !padding.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        let (part, after) = split(after, &delimiter)?;
        rest = after;
        let (headers, content) = split(part, b"\r\n\r\n")?;
        let headers = String::from_utf8_lossy(headers);
        let disposition = headers.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        parts.push(Part { name: Cow::Owned(parameter(disposition, "name")?), content });
    }
    Some(parts)
}

/// What lies before and after the first occurrence.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

/// A parameter of a header's value, quoted or not: `x` of `form-data; name="x"`.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (text, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = after.trim_start().strip_prefix(';')?;
    }
}

/// The text up to the closing quote, without backslashes, and what follows.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(characters.next()?.1),
            _ => text.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x y\"";

    fn read(body: &str) -> Option<Vec<(String, String)>> {
        let text = |part: Part<'_>| (part.name.into_owned(), String::from_utf8_lossy(part.content).into_owned());
        Some(parts(TYPE, body.as_bytes())?.into_iter().map(text).collect())
    }

    #[test]
    fn fields_keep_their_order_and_their_exact_content() {
        let body = "preamble\r\n--x y \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\r\n--x\r\n--x y\r\n\
                    content-type: text/plain\r\ncontent-disposition: form-data; filename=\"name=b;\\\"\"; name=c\r\n\r\n\
                    \r\n--x y--\r\nepilogue";
        assert_eq!(read(body), Some(vec![("a".into(), "1\r\n\r\n--x".into()), ("c".into(), String::new())]));
    }

    #[test]
    fn a_body_that_is_cut_short_is_no_form() {
        let body = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x y--";
        assert!(read(body).is_some());
        for length in 0..body.len() {
            assert_eq!(read(&body[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_type_without_a_boundary_is_no_form() {
        assert_eq!(parts("multipart/form-data", b"--\r\n"), None);
        assert_eq!(parts("multipart/form-data; boundary=", b"--\r\n"), None);
    }
}
