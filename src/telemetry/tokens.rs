//! Keyed tokens: a phone number or address that can be compared and looked up, but not read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

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
    pub fn address(&self, address: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(canonical(address).as_bytes());
        format!("tok_{}", hex::encode(&mac.finalize().into_bytes()[..16]))
    }
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
}
