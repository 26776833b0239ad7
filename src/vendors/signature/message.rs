//! The signed bytes: a template, filled in from a request.

use http::HeaderName;

use super::super::{Refusal, Request, Trace, keyring};
use crate::config::{Part, Template};

/// The parts of the signed bytes, one after the other.
///
/// # Errors
/// A header that the template names is missing, empty or repeated.
pub(super) fn parts<'a>(
    template: &'a Template,
    request: &Request<'a>,
    timestamp: Option<&'a str>,
    id: Option<&HeaderName>,
    trace: &mut Trace,
) -> Result<Vec<&'a [u8]>, Refusal> {
    let mut header = |name| keyring::configured_header(request.headers, name, trace);
    let id = id.map(&mut header).transpose()?;
    let parts = template.parts().iter().map(|part| {
        Ok(match part {
            Part::Text(text) => text.as_bytes(),
            Part::Body => request.body,
            // The configuration is refused where a template has one of these and no place for it.
            Part::Timestamp => timestamp.unwrap_or_default().as_bytes(),
            Part::Id => id.unwrap_or_default().as_bytes(),
            Part::Url => request.url.as_bytes(),
            Part::Path => path(request.url).as_bytes(),
            Part::Method => request.method.as_str().as_bytes(),
            Part::Header(name) => header(name)?.as_bytes(),
        })
    });
    parts.collect()
}

/// The path of an absolute URL.
fn path(url: &str) -> &str {
    let authority = url.find("://").map_or(url, |at| &url[at + 3..]);
    let path = authority.find('/').map_or("", |at| &authority[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_neither_host_nor_query() {
        for (url, expected) in [
            ("https://a.example/incoming/x/sms/status", "/incoming/x/sms/status"),
            ("https://a.example:8443/v1/x%2Fy/?q=/z#f", "/v1/x%2Fy/"),
            ("https://a.example", ""),
            ("", ""),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
    }
}
