//! How a vendor signs that no scheme knows by name: `[vendors.NAME.signature]`.

mod template;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::Locator};

pub use template::{Part, Template};

/// One header holds the signature of a text that the vendor puts together from parts of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub header: HeaderName,
    pub layout: Layout,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// How a secret is written. `None`: as text for an HMAC; as hex or base64, whichever it is, for Ed25519.
    pub secret: Option<SecretText>,
    pub signed: Template,
    /// Where the signed time is: seconds or milliseconds since 1970, or RFC 3339.
    pub timestamp: Option<TimestampPlace>,
    /// The header with the signed id of the callback.
    pub id: Option<HeaderName>,
}

/// How the header holds the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Alone, after a prefix that may be empty.
    Alone { prefix: String },
    /// In a list `k=v,k=v`, under this name. Where the name is there more than once, any of them may fit.
    List { field: String },
}

/// Where the signed time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampPlace {
    Header(HeaderName),
    /// This name in the list that holds the signature.
    Field(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// The secrets are public keys: 32 bytes in hex or base64.
    Ed25519,
}

/// How the signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// In whatever case.
    Hex,
    /// The standard alphabet, padded.
    Base64,
}

/// How the text of a secret becomes the bytes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretText {
    Text,
    Base64,
    Hex,
}

impl Signature {
    /// Whether the query is signed.
    pub(super) fn covers_query(&self) -> bool {
        self.signed.parts().contains(&Part::Url)
    }
}

/// How the vendor signs, for the scheme `signature`: one header holds the signature of a text that is put together from parts
/// of the request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureTable {
    /// The header that holds the signature.
    #[schemars(with = "String")]
    header: Spanned<String>,
    /// What the signature is made with.
    algorithm: Algorithm,
    /// How the signature is written.
    encoding: Encoding,
    /// What stands before the signature, as `sha256=` or `v0=`; by default nothing.
    #[schemars(with = "Option<String>")]
    prefix: Option<Spanned<String>>,
    /// The name of the signature in a list `k=v,k=v`, where it may be more than once (Stripe's form).
    #[schemars(with = "Option<String>")]
    field: Option<Spanned<String>>,
    /// The bytes that it covers, with `{body}` `{timestamp}` `{id}` `{url}` `{path}` `{method}` `{header:NAME}` in their places;
    /// there must be a `{body}`.
    #[schemars(with = "String")]
    signed: Spanned<String>,
    /// Where the signed time is: `header:NAME`, or `field:NAME` in the list. `tolerance` is then `5m` unless set.
    #[schemars(with = "Option<String>")]
    timestamp: Option<Spanned<String>>,
    /// Where `{id}` is: `header:NAME`.
    #[schemars(with = "Option<String>")]
    id: Option<Spanned<String>>,
    /// How the secret is written. Absent: as text; an Ed25519 key as hex or base64, whichever it is.
    #[schemars(with = "Option<SecretText>")]
    secret: Option<Spanned<SecretText>>,
}

impl SignatureTable {
    /// # Errors
    /// A name that cannot exist, a template that says nothing, or fields that contradict each other.
    pub fn resolve(self, at: &Locator, key: &str) -> Result<Signature, ConfigError> {
        let wrong = |text: &Spanned<String>, field: &str, problem: &str| {
            at.value(text.span(), format!("{key}.{field}"), problem.to_owned())
        };
        let no_header = "names no header that can exist";
        let header =
            HeaderName::try_from(self.header.get_ref()).map_err(|_| wrong(&self.header, "header", no_header))?;
        let layout = match (&self.prefix, &self.field) {
            (Some(prefix), Some(_)) => return Err(wrong(prefix, "prefix", "has no use beside `field`")),
            (None, Some(field)) if !is_name(field.get_ref()) => {
                return Err(wrong(field, "field", "must be a name without spaces, commas and equals signs"));
            }
            (None, Some(field)) => Layout::List { field: field.get_ref().clone() },
            (prefix, None) => {
                Layout::Alone { prefix: prefix.as_ref().map(|p| p.get_ref().clone()).unwrap_or_default() }
            }
        };
        let signed: Template =
            self.signed.get_ref().parse().map_err(|problem: String| wrong(&self.signed, "signed", &problem))?;

        let timestamp = match &self.timestamp {
            None => None,
            Some(text) => Some(timestamp_place(text.get_ref(), &layout).map_err(|p| wrong(text, "timestamp", p))?),
        };
        let id = match &self.id {
            None => None,
            Some(text) => Some(header_place(text.get_ref()).map_err(|problem| wrong(text, "id", problem))?),
        };
        for (field, place, part) in [("timestamp", &self.timestamp, Part::Timestamp), ("id", &self.id, Part::Id)] {
            match (place, signed.parts().contains(&part)) {
                (None, true) => {
                    let problem = format!("has {{{field}}}: say where that is, as {field} = \"header:NAME\"");
                    return Err(wrong(&self.signed, "signed", &problem));
                }
                // Anybody could write another one into a captured callback.
                (Some(place), false) => {
                    let problem = format!("proves nothing: `signed` has no {{{field}}}");
                    return Err(wrong(place, field, &problem));
                }
                _ => {}
            }
        }
        if let (Algorithm::Ed25519, Some(secret)) = (self.algorithm, &self.secret)
            && *secret.get_ref() == SecretText::Text
        {
            let problem = "must be hex or base64: an Ed25519 key is 32 bytes".to_owned();
            return Err(at.value(secret.span(), format!("{key}.secret"), problem));
        }
        Ok(Signature {
            header,
            layout,
            algorithm: self.algorithm,
            encoding: self.encoding,
            secret: self.secret.map(Spanned::into_inner),
            signed,
            timestamp,
            id,
        })
    }
}

fn timestamp_place(text: &str, layout: &Layout) -> Result<TimestampPlace, &'static str> {
    match (text.strip_prefix("field:").map(str::trim), layout) {
        (None, _) => header_place(text).map(TimestampPlace::Header),
        (Some(_), Layout::Alone { .. }) => Err("is in a list: set `field` to the name of the signature in it"),
        (Some(name), Layout::List { field }) if !is_name(name) || name == field => Err("names no other field"),
        (Some(name), Layout::List { .. }) => Ok(TimestampPlace::Field(name.to_owned())),
    }
}

fn header_place(text: &str) -> Result<HeaderName, &'static str> {
    let name = text.strip_prefix("header:").ok_or("must be header:NAME, or for a timestamp field:NAME")?;
    HeaderName::try_from(name.trim()).map_err(|_| "names no header that can exist")
}

/// Whether a list `k=v,k=v` can have this name.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains([',', '=']) && !text.contains(char::is_whitespace)
}
