//! HTTP Archives, as browsers, proxies and webhook inspectors export them:
//! <http://www.softwareishard.com/blog/har-12-spec/>.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, HOST},
};
use serde::Deserialize;

use super::{Capture, CaptureError, choose, header};
use crate::clock::Timestamp;

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: Option<String>,
    text: Option<String>,
    /// `base64`. The standard has it for responses only; tools write it here in both spellings.
    #[serde(alias = "_encoding")]
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

pub(super) fn read(text: &[u8], entry: Option<usize>) -> Result<Capture, CaptureError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let archive: Archive = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        CaptureError::malformed(format!("it is not an HTTP Archive (line {line}, column {column})"))
    })?;
    let (entry, doubt) = choose(archive.log.entries, entry, |entry| &entry.request.url)?;
    let mut doubts: Vec<_> = doubt.into_iter().collect();
    let mut headers = headers(&entry.request.headers)?;
    let body = match &entry.request.post_data {
        None => Bytes::new(),
        Some(data) => {
            if let Some(Ok(mime)) = data.mime_type.as_deref().filter(|mime| !mime.is_empty()).map(HeaderValue::try_from)
                && !headers.contains_key(CONTENT_TYPE)
            {
                headers.insert(CONTENT_TYPE, mime);
                doubts.push("content-type is taken from postData.mimeType: the archive has no such header".into());
            }
            body(data, &mut doubts)?
        }
    };
    let mut capture = Capture::new(&entry.request.method, &entry.request.url, headers, body)?;
    capture.at = entry.started_date_time.and_then(|time| time.parse::<Timestamp>().ok());
    capture.doubts = doubts;
    Ok(capture)
}

fn headers(pairs: &[Pair]) -> Result<HeaderMap, CaptureError> {
    let mut headers = HeaderMap::new();
    for pair in pairs {
        let (name, value) = (pair.name.as_bytes(), pair.value.as_bytes());
        // HTTP/2's pseudo headers: the authority is the host, the others are in the URL and the method.
        if name.starts_with(b":") {
            if name == b":authority"
                && let Ok(value) = HeaderValue::from_bytes(value)
            {
                headers.insert(HOST, value);
            }
            continue;
        }
        let (name, value) = header(name, value).ok_or_else(|| CaptureError::malformed("a header is none"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn body(data: &PostData, doubts: &mut Vec<String>) -> Result<Bytes, CaptureError> {
    let Some(text) = &data.text else {
        if data.params.is_empty() {
            return Ok(Bytes::new());
        }
        doubts.push("the archive has the form's fields and not its text: how it was escaped is a guess".into());
        let pairs = data.params.iter().map(|pair| (&pair.name, &pair.value));
        return Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into());
    };
    if data.encoding.as_deref().is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64")) {
        let bytes = STANDARD.decode(text.trim());
        return bytes.map(Bytes::from).map_err(|_| CaptureError::malformed("postData.text is not base64"));
    }
    if text.contains('\u{fffd}') {
        doubts.push("postData.text holds U+FFFD: bytes that were no UTF-8 are lost".into());
    }
    Ok(Bytes::from(text.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn archive(request: Value) -> Result<Capture, CaptureError> {
        let entry = json!({ "startedDateTime": "2026-11-20T19:40:00.250+01:00", "request": request });
        read(json!({ "log": { "entries": [entry] } }).to_string().as_bytes(), None)
    }

    #[test]
    fn the_body_may_be_text_or_base64_in_either_spelling() {
        for data in [
            json!({ "mimeType": "text/plain", "text": "é\r\n" }),
            json!({ "mimeType": "text/plain", "text": "w6kNCg==", "encoding": "base64" }),
            json!({ "mimeType": "text/plain", "text": "w6kNCg==", "_encoding": "base64" }),
        ] {
            let capture = archive(json!({ "method": "POST", "url": "https://a.example/x", "postData": data })).unwrap();
            assert_eq!(capture.body.as_ref(), "é\r\n".as_bytes());
            assert_eq!(capture.headers["content-type"], "text/plain");
            assert_eq!(capture.at, "2026-11-20T18:40:00.250Z".parse().ok());
        }
    }

    #[test]
    fn pseudo_headers_are_no_headers() {
        let headers = json!([{ "name": ":authority", "value": "b.example" }, { "name": ":path", "value": "/x" }]);
        let capture = archive(json!({ "method": "GET", "url": "https://a.example/x", "headers": headers })).unwrap();
        assert_eq!(capture.headers["host"], "b.example");
        assert_eq!(capture.headers.len(), 1);
        assert!(capture.body.is_empty());
    }

    #[test]
    fn fields_without_text_are_put_together_with_a_doubt() {
        let data =
            json!({ "mimeType": "application/x-www-form-urlencoded", "params": [{ "name": "a b", "value": "+" }] });
        let capture = archive(json!({ "method": "POST", "url": "/x", "headers": [], "postData": data })).unwrap();
        assert_eq!(capture.body.as_ref(), b"a+b=%2B");
        assert!(capture.doubts.iter().any(|doubt| doubt.contains("a guess")), "{:?}", capture.doubts);
    }

    #[test]
    fn an_entry_is_chosen_by_its_number_or_its_path() {
        let entry = |url: &str| json!({ "request": { "method": "GET", "url": url } });
        let text = json!({ "log": { "entries": [entry("/favicon.ico"), entry("/incoming/a/b"), entry("/c")] } });
        let chosen = |entry| read(text.to_string().as_bytes(), entry).map(|capture| capture.target);
        assert_eq!(chosen(None).unwrap(), "/incoming/a/b");
        assert_eq!(chosen(Some(2)).unwrap(), "/c");
        assert!(chosen(Some(3)).is_err());
        assert!(read(b"{}", None).is_err());
        assert!(read(br#"{"log":{"entries":[]}}"#, None).is_err());
    }
}
