//! The three signed fields, wherever the body has them: in JSON below `signature`, in a form beside the rest.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::vendors::{Request, form, multipart};

/// How a body is written. Events come as JSON, mail that a route forwards as a form, with attachments as a multipart
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Form,
    Multipart,
}

impl Content {
    pub fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("multipart/form-data") {
            Content::Multipart
        } else if body.trim_ascii_start().starts_with(b"{") {
            Content::Json
        } else {
            Content::Form
        }
    }
}

/// What is signed, and the signature.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub timestamp: Cow<'a, str>,
    pub token: Cow<'a, str>,
    pub signature: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    signature: Signature<'a>,
}

#[derive(Deserialize)]
struct Signature<'a> {
    /// In quotes or not; the digits are what is signed.
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
}

impl<'a> Fields<'a> {
    pub fn of_request(request: &Request<'a>) -> Option<Self> {
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Self::of(content_type, request.body)
    }

    /// The fields of a body; `None` where one is missing. In a form the last of a name counts, as it does with Mailgun's
    /// users in Python; in JSON none of the three may come twice.
    pub fn of(content_type: Option<&str>, body: &'a [u8]) -> Option<Self> {
        match Content::of(content_type, body) {
            Content::Json => {
                let text = std::str::from_utf8(body).ok()?;
                let Body { signature: Signature { timestamp, token, signature } } = serde_json::from_str(text).ok()?;
                let digits = timestamp.get();
                let digits = digits.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(digits);
                Some(Self { timestamp: Cow::Borrowed(digits), token, signature })
            }
            Content::Form => {
                let last = Last::of(form::raw_pairs(body));
                Some(Self {
                    timestamp: form::text(last.timestamp?)?,
                    token: form::text(last.token?)?,
                    signature: form::text(last.signature?)?,
                })
            }
            Content::Multipart => {
                let parts = multipart::parts(content_type?, body)?;
                let last = Last::of(parts.iter().map(|part| (part.name.as_bytes(), part.content)));
                let text = |content: Option<&'a [u8]>| Some(Cow::Borrowed(std::str::from_utf8(content?).ok()?));
                Some(Self {
                    timestamp: text(last.timestamp)?,
                    token: text(last.token)?,
                    signature: text(last.signature)?,
                })
            }
        }
    }
}

/// The last values of the three names.
#[derive(Default)]
struct Last<'a> {
    timestamp: Option<&'a [u8]>,
    token: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

impl<'a> Last<'a> {
    fn of<'n>(fields: impl Iterator<Item = (&'n [u8], &'a [u8])>) -> Self {
        let mut last = Self::default();
        for (name, value) in fields {
            match name {
                b"timestamp" => last.timestamp = Some(value),
                b"token" => last.token = Some(value),
                b"signature" => last.signature = Some(value),
                _ => {}
            }
        }
        last
    }
}
