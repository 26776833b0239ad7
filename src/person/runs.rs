//! Base64 in a text: runs of its alphabet, with line breaks, percent-encoding or escaped slashes between, decoded and put
//! back. A word is a run, too, and decodes to noise: nobody is found in it.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const UNPADDED: GeneralPurposeConfig = LENIENT.with_encode_padding(false);
/// Without and with padding, in both alphabets: each has tables that are not to be made for every run.
static ENGINES: [[GeneralPurpose; 2]; 2] = [
    [GeneralPurpose::new(&STANDARD, UNPADDED), GeneralPurpose::new(&STANDARD, LENIENT)],
    [GeneralPurpose::new(&URL_SAFE, UNPADDED), GeneralPurpose::new(&URL_SAFE, LENIENT)],
];

/// A run: where it is, its characters without what was between them, and how it is written.
struct Run {
    start: usize,
    end: usize,
    characters: Vec<u8>,
    percent: bool,
}

impl Run {
    fn engine(&self) -> &'static GeneralPurpose {
        let is_url_safe = self.characters.iter().any(|byte| matches!(byte, b'-' | b'_'));
        // Whole groups do not tell whether padding is wanted: most readers want it.
        let padded = self.characters.ends_with(b"=") || self.characters.len().is_multiple_of(4);
        &ENGINES[usize::from(is_url_safe)][usize::from(padded)]
    }

    /// What it may decode to: its first characters, up to three, may belong to something else. The first that is of use,
    /// with the number of characters left out.
    fn find_decoded<T>(&self, mut usable: impl FnMut(&[u8]) -> Option<T>) -> Option<(usize, T)> {
        let engine = self.engine();
        let plain = self.characters.iter().position(|byte| *byte == b'=').unwrap_or(self.characters.len());
        let mut decoded = Vec::with_capacity(plain);
        (0..4.min(plain)).find_map(|skipped| {
            // A single character behind whole groups says nothing.
            let end = if (plain - skipped) % 4 == 1 { plain - 1 } else { plain };
            decoded.clear();
            engine.decode_vec(&self.characters[skipped..end], &mut decoded).ok()?;
            Some((skipped, usable(&decoded)?))
        })
    }
}

/// Whether the condition holds for what any run decodes to; of those that decode to this many bytes at least.
pub(super) fn any(text: &[u8], bytes: usize, mut holds: impl FnMut(&[u8]) -> bool) -> bool {
    let mut from = 0;
    while let Some(run) = next(text, from, bytes) {
        if run.find_decoded(|decoded| holds(decoded).then_some(())).is_some() {
            return true;
        }
        from = run.end;
    }
    false
}

/// The text with the content of such runs changed; `None` where none was.
pub(super) fn replace(text: &[u8], bytes: usize, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut replaced = Vec::new();
    let (mut from, mut done) = (0, 0);
    while let Some(run) = next(text, from, bytes) {
        from = run.end;
        let Some((skipped, content)) = run.find_decoded(&mut change) else { continue };
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

/// The next run at or behind a place that decodes to this many bytes at least.
fn next(text: &[u8], mut from: usize, bytes: usize) -> Option<Run> {
    let shortest = (bytes * 4).div_ceil(3);
    while from + shortest <= text.len() {
        let plain = text[from..].iter().take_while(|byte| is_character(**byte)).count();
        let goes_on = matches!(text.get(from + plain), Some(b'%' | b'\\' | b'=' | b'\r' | b'\n'));
        if plain == 0 || (plain < shortest && !goes_on) {
            // Words, mostly.
            from += plain.max(1);
            continue;
        }
        let run = read(text, from, plain);
        if run.characters.len() >= shortest {
            return Some(run);
        }
        from = run.end;
    }
    None
}

fn is_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The run that begins here, with so many characters that nothing is between.
fn read(text: &[u8], start: usize, plain: usize) -> Run {
    let end = start + plain;
    let mut run = Run { start, end, characters: text[start..end].to_vec(), percent: false };
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
