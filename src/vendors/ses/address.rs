//! The URLs of Amazon SNS that a message may name. They are matched as text, character by character: what two parsers
//! might read differently (a port, credentials, an escape, a dot segment) is in none of them, and each certificate has
//! one spelling only.

/// Whether a certificate may be fetched here: `https://sns.{region}.amazonaws.com/....pem`, also under `.com.cn`.
pub(super) fn is_certificate(url: &str) -> bool {
    let Some(path) = path(url) else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let segment = |segment: &str| segment.bytes().all(plain) && segment.bytes().any(|byte| byte != b'.');
    path.ends_with(".pem") && path.split('/').all(segment)
}

/// Whether a subscription may be confirmed here: the host's root with any query.
pub(super) fn is_confirmation(url: &str) -> bool {
    path(url).is_some_and(|path| {
        (path.is_empty() || path.starts_with('?')) && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    })
}

/// What follows the host and its slash, where the host is one of SNS.
fn path(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_prefix("sns.")?.strip_suffix(".amazonaws.com")?;
    is_region(region).then_some(path)
}

/// Such as `us-east-1`. Other services let anybody choose the name before theirs: `sns.s3-us-west-2.amazonaws.com` is
/// a bucket.
fn is_region(region: &str) -> bool {
    let Some((place, number)) = region.rsplit_once('-') else { return false };
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    place.contains('-')
        && place.split('-').all(word)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_fetched_from_amazon_sns_only() {
        for url in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
            "https://sns.us-gov-west-1.amazonaws.com/a/b.c_d.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        ] {
            assert!(is_certificate(url), "{url}");
        }
        for url in [
            "http://sns.us-east-1.amazonaws.com/x.pem",
            "HTTPS://sns.us-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com/x.txt",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com/.pem/",
            "https://sns.us-east-1.amazonaws.com:443/x.pem",
            "https://a@sns.us-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com@evil.example/x.pem",
            "https://sns.us-east-1.amazonaws.com\\.evil.example/x.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/x.pem",
            "https://evil.sns.us-east-1.amazonaws.com/x.pem",
            "https://snsxus-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.org/x.pem",
            "https://sns..amazonaws.com/x.pem",
            "https://sns.s3.amazonaws.com/x.pem",
            "https://sns.s3-us-west-2.amazonaws.com/x.pem",
            "https://sns.execute-api.amazonaws.com/x.pem",
            "https://sns.US-EAST-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com./x.pem",
        ] {
            assert!(!is_certificate(url), "{url}");
        }
    }

    #[test]
    fn a_certificate_has_one_spelling() {
        for path in
            ["x.pem?", "x.pem?y=.pem", "?x.pem", "x.pem#", "#x.pem", "/x.pem", "a//x.pem", "./x.pem", "a/../x.pem"]
        {
            assert!(!is_certificate(&format!("https://sns.us-east-1.amazonaws.com/{path}")), "{path}");
        }
        for path in ["%78.pem", "x%2epem", "x.pem ", "x\n.pem", "\u{e9}.pem", "a\\b.pem", "x;y.pem"] {
            assert!(!is_certificate(&format!("https://sns.us-east-1.amazonaws.com/{path}")), "{path}");
        }
    }

    #[test]
    fn a_subscription_is_confirmed_at_the_root_of_amazon_sns_only() {
        assert!(is_confirmation("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1%3A2"));
        for url in [
            "https://evil.example/?Action=ConfirmSubscription",
            "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
            "https://sns.us-east-1.amazonaws.com?Action=ConfirmSubscription",
            "https://sns.us-east-1.amazonaws.com/x?Action=ConfirmSubscription",
            "https://sns.us-east-1.amazonaws.com/?a b",
            "https://sns.us-east-1.amazonaws.com/?a#b",
            "https://sns.us-east-1.amazonaws.com/?a\r\nHost: x",
        ] {
            assert!(!is_confirmation(url), "{url}");
        }
    }
}
