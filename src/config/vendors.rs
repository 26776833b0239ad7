//! Vendors: which scheme they sign by, and where their secrets are.

use std::{collections::BTreeMap, time::Duration};

use bytesize::ByteSize;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{
    ConfigError, Ingest, MissingSecret, Secret,
    error::Locator,
    mapping::Mapping,
    secrets::{Resolver, SecretSource},
    signature::{Signature, SignatureTable},
};
use crate::{
    event::Channel,
    openapi::{DurationText, SizeText},
};

/// How a vendor proves that a callback is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    Twilio,
    Sendgrid,
    Vonage,
    Mailgun,
    /// Amazon SES through Amazon SNS.
    Ses,
    Telnyx,
    Plivo,
    Postmark,
    Mandrill,
    Sparkpost,
    Messagebird,
    Bird,
    Sinch,
    Infobip,
    StandardWebhooks,
    /// An HMAC or Ed25519 signature as `signature` describes it.
    Signature,
    /// `X-Hub-Signature-256`, as GitHub and Meta send it.
    Github,
    /// `Stripe-Signature: t=...,v1=...`
    Stripe,
    /// `X-Slack-Signature: v0=...`
    Slack,
    /// A shared secret in a header, as `credential` says.
    Credential,
    /// Accepts anything: for a vendor that signs nothing, behind a network that only it can reach.
    None,
}

impl Scheme {
    /// Whether the scheme tells only who signed, so that a mapping must tell what the payload means.
    pub fn is_generic(self) -> bool {
        matches!(
            self,
            Scheme::StandardWebhooks
                | Scheme::Signature
                | Scheme::Github
                | Scheme::Stripe
                | Scheme::Slack
                | Scheme::Credential
                | Scheme::None
        )
    }
}

/// Whose callbacks are refused first when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// First: what is refused is sent again for hours.
    Low,
    Normal,
    /// Last: what is refused may be lost.
    High,
}

impl Priority {
    /// The word in `sluice.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        }
    }
}

/// The answer to an accepted callback.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The media type of the body.
    pub content_type: String,
    /// The whole body.
    pub body: String,
}

/// Where a shared secret arrives: `basic` (the secret is `user:password`), `bearer`, or `header:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Credential {
    /// `Authorization: Basic ...`
    #[default]
    Basic,
    /// `Authorization: Bearer ...`
    Bearer,
    /// The bare secret in this header.
    Header(HeaderName),
}

impl TryFrom<String> for Credential {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "basic" => Ok(Credential::Basic),
            "bearer" => Ok(Credential::Bearer),
            other => match other.strip_prefix("header:").map(|name| HeaderName::try_from(name.trim())) {
                Some(Ok(name)) => Ok(Credential::Header(name)),
                _ => Err("must be basic, bearer or header:NAME"),
            },
        }
    }
}

/// What e-mail vendors may send in one body unless configured: the largest inbound mail of any of them has 35 MB.
const LARGE_BATCH: ByteSize = ByteSize::mib(40);
/// The Functions host takes no more than this (100 MB).
const HOST_LIMIT: u64 = 100_000_000;

/// One vendor, resolved.
#[derive(Debug, Clone)]
pub struct VendorConfig {
    pub scheme: Scheme,
    /// Service types of the route, and the channel that processes each.
    pub services: BTreeMap<String, Channel>,
    /// Every live secret (or public key), each with what may be missing. Two during a rotation.
    pub secrets: Vec<Result<Secret, MissingSecret>>,
    /// Twilio SharedKey secrets by key id.
    pub shared_keys: BTreeMap<String, Result<Secret, MissingSecret>>,
    /// Live secrets of accounts that sign with their own: Twilio subaccounts by AccountSid, Vonage accounts by api_key,
    /// Sinch applications by application key.
    pub accounts: BTreeMap<String, Vec<Result<Secret, MissingSecret>>>,
    /// Where a shared secret arrives, for schemes that sign nothing.
    pub credential: Credential,
    /// How the vendor signs, for the scheme `signature`.
    pub signature: Option<Signature>,
    /// Amazon SNS topics that may call, by ARN; one that ends with `*` stands for all that begin alike.
    pub topics: Vec<String>,
    /// Origins that may ask for consent by the CloudEvents handshake (`OPTIONS` with `WebHook-Request-Origin`).
    pub allowed_origins: Vec<String>,
    /// What a token's `iss` must be, for schemes that sign one (Vonage).
    pub issuer: Option<String>,
    /// A weaker scheme of the vendor's past that is accepted too: Vonage's `sig` and how it is made, Plivo's V2.
    pub legacy: Option<Legacy>,
    /// Larger bodies are answered 413; `None` takes the scheme's own rule: [`VendorConfig::largest_body`].
    pub body_limit: Option<ByteSize>,
    /// `None` takes the scheme's own: [`VendorConfig::priority`].
    pub priority: Option<Priority>,
    /// How old or early a signed timestamp may be; `None` takes the scheme's own rule.
    pub tolerance: Option<Duration>,
    /// `None` takes the scheme's own answer.
    pub answer: Option<Answer>,
    pub mapping: Option<Mapping>,
}

/// A weaker scheme of a vendor's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Legacy {
    /// Vonage: MD5 of the parameters and the secret.
    VonageMd5Hash,
    /// Vonage: HMAC of the parameters.
    VonageMd5,
    /// Vonage: HMAC of the parameters.
    VonageSha1,
    /// Vonage: HMAC of the parameters.
    VonageSha256,
    /// Vonage: HMAC of the parameters.
    VonageSha512,
    /// Plivo: HMAC of the URL without its query; it binds no parameter.
    PlivoV2,
}

impl VendorConfig {
    /// A vendor of this scheme, without secrets and services, and nothing special about it.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            services: BTreeMap::new(),
            secrets: Vec::new(),
            shared_keys: BTreeMap::new(),
            accounts: BTreeMap::new(),
            credential: Credential::default(),
            signature: None,
            topics: Vec::new(),
            allowed_origins: Vec::new(),
            issuer: None,
            legacy: None,
            body_limit: None,
            priority: None,
            tolerance: None,
            answer: None,
            mapping: None,
        }
    }

    /// The largest body that is accepted, in bytes. Those who send a thousand e-mail events at a time, or whole e-mails with
    /// their attachments, may send more than others: a batch that is refused for its size is lost for good.
    pub fn largest_body(&self, ingest: &Ingest) -> u64 {
        let batches = matches!(
            self.scheme,
            Scheme::Sendgrid | Scheme::Mailgun | Scheme::Postmark | Scheme::Mandrill | Scheme::Sparkpost
        );
        let default = if batches { ingest.body_limit.max(LARGE_BATCH) } else { ingest.body_limit };
        self.body_limit.unwrap_or(default).as_u64()
    }

    /// When its callbacks are refused, if there are too many: unless configured, the sooner the longer it tries again after
    /// a 503 (`sluice vendors` tells). A vendor of whom nothing is known may not do so at all.
    pub fn priority(&self) -> Priority {
        let by_scheme = match self.scheme {
            Scheme::Sendgrid | Scheme::Postmark | Scheme::Sparkpost | Scheme::Sinch => Priority::Low,
            // A few times, for minutes; or for hours, with some kinds of callbacks left out (Mailgun, Plivo), or as a
            // suggestion only (Standard Webhooks).
            Scheme::Vonage
            | Scheme::Mailgun
            | Scheme::Ses
            | Scheme::Telnyx
            | Scheme::Plivo
            | Scheme::Mandrill
            | Scheme::StandardWebhooks => Priority::Normal,
            Scheme::Twilio
            | Scheme::Messagebird
            | Scheme::Bird
            | Scheme::Infobip
            | Scheme::Signature
            | Scheme::Github
            | Scheme::Stripe
            | Scheme::Slack
            | Scheme::Credential
            | Scheme::None => Priority::High,
        };
        self.priority.unwrap_or(by_scheme)
    }

    /// Every secret that the file names and the environment does not have.
    pub fn missing_secrets(&self) -> impl Iterator<Item = MissingSecret> + '_ {
        let accounts = self.accounts.values().flatten();
        let every = self.secrets.iter().chain(self.shared_keys.values()).chain(accounts);
        every.filter_map(|secret| secret.as_ref().err().cloned())
    }
}

/// A vendor. NAME is the `{vendor}` of the route `/incoming/{vendor}/{servicetype}/...`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorTable {
    /// How its callbacks are verified.
    scheme: Scheme,
    /// Each `{servicetype}` of the route, and the channel that processes it.
    #[schemars(with = "BTreeMap<String, Channel>")]
    services: BTreeMap<Spanned<String>, Channel>,
    /// Where each live secret (or public key) is; two during a rotation, any of them may have signed.
    #[serde(default)]
    #[schemars(with = "Vec<SecretSource>")]
    secrets: Vec<Spanned<SecretSource>>,
    /// Twilio only: SharedKey secrets by key id.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SecretSource>")]
    shared_keys: BTreeMap<String, Spanned<SecretSource>>,
    /// Accounts that sign with secrets of their own; no other account's secret counts for them. Twilio: subaccounts by
    /// AccountSid; Vonage: by api_key; Sinch: applications by application key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<SecretSource>>")]
    accounts: BTreeMap<String, Vec<Spanned<SecretSource>>>,
    /// Where a secret arrives that signs nothing: `basic` (the secret is `user:password`), `bearer`, or `header:NAME`. For
    /// postmark, sparkpost, infobip and credential; `basic` unless set, except for credential, which needs it.
    #[schemars(with = "Option<String>")]
    credential: Option<Credential>,
    signature: Option<SignatureTable>,
    /// SES only: the SNS topics that may call, by ARN; a final `*` stands for anything.
    #[serde(default)]
    topics: Vec<String>,
    /// Who gets consent by the CloudEvents handshake (`OPTIONS`), for example `eventgrid.azure.net`; `*` is anybody.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// Vonage only: what a token's `iss` must be; absent: not looked at.
    issuer: Option<String>,
    /// A weaker scheme of the vendor's past that is accepted too.
    legacy: Option<Legacy>,
    /// Larger bodies of this vendor are answered 413. Absent: as in `[ingest]`; at least 40 MiB for sendgrid, mailgun, postmark,
    /// mandrill and sparkpost, which send whole e-mails. At most 8 that exceed `[ingest]` are read at a time.
    #[schemars(with = "Option<SizeText>")]
    body_limit: Option<ByteSize>,
    /// Whose callbacks are refused first when there are too many. Absent: by how long the vendor tries again; `sluice vendors`
    /// tells.
    priority: Option<Priority>,
    /// How far a signed time may be from now, where the scheme signs one. Absent: the scheme's own rule.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "Option<DurationText>")]
    tolerance: Option<Duration>,
    answer: Option<Answer>,
    mapping: Option<Mapping>,
}

impl VendorTable {
    pub fn resolve(
        self,
        at: &Locator,
        name: &Spanned<String>,
        secrets: &Resolver,
    ) -> Result<VendorConfig, ConfigError> {
        let key = format!("vendors.{}", name.get_ref());
        check_segment(at, name, &key)?;
        for service in self.services.keys() {
            check_segment(at, service, &format!("{key}.services"))?;
        }
        let wrong = |field: &str, problem: &str| at.value(name.span(), format!("{key}.{field}"), problem.into());
        if self.services.is_empty() {
            return Err(wrong("services", "names no service type, so no route would reach this vendor"));
        }
        // Amazon's keys are public certificates: what is configured there is whom to believe.
        let keyless = matches!(self.scheme, Scheme::None | Scheme::Ses);
        if !keyless && self.secrets.is_empty() && self.shared_keys.is_empty() && self.accounts.is_empty() {
            return Err(wrong("secrets", "is empty: a scheme other than \"none\" needs at least one"));
        }
        if self.scheme == Scheme::Ses && !self.secrets.is_empty() {
            return Err(wrong("secrets", "has no use: Amazon signs with certificates of its own"));
        }
        if self.scheme.is_generic() && self.mapping.is_none() {
            return Err(wrong("mapping", "is missing: this scheme says who signed, not what the payload means"));
        }
        if !self.scheme.is_generic() && self.mapping.is_some() {
            return Err(wrong("mapping", "is only for generic schemes: this vendor's payload is known"));
        }
        if self.scheme != Scheme::Twilio && !self.shared_keys.is_empty() {
            return Err(wrong("shared_keys", "is only for the twilio scheme"));
        }
        if !matches!(self.scheme, Scheme::Twilio | Scheme::Vonage | Scheme::Sinch) && !self.accounts.is_empty() {
            return Err(wrong("accounts", "is only for the twilio, vonage and sinch schemes"));
        }
        let by_credential =
            matches!(self.scheme, Scheme::Credential | Scheme::Postmark | Scheme::Sparkpost | Scheme::Infobip);
        if self.scheme == Scheme::Credential && self.credential.is_none() {
            return Err(wrong("credential", "is missing: say \"basic\", \"bearer\" or \"header:NAME\""));
        }
        if !by_credential && self.credential.is_some() {
            return Err(wrong("credential", "has no use: this scheme signs its callbacks"));
        }
        if (self.scheme == Scheme::Ses) == self.topics.is_empty() {
            let problem = match self.topics.is_empty() {
                true => "is empty: anybody can subscribe this URL to a topic of their own, so name yours by ARN",
                false => "is only for the ses scheme",
            };
            return Err(wrong("topics", problem));
        }
        if self.scheme != Scheme::Vonage && self.issuer.is_some() {
            return Err(wrong("issuer", "is only for the vonage scheme"));
        }
        match (self.legacy, self.scheme) {
            (None, _) | (Some(Legacy::PlivoV2), Scheme::Plivo) => {}
            (Some(legacy), Scheme::Vonage) if legacy != Legacy::PlivoV2 => {}
            _ => return Err(wrong("legacy", "is not a scheme of this vendor")),
        }
        if self.body_limit.is_some_and(|limit| !(1..=HOST_LIMIT).contains(&limit.as_u64())) {
            return Err(wrong(
                "body_limit",
                "must be more than 0 and at most 100 MB, which is what the Functions host takes",
            ));
        }
        if self.tolerance.is_some_and(|tolerance| tolerance.is_zero()) {
            return Err(wrong("tolerance", "must be more than 0: no signed time is exactly now"));
        }
        if self.answer.as_ref().is_some_and(|answer| HeaderValue::try_from(&answer.content_type).is_err()) {
            return Err(wrong("answer.content_type", "cannot be the value of a header"));
        }
        if let Some((field, problem)) = self.mapping.as_ref().and_then(Mapping::fault) {
            return Err(wrong(&format!("mapping.{field}"), problem));
        }
        let signature = match (self.signature, self.scheme) {
            (Some(table), Scheme::Signature) => Some(table.resolve(at, &format!("{key}.signature"))?),
            (None, Scheme::Signature) => {
                return Err(wrong("signature", "is missing: this scheme is what that table tells"));
            }
            (Some(_), _) => return Err(wrong("signature", "is only for the signature scheme")),
            (None, _) => None,
        };
        let signs_no_time = match self.scheme {
            Scheme::Signature => signature.as_ref().is_some_and(|signature| signature.timestamp.is_none()),
            scheme => matches!(scheme, Scheme::Github | Scheme::Credential | Scheme::None),
        };
        if signs_no_time && self.tolerance.is_some() {
            return Err(wrong("tolerance", "has no use: no time is signed"));
        }
        let signs_query = match self.scheme {
            Scheme::Signature => signature.as_ref().is_some_and(Signature::covers_query),
            // Nothing is signed, and nothing less than all is trusted.
            scheme => matches!(scheme, Scheme::Credential | Scheme::None),
        };
        if let Some(field) = self.mapping.as_ref().and_then(Mapping::in_query).filter(|_| !signs_query) {
            return Err(wrong(&format!("mapping.{field}"), "is in the query, which is not signed: {url} would be"));
        }
        let mut resolved = Vec::new();
        for (index, source) in self.secrets.iter().enumerate() {
            resolved.push(secrets.resolve(&format!("{key}.secrets[{index}]"), source)?);
        }
        let mut shared_keys = BTreeMap::new();
        for (id, source) in &self.shared_keys {
            shared_keys.insert(id.clone(), secrets.resolve(&format!("{key}.shared_keys.{id}"), source)?);
        }
        let mut accounts = BTreeMap::new();
        for (id, sources) in &self.accounts {
            let place = format!("{key}.accounts.{id}");
            if sources.is_empty() {
                return Err(wrong(&format!("accounts.{id}"), "is empty: an account needs at least one secret"));
            }
            let mut resolved = Vec::new();
            for (index, source) in sources.iter().enumerate() {
                resolved.push(secrets.resolve(&format!("{place}[{index}]"), source)?);
            }
            accounts.insert(id.clone(), resolved);
        }
        Ok(VendorConfig {
            scheme: self.scheme,
            services: self.services.into_iter().map(|(name, channel)| (name.into_inner(), channel)).collect(),
            secrets: resolved,
            shared_keys,
            accounts,
            credential: self.credential.unwrap_or_default(),
            signature,
            topics: self.topics,
            allowed_origins: self.allowed_origins,
            issuer: self.issuer,
            legacy: self.legacy,
            body_limit: self.body_limit,
            priority: self.priority,
            tolerance: self.tolerance,
            answer: self.answer,
            mapping: self.mapping,
        })
    }
}

/// Names are segments of the route, which is matched without regard to case: they are lower case here.
fn check_segment(at: &Locator, name: &Spanned<String>, key: &str) -> Result<(), ConfigError> {
    let text = name.get_ref();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(allowed) {
        let problem = format!("`{text}` must be 1 to 40 of a-z, 0-9, - and _: it is a segment of the route");
        return Err(at.value(name.span(), key, problem));
    }
    Ok(())
}
