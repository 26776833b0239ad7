//! Why an operator does not get what was asked for.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};

use crate::{
    documents::{CommitError, DocumentsError},
    problem::{problem, try_again_later},
};

/// Each says what to do about it; none repeats personal data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// 400
    #[error("{0}")]
    Malformed(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 405; the text is what is allowed.
    #[error("use {0}")]
    MethodNotAllowed(String),
    /// 409: somebody else was faster, or the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 503: a store or the broker failed. Whether the change happened may be unknown.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// What it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let (status, detail) = (self.status(), self.to_string());
        match self {
            Self::Malformed(_) | Self::NotFound(_) | Self::Conflict(_) => problem(status, Some(&detail)),
            Self::MethodNotAllowed(methods) => {
                let mut response = problem(status, Some(&detail));
                if let Ok(methods) = HeaderValue::try_from(methods) {
                    response.headers_mut().insert(header::ALLOW, methods);
                }
                response
            }
            Self::Unavailable(_) => {
                tracing::error!(detail, "an operator's request failed");
                try_again_later(&detail)
            }
        }
    }
}

impl From<DocumentsError> for Refusal {
    fn from(error: DocumentsError) -> Self {
        match error {
            DocumentsError::Refused(problem) => Self::Malformed(problem),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. } => {
                Self::Conflict(format!("{error}: look at it again"))
            }
            CommitError::Refused(problem) => Self::Malformed(problem),
            CommitError::Unavailable(_) => Self::Unavailable(error.to_string()),
        }
    }
}
