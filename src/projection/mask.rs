//! People taken out of the texts that vendors write: an e-mail address or a phone number becomes its token.
//!
//! Rather one too many than one too few: seven or more digits in groups count as a number, whatever they are.

use crate::telemetry::Tokens;

/// The fewest digits of a phone number.
const DIGITS: usize = 7;

/// `text` with tokens in place of people.
pub(super) fn mask(text: &str, tokens: &Tokens) -> String {
    numbers(&addresses(text, tokens), tokens)
}

/// What stands in an address before the `@`, besides letters and digits (RFC 5322's atom).
fn is_local(character: char) -> bool {
    character.is_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(character)
}

fn is_domain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-')
}

fn addresses(text: &str, tokens: &Tokens) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let before = &rest[..at];
        let unquoted = before.trim_end_matches(is_local).len();
        let start = match before.strip_suffix('"') {
            // A quoted local part: "ana maria"@example.com
            Some(quoted) => quoted.rfind('"').unwrap_or(unquoted),
            None => unquoted,
        };
        let domain = &rest[at + 1..];
        let length = domain.len() - domain.trim_start_matches(is_domain).len();
        let domain = domain[..length].trim_end_matches(['.', '-']);
        let end = at + 1 + domain.len();
        masked.push_str(&rest[..start]);
        match start == at || domain.is_empty() {
            true => masked.push_str(&rest[start..end]),
            false => masked.push_str(&tokens.address(&rest[start..end])),
        }
        rest = &rest[end..];
    }
    masked + rest
}

fn numbers(text: &str, tokens: &Tokens) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let end = start + number(&rest[start..]);
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        // Digits within a word are an id, or a token.
        let alone = !rest[..start].ends_with(is_word) && !rest[end..].starts_with(is_word);
        let digits = rest[start..end].bytes().filter(u8::is_ascii_digit).count();
        let plus = if rest[..start].ends_with('+') { 1 } else { 0 };
        match alone && digits >= DIGITS {
            true => {
                masked.push_str(&rest[..start - plus]);
                masked.push_str(&tokens.address(&rest[start - plus..end]));
            }
            false => masked.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    masked + rest
}

/// The length of the number that `text` begins with: groups of digits with up to two separators in between. A single
/// digit behind the first group ends it, or else `550 5.7.1` would be a part of one.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let mut end = digits(text);
    loop {
        let behind = &text[end..];
        let separators = behind.len() - behind.trim_start_matches([' ', '-', '.', '(', ')']).len();
        let group = digits(&behind[separators..]);
        if separators == 0 || separators > 2 || group < 2 {
            return end;
        }
        end += separators + group;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn addresses_and_numbers_become_their_tokens_and_the_rest_stays() {
        let tokens = Tokens::new(&Secret::new("key"));
        let (ana, phone) = (tokens.address("ana@example.com"), tokens.address("+12025550143"));
        let cases = [
            ("550 5.1.1 <ana@example.com>: no such user", format!("550 5.1.1 <{ana}>: no such user")),
            ("mailto:Ana@Example.com.", format!("mailto:{ana}.")),
            ("to +1 (202) 555-0143 failed", format!("to {phone} failed")),
            ("whatsapp:+12025550143", format!("whatsapp:{phone}")),
            ("user @ home, a@, @b", "user @ home, a@, @b".to_owned()),
            ("error 30003 of SM0123456789012 at 10:00:00", "error 30003 of SM0123456789012 at 10:00:00".to_owned()),
            ("550 5.7.1 554 5.4.4", "550 5.7.1 554 5.4.4".to_owned()),
            ("", String::new()),
        ];
        for (text, expected) in cases {
            assert_eq!(mask(text, &tokens), expected, "{text}");
        }
        let quoted = mask("\"ana maria\"@example.com, jürgen@exämple.de", &tokens);
        assert!(!quoted.contains("ana") && !quoted.contains("rgen") && !quoted.contains('@'), "{quoted}");
        assert_eq!(mask(&phone, &tokens), phone, "a token is nobody's number");
    }
}
