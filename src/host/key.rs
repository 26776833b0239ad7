//! Function keys: what a request must bring to a function whose `authLevel` is `function`.

use http::{Request, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Carries the key.
pub const KEY_HEADER: &str = "x-functions-key";

/// A key, as it is compared. Without one nobody is let in.
#[derive(Clone)]
pub struct FunctionKey(Option<[u8; 32]>);

impl std::fmt::Debug for FunctionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_some() { "FunctionKey(..)" } else { "FunctionKey(none)" })
    }
}

impl FunctionKey {
    /// An empty key is none: anybody has it.
    pub fn new(key: Option<&str>) -> Self {
        Self(key.filter(|key| !key.is_empty()).map(digest))
    }

    /// Whether the request has the key as a bearer token: what scrapers of metrics can send.
    pub fn admits_bearer<B>(&self, request: &Request<B>) -> bool {
        let Some(expected) = &self.0 else { return false };
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = header.and_then(|value| value.strip_prefix("Bearer "));
        given.is_some_and(|given| digest(given).ct_eq(expected).into())
    }

    /// Whether the request has the key: in its header, or, where there is no such header, in its query as `code`.
    pub fn admits<B>(&self, request: &Request<B>) -> bool {
        let Some(expected) = &self.0 else { return false };
        let given = match request.headers().get(KEY_HEADER) {
            Some(value) => digest(value.as_bytes()),
            None => {
                let query = request.uri().query().unwrap_or_default();
                let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
                let Some((_, code)) = code else { return false };
                digest(code.as_bytes())
            }
        };
        // Digests are of one length, so that the time tells nothing of the key's.
        given.ct_eq(expected).into()
    }
}

fn digest(key: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, header: Option<&str>) -> Request<()> {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header(KEY_HEADER, header);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_header_is_believed_before_the_query() {
        let key = FunctionKey::new(Some("right"));
        assert!(key.admits(&request("/manage", Some("right"))));
        assert!(key.admits(&request("/manage?code=right", None)));
        assert!(key.admits(&request("/manage?code=wrong", Some("right"))));
        assert!(!key.admits(&request("/manage?code=right", Some("wrong"))));
        assert!(!key.admits(&request("/manage?code=righ", None)));
        assert!(!key.admits(&request("/manage", None)));
    }

    #[test]
    fn a_bearer_token_is_the_whole_key() {
        let key = FunctionKey::new(Some("right"));
        let request = |value| Request::get("/metrics").header(AUTHORIZATION, value).body(()).unwrap();
        assert!(key.admits_bearer(&request("Bearer right")));
        for wrong in ["Bearer wrong", "Basic right", "right", "Bearer ", ""] {
            assert!(!key.admits_bearer(&request(wrong)), "{wrong}");
        }
        assert!(!FunctionKey::new(None).admits_bearer(&request("Bearer ")));
    }

    #[test]
    fn without_a_key_nobody_is_let_in() {
        for none in [None, Some("")] {
            let key = FunctionKey::new(none);
            assert!(!key.admits(&request("/manage?code=", None)));
            assert!(!key.admits(&request("/manage", Some(""))));
        }
    }
}
