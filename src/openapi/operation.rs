//! What the owner of a route says about it.

use std::borrow::Cow;

use http::{Method, StatusCode};

use super::Shape;

/// A request that is answered, and everything that it can be answered.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: Method,
    /// As in OpenAPI: `/incoming/{vendor}/{servicetype}`.
    pub path: Cow<'static, str>,
    /// One line.
    pub summary: &'static str,
    /// What else a caller should know; may be empty.
    pub description: Cow<'static, str>,
    /// What it belongs to.
    pub tag: &'static str,
    /// One for each name in the path, and whatever else is looked at.
    pub parameters: Vec<Parameter>,
    /// The media type and the shape of the request's body, where one is read.
    pub body: Option<(&'static str, Shape)>,
    pub answers: Vec<Answer>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Path,
    Query,
    Header,
}

/// Something beside the body.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub at: At,
    pub name: &'static str,
    pub required: bool,
    pub meaning: &'static str,
    pub shape: Shape,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    /// When it is given, and what it means.
    pub meaning: &'static str,
    pub content: Content,
    pub headers: &'static [Header],
}

/// What an answer holds.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// Nothing, or something that no shape is promised of.
    Undescribed,
    Json(Shape),
    Text,
    /// A problem document (RFC 9457).
    Problem,
}

/// A header of an answer, with a text or a number in it.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    pub name: &'static str,
    pub always: bool,
    pub meaning: &'static str,
    pub shape: Shape,
}

const RETRY_AFTER: &[Header] = &[Header {
    name: "Retry-After",
    always: true,
    meaning: "Seconds after which another try makes sense.",
    shape: super::shape::<u16>,
}];

impl Answer {
    /// With a JSON body.
    pub fn json(status: StatusCode, meaning: &'static str, shape: Shape) -> Self {
        Self { status, meaning, content: Content::Json(shape), headers: &[] }
    }

    /// Without a body that anybody should read.
    pub fn bare(status: StatusCode, meaning: &'static str) -> Self {
        Self { status, meaning, content: Content::Undescribed, headers: &[] }
    }

    /// A problem document.
    pub fn problem(status: StatusCode, meaning: &'static str) -> Self {
        Self { status, meaning, content: Content::Problem, headers: &[] }
    }

    /// 503 with `Retry-After`, as [`crate::problem::try_again_later`] makes it.
    pub fn later(meaning: &'static str) -> Self {
        Self { headers: RETRY_AFTER, ..Self::problem(StatusCode::SERVICE_UNAVAILABLE, meaning) }
    }

    pub fn with_headers(self, headers: &'static [Header]) -> Self {
        Self { headers, ..self }
    }
}

/// In debug builds: an answer that its owner did not describe is a defect. What no operation takes (another method) is
/// not judged.
///
/// # Panics
/// None of the operations with this method has the status.
pub fn expect_described(operations: &[Operation], method: &Method, status: StatusCode) {
    let mut owners = operations.iter().filter(|operation| operation.method == *method).peekable();
    if owners.peek().is_some() {
        let described = owners.any(|operation| operation.answers.iter().any(|answer| answer.status == status));
        assert!(described, "{method} {} was answered {status}, which is not described", operations[0].path);
    }
}
