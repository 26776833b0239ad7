//! Bodies that changed as text does: line ends, byte order marks, character sets.

use bytes::Bytes;

use super::Hypothesis;
use crate::explain::case::{Case, Change};

const BOM: &[u8] = b"\xef\xbb\xbf";
const EXACT: &str =
    "Read the body as raw bytes, and let nothing on its way treat it as text; curl needs --data-binary.";

pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let body = case.body.as_ref();
    let mut all = Vec::new();
    let mut add = |code, body: Vec<u8>, cause: &str| {
        all.push(Hypothesis::new(code, Change::Body(Bytes::from(body)), cause, EXACT));
    };
    if body.is_empty() {
        return all;
    }
    const END: &str = "body.final_line_end";
    for (end, name) in [(&b"\r\n"[..], "CRLF"), (b"\n", "LF"), (b"\r\n\r\n", "two CRLF")] {
        add(END, [body, end].concat(), &format!("The body lost its end: the vendor signed it with a final {name}."));
        if let Some(without) = body.strip_suffix(end) {
            let cause = format!("The body got a final {name} that the vendor did not sign.");
            add(END, without.to_vec(), &cause);
        }
    }
    if let Some(without) = body.strip_suffix(b"\n") {
        let without = without.strip_suffix(b"\r").unwrap_or(without);
        let cause = "The body's final line end was changed: the vendor signed";
        add(END, [without, b"\r\n"].concat(), &format!("{cause} CRLF, and here it is LF."));
        add(END, [without, b"\n"].concat(), &format!("{cause} LF, and here it is CRLF."));
    }
    let trimmed = body.trim_ascii();
    add("body.space", trimmed.to_vec(), "The body got space before or after it that the vendor did not sign.");

    const BOM_CODE: &str = "body.bom";
    match body.strip_prefix(BOM) {
        Some(without) => add(BOM_CODE, without.to_vec(), "The body got a byte order mark (EF BB BF) at its head."),
        None => add(BOM_CODE, [BOM, body].concat(), "The body lost the byte order mark (EF BB BF) at its head."),
    }

    const LINES: &str = "body.line_ends";
    let unix = replace(body, b"\r\n", b"\n");
    let windows = replace(&unix, b"\n", b"\r\n");
    add(LINES, windows.clone(), "The body's line ends became LF: the vendor signed CRLF.");
    add(
        LINES,
        [&windows, &b"\r\n"[..]].concat(),
        "The body's line ends became LF, and the last was lost: the vendor signed CRLF.",
    );
    add(LINES, unix, "The body's line ends became CRLF: the vendor signed LF.");

    const CHARSET: &str = "body.charset";
    if let Ok(text) = std::str::from_utf8(body) {
        let latin: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
        if let Some(latin) = latin {
            add(CHARSET, latin, "The body was converted from Latin-1 to UTF-8, perhaps a second time.");
        }
    }
    let utf8: String = body.iter().map(|byte| char::from(*byte)).collect();
    add(CHARSET, utf8.into_bytes(), "The body was converted from UTF-8 to Latin-1.");
    all
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_replaced_wherever_they_are() {
        assert_eq!(replace(b"\r\na\r\n\r\nb", b"\r\n", b"\n"), b"\na\n\nb");
        assert_eq!(replace(b"abc", b"\n", b"\r\n"), b"abc");
    }
}
