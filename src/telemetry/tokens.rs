//! Keyed tokens: a phone number or address that can be compared and looked up, but not read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

const PREFIX: &str = "tok_";

/// Makes tokens with one key. Without the key nobody can tell which number a token stands for, not even by trying all.
#[derive(Clone)]
pub struct Tokens {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens(..)")
    }
}

impl Tokens {
    pub fn new(key: &Secret) -> Self {
        let keyed = Hmac::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
        Self { keyed }
    }

    /// The token of a phone number or e-mail address: `tok_` and 32 hexadecimal digits. Spelling that means the same
    /// address (a name around an e-mail address or its case, spaces and dashes of a number) gives the same token.
    ///
    /// A token stays what it is: where a person was erased it stands in place of the address, and means the same person.
    pub fn address(&self, address: &str) -> String {
        if let Some(token) = token_in(address) {
            return token.to_owned();
        }
        let mut mac = self.keyed.clone();
        mac.update(canonical(address).as_bytes());
        format!("{PREFIX}{}", hex::encode(&mac.finalize().into_bytes()[..16]))
    }
}

/// The token that stands where an address was, also behind what is left of its spelling: `whatsapp:+tok_...`.
fn token_in(address: &str) -> Option<&str> {
    const DIGITS: usize = 32;
    let token = &address[address.rfind(PREFIX)?..];
    let digits = &token[PREFIX.len()..];
    let is_token = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let before = address.strip_suffix(token).unwrap_or_default();
    let is_scheme =
        before.trim_end_matches('+').strip_suffix(':').unwrap_or("").bytes().all(|b| b.is_ascii_lowercase());
    let is_alone = before.is_empty() || before == "+" || (before.contains(':') && is_scheme);
    (is_token && is_alone).then_some(token)
}

/// Whether an address is a token already: its person was erased before.
pub(crate) fn is_token(address: &str) -> bool {
    token_in(address).is_some()
}

fn canonical(address: &str) -> String {
    let address = address.trim();
    // `Ana <ana@example.com>`
    let address = match address.strip_suffix('>').and_then(|named| named.rsplit_once('<')) {
        Some((_, plain)) => plain.trim(),
        None => address,
    };
    if address.contains('@') {
        return address.to_lowercase();
    }
    address.chars().filter(|character| !matches!(character, ' ' | '-' | '(' | ')' | '.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_share_a_token_and_keys_do_not() {
        let tokens = Tokens::new(&Secret::new("key"));
        assert_eq!(tokens.address("Ana@Example.com "), tokens.address("ana@example.com"));
        assert_eq!(tokens.address("\"Ana <3\" <Ana@example.com>"), tokens.address("ana@example.com"));
        assert_eq!(tokens.address("+1 (202) 555-0143"), tokens.address("+12025550143"));
        assert_ne!(tokens.address("+12025550143"), tokens.address("+12025550144"));
        assert_ne!(tokens.address("+12025550143"), Tokens::new(&Secret::new("other")).address("+12025550143"));
        assert!(!tokens.address("+12025550143").contains("555"));
    }

    #[test]
    fn the_token_of_a_token_is_the_token() {
        let tokens = Tokens::new(&Secret::new("key"));
        let token = tokens.address("ana@example.com");
        for kept in [token.clone(), format!("+{token}"), format!("whatsapp:+{token}"), format!("whatsapp:{token}")] {
            assert_eq!(tokens.address(&kept), token, "{kept}");
            assert!(is_token(&kept));
        }
        for other in ["tok_", "tok_12025550143", &format!("{token}0"), &format!("x{token}"), &format!("{token}@a.b")] {
            assert_ne!(tokens.address(other), token, "{other}");
            assert!(!is_token(other));
        }
    }
}
