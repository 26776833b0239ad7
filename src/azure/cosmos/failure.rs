//! What an error of Cosmos DB means to a caller of the port, and in words that name the container and what to do.

use std::time::Duration;

use azure_data_cosmos::CosmosError;

use crate::documents::{CommitError, Container, DocumentsError};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Trying again later cannot heal it.
    refused: bool,
    text: String,
}

impl Failure {
    pub fn of(error: &CosmosError, container: Container, database: &str) -> Self {
        Self::new(u16::from(error.status().status_code()), &brief(error), container, database)
    }

    /// The account cannot be used as it is configured. No fault of the request's: it heals once the settings do.
    pub fn connecting(error: &CosmosError, container: Container, database: &str) -> Self {
        let failure = Self::of(error, container, database);
        if !failure.refused {
            return failure;
        }
        let (container, detail) = (container.name(), brief(error));
        let text = format!(
            "Cosmos DB container {container}: the account cannot be used: correct its endpoint or its key ({detail})"
        );
        Self { refused: false, text }
    }

    /// One operation of a batch has failed for another reason than its precondition.
    pub fn of_operation(status: u16, id: &str, container: Container, database: &str) -> Self {
        Self::new(status, &format!("{status} for document {id}"), container, database)
    }

    /// Neither a token nor the account's description came.
    pub fn no_connection(container: Container, limit: Duration) -> Self {
        let container = container.name();
        let text = format!(
            "Cosmos DB container {container}: no connection within {limit:?}: correct the account's endpoint, let its \
             network rules admit this app, and give the app its managed identity (or run `az login`)"
        );
        Self { refused: false, text }
    }

    fn new(status: u16, detail: &str, container: Container, database: &str) -> Self {
        let container = container.name();
        let meaning = match status {
            400 => "the request is malformed".to_owned(),
            401 => {
                "no valid token or key: give the app its managed identity (IDENTITY_CLIENT_ID names a user-assigned \
                    one), run `az login` on a developer's machine, or correct the connection string's key"
                    .to_owned()
            }
            403 => format!(
                "access is denied: give the identity the role Cosmos DB Built-in Data Contributor on database \
                 {database}, and let the account's network rules admit this app"
            ),
            404 => format!(
                "database {database} or its container {container} does not exist: apply Terraform, or run `sluice \
                 init-azure` against an emulator"
            ),
            408 => "no answer in time".to_owned(),
            413 => "more than 2 MB in one commit".to_owned(),
            429 => "its request units are used up: raise its throughput".to_owned(),
            449 | 503 => "it is not available at the moment".to_owned(),
            _ => "it failed".to_owned(),
        };
        Self {
            refused: matches!(status, 400 | 413),
            text: format!("Cosmos DB container {container}: {meaning} ({detail})"),
        }
    }

    pub fn reading(self) -> DocumentsError {
        match self {
            Self { refused: true, text } => DocumentsError::Refused(text),
            Self { refused: false, text } => DocumentsError::Unavailable(text),
        }
    }

    pub fn committing(self) -> CommitError {
        match self {
            Self { refused: true, text } => CommitError::Refused(text),
            Self { refused: false, text } => CommitError::Unavailable(text),
        }
    }
}

/// The first line, without the diagnostics and stack that the SDK may append.
pub(super) fn brief(error: &CosmosError) -> String {
    const LONGEST: usize = 200;
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_container_and_what_to_do() {
        let cases = [
            (401, "az login"),
            (403, "Cosmos DB Built-in Data Contributor on database sluice"),
            (404, "sluice init-azure"),
            (429, "raise its throughput"),
        ];
        for (status, advice) in cases {
            let failure = Failure::new(status, "detail", Container::Retries, "sluice");
            let CommitError::Unavailable(text) = failure.clone().committing() else { panic!("{failure:?}") };
            assert!(text.contains("container retries") && text.contains(advice), "{text}");
            assert!(matches!(failure.reading(), DocumentsError::Unavailable(_)));
        }
    }

    #[test]
    fn what_trying_again_cannot_heal_is_refused() {
        for status in [400, 413] {
            let failure = Failure::new(status, "detail", Container::Ledger, "sluice");
            assert!(matches!(failure.clone().committing(), CommitError::Refused(_)));
            assert!(matches!(failure.reading(), DocumentsError::Refused(_)));
        }
    }
}
