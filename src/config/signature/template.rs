//! The text that a signature covers, as a template: `v0:{timestamp}:{body}`.

use std::{fmt, str::FromStr};

use http::HeaderName;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// One part of the signed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What stands between the placeholders.
    Text(String),
    /// The exact bytes of the body.
    Body,
    Timestamp,
    Id,
    /// The URL that the vendor was given, with the query as received.
    Url,
    /// The URL's path, without host and query.
    Path,
    /// In upper case.
    Method,
    /// A header's value.
    Header(HeaderName),
}

impl Template {
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let (name, after) = rest[at..]
                .strip_prefix('{')
                .and_then(|open| open.split_once('}'))
                .ok_or("has a brace without its other half")?;
            parts.push(placeholder(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if !parts.contains(&Part::Body) {
            return Err("has no {body}: anybody could change what the callback says".to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

fn placeholder(name: &str) -> Result<Part, String> {
    Ok(match name {
        "body" => Part::Body,
        "timestamp" => Part::Timestamp,
        "id" => Part::Id,
        "url" => Part::Url,
        "path" => Part::Path,
        "method" => Part::Method,
        _ => {
            let header = name.strip_prefix("header:").ok_or_else(|| {
                format!("has {{{name}}}; known are {{body}} {{timestamp}} {{id}} {{url}} {{path}} {{method}} {{header:NAME}}")
            })?;
            let header = HeaderName::try_from(header.trim());
            Part::Header(header.map_err(|_| format!("has {{{name}}}, which names no header that can exist"))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Part>, String> {
        text.parse::<Template>().map(|template| template.parts)
    }

    #[test]
    fn a_template_is_text_and_placeholders_in_order() {
        let text = |text: &str| Part::Text(text.into());
        assert_eq!(parse("{body}"), Ok(vec![Part::Body]));
        assert_eq!(
            parse("v0:{timestamp}\n{header:X-Id}{body}!"),
            Ok(vec![
                text("v0:"),
                Part::Timestamp,
                text("\n"),
                Part::Header(HeaderName::from_static("x-id")),
                Part::Body,
                text("!")
            ])
        );
        assert_eq!(parse("{method}{path}{url}{id}{body}").map(|parts| parts.len()), Ok(5));
    }

    #[test]
    fn a_template_that_cannot_be_meant_says_why() {
        for (template, expected) in [
            ("", "no {body}"),
            ("{timestamp}", "no {body}"),
            ("{body", "a brace"),
            ("body}", "a brace"),
            ("{{body}}", "{{body}"),
            ("{Body}", "{Body}; known are"),
            ("{header:a b}{body}", "names no header"),
            ("{header:}{body}", "names no header"),
        ] {
            let problem = parse(template).unwrap_err();
            assert!(problem.contains(expected), "{template}: {problem}");
        }
    }
}
