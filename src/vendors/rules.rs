//! What is known of each vendor besides its code: how it signs, how long it waits, when it tries again.
//!
//! Vendors change these; a figure that no documentation gives is left out rather than guessed.

use crate::config::Scheme;

/// A vendor's rules, in words for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The word in `sluice.toml`.
    pub scheme: &'static str,
    /// How a callback proves where it comes from.
    pub proof: &'static str,
    /// How long the vendor waits for an answer.
    pub deadline: Option<&'static str>,
    /// What it tries again, and for how long.
    pub retries: Option<&'static str>,
    /// What an operator should know.
    pub advice: Option<&'static str>,
}

/// Every scheme, vendors' own first.
pub const SCHEMES: [Scheme; 21] = [
    Scheme::Twilio,
    Scheme::Sendgrid,
    Scheme::Vonage,
    Scheme::Mailgun,
    Scheme::Ses,
    Scheme::Telnyx,
    Scheme::Plivo,
    Scheme::Postmark,
    Scheme::Mandrill,
    Scheme::Sparkpost,
    Scheme::Messagebird,
    Scheme::Bird,
    Scheme::Sinch,
    Scheme::Infobip,
    Scheme::StandardWebhooks,
    Scheme::Signature,
    Scheme::Github,
    Scheme::Stripe,
    Scheme::Slack,
    Scheme::Credential,
    Scheme::None,
];

/// The rules of a scheme.
pub fn rules(scheme: Scheme) -> Rules {
    let of = |scheme, proof| Rules { scheme, proof, deadline: None, retries: None, advice: None };
    match scheme {
        Scheme::Twilio => Rules {
            deadline: Some("15 s in all, 5 s to connect"),
            retries: Some("once, and only when the connection fails: a 5xx is lost"),
            advice: Some("append #rc=5&rp=all to the callback URL, so that Twilio tries again after a 5xx too"),
            ..of("twilio", "HMAC-SHA1 over URL and parameters; SharedKeys: HMAC-SHA256")
        },
        Scheme::Sendgrid => Rules {
            retries: Some("anything but 2xx, for 24 h"),
            ..of("sendgrid", "ECDSA P-256 over timestamp and body")
        },
        Scheme::Vonage => Rules {
            deadline: Some("5 s, 3 s to connect (voice)"),
            retries: Some("timeout, 429, 503, 504: twice; inbound SMS of the old API for 24 h"),
            advice: Some(
                "signing must be switched on for the account; legacy `sig` is accepted only with legacy = \"vonage-...\"",
            ),
            ..of("vonage", "JWT (HS256) with a hash of the body")
        },
        Scheme::Mailgun => Rules {
            retries: Some("anything but 200 and 406, for 8 h in 6 tries"),
            advice: Some(
                "the signature does not cover the event: only TLS, the age limit and the replay cache protect it",
            ),
            ..of("mailgun", "HMAC-SHA256 over timestamp and token")
        },
        Scheme::Ses => Rules {
            deadline: Some("15 s"),
            retries: Some("3 times 20 s apart by default, at most 1 h; other 4xx than 429 may be final"),
            advice: Some("set the topic's SignatureVersion to 2, and a delivery policy or a dead-letter queue"),
            ..of("ses", "Amazon SNS: RSA over the notification, by Amazon's certificate")
        },
        Scheme::Telnyx => Rules {
            deadline: Some("2 s"),
            retries: Some("anything but 2xx, 3 tries for each URL, then the failover URL"),
            advice: Some("keep instances warm: a cold start takes longer than Telnyx waits"),
            ..of("telnyx", "Ed25519 over timestamp and body")
        },
        Scheme::Plivo => Rules {
            retries: Some("anything but 200, for 24 h (inbound messages)"),
            advice: Some("V2 signatures bind no parameter: they are accepted only with legacy = \"plivo-v2\""),
            ..of("plivo", "HMAC-SHA256 over URL, parameters and nonce (V3)")
        },
        Scheme::Postmark => Rules {
            deadline: Some("2 min (inbound)"),
            retries: Some("anything but 200, 10 times in 10.5 h (inbound); 403 stops it"),
            advice: Some("nothing is signed: put user and password into the webhook's URL"),
            ..of("postmark", "Basic credentials")
        },
        Scheme::Mandrill => Rules {
            retries: Some("anything but 200"),
            advice: Some("public_url must be the registered URL's beginning exactly: Mandrill signs it"),
            ..of("mandrill", "HMAC-SHA1 over URL and parameters")
        },
        Scheme::Sparkpost => Rules {
            deadline: Some("10 s"),
            retries: Some("anything but 200, for 8 h"),
            advice: Some(
                "nothing is signed: give the webhook Basic credentials, or a bearer token with credential = \"bearer\"",
            ),
            ..of("sparkpost", "Basic or bearer credentials")
        },
        Scheme::Messagebird => of("messagebird", "JWT (HS256, HS384, HS512) with hashes of URL and body"),
        Scheme::Bird => of("bird", "HMAC-SHA256 over timestamp, URL and a hash of the body"),
        Scheme::Sinch => Rules {
            retries: Some("5xx and 429, for 22 h 45 min; any other 4xx is final"),
            ..of("sinch", "HMAC-SHA256 over body, nonce and timestamp; numbers and voice: their own HMAC")
        },
        Scheme::Infobip => of("infobip", "Basic credentials"),
        Scheme::StandardWebhooks => Rules {
            deadline: Some("15 to 30 s suggested"),
            retries: Some("for up to 3 days suggested; 410 switches the endpoint off"),
            ..of("standard-webhooks", "HMAC-SHA256 (v1) or Ed25519 (v1a) over id, timestamp and body")
        },
        Scheme::Signature => of("signature", "HMAC or Ed25519, as [vendors.NAME.signature] describes it"),
        Scheme::Github => of("github", "X-Hub-Signature-256: HMAC-SHA256 over the body"),
        Scheme::Stripe => of("stripe", "t=...,v1=...: HMAC-SHA256 over timestamp and body"),
        Scheme::Slack => of("slack", "v0=...: HMAC-SHA256 over timestamp and body"),
        Scheme::Credential => of("credential", "a shared secret in a header"),
        Scheme::None => Rules {
            advice: Some("accepts anything: keep it behind a network that only the vendor can reach"),
            ..of("none", "nothing")
        },
    }
}
