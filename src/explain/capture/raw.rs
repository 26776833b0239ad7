//! A request as HTTP/1.1 writes it: <https://www.rfc-editor.org/rfc/rfc9112#name-message-format>.

use bytes::Bytes;
use http::HeaderMap;

use super::{Capture, CaptureError, header_line};

pub(super) fn read(text: &[u8]) -> Result<Capture, CaptureError> {
    let (head, body) = cut(text);
    let mut capture = head_and_body(head, Bytes::copy_from_slice(body))?;
    if !head.is_empty() && !head.contains(&b'\r') {
        let doubt = "the file has no CRLF in its head: whatever saved it may have changed the body's line ends too";
        capture.doubts.push(doubt.into());
    }
    Ok(capture)
}

/// A request of these two parts; the body is still framed as on the wire.
pub(super) fn head_and_body(head: &[u8], body: Bytes) -> Result<Capture, CaptureError> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let mut words = request.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(CaptureError::NoRequest("the first line must read like POST /path HTTP/1.1".into()));
    };
    if !version.starts_with("HTTP/") || words.next().is_some() {
        return Err(CaptureError::NoRequest("the first line must end with HTTP/1.1".into()));
    }
    let mut headers = HeaderMap::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let (name, value) =
            header_line(line).ok_or_else(|| CaptureError::malformed(format!("header {} is none", index + 1)))?;
        headers.append(name, value);
    }
    let mut capture = Capture::new(method, target, headers, body)?;
    capture.frame_body();
    Ok(capture)
}

/// The head, and what follows its blank line.
fn cut(text: &[u8]) -> (&[u8], &[u8]) {
    // Editors leave blank lines and a byte order mark before a request.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return (&text[..start], &text[end..]);
        }
        start = end;
    }
    (text, b"")
}

/// The body inside chunked framing; `None` where it is not framed (tools often unwrap it and keep the header).
pub(super) fn join_chunks(mut framed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(framed.len());
    loop {
        let end = framed.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&framed[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        framed = &framed[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(framed.get(..size)?);
        framed = framed.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_every_byte_after_the_blank_line() {
        let capture = read(b"POST /incoming/x/y HTTP/1.1\r\nHost: a.example\r\nX: 1\r\nx: 2\r\n\r\n\r\n a\n").unwrap();
        assert_eq!((capture.method.as_str(), capture.target.as_str()), ("POST", "/incoming/x/y"));
        assert_eq!(capture.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(capture.body.as_ref(), b"\r\n a\n");
        assert!(capture.doubts.is_empty());
    }

    #[test]
    fn a_newline_that_an_editor_added_is_beyond_the_content_length() {
        let capture = read(b"POST / HTTP/1.1\nContent-Length: 2\n\n{}\n").unwrap();
        assert_eq!(capture.body.as_ref(), b"{}");
        assert_eq!(capture.doubts.len(), 2, "the length and the line ends: {:?}", capture.doubts);
        let cut = read(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}").unwrap();
        assert!(cut.doubts[0].contains("says 3 bytes"), "{:?}", cut.doubts);
    }

    #[test]
    fn chunks_are_joined_where_they_are_chunks() {
        let chunked = |body: &str| {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            String::from_utf8(read(text.as_bytes()).unwrap().body.to_vec()).unwrap()
        };
        assert_eq!(chunked("3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"), "abcd");
        assert_eq!(chunked("abcd"), "abcd");
        assert_eq!(chunked("fffffffffffffffff\r\nabc"), "fffffffffffffffff\r\nabc");
        assert_eq!(chunked("ff\r\nabc"), "ff\r\nabc");
    }

    #[test]
    fn what_is_no_request_is_told() {
        for text in ["", "hello", "POST /x", "POST /a b HTTP/1.1", "POST / HTTP/1.1\r\nno colon\r\n\r\n"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
