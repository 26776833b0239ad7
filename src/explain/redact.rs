//! What an explanation must not show: secrets, signatures that would let somebody sign, and more of people's data than
//! it takes to see what went wrong.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::AUTHORIZATION;

use super::case::Case;
use crate::config::{Config, Scheme, Secret};

const HIDDEN: &[u8] = b"[secret]";
/// Shorter ones would make holes in any text, and keep nobody out.
const SHORTEST_SECRET: usize = 4;
/// Parameters of a URL that are secrets.
const KEYS_IN_QUERY: [&str; 8] = ["code", "key", "apikey", "api_key", "token", "access_token", "secret", "password"];
/// Characters of a signature that are shown.
const SIGNATURE_START: usize = 6;
/// Bytes of signed text that are shown from its head; of a body in it only [`BODY_HEAD`].
const HEAD: usize = 32;
/// Enough to see a byte order mark, and the first key of an object.
const BODY_HEAD: usize = 10;
/// Enough to see line ends, and less than tells a phone number.
const TAIL: usize = 4;
/// As many bytes of the body tell where it begins in a signed text.
const BODY_START: usize = 16;
/// Characters of a harmless header that are shown.
const LONGEST_HEADER: usize = 80;

/// Knows every secret of the configuration, and takes it out of whatever is told.
pub(super) struct Redactor {
    /// Longest first, so that none is left in half.
    secrets: Vec<Vec<u8>>,
    /// How the body begins.
    body: Vec<u8>,
    /// Whether what is compared is the secret itself.
    bare: bool,
    full: bool,
}

impl Redactor {
    pub fn new(config: &Config, case: &Case, full: bool) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut take = |secret: &Secret| texts.push(secret.expose().trim().to_owned());
        for vendor in config.vendors.values() {
            let slots = vendor.secrets.iter().chain(vendor.shared_keys.values());
            slots.chain(vendor.accounts.values().flatten()).flatten().for_each(&mut take);
        }
        config.privacy_key.iter().chain(config.demo_secrets.values()).for_each(&mut take);
        // Credentials of a request are secrets too, though they may be the wrong ones.
        for value in case.headers.get_all(AUTHORIZATION) {
            let Some((_, credentials)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { continue };
            texts.push(credentials.trim().to_owned());
            texts.extend(STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
        }
        texts.extend(
            config
                .public_url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('@'))
                .map(|(user, _)| user.to_owned()),
        );
        // A key of an Azure function arrives as `code`; others put a token of their own into the URL.
        let query = case.url.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if KEYS_IN_QUERY.iter().any(|key| name.eq_ignore_ascii_case(key)) {
                texts.push(value.to_owned());
            }
        }
        let mut secrets = Vec::new();
        for text in texts {
            let password = text.split_once(':').map(|(_, password)| password.to_owned());
            let bare = text.strip_prefix("whsec_").map(str::to_owned);
            let unquoted = Some(text.trim_matches(['"', '\'']).to_owned());
            for text in [Some(text), unquoted, password, bare]
                .into_iter()
                .flatten()
                .filter(|text| text.len() >= SHORTEST_SECRET)
            {
                secrets.push(STANDARD.encode(&text).into_bytes());
                secrets.push(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into_bytes());
                secrets.push(text.into_bytes());
            }
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        let bare =
            matches!(case.config.scheme, Scheme::Credential | Scheme::Postmark | Scheme::Sparkpost | Scheme::Infobip);
        let body = case.body[..case.body.len().min(BODY_START)].to_vec();
        Self { secrets, body, bare, full }
    }

    /// Text without secrets.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.secrets.iter().fold(bytes.to_vec(), |bytes, secret| hide(bytes, secret))
    }

    /// A URL: its query may hold numbers and texts of people.
    pub fn url(&self, url: &str) -> String {
        let url = self.text(url);
        match url.split_once('?') {
            Some((head, query)) if !self.full && query.len() > LONGEST_HEADER => {
                let shown: String = query.chars().take(LONGEST_HEADER).collect();
                format!("{head}?{shown}... ({} more characters)", query.len() - shown.len())
            }
            _ => url,
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str, value: &str) -> String {
        if self.bare && value.contains("not shown") {
            // The verifier has hidden it already, and says why.
            return self.text(value);
        }
        if ["authorization", "cookie"].contains(&name) || self.bare {
            let scheme = value.split_once(' ').filter(|_| name == "authorization").map_or("", |(scheme, _)| scheme);
            return format!("{scheme} [not shown, {} characters]", value.len()).trim().to_owned();
        }
        let told = ["timestamp", "nonce", "settings"].iter().any(|word| name.ends_with(word));
        if !told && ["sign", "token", "secret", "key", "hmac"].iter().any(|word| name.contains(word)) {
            return self.signature(value);
        }
        let shown: String = self.text(value).chars().take(LONGEST_HEADER).collect();
        if shown.len() < value.len() && !self.full { format!("{shown}... ({} characters)", value.len()) } else { shown }
    }

    /// The first characters of a signature: enough to see whether two differ, too few to use.
    pub fn signature(&self, text: &str) -> String {
        if self.bare {
            // A fingerprint is made to be compared: it is good for this run alone.
            let fingerprint = text.starts_with("fingerprint ");
            return if fingerprint {
                text.to_owned()
            } else {
                format!("[not shown, {} characters]", text.chars().count())
            };
        }
        let text = self.text(text);
        let length = text.chars().count();
        // Of a version before the signature nothing is given away: `v1,` or `sha256=`.
        let prefix =
            ["v1,", "v1a,", "v1=", "v0=", "sha256=", "sha1="].into_iter().find(|prefix| text.starts_with(*prefix));
        let prefix = prefix.map_or(0, str::len);
        let shown: String =
            text.chars().take(prefix + SIGNATURE_START.min(length.saturating_sub(prefix) / 4)).collect();
        format!("{shown}... ({length} characters)")
    }

    /// Signed bytes: their head, and their end where that was left out.
    pub fn signed(&self, bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let bytes = self.bytes(bytes);
        if self.full || bytes.len() <= HEAD + TAIL {
            return (bytes, None);
        }
        let body = match self.body.len() {
            0 => None,
            length => bytes.windows(length).take(HEAD).position(|window| window == self.body),
        };
        let head = body.map_or(HEAD, |at| HEAD.min(at + BODY_HEAD));
        (bytes[..head].to_vec(), Some(bytes[bytes.len() - TAIL..].to_vec()))
    }
}

fn hide(text: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    if !text.windows(secret.len()).any(|window| window == secret) {
        return text;
    }
    let mut hidden = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
        hidden.extend_from_slice(&rest[..at]);
        hidden.extend_from_slice(HIDDEN);
        rest = &rest[at + secret.len()..];
    }
    hidden.extend_from_slice(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(bare: bool, full: bool) -> Redactor {
        let secrets = vec![b"longer-secret".to_vec(), b"secret-1".to_vec()];
        Redactor { secrets, body: br#"[{"email":"ana@e"#.to_vec(), bare, full }
    }

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands() {
        let redactor = redactor(false, true);
        assert_eq!(redactor.text("a=secret-1&b=longer-secret-1secret-1"), "a=[secret]&b=[secret]-1[secret]");
        assert_eq!(redactor.signed(b"xsecret-1"), (b"x[secret]".to_vec(), None));
    }

    #[test]
    fn no_signature_is_shown_in_full() {
        let redactor = redactor(false, true);
        assert_eq!(redactor.signature("hV2QvxAAAAAAAAAAAAAAAAAAAAA="), "hV2Qvx... (28 characters)");
        assert_eq!(redactor.signature("v1,hV2QvxAAAAAAAAAAAAAAAAAAAAA="), "v1,hV2Qvx... (31 characters)");
        assert_eq!(redactor.signature("abcdefgh"), "ab... (8 characters)");
        assert_eq!(redactor.signature(""), "... (0 characters)");
    }

    #[test]
    fn credentials_are_not_shown_at_all() {
        let redactor = redactor(true, true);
        assert_eq!(redactor.header("authorization", "Basic dTpw"), "Basic [not shown, 10 characters]");
        assert_eq!(redactor.header("x-token", "abc"), "[not shown, 3 characters]");
        assert_eq!(redactor.signature("user:pass"), "[not shown, 9 characters]");
    }

    #[test]
    fn long_texts_are_shortened_unless_asked_for() {
        let text = b"https://hooks.example.com/incoming/twilio/sms/statusBodyHello To+12025550143";
        let (head, tail) = redactor(false, false).signed(text);
        assert_eq!((head.as_slice(), tail.as_deref()), (&text[..32], Some(&b"0143"[..])));
        let (head, tail) = redactor(false, false).signed(b"1795200000[{\"email\":\"ana@example.com\"},...\r\n");
        assert_eq!((head.as_slice(), tail.as_deref()), (&b"1795200000[{\"email\":"[..], Some(&b"..\r\n"[..])));
        assert_eq!(redactor(false, true).signed(text), (text.to_vec(), None));
    }
}
