//! Base64 in a text: runs of its alphabet, with line breaks, percent-encoding or escaped slashes between, decoded and put
//! back. A word is a run, too, and decodes to noise: nobody is found in it.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Seven digits make ten characters.
const SHORTEST: usize = 10;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// A run: where it is, its characters without what was between them, and how it is written.
struct Run {
    start: usize,
    end: usize,
    characters: Vec<u8>,
    percent: bool,
}

impl Run {
    fn engine(&self) -> GeneralPurpose {
        let is_url_safe = self.characters.iter().any(|byte| matches!(byte, b'-' | b'_'));
        // Whole groups do not tell whether padding is wanted: most readers want it.
        let padded = self.characters.ends_with(b"=") || self.characters.len().is_multiple_of(4);
        GeneralPurpose::new(if is_url_safe { &URL_SAFE } else { &STANDARD }, LENIENT.with_encode_padding(padded))
    }

    /// What it decodes to when its first `skipped` characters belong to something else.
    fn decoded(&self, skipped: usize) -> Option<Vec<u8>> {
        let characters = self.characters.get(skipped..)?;
        let plain = characters.iter().take_while(|byte| **byte != b'=').count();
        // A single character behind whole groups says nothing.
        let whole = if plain % 4 == 1 { plain - 1 } else { plain };
        self.engine().decode(&characters[..whole]).ok()
    }
}

/// Whether the condition holds for what any run decodes to.
pub(super) fn any(text: &[u8], mut holds: impl FnMut(&[u8]) -> bool) -> bool {
    let mut from = 0;
    while let Some(run) = next(text, from) {
        if (0..4).any(|skipped| run.decoded(skipped).is_some_and(|decoded| holds(&decoded))) {
            return true;
        }
        from = run.end;
    }
    false
}

/// The text with the content of runs changed; `None` where none was.
pub(super) fn replace(text: &[u8], mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut replaced = Vec::new();
    let (mut from, mut done) = (0, 0);
    while let Some(run) = next(text, from) {
        from = run.end;
        let changed = (0..4).find_map(|skipped| Some((skipped, change(&run.decoded(skipped)?)?)));
        let Some((skipped, content)) = changed else { continue };
        let mut characters = run.characters[..skipped].to_vec();
        characters.extend(run.engine().encode(content).into_bytes());
        replaced.extend_from_slice(&text[done..run.start]);
        for character in characters {
            match character {
                b'+' | b'/' | b'=' if run.percent => replaced.extend(format!("%{character:02X}").into_bytes()),
                _ => replaced.push(character),
            }
        }
        done = run.end;
    }
    if done == 0 {
        return None;
    }
    replaced.extend_from_slice(&text[done..]);
    Some(replaced)
}

/// The next run at or behind a place.
fn next(text: &[u8], mut from: usize) -> Option<Run> {
    while from < text.len() {
        if !is_character(text[from]) {
            from += 1;
            continue;
        }
        let run = read(text, from);
        if run.characters.len() >= SHORTEST {
            return Some(run);
        }
        from = run.end;
    }
    None
}

fn is_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn read(text: &[u8], start: usize) -> Run {
    let mut run = Run { start, end: start, characters: Vec::new(), percent: false };
    let mut padding = false;
    while let Some(&byte) = text.get(run.end) {
        let rest = &text[run.end..];
        let (character, length) = match byte {
            _ if is_character(byte) && !padding => (Some(byte), 1),
            b'=' if run.characters.len() % 4 > 1 => (Some(b'='), 1),
            b'%' => match rest.get(1..3) {
                Some(b"2B" | b"2b") if !padding => (Some(b'+'), 3),
                Some(b"2F" | b"2f") if !padding => (Some(b'/'), 3),
                Some(b"3D" | b"3d") if run.characters.len() % 4 > 1 => (Some(b'='), 3),
                _ => break,
            },
            b'\\' if rest.get(1) == Some(&b'/') && !padding => (Some(b'/'), 2),
            // A line of base64 goes on behind its end.
            b'\r' | b'\n' | b'\\' if !padding && run.characters.len() >= 60 => match line_break(rest) {
                Some(length) if rest.get(length).is_some_and(|byte| is_character(*byte)) => (None, length),
                _ => break,
            },
            _ => break,
        };
        run.percent |= length == 3;
        padding |= character == Some(b'=');
        run.characters.extend(character);
        run.end += length;
    }
    run
}

/// The length of a line break, also of one that is escaped.
fn line_break(text: &[u8]) -> Option<usize> {
    [&b"\r\n"[..], b"\n", b"\\r\\n", b"\\n"].iter().find(|one| text.starts_with(one)).map(|one| one.len())
}
