//! One genuine callback to paste into a shell.

use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::sign::TwilioKey;
use crate::config::{Config, Scheme};

/// A `curl` line with a Twilio delivery receipt for a new message, signed for this configuration, and the message's key.
/// `None` where no Twilio account is configured.
pub fn sample_curl(config: &Config, url: &str) -> Option<(String, String)> {
    let (vendor, twilio) = config.vendors.iter().find(|(_, vendor)| vendor.scheme == Scheme::Twilio)?;
    let key = twilio.secrets.iter().find_map(|secret| secret.as_ref().ok())?;
    let service = twilio.services.iter().find(|(_, channel)| channel.name() == "sms")?.0;
    let sid = format!("SM{}", Uuid::new_v4().simple());
    let parameters: [(&str, String); 5] = [
        ("MessageSid", sid.clone()),
        ("MessageStatus", "delivered".into()),
        ("To", "+12025550143".into()),
        ("From", "+15017122661".into()),
        ("AccountSid", "AC00000000000000000000000000000000".into()),
    ];
    let path = format!("/incoming/{vendor}/{service}/status");
    let signature = TwilioKey::auth_token(key.expose()).sign(&format!("{}{path}", config.public_url), &parameters);
    let body = Serializer::new(String::new()).extend_pairs(&parameters).finish();
    Some((
        format!("curl -sS '{url}{path}' -H 'X-Twilio-Signature: {signature}' -d '{body}'"),
        format!("{vendor}:{sid}"),
    ))
}
