//! A captured request, whatever wrote it down: [`curl_trace`], [`har`], [`raw`] or the command line.
//!
//! Signatures cover exact bytes, so nothing is normalised here. Where a form of capture cannot keep every byte, it leaves
//! a doubt that the explanation tells.

mod curl_trace;
mod har;
mod raw;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use crate::clock::Timestamp;

/// A request as it was on the wire.
#[derive(Debug, Clone)]
pub struct Capture {
    pub method: Method,
    /// Scheme and authority, for example `https://hooks.example.com:8443`, where the capture has both.
    pub origin: Option<String>,
    /// Path and query exactly as captured.
    pub target: String,
    /// With `host`, where it is known.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When it was captured, where the capture says so.
    pub at: Option<Timestamp>,
    /// What may differ from the wire, as sentences.
    pub doubts: Vec<String>,
}

/// Why a capture cannot be read. Nothing of the request is in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    #[error("there is no request in it: {0}")]
    NoRequest(String),
    #[error("{0}")]
    Malformed(String),
}

impl CaptureError {
    fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }
}

impl Capture {
    /// A request by its parts. Headers are lines of the form `Name: value`; the URL may be a path alone.
    ///
    /// # Errors
    /// A part is not of its form.
    pub fn from_parts(method: &str, url: &str, headers: &[String], body: Bytes) -> Result<Self, CaptureError> {
        let mut map = HeaderMap::new();
        for line in headers {
            let (name, value) = header_line(line.as_bytes())
                .ok_or_else(|| CaptureError::malformed("a header is not of the form 'Name: value'"))?;
            map.append(name, value);
        }
        Self::new(method, url, map, body)
    }

    /// Reads what `curl --trace FILE` or `--trace-ascii FILE` wrote. `entry` counts its requests from 0; without it the
    /// first to `/incoming/` is taken.
    ///
    /// # Errors
    /// There is no such request in it, or it is damaged.
    pub fn from_curl_trace(text: &[u8], entry: Option<usize>) -> Result<Self, CaptureError> {
        curl_trace::read(text, entry)
    }

    /// Reads an HTTP Archive (<http://www.softwareishard.com/blog/har-12-spec/>). `entry` is an index into
    /// `log.entries`; without it the first to `/incoming/` is taken.
    ///
    /// # Errors
    /// It is none, or has no such entry.
    pub fn from_har(text: &[u8], entry: Option<usize>) -> Result<Self, CaptureError> {
        har::read(text, entry)
    }

    /// Reads an HTTP/1.1 request: request line, headers, a blank line, the body.
    ///
    /// # Errors
    /// It is none.
    pub fn from_raw(text: &[u8]) -> Result<Self, CaptureError> {
        raw::read(text)
    }

    fn new(method: &str, url: &str, mut headers: HeaderMap, body: Bytes) -> Result<Self, CaptureError> {
        let method = Method::from_bytes(method.trim().to_ascii_uppercase().as_bytes())
            .map_err(|_| CaptureError::malformed("the method is none"))?;
        let (origin, target) = split(url)?;
        // HTTP/1.1 has no request without one, and it tells which host was called.
        if let Some(host) = origin.as_deref().and_then(|origin| HeaderValue::try_from(host_of(origin)).ok()) {
            headers.entry(HOST).or_insert(host);
        }
        Ok(Self { method, origin, target, headers, body, at: None, doubts: Vec::new() })
    }

    /// Takes the body as a server reads it: chunks joined, and nothing beyond `Content-Length`.
    fn frame_body(&mut self) {
        if self.headers.contains_key(TRANSFER_ENCODING) {
            if let Some(body) = raw::join_chunks(&self.body) {
                self.body = body.into();
            }
            return;
        }
        let length = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let Some(length) = length else { return };
        let have: usize = self.body.len();
        if have > length {
            self.body.truncate(length);
            let more = have - length;
            self.doubts.push(format!("{more} bytes after Content-Length ({length}) are left out, as a server would"));
        } else if have < length {
            self.doubts.push(format!("Content-Length says {length} bytes, and the capture has {have} of body"));
        }
    }
}

/// Which of several requests is meant.
fn choose<T>(
    mut requests: Vec<T>,
    entry: Option<usize>,
    target: impl Fn(&T) -> &str,
) -> Result<(T, Option<String>), CaptureError> {
    let count = requests.len();
    let chosen = match entry {
        Some(entry) if entry >= count => {
            return Err(CaptureError::NoRequest(format!("it has {count} requests, and --entry counts from 0")));
        }
        Some(entry) => entry,
        None => requests.iter().position(|request| target(request).contains("/incoming/")).unwrap_or(0),
    };
    let doubt = (entry.is_none() && count > 1)
        .then(|| format!("the capture has {count} requests: this is --entry {chosen}, counted from 0"));
    match count {
        0 => Err(CaptureError::NoRequest("nothing was sent".into())),
        _ => Ok((requests.swap_remove(chosen), doubt)),
    }
}

/// Cuts a URL into scheme and authority, and path and query. A fragment never reaches a server.
fn split(url: &str) -> Result<(Option<String>, String), CaptureError> {
    let url = url.trim().split('#').next().unwrap_or_default();
    let (origin, target) = match url.find("://") {
        _ if url.starts_with('/') => (None, url),
        Some(at) => {
            let end = url[at + 3..].find(['/', '?']).map_or(url.len(), |end| at + 3 + end);
            (Some(url[..end].to_owned()), &url[end..])
        }
        None => return Err(CaptureError::malformed("the URL must begin with http://, https:// or /")),
    };
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok((origin, target))
}

/// The authority of an origin, without credentials.
pub(super) fn host_of(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// `Name: value`, with the space around the value dropped, as a server does.
fn header_line(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    header(&line[..colon], &line[colon + 1..])
}

fn header(name: &[u8], value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_and_otherwise_left_alone() {
        let cut = |url: &str| split(url).map(|(origin, target)| (origin.unwrap_or_default(), target)).ok();
        let parts = |origin: &str, target: &str| Some((origin.to_owned(), target.to_owned()));
        assert_eq!(cut("https://a.example:8443/B/%7e?c='"), parts("https://a.example:8443", "/B/%7e?c='"));
        assert_eq!(cut("/incoming/x?y=https://z"), parts("", "/incoming/x?y=https://z"));
        assert_eq!(cut("http://a.example?x#rc=5"), parts("http://a.example", "/?x"));
        assert_eq!(cut("a.example/x"), None);
        assert_eq!(host_of("https://user:pass@a.example:1"), "a.example:1");
    }

    #[test]
    fn a_header_is_needed_in_full() {
        let capture =
            |header: &str| Capture::from_parts("POST", "http://a.example/", &[header.to_owned()], Bytes::new());
        assert_eq!(capture("X-Name:  some value ").unwrap().headers["x-name"], "some value");
        assert_eq!(capture("Host: b.example").unwrap().headers["host"], "b.example");
        assert_eq!(capture("X-Name: 1").unwrap().headers["host"], "a.example");
        assert!(capture("no colon").is_err());
        assert!(capture("not a name: 1").is_err());
    }
}
