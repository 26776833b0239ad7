//! Route templates, matched as ASP.NET matches them, and the table of a function app's routes.
//!
//! Routes are tried in the functions' alphabetical order, and the first that takes both path and method wins: nothing
//! ranks a literal before a parameter. Literals match in any case; `{x}` takes one segment that is not empty, `{x?}`
//! may be missing at the end, and `{*rest}` takes all that remains, slashes included, or nothing. A trailing slash
//! does not count. A method that no matching route takes is a 404, not a 405.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// A route, such as `incoming/{vendor}/{servicetype}/{*requesttype}`.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Literal(String),
    Parameter { optional: bool, constraints: Vec<Constraint> },
    CatchAll,
}

/// What a parameter's value must look like. Not supported: regular expressions, dates and files.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Constraint {
    Int,
    Long,
    Bool,
    Guid,
    Alpha,
    Number,
    Length(usize, usize),
    Between(i64, i64),
}

impl RouteTemplate {
    /// Reads a template without slashes at its ends.
    ///
    /// # Errors
    /// ASP.NET would not take it, or it uses what is not supported here: several parts in one segment, and the
    /// constraints named above.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let bad = |problem: &str| format!("the route `{text}` {problem}");
        for part in text.split('/').filter(|_| !text.is_empty()) {
            if matches!(segments.last(), Some(Segment::CatchAll)) {
                return Err(bad("goes on after its catch-all"));
            }
            if part.is_empty() {
                return Err(bad("has an empty segment"));
            }
            let is_parameter = part.starts_with('{') && part.ends_with('}') && part.len() > 2;
            if !is_parameter {
                if part.contains(['{', '}', '?', '*']) {
                    return Err(bad(&format!("has the segment `{part}`: use a whole segment for each parameter")));
                }
                segments.push(Segment::Literal(part.to_owned()));
                continue;
            }
            let inner = &part[1..part.len() - 1];
            let (name, segment) = parameter(inner).map_err(|problem| bad(&problem))?;
            if names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(bad(&format!("names `{name}` twice")));
            }
            names.push(name.to_owned());
            segments.push(segment);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a path, percent-encoded as it came, matches.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/').filter(|_| !path.is_empty());
        for segment in &self.segments {
            let matched = match (segment, parts.next()) {
                (Segment::CatchAll, _) => return true,
                (Segment::Literal(literal), Some(part)) => equal(literal, part),
                (Segment::Literal(_), None) => false,
                (Segment::Parameter { constraints, .. }, Some(part)) => {
                    !part.is_empty() && constraints.iter().all(|constraint| constraint.holds(part))
                }
                (Segment::Parameter { optional, .. }, None) => *optional,
            };
            if !matched {
                return false;
            }
        }
        parts.next().is_none()
    }
}

/// The inside of `{…}`: `name`, `name?`, `*name`, `name:constraint:…`, `name=default`.
fn parameter(inner: &str) -> Result<(&str, Segment), String> {
    if let Some(name) = inner.strip_prefix('*') {
        let name = name.trim_start_matches('*');
        return check_name(name).map(|()| (name, Segment::CatchAll));
    }
    // A default has the effect of being optional, as far as matching goes.
    let (inner, optional) = match (inner.strip_suffix('?'), inner.split_once('=')) {
        (Some(inner), _) | (None, Some((inner, _))) => (inner, true),
        (None, None) => (inner, false),
    };
    let mut parts = inner.split(':');
    let name = parts.next().unwrap_or_default();
    check_name(name)?;
    let constraints = parts.map(Constraint::parse).collect::<Result<_, _>>()?;
    Ok((name, Segment::Parameter { optional, constraints }))
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['{', '}', '/', '?', '*']) {
        return Err(format!("has the parameter name `{name}`"));
    }
    Ok(())
}

impl Constraint {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, arguments) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, arguments)) => (name, arguments.split(',').map(str::trim).collect()),
            None => (text, Vec::new()),
        };
        let unknown = || format!("has the constraint `{text}`, which is not supported");
        let numbers: Vec<i64> =
            arguments.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|_| unknown())?;
        let length = |number: i64| usize::try_from(number).map_err(|_| unknown());
        Ok(match (name, numbers.as_slice()) {
            ("int", []) => Self::Int,
            ("long", []) => Self::Long,
            ("bool", []) => Self::Bool,
            ("guid", []) => Self::Guid,
            ("alpha", []) => Self::Alpha,
            ("decimal" | "double" | "float", []) => Self::Number,
            ("length", [exact]) => Self::Length(length(*exact)?, length(*exact)?),
            ("length", [least, most]) => Self::Length(length(*least)?, length(*most)?),
            ("minlength", [least]) => Self::Length(length(*least)?, usize::MAX),
            ("maxlength", [most]) => Self::Length(0, length(*most)?),
            ("min", [least]) => Self::Between(*least, i64::MAX),
            ("max", [most]) => Self::Between(i64::MIN, *most),
            ("range", [least, most]) => Self::Between(*least, *most),
            _ => return Err(unknown()),
        })
    }

    fn holds(self, part: &str) -> bool {
        let value = decode(part);
        match self {
            Self::Int => value.parse::<i32>().is_ok(),
            Self::Long => value.parse::<i64>().is_ok(),
            Self::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Self::Guid => uuid::Uuid::try_parse(&value).is_ok(),
            Self::Alpha => value.bytes().all(|byte| byte.is_ascii_alphabetic()),
            Self::Number => value.parse::<f64>().is_ok(),
            Self::Length(least, most) => (least..=most).contains(&value.chars().count()),
            Self::Between(least, most) => value.parse().is_ok_and(|number: i64| (least..=most).contains(&number)),
        }
    }
}

fn equal(literal: &str, part: &str) -> bool {
    // The common case needs no decoding, and this runs for every request.
    literal.eq_ignore_ascii_case(part) || part.contains('%') && literal.to_lowercase() == decode(part).to_lowercase()
}

fn decode(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}

/// The routes of a function app, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Routes(Vec<(RouteTemplate, Option<Vec<Method>>)>);

impl Routes {
    /// Adds the next route. `None` takes every method.
    pub fn push(&mut self, template: RouteTemplate, methods: Option<Vec<Method>>) {
        self.0.push((template, methods));
    }

    /// The first route that takes the request, by its position.
    pub fn find(&self, method: &Method, path: &str) -> Option<usize> {
        let takes = |methods: &Option<Vec<Method>>| methods.as_ref().is_none_or(|methods| methods.contains(method));
        self.0.iter().position(|(template, methods)| takes(methods) && template.matches(path))
    }
}
