//! A person, as an address: a phone number or an e-mail address, found and replaced in whatever others wrote.
//!
//! Vendors spell one address in many ways: with and without `+`, as `whatsapp:+...`, in another case, with a name around it,
//! percent-encoded in forms, escaped in JSON, in base64. [`scan`] reads through the encodings of single characters,
//! [`runs`] through base64. What is found becomes the keyed token of that spelling ([`Tokens`]).

mod runs;
mod scan;

use crate::telemetry::Tokens;

/// The fewest and most digits of a phone number in full (E.164 has 15 at the most).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// What may stand before an address in a vendor's field.
const SCHEMES: [&str; 6] = ["whatsapp:", "sms:", "tel:", "mailto:", "sip:", "messenger:"];
/// Base64 in base64 in JSON: deeper than that nobody has packed an address yet.
const DEPTH: u32 = 3;

/// An address in its plain form.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Digits without `+`, or an e-mail address in lower case.
    plain: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Phone,
    Email,
}

/// An address never gets into a log by way of `{:?}`.
impl std::fmt::Debug for Person {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Person({:?})", self.kind)
    }
}

impl Person {
    /// Reads an address in any of its spellings. `None`: it is neither an e-mail address nor a phone number of 7 to 15 digits
    /// (a short code, a sender's name).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = match text.strip_suffix('>').and_then(|named| named.rsplit_once('<')) {
            Some((_, plain)) => plain.trim(),
            None => text,
        };
        let lower = text.to_lowercase();
        let plain = SCHEMES.iter().find_map(|scheme| lower.strip_prefix(scheme)).unwrap_or(&lower);
        if let Some((local, domain)) = plain.rsplit_once('@') {
            let is_address = !local.is_empty() && !domain.is_empty() && !plain.contains(char::is_whitespace);
            return is_address.then(|| Self { plain: plain.to_owned(), kind: Kind::Email });
        }
        let (plus, rest) = match plain.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, plain),
        };
        let mut digits: String = rest.chars().filter(|character| !" -.()/\u{a0}".contains(*character)).collect();
        if !plus && digits.starts_with("00") {
            digits.drain(..2);
        }
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && DIGITS.contains(&digits.len());
        is_number.then_some(Self { plain: digits, kind: Kind::Phone })
    }

    /// The token that this person is known by, however spelled: that of the e-mail address, or of the number with its `+`.
    pub fn token(&self, tokens: &Tokens) -> String {
        tokens.address(&self.spellings()[0])
    }

    /// The spellings whose tokens differ: what was recorded about the person under any of them is about the same person.
    pub fn spellings(&self) -> Vec<String> {
        let plain = &self.plain;
        match self.kind {
            Kind::Email => vec![plain.clone(), format!("mailto:{plain}")],
            Kind::Phone => ["+", "", "00", "whatsapp:+", "whatsapp:", "sms:+", "sms:", "tel:+", "tel:"]
                .iter()
                .map(|prefix| format!("{prefix}{plain}"))
                .collect(),
        }
    }

    /// Whether an address is this person's.
    pub fn is(&self, address: &str) -> bool {
        Self::parse(address).as_ref() == Some(self)
    }

    /// Whether the person is anywhere in a text, in any encoding.
    pub fn is_in(&self, text: impl AsRef<[u8]>) -> bool {
        Self::any_is_in(std::slice::from_ref(self), text)
    }

    /// Whether one of them is; encodings are read once for all of them.
    pub fn any_is_in(people: &[Self], text: impl AsRef<[u8]>) -> bool {
        Self::any_is_within(people, text.as_ref(), DEPTH)
    }

    /// The text with tokens in place of the person; `None` where the person is not in it.
    pub fn replaced(&self, text: &str, tokens: &Tokens) -> Option<String> {
        // Tokens and re-encoded base64 are ASCII, and matches begin and end at characters.
        self.replaced_in(text.as_bytes(), tokens).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same for bytes of whatever kind.
    pub fn replaced_in(&self, bytes: &[u8], tokens: &Tokens) -> Option<Vec<u8>> {
        self.replaced_within(bytes, tokens, DEPTH)
    }

    fn any_is_within(people: &[Self], text: &[u8], depth: u32) -> bool {
        let inner = |decoded: &[u8]| Self::any_is_within(people, decoded, depth - 1);
        let Some(shortest) = people.iter().map(|person| person.plain.len()).min() else { return false };
        people.iter().any(|person| person.find(text, 0).is_some()) || (depth > 0 && runs::any(text, shortest, inner))
    }

    fn replaced_within(&self, text: &[u8], tokens: &Tokens, depth: u32) -> Option<Vec<u8>> {
        let plain = self.replaced_plain(text, tokens);
        if depth == 0 {
            return plain;
        }
        let inner = |decoded: &[u8]| self.replaced_within(decoded, tokens, depth - 1);
        runs::replace(plain.as_deref().unwrap_or(text), self.plain.len(), inner).or(plain)
    }

    fn replaced_plain(&self, text: &[u8], tokens: &Tokens) -> Option<Vec<u8>> {
        let mut found = self.find(text, 0)?;
        let mut replaced = Vec::with_capacity(text.len() + 32);
        let mut done = 0;
        loop {
            replaced.extend_from_slice(&text[done..found.start]);
            let spelling = if found.plus { format!("+{}", self.plain) } else { self.plain.clone() };
            replaced.extend_from_slice(tokens.address(&spelling).as_bytes());
            done = found.end;
            match self.find(text, done) {
                Some(next) => found = next,
                None => break,
            }
        }
        replaced.extend_from_slice(&text[done..]);
        Some(replaced)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;
    use crate::config::Secret;

    fn tokens() -> Tokens {
        Tokens::new(&Secret::new("key"))
    }

    #[test]
    fn spellings_of_one_address_are_one_person() {
        let number = Person::parse("+12025550143").unwrap();
        for same in ["12025550143", "whatsapp:+12025550143", "+1 (202) 555-0143", "0012025550143", " sms:+12025550143"]
        {
            assert_eq!(Person::parse(same).as_ref(), Some(&number), "{same}");
        }
        let mail = Person::parse("ana@example.com").unwrap();
        for same in ["Ana@Example.COM", "\"Ana <3\" <ana@example.com>", "mailto:ana@example.com"] {
            assert!(mail.is(same), "{same}");
        }
        for nobody in ["", "ACME", "12345", "1234567890123456", "a b@example.com", "@example.com", "+1202555abcd"] {
            assert_eq!(Person::parse(nobody), None, "{nobody}");
        }
        assert!(!format!("{mail:?} {number:?}").contains("ana") && !format!("{number:?}").contains("555"));
    }

    #[test]
    fn the_person_is_found_in_every_encoding_and_gone_after_it_was_replaced() {
        let number = Person::parse("+12025550143").unwrap();
        let mail = Person::parse("ana.b+x@example.com").unwrap();
        let packed = |text: &str| BASE64_STANDARD.encode(text);
        let cases = [
            (&number, "To=%2B12025550143&From=x".to_owned()),
            (&number, "whatsapp%3A%2B12025550143".to_owned()),
            (&number, "call +1 (202) 555-0143.".to_owned()),
            (&number, "%2B1+202+555+0143".to_owned()),
            (&number, "{\"to\":12025550143}".to_owned()),
            (&number, format!("{{\"data\":\"{}\"}}", packed("{\"to\":\"12025550143\"}"))),
            (&number, packed(&packed("a,+12025550143,b"))),
            (&mail, "email=Ana.B%2Bx%40example.com&".to_owned()),
            (&mail, "Ana &#60;ANA.B+x&#64;EXAMPLE.com&#62;".to_owned()),
            (&mail, "\\u003cana.b\\u002bx\\u0040example.com\\u003e".to_owned()),
            (&mail, "to:\\nana.b+x@example.com\\n".to_owned()),
            (&mail, "<bounces-7-ana.b+x=example.com@mail.acme.test>".to_owned()),
            (&mail, format!("data={}", packed("<ana.b+x@example.com>").replace('=', "%3D"))),
            (&mail, format!("x{}", packed("Content: to ana.b+x@example.com, and to others as well"))),
        ];
        for (person, text) in cases {
            assert!(person.is_in(&text), "{text}");
            let replaced = person.replaced(&text, &tokens()).unwrap();
            assert!(!person.is_in(&replaced), "{text} became {replaced}");
        }
        let text = format!("{{\"raw\":\"{}\"}}", packed("to +12025550143"));
        let replaced = number.replaced(&text, &tokens()).unwrap();
        let inner = BASE64_STANDARD.decode(&replaced[8..replaced.len() - 2]).unwrap();
        assert_eq!(String::from_utf8(inner).unwrap(), format!("to +{}", tokens().address("+12025550143")));
    }

    #[test]
    fn others_are_left_alone() {
        let number = Person::parse("+12025550143").unwrap();
        let mail = Person::parse("ana@example.com").unwrap();
        for text in ["+120255501430", "512025550143", "12025550144", "2025550143", "SM1202555", ""] {
            assert_eq!(number.replaced(text, &tokens()), None, "{text}");
        }
        for text in ["diana@example.com", "x.ana@example.com", "ana@example.com.au", "ana@example.community", "ana@"] {
            assert_eq!(mail.replaced(text, &tokens()), None, "{text}");
        }
        assert!(mail.is_in("mail to ana@example.com. Thanks") && mail.is_in("“ana@example.com”"));
    }
}
