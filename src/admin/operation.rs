//! What can be asked of a resource: one row of its table.

use axum::http::{Method, StatusCode};
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{Call, Refusal};
use crate::{
    app::App,
    openapi::{Parameter, Shape},
};

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    /// JSON.
    pub body: String,
}

impl Reply {
    pub(super) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: serde_json::to_string(body).expect("replies serialise to JSON") }
    }
}

pub(super) type Handle = for<'a> fn(&'a App, Call) -> BoxFuture<'a, Result<Reply, Refusal>>;

/// A method and a path, who does it, and what it may come to.
pub struct Operation {
    pub method: Method,
    /// Below `/manage/`, without a slash at its ends: `partners/{name}/disable`.
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Those of the path, and of the query.
    pub parameters: &'static [Parameter],
    pub operator: Operator,
    /// With what it may be refused, beside 400 and 503, which anything may be; and when.
    pub refused: &'static [(StatusCode, &'static str)],
    pub does: Does,
}

/// Whether somebody must say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It is written down.
    Required,
    Optional,
}

/// The handler, and the shapes of what it reads and writes. Made by [`does!`], which takes them from the handler's types.
pub struct Does {
    pub(super) handle: Handle,
    pub(super) body: Option<Shape>,
    pub(super) status: StatusCode,
    pub(super) answer: Shape,
}

/// `does!(add(Changes) -> CREATED View)`: `add(app, call, body)` gets the request's JSON as `Changes`, and its `View` is
/// answered with 201. Arguments in brackets go before the body: `does!(search[Source::Parked](Question) -> OK Found)`.
macro_rules! does {
    ($handle:ident $([$given:expr])? ($($body:ty)?) -> $status:ident $answer:ty) => {
        $crate::admin::operation::Does {
            handle: |app, call| {
                Box::pin(async move {
                    let answer: $answer = $handle(app, &call $(, $given)? $(, call.json::<$body>()?)?).await?;
                    Ok($crate::admin::Reply::new(::http::StatusCode::$status, &answer))
                })
            },
            body: does!(@shape $($body)?),
            status: ::http::StatusCode::$status,
            answer: $crate::openapi::shape::<$answer>,
        }
    };
    (@shape) => { None };
    (@shape $body:ty) => { Some($crate::openapi::shape::<$body>) };
}
pub(super) use does;

impl Operation {
    /// Whether a path, by its segments, is of this form.
    pub fn matches(&self, path: &[String]) -> bool {
        let mut segments = self.path.split('/').filter(|segment| !segment.is_empty());
        let fits = path.iter().all(|given| segments.next().is_some_and(|own| own.starts_with('{') || own == given));
        fits && segments.next().is_none()
    }

    /// The names in its path, each with the number of its segment.
    pub fn names(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let name = |segment: &'static str| segment.strip_prefix('{')?.strip_suffix('}');
        self.path.split('/').enumerate().filter_map(move |(index, segment)| Some((index, name(segment)?)))
    }
}
