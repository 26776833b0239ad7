//! Forms that were decoded and written anew: `application/x-www-form-urlencoded` leaves the writer several choices.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::Hypothesis;
use crate::explain::case::{Case, Change};

const RAW: &str = "Read the body as raw bytes: a form that is parsed and written again has other bytes.";

/// Which characters writers leave as they are, beside letters and digits, and what they make of a space.
const WRITERS: [(&AsciiSet, &str); 4] = [
    // Browsers, Java, .NET (with lower case escapes): the WHATWG's form serialiser.
    (&NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_'), "+"),
    // Python's urlencode.
    (&NON_ALPHANUMERIC.remove(b'~').remove(b'-').remove(b'.').remove(b'_'), "+"),
    // RFC 3986.
    (&NON_ALPHANUMERIC.remove(b'~').remove(b'-').remove(b'.').remove(b'_'), "%20"),
    // JavaScript's encodeURIComponent.
    (
        &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'!')
            .remove(b'~')
            .remove(b'*')
            .remove(b'\'')
            .remove(b'(')
            .remove(b')'),
        "%20",
    ),
];

pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let Ok(body) = std::str::from_utf8(&case.body) else { return Vec::new() };
    // JSON and XML have quotes and brackets, which no form has unescaped.
    if !body.contains('=') || body.contains(['{', '<', '"']) {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut add = |code, body: String, cause: &str| {
        all.push(Hypothesis::new(code, Change::Body(Bytes::from(body)), cause, RAW));
    };
    const ENCODING: &str = "body.form_encoding";
    add(ENCODING, body.replace('+', "%2B"), "The form was decoded and not encoded again: each + stands for itself.");
    add(ENCODING, body.replace('+', "%20"), "The form was written anew: the vendor signed %20 where here is +.");
    add(ENCODING, body.replace("%20", "+"), "The form was written anew: the vendor signed + where here is %20.");
    add(ENCODING, body.replace("%25", "%"), "The form was escaped twice.");
    add(ENCODING, swap_hex_case(body), "The form's escapes have another letter case than the vendor signed.");
    for text in rewritten(body) {
        add(ENCODING, text, "The form was written anew, with another way of escaping than the vendor's.");
    }
    let mut pairs: Vec<_> = body.split('&').collect();
    pairs.reverse();
    add("body.form_order", pairs.join("&"), "The form's fields are in another order than the vendor signed.");
    pairs.sort_unstable();
    add("body.form_order", pairs.join("&"), "The form's fields are in another order than the vendor signed.");
    all
}

/// A form or query as each of the usual writers would have it.
pub(super) fn rewritten(form: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (set, space) in WRITERS {
        let part = |text: &str| {
            let decoded: Vec<u8> = percent_decode(text.replace('+', " ").as_bytes()).collect();
            percent_encode(&decoded, set).to_string().replace("%20", space)
        };
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => format!("{}={}", part(name), part(value)),
            None => part(pair),
        };
        let text = form.split('&').map(pair).collect::<Vec<_>>().join("&");
        all.push(swap_hex_case(&text));
        all.push(text);
    }
    all
}

/// Upper case escapes for lower case ones; lower case ones where all are in upper case.
pub(super) fn swap_hex_case(text: &str) -> String {
    let escapes = |text: &str, change: fn(&str) -> String| {
        let mut parts = text.split('%');
        let mut changed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
            changed += &format!("%{}{}", change(&part[..digits]), &part[digits..]);
        }
        changed
    };
    let upper = escapes(text, str::to_ascii_uppercase);
    if upper == text { escapes(text, str::to_ascii_lowercase) } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_others_write_it() {
        let all = rewritten("a=%2B1+x&b='~*&c");
        for expected in ["a=%2B1+x&b=%27%7E*&c", "a=%2b1+x&b=%27%7e*&c", "a=%2B1%20x&b=%27~%2A&c", "a=%2B1%20x&b='~*&c"]
        {
            assert!(all.iter().any(|text| text == expected), "{expected}: {all:?}");
        }
    }

    #[test]
    fn escapes_change_their_case_and_nothing_else_does() {
        assert_eq!(swap_hex_case("Ab=%2b%C3%a9%"), "Ab=%2B%C3%A9%");
        assert_eq!(swap_hex_case("Ab=%2B"), "Ab=%2b");
        assert_eq!(swap_hex_case("a%é"), "a%é");
    }
}
