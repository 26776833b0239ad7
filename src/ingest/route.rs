//! The route `/incoming/{vendor}/{servicetype}/{*requesttype}`. Letter case is ignored, as the Functions host does; the
//! rest may be empty.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The parts of a path. Vendor and service type are in lower case.
#[derive(Debug, PartialEq, Eq)]
pub struct Route<'a> {
    pub vendor: Cow<'a, str>,
    pub service_type: Cow<'a, str>,
    pub request_type: &'a str,
}

impl<'a> Route<'a> {
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.splitn(4, '/');
        let first = segments.next()?;
        if !first.eq_ignore_ascii_case("incoming") {
            return None;
        }
        let vendor = segment(segments.next()?)?;
        let service_type = segment(segments.next()?)?;
        Some(Self { vendor, service_type, request_type: segments.next().unwrap_or_default() })
    }
}

/// A segment, decoded and in lower case; `None` where it is empty or not UTF-8.
fn segment(raw: &str) -> Option<Cow<'_, str>> {
    // As it is mostly written, and this runs for every request.
    if !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Some(Cow::Borrowed(raw));
    }
    let decoded = percent_decode_str(raw).decode_utf8().ok()?;
    if decoded.is_empty() {
        return None;
    }
    Some(if decoded.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(decoded.to_ascii_lowercase())
    } else {
        decoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_and_the_rest_may_be_empty() {
        for (path, expected) in [
            ("/incoming/twilio/sms/status", Some(("twilio", "sms", "status"))),
            ("/Incoming/Twilio/SMS/Status/a", Some(("twilio", "sms", "Status/a"))),
            ("/incoming/twilio/sms", Some(("twilio", "sms", ""))),
            ("/incoming/twilio/sms/", Some(("twilio", "sms", ""))),
            ("/incoming/tw%69lio/sms/x", Some(("twilio", "sms", "x"))),
            ("/incoming/twilio", None),
            ("/incoming//sms/x", None),
            ("/incoming/%ff/sms/x", None),
            ("/other/twilio/sms/x", None),
            ("", None),
        ] {
            let route = Route::parse(path);
            let found = route.as_ref().map(|r| (r.vendor.as_ref(), r.service_type.as_ref(), r.request_type));
            assert_eq!(found, expected, "{path}");
        }
    }
}
