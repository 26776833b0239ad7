//! The last net under log lines: what looks like a phone number or an e-mail address is replaced by its keyed token.
//!
//! Lines are written so that they need none of this: bodies, addresses, secrets and signatures are no arguments of log
//! calls, and errors tell what is wrong without the values. But an error's text may come from a library, a service or a
//! partner, and a message id is whatever its vendor chose.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use tracing_subscriber::fmt::MakeWriter;

use super::Tokens;

/// Instead of a token, before the key is known.
const HIDDEN: &str = "[address]";
/// Digits of a phone number with its country's code (E.164 has 15 at the most).
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of a number that stands alone, to be taken for a phone number.
const ALONE: std::ops::RangeInclusive<usize> = 10..=15;

/// Makes writers that redact.
#[derive(Debug, Clone)]
pub struct Redacting<M> {
    inner: M,
    tokens: Arc<OnceLock<Tokens>>,
}

/// Redacts what is written to it, line by line.
#[derive(Debug)]
pub struct RedactingWriter<W> {
    inner: W,
    tokens: Arc<OnceLock<Tokens>>,
}

impl<M> Redacting<M> {
    /// The tokens come later: a configuration has to be read for them.
    pub fn new(inner: M, tokens: Arc<OnceLock<Tokens>>) -> Self {
        Self { inner, tokens }
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter { inner: self.inner.make_writer(), tokens: Arc::clone(&self.tokens) }
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    /// `line` is a whole line: the formatter writes no parts.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let redacted = redact(&text, |address| match self.tokens.get() {
            Some(tokens) => tokens.address(address),
            None => HIDDEN.to_owned(),
        });
        self.inner.write_all(redacted.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The text with every address replaced.
pub fn redact<'a>(text: &'a str, token: impl Fn(&str) -> String) -> Cow<'a, str> {
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < text.len() {
        let found = email_at(text, copied, at).or_else(|| phone_at(text, at));
        let Some((start, end)) = found else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        out.push_str(&text[copied..start]);
        let address = text[start..end].replace("%40", "@").replace("%2B", "+").replace("%2b", "+");
        out.push_str(&token(&address));
        (copied, at) = (end, end);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// An e-mail address whose `@` is here; `from` is where it may begin.
fn email_at(text: &str, from: usize, at: usize) -> Option<(usize, usize)> {
    let sign = ["@", "%40"].into_iter().find(|sign| text[at..].starts_with(sign))?;
    let local = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'');
    let domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let start = text[from..at].rfind(|c| !local(c)).map_or(from, |index| {
        let length = text[from + index..].chars().next().map_or(1, char::len_utf8);
        from + index + length
    });
    let rest = &text[at + sign.len()..];
    let host = rest[..rest.find(|c| !domain(c)).unwrap_or(rest.len())].trim_end_matches(['.', '-']);
    (start < at && host.contains('.')).then(|| (start, at + sign.len() + host.len()))
}

/// A phone number that begins here.
fn phone_at(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let before = text[..at].chars().next_back();
    if let Some(plus) = ["+", "%2B", "%2b"].into_iter().find(|plus| rest.starts_with(plus)) {
        let (mut digits, mut end) = (0, at + plus.len());
        for (index, c) in text[end..].char_indices() {
            match c {
                '0'..='9' => (digits, end) = (digits + 1, at + plus.len() + index + 1),
                ' ' | '-' | '(' | ')' | '.' if digits > 0 => {}
                _ => break,
            }
            if digits > *INTERNATIONAL.end() {
                break;
            }
        }
        return INTERNATIONAL.contains(&digits).then_some((at, end));
    }
    // Part of a word, of a date, of an id or of a key: no number that stands alone.
    let json = text[..at].ends_with("\":");
    if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '%' | '+' | ':')) && !json {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest[digits..].chars().next();
    let alone = !after.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '/'));
    (ALONE.contains(&digits) && alone).then_some((at, at + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        redact(text, |address| format!("<{address}>")).into_owned()
    }

    #[test]
    fn addresses_are_found_however_they_are_written() {
        for (text, expected) in [
            ("refused ana.b+c@mail.example.com.", "refused <ana.b+c@mail.example.com>."),
            ("To=ana%40example.com&x", "To=<ana@example.com>&x"),
            (r#"{"email":"ana@example.com"}"#, r#"{"email":"<ana@example.com>"}"#),
            ("to +12025550143: no", "to <+12025550143>: no"),
            ("To=%2B12025550143&From=%2b447700900123", "To=<+12025550143>&From=<+447700900123>"),
            ("call +1 (202) 555-0143 now", "call <+1 (202) 555-0143> now"),
            (r#"{"to":41793026727,"n":1}"#, r#"{"to":<41793026727>,"n":1}"#),
            ("to 41793026727 and \"447700900123\"", "to <41793026727> and \"<447700900123>\""),
            ("müller@example.com, ana@example.com", "<müller@example.com>, <ana@example.com>"),
        ] {
            assert_eq!(marked(text), expected);
        }
    }

    #[test]
    fn what_operators_need_stays() {
        for text in [
            "2026-11-20T10:00:00.123456+00:00 INFO key=twilio:SM00000000000000000000000000000001",
            "envelope=01936f00-0000-7000-8000-000000000000 delivery=partner:shop.evt_0123456789abcdef",
            "key=infobip:41793026727 due_at=2026-11-20T10:00:00Z left_out=5000 status=503",
            "contoso.servicebus.windows.net:5671 after 10000000000ms @ 12",
        ] {
            assert_eq!(marked(text), text);
        }
    }
}
