//! Tokens for an entity: made of a shared access key, or had from Entra ID.

use std::{sync::Arc, time::Duration};

use azure_core::credentials::TokenCredential;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::connection_string::SharedKey;
use crate::{clock::Timestamp, config::Secret};

/// How long a shared access token of our own making is good for.
const SAS_LIFETIME: Duration = Duration::from_secs(3600);
/// What Entra ID tokens for Service Bus are asked for.
const SCOPE: &str = "https://servicebus.azure.net/.default";
/// All that need not be escaped in a token.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Who we are to Service Bus.
#[derive(Debug, Clone)]
pub enum Credential {
    Shared(SharedKey),
    Entra(Arc<dyn TokenCredential>),
}

/// A token, as put-token takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub value: Secret,
    /// `servicebus.windows.net:sastoken` or `jwt`.
    pub kind: &'static str,
    pub expires_at: Timestamp,
}

impl Credential {
    /// A token for an address like `sb://contoso.servicebus.windows.net/callbacks`.
    ///
    /// # Errors
    /// What Entra ID, or the way to it, said.
    pub(super) async fn token(&self, audience: &str, now: Timestamp) -> Result<Token, String> {
        match self {
            Self::Shared(SharedKey::Policy { name, key }) => Ok(sign(audience, name, key, now + SAS_LIFETIME)),
            Self::Shared(SharedKey::Token(token)) => {
                Ok(Token { expires_at: expiry(token).unwrap_or(now + SAS_LIFETIME), value: token.clone(), kind: SAS })
            }
            Self::Entra(credential) => {
                let token = credential.get_token(&[SCOPE], None).await.map_err(|error| error.to_string())?;
                let expires_at = DateTime::from_timestamp(token.expires_on.unix_timestamp(), 0);
                Ok(Token {
                    value: Secret::new(token.token.secret()),
                    kind: "jwt",
                    expires_at: expires_at.ok_or("the token's expiry is out of range")?,
                })
            }
        }
    }
}

const SAS: &str = "servicebus.windows.net:sastoken";

/// A shared access token: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas>.
fn sign(audience: &str, name: &str, key: &Secret, expires_at: Timestamp) -> Token {
    let resource = utf8_percent_encode(audience, ESCAPED).to_string();
    let expiry = expires_at.timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{resource}\n{expiry}").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let signature = utf8_percent_encode(&signature, ESCAPED);
    let name = utf8_percent_encode(name, ESCAPED);
    let value = format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={name}");
    Token { value: Secret::new(value), kind: SAS, expires_at }
}

/// When a token that somebody else made runs out.
fn expiry(token: &Secret) -> Option<Timestamp> {
    let (_, fields) = token.expose().split_once(' ')?;
    let seconds = fields.split('&').find_map(|field| field.strip_prefix("se="))?;
    DateTime::from_timestamp(seconds.parse().ok()?, 0)
}

/// How long to wait before a token is renewed: five minutes before it runs out, or a fifth of its life if that is less.
pub(super) fn renew_in(expires_at: Timestamp, now: Timestamp) -> Duration {
    let left = (expires_at - now).to_std().unwrap_or_default();
    left - (left / 5).min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// Computed with Python: `base64(hmac_sha256(key, quote(audience, safe='') + '\n' + expiry))`.
    #[test]
    fn a_shared_access_token_is_signed_over_the_escaped_address_and_its_expiry() {
        let audience = "sb://contoso.servicebus.windows.net/callbacks/Subscriptions/sms";
        let token = sign(audience, "Root Manage", &Secret::new("a+b/c=="), at(1_800_000_000));
        assert_eq!(
            token.value.expose(),
            "SharedAccessSignature sr=sb%3A%2F%2Fcontoso.servicebus.windows.net%2Fcallbacks%2FSubscriptions%2Fsms\
             &sig=HJ%2BhN53uBmcj1o0H3FHRjV651JrgLVw6%2FM%2BnYegygrc%3D&se=1800000000&skn=Root%20Manage"
        );
        assert_eq!(token.expires_at, at(1_800_000_000));
    }

    #[tokio::test]
    async fn a_ready_made_token_says_itself_when_it_runs_out() {
        let text = "SharedAccessSignature sr=sb%3a%2f%2fh&sig=x%3d&se=1800000000&skn=n";
        let credential = Credential::Shared(SharedKey::Token(Secret::new(text)));
        let token = credential.token("sb://h/callbacks", at(0)).await.unwrap();
        assert_eq!((token.value.expose(), token.expires_at), (text, at(1_800_000_000)));
    }

    #[test]
    fn a_token_is_renewed_well_before_it_runs_out() {
        assert_eq!(renew_in(at(3600), at(0)), Duration::from_secs(3300));
        assert_eq!(renew_in(at(100), at(0)), Duration::from_secs(80));
        assert_eq!(renew_in(at(0), at(100)), Duration::ZERO);
    }

    #[tokio::test]
    async fn no_secret_shows_in_debug_output() {
        let key = SharedKey::Policy { name: "n".into(), key: Secret::new("topsecret") };
        let credential = Credential::Shared(key);
        let token = credential.token("sb://h/callbacks", at(0)).await.unwrap();
        let shown = format!("{credential:?} {token:?}");
        assert!(!shown.contains("topsecret") && !shown.contains("sig="), "{shown}");
    }
}
