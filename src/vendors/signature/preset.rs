//! Well-known vendors' signatures, in the words of `[vendors.NAME.signature]`.

use http::HeaderName;

use crate::config::{Algorithm, Encoding, Layout, Scheme, Signature, TimestampPlace};

/// How the vendors of this scheme sign; `None` where the configuration has to tell.
pub(super) fn of(scheme: Scheme) -> Option<Signature> {
    let alone = |prefix: &str| Layout::Alone { prefix: prefix.to_owned() };
    let (header, layout, signed, timestamp) = match scheme {
        // <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
        Scheme::Github => ("x-hub-signature-256", alone("sha256="), "{body}", None),
        // <https://docs.stripe.com/webhooks#verify-manually>
        Scheme::Stripe => {
            let timestamp = TimestampPlace::Field("t".to_owned());
            ("stripe-signature", Layout::List { field: "v1".to_owned() }, "{timestamp}.{body}", Some(timestamp))
        }
        // <https://docs.slack.dev/authentication/verifying-requests-from-slack>
        Scheme::Slack => {
            let timestamp = TimestampPlace::Header(HeaderName::from_static("x-slack-request-timestamp"));
            ("x-slack-signature", alone("v0="), "v0:{timestamp}:{body}", Some(timestamp))
        }
        _ => return None,
    };
    Some(Signature {
        header: HeaderName::from_static(header),
        layout,
        algorithm: Algorithm::HmacSha256,
        encoding: Encoding::Hex,
        secret: None,
        signed: signed.parse().expect("these templates are well formed"),
        timestamp,
        id: None,
    })
}
