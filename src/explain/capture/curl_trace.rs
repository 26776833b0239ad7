//! What `curl --trace FILE` and `--trace-ascii FILE` write: <https://curl.se/docs/manpage.html#--trace>.
//!
//! Sections begin with a line like `=> Send data, 34 bytes (0x22)`; rows begin with the offset of their first byte. With
//! `--trace` each row has 16 bytes in hex, so every byte is there. With `--trace-ascii` a row has up to 64 characters and
//! ends at a CRLF, which shows only as a gap before the next row's offset; other bytes that are no visible ASCII are dots.

use super::{Capture, CaptureError, choose, raw};

const HEX_WIDTH: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Header,
    Data,
    /// Received, encrypted, or curl's own remarks.
    Other,
}

/// One section: how many bytes it had on the wire, and its rows as offset and text.
struct Section<'a> {
    kind: Kind,
    size: usize,
    rows: Vec<(usize, &'a [u8])>,
}

#[derive(Default)]
struct Sent {
    head: Vec<u8>,
    body: Vec<u8>,
    /// Whether bytes of the body may hide behind dots.
    dotted: bool,
}

impl Sent {
    fn target(&self) -> &str {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }

    fn has_whole_head(&self) -> bool {
        self.head.ends_with(b"\r\n\r\n")
    }
}

pub(super) fn read(text: &[u8], entry: Option<usize>) -> Result<Capture, CaptureError> {
    let mut sent: Vec<Sent> = Vec::new();
    for section in sections(text) {
        match section.kind {
            Kind::Other => {}
            Kind::Header => {
                if sent.last().is_none_or(Sent::has_whole_head) {
                    sent.push(Sent::default());
                }
                let (bytes, _) = section.bytes()?;
                sent.last_mut().expect("one was pushed if there was none").head.extend(bytes);
            }
            Kind::Data => {
                let (bytes, dotted) = section.bytes()?;
                let Some(request) = sent.last_mut() else { continue };
                request.body.extend(bytes);
                request.dotted |= dotted;
            }
        }
    }
    // What curl says to a proxy is not for us.
    sent.retain(|request| !request.head.starts_with(b"CONNECT "));
    if sent.is_empty() {
        return Err(CaptureError::NoRequest("no section `=> Send header` (write it with curl --trace FILE)".into()));
    }
    let (request, doubt) = choose(sent, entry, Sent::target)?;
    let mut capture = raw::head_and_body(&request.head, request.body.into())?;
    capture.doubts.extend(doubt);
    if request.dotted {
        let doubt =
            "--trace-ascii shows bytes that are no visible ASCII as dots, and the body has dots: --trace keeps all";
        capture.doubts.push(doubt.into());
    }
    Ok(capture)
}

fn sections(text: &[u8]) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(row) = row(line) {
            if let Some(section) = sections.last_mut() {
                section.rows.push(row);
            }
        } else if let Some((kind, size)) = heading(line) {
            sections.push(Section { kind, size, rows: Vec::new() });
        }
    }
    sections
}

/// `0010: ...`
fn row(line: &[u8]) -> Option<(usize, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|digits| (4..=8).contains(digits))?;
    let digits = std::str::from_utf8(&line[..colon]).ok()?;
    let offset = usize::from_str_radix(digits, 16).ok()?;
    match &line[colon + 1..] {
        // An editor may have dropped the space of an empty row.
        [] => Some((offset, &[])),
        [b' ', rest @ ..] => Some((offset, rest)),
        _ => None,
    }
}

/// `=> Send data, 34 bytes (0x22)`; `--trace-time` and `--trace-ids` put something before it.
fn heading(line: &[u8]) -> Option<(Kind, usize)> {
    let line = String::from_utf8_lossy(line);
    let start = ["=> ", "<= ", "== "].into_iter().filter_map(|arrow| line.find(arrow)).min()?;
    let heading = &line[start..];
    let kind = match heading {
        _ if heading.starts_with("=> Send header, ") => Kind::Header,
        _ if heading.starts_with("=> Send data, ") => Kind::Data,
        _ => Kind::Other,
    };
    let size = heading.split_once(", ").and_then(|(_, size)| size.split(' ').next()?.parse().ok()).unwrap_or(0);
    Some((kind, size))
}

impl Section<'_> {
    /// The bytes, and whether some may hide behind dots.
    fn bytes(&self) -> Result<(Vec<u8>, bool), CaptureError> {
        match self.hex() {
            Some(bytes) => Ok((bytes, false)),
            None => self.ascii().map(|bytes| {
                let dotted = bytes.contains(&b'.');
                (bytes, dotted)
            }),
        }
    }

    fn hex(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.size.min(1 << 20));
        for (offset, text) in &self.rows {
            if *offset != bytes.len() {
                return None;
            }
            let here = self.size.checked_sub(*offset)?.min(HEX_WIDTH);
            for column in 0..here {
                let cell = text.get(column * 3..column * 3 + 3)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(cell.strip_suffix(b" ")?).ok()?, 16).ok()?);
            }
        }
        (bytes.len() == self.size).then_some(bytes)
    }

    fn ascii(&self) -> Result<Vec<u8>, CaptureError> {
        let mut bytes = Vec::with_capacity(self.size.min(1 << 20));
        let ends = self.rows.iter().skip(1).map(|(offset, _)| *offset).chain([self.size]);
        for ((offset, text), end) in self.rows.iter().zip(ends) {
            bytes.extend_from_slice(text);
            match end.checked_sub(offset + text.len()) {
                Some(0) => {}
                Some(2) => bytes.extend_from_slice(b"\r\n"),
                _ => {
                    let problem = format!("the row {offset:04x} has not the bytes that its offset promises");
                    return Err(CaptureError::malformed(problem));
                }
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "\
== Info: Connected to 127.0.0.1 (127.0.0.1) port 7071 (#0)
=> Send header, 42 bytes (0x2a)
0000: 50 4f 53 54 20 2f 69 6e 63 6f 6d 69 6e 67 2f 61 POST /incoming/a
0010: 2f 62 20 48 54 54 50 2f 31 2e 31 0d 0a 48 6f 73 /b HTTP/1.1..Hos
0020: 74 3a 20 61 2e 62 0d 0a 0d 0a                   t: a.b....
=> Send data, 5 bytes (0x5)
0000: 7b c3 a9 0d 0a                                  {....
<= Recv header, 17 bytes (0x11)
0000: 48 54 54 50 2f 31 2e 31 20 32 30 30 20 4f 4b 0d HTTP/1.1 200 OK.
0010: 0a                                              .
";

    #[test]
    fn hex_keeps_every_byte() {
        let capture = read(HEX.as_bytes(), None).unwrap();
        assert_eq!((capture.method.as_str(), capture.target.as_str()), ("POST", "/incoming/a/b"));
        assert_eq!(capture.headers["host"], "a.b");
        assert_eq!(capture.body.as_ref(), b"{\xc3\xa9\r\n");
        assert!(capture.doubts.is_empty(), "{:?}", capture.doubts);
    }

    #[test]
    fn times_ids_and_windows_line_ends_do_no_harm() {
        let text = HEX.replace("=> ", "10:22:33.123456 [0-0] => ").replace('\n', "\r\n");
        assert_eq!(read(text.as_bytes(), None).unwrap().body.as_ref(), b"{\xc3\xa9\r\n");
    }

    #[test]
    fn a_damaged_trace_is_told() {
        assert!(read(HEX.replace("42 bytes", "45 bytes").as_bytes(), None).is_err());
        assert!(read(b"", None).is_err());
        assert!(read(b"=> Send header, 9 bytes (0x9)\n", None).is_err());
    }

    #[test]
    fn in_ascii_a_gap_between_offsets_is_a_line_end() {
        let text = "\
=> Send header, 40 bytes (0x28)
0000: POST /incoming/a/b HTTP/1.1
001d: Host: a
0026: 
=> Send data, 9 bytes (0x9)
0000: [1,
0005: 2]
";
        let capture = read(text.as_bytes(), None).unwrap();
        assert_eq!(capture.headers["host"], "a");
        assert_eq!(capture.body.as_ref(), b"[1,\r\n2]\r\n");
        assert!(capture.doubts.is_empty(), "{:?}", capture.doubts);
        let dotted = read(text.replace("[1,", "[1.").as_bytes(), None).unwrap();
        assert!(dotted.doubts[0].contains("--trace keeps all"), "{:?}", dotted.doubts);
    }
}
